"""Take over what each released version left behind: it is read, served on, rolled back to, and refused where it is a newer one's."""

import json
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from tests.machine import patience
from tests.ports import free_port
from tests.system.upgrade.record import (
    HERE,
    NARROWED,
    NEW_VALUE,
    OLD_VALUES,
    SERIAL,
    StatusList,
    unpacked,
    with_ports,
)
from tests.unit.apps.forked_commands import command
from tests.unit.apps.service_process import WATCHWORD, running, upstream

from watchword.adapters.gate_bundle import GateBundleFile
from watchword.adapters.honeytoken_alarms import HoneytokenAlarmFile
from watchword.adapters.kept_quotas import QuotaFile
from watchword.adapters.keyring.private_file import OtherFormatError
from watchword.adapters.openbao.documents import from_document
from watchword.adapters.pin_workspace import PinWorkspace
from watchword.adapters.replay.memory import MemoryReplayStore
from watchword.adapters.revocation import read_saved
from watchword.adapters.rollout_states import RolloutStateFile
from watchword.adapters.system import SystemEntropy
from watchword.client.pinning.installation import FilePinStore
from watchword.encoding import base64url
from watchword.gate.interface import RequestFacts
from watchword.gate.service import Gate
from watchword.pins.roots import read_roots
from watchword.pins.sets import read_set

VERSIONS: Final = sorted(each.name for each in HERE.iterdir() if (each / "recorded.json").exists())


MOST_LINES: Final = 4
"""Of a sentence, wrapped at 80 columns."""


@dataclass(frozen=True)
class Taken:
    """Hold what a version left behind, and what was written down of it."""

    directory: Path
    facts: dict[str, Any]

    @property
    def config(self) -> Path:
        """Return the file that names free ports."""
        return self.directory / "run.yaml"

    @property
    def state(self) -> Path:
        """Return the state directory."""
        return self.directory / ".watchword"

    def run(self, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command of today."""
        return command(self.directory, "-c", self.config.name, *arguments, given=given)

    def json(self, *arguments: str, code: int = 0) -> Any:
        """Run a command that prints one JSON document."""
        done = self.run(*arguments, "--json")
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)

    def rows(self, *arguments: str) -> list[Any]:
        """Run a command that prints a JSON object a line."""
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]


@contextmanager
def taken(version: str, directory: Path) -> Iterator[Taken]:
    """Put a version's state back, with an API and a status list behind free ports; nothing runs on it yet."""
    facts = unpacked(version, directory)
    _booted_here(directory / ".watchword" / "gates" / "clinic.replay")
    with upstream() as api, upstream(StatusList) as listed:
        text = (directory / "watchword.yaml").read_text(encoding="utf-8")
        ports = {"service": free_port(), "proxy": free_port(), "upstream": api, "list": listed}
        (directory / "run.yaml").write_text(with_ports(text, **ports), encoding="utf-8")
        yield Taken(directory, facts)


def _booted_here(replay: Path) -> None:
    """Let a replay store take this start of the machine for the one in which it was written.

    After another start it rightly refuses each proof for as long as one made before could come again, a minute and more.
    """
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    connection = sqlite3.connect(replay)
    connection.execute("UPDATE boot SET id = ?", (boot,))
    connection.commit()
    connection.close()


@pytest.fixture(scope="module", params=VERSIONS)
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Taken]:
    """Run today's service on what a version left behind."""
    directory = tmp_path_factory.mktemp("served")
    with taken(request.param, directory) as found, running(found.config) as (where, _):
        assert where, "it didn't start"
        yield found


@pytest.fixture(params=VERSIONS)
def left(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Taken]:
    """Put back what a version left behind, for tests that change it."""
    with taken(request.param, tmp_path) as found:
        yield found


def entries(state: Path) -> list[tuple[Any, ...]]:
    """Return the audit trail of a store that nobody changes now."""
    with sqlite3.connect(f"file:{state / 'watchword.db'}?mode=ro", uri=True) as connection:
        found = connection.execute("SELECT * FROM audit ORDER BY 1").fetchall()
    connection.close()
    return found


