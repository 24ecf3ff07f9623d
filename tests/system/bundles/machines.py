"""Run a service and a gate's machine beside it as operators do, each process with the code of a version that is named."""

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.machine import patience
from tests.ports import free_port
from tests.system.bundles.releases import Release
from tests.unit.adapters.authority import Authority
from tests.unit.conformance.processes import listens

from watchword.adapters.system import SystemClock
from watchword.apps.lab.phones import authorities_of, build_phone, new_phone
from watchword.apps.service.client import OperatorClient
from watchword.apps.settings.load import load_settings
from watchword.client import WatchwordClient

PATIENCE_SECONDS: Final = patience(60)
AUDIENCE: Final = "https://api.clinic.example"
GATE: Final = "edge.example"
REFUSED: Final = frozenset({401, 403})

_CONFIGURATION: Final = """\
version: 1
environment: lab
service: {{issuer: "http://127.0.0.1:{service}", listen: "127.0.0.1:{service}", state: {state}}}
{gates}
apps:
  clinic-android:
    platform: android
    package: com.example.clinic
    signing_digests: ['{digest}']
apis:
  clinic:
    audience: {audience}
    apps: [clinic-android]
    listen: 127.0.0.1:{listen}
    upstream: http://127.0.0.1:{upstream}
    {more}
    routes:
      - {{path: /**, level: software, proof: bearer, mode: enforce}}
"""
_OTHER_API: Final = """\
  ledger:
    audience: https://api.ledger.example
    apps: [clinic-android]
    routes:
      - {path: /**, level: software, proof: bearer, mode: enforce}
"""


@contextmanager
def short_directory() -> Iterator[Path]:
    """Give a directory for both machines whose name leaves room for sockets below it: 0.2.0 names HAProxy's by whole paths."""
    with tempfile.TemporaryDirectory(prefix="ww-") as directory:
        for name in ("service", "gate"):
            (Path(directory) / name).mkdir(0o700)
        yield Path(directory)


