"""Carry WebSockets through the built-in proxy, between real clients and a real API, both of ``websockets``."""

import asyncio
import contextlib
import itertools
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpcore
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.adapters.loopback import self_signed
from tests.unit.apps.raw_http import RawApi, Reader, Writer, listening
from tests.unit.apps.test_middleware import ListedRefusals
from tests.unit.apps.test_websockets import UPGRADE, SetClock, connected, shake_hands, until
from tests.unit.gate.proofs import Prover
from tests.unit.gate.simulators import CLAIMS, PublishedState, published, route, token
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websockets
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.utils import accept_key

from watchword.adapters.http_server import serve
from watchword.adapters.replay import MemoryReplayStore
from watchword.apps.gateway import WatchwordMiddleware
from watchword.apps.gateway.proxy import ProxyApp, Timeouts
from watchword.apps.gateway.proxy.websocket import (
    Closed,
    SocketBrokenError,
    SocketLimits,
    UpstreamSocket,
    _Relay,
)
from watchword.broker.interface import EdgeRule, Place, PlaceKind
from watchword.gate.service import Gate
from watchword.reasons import Reason, Refusal
from watchword.vocabulary import Mode, Proof

TOKEN = (b"watchword-token", token().encode())
HANDSHAKE = (
    b"GET /v1/a HTTP/1.1\r\nHost: clinic.example\r\nWatchword-Token: "
    + token().encode()
    + b"\r\n"
    + b"".join(name + b": " + value + b"\r\n" for name, value in UPGRADE)
)
EDGE = EdgeRule(
    secret="maps",
    host="maps.example.net",
    port=443,
    patterns=("/**",),
    methods=frozenset({"GET"}),
    place=Place(PlaceKind.HEADER, "authorization", "Bearer "),
)
ROUTES = (
    route("/session/**", proof=Proof.SESSION),
    route("/open/**", mode=Mode.OFF),
    route("/maps/**", secret="maps"),
    route("/v1/**"),
)
Talk = Callable[[ServerConnection], Awaitable[None]]


@dataclass
class Front:
    """Hold a running proxy, and what lies behind and beside it."""

    port: int = 0
    log: ListedRefusals = field(default_factory=ListedRefusals)
    clock: SetClock = field(default_factory=SetClock)
    state: PublishedState = field(default_factory=lambda: published(*ROUTES, edges={"maps": EDGE}))


@contextlib.asynccontextmanager
async def proxied(upstream: str, **options: Any) -> AsyncIterator[Front]:
    """Run middleware and proxy on a real server in front of an API."""
    front = Front()
    proxy = ProxyApp(upstream, refusal_log=front.log, **options)
    gate = Gate(front.state, memory=MemoryReplayStore())
    guarded = WatchwordMiddleware(
        proxy, gate=gate, refusal_log=front.log, clock=front.clock, injects=True
    )
    async with serve(guarded, websockets=True) as server:
        front.port = server.port
        yield front
    await proxy.aclose()


@contextlib.asynccontextmanager
async def talking(
    talk: Talk, *, tls: ssl.SSLContext | None = None, **options: Any
) -> AsyncIterator[int]:
    """Let an API listen that talks over each WebSocket as it is told."""
    async with serve_websockets(
        talk, "127.0.0.1", 0, ssl=tls, max_size=None, close_timeout=1, **options
    ) as server:
        yield next(iter(server.sockets)).getsockname()[1]


async def echo(socket: ServerConnection) -> None:
    """Send back what comes."""
    async for message in socket:
        await socket.send(message)


@contextlib.asynccontextmanager
async def through(
    talk: Talk,
    target: str = "/v1/a",
    fields: Iterable[tuple[bytes, bytes]] = (TOKEN,),
    options: dict[str, Any] | None = None,
    **client: Any,
) -> AsyncIterator[tuple[ClientConnection, Front]]:
    """Open one WebSocket through the proxy."""
    async with (
        talking(talk, subprotocols=["b", "c"] if "subprotocols" in client else None) as port,
        proxied(f"http://127.0.0.1:{port}", **(options or {})) as front,
        connected(front.port, target, fields, **client) as socket,
    ):
        yield socket, front


