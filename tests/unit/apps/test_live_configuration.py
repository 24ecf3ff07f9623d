# ruff: noqa: ASYNC240 - each scenario has the loop for itself, and its files are small.
"""Show that a running service puts another file in force, asks before it lets more in, and goes back by one command."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from watchword.adapters.applied_files import AppliedFile, AppliedFileError
from watchword.adapters.gate_bundle import GateBundleFile
from watchword.adapters.refusal_log import MemoryRefusalLog
from watchword.adapters.system import SystemClock, SystemEntropy
from watchword.apps.compose.applied import ConfigurationDesk, files_of, starting_file
from watchword.apps.deployment import service_of
from watchword.apps.service.service import Service
from watchword.apps.service.window import KEPT_SECONDS, TokenWindow
from watchword.apps.settings.faults import ConfigurationError, join
from watchword.apps.settings.template import TEMPLATE
from watchword.gate.interface import Rate
from watchword.gate.limits import EnrolmentLimits, EnrolmentRates
from watchword.reasons import UnavailableError
from watchword.tokens.interface import MAX_LEEWAY_SECONDS
from watchword.vocabulary import Mode

_Result = TypeVar("_Result")

NARROW = (
    "        level: hardware\n        proof: bearer\n",
    "        level: hardware\n        proof: device\n",
)
WIDE = ("        mode: enforce\n", "        mode: monitor\n")
RESTART = ("upstream: http://127.0.0.1:9000", "upstream: http://127.0.0.1:9001")


@dataclass
class Deployed:
    """Hold a service over its file, and the operator's socket."""

    file: Path
    service: Service
    operator: httpx.AsyncClient

    async def post(self, path: str, **members: Any) -> httpx.Response:
        """Send a change."""
        return await self.operator.post(f"/v1/configuration{path}", json=members)

    def sha256(self) -> str:
        """Return the hash of the file as it stands."""
        return hashlib.sha256(self.file.read_bytes()).hexdigest()

    async def status(self) -> dict[str, Any]:
        """Return what is in force."""
        answer = await self.operator.get("/v1/configuration")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def apply(
        self, *, widen: bool = False, because: str = "test", base: int | None = None
    ) -> httpx.Response:
        """Apply the file as it stands."""
        number = (await self.status())["number"] if base is None else base
        wanted = {"base": number, "widen": widen, "because": because}
        return await self.post("", sha256=self.sha256(), **wanted)

    async def roll_back(self, *, widen: bool = False, because: str = "test") -> httpx.Response:
        """Go back."""
        number = (await self.status())["number"]
        return await self.post("/rollback", base=number, widen=widen, because=because)

    def edit(self, *changes: tuple[str, str]) -> None:
        """Change the file."""
        text = self.file.read_text(encoding="utf-8")
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        self.file.write_text(text, encoding="utf-8")

    def gate(self) -> GateBundleFile:
        """Return a gate that starts now."""
        gates = self.file.parent / ".watchword" / "gates"
        return GateBundleFile(gates / "clinic.jws", gates / "signer.jwk", lambda: 0.0)

    @property
    def mode(self) -> str:
        """Return the mode of the last route, as gates are told."""
        return self.gate().policy.routes[-1].mode.value

    @property
    def proof(self) -> str:
        """Return the proof that the last route asks for, as gates are told."""
        return self.gate().policy.routes[-1].proof.value


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a file to start with."""
    file = tmp_path / "watchword.yaml"
    file.write_text(TEMPLATE, encoding="utf-8")
    return file


def run(file: Path, work: Callable[[Deployed], Awaitable[_Result]]) -> _Result:
    """Run a service from its start to its end, as ``watchword up`` does without its listeners."""

    async def scenario() -> _Result:
        start, clock = starting_file(file), SystemClock()
        service = service_of(
            start.whole.settings,
            clock=clock,
            entropy=SystemEntropy(),
            refusal_log=MemoryRefusalLog(clock),
            start=start,
        )
        try:
            await service.start()
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(service.operator_app), base_url="http://operator"
            ) as operator:
                return await work(Deployed(file, service, operator))
        finally:
            await service.stop()
            service.context.store.close()

    return asyncio.run(scenario())


def reasons(answer: httpx.Response) -> list[str]:
    """Return why something was refused."""
    assert answer.status_code >= 400, answer.text
    found: list[str] = answer.json()["reasons"]
    return found


def test_a_narrowing_change_is_in_force_before_the_answer(file: Path) -> None:
    """At the gates, with its generation; the audit trail knows who asked, and a restart keeps it."""

    async def work(deployed: Deployed) -> None:
        before = deployed.gate().generation
        assert deployed.proof == "bearer"
        deployed.edit(NARROW)
        answer = await deployed.apply(because="records need it")
        assert answer.status_code == 200, answer.text
        told = answer.json()
        assert (told["number"], told["changed"], told["told"]) == (2, True, True)
        assert told["generation"] > before
        assert told["generation"] == deployed.gate().generation
        assert deployed.proof == "device"
        (change,) = told["changes"]
        assert change["path"] == "apis.clinic.routes[1].proof"
        trail = await deployed.operator.get("/v1/audit?subject=configuration")
        (entry,) = trail.json()["entries"]
        assert entry["action"] == "configuration.apply"
        assert entry["detail"]["because"] == "records need it"

    run(file, work)

    async def later(deployed: Deployed) -> None:
        assert deployed.proof == "device"
        assert (await deployed.status())["number"] == 2

    run(file, later)


def test_what_widens_waits_for_an_admins_word_and_reason(file: Path) -> None:
    """Nothing of it is in force before, also not after a restart."""

    async def work(deployed: Deployed) -> None:
        deployed.edit(WIDE, NARROW)
        refused = await deployed.apply()
        assert reasons(refused) == ["configuration.widens"]
        assert "apis.clinic.routes[1].mode" in refused.text
        assert reasons(await deployed.apply(widen=True, because="")) == ["configuration.widens"]
        assert (deployed.mode, deployed.proof) == ("enforce", "bearer")
        assert (await deployed.status())["number"] == 0
        # A change that only narrows puts the first files down, from where on the file alone changes nothing.
        deployed.edit((WIDE[1], WIDE[0]))
        assert (await deployed.apply()).status_code == 200
        deployed.edit(WIDE)

    run(file, work)

    async def later(deployed: Deployed) -> None:
        assert deployed.mode == "enforce"
        answer = await deployed.apply(widen=True, because="outage")
        assert answer.status_code == 200, answer.text
        assert deployed.mode == "monitor"
        newest = (await deployed.status())["applied"][-1]
        assert (newest["widened"], newest["because"]) == (True, "outage")

    run(file, later)


def test_a_rollback_leads_back_and_never_forward(file: Path) -> None:
    """One of a rollback goes further back; beyond the first there is nothing; the file stays as it is."""

    async def work(deployed: Deployed) -> None:
        deployed.edit(NARROW)
        await deployed.apply()
        deployed.edit(WIDE)
        assert (await deployed.apply(widen=True)).status_code == 200
        assert (deployed.mode, deployed.proof) == ("monitor", "device")
        text = file.read_bytes()
        back = (await deployed.roll_back()).json()
        assert (back["number"], back["restores"]) == (4, 2)
        assert (deployed.mode, deployed.proof) == ("enforce", "device")
        refused = await deployed.roll_back()
        assert reasons(refused) == ["configuration.widens"]
        further = (await deployed.roll_back(widen=True, because="old phones")).json()
        assert (further["number"], further["restores"]) == (5, 1)
        assert (deployed.mode, deployed.proof) == ("enforce", "bearer")
        assert reasons(await deployed.roll_back(widen=True)) == ["configuration.faulty"]
        assert file.read_bytes() == text

    run(file, work)

    async def later(deployed: Deployed) -> None:
        assert (deployed.mode, deployed.proof) == ("enforce", "bearer")
        status = await deployed.status()
        assert status["number"] == 5
        assert [each["widens"] for each in status["proposal"]["changes"]] == [False, True]

    run(file, later)


def test_of_two_applies_at_once_one_is_refused(file: Path) -> None:
    """Both were compared with what was in force; the second would put back what it never saw."""

    async def work(deployed: Deployed) -> None:
        deployed.edit(NARROW)
        answers = await asyncio.gather(*(deployed.apply(base=0) for _ in range(5)))
        codes = sorted(each.status_code for each in answers)
        # The same text again is no change, and no conflict.
        assert codes == [200] * 5
        assert [each.json()["changed"] for each in answers].count(True) == 1
        deployed.edit(RESTART)
        assert reasons(await deployed.apply(base=1, widen=True)) == ["configuration.conflict"]
        assert (await deployed.status())["number"] == 2

    run(file, work)


def test_a_file_that_somebody_writes_meanwhile_is_not_applied(file: Path) -> None:
    """Neither half of one nor another one than the command read; the gates keep what they have."""

    async def work(deployed: Deployed) -> None:
        read = deployed.sha256()
        whole = TEMPLATE.replace(*NARROW)
        for length in (0, 1, len(whole) // 2, len(whole) - 3):
            file.write_text(whole[:length], encoding="utf-8")
            answer = await deployed.post("", sha256=read, base=0, widen=True, because="x")
            assert reasons(answer)[0] in {"configuration.faulty", "configuration.conflict"}
        file.write_text(whole, encoding="utf-8")
        answer = await deployed.post("", sha256=read, base=0, widen=True, because="x")
        assert reasons(answer) == ["configuration.conflict"]
        file.unlink()
        answer = await deployed.post("", sha256=read, base=0, widen=True, because="x")
        assert reasons(answer) == ["configuration.faulty"]
        assert deployed.proof == "bearer"
        status = await deployed.status()
        assert (status["number"], status["proposal"]) == (0, None)
        assert "no such file" in status["fault"]

    run(file, work)


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"sha256": "0" * 64, "base": 0, "widen": False},
        {"sha256": "0" * 63, "base": 0, "widen": False, "because": ""},
        {"sha256": 1, "base": 0, "widen": False, "because": ""},
        {"sha256": "0" * 64, "base": 0, "widen": False, "because": "", "more": 1},
    ],
)
def test_malformed_requests_are_refused(file: Path, members: dict[str, Any]) -> None:
    """Before anything changes."""

    async def work(deployed: Deployed) -> None:
        assert reasons(await deployed.post("", **members)) == ["request.malformed"]
        for bad in ({"base": True}, {"widen": 1}, {"because": None}, {"because": "x" * 501}):
            deployed.edit()
            wanted = {"sha256": deployed.sha256(), "base": 0, "widen": False, "because": ""}
            file.write_text(TEMPLATE.replace(*NARROW), encoding="utf-8")
            wanted["sha256"] = deployed.sha256()
            assert reasons(await deployed.post("", **(wanted | bad))) == ["request.malformed"]
        assert (await deployed.status())["number"] == 0

    run(file, work)


def test_what_needs_a_restart_waits_and_the_rest_does_not(file: Path) -> None:
    """It says what waits, and the next start takes all of it."""

    async def work(deployed: Deployed) -> None:
        deployed.edit(RESTART, NARROW)
        told = (await deployed.apply(widen=True)).json()
        assert told["waiting"] == ["apis.clinic.upstream"]
        assert (await deployed.status())["waiting"] == ["apis.clinic.upstream"]
        assert deployed.proof == "device"

    run(file, work)

    async def later(deployed: Deployed) -> None:
        assert (await deployed.status())["waiting"] == []

    run(file, later)
    assert starting_file(file).whole.settings.apis["clinic"].upstream == "http://127.0.0.1:9001"


def test_a_live_change_that_cannot_stand_without_a_restart_waits_too(file: Path) -> None:
    """A route names a key that only a restart brings: the gates would be told of a rule that isn't there."""
    secrets = (
        "secrets:\n  keys:\n    maps:\n      edge:\n        origin: https://maps.example.net\n"
        "        paths: [/geocode/**]\n        add: {header: X-Api-Key}\n"
    )

    async def work(deployed: Deployed) -> None:
        deployed.edit(
            ("\napis:\n", f"\n{secrets}\napis:\n"),
            (
                "    routes:\n      - path: /health",
                "    routes:\n      - {path: /maps/**, secret: maps}\n      - path: /health",
            ),
        )
        answer = await deployed.apply(widen=True)
        assert answer.status_code == 200, answer.text
        told = answer.json()
        assert told["all_waits"]
        assert len(deployed.gate().policy.routes) == 2

    run(file, work)


