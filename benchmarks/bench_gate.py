"""Measure what the gate costs a request: CPU of a served application, open and guarded.

One server process (granian, a bare ASGI application) serves the same application at two ports, open
and behind the middleware with every check on and a token that it has met before.  A client on
the other core sends the same requests to both in turn, in short rounds, so that a change in the
machine's mood meets both.  Counted is the server's processor time, user and system.

Run: ``python -m benchmarks.bench_gate``
"""

import asyncio
import os
import resource
import socket
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

from benchmarks.report import Row, write_report
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from watchword.adapters.http_server import serve
from watchword.apps.middleware import WatchwordMiddleware
from watchword.gate.interface import GatePolicy, RequestFacts, Route
from watchword.gate.service import Gate
from watchword.ports import VerificationKey
from watchword.tokens.interface import TokenClaims, TokenExpectation
from watchword.tokens.jwk import jwk_from_public_key
from watchword.tokens.service import issue
from watchword.vocabulary import Environment, Level, Mode, Proof

ROUNDS = 15
REQUESTS_A_ROUND = 4000
CONNECTIONS = 16
GOAL = 1.30
ISSUER, AUDIENCE, PATH = "https://watchword.example", "https://clinic.example", "/v1/patients/17"


class BenchState:
    """Sign, and know what was signed with; implements the ports Signer and GateState."""

    kid = "bench"
    generation = 1
    reference_key = bytes(32)

    def __init__(self) -> None:
        """Make a key."""
        self._private = generate_private_key(SECP256R1())
        self._published = VerificationKey(self.kid, self._private.public_key())

    def sign(self, message: bytes) -> bytes:
        """Return the ES256 signature."""
        r, s = decode_dss_signature(self._private.sign(message, ECDSA(SHA256())))
        return r.to_bytes(32) + s.to_bytes(32)

    def find(self, kid: str) -> VerificationKey | None:
        """Return the one key."""
        return self._published if kid == self.kid else None

    def is_revoked(self, _subject: str) -> bool:
        """Tell that nobody is."""
        return False


def gate_and_claims() -> tuple[Gate, BenchState, TokenClaims]:
    """Return a gate with a table of a few routes, and claims that are good now."""
    state = BenchState()
    routes = tuple(
        Route(pattern, pattern, frozenset(methods), Level.HARDWARE, Proof.BEARER, mode)
        for pattern, methods, mode in (
            ("/health", ["GET"], Mode.OFF),
            ("/v1/login", ["POST"], Mode.ENFORCE),
            ("/v1/**", [], Mode.ENFORCE),
        )
    )
    expectation = TokenExpectation(ISSUER, AUDIENCE, Environment.PROD)
    now = int(time.time())
    claims = TokenClaims(
        issuer=ISSUER,
        audience=AUDIENCE,
        subject="s" * 43,
        issued_at=now,
        expires_at=now + 3600,
        token_id="j" * 22,
        environment=Environment.PROD,
        app_id="clinic-ios",
        app_version="1.2.3",
        level=Level.HARDWARE,
        key=jwk_from_public_key(generate_private_key(SECP256R1()).public_key()),
        session_id="x" * 22,
    )
    return Gate(GatePolicy("clinic", expectation, routes), state), state, claims


async def application(_scope: Any, _receive: Any, send: Any) -> None:
    """Answer like the smallest API."""
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
    )
    await send({"type": "http.response.body", "body": b"ok"})


async def meter(_scope: Any, _receive: Any, send: Any) -> None:
    """Answer with the processor time that this process has used, in seconds."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    body = f"{used.ru_utime + used.ru_stime:.6f}".encode()
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": body})


async def be_the_server() -> None:
    """Serve the open application, the guarded one and the meter until standard input ends."""
    gate, state, claims = gate_and_claims()
    guarded = WatchwordMiddleware(application, gate=gate)
    async with serve(application) as a, serve(guarded) as b, serve(meter) as c:
        print(a.port, b.port, c.port, issue(claims, state), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    os._exit(0)


def measure_served() -> list[Row]:
    """Return the rows on the served application."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[0]})
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.bench_gate", "server", str(cores[-1])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        line = server.stdout.readline().split()
        open_port, guarded_port, meter_port = (int(port) for port in line[:3])
        request = a_request(line[3])
        times: dict[int, list[float]] = {open_port: [], guarded_port: []}
        for port in times:
            drive(port, request, 1000)
        for _ in range(ROUNDS):
            for port, seen in times.items():
                before = used(meter_port)
                drive(port, request, REQUESTS_A_ROUND)
                seen.append((used(meter_port) - before) / REQUESTS_A_ROUND * 1e6)
        assert server.stdin is not None
        server.stdin.close()
    os.sched_setaffinity(0, cores)
    ours, peer = (statistics.median(times[port]) for port in (guarded_port, open_port))
    return [
        Row.at_most_times(
            "guarded ASGI app (peer: the same app open), CPU us a request", ours, peer, GOAL
        )
    ]


def a_request(token: str) -> bytes:
    """Return a request as a phone sends it."""
    return (
        f"GET {PATH} HTTP/1.1\r\nHost: clinic.example\r\nUser-Agent: clinic/1.2 (iPhone)\r\n"
        "Accept: application/json\r\nAccept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\n"
        f"Authorization: Bearer 0123456789abcdef0123456789abcdef\r\nWatchword-Token: {token}\r\n\r\n"
    ).encode()


def drive(port: int, request: bytes, count: int) -> None:
    """Send requests over kept connections, one at a time on each."""
    connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(CONNECTIONS)]
    for _ in range(count // CONNECTIONS):
        for connection in connections:
            connection.sendall(request)
        for connection in connections:
            if not connection.recv(4096).endswith(b"ok"):
                raise SystemExit("the server refused a request of the benchmark")
    for connection in connections:
        connection.close()


def used(port: int) -> float:
    """Return the processor time that the server has used, in seconds."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    return float(answer.rpartition(b"\r\n\r\n")[2])


def measure_decisions() -> list[Row]:
    """Return the rows on the decision alone, in this process."""
    gate, state, claims = gate_and_claims()
    tokens = [issue(replace(claims, token_id=str(n)), state).encode() for n in range(400)]
    facts = [
        RequestFacts(
            "GET",
            PATH.encode(),
            [
                (b"host", b"clinic.example"),
                (b"user-agent", b"clinic/1.2 (iPhone)"),
                (b"accept", b"application/json"),
                (b"accept-encoding", b"gzip, deflate"),
                (b"connection", b"keep-alive"),
                (b"watchword-token", token),
            ],
        )
        for token in tokens
    ]
    now = claims.issued_at + 1.0
    rows = []
    for measure, repeats in (
        ("decide, token not met before, us", 1),
        ("decide, token remembered, us", 50),
    ):
        before = time.perf_counter()
        for _ in range(repeats):
            for each in facts:
                assert gate.decide(each, now).allow
        elapsed = time.perf_counter() - before
        rows.append(Row(measure, elapsed / len(facts) / repeats * 1e6))
    return rows


def main() -> None:
    """Measure, print and write the results; exit 1 when a goal is missed."""
    if sys.argv[1:2] == ["server"]:
        os.sched_setaffinity(0, {int(sys.argv[2])})
        asyncio.run(be_the_server())
    elif not write_report("gate", [*measure_served(), *measure_decisions()]):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
