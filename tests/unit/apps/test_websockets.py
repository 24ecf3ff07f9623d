"""Open WebSockets through the ASGI middleware, in a real server and with raw bytes (RFC 6455)."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import uvicorn
from tests.unit.apps.test_middleware import ListedRefusals, StoppedClock
from tests.unit.gate.proofs import Prover
from tests.unit.gate.simulators import CLAIMS, NOW, PublishedState, policy, published, route, token
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from watchword.adapters.http_server import serve
from watchword.adapters.replay import MemoryReplayStore
from watchword.apps.gateway import WatchwordMiddleware, require_claims
from watchword.apps.gateway.websocket import MOST_OF_ONE
from watchword.gate.interface import ReplayClaim
from watchword.gate.service import Gate
from watchword.reasons import Reason
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


class SetClock(StoppedClock):
    """Tell the time that a test sets."""

    def __init__(self) -> None:
        """Start when the tokens of the tests are good."""
        self.time = float(NOW)

    def timestamp(self) -> float:
        """Return it in seconds since 1970."""
        return self.time


@contextlib.asynccontextmanager
async def connected(
    port: int, target: str, fields: Iterable[tuple[bytes, bytes]], **client: Any
) -> AsyncIterator[ClientConnection]:
    """Open a WebSocket as a phone does."""
    sent = [(name.decode(), value.decode()) for name, value in fields]
    async with connect(
        f"ws://clinic.example{target}",
        host="127.0.0.1",
        port=port,
        additional_headers=sent,
        proxy=None,
        max_size=None,
        close_timeout=2,
        **client,
    ) as opened:
        yield opened


async def until(holds: Callable[[], bool]) -> None:
    """Return when something has come true."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - what it waits for tells nobody.
            await asyncio.sleep(0.01)


@dataclass
class Front:
    """Hold what stands in front of an application."""

    state: PublishedState
    port: int = 0
    clock: SetClock = field(default_factory=SetClock)
    log: ListedRefusals = field(default_factory=ListedRefusals)


@contextlib.asynccontextmanager
async def standing(app: Any, **policy: Any) -> AsyncIterator[Front]:
    """Serve an application behind the middleware."""
    front = Front(published(*ROUTES, **policy))
    gate = Gate(front.state, memory=MemoryReplayStore(), shared=MemoryReplayStore())
    guarded = WatchwordMiddleware(app, gate=gate, clock=front.clock, refusal_log=front.log)
    async with serve(guarded, websockets=True) as server:
        front.port = server.port
        yield front


@contextlib.asynccontextmanager
async def listening(app: Any, **policy: Any) -> AsyncIterator[int]:
    """Serve an application behind the middleware, for who needs its port alone."""
    async with standing(app, **policy) as front:
        yield front.port


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