async def closing(socket: ClientConnection) -> tuple[int | None, str | None]:
    """Return how the proxy closes, whatever is sent before."""
    with contextlib.suppress(ConnectionClosed):
        async with asyncio.timeout(10):
            while True:
                await socket.recv()
    await socket.wait_closed()
    return socket.close_code, socket.close_reason


def test_messages_cross_both_ways() -> None:
    """Texts stay texts, bytes stay bytes, fragments arrive as one message, in order, up to the limit."""

    async def main() -> list[str | bytes]:
        async with through(echo) as (socket, _):
            sent: list[Any] = ["täxt", b"\x00\xff", "", b"", b"x" * 2**20, ["a", "b", ""]]
            answers = []
            for message in sent:
                await socket.send(message)
                answers.append(await socket.recv())
            return answers

    assert asyncio.run(main()) == ["täxt", b"\x00\xff", "", b"", b"x" * 2**20, "ab"]


def test_what_the_api_sees_of_a_handshake() -> None:
    """Who is there, who asks and for what; neither the token, nor what the client says in the proxy's name."""
    seen: list[Any] = []

    async def talk(socket: ServerConnection) -> None:
        assert socket.request is not None
        seen.append(socket.request)

    async def main() -> str | None:
        fields = [
            TOKEN,
            (b"watchword-level", b"none"),
            (b"x-forwarded-for", b"6.6.6.6"),
            (b"sec_websocket_key", b"x"),
            (b"cookie", b"c=1"),
        ]
        async with through(talk, "/v1/a%20b?q=%2F", fields, subprotocols=["a", "b"]) as (socket, _):
            await closing(socket)
            return socket.subprotocol

    assert asyncio.run(main()) == "b"
    (request,) = seen
    assert request.path == "/v1/a%20b?q=%2F"
    fields = [(name.lower(), value) for name, value in request.headers.raw_items()]
    found = dict(fields)
    assert found["watchword-instance"] == CLAIMS.subject
    assert found["host"] == "clinic.example"
    assert found["x-forwarded-for"] == "127.0.0.1"
    assert found["x-forwarded-proto"] == "http"
    assert found["cookie"] == "c=1"
    assert found["sec-websocket-protocol"] == "a, b"
    assert [value for name, value in fields if name == "watchword-level"] == ["hardware"]
    assert len([name for name, _ in fields if name.startswith("sec-websocket-")]) == 3
    assert not {"watchword-token", "sec_websocket_key", "sec-websocket-extensions"} & found.keys()


@pytest.mark.parametrize(
    ("target", "fields", "status"),
    [
        ("/v1/a", [], 401),
        ("/v1/a", [(b"watchword-token", b"a.b.c")], 401),
        ("/session/a", [TOKEN], 401),
        ("/maps/a", [TOKEN], 403),
        ("/elsewhere", [TOKEN], 403),
    ],
)
def test_a_refused_handshake_never_reaches_the_api(
    target: str, fields: list[tuple[bytes, bytes]], status: int
) -> None:
    """The gate decides on it as on any request; a route that injects a key opens no WebSocket."""
    calls = 0

    async def talk(_socket: ServerConnection) -> None:
        nonlocal calls
        calls += 1

    async def main() -> int:
        with pytest.raises(InvalidStatus) as refused:
            async with through(talk, target, fields):
                pass
        assert refused.value.response.headers["content-type"] == "application/problem+json"
        return refused.value.response.status_code

    assert asyncio.run(main()) == status
    assert calls == 0


def test_a_session_proof_opens_one() -> None:
    """A copy of the handshake opens no second one."""
    fields = Prover().session(target="/session/a")[1:]

    async def main() -> None:
        async with through(echo, "/session/a", fields) as (socket, front):
            await socket.send("a")
            assert await socket.recv() == "a"
            with pytest.raises(InvalidStatus):
                async with connected(front.port, "/session/a", fields):
                    pass

    asyncio.run(main())


