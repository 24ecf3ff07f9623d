"""Show that a body reaches the API only as the whole that its proof covers."""

import asyncio
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.unit.apps.asgi_client import Answer, Message, http_scope
from tests.unit.apps.test_middleware import ListedRefusals, StoppedClock
from tests.unit.gate.proofs import Prover
from tests.unit.gate.simulators import NOW, published, route, token

from watchword.adapters.http_server import HttpServer
from watchword.adapters.replay import MemoryReplayStore
from watchword.adapters.system import SystemEntropy
from watchword.apps.gateway import WatchwordMiddleware
from watchword.apps.gateway.guard import HeldMemory
from watchword.gate.interface import Rate
from watchword.gate.service import Gate
from watchword.reasons import Reason
from watchword.vocabulary import Mode, Proof, ReplayMode

LIMIT = 1000
ROUTES = (
    route("/v1/**", proof=Proof.SESSION, max_body=LIMIT),
    route("/watched/**", proof=Proof.SESSION, max_body=LIMIT, mode=Mode.MONITOR),
    route("/open/**"),
)
PHONE = Prover()
BODY = bytes(range(200)) * 5


@dataclass
class Reader:
    """Be an API that reads its whole body; remember each body, and whether the client then left."""

    bodies: list[bytes] = field(default_factory=list)
    gone: list[bool] = field(default_factory=list)
    calls: int = 0

    async def __call__(self, _scope: Message, receive: Any, send: Any) -> None:
        """Answer 200."""
        self.calls += 1
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.gone.append(True)
                break
            body += message["body"]
            more = message["more_body"]
        else:
            self.gone.append(False)
            self.bodies.append(body)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"served"})


@dataclass
class Stage:
    """Hold a guarded API, and send it requests."""

    api: Reader = field(default_factory=Reader)
    log: ListedRefusals = field(default_factory=ListedRefusals)
    options: dict[str, Any] = field(default_factory=dict)
    policy: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Put the middleware in front."""
        self.middleware = WatchwordMiddleware(
            self.api,
            gate=Gate(
                published(*ROUTES, **self.policy),
                memory=MemoryReplayStore(),
                entropy=SystemEntropy(),
            ),
            refusal_log=self.log,
            clock=StoppedClock(),
            **self.options,
        )

    def send(self, scope: Message, messages: Sequence[Message | None]) -> Answer:
        """Send a request; None in place of a message is a client that falls silent for a while."""
        answer, waiting = Answer(), list(messages)

        async def receive() -> Message:
            while waiting:
                message = waiting.pop(0)
                if message is not None:
                    return message
                await asyncio.sleep(0.05)
            return {"type": "http.disconnect"}

        async def reply(message: Message) -> None:
            answer.messages.append(message)

        asyncio.run(self.middleware(dict(scope), receive, reply))
        return answer

    @property
    def reasons(self) -> list[Reason]:
        """Return what was refused."""
        return [reason for reason, _ in self.log.seen]


def proved(path: str, body: bytes | None = BODY, method: str = "POST", **changes: Any) -> Any:
    """Return the scope of a request whose proof covers a body."""
    fields = PHONE.session(target=path, body=body, method=method, **changes)
    return http_scope(path, method=method) | {"headers": fields}


def pieces(body: bytes, size: int = 100) -> list[Message | None]:
    """Return a body as a server hands it over."""
    cut = [body[at : at + size] for at in range(0, len(body), size)]
    return [
        {"type": "http.request", "body": each, "more_body": number < len(cut)}
        for number, each in enumerate(cut, 1)
    ]


@pytest.mark.parametrize("size", [1, 100, LIMIT])
def test_the_proved_body_arrives_whole(size: int) -> None:
    """However it was cut; once."""
    stage = Stage()
    scope = proved("/v1/a")
    assert stage.send(scope, pieces(BODY, size)).status == 200
    assert (stage.api.bodies, stage.reasons) == ([BODY], [])
    assert stage.send(scope, pieces(BODY, size)).status == 401
    assert (stage.api.calls, stage.reasons) == (1, [Reason.PROOF_REPLAYED])


@pytest.mark.parametrize(
    "sent", [BODY[:-1], BODY + b"x", b"", BODY[::-1]], ids=["short", "long", "empty", "other"]
)
def test_another_body_never_arrives(sent: bytes) -> None:
    """It is refused before the API is called; the honest one still passes, its proof isn't spent."""
    stage = Stage()
    scope = proved("/v1/a")
    fields = [(n, v) for n, v in scope["headers"] if n != b"content-length"]
    scope["headers"] = [*fields, (b"transfer-encoding", b"chunked")]
    answer = stage.send(scope, pieces(sent) or [{"type": "http.request", "more_body": False}])
    too_large = len(sent) > LIMIT
    assert (answer.status, stage.api.calls) == (413 if too_large else 401, 0)
    assert stage.reasons == [Reason.REQUEST_BODY_TOO_LARGE if too_large else Reason.PROOF_BODY]
    assert stage.send(scope, pieces(BODY)).status == 200