def test_who_enrols_and_how_evidence_is_appraised_changes_at_once(file: Path) -> None:
    """The same objects go by the new file: lowest level, versions, lifetime, and the window that revocations are listed for."""

    async def work(deployed: Deployed) -> None:
        policy = deployed.service.context.enrolment._policy
        assert policy.minimum_level.value == "verified"
        deployed.edit(
            ("# policy: balanced", "policy: {base: balanced, levels: {verified: off}}"),
            ("token_lifetime: 5m", "token_lifetime: 1m"),
            ("minimum_version: 100", "minimum_version: 200"),
        )
        answer = await deployed.apply()
        assert answer.status_code == 200, answer.text
        assert policy.minimum_level.value == "hardware"
        assert policy.token_lifetime == 60
        assert policy.apps["clinic-android"].minimum_version == "200"
        # Tokens of five minutes are about: who is revoked now stays listed until they have ended.
        assert deployed.service.context.publisher.window_seconds >= 300

    run(file, work)


def test_tickets_of_before_another_file_count_no_more(file: Path) -> None:
    """A ticket spares the row only where it is judged by what it was given under; other apps' tickets go on."""

    async def work(deployed: Deployed) -> None:
        revision = deployed.service.context.vendors.revision
        assert revision is not None
        ios, android = revision("clinic-ios"), revision("clinic-android")
        deployed.edit(("minimum_version: 100", "minimum_version: 200"))
        answer = await deployed.apply()
        assert answer.status_code == 200, answer.text
        assert revision("clinic-android") != android
        assert revision("clinic-ios") == ios
        deployed.edit(("# policy: balanced", "policy: strict"))
        answer = await deployed.apply(widen=True)
        assert answer.status_code == 200, answer.text
        assert revision("clinic-ios") != ios

    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("service:\n", "service:\n  tickets: true\n", 1), encoding="utf-8")
    run(file, work)


