"""Start the real Envoy in front of an API that remembers what reached it, and send it raw requests."""

import contextlib
import http.client
import json
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key
from tests.machine import patience
from tests.ports import free_port
from tests.unit.gate.simulators import CLAIMS, EXPECTATION, SoftwareSigner

from watchword.adapters.system import SystemClock
from watchword.engines.envoy.generation import generate
from watchword.engines.envoy.options import START_OPTIONS, EnvoyOptions
from watchword.engines.interface import Endpoint, EngineFileKind, EngineOptions
from watchword.gate.bundle import GateBundle
from watchword.gate.interface import GatePolicy, Route
from watchword.tokens.interface import TokenClaims
from watchword.tokens.jose import SigningKey
from watchword.tokens.proofs.interface import GateSecret
from watchword.tokens.service import issue
from watchword.vocabulary import Level, Mode, Proof

ENVOY = Path(sys.executable).with_name("envoy")
PATIENCE = patience(20.0)
"""Seconds after which a wait is in vain: far more than a busy machine takes."""

TOKEN_KEY = SoftwareSigner("token-1", derive_private_key(31, SECP256R1()))
OTHER_KEY = SoftwareSigner("token-2", derive_private_key(37, SECP256R1()))
SECRET = GateSecret(0, bytes(range(32)))


def route(pattern: str, **changes: Any) -> Route:
    """Return a row of the table: enforce, software, bearer, every method."""
    return Route(
        **{
            "name": pattern,
            "pattern": pattern,
            "methods": frozenset(),
            "level": Level.SOFTWARE,
            "proof": Proof.BEARER,
            "mode": Mode.ENFORCE,
            **changes,
        }
    )


ROUTE_TABLE = (
    route("/open/**", mode=Mode.OFF),
    route("/v1/**", methods=frozenset({"GET", "POST"})),
)


def bundle_of(routes: Sequence[Route], **changes: Any) -> GateBundle:
    """Return a bundle of these routes; the policy's own fields may stand among the changes."""
    of_policy = ("rate", "replay", "binding_header", "limits", "edges", "device_for_session")
    own = {key: changes.pop(key) for key in of_policy if key in changes}
    return replace(
        GateBundle(
            generation=1,
            made_at=1,
            policy=GatePolicy("clinic", EXPECTATION, tuple(routes), **own),
            keys=(TOKEN_KEY.published(), OTHER_KEY.published()),
            secrets=(SECRET,),
            revoked=frozenset(),
            reference_key=b"r" * 32,
            verdict_key=SigningKey(derive_private_key(41, SECP256R1())),
        ),
        **changes,
    )


def claims(**changes: Any) -> TokenClaims:
    """Return claims of now; ``lives`` in seconds."""
    now = int(SystemClock().timestamp())
    lives = changes.pop("lives", 300)
    fresh = replace(
        CLAIMS, issued_at=now - 5, expires_at=now + lives, session_id="session-of-the-test"
    )
    return replace(fresh, **changes)


def token(signer: SoftwareSigner = TOKEN_KEY, **changes: Any) -> bytes:
    """Return a genuine token of now."""
    return issue(claims(**changes), signer).encode()


@dataclass
class Seen:
    """Hold a request that reached the API."""

    line: bytes
    fields: list[tuple[bytes, bytes]]
    body: bytes

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of a field, by its lower-case name."""
        return [value for field_name, value in self.fields if field_name == name]


class Api(socketserver.ThreadingTCPServer):
    """Be the API: keep every request, answer 200."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        """Listen on a free port, in a thread."""
        self.seen: list[Seen] = []
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def port(self) -> int:
        """Return where it listens."""
        return int(self.server_address[1])


class _Handler(socketserver.StreamRequestHandler):
    server: Api
    # It answers in two pieces: the second one would wait until the first was acknowledged.
    disable_nagle_algorithm = True

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            while line := self.rfile.readline():
                self._answer(line.strip())

    def _answer(self, line: bytes) -> None:
        fields = []
        while (field_line := self.rfile.readline().strip()) != b"":
            name, _, value = field_line.partition(b":")
            fields.append((name.lower(), value.strip()))
        named = dict(fields)
        body = self.rfile.read(int(named.get(b"content-length", b"0")))
        if b"transfer-encoding" in named:
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        self.server.seen.append(Seen(line, fields, body))
        self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n")
        if not line.startswith(b"HEAD "):
            self.wfile.write(b"ok")


@dataclass
class Answer:
    """Hold what a client got."""

    status: int
    head: bytes
    body: bytes
    raw_head: str = ""

    @property
    def problem(self) -> dict[str, Any]:
        """Return the problem of a refusal."""
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def slug(self) -> str:
        """Return the public class of a refusal."""
        return str(self.problem["type"]).rpartition(":")[2]


@dataclass
class Fronted:
    """Hold an engine in front of an API, as clients and whoever reads its log see it."""

    options: EnvoyOptions | EngineOptions
    api: Api

    @property
    def port(self) -> int:
        """Return where clients come in."""
        return self.options.listen.port

    def connect(self) -> socket.socket:
        """Return a connection for several requests."""
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE)

    def listens(self) -> bool:
        """Tell whether clients come in."""
        with contextlib.suppress(OSError), self.connect():
            return True
        return False

    def send(self, target: bytes = b"/v1/patients", *fields: bytes, **how: Any) -> Answer:
        """Send one request on a connection of its own; see :func:`request`."""
        return self.raw(request(target, *fields, **how))

    def raw(self, data: bytes) -> Answer:
        """Send bytes, return the first answer."""
        with self.connect() as connection:
            connection.sendall(data)
            return read_answer(connection, head=data.startswith(b"HEAD "))

    def log(self) -> list[dict[str, Any]]:
        """Return the lines of the access log, but for one that is being written."""
        lines = Path(self.options.access_log).read_text("utf-8").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def reason(self, answer: Answer) -> str:
        """Return why an answer is a refusal, by its reference; the line may come after the answer."""
        reference, found = answer.problem["ref"], list[str]()

        def is_written() -> bool:
            found.extend(str(line["reason"]) for line in self.log() if line["ref"] == reference)
            return bool(found)

        until(is_written)
        return found[0]


@dataclass
class Rig(Fronted):
    """Hold a running Envoy."""

    options: EnvoyOptions
    process: subprocess.Popen[bytes] = field(repr=False)
    addresses: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def directory(self) -> Path:
        """Return where its files are."""
        return Path(self.options.directory)

    def publish(self, bundle: GateBundle, now: float | None = None) -> None:
        """Write the files of another generation, as of now or of another instant."""
        write(self.directory, bundle, self.options, self.addresses, now)

    def admin(self, path: str) -> bytes:
        """Return what Envoy's admin endpoint says."""
        return admin(self.options.admin.socket, path)

    def stat(self, pattern: str) -> dict[str, int]:
        """Return the counters whose names match."""
        found = json.loads(self.admin(f"/stats?format=json&filter={pattern}"))
        return {each["name"]: each["value"] for each in found["stats"] if "name" in each}