def until(what: Callable[[], bool], said: Callable[[], str] | str) -> None:
    """Wait for a condition; say what the matter is where it never comes."""
    deadline = SystemClock().timestamp() + PATIENCE_SECONDS
    while not what():
        assert SystemClock().timestamp() < deadline, said if isinstance(said, str) else said()
        time.sleep(0.02)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process as an operator does, and whatever it started."""
    process.terminate()
    process.send_signal(signal.SIGCONT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(PATIENCE_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


Start = Callable[[int], subprocess.Popen[bytes]]
"""Starts a process whose output goes to a descriptor."""


@dataclass
class Machine:
    """Hold the processes of one machine, each under a name and with a log of its own."""

    directory: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _starts: dict[str, Start] = field(default_factory=dict)

    def start(self, name: str, start: Start) -> None:
        """Start a process whose output goes to its log, through us: its own disk may be full."""
        self._starts[name] = start
        readable, writable = os.pipe()
        self._log(name).touch()
        self.running[name] = start(writable)
        os.close(writable)
        threading.Thread(target=self._keep, args=(name, readable), daemon=True).start()

    def _keep(self, name: str, descriptor: int) -> None:
        with os.fdopen(descriptor, "rb", buffering=0) as said, self._log(name).open("ab", 0) as log:
            while data := said.read(65536):
                log.write(data)

    def start_again(self, name: str) -> None:
        """Start a process that was started before, as it was."""
        if name in self.running:
            self.stop(name)
        self.start(name, self._starts[name])

    def stop(self, name: str) -> None:
        """End a process."""
        end(self.running.pop(name))

    def kill(self, name: str) -> None:
        """End a process, and whatever it started, in the middle of whatever they do."""
        process = self.running.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def said(self, name: str, since: int = 0) -> str:
        """Return the end of what a process printed.

        :param since: how many bytes it had printed when somebody began to listen (:meth:`printed`).
        """
        return self._log(name).read_bytes()[since:][-3000:].decode("utf-8", "replace")

    def printed(self, name: str) -> int:
        """Return how many bytes a process has printed."""
        return self._log(name).stat().st_size

    def _log(self, name: str) -> Path:
        return self.directory / f"{name}.log"

    def stop_all(self) -> None:
        """End all of them."""
        for name in list(self.running):
            self.stop(name)


class ServiceMachine(Machine):
    """Be the machine of the service: it lets one gate fetch the bundle of one API."""

    def __init__(self, directory: Path, upstream: int) -> None:
        """Write its configuration and certificates; nothing runs yet."""
        super().__init__(directory)
        self.upstream = upstream
        self.authority = Authority(directory, "authority")
        certificate, key = self.authority.issue("service.example", server=True)
        self.gates_port = free_port()
        self.file = directory / "watchword.yaml"
        gates = (
            f'gates: {{listen: "127.0.0.1:{self.gates_port}", certificate: {certificate}, key: {key}, '
            f"client_ca: {self.authority.file}, clients: {{{GATE}: [clinic]}}}}"
        )
        text = configuration(directory / "state", upstream, gates=gates) + _OTHER_API
        self.file.write_text(text, "utf-8")
        self.settings = load_settings(self.file)

    @property
    def gates(self) -> Path:
        """Return the directory of the bundles."""
        return self.settings.service.gates

    def up(self, release: Release) -> None:
        """Start the service, in place of the one that runs."""
        if "service" in self.running:
            self.stop("service")
        self.start("service", lambda log: release.start(self.file, "up", "--json", output=log))
        until(self._answers, lambda: self.said("service"))

    def _answers(self) -> bool:
        assert self.running["service"].poll() is None, self.said("service")
        operator = self.settings.service.operator_socket
        return listens(self.gates_port) and operator.exists()

    def phone(self) -> WatchwordClient:
        """Return the client of a genuine phone that nobody has seen before."""
        app = self.settings.apps["clinic-android"]
        device = build_phone(
            authorities_of(self.settings), "genuine-android", app, new_phone("genuine-android")
        )
        return WatchwordClient(
            f"http://{self.settings.service.listen}",
            app.id,
            device,
            [AUDIENCE],
            clock=SystemClock().timestamp,
            jitter=lambda: 0.5,
            issuer=self.settings.service.issuer,
        )

    def token(self) -> tuple[str, str]:
        """Enrol a phone; return its instance and its token."""
        with self.phone() as client:
            token = client.token(AUDIENCE)
            assert client.instance is not None
            return client.instance, token

    def revoke(self, instance: str) -> None:
        """Revoke an instance as the operator does."""
        with OperatorClient(self.settings.service.operator_socket) as operator:
            operator.post(f"/v1/instances/{instance}/revoke", {"because": "phone stolen"})


class GateMachine(Machine):
    """Be the machine of gates: ``gate pull`` keeps the files, and enforcement points read them."""

    def __init__(self, directory: Path, service: ServiceMachine) -> None:
        """Take the service's public key along; nothing runs yet."""
        super().__init__(directory)
        self.service = service
        self.state = directory / "state"
        self.bundle.parent.mkdir(0o700, parents=True)
        self.state.chmod(0o700)
        self.signer.write_bytes((service.gates / "signer.jwk").read_bytes())
        self.signer.chmod(0o600)
        self.certificate, self.key = service.authority.issue(GATE)
        self.file = directory / "gates.yaml"
        self.file.write_text(configuration(self.state, service.upstream), "utf-8")

    @property
    def bundle(self) -> Path:
        """Return the file that is kept up to date; the chain stands beside it."""
        return self.state / "gates" / "clinic.jws"

    @property
    def chain(self) -> Path:
        """Return the second version of it."""
        return self.bundle.with_suffix(".chain")

    @property
    def signer(self) -> Path:
        """Return the service's public key."""
        return self.bundle.with_name("signer.jwk")

    def pull(self, release: Release, *more: str) -> None:
        """Start what fetches, in place of the one that runs."""
        if "pull" in self.running:
            self.stop("pull")
        options = {
            "--url": f"https://127.0.0.1:{self.service.gates_port}",
            "--api": "clinic",
            "--certificate": self.certificate,
            "--key": self.key,
            "--ca": self.service.authority.file,
            "-o": self.bundle,
            "--signer": self.signer,
        }
        words = [str(part) for option in options.items() for part in option]
        self.start(
            "pull", lambda log: release.start(self.file, "gate", "pull", *words, *more, output=log)
        )
        until(self.bundle.exists, lambda: self.said("pull"))


def configuration(state: Path, upstream: int, *, gates: str = "", more: str = "") -> str:
    """Return a ``watchword.yaml`` with one API."""
    return _CONFIGURATION.format(
        service=free_port(),
        listen=free_port(),
        state=state,
        gates=gates,
        digest="4f" * 32,
        audience=AUDIENCE,
        upstream=upstream,
        more=more,
    )