def test_an_earlier_state_that_was_put_back_stops_the_start(file: Path) -> None:
    """It might let in what was closed since; the running service goes on, and its next apply mends it."""

    async def work(deployed: Deployed) -> None:
        deployed.edit(NARROW)
        await deployed.apply()
        index = file.parent / ".watchword" / "configuration" / "applied.json"
        earlier = index.read_bytes()
        deployed.edit(("minimum_version: 100", "minimum_version: 200"))
        await deployed.apply()
        index.write_bytes(earlier)
        with pytest.raises(AppliedFileError, match="put back"):
            starting_file(file)
        assert (await deployed.status())["number"] == 3
        deployed.edit(("minimum_version: 200", "minimum_version: 300"))
        answer = await deployed.apply()
        assert answer.status_code == 200, answer.text
        assert starting_file(file).number == 4

    run(file, work)


def test_a_broken_file_keeps_no_service_from_its_start(file: Path) -> None:
    """What was applied counts, whatever an editor left; before the first apply the file is all there is."""

    async def work(deployed: Deployed) -> None:
        deployed.edit(NARROW)
        await deployed.apply()

    run(file, work)
    for text in ("", "{", "version: 1\n", TEMPLATE.replace(*WIDE)):
        file.write_text(text, encoding="utf-8")
        start = starting_file(file)
        assert (start.number, start.differs) == (2, True)
        assert start.whole.settings.apis["clinic"].routes[-1].mode is Mode.ENFORCE
    other = file.parent / "other" / "watchword.yaml"
    other.parent.mkdir()
    other.write_text("{", encoding="utf-8")
    with pytest.raises(ConfigurationError):
        starting_file(other)