def request(
    target: bytes = b"/v1/patients",
    *fields: bytes,
    method: bytes = b"GET",
    host: bytes | None = b"clinic.example",
    token: bytes | None = None,
    body: bytes = b"",
) -> bytes:
    """Return the bytes of a request."""
    lines = [method + b" " + target + b" HTTP/1.1"]
    if host is not None:
        lines.append(b"Host: " + host)
    if token is not None:
        lines.append(b"Watchword-Token: " + token)
    if body:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join([*lines, *fields, b"", body])


def read_answer(connection: socket.socket, *, head: bool = False) -> Answer:
    """Read one answer; status 0 where the connection ended without one."""
    response = http.client.HTTPResponse(connection, method="HEAD" if head else None)
    try:
        response.begin()
    except (http.client.HTTPException, ConnectionError):
        return Answer(0, b"", b"")
    try:
        fields = str(response.headers)
        return Answer(response.status, fields.lower().encode(), response.read(), fields)
    finally:
        response.close()


def write(
    directory: Path,
    bundle: GateBundle,
    options: EnvoyOptions,
    addresses: Mapping[str, Sequence[str]],
    now: float | None = None,
) -> None:
    """Write the files as the control plane does."""
    moment = SystemClock().timestamp() if now is None else now
    for file in generate(bundle, options, moment, addresses):
        new = directory / f".{file.name}.new"
        new.write_bytes(file.data)
        private = file.kind in {EngineFileKind.BULK, EngineFileKind.PRIVATE}
        new.chmod(0o600 if private else 0o644)
        new.replace(directory / file.name)


def admin(path: str, target: str) -> bytes:
    """Ask Envoy's admin endpoint on its Unix socket."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(path)
        connection.sendall(
            f"GET {target} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n".encode()
        )
        return read_answer(connection).body


def until(condition: Callable[[], bool], seconds: float = PATIENCE) -> float:
    """Wait for a condition; return how long it took.

    :param seconds: longest on an idle machine.

    :raises AssertionError: when it doesn't come true.
    """
    start = SystemClock().timestamp()
    while not condition():
        waited = SystemClock().timestamp() - start
        assert waited < seconds or waited < patience(seconds), "waited in vain"
        time.sleep(0.01)
    return SystemClock().timestamp() - start


@contextlib.contextmanager
def envoy_before_api(
    directory: Path,
    bundle: GateBundle,
    *,
    concurrency: int = 2,
    then: Callable[[], object] = lambda: None,
    addresses: Mapping[str, Sequence[str]] = MappingProxyType({}),
    now: float | None = None,
    **changes: Any,
) -> Iterator[Rig]:
    """Run Envoy in front of a new API until the block ends; ``then`` happens before it starts.

    :param now: the instant that the first files are of, in seconds since 1970; None is the real one.
    """
    api = Api()
    directory.mkdir(parents=True, exist_ok=True)
    options = EnvoyOptions(
        directory=str(directory),
        listen=Endpoint("127.0.0.1", free_port()),
        upstream=Endpoint("127.0.0.1", api.port),
        admin=Endpoint(socket=str(directory / "admin.sock")),
        access_log=str(directory / "access.log"),
        replay_directory=str(directory),
    )
    options = replace(options, **changes)
    write(directory, bundle, options, addresses, now)
    then()
    with (directory / "envoy.log").open("wb") as log:
        process = subprocess.Popen(
            [
                str(ENVOY),
                *("-c", str(directory / "bootstrap.yaml")),
                *START_OPTIONS,
                *("--concurrency", str(concurrency)),
                *("--file-flush-interval-msec", "50"),
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        rig = Rig(options, api, process, addresses)
        _wait_until_ready(rig)
        yield rig
    finally:
        process.kill()
        process.wait()
        api.shutdown()
        api.server_close()


def _wait_until_ready(rig: Rig) -> None:
    def ready() -> bool:
        assert rig.process.poll() is None, (rig.directory / "envoy.log").read_text()[-3000:]
        with contextlib.suppress(OSError):
            return b"LIVE" in rig.admin("/ready")
        return False

    until(ready, 60)
