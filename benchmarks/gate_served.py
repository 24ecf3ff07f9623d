"""Measure the middleware and forward auth on uvicorn, the same bare application open and guarded.

Each application is a process of its own (uvloop, httptools) with the gate as it is deployed: the signed
bundle read from its file, the memory store for used proofs.
"""

import asyncio
import contextlib
import itertools
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from benchmarks.gate_instances import (
    ASKED_PATH,
    ASKED_ROUTES,
    DEVICE_PATH,
    INSTANCES,
    SESSION_PATH,
    TOKEN_PATH,
    Fleet,
    request_bytes,
)
from benchmarks.gate_load import (
    SERVER_CORE,
    Load,
    Sample,
    free_port,
    medians,
    running,
    status_of,
    wait_for,
    wait_for_socket,
)
from benchmarks.report import Row
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256

from watchword.adapters.gate_bundle import GateBundleFile
from watchword.adapters.http_server import serve as serve_http
from watchword.adapters.replay import MemoryReplayStore
from watchword.adapters.system import SystemClock
from watchword.apps.gateway import WatchwordMiddleware
from watchword.apps.gateway.authz import AuthzApp
from watchword.encoding import strict_json
from watchword.gate.bundle import to_jws
from watchword.gate.service import Gate
from watchword.tokens.jose import jwk_from_public_key

ROUNDS = 7
TOKEN_GOAL, SESSION_GOAL, DEVICE_GOAL = 1.30, 1 / 8, 1.25
_COUNTS = {"session": 12_000, "device": 9_000}


async def application(_scope: Any, _receive: Any, send: Any) -> None:
    """Answer like the smallest API."""
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
    )
    await send({"type": "http.response.body", "body": b"ok"})


class RawVerification:
    """Answer after one raw ES256 verification: the floor of a device proof in this very server.

    In a loop of its own a verification is quicker, since it finds its tables in the cache.
    """

    def __init__(self) -> None:
        """Sign with as many keys as a fleet has."""
        self._algorithm = ECDSA(SHA256())
        keys = [generate_private_key(SECP256R1()) for _ in range(INSTANCES)]
        data = b"the length of a signature base".ljust(900, b".")
        signed = [(key.public_key(), key.sign(data, self._algorithm), data) for key in keys]
        self._next = itertools.cycle(signed)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Verify the next signature, and answer."""
        key, signature, data = next(self._next)
        key.verify(signature, data, self._algorithm)
        await application(scope, receive, send)


def publish(fleet: Fleet, directory: Path) -> None:
    """Write the bundle and the key that it is signed with, as the service does."""
    bundle = directory / "bundle.jws"
    bundle.write_bytes(to_jws(fleet.bundle(ASKED_ROUTES), fleet.bundle_signer))
    bundle.chmod(0o600)
    signer = directory / "signer.jwk"
    signer.write_bytes(strict_json.dumps(dict(jwk_from_public_key(fleet.bundle_signer.public))))
    signer.chmod(0o644)


def serve(role: str, directory: Path, place: str) -> None:
    """Be one of the servers: ``open``, ``raw``, ``guarded``, or /authz in the style ``envoy`` or ``forwarded``."""
    app: Any = RawVerification() if role == "raw" else application
    if role in {"guarded", "envoy", "forwarded"}:
        state = GateBundleFile(directory / "bundle.jws", directory / "signer.jwk")
        gate = Gate(state, memory=MemoryReplayStore())
        app = (
            WatchwordMiddleware(application, gate=gate)
            if role == "guarded"
            else AuthzApp(gate, style=role, clock=SystemClock())
        )
    listen(app, place)


def listen(app: Any, place: str) -> None:
    """Serve an application until the process ends, as quickly as uvicorn can.

    :param place: a port of loopback; or the path of a Unix socket, where granian serves, as it is deployed.
    """
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="warning",
        proxy_headers=False,
    )
    if place.startswith("/"):
        asyncio.run(_listen_at(app, Path(place)))
        return
    listening = socket.create_server(("127.0.0.1", int(place)), backlog=128)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(uvicorn.Server(config).serve(sockets=[listening]))


async def _listen_at(app: Any, place: Path) -> None:
    """Serve at a Unix socket as `watchword gate authz` does."""
    async with serve_http(app, uds=place):
        await asyncio.Event().wait()


@dataclass
class Served:
    """Hold a running server."""

    port: int
    pid: int


@contextlib.contextmanager
def server(role: str, directory: Path) -> Iterator[Served]:
    """Run a server on the measured core until the block ends."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.gate_served", role, str(directory), str(port)]
    with running(SERVER_CORE, command, directory / f"{role}.log") as process:
        wait_for(port)
        yield Served(port, process.pid)