def test_a_large_body_is_refused_by_its_length() -> None:
    """Not a byte of it is read."""
    stage = Stage()
    body = bytes(LIMIT + 1)

    class Unread(list[Message | None]):
        def pop(self, _at: Any = 0) -> Any:
            raise AssertionError("the body was asked for")

    assert stage.send(proved("/v1/a", body), Unread(pieces(body))).status == 413
    assert (stage.api.calls, stage.reasons) == (0, [Reason.REQUEST_BODY_TOO_LARGE])


@pytest.mark.parametrize(
    ("proved_body", "sent", "reason"),
    [
        (BODY, BODY[::-1], Reason.PROOF_BODY),
        (BODY * 9, BODY * 9, Reason.REQUEST_BODY_TOO_LARGE),
        (BODY, BODY * 9, Reason.REQUEST_BODY_TOO_LARGE),
    ],
)
def test_monitor_loses_no_byte(proved_body: bytes, sent: bytes, reason: Reason) -> None:
    """What enforce would refuse streams on whole, and is reported once."""
    stage = Stage()
    assert stage.send(proved("/watched/a", proved_body), pieces(sent)).status == 200
    assert (stage.api.bodies, stage.reasons) == ([sent], [reason])


@pytest.mark.parametrize("path", ["/v1/a", "/watched/a"])
def test_a_client_that_leaves_leaves_nothing_behind(path: str) -> None:
    """Half of a body reaches nobody; whoever still listens is told that it broke off."""
    stage = Stage()
    scope = proved(path)
    assert stage.send(scope, pieces(BODY)[:3]).status == 400
    assert stage.api.calls == 0
    assert stage.send(scope, pieces(BODY)).status == 200


@pytest.mark.parametrize(
    ("path", "status", "bodies"), [("/v1/a", 408, []), ("/watched/a", 200, [BODY])]
)
def test_a_slow_body_holds_no_memory_for_long(path: str, status: int, bodies: list[bytes]) -> None:
    """It is refused; in monitor it streams on from where it stopped, and nothing is lost."""
    stage = Stage(options={"body_patience": 0.01})
    slow = [*pieces(BODY)[:3], None, *pieces(BODY)[3:]]
    assert stage.send(proved(path), slow).status == status
    assert (stage.api.bodies, stage.reasons) == (bodies, [Reason.REQUEST_TIMEOUT])


def test_a_body_that_was_not_announced_is_never_seen() -> None:
    """A proof that covers no body lets none through, however the server came by it."""
    stage = Stage()
    stage.send(proved("/v1/a", None, "GET"), pieces(BODY))
    assert (stage.api.bodies, stage.api.gone) == ([], [True])
    assert stage.reasons == [Reason.PROOF_BODY]
    empty: list[Message | None] = [{"type": "http.request", "body": b"", "more_body": False}]
    stage.send(proved("/v1/a", None, "GET"), empty)
    assert (stage.api.bodies, stage.api.gone) == ([b""], [True, False])


def test_an_application_that_asks_again_gets_no_rest_of_such_a_body() -> None:
    """It sees a client that left, as often as it asks."""
    stage = Stage()
    seen: list[Message] = []

    async def asking(_scope: Message, receive: Any, send: Any) -> None:
        seen.extend([await receive() for _ in range(3)])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    stage.middleware._app = asking
    stage.send(proved("/v1/a", None, "GET"), pieces(BODY))
    assert seen == [{"type": "http.disconnect"}] * 3
    assert stage.reasons == [Reason.PROOF_BODY]