def test_what_was_applied_and_has_faults_now_stops_the_start_in_words(file: Path) -> None:
    """Another version may know other settings; and in another directory each path in it would lead elsewhere."""
    text = TEMPLATE.replace("mode: enforce", "mode: enforced").encode()
    state = file.parent / ".watchword"
    state.mkdir(mode=0o700)
    note = AppliedFile(0, "", 5, "a", "b", widened=False)
    files_of(state).add(text, note, 0)
    with pytest.raises(AppliedFileError, match=r"1\.yaml: 1 fault(.|\n)*config apply"):
        starting_file(file)
    files_of(state).add(TEMPLATE.encode(), note, 1)
    assert starting_file(file).number == 2
    elsewhere = file.parent / "elsewhere" / "watchword.yaml"
    elsewhere.parent.mkdir()
    elsewhere.write_text(TEMPLATE.replace("state: .watchword", f"state: {state}"), encoding="utf-8")
    with pytest.raises(AppliedFileError, match="another directory"):
        starting_file(elsewhere)


def test_with_postgresql_all_of_it_waits(file: Path) -> None:
    """Other nodes would go by another file until theirs is applied too."""
    store = "  store: postgresql://watchword_node@db.example/watchword\n  state: .watchword"
    file.write_text(TEMPLATE.replace("  state: .watchword", store), encoding="utf-8")
    (file.parent / ".watchword").mkdir(mode=0o700)
    desk = ConfigurationDesk(starting_file(file), lambda _settings: (), runs=True)
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace(*NARROW), encoding="utf-8")
    proposal = desk.propose()
    assert proposal.live is None
    assert [join(each.path) for each in proposal.waiting] == ["apis.clinic.routes[1].proof"]
    desk.commit(proposal, 0, 5, "a", "b", recorded=True)
    assert [join(each.path) for each in desk.waiting] == ["apis.clinic.routes[1].proof"]
    assert starting_file(file).number == 2


