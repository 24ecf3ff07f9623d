"""Open WebSockets through the ASGI middleware, in a real server and with raw bytes (RFC 6455)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest
from tests.apps.test_middleware import StoppedClock
from tests.gate.proving import Prover
from tests.gate.simulators import CLAIMS, published, route, token

from watchword.adapters.http_server import serve
from watchword.adapters.replay import MemoryReplayStore
from watchword.apps.middleware import WatchwordMiddleware, require_claims
from watchword.gate.service import Gate
from watchword.vocabulary import Mode, Proof, ReplayMode

ROUTES = (
    route("/session/**", proof=Proof.SESSION),
    route("/watched/**", mode=Mode.MONITOR),
    route("/posted/**", methods=frozenset({"POST"})),
    route("/open/**"),
)
UPGRADE = (
    (b"connection", b"Upgrade"),
    (b"upgrade", b"websocket"),
    (b"sec-websocket-version", b"13"),
    (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
)
TOKEN = (b"watchword-token", token().encode())
HOST = (b"host", b"clinic.example")


class Telling:
    """Be an application that accepts every WebSocket, and tells who is there."""

    def __init__(self) -> None:
        """Start with nobody."""
        self.calls = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection."""
        if scope["type"] == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        self.calls += 1
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        text = require_claims(scope).subject if scope["path"] != "/watched/a" else "nobody"
        await send({"type": "websocket.send", "text": text})
        await send({"type": "websocket.close", "code": 1000})


@contextlib.asynccontextmanager
async def listening(app: Telling, **policy: Any) -> AsyncIterator[int]:
    """Serve an application behind the middleware."""
    gate = Gate(
        published(*ROUTES, **policy), memory=MemoryReplayStore(), shared=MemoryReplayStore()
    )
    guarded = WatchwordMiddleware(app, gate=gate, clock=StoppedClock())
    async with serve(guarded, websockets=True) as server:
        yield server.port


async def shake_hands(port: int, path: str, fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Ask for a WebSocket; return all that comes back until the connection ends, or a while later."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in (*fields, *UPGRADE))
    writer.write(b"GET " + path.encode() + b" HTTP/1.1\r\n" + lines + b"\r\n")
    try:
        async with asyncio.timeout(10):
            return await reader.readuntil(b"\r\n\r\n") + await reader.read(200)
    finally:
        writer.close()


def test_a_handshake_with_a_token_is_accepted() -> None:
    """It is a GET, and the application learns who opened it."""
    app = Telling()

    async def main() -> bytes:
        async with listening(app) as port:
            return await shake_hands(port, "/open/a", [HOST, TOKEN])

    answer = asyncio.run(main())
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert CLAIMS.subject.encode() in answer
    assert app.calls == 1


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/open/a", [HOST]),
        ("/open/a", [HOST, (b"watchword-token", b"a.b.c")]),
        ("/open/a", [TOKEN]),
        ("/open/a", [HOST, HOST, TOKEN]),
        ("/open/%2e%2e/watched/a", [HOST, TOKEN]),
        ("/session/a", [HOST, TOKEN]),
        ("/session/a", Prover().session(target="/session/b")),
        ("/posted/a", [HOST, TOKEN]),
        ("/elsewhere", [HOST, TOKEN]),
    ],
    ids=range(9),
)
def test_a_refused_handshake_opens_nothing(path: str, fields: list[tuple[bytes, bytes]]) -> None:
    """The server answers it with an error, and the application isn't called."""
    app = Telling()

    async def main() -> bytes:
        async with listening(app) as port:
            return await shake_hands(port, path, fields)

    answer = asyncio.run(main())
    assert answer.split(b" ")[1] in {b"400", b"401", b"403"}
    assert app.calls == 0


@pytest.mark.parametrize("replay", [ReplayMode.LOCAL, ReplayMode.SHARED])
def test_a_proof_opens_one_websocket(replay: ReplayMode) -> None:
    """A copy of the handshake opens no second one, wherever used proofs are remembered."""
    app = Telling()
    fields = Prover().session(target="/session/a")

    async def main() -> list[bytes]:
        async with listening(app, replay=replay) as port:
            return [await shake_hands(port, "/session/a", fields) for _ in range(2)]

    first, second = asyncio.run(main())
    assert first.startswith(b"HTTP/1.1 101 ")
    assert b" 101 " not in second.split(b"\r\n")[0]
    assert app.calls == 1


def test_monitor_accepts_and_vouches_for_nobody() -> None:
    """Forged result headers are gone."""
    app = Telling()

    async def main() -> bytes:
        async with listening(app) as port:
            return await shake_hands(port, "/watched/a", [HOST, (b"watchword-instance", b"me")])

    assert asyncio.run(main()).startswith(b"HTTP/1.1 101 ")
    assert app.calls == 1