def test_an_empty_beginning_hides_no_body() -> None:
    """A first piece without a byte that says more is coming is a body too."""
    stage = Stage()
    begin: Message = {"type": "http.request", "body": b"", "more_body": True}
    stage.send(proved("/v1/a", None, "GET"), [begin, *pieces(BODY)])
    assert (stage.api.bodies, stage.api.gone) == ([], [True])


def test_a_body_that_trickles_is_held_no_longer_than_its_proof_lives() -> None:
    """Each piece comes in time; the whole doesn't."""

    class Later(StoppedClock):
        def timestamp(self) -> float:
            return super().timestamp() + 0.9

    stage = Stage()
    stage.middleware._timestamp = Later().timestamp
    scope = proved("/v1/a", created=NOW - 89)
    trickle: list[Message | None] = []
    for piece in pieces(BODY):
        trickle += [piece, None]
    assert stage.send(scope, trickle).status == 408
    assert (stage.api.calls, stage.reasons) == (0, [Reason.REQUEST_TIMEOUT])


def test_a_piece_that_the_server_took_already_is_not_lost() -> None:
    """In monitor the gate stops waiting for it, and the API goes on where the gate stopped."""
    stage = Stage(options={"body_patience": 0.01})
    cut = pieces(BODY)

    async def receive() -> Message:
        message = cut.pop(0) if cut else {"type": "http.disconnect"}
        if len(cut) == 6:
            await asyncio.sleep(0.05)
        assert message is not None
        return message

    async def reply(_message: Message) -> None:
        pass

    asyncio.run(stage.middleware(dict(proved("/watched/a")), receive, reply))
    assert (stage.api.bodies, stage.reasons) == ([BODY], [Reason.REQUEST_TIMEOUT])


def test_a_store_that_is_waited_for_needs_no_body() -> None:
    """In replay mode shared a request without a body waits too, for the store alone; it isn't read."""
    stage = Stage()
    stage.middleware._gate = Gate(
        published(*ROUTES, replay=ReplayMode.SHARED), shared=MemoryReplayStore()
    )
    scope = proved("/v1/a", None, "GET")
    empty: list[Message | None] = [{"type": "http.request", "body": b"", "more_body": False}]
    assert [stage.send(scope, empty).status for _ in range(2)] == [200, 401]
    assert stage.api.bodies == [b""]
    posted_ = proved("/v1/a")
    assert [stage.send(posted_, pieces(BODY)).status for _ in range(2)] == [200, 401]
    assert stage.reasons == [Reason.PROOF_REPLAYED] * 2


def test_what_was_handed_on_takes_no_room() -> None:
    """An API that takes its time over an answer keeps nobody else's body out."""
    stage = Stage()
    held: list[int] = []

    async def slow(_scope: Message, receive: Any, send: Any) -> None:
        held.append(len(stage.middleware._held))
        await receive()
        held.append(len(stage.middleware._held))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    stage.middleware._app = slow
    assert stage.send(proved("/v1/a"), pieces(BODY)).status == 200
    assert held == [len(BODY), 0]


def test_a_server_that_fails_while_a_body_arrives() -> None:
    """Whatever it raises, the API isn't called."""
    stage = Stage()
    answer = stage.send(proved("/v1/a"), [{"type": "http.request", "body": 7, "more_body": True}])
    assert (answer.status, stage.api.calls, stage.reasons) == (500, 0, [Reason.GATE_INTERNAL])


def test_bodies_that_no_proof_covers_stream() -> None:
    """A bearer route holds nothing, whatever its size."""
    stage = Stage()
    scope = http_scope("/open/a", method="POST", token=token())
    assert stage.send(scope, pieces(BODY * 50)).status == 200
    assert stage.api.bodies == [BODY * 50]


def test_a_spent_rate_says_when_to_come_back() -> None:
    """429 with Retry-After."""
    stage = Stage(policy={"rate": Rate(1, 60)})
    scope = http_scope("/open/a", token=token())
    empty: list[Message | None] = [{"type": "http.request", "body": b"", "more_body": False}]
    assert stage.send(scope, empty).status == 200
    refused = stage.send(scope, empty)
    assert (refused.status, refused.headers[b"retry-after"]) == (429, b"60")
    assert json.loads(refused.body)["type"].endswith("rate-limited")


