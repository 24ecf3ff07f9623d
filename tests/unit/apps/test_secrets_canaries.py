"""Plant canaries through the operator's application: the key is told once, gates know it at once, uses are listed."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs
from tests.unit.apps.service_bench import Caller, ServiceBench, service_bench
from tests.unit.enrolment.simulators import SeededEntropy

from watchword.adapters.documents import FileDocument
from watchword.adapters.honeytoken_alarms import HoneytokenAlarmFile
from watchword.adapters.honeytoken_file import HoneytokenStore
from watchword.apps.compose.secrets import SecretWork
from watchword.broker.honeytokens import spot
from watchword.gate.alarms import Sighting
from watchword.gate.interface import Decision, RequestFacts
from watchword.vocabulary import Mode

FILE, ALARMS = "canaries.json", "alarms.sqlite"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[ServiceBench]:
    """Return a service that keeps canaries."""
    work = SecretWork(
        canaries=HoneytokenStore(FileDocument(tmp_path / FILE), SeededEntropy()),
        alarms=HoneytokenAlarmFile(tmp_path / ALARMS),
    )
    made = service_bench(tmp_path, secrets=work)
    yield made
    asyncio.run(work.aclose())
    made.store.close()


async def plant(call: Caller, name: str = "old-key", **further: object) -> httpx.Response:
    """Plant a canary."""
    members = {"name": name, "like": "generic", **further}
    return await call.operator.post("/v1/canaries", json=members)


def spotted(bench: ServiceBench, key: str, header: bytes = b"x-api-key") -> str | None:
    """Return which canary the clinic's gate sees in a request."""
    watch = bench.published().canaries
    return None if watch is None else spot(watch, [(header, key.encode())], b"")


def test_planted_key_is_known_to_every_gate_with_the_answer(bench: ServiceBench) -> None:
    """Each API's gate recognises it, in the usual headers and in those that were named."""
    answer = bench.run(lambda call: plant(call, headers=["X-Maps-Key"], note="in BuildConfig"))
    key = answer.json()["key"]
    assert answer.status_code == 201
    assert spotted(bench, key) == spotted(bench, f"Bearer {key}", b"x-maps-key") == "old-key"
    assert spotted(bench, key[:-1]) is None
    assert bench.published("ledger").canaries == bench.published().canaries


def test_key_is_told_once_and_kept_nowhere(bench: ServiceBench) -> None:
    """Not in the list, the trail, a log line, a metric or any file of the state directory."""

    async def work(call: Caller) -> tuple[str, list[httpx.Response]]:
        key = (await plant(call, note="here")).json()["key"]
        paths = ("v1/canaries", "v1/canaries/alarms", "v1/audit", "v1/refusals", "metrics")
        return key, [await call.operator.get(f"/{path}") for path in paths]

    with capture_logs() as logged:
        key, answers = bench.run(work)
    texts = [each.text for each in answers] + [str(logged), repr(bench.service.context)]
    files = [each for each in bench.directory.rglob("*") if each.is_file()]
    assert bench.directory / FILE in files
    texts += [each.read_text(encoding="latin-1") for each in files]
    assert not [each for each in texts if key in each]
    (listed,) = answers[0].json()["canaries"]
    assert (listed["name"], listed["like"], listed["note"]) == ("old-key", "generic", "here")
    assert "watchword_canaries_planted 1.0" in answers[-1].text


def test_planting_is_in_the_trail_before_it_is_done(bench: ServiceBench) -> None:
    """Who planted what, and who took it out."""

    async def work(call: Caller) -> httpx.Response:
        call.operator.headers["watchword-operator"] = "alice"
        await plant(call)
        return await call.operator.post("/v1/canaries/old-key/remove")

    assert bench.run(work).status_code == 200
    trail = [
        (each.actor, each.action, each.subject)
        for each in reversed(asyncio.run(bench.store.audit_entries(9)))
    ]
    alice = "operator (claimed: alice)"
    assert trail == [(alice, "canary.plant", "old-key"), (alice, "canary.remove", "old-key")]


def test_removed_canary_leaves_the_gates_with_the_answer(bench: ServiceBench) -> None:
    """Its key is any key from then on."""

    async def work(call: Caller) -> str:
        key: str = (await plant(call)).json()["key"]
        await call.operator.post("/v1/canaries/old-key/remove")
        return key

    key = bench.run(work)
    assert bench.published().canaries is None
    assert spotted(bench, key) is None


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"name": "x"}, "request.malformed"),
        ({"name": "x", "like": "generic", "key": "y"}, "request.malformed"),
        ({"name": "x", "like": "generic", "headers": "x-api-key"}, "request.malformed"),
        ({"name": "x", "like": "generic", "parameters": [1]}, "request.malformed"),
        ({"name": "x", "like": "nobody"}, "secret.value"),
        ({"name": "X y", "like": "generic"}, "secret.value"),
        ({"name": "x", "like": "generic", "note": "a\nb"}, "secret.value"),
        ({"name": "x", "like": "generic", "headers": ["x y"]}, "secret.value"),
    ],
)
def test_odd_canary_is_refused(
    bench: ServiceBench, members: dict[str, object], reason: str
) -> None:
    """What can't be planted is told, and no gate hears of it."""
    answer = bench.run(lambda call: call.operator.post("/v1/canaries", json=members))
    assert (answer.status_code, answer.json()["reasons"]) == (400, [reason])
    assert not (bench.directory / FILE).exists()