@dataclass
class Talking:
    """Be an application that talks over each WebSocket until it ends; ``how`` says what it is about."""

    how: str = "listens"
    got: list[Any] = field(default_factory=list)
    raised: list[str] = field(default_factory=list)
    returned: int = 0

    async def __call__(self, _scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection."""
        await receive()
        await send({"type": "websocket.accept"})
        try:
            if self.how == "listens":
                while not self.got or self.got[-1]["type"] != "websocket.disconnect":
                    self.got.append(await receive())
            elif self.how == "talks":
                while True:
                    await send({"type": "websocket.send", "text": "still here"})
                    await asyncio.sleep(0.01)
            else:
                await asyncio.sleep(1.5)
                self.got.append(await receive())
        except OSError as error:
            self.raised.append(type(error).__name__)
        self.returned += 1


async def closing(opened: ClientConnection) -> tuple[int | None, str | None]:
    """Return how a WebSocket is closed, whatever is sent before."""
    with contextlib.suppress(ConnectionClosed):
        async with asyncio.timeout(10):
            while True:
                await opened.recv()
    await opened.wait_closed()
    return opened.close_code, opened.close_reason


def end(front: Front, cause: str) -> None:
    """Let something end on which a WebSocket rests."""
    state = front.state
    if cause == "token":
        front.clock.time = CLAIMS.expires_at + state.policy.expectation.leeway + 1.0
    elif cause == "instance":
        state.revoked.add(CLAIMS.subject)
    elif cause == "key":
        state.keys.clear()
    elif cause == "route":
        state.policy = policy(route("/elsewhere/**"))
    elif cause == "version":
        state.policy = policy(route("/**", minimum_versions={"clinic-ios": "9"}))
    elif cause == "proof":
        state.policy = policy(route("/**", proof=Proof.SESSION))
    elif cause == "fault":
        state.revoked = None  # type: ignore[assignment]
    state.generation += 1


@pytest.mark.parametrize(
    ("cause", "reason", "told"),
    [
        ("token", Reason.TOKEN_EXPIRED, "token-refused"),
        ("instance", Reason.TOKEN_INSTANCE_REVOKED, "token-refused"),
        ("key", Reason.TOKEN_KEY_UNKNOWN, "token-refused"),
        ("route", Reason.GATE_ROUTE_UNKNOWN, "route-refused"),
        ("version", Reason.GATE_APP_VERSION, "level-insufficient"),
        ("proof", Reason.PROOF_MISSING, "proof-required"),
        ("fault", Reason.GATE_INTERNAL, "internal"),
    ],
)
def test_a_websocket_ends_with_what_it_was_opened_with(
    cause: str, reason: Reason, told: str
) -> None:
    """The client is told the class, the application that it has gone, and the log why."""
    app = Talking()

    async def main() -> tuple[tuple[int | None, str | None], Front]:
        async with standing(app) as front, connected(front.port, "/open/a", [TOKEN]) as opened:
            await opened.send("a")
            await until(lambda: bool(app.got))
            end(front, cause)
            closed = await closing(opened)
            await until(lambda: app.returned == 1)
            return closed, front

    closed, front = asyncio.run(main())
    assert closed == (1008, told)
    assert app.got[0]["text"] == "a"
    assert app.got[1:] == [{"type": "websocket.disconnect", "code": 1008, "reason": told}]
    assert front.log.seen == [(reason, "/open/**")]


@pytest.mark.parametrize("how", ["talks", "sleeps"])
def test_an_application_that_does_not_listen_is_cut_off_too(how: str) -> None:
    """What it sends is refused with an OSError, and what the client sends after doesn't arrive."""
    app = Talking(how)

    async def main() -> tuple[int | None, str | None]:
        async with standing(app) as front, connected(front.port, "/open/a", [TOKEN]) as opened:
            end(front, "instance")
            closed = await closing(opened)
            await until(lambda: app.returned == 1)
            return closed

    assert asyncio.run(main()) == (1008, "token-refused")
    assert app.raised == (["SocketEndedError"] if how == "talks" else [])
    assert [message["type"] for message in app.got] == (
        [] if how == "talks" else ["websocket.disconnect"]
    )


@pytest.mark.parametrize("fields", [[], [TOKEN]], ids=["nobody", "somebody"])
def test_monitor_ends_none_until_it_enforces(fields: list[tuple[bytes, bytes]]) -> None:
    """Whoever was only watched must come again when the route asks for more."""
    app = Talking()

    async def main() -> tuple[bool, tuple[int | None, str | None]]:
        async with standing(app) as front, connected(front.port, "/watched/a", fields) as opened:
            end(front, "instance")
            await asyncio.sleep(0.6)
            await opened.send("a")
            await until(lambda: bool(app.got))
            front.state.policy = policy(route("/watched/**"))
            front.state.generation += 1
            return app.got[0]["type"] == "websocket.receive", await closing(opened)

    stayed, closed = asyncio.run(main())
    assert stayed
    assert closed[0] == 1008


def test_one_that_was_opened_by_a_session_stays_while_its_epoch_is_held() -> None:
    """New generations end nothing by themselves; the end of the epoch does."""
    app = Talking()
    fields = Prover().session(target="/session/a")[1:]

    async def main() -> tuple[int | None, str | None]:
        async with standing(app) as front, connected(front.port, "/session/a", fields) as opened:
            front.state.generation += 1
            await asyncio.sleep(0.6)
            await opened.send("a")
            await until(lambda: bool(app.got))
            front.state.secrets = {
                number: replace(secret, verify_until=NOW - 1.0)
                for number, secret in front.state.secrets.items()
            }
            front.state.generation += 1
            return await closing(opened)

    assert asyncio.run(main()) == (1008, "token-refused")
    assert app.got[0]["text"] == "a"


class ChangingStore(MemoryReplayStore):
    """Publish another table while a proof is being claimed."""

    def __init__(self, state: PublishedState) -> None:
        """Take whose table it is."""
        super().__init__()
        self._state = state

    async def claim(self, claim: ReplayClaim, now: float) -> bool:
        """Claim it, later."""
        routes = (route("/session/**", proof=Proof.DEVICE),)
        self._state.policy = policy(*routes, replay=ReplayMode.SHARED)
        self._state.generation += 1
        return await super().claim(claim, now)


def test_a_proof_counts_as_what_it_was_given_for() -> None:
    """The route asks for another one by the time at which the first is claimed: that one was never given."""
    fields = Prover().session(target="/session/a")[1:]

    async def main() -> tuple[int | None, str | None]:
        state = published(*ROUTES, replay=ReplayMode.SHARED)
        gate = Gate(state, memory=MemoryReplayStore(), shared=ChangingStore(state))
        guarded = WatchwordMiddleware(Talking(), gate=gate, clock=SetClock())
        async with (
            serve(guarded, websockets=True) as server,
            connected(server.port, "/session/a", fields) as opened,
        ):
            return await closing(opened)

    assert asyncio.run(main()) == (1008, "proof-required")


def test_one_instance_has_so_many_at_once() -> None:
    """The next is refused as too many, others aren't, and there is room again when one has ended."""
    app = Talking()
    other = [(b"watchword-token", token(subject="another-instance").encode())]

    async def main() -> list[int]:
        async with standing(app) as front, contextlib.AsyncExitStack() as stack:

            async def opened(fields: list[tuple[bytes, bytes]]) -> ClientConnection:
                return await stack.enter_async_context(connected(front.port, "/open/a", fields))

            first, *_ = [await opened([TOKEN]) for _ in range(MOST_OF_ONE)]
            with pytest.raises(InvalidStatus) as refused:
                await opened([TOKEN])
            await opened(other)
            await first.close()
            await until(lambda: app.returned == 1)
            await opened([TOKEN])
            assert refused.value.response.headers["retry-after"] == "5"
            return [refused.value.response.status_code]

    assert asyncio.run(main()) == [429]


def test_a_wait_that_is_given_up_loses_no_message() -> None:
    """An application may wait for a while, do something else, and wait again."""
    got: list[Any] = []

    async def impatient(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                await receive()
        await send({"type": "websocket.send", "text": "say something"})
        got.append(await receive())
        waiting = asyncio.create_task(receive())
        await asyncio.sleep(0)
        # Granian itself closes nothing while somebody waits.
        await send({"type": "websocket.close", "code": 4001, "reason": "enough"})
        got.append(await waiting)

    async def main() -> tuple[int | None, str | None]:
        async with (
            standing(impatient) as front,
            connected(front.port, "/open/a", [TOKEN]) as opened,
        ):
            assert await opened.recv() == "say something"
            await opened.send("something")
            closed = await closing(opened)
            await until(lambda: len(got) == 2)
            return closed

    assert asyncio.run(main()) == (4001, "enough")
    assert got[0]["text"] == "something"
    assert got[1] == {"type": "websocket.disconnect", "code": 4001, "reason": "enough"}


@pytest.mark.parametrize("how", ["listens", "talks"])
def test_uvicorn_ends_them_alike(how: str) -> None:
    """What granian needs for it, and uvicorn doesn't, is in nobody's way."""
    app = Talking(how)
    front = Front(published(*ROUTES))
    gate = Gate(front.state, memory=MemoryReplayStore())
    guarded = WatchwordMiddleware(app, gate=gate, clock=front.clock, refusal_log=front.log)
    config = uvicorn.Config(guarded, port=0, lifespan="off", log_level="critical")
    server = uvicorn.Server(config)

    async def main() -> tuple[int | None, str | None]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            serving = asyncio.create_task(server.serve([listener]))
            await until(lambda: server.started)
            async with connected(listener.getsockname()[1], "/open/a", [TOKEN]) as opened:
                end(front, "instance")
                closed = await closing(opened)
            await until(lambda: app.returned == 1)
            server.should_exit = True
            await serving
            return closed

    assert asyncio.run(main()) == (1008, "token-refused")
    assert [reason for reason, _ in front.log.seen] == [Reason.TOKEN_INSTANCE_REVOKED]
    assert app.raised == ([] if how == "listens" else ["SocketEndedError"])