def test_answers_carry_the_nonces_of_affine() -> None:
    """A refusal for want of one does, and so does a request that monitor lets pass."""
    stage = Stage(policy={"replay": ReplayMode.AFFINE})
    empty: list[Message | None] = [{"type": "http.request", "body": b"", "more_body": False}]
    refused = stage.send(proved("/v1/a", None, "GET"), empty)
    nonce = refused.headers[b"watchword-nonce"]
    assert (refused.status, len(nonce)) == (401, 30)
    watched = stage.send(proved("/watched/a", None, "GET"), empty)
    assert (watched.status, watched.headers[b"watchword-nonce"]) == (200, nonce)
    own = nonce.decode() + hashlib.sha256(b"own").hexdigest()[:16]
    passed = stage.send(proved("/v1/a", None, "GET", nonce=own), empty)
    assert (passed.status, passed.headers) == (200, {})


class Room:
    """Send bodies that stop half way, all at once, and see what is held."""

    def __init__(self, max_held: int) -> None:
        """Put a gate with little room in front."""
        self.stage = Stage(options={"max_held": max_held})

    def send(self, scopes: Sequence[Message]) -> tuple[list[int], int]:
        """Return the statuses of all, and how many bytes were held while they waited."""
        statuses: list[int] = []
        held = 0

        async def one(scope: Message, open_: asyncio.Event) -> None:
            cut = pieces(BODY, 500)

            async def receive() -> Message:
                if len(cut) == 1:
                    await open_.wait()
                message = cut.pop(0) if cut else {"type": "http.disconnect"}
                assert message is not None
                return message

            async def reply(message: Message) -> None:
                if message["type"] == "http.response.start":
                    statuses.append(message["status"])

            await self.stage.middleware(dict(scope), receive, reply)

        async def all_of_them() -> None:
            nonlocal held
            open_ = asyncio.Event()
            tasks = [asyncio.create_task(one(scope, open_)) for scope in scopes]
            for _ in range(20):
                await asyncio.sleep(0)
            held = len(self.stage.middleware._held)
            open_.set()
            await asyncio.gather(*tasks)

        asyncio.run(all_of_them())
        return statuses, held


def phones(count: int) -> list[Prover]:
    """Return instances with tokens of their own."""
    return [Prover(token(subject=f"subject-{number}")) for number in range(count)]


def posted(phone: Prover, path: str = "/v1/a") -> Message:
    """Return the scope of a request with a body."""
    fields = phone.session(target=path, body=BODY, method="POST")
    return http_scope(path, method="POST") | {"headers": fields}


def test_all_bodies_together_have_a_bound() -> None:
    """A thousand halves at once: what there is no room for is refused; then all of it is free again."""
    room = Room(16 * LIMIT)
    statuses, held = room.send([posted(phone) for phone in phones(1000)])
    assert held <= 16 * LIMIT
    assert statuses.count(200) >= 16
    assert statuses.count(503) == 1000 - statuses.count(200)
    assert set(room.stage.reasons) == {Reason.GATE_OVERLOADED}
    assert len(room.stage.middleware._held) == 0
    assert room.send([posted(phone) for phone in phones(5)])[0] == [200] * 5


def test_one_instance_does_not_keep_the_room_of_others() -> None:
    """One proof begins any number of bodies, since it isn't spent before one of them is whole."""
    room = Room(32 * LIMIT)
    copies = [posted(PHONE)] * 100
    statuses, held = room.send([*copies, *(posted(phone) for phone in phones(10))])
    assert held <= 2 * LIMIT + 10 * 500
    assert statuses.count(200) == 11
    assert room.stage.api.bodies == [BODY] * 11


def test_monitor_streams_on_where_there_is_no_room() -> None:
    """Nobody is refused there; what wasn't held goes to the API unvouched."""
    room = Room(0)
    statuses, held = room.send([posted(phone, "/watched/a") for phone in phones(4)])
    assert (statuses, room.stage.api.bodies) == ([200] * 4, [BODY] * 4)
    assert held <= LIMIT
    assert Reason.GATE_OVERLOADED in room.stage.reasons