def test_a_phone_that_was_enrolled_is_served(served: Taken) -> None:
    """It renews as the instance that it was, and its proofs pass; no phone enrols anew, and none is forgotten."""
    instance = _phone(served.state)["instance"]
    for path in ("/patients.json", "/records/1", "/payments/1"):
        row = served.json("lab", "request", "genuine-iphone", path)
        assert (row["answered_by"], row["status"], row["instance"]) == ("api", 200, instance)
    found = {row["instance"]: row for row in served.rows("instances", "list")}
    for each, before in served.facts["facts"]["instances"].items():
        now, then = found[each]["enrolled_at"], before["enrolled_at"]
        assert datetime.fromisoformat(now) == datetime.fromisoformat(then)


def _phone(state: Path) -> dict[str, Any]:
    """Return the session that a phone of the lab keeps."""
    file = state / "lab" / "phones" / "genuine-iphone.clinic-ios.clinic" / "phone.json"
    found: dict[str, Any] = json.loads(file.read_bytes())["session"]
    # Once it was used, this version has written it anew, in its own form.
    return found if found["v"] == 2 else found["session"]


def test_what_was_revoked_stays_revoked(served: Taken) -> None:
    """An operator's revocation stands with its reason, and that phone is served no more; codes are spent only once."""
    revoked = served.facts["facts"]["revoked"]
    row = next(each for each in served.rows("instances", "list") if each["instance"] == revoked)
    assert row["revoked_at"]
    assert row["revoked_because"] == "phone stolen"
    refused = served.json("lab", "request", "rkp-strongbox-android", "/patients.json", code=1)
    assert refused["reasons"] == ["instance.revoked"]
    rows = served.rows("instances", "invitations")
    states = {row["because"]: row["instance"] for row in rows if len(row["because"].split()) == 1}
    spent = served.facts["facts"]["invitation_spent"]
    assert states.keys() == {"spent", "waiting", "cancelled"}
    assert states["spent"]
    assert spent["code"] not in served.run("instances", "invitations", "--json").stdout
    again = served.run("drill", "enrol", "--app", "clinic-ios", "-o", "b.json", given=spent["code"])
    assert again.returncode == 1


def test_keys_rotate(served: Taken) -> None:
    """The keys that signed before are known, and the prepared one takes over without a failed request."""
    before = {row["kid"] for row in served.facts["facts"]["keys"] if row["state"] != "retired"}
    assert before & {row["kid"] for row in served.rows("keys", "list")}
    for purpose in ("tokens", "gates"):
        assert served.run("keys", "rotate", "--purpose", purpose).returncode == 0
        row = served.json("lab", "request", "genuine-iphone", "/records/1")
        assert row["status"] == 200


def test_the_audit_trail_goes_on(served: Taken) -> None:
    """Every entry of before is there as it was, and new ones follow without a gap."""
    before = served.directory.with_name("before")
    if not before.exists():
        unpacked(served.facts["version"], before)
    served.run("instances", "cancel", served.facts["facts"]["invitation_waiting"]["id"])
    old, new = entries(before / ".watchword"), entries(served.state)
    assert old
    assert new[: len(old)] == old
    assert [row[0] for row in new] == list(range(1, len(new) + 1))


def test_secrets_and_canaries_are_known(served: Taken) -> None:
    """Values open under the master key and reach the gate; a planted key and its use are known."""
    rows = {row["name"]: row for row in served.rows("secrets", "list")}
    assert rows.keys() == OLD_VALUES.keys()
    assert max(each["version"] for each in rows["maps"]["versions"]) == len(
        (OLD_VALUES["maps"], NEW_VALUE)
    )
    gates = served.state / "gates"
    bundle = GateBundleFile(gates / "clinic.jws", gates / "signer.jwk", api="clinic").bundle
    assert NEW_VALUE in {each.value.text for each in bundle.injected.values()}
    (canary,) = served.rows("secrets", "canary", "list")
    assert canary["name"] == "old-api-key"
    alarms = {row["canary"] for row in served.rows("secrets", "canary", "alarms")}
    assert "old-api-key" in alarms


def test_refusals_that_engines_told_are_explained(served: Taken) -> None:
    """What was read from an engine's log is found by its reference, and counted."""
    told = served.json("explain", "13f2c53e-541d-47ae-a489-000000000000")
    assert "token.expired" in json.dumps(told)
    assert "token.expired" in served.run("metrics").stdout


