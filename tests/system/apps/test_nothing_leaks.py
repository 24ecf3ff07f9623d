"""Plant marked secrets in a running deployment, have it do all it does, kill it, and look for them in everything it put out.

What is meant to hold one is named here, file by file: :data:`MEANT`.
"""

import base64
import contextlib
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.machine import patience
from tests.system.apps.leak_search import Find, files_below, finds
from tests.unit.apps.drill.keys_stage import written
from tests.unit.apps.keyed_party import KeyedParty, keyed_party
from tests.unit.apps.service_process import WATCHWORD, upstream

from watchword.adapters.documents import FileDocument
from watchword.adapters.drill_wire import resolve
from watchword.adapters.gate_bundle.file import GateBundleFile
from watchword.adapters.keyring.file import KeyRing
from watchword.apps.compose.gates import system_ports
from watchword.apps.drill.harness import Targets, open_harness
from watchword.apps.drill.run_plan import urls_of
from watchword.apps.settings.load import load_settings
from watchword.broker.interface import SecretRecord, SecretValue, SecretVersion, StoredSecret
from watchword.drill.third_party_keys import as_genuine, at, heard
from watchword.reasons import WatchwordError

MAPS = "AIzaSyMarkedMapsKey7Qw2Er4Ty6Ui8Op0As3Df"
PLACES = "pl_live_MarkedPlacesKey/5Gh+7Jk=9Zx1Cv3Bn"
PUSH = "MarkedPushKey\"with'quotes<and>&escapes\\9Mn"
ROTATED = "AIzaSyMarkedSecondMapsKey6Yt5Re4Wq3As2Dz"
REFUSED = "MarkedValueThatIsRefused\x07BecauseOfItsBell"
MASTER = hashlib.sha256(b"the marked master key").digest()
"""The master key: 32 bytes, which stand in the file in base64url."""

MEANT = {
    # The operator's own key, where he put it.
    "master.key": {"master key"},
    # The service's keys, for its user alone.
    "state/keyring.json": {"gate secret", "challenge key"},
    # What gates must hold, signed, for the service's user alone (docs/gate.md).
    "state/gates/clinic.jws": {"rotated maps key", "places key", "gate secret", "key of canaries"},
    "state/gates/clinic.chain": {
        "rotated maps key",
        "places key",
        "gate secret",
        "key of canaries",
    },
    # By what canaries are recognised; of the canaries themselves nothing.
    "state/canaries.json": {"key of canaries"},
}
"""By file, which secrets it holds because that is what it's for; every other file holds none."""

ANSWERS = ("ok", "fail", "leak", "leak-header", "redirect", "drop", "malformed", "crash")
"""What the third party does, by the last segment of the path."""

PLAN = """\
plan:
  observers:
    drill: {key: observer.jwk}
  assets:
    orders: {kind: data, impact: 4, because: what everybody bought, lives_in: [backend]}
"""


@dataclass
class Yard:
    """Hold a running deployment and all that it and its commands put out.

    :ivar outputs: by place.
    :ivar secrets: by name, what must stand in none of them.
    """

    file: Path
    process: subprocess.Popen[bytes]
    third: KeyedParty
    outputs: list[tuple[str, bytes]] = field(default_factory=list)
    secrets: dict[str, bytes] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Return where the API's proxy is."""
        return f"http://{load_settings(self.file).apis['clinic'].listen}"

    def call(self, *arguments: str, given: bytes = b"", fine: tuple[int, ...] = (0,)) -> str:
        """Run a command; keep what it prints, and return what is on standard output."""
        done = subprocess.run(
            [*WATCHWORD, "-c", str(self.file), *arguments],
            input=given,
            capture_output=True,
            timeout=patience(120),
            check=False,
            cwd=self.file.parent,
        )
        place = "watchword " + " ".join(arguments[:3])
        assert done.returncode in fine, (place, done.returncode, done.stderr[-600:])
        self.outputs += [(f"{place}: stdout", done.stdout), (f"{place}: stderr", done.stderr)]
        return done.stdout.decode()

    def send(self, method: str, target: str, headers: dict[str, str]) -> httpx.Response:
        """Ask as a script does; keep the answer."""
        answer = httpx.request(method, self.url + target, headers=headers)
        told = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
        self.outputs.append((f"{method} {target}", told.encode() + b"\n" + answer.content))
        return answer

    def raw(self, data: bytes) -> None:
        """Send bytes that may be no request."""
        where = load_settings(self.file).apis["clinic"].listen
        assert where is not None
        with socket.create_connection((where.host, where.port), 5) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            with contextlib.suppress(OSError):
                while chunk := connection.recv(65536):
                    answer += chunk
        self.outputs.append((f"raw {data[:20]!r}", answer))