def test_the_largest_body_always_has_room() -> None:
    """A route may take bodies that are larger than the bound: one at a time."""
    stage = Stage(options={"max_held": 1})
    for _ in range(3):
        assert stage.send(proved("/v1/a"), pieces(BODY)).status == 200


class LeapingLoop(asyncio.SelectorEventLoop):
    """Be an event loop whose clock the test sets forward."""

    ahead = 0.0

    def time(self) -> float:
        """Return the loop's time and what was leapt over."""
        return super().time() + self.ahead


@dataclass
class Crowd:
    """Send bodies of which most fall silent, under a clock that leaps."""

    stage: Stage
    loop: LeapingLoop = field(default_factory=LeapingLoop)
    statuses: dict[str, list[int]] = field(default_factory=dict)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def begin(self, who: str, scope: Message, cut: Sequence[Message | None]) -> None:
        """Send pieces, and nothing after them."""
        left = list(cut)
        statuses = self.statuses.setdefault(who, [])

        async def receive() -> Message:
            if not left:
                await self.loop.create_future()
            message = left.pop(0)
            assert message is not None
            return message

        async def reply(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        work = self.stage.middleware(dict(scope), receive, reply)
        self.tasks.append(self.loop.create_task(work))

    async def flush(self) -> None:
        """Let all that can go on go on."""
        for _ in range(50):
            await asyncio.sleep(0)

    def later(self, seconds: float) -> None:
        """Set the clock forward, and let what it was for happen."""
        self.loop.run_until_complete(self.flush())
        self.loop.ahead += seconds
        self.loop.run_until_complete(asyncio.sleep(0.001))
        self.loop.run_until_complete(self.flush())

    def end(self) -> None:
        """Let go of all."""
        for task in self.tasks:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*self.tasks, return_exceptions=True))
        self.loop.close()


def test_a_crowd_that_falls_silent_keeps_nobody_out() -> None:
    """17 instances with 16 bodies each, all but a byte of them sent, hold all there is; another's body is served."""
    crowd = Crowd(Stage(options={"max_held": 256 * LIMIT, "body_patience": 600.0}))
    for phone in phones(17):
        for _ in range(16):
            crowd.begin("idle", posted(phone), pieces(BODY, LIMIT - 1)[:1])
    crowd.later(0)
    assert len(crowd.stage.middleware._held) > 255 * LIMIT
    crowd.begin("early", posted(Prover(token(subject="early"))), pieces(BODY))
    # Nobody is idle yet: who comes now is told to come again.
    crowd.later(2)
    assert crowd.statuses["early"] == [503]
    for number in range(20):
        name = f"genuine-{number}"
        crowd.begin(name, posted(Prover(token(subject=name))), pieces(BODY))
        crowd.later(0)
        assert crowd.statuses[name] == [200]
    # Idle ones went for them and no others: each of these has a body's room now.
    assert crowd.statuses["idle"] == [503] * len(crowd.statuses["idle"])
    assert 0 < len(crowd.statuses["idle"]) <= 17 + 20
    assert set(crowd.stage.reasons) == {Reason.GATE_OVERLOADED}
    crowd.end()
    assert len(crowd.stage.middleware._held) == 0