def test_pins_are_handed_out_and_verify(served: Taken) -> None:
    """The service hands out the set that was published; workspace, log and an app's own copy agree with it."""
    workspace = PinWorkspace(served.directory / "pins")
    (version,) = workspace.set_versions("clinic-android")
    signed = workspace.read_set("clinic-android", version)
    listen = next(line for line in served.config.read_text().splitlines() if "listen:" in line)
    answer = httpx.get(f"http://{listen.split()[-1]}/v1/pins/clinic-android")
    assert (answer.status_code, answer.content) == (200, signed)
    roots = read_roots(workspace.read_roots(1), None)
    assert read_set(signed, roots).version == version
    kept = FilePinStore(served.directory / "app-pins.json").load()
    assert kept is not None
    assert kept.signed == signed
    assert [step["action"] for step in served.rows("pins", "log")] == [
        "init",
        "root",
        "publish",
        "release",
    ]
    assert served.json("pins", "show")["published"]["clinic-android"]["version"] == version
    seen = ("--resolve", "api.clinic.example=127.0.0.1:9")
    assert served.run("pins", "publish", "--dry-run", *seen).returncode == 0


def test_documents_of_before_are_read(served: Taken) -> None:
    """What commands wrote as JSON, a later version compares, counts and replays."""
    assert served.run("plan", "diff", "plan.json", "plan.json").returncode == 0
    assert served.run("plan", "--since", "plan.json").returncode == 0
    assert served.run("scan", "diff", "scan.json", "scan.json").returncode == 0
    assert served.run("scan", "baseline", "scan.json", "-o", "again.json").returncode == 0
    known = json.loads((served.directory / "baseline.json").read_text())
    assert json.loads((served.directory / "again.json").read_text()) == known
    rows = served.rows("observe", "list")
    assert rows
    assert all(row["verified"] for row in rows)
    assert served.json("plan")["unreadable"] == 0
    replayed = served.rows("verify", "replay", ".watchword/records")
    assert replayed
    assert all(row["same"] for row in replayed)
    assert (
        served.run(
            "policy", "diff", "balanced", "balanced", "--records", ".watchword/records"
        ).returncode
        == 0
    )
    document = json.loads((served.directory / "openbao-secret.json").read_text())
    assert from_document(document, "maps").versions[0].value is not None


def test_a_test_instance_goes_on(served: Taken) -> None:
    """Its keys are kept in a file of the drill's, and it renews; once it has ended, it is told so."""
    done = served.run(
        "drill", "--instance", "instance.json", "--only", "token-alone", "--genuine", "2"
    )
    assert "STOPPED  token-alone" in done.stdout or "instance.expired" in done.stdout + done.stderr


def test_what_gates_keep_is_known(left: Taken) -> None:
    """A narrowed canary stays narrowed, quotas go on, the copy of the status list counts, and a bundle elsewhere is believed."""
    gates = left.state / "gates"
    (rollout,) = RolloutStateFile(gates / "clinic.canary").load().values()
    assert rollout.share == NARROWED
    QuotaFile(gates / "clinic.quotas").close()
    saved = read_saved(left.state / "status-list.json")
    assert saved is not None
    assert SERIAL in saved.entries
    edge = left.directory / "edge"
    assert (
        GateBundleFile(edge / "clinic.jws", edge / "signer.jwk", api="clinic").bundle.policy.api
        == "clinic"
    )


def test_a_token_that_is_out_stays_valid(left: Taken) -> None:
    """A gate of today lets the last token of before pass at the time of its issue; a changed one it refuses."""
    (held,) = _phone(left.state)["tokens"].values()
    gates = left.state / "gates"
    state = GateBundleFile(gates / "clinic.jws", gates / "signer.jwk", api="clinic")
    gate = Gate(state, memory=MemoryReplayStore(), entropy=SystemEntropy())
    claims = json.loads(base64url.decode(held["token"].split(".")[1]))

    def passes(token: str) -> bool:
        headers = [(b"host", b"127.0.0.1"), (b"watchword-token", token.encode())]
        return gate.decide(RequestFacts("GET", b"/patients.json", headers), claims["iat"] + 1).allow

    assert passes(held["token"])
    assert not passes(held["token"][:-4] + "AAAA")