def test_a_handshake_with_a_body_is_refused() -> None:
    """What stands behind it would be a body for one and frames for another."""
    api = RawApi()

    async def main() -> tuple[bytes, Front]:
        async with listening(api), proxied(f"http://127.0.0.1:{api.port}") as front:
            reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
            writer.write(HANDSHAKE + b"Content-Length: 5\r\n\r\nhello")
            head = await reader.readuntil(b"\r\n\r\n")
            writer.close()
            return head, front

    head, front = asyncio.run(main())
    assert head.startswith(b"HTTP/1.1 403 ")
    assert api.heads == []
    assert front.log.seen == [(Reason.GATE_PROTOCOL, "proxy")]


ACCEPT = b"sec-websocket-accept: %s\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n"
SMUGGLED = b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nsmuggled"
LIES = {
    "another protocol": SWITCH + b"upgrade: h2c\r\n\r\n" + SMUGGLED,
    "nothing accepted": SWITCH + b"upgrade: websocket\r\n\r\n" + SMUGGLED,
    "wrongly accepted": SWITCH + b"upgrade: websocket\r\n" + ACCEPT % b"x" + b"\r\n" + SMUGGLED,
    "extension": b"EXTENDED",
    "subprotocol": b"CHOSEN",
    "no upgrade": b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + SMUGGLED,
    "not http": b"SSH-2.0-x\r\n",
    "silence": b"",
}