def test_an_engine_that_keeps_its_routes_is_named(file: Path) -> None:
    """Envoy's own filters can only refuse: who opens a route in an outage must know that Envoy without /authz goes on refusing."""

    async def work(deployed: Deployed) -> None:
        deployed.edit(WIDE)
        answer = await deployed.post("/check", sha256=deployed.sha256())
        (kept,) = answer.json()["kept_by"]
        assert (kept["engine"], kept["api"]) == ("envoy", "clinic")
        assert "mode monitor: Envoy's token check can only refuse" in kept["because"]
        assert "watchword gate authz" in kept["because"]
        assert (await deployed.apply(widen=True)).json()["kept_by"] == [kept]
        # It kept them at the change before this one.
        deployed.edit(("minimum_version: 100", "minimum_version: 200"))
        assert (await deployed.apply()).json()["kept_by"] == []

    run(file, work)


def test_the_state_directory_moves_by_hand_alone(file: Path) -> None:
    """What was applied lies in it."""

    async def work(deployed: Deployed) -> None:
        deployed.edit(("state: .watchword", "state: elsewhere"))
        answer = await deployed.apply(widen=True)
        assert reasons(answer) == ["configuration.faulty"]
        assert "service.state" in answer.text

    run(file, work)


def test_tokens_of_a_longer_life_are_counted_on_after_a_change(tmp_path: Path) -> None:
    """Who is revoked right after it stays listed until the last token of before has ended."""
    window, later = TokenWindow(tmp_path / "window.json", 300), KEPT_SECONDS + 1
    window.seconds(0)
    assert window.seconds(later) == 300 + MAX_LEEWAY_SECONDS
    window.change(60, later)
    assert window.seconds(later + KEPT_SECONDS - 1) == 300 + MAX_LEEWAY_SECONDS
    assert window.seconds(later + KEPT_SECONDS) == 60 + MAX_LEEWAY_SECONDS
    window.change(600, later + KEPT_SECONDS)
    assert window.seconds(later + KEPT_SECONDS) == 600 + MAX_LEEWAY_SECONDS
    window.change(60, later + KEPT_SECONDS)
    again = TokenWindow(tmp_path / "window.json", 60)
    window.seconds(later + KEPT_SECONDS)
    assert again.seconds(later + KEPT_SECONDS + 1) == 600 + MAX_LEEWAY_SECONDS


def test_other_rates_begin_anew_and_the_same_go_on() -> None:
    """A change of something else gives nobody room back."""
    now = datetime.fromtimestamp(1_800_000_000, UTC)
    rates = EnrolmentRates(app=Rate(1, 3600))
    limits = EnrolmentLimits(rates)

    def enrols() -> bool:
        try:
            with limits.room("clinic", None, now):
                return True
        except UnavailableError:
            return False

    assert [enrols() for _ in range(4)] == [True, False, False, False]
    limits.go_by(EnrolmentRates(app=Rate(1, 3600)))
    assert not enrols()
    limits.go_by(EnrolmentRates(app=Rate(2, 3600)))
    assert [enrols() for _ in range(4)] == [True, True, False, False]


def test_who_asks_often_is_told_by_the_rates_in_force() -> None:
    """By that a pace puts an address into its second line, so a change of the file reaches it too."""
    limits = EnrolmentLimits(EnrolmentRates(address=Rate(1, 3600)))

    def asks_often() -> bool:
        return limits.ask("192.0.2.0/24", 1_800_000_000.0) > 0

    assert [asks_often() for _ in range(3)] == [False, True, True]
    limits.go_by(EnrolmentRates(address=Rate(2, 3600)))
    assert [asks_often() for _ in range(3)] == [False, False, True]
