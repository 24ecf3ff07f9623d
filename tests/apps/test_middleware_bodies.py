"""Show that a body reaches the API only as the whole that its proof covers."""

import asyncio
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.apps.asgi_client import Answer, Message, http_scope
from tests.apps.test_middleware import ListedRefusals, StoppedClock
from tests.gate.proving import Prover
from tests.gate.simulators import NOW, published, route, token

from watchword.adapters.entropy import SystemEntropy
from watchword.adapters.replay import MemoryReplayStore
from watchword.apps.middleware import WatchwordMiddleware
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