class Watching(threading.Thread):
    """Read command line and environment of every process of a deployment, over and over.

    Those of others, such as a test beside this one or a developer's search for a marked value, say nothing of it.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(daemon=True)
        self._directory = directory
        self.seen: dict[str, bytes] = {}
        self._over = threading.Event()

    def run(self) -> None:
        """Look until told to stop; what a process says of itself is kept once."""
        own = os.getpid()
        while not self._over.wait(0.1):
            for entry in Path("/proc").iterdir():
                if not entry.name.isdigit() or int(entry.name) == own:
                    continue
                with contextlib.suppress(OSError):
                    told = (entry / "cmdline").read_bytes()
                    if b"watchword" in told and (entry / "cwd").readlink() == self._directory:
                        self.seen[f"{entry.name} {hash(told)}"] = (
                            told + (entry / "environ").read_bytes()
                        )

    def stop(self) -> list[tuple[str, bytes]]:
        """Stop; return what was seen."""
        self._over.set()
        self.join()
        return [(f"/proc/{name.partition(' ')[0]}", told) for name, told in self.seen.items()]


@contextlib.contextmanager
def yard(directory: Path) -> Iterator[Yard]:
    """Run a deployment that holds marked secrets, with every noise it can make going into files."""
    master = base64.urlsafe_b64encode(MASTER).rstrip(b"=")
    (directory / "master.key").write_bytes(master + b"\n")
    (directory / "master.key").chmod(0o600)
    keys = {"x-maps-key": {MAPS, ROTATED}, "x-places-key": {PLACES}}
    with keyed_party(directory, keys) as third, upstream() as port:
        file = written(directory, third, port)
        text = file.read_text("utf-8").replace(
            "secrets:\n", "secrets:\n  master_key: {file: master.key}\n", 1
        )
        file.write_text(text + PLAN, "utf-8")
        subprocess.run(
            [*WATCHWORD, "-c", str(file), "observe", "keygen", "-o", "observer.pem"],
            cwd=directory,
            check=True,
            capture_output=True,
        )
        out, errors = directory / "up.out", directory / "up.err"
        with out.open("wb") as stdout, errors.open("wb") as stderr:
            process = subprocess.Popen(
                [*WATCHWORD, "-c", str(file), "up", "--json"],
                stdout=stdout,
                stderr=stderr,
                cwd=directory,
                # A crash then tells where each thread was, which is all that a report may hold.
                env={"PATH": os.defpath, "PYTHONFAULTHANDLER": "1", "PYTHONUNBUFFERED": "1"},
            )
        made = Yard(file, process, third)
        try:
            _until(lambda: out.stat().st_size > 0, process)
            yield made
        finally:
            process.kill()
            process.wait()


def _until(holds: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    for _ in range(400):
        if holds():
            return
        assert process.poll() is None
        threading.Event().wait(0.05)
    raise AssertionError("it didn't come")


def keep_secrets(place: Yard) -> None:
    """Hand over the keys, also such as are refused, and note what else is secret here."""
    for name, value in (("maps", MAPS), ("places", PLACES), ("push", PUSH)):
        place.call("secrets", "add", name, given=f"{value}\n".encode())
    place.call("secrets", "add", "maps", given=MAPS.encode(), fine=(1,))
    place.call("secrets", "add", "nobodys", given=MAPS.encode(), fine=(1,))
    place.call("secrets", "rotate", "maps", given=REFUSED.encode(), fine=(1, 2))
    canary = place.call("secrets", "canary", "add", "old-key", "--like", "generic").strip()
    # Shown once, to who planted it: the one place where it may stand.
    place.outputs = [
        each for each in place.outputs if not each[0].startswith("watchword secrets canary add")
    ]
    settings = load_settings(place.file)
    clock, entropy = system_ports()
    ring = KeyRing(
        FileDocument(settings.service.keyring),
        environment=settings.environment,
        grace=330,
        now=clock.timestamp(),
        entropy=entropy,
    )
    place.secrets = {
        "maps key": MAPS.encode(),
        "places key": PLACES.encode(),
        "push key": PUSH.encode(),
        "rotated maps key": ROTATED.encode(),
        "refused value": REFUSED.encode(),
        "canary": canary.encode(),
        "master key": MASTER,
        "gate secret": ring.gate_secret("https://api.clinic.example").secret,
        "challenge key": ring.ring.challenge_key,
    }
    state = GateBundleFile(
        settings.service.gate_bundle("clinic"), settings.service.bundle_key, api="clinic"
    )
    watch = state.canaries
    assert watch is not None
    place.secrets["key of canaries"] = watch.key
    place.outputs += [
        (f"repr of {type(each).__name__}", repr(each).encode() + str(each).encode())
        for each in (settings, settings.secrets, ring, ring.ring, state, state.bundle, watch)
    ]


def make_traffic(place: Yard) -> str:
    """Have it do all it does; return the reference of a refusal."""
    ask_as_phones(place)
    place.call("lab", "request", "genuine-iphone", "/maps/geocode/leak", "--json", fine=(1,))
    place.call("lab", "request", "unlocked-android", "/v1/patients/7", fine=(1,))
    canary = place.secrets["canary"].decode()
    refused = place.send("GET", "/maps/geocode/x", {"x-api-key": canary})
    place.send("GET", "/v1/patients/7?q=1", {"authorization": f"Bearer {canary}"})
    place.send("GET", "/maps/geocode/x", {"watchword-token": "no.token.at-all"})
    place.send("TRACE", "/maps/geocode/x", {})
    place.raw(b"GET /maps/geocode/x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
    place.raw(b"\x16\x03\x01\x02\x00garbage\r\n\r\n")
    place.call("secrets", "rotate", "maps", given=ROTATED.encode())
    ask_as_phones(place)
    return str(refused.json()["ref"])


def ask_as_phones(place: Yard) -> None:
    """Ask the API and the third party as a genuine phone does, whatever comes back."""
    settings = load_settings(place.file)
    api, ports = settings.apis["clinic"], system_ports()
    urls = urls_of(settings, api, None)
    targets = Targets({part: resolve(url) for part, url in urls.items()}, loopback=True)
    with open_harness(settings, api, targets, *ports) as stage:
        context = stage.context
        by_target = {each.target.partition("?")[0]: each for each in context.samples}
        maps, places = by_target["/maps/geocode/homburg"], by_target["/where/places/1"]
        calls = [(maps, at(maps, f"/maps/geocode/{name}")) for name in ANSWERS]
        calls += [(places, at(places, f"/where/places/{name}")) for name in ANSWERS]
        calls += [(maps, at(maps, "/maps/account")), (maps, at(maps, "/maps/geocode/%zz"))]
        calls += [(each, each.call()) for each in context.samples]
        for sample, call in calls:
            try:
                answer = context.wire.send(as_genuine(context, sample, call))
            except WatchwordError as error:
                place.outputs.append((call.target, str(error).encode()))
                continue
            place.outputs.append((call.target, heard(answer)))


def run_commands(place: Yard, reference: str) -> None:
    """Run every command that shows something of a deployment."""
    for arguments in (
        ("secrets", "list", "--json"),
        ("secrets", "show-meta", "maps"),
        ("secrets", "show-meta", "push", "--json"),
        ("secrets", "who-uses", "maps", "--json"),
        ("secrets", "canary", "list", "--json"),
        ("secrets", "canary", "alarms", "--json"),
        ("secrets", "revoke", "maps", "--version", "1", "--because", "the test"),
        ("metrics",),
        ("explain", reference, "--json"),
        ("instances", "list", "--json"),
        ("keys", "list", "--json"),
        ("check", "--json"),
        ("plan", "--html", "plan.html", "--json"),
        ("observe", "list", "--json"),
    ):
        place.call(*arguments, fine=(0, 1))
    place.call(
        *("drill", "--only", "PR-B04", "--only", "PR-B23", "--sign", "observer.pem", "--json"),
        *("--html", "drill.html", "--junit", "drill.xml", "--sarif", "drill.sarif"),
        fine=(0, 1),
    )
    place.call("observe", "export", fine=(0, 1))


def test_no_secret_stands_in_anything_that_a_deployment_puts_out(tmp_path: Path) -> None:
    """Answers, logs, metrics, reports, observations, the state directory, process lists, and a crash."""
    watching = Watching(tmp_path)
    watching.start()
    with yard(tmp_path) as place:
        keep_secrets(place)
        reference = make_traffic(place)
        run_commands(place, reference)
        # It does what it does: else nothing of it would be in what was put out.
        assert {"x-maps-key", "x-places-key"} <= {
            name for _, _, headers in place.third.asked for name in headers
        }
        running = list(files_below(tmp_path))
        assert len(running) > 20
        place.process.send_signal(signal.SIGABRT)
        assert place.process.wait(20) == -signal.SIGABRT
        crash = (tmp_path / "up.err").read_bytes()
        assert b"Fatal Python error: Aborted" in crash
        assert b"most recent call first" in crash
        outputs = place.outputs + running + list(files_below(tmp_path))
        outputs += watching.stop()
        assert len([name for name, _ in outputs if name.startswith("/proc/")]) > 10
        assert _unmeant(place.secrets, outputs) == []
        for each in MEANT:
            assert (tmp_path / each).stat().st_mode & 0o077 == 0
        _control(tmp_path, place.secrets)


def _unmeant(secrets: dict[str, bytes], outputs: list[tuple[str, bytes]]) -> list[Find]:
    """Return the finds that aren't where a secret is meant to be."""
    return [
        each for each in finds(secrets, outputs) if each.secret not in MEANT.get(each.place, set())
    ]