@contextlib.contextmanager
def server_at(role: str, directory: Path, place: Path) -> Iterator[int]:
    """Run a server at a Unix socket, on the measured core; give its process."""
    command = [sys.executable, "-m", "benchmarks.gate_served", role, str(directory), str(place)]
    with running(SERVER_CORE, command, place.with_suffix(".log")) as process:
        wait_for_socket(place)
        yield process.pid


def check_controls(port: int, fleet: Fleet, *, prefix: str = "") -> None:
    """Hold an enforcement point to what the benchmark claims of it: good requests pass, others don't.

    :raises SystemExit: where one is answered with another status.
    """
    instance = fleet.instances[0]
    token = instance.token
    forged = f"{token.rpartition('.')[0]}.{token.rpartition('.')[2][::-1]}"
    cases = [
        ("a token", TOKEN_PATH, instance.bearer(), 200),
        ("no token", TOKEN_PATH, instance.bearer()[:-1], 401),
        (
            "a forged token",
            TOKEN_PATH,
            [*instance.bearer()[:-1], ("watchword-token", forged)],
            401,
        ),
    ]
    for kind, path in (("session", SESSION_PATH), ("device", DEVICE_PATH)):
        (proof,) = fleet.proofs(kind, 1)
        cases += [
            (f"a {kind} proof", path, proof, 200),
            (f"the same {kind} proof", path, proof, 401),
            (f"a token without its {kind} proof", path, instance.bearer(), 401),
            (f"a {kind} proof of another path", f"{path}0", fleet.proofs(kind, 1)[0], 401),
        ]
    for name, path, fields, expected in cases:
        got = status_of(port, request_bytes(prefix + path, fields))
        if got != expected:
            raise SystemExit(f"{name}: got {got}, expected {expected}")


def measure(fleet: Fleet, directory: Path, raw: float) -> list[Row]:
    """Return the rows.

    :param raw: us of one ES256 verification by ``cryptography``, measured in the same run.
    """
    publish(fleet, directory)
    load = Load(directory)
    tokens = [request_bytes(TOKEN_PATH, each.bearer()) for each in fleet.instances]
    paths = {"session": SESSION_PATH, "device": DEVICE_PATH}

    def with_token(at: Served, path: str = "") -> Sample:
        requests = [request_bytes(path, i.bearer()) for i in fleet.instances] if path else tokens
        return load.cost(at.port, [at.pid], requests, circle=True)

    def with_proof(at: Served, kind: str) -> Sample:
        requests = [request_bytes(paths[kind], f) for f in fleet.proofs(kind, _COUNTS[kind])]
        return load.cost(at.port, [at.pid], requests, circle=False)

    with (
        server("open", directory) as plain,
        server("raw", directory) as verifying,
        server("guarded", directory) as guarded,
        server("envoy", directory) as asked,
    ):
        check_controls(guarded.port, fleet)
        check_controls(asked.port, fleet, prefix="/authz")
        with_token(plain)
        with_token(guarded)
        with_token(asked, f"/authz{ASKED_PATH}")
        found, waited = medians(
            {
                "open token": lambda: with_token(plain),
                "token": lambda: with_token(guarded),
                "open session": lambda: with_proof(plain, "session"),
                "session": lambda: with_proof(guarded, "session"),
                "open device": lambda: with_proof(plain, "device"),
                "device": lambda: with_proof(guarded, "device"),
                "raw": lambda: with_proof(verifying, "device"),
                "authz": lambda: with_token(asked, f"/authz{ASKED_PATH}"),
            },
            ROUNDS,
        )
    session, device = (found[kind] - found[f"open {kind}"] for kind in ("session", "device"))
    served_raw = found["raw"] - found["open device"]
    return [
        Row.at_most_times(
            "ASGI on uvicorn: cached token, CPU us (peer: open)",
            found["token"],
            found["open token"],
            TOKEN_GOAL,
        ),
        Row(
            "ASGI on uvicorn: session proof, CPU us (peer: open)",
            found["session"],
            found["open session"],
        ),
        Row(
            "ASGI on uvicorn: device proof, CPU us (peer: open)",
            found["device"],
            found["open device"],
        ),
        Row.at_most_times(
            "  session proof, added CPU us (peer: raw ES256 verify)", session, raw, SESSION_GOAL
        ),
        Row.at_most_times(
            "  device proof, added CPU us (peer: raw ES256 verify)", device, raw, DEVICE_GOAL
        ),
        Row(
            "  session proof, added CPU us (peer: one raw verification in the same server)",
            session,
            served_raw,
        ),
        Row(
            "  device proof, added CPU us (peer: one raw verification in the same server)",
            device,
            served_raw,
        ),
        Row(
            "/authz asked directly: cached token, CPU us (peer: open app)",
            found["authz"],
            found["open token"],
        ),
        Row("  time that these servers waited for their core, %", waited * 100),
    ]


if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