def test_a_body_has_a_least_pace() -> None:
    """Silent or by the byte, it holds memory for ten seconds; at 8 KiB in that time it may go on."""
    size = 64 * 1024
    routes = (route("/v1/**", proof=Proof.SESSION, max_body=size),)
    stage = Stage()
    stage.middleware = WatchwordMiddleware(
        stage.api,
        gate=Gate(
            published(*routes, replay=ReplayMode.LOCAL),
            memory=MemoryReplayStore(),
            entropy=SystemEntropy(),
        ),
        refusal_log=stage.log,
        clock=StoppedClock(),
    )
    crowd = Crowd(stage)
    body = bytes(size)
    fields = PHONE.session(target="/v1/a", body=body, method="POST")
    scope = http_scope("/v1/a", method="POST") | {"headers": fields}
    arriving: dict[str, asyncio.Queue[bytes]] = {"slow": asyncio.Queue(), "paced": asyncio.Queue()}

    def begin(who: str) -> None:
        statuses = crowd.statuses.setdefault(who, [])

        async def receive() -> Message:
            piece = await arriving[who].get()
            return {"type": "http.request", "body": piece, "more_body": True}

        async def reply(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        crowd.tasks.append(crowd.loop.create_task(stage.middleware(dict(scope), receive, reply)))

    for who in arriving:
        begin(who)
    for _ in range(5):
        crowd.later(4)
        arriving["slow"].put_nowait(b"x")
        arriving["paced"].put_nowait(bytes(8 * 1024))
    crowd.later(0)
    assert (crowd.statuses, stage.reasons) == (
        {"slow": [408], "paced": []},
        [Reason.REQUEST_TIMEOUT],
    )
    crowd.later(11)
    assert crowd.statuses["paced"] == [408]
    crowd.end()


@dataclass(eq=False)
class IdleBody:
    """Be a body that is held, and idle for so long."""

    memory: HeldMemory
    holder: str
    size: int
    seconds: float
    evicted: bool = False

    def idle(self) -> float:
        """Return for how long."""
        return self.seconds

    def evict(self) -> None:
        """Give back what it holds."""
        self.evicted = True
        self.memory.give_back(self.holder, self.size, self)

    def take(self) -> bool:
        """Ask for room."""
        return self.memory.take(self.holder, self.size, 160, self)


def test_who_makes_room_for_others() -> None:
    """The idlest of whoever holds most; of who holds less one that is long idle; never an active one, nor more than needed."""
    memory = HeldMemory(1000)
    held = [
        IdleBody(memory, name, size, idle)
        for name, size, idle in (
            *((f"greedy-{number}", 80, 2.0 + slower) for number in range(6) for slower in (0, 1)),
            ("tunnel", 40, 2.5),
        )
    ]
    assert all(each.take() for each in held)
    assert IdleBody(memory, "a", 80, 0).take()
    gone = [each for each in held if each.evicted]
    assert [(each.holder[:6], each.seconds) for each in gone] == [("greedy", 3.0)]
    # More than a holder's share is refused, whoever is idle.
    assert not IdleBody(memory, "a", 100, 0).take()
    assert len([each for each in held if each.evicted]) == 1
    for each in held:
        each.seconds = 0.5
    assert not IdleBody(memory, "b", 160, 0).take()
    held[-1].seconds = 2.5
    assert not IdleBody(memory, "b", 160, 0).take()
    for each in held:
        each.seconds = 3.5
    assert IdleBody(memory, "b", 160, 0).take()
    assert not held[-1].evicted
    assert len(memory) <= 1000


def test_the_reproduction_over_sockets() -> None:
    """Connections that hold idle bodies at a real server: a genuine client that comes again is served."""
    api = Reader()
    gate = Gate(published(*ROUTES), memory=MemoryReplayStore(), entropy=SystemEntropy())
    guarded = WatchwordMiddleware(
        api,
        gate=gate,
        clock=StoppedClock(),
        max_held=32 * LIMIT,
        body_patience=3600.0,
    )

    def request(phone: Prover) -> bytes:
        fields = phone.session(target="/v1/a", body=BODY, method="POST")
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in fields)
        return b"POST /v1/a HTTP/1.1\r\n" + lines + b"Connection: close\r\n\r\n"

    async def scenario() -> int:
        server = HttpServer(guarded)
        await server.start()
        opened = []
        try:
            for phone in phones(17):
                for _ in range(2):
                    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                    writer.write(request(phone) + BODY[:-1])
                    opened.append((reader, writer))
            for _ in range(6000):
                if len(guarded._held) > 31 * LIMIT:
                    break
                await asyncio.sleep(0.01)
            # As long as it is told to come again; nobody who is idle gives up by himself.
            for _ in range(600):
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                opened.append((reader, writer))
                writer.write(request(Prover(token(subject="genuine"))) + BODY)
                status = int((await reader.readuntil(b"\r\n")).split()[1])
                if status != 503:
                    return status
                await asyncio.sleep(0.1)
            return 503
        finally:
            for _, writer in opened:
                writer.close()
            await server.stop()

    assert asyncio.run(scenario()) == 200
    assert api.bodies == [BODY]