def _control(directory: Path, secrets: dict[str, bytes]) -> None:
    """Show that the search would have found each: plant them in a file of the state directory."""
    planted = directory / "state" / "planted.log"
    planted.write_bytes(b"".join(b"{" + value + b"}" for value in secrets.values()))
    found = _unmeant(secrets, list(files_below(directory)))
    assert {each.secret for each in found} == set(secrets)
    assert {each.place for each in found} == {"state/planted.log"}


def test_what_the_core_holds_shows_no_value() -> None:
    """By repr and by str, alone and in what it is part of."""
    value = SecretValue(MAPS)
    version = SecretVersion(1, value, 0)
    for each in (
        value,
        version,
        SecretRecord("maps", (version,)),
        StoredSecret(SecretRecord("maps", (version,)), 1),
    ):
        assert finds({"maps": MAPS.encode()}, [("repr", f"{each!r} {each} {each:}".encode())]) == []


WRITINGS: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda value: b"a" + value + b"b",
    "halves on two lines": lambda value: value[:15] + b"\n   " + value[15:],
    "the first half alone": lambda value: value[: len(value) // 2] + b"...",
    "the second half alone": lambda value: b"..." + value[len(value) // 2 :],
    "upper case": lambda value: value.upper(),
    "hex": lambda value: value.hex().upper().encode(),
    "base64 of more": lambda value: base64.b64encode(b"k=" + value + b"&"),
    "base64url of more": lambda value: base64.urlsafe_b64encode(b"key" + value),
    "wrapped base64": lambda value: base64.encodebytes(b"k" * 70 + value),
    "json": lambda value: json.dumps(value.decode()).encode(),
    "percent, every sign": lambda value: b"".join(b"%%%02X" % byte for byte in value),
    "python's escapes": lambda value: repr(value.decode()).encode(),
    "utf-16": lambda value: value.decode().encode("utf-16-le"),
}


@pytest.mark.parametrize("writing", WRITINGS, ids=str)
@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=32, max_size=64))
def test_the_search_finds_a_value_in_each_writing(writing: str, text: str) -> None:
    """The control of the search itself: a secret that is there is found."""
    data = b"begin" + WRITINGS[writing](text.encode()) + b"end"
    assert finds({"it": text.encode()}, [("here", data)]) != []


def test_the_search_finds_nothing_where_nothing_is() -> None:
    """Text of the same kind, and the value's first letters, are no find."""
    other = [
        ("here", f"AIzaSyAnotherKey0123456789 {MAPS[:10]} {sys.version} {re.__doc__}".encode())
    ]
    assert finds({"maps": MAPS.encode()}, other) == []