def test_second_of_a_name_and_unknown_one_are_refused(bench: ServiceBench) -> None:
    """A name stands for one key."""

    async def work(call: Caller) -> list[httpx.Response]:
        await plant(call)
        return [await plant(call), await call.operator.post("/v1/canaries/nobody/remove")]

    assert [each.json()["reasons"] for each in bench.run(work)] == [
        ["secret.exists"],
        ["secret.unknown"],
    ]


@pytest.mark.parametrize(
    ("method", "path", "members"),
    [
        ("GET", "", None),
        ("POST", "", {"name": "another", "like": "stripe"}),
        ("POST", "/old-key/remove", {}),
    ],
)
def test_damaged_file_is_told_by_its_name(
    bench: ServiceBench, method: str, path: str, members: dict[str, str] | None
) -> None:
    """Whoever is to restore it must know which one it is."""

    async def work(call: Caller) -> httpx.Response:
        await plant(call)
        (bench.directory / FILE).write_text("{")
        return await call.operator.request(method, f"/v1/canaries{path}", json=members)

    answer = bench.run(work)
    assert (answer.status_code, FILE in answer.text) == (503, True)
    assert answer.json()["reasons"] == ["secret.store_unavailable"]


def test_damaged_file_keeps_no_revocation_from_the_gates(bench: ServiceBench) -> None:
    """Gates keep the canaries that they know, one log line tells of it, and all else is published."""

    async def work(call: Caller) -> tuple[str, str]:
        await bench.service.tick()
        key = (await plant(call)).json()["key"]
        (bench.directory / FILE).write_text("{")
        bench.keyring.rotate(bench.clock.timestamp())
        with capture_logs() as logged:
            await bench.service.tick()
            await bench.service.tick()
        told = [each for each in logged if each["event"] == "canaries can't be read"]
        assert len(told) == 1
        return key, bench.keyring.ring.token_keys[-1].kid

    key, newest = bench.run(work)
    assert newest in {each.kid for each in bench.published().keys}
    assert spotted(bench, key) == "old-key"
    # Also a service that starts then, and never read the file.
    again = service_bench(
        bench.directory,
        secrets=SecretWork(
            canaries=HoneytokenStore(FileDocument(bench.directory / FILE), SeededEntropy())
        ),
    )

    async def start(_call: Caller) -> None:
        await again.service.start()
        await again.service.stop()

    again.run(start)
    again.store.close()
    assert spotted(bench, key) == "old-key"


def test_uses_are_listed_with_the_traits_of_the_caller(bench: ServiceBench) -> None:
    """What the gates of this machine raised: newest first, of one canary where it is named."""
    alarms = bench.service.context.secrets.alarms
    assert alarms is not None

    async def work(call: Caller) -> None:
        for name in ("old-key", "other-key"):
            await plant(call, name)

    bench.run(work)
    facts = RequestFacts("GET", b"/v1/patients", [(b"Host", b"x"), (b"User-Agent", b"curl/8")])
    decision = Decision(False, Mode.ENFORCE, "all", (), None, [], canary="old-key")
    for at, canary in ((100.0, "old-key"), (200.0, "other-key"), (150.0, "old-key")):
        used = decision._replace(canary=canary)
        alarms.raised(Sighting(at, facts, used, bench.gate(), "203.0.113.9"))
    alarms.close()

    async def look(call: Caller) -> list[httpx.Response]:
        paths = ("", "?canary=old-key", "?limit=1", "?limit=0")
        answers = [await call.operator.get(f"/v1/canaries/alarms{path}") for path in paths]
        return [*answers, await call.operator.get("/metrics")]

    every, old, one, odd, metrics = bench.run(look)
    assert every.json()["totals"] == {"old-key": 2, "other-key": 1}
    assert [each["canary"] for each in every.json()["alarms"]] == ["other-key", "old-key"]
    (shown,) = old.json()["alarms"]
    assert (shown["uses"], shown["address"], shown["user_agent"]) == (2, "203.0.113.9", "curl/8")
    assert (shown["path"], shown["refused"]) == ("/v1/patients", True)
    assert len(one.json()["alarms"]) == 1
    assert odd.json()["reasons"] == ["request.malformed"]
    assert 'watchword_canary_uses_total{canary="old-key"} 2.0' in metrics.text