@pytest.mark.parametrize("lie", LIES)
def test_what_only_looks_like_an_upgrade_is_no_tunnel(lie: str) -> None:
    """The client gets 502; the API gets none of its bytes, and nothing of what the API sends comes back."""
    got: list[bytes] = []

    async def answer(api: RawApi, reader: Reader, writer: Writer) -> None:
        bytes_sent = LIES[lie]
        if bytes_sent.isupper():
            key = dict(api.fields)[b"sec-websocket-key"].decode()
            extra = {b"EXTENDED": b"Extensions: permessage-deflate", b"CHOSEN": b"Protocol: z"}
            bytes_sent = SWITCH + b"upgrade: websocket\r\n" + ACCEPT % accept_key(key).encode()
            bytes_sent += b"sec-websocket-" + extra[LIES[lie]] + b"\r\n\r\n"
        writer.write(bytes_sent)
        writer.write_eof()
        got.append(await reader.read())

    async def main() -> tuple[bytes, Front]:
        async with (
            listening(RawApi(answer)) as api,
            proxied(f"http://127.0.0.1:{api.port}") as front,
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
            writer.write(HANDSHAKE + b"Connection: close\r\n\r\nGET /admin HTTP/1.1\r\n\r\n")
            async with asyncio.timeout(10):
                head = await reader.readuntil(b"\r\n\r\n") + await reader.read(1000)
            writer.close()
            await api.gone.wait()
            return head, front

    head, front = asyncio.run(main())
    assert head.startswith(b"HTTP/1.1 502 ")
    assert b"smuggled" not in head
    assert front.log.seen == [(Reason.GATE_UPSTREAM, "proxy")]
    assert got == [b""]


def test_an_api_that_is_not_there() -> None:
    """It is told as any other answer that the API owes."""

    async def main() -> int:
        async with listening(RawApi()) as api:
            port = api.port
        async with proxied(f"http://127.0.0.1:{port}") as front:
            with pytest.raises(InvalidStatus) as refused:
                async with connected(front.port, "/v1/a", [TOKEN]):
                    pass
            return refused.value.response.status_code

    assert asyncio.run(main()) == 502


@pytest.mark.parametrize(
    "status", [b"200 OK", b"302 Found", b"404 Not Found", b"426 Upgrade Required"]
)
def test_an_api_that_opens_none_says_so_itself(status: bytes) -> None:
    """Its answer is handed on; what stands behind it isn't."""
    length = b"content-length: 4\r\nx-a: b\r\n\r\nnone"
    api = RawApi(b"HTTP/1.1 " + status + b"\r\n" + length + SMUGGLED)

    async def main() -> bytes:
        async with listening(api), proxied(f"http://127.0.0.1:{api.port}") as front:
            return await shake_hands(front.port, "/v1/a", [(b"host", b"clinic.example"), TOKEN])

    answer = asyncio.run(main())
    assert answer.startswith(b"HTTP/1.1 " + status[:3])
    assert b"\r\nx-a: b\r\n" in answer
    assert answer.endswith(b"\r\n\r\nnone")
    assert len(api.heads) == 1


def test_an_api_that_opens_none_in_too_many_words() -> None:
    """They would be held."""
    api = RawApi(b"HTTP/1.1 404 No\r\ncontent-length: 70000\r\n\r\n" + b"x" * 70000)

    async def main() -> bytes:
        async with listening(api), proxied(f"http://127.0.0.1:{api.port}") as front:
            return await shake_hands(front.port, "/v1/a", [(b"host", b"clinic.example"), TOKEN])

    assert asyncio.run(main()).startswith(b"HTTP/1.1 502 ")


@pytest.mark.parametrize(
    ("code", "reason", "told"),
    [
        (1000, "done", 1000),
        (1001, "", 1001),
        (1011, "fault", 1011),
        (3999, "own", 3999),
        (4000, "", 4000),
    ],
)
def test_the_end_is_told_to_the_client(code: int, reason: str, told: int) -> None:
    """As the API says it."""

    async def talk(socket: ServerConnection) -> None:
        await socket.close(code, reason)

    async def main() -> tuple[int | None, str | None]:
        async with through(talk) as (socket, _):
            return await closing(socket)

    assert asyncio.run(main()) == (told, reason)


@pytest.mark.parametrize(("code", "told"), [(1000, 1000), (3001, 3001), (4999, 4999)])
def test_the_end_is_told_to_the_api(code: int, told: int) -> None:
    """As the client says it."""
    seen: list[Any] = []
    ended = asyncio.Event()

    async def talk(socket: ServerConnection) -> None:
        await closing(socket)  # type: ignore[arg-type]
        seen.append(socket.close_code)
        ended.set()

    async def main() -> None:
        async with through(talk) as (socket, _):
            await socket.close(code)
            async with asyncio.timeout(10):
                await ended.wait()

    asyncio.run(main())
    assert seen == [told]


@pytest.mark.parametrize("side", ["client", "api"])
def test_a_side_that_vanishes_takes_the_other_along(side: str) -> None:
    """No connection is left behind, and an API that broke off is told in the log."""
    ended = asyncio.Event()
    sockets: list[ServerConnection] = []

    async def talk(socket: ServerConnection) -> None:
        sockets.append(socket)
        await socket.wait_closed()
        ended.set()

    async def main() -> tuple[int | None, Front]:
        async with through(talk) as (socket, front):
            await until(lambda: bool(sockets))
            (socket if side == "client" else sockets[0]).transport.abort()
            async with asyncio.timeout(10):
                await ended.wait()
                await socket.wait_closed()
            return socket.close_code, front

    code, front = asyncio.run(main())
    if side == "api":
        assert code == 1014
        assert front.log.seen == [(Reason.GATE_UPSTREAM, "proxy")]
    else:
        assert front.log.seen == []


def test_messages_beyond_the_limit_end_it() -> None:
    """Whoever sends them: the client is told 1009, and nothing of them crosses."""
    limits = SocketLimits(message=1000)
    got: list[Any] = []

    async def large(socket: ServerConnection) -> None:
        await socket.send(["x" * 600, "x" * 600])
        await socket.wait_closed()

    async def listen(socket: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                got.append(await socket.recv())

    async def main() -> list[tuple[int | None, str | None]]:
        async with through(large, options={"sockets": limits}) as (socket, _):
            from_api = await closing(socket)
        async with through(listen, options={"sockets": limits}) as (socket, _):
            await socket.send("x" * 1000)
            await socket.send("x" * 1001)
            return [from_api, await closing(socket)]

    assert [code for code, _ in asyncio.run(main())] == [1009, 1009]
    assert got == ["x" * 1000]


@pytest.mark.parametrize(
    "frames",
    [
        b"\xc1\x01a",  # A reserved bit: an extension that nobody agreed on.
        b"\x83\x01a",  # An opcode that isn't defined.
        b"\x80\x01a",  # A continuation of nothing.
        b"\x81\x81aaaab",  # Masked, as only clients' are.
        b"\x89\x7e\x00\x80" + b"a" * 128,  # A ping that is too long.
        b"\x81\x01\xff",  # A text that isn't UTF-8.
        b"\x88\x02\x03\xed",  # 1005, which no frame may carry.
        b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff",  # Larger than anything.
    ],
    ids=range(8),
)
def test_an_api_that_speaks_wrongly(frames: bytes) -> None:
    """The client is told that the API failed, and gets none of it."""

    async def talk(socket: ServerConnection) -> None:
        socket.transport.write(frames)
        await socket.wait_closed()

    async def main() -> tuple[int | None, Front]:
        async with through(talk) as (socket, front):
            code, _ = await closing(socket)
            return code, front

    code, front = asyncio.run(main())
    assert code in {1009, 1014}
    assert front.log.seen == [(Reason.GATE_UPSTREAM, "proxy")]


def test_pings_of_the_api_are_answered_here() -> None:
    """Also between the fragments of a message, and never by the client."""

    async def talk(socket: ServerConnection) -> None:
        async with asyncio.timeout(10):
            await (await socket.ping())
        await socket.send("alive")
        await socket.wait_closed()

    async def main() -> str | bytes:
        async with through(talk) as (socket, _):
            return await socket.recv()

    assert asyncio.run(main()) == "alive"


def test_an_api_that_falls_silent_is_given_up() -> None:
    """A ping without an answer ends it."""

    async def hold(api: RawApi, reader: Reader, writer: Writer) -> None:
        key = dict(api.fields)[b"sec-websocket-key"].decode()
        writer.write(
            SWITCH + b"upgrade: websocket\r\n" + ACCEPT % accept_key(key).encode() + b"\r\n"
        )
        await reader.read()

    async def main() -> tuple[int | None, Front]:
        limits = SocketLimits(ping=0.2)
        async with (
            listening(RawApi(hold)) as api,
            proxied(f"http://127.0.0.1:{api.port}", sockets=limits) as front,
            connected(front.port, "/v1/a", [TOKEN]) as socket,
        ):
            code, _ = await closing(socket)
            return code, front

    code, front = asyncio.run(main())
    assert code == 1014
    assert front.log.seen == [(Reason.GATE_UPSTREAM, "proxy")]


def test_pings_alone_keep_none_open() -> None:
    """What says nothing for too long ends, on routes too where no token does it."""
    limits = SocketLimits(ping=0.1, idle=0.5)

    async def talk(socket: ServerConnection) -> None:
        await socket.wait_closed()

    async def main() -> tuple[int | None, str | None]:
        async with through(talk, "/open/a", [], {"sockets": limits}) as (socket, _):
            return await closing(socket)

    assert asyncio.run(main()) == (1001, "idle")


def test_there_is_room_for_so_many() -> None:
    """One more is refused as unavailable, and has room when another has ended."""

    async def main() -> tuple[int, str]:
        options = {"sockets": SocketLimits(at_once=1)}
        async with through(echo, options=options) as (socket, front):
            with pytest.raises(InvalidStatus) as refused:
                async with connected(front.port, "/v1/a", [TOKEN]):
                    pass
            await socket.close()
            await until_open(front.port)
            response = refused.value.response
            return response.status_code, response.headers["retry-after"]

    assert asyncio.run(main()) == (503, "5")


def test_strangers_leave_room_for_instances() -> None:
    """On a route that judges nobody they open half of all, and an instance finds the rest."""

    async def main() -> int:
        options = {"sockets": SocketLimits(at_once=2)}
        async with through(echo, "/open/a", (), options=options) as (_, front):
            with pytest.raises(InvalidStatus) as refused:
                async with connected(front.port, "/open/a", ()):
                    pass
            async with connected(front.port, "/v1/a", [TOKEN]) as socket:
                await socket.send("a")
                assert await socket.recv() == "a"
            return refused.value.response.status_code

    assert asyncio.run(main()) == 503


async def until_open(port: int) -> None:
    """Return when a WebSocket opens."""
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(InvalidStatus):
                async with connected(port, "/v1/a", [TOKEN]):
                    return


@pytest.mark.parametrize("ends", ["token", "instance", "key"])
def test_it_ends_with_what_it_was_opened_with(ends: str) -> None:
    """Both sides are told by 1008, and nothing crosses after."""
    codes: list[Any] = []
    ended = asyncio.Event()

    async def talk(socket: ServerConnection) -> None:
        await closing(socket)  # type: ignore[arg-type]
        codes.append((socket.close_code, socket.close_reason))
        ended.set()

    async def main() -> tuple[int | None, str | None]:
        async with through(talk) as (socket, front):
            await socket.send("a")
            if ends == "token":
                front.clock.time = CLAIMS.expires_at + 60
            elif ends == "instance":
                front.state.revoked.add(CLAIMS.subject)
            else:
                front.state.keys.clear()
                front.state.generation += 1
            told = await closing(socket)
            async with asyncio.timeout(10):
                await ended.wait()
            return told

    assert asyncio.run(main()) == (1008, "token-refused")
    assert codes == [(1008, "token-refused")]


def test_a_slow_client_holds_the_api_back() -> None:
    """What the API sends beyond the buffers of the connections waits there, and in the end the client is let go."""
    sent = 0
    ended = asyncio.Event()

    async def flood(socket: ServerConnection) -> None:
        nonlocal sent
        with contextlib.suppress(ConnectionClosed):
            while True:
                await socket.send(b"x" * 65536)
                sent += 65536
        ended.set()

    async def main() -> None:
        options = {"timeouts": Timeouts(write=1.0)}
        async with talking(flood) as port, proxied(f"http://127.0.0.1:{port}", **options) as front:
            reader, writer = await asyncio.open_connection("127.0.0.1", front.port, limit=1024)
            writer.write(HANDSHAKE + b"\r\n")
            await reader.readuntil(b"\r\n\r\n")
            async with asyncio.timeout(20):
                await ended.wait()
            writer.close()

    asyncio.run(main())
    assert sent < 32 * 2**20


def test_a_slow_api_holds_the_client_back() -> None:
    """What the client sends beyond the buffers of the connections waits there, and in the end the API is given up."""
    sent = 0

    async def deaf(socket: ServerConnection) -> None:
        socket.transport.pause_reading()
        await socket.wait_closed()

    async def main() -> None:
        nonlocal sent
        options = {"timeouts": Timeouts(write=1.0)}
        async with through(deaf, options=options) as (socket, _):
            with contextlib.suppress(ConnectionClosed):
                async with asyncio.timeout(20):
                    while True:
                        await socket.send(b"x" * 65536)
                        sent += 65536
            await socket.wait_closed()
            assert socket.close_code == 1014

    asyncio.run(main())
    assert sent < 64 * 2**20


@pytest.mark.parametrize("known", [True, False])
def test_an_api_over_tls(known: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its certificate is checked: one that nobody vouches for gets no handshake."""
    context, certificate = self_signed(tmp_path)
    if known:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    async def main() -> str | bytes:
        async with (
            talking(echo, tls=context) as port,
            proxied(f"https://127.0.0.1:{port}") as front,
            connected(front.port, "/v1/a", [TOKEN]) as socket,
        ):
            await socket.send("a")
            return await socket.recv()

    if known:
        assert asyncio.run(main()) == "a"
    else:
        with pytest.raises(InvalidStatus, match="502"):
            asyncio.run(main())


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 2**20])
def test_sizes_at_the_borders_of_the_frame(size: int) -> None:
    """Each of the three lengths of a frame is read and written."""

    async def main() -> bytes | str:
        async with through(echo) as (socket, _):
            await socket.send(b"x" * size)
            return await socket.recv()

    assert asyncio.run(main()) == b"x" * size


def framed(message: str | bytes, cuts: list[int], pings: bool) -> bytes:
    """Return the frames of a message as a server sends it, cut into fragments."""
    data = message.encode() if isinstance(message, str) else message
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    parts = [data[start:end] for start, end in itertools.pairwise([0, *places, len(data)])]
    sent = b""
    for at, part in enumerate(parts):
        first = (1 if isinstance(message, str) else 2) if at == 0 else 0
        fin = 0x80 if at == len(parts) - 1 else 0
        assert len(part) < 126
        sent += bytes([fin | first, len(part)]) + part
        sent += b"\x89\x00" if pings and not fin else b""
    return sent


@dataclass
class PieceWise(httpcore.AsyncNetworkStream):
    """Be a connection that hands over bytes in pieces of given sizes, and keeps what is written."""

    data: bytes
    sizes: list[int]
    written: bytes = b""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        """Return the next piece."""
        size = min(self.sizes.pop() if self.sizes else max_bytes, max_bytes)
        piece, self.data = self.data[:size], self.data[size:]
        return piece

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Keep it."""
        self.written += buffer


@given(
    st.lists(
        st.tuples(
            st.one_of(st.text(max_size=30), st.binary(max_size=60)),
            st.lists(st.integers(0, 200), max_size=3),
        ),
        max_size=5,
    ),
    st.lists(st.integers(1, 9), max_size=50),
    st.booleans(),
)
def test_messages_are_put_together_however_they_are_cut(
    messages: list[tuple[str | bytes, list[int]]], sizes: list[int], pings: bool
) -> None:
    """Into fragments, into packets, with pings between them: what is read is what was said, and then the end."""

    async def main() -> tuple[list[Any], bytes]:
        sent = b"".join(framed(message, cuts, pings) for message, cuts in messages)
        stream = PieceWise(sent + b"\x88\x02\x0f\xa0", sizes)
        socket = UpstreamSocket((), max_message=1000, timeouts=Timeouts(), ping=1.0)
        key = dict(socket.fields())[b"sec-websocket-key"].decode()
        fields = [
            (b"connection", b"upgrade"),
            (b"upgrade", b"websocket"),
            (b"sec-websocket-accept", accept_key(key).encode()),
        ]
        socket.agree(httpcore.Response(101, headers=fields, extensions={"network_stream": stream}))
        got: list[Any] = []
        while not got or not isinstance(got[-1], Closed):
            message = await socket.read()
            got += [] if message is None else [message]
        return got, stream.written

    got, written = asyncio.run(main())
    assert got == [*(message for message, _ in messages), Closed(4000)]
    assert bool(written)


@given(st.binary(max_size=300))
def test_no_bytes_of_an_api_raise_anything_else(data: bytes) -> None:
    """Whatever it sends ends in messages, an end, or the one failure that is told."""

    async def main() -> str:
        socket = UpstreamSocket((), max_message=100, timeouts=Timeouts(), ping=1.0)
        socket._stream = PieceWise(data, [])
        try:
            while not isinstance(await socket.read(), Closed):
                pass
        except SocketBrokenError:
            return "broken"
        return "closed"

    assert asyncio.run(main()) in {"broken", "closed"}


def test_an_api_is_told_why_though_sending_fails_first() -> None:
    """What it says to a client that has gone fails before it is read why that one went."""
    failed = asyncio.Event()

    async def receive() -> dict[str, Any]:
        await failed.wait()
        await asyncio.sleep(0.01)
        return {"type": "websocket.disconnect", "code": 1008, "reason": "token-refused"}

    async def send(_message: Any) -> None:
        failed.set()
        raise OSError

    async def main() -> UpstreamSocket:
        upstream = UpstreamSocket((), max_message=9, timeouts=Timeouts(), ping=1.0)
        upstream._stream = PieceWise(framed("x", [], pings=False), [])
        await _Relay(upstream, receive, send, recorded.append, SocketLimits(), 1.0).run()
        return upstream

    recorded: list[Refusal] = []

    sent = asyncio.run(main())._protocol.close_sent
    assert sent is not None
    assert (sent.code, sent.reason) == (1008, "token-refused")
    assert not recorded


def test_a_server_that_stops_while_a_client_is_told_has_it_in_its_log() -> None:
    """What went wrong is written down before anybody hears of it: telling a client may take until the server stops."""
    telling = asyncio.Event()
    recorded: list[Refusal] = []

    async def receive() -> Any:
        return await asyncio.get_running_loop().create_future()

    async def send(_message: Any) -> None:
        telling.set()
        await asyncio.get_running_loop().create_future()

    async def main() -> None:
        upstream = UpstreamSocket((), max_message=9, timeouts=Timeouts(), ping=1.0)
        upstream._stream = PieceWise(b"", [])
        relay = _Relay(upstream, receive, send, recorded.append, SocketLimits(), 1.0)
        running = asyncio.create_task(relay.run())
        async with asyncio.timeout(10):
            await telling.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(main())
    assert [each.reason for each in recorded] == [Reason.GATE_UPSTREAM]