def test_a_copy_from_before_is_gone_back_to(
    left: Taken, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """After an update was taken back, the service goes on from the copy, and carries out again what was revoked since."""
    copy = tmp_path_factory.mktemp("copy") / "state"
    shutil.copytree(left.state, copy)
    known = left.facts["facts"]["instances"]
    victim = next(each for each, row in known.items() if row["app"] == "clinic-ios")
    with running(left.config) as (_, process):
        assert left.run("keys", "rotate").returncode == 0
        assert (
            left.run("instances", "revoke", victim, "--because", "after the update").returncode == 0
        )
        process.send_signal(signal.SIGTERM)
        process.wait(patience(30))
    journal = (left.state / "revocations.jsonl").read_bytes()
    shutil.rmtree(left.state)
    shutil.copytree(copy, left.state)
    (left.state / "store-mark.json").unlink()
    (left.state / "revocations.jsonl").write_bytes(journal)
    with running(left.config):
        found = {row["instance"]: row for row in left.rows("instances", "list")}
        assert found[victim]["revoked_because"] == "after the update"
        assert found.keys() >= known.keys()
        row = left.json("lab", "request", "genuine-android", "/patients.json")
        assert row["status"] == 200
        assert row["instance"] in known


def _number(name: str) -> Callable[[Path], None]:
    """Return what raises the number of a JSON file's format."""

    def raised(path: Path) -> None:
        members = json.loads(path.read_bytes())
        value = members.get(name, 1)
        members[name] = value[:-1] + "99" if isinstance(value, str) else 99
        path.write_text(json.dumps(members), encoding="utf-8")

    return raised


def _line(path: Path) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write('{"v": 99, "instance": "x"}\n')


def _tables(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


START: Final = ("up",)
PHONE: Final = "lab/phones/genuine-iphone.clinic-ios.clinic/phone.json"
NEWER: Final[list[tuple[str, Callable[[Path], None], tuple[str, ...], int]]] = [
    (".watchword/watchword.db", _tables, START, 1),
    (".watchword/keyring.json", _number("v"), START, 1),
    (".watchword/secrets.json", _number("v"), START, 1),
    (".watchword/store-mark.json", _number("v"), START, 1),
    (".watchword/revocations.jsonl", _line, START, 1),
    (".watchword/gates/clinic.canary", _number("v"), START, 1),
    (".watchword/gates/clinic.quotas", _tables, START, 1),
    (".watchword/gates/clinic.replay", _tables, START, 3),
    (".watchword/gates/usage.sqlite", _tables, START, 3),
    (".watchword/canaries.json", _number("v"), START, 1),
    (
        ".watchword/engine-refusals.db",
        _tables,
        ("explain", "13f2c53e-541d-47ae-a489-000000000000"),
        1,
    ),
    (f".watchword/{PHONE}", _number("v"), ("lab", "request", "genuine-iphone", "/"), 1),
    ("instance.json", _number("v"), ("drill", "--instance", "instance.json"), 2),
    ("plan.json", _number("schema"), ("plan", "diff", "plan.json", "plan.json"), 2),
    ("scan.json", _number("v"), ("scan", "diff", "scan.json", "scan.json"), 2),
    ("baseline.json", _number("v"), ("scan", "scan.json", "--baseline", "baseline.json"), 2),
]


@pytest.mark.parametrize(
    ("name", "raise_number", "words", "code"), NEWER, ids=[each[0] for each in NEWER]
)
def test_what_a_newer_version_wrote_is_refused(
    left: Taken, name: str, raise_number: Callable[[Path], None], words: tuple[str, ...], code: int
) -> None:
    """One sentence names the file, the number that it has and the one that is known, and what to do; it is left as it is."""
    path = left.directory / name
    raise_number(path)
    kept = (path, left.state / "watchword.db", left.state / "keyring.json")
    before = [each.read_bytes() for each in kept]
    done = subprocess.run(
        [*WATCHWORD, "-c", left.config.name, *words],
        cwd=left.directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(10),
    )
    # A start writes log lines first, of JSON.
    lines = [line for line in done.stderr.strip().splitlines() if not line.startswith("{")]
    said = " ".join(" ".join(lines).split())
    assert done.returncode == code, said
    assert path.name in said
    assert "99" in said
    assert "newer Watchword" in said
    assert "Traceback" not in said
    assert len(lines) <= MOST_LINES, done.stderr
    assert [each.read_bytes() for each in kept] == before


def test_alarms_of_a_newer_version_are_not_read(left: Taken) -> None:
    """Nor are others added to them; the log of the gate tells both."""
    path = left.state / "gates" / "alarms.sqlite"
    _tables(path)
    before = path.read_bytes()
    with pytest.raises(OtherFormatError, match="got format 99, expected 0: a newer Watchword"):
        HoneytokenAlarmFile(path).recent()
    assert path.read_bytes() == before
