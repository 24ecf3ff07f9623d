"""Show that behind WSGI, too, a body reaches the API only as the whole that its proof covers."""

import io
import threading
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.apps.asgi_client import http_scope
from tests.unit.apps.test_middleware import ListedRefusals, StoppedClock
from tests.unit.apps.wsgi_client import Answer, Environ, RecordedRequests, call, environ_of
from tests.unit.gate.proofs import Prover
from tests.unit.gate.simulators import published, route, token

from watchword.adapters.replay import MemoryReplayStore
from watchword.apps.gateway import WatchwordWsgiMiddleware
from watchword.apps.gateway.guard import HeldMemory
from watchword.apps.gateway.wsgi import PIECE_BYTES, HeldInput, SharedMemory
from watchword.gate.service import Gate
from watchword.reasons import Reason
from watchword.vocabulary import Mode, Proof, ReplayMode

LIMIT = 1000
ROUTES = (
    route("/v1/**", proof=Proof.SESSION, max_body=LIMIT),
    route("/large/**", proof=Proof.SESSION, max_body=10 * PIECE_BYTES),
    route("/watched/**", proof=Proof.SESSION, max_body=LIMIT, mode=Mode.MONITOR),
    route("/open/**"),
)
BODY = bytes(range(200)) * 5


class OpenEnd(io.BytesIO):
    """Be a connection that stays open: whoever reads on behind the body would wait for ever."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Return what is there; refuse to be read beyond it."""
        if size is None or size < 0 or self.tell() + size > len(self.getvalue()):
            raise AssertionError("the next request was read")
        return super().read(size)


class Stage:
    """Hold a guarded application, and send it requests with bodies."""

    def __init__(self, replay: ReplayMode = ReplayMode.LOCAL, **options: Any) -> None:
        """Put the middleware in front."""
        self.app, self.log = RecordedRequests(), ListedRefusals()
        gate = Gate(
            published(*ROUTES, replay=replay),
            memory=MemoryReplayStore(),
            shared=MemoryReplayStore(),
        )
        self.middleware = WatchwordWsgiMiddleware(
            self.app, gate=gate, refusal_log=self.log, clock=StoppedClock(), **options
        )

    def send(self, environ: Environ, stream: Any = None) -> Answer:
        """Send a request; ``stream`` is in place of its body."""
        return call(
            self.middleware, environ if stream is None else environ | {"wsgi.input": stream}
        )

    @property
    def reasons(self) -> list[Reason]:
        """Return what was refused."""
        return [reason for reason, _ in self.log.seen]


def proved(path: str = "/v1/a", body: bytes = BODY, sent: bytes | None = None) -> Environ:
    """Return a request whose proof covers ``body``; ``sent`` is what is there, if it isn't that."""
    fields = Prover().session(target=path, body=body, method="POST")
    scope = http_scope(path, method="POST") | {"headers": fields}
    return environ_of(scope, body if sent is None else sent)


def in_chunks(environ: Environ) -> Environ:
    """Return the same request, its body sent in chunks, which the server takes apart."""
    left = {name: value for name, value in environ.items() if name != "CONTENT_LENGTH"}
    return left | {"HTTP_TRANSFER_ENCODING": "chunked"}


@pytest.mark.parametrize("replay", [ReplayMode.LOCAL, ReplayMode.SHARED])
def test_the_proved_body_arrives_whole(replay: ReplayMode) -> None:
    """Once; a copy is refused."""
    stage = Stage(replay)
    environ = proved()
    assert [stage.send(environ, io.BytesIO(BODY)).status for _ in range(2)] == [200, 401]
    assert (stage.app.bodies, stage.reasons) == ([BODY], [Reason.PROOF_REPLAYED])


def test_a_large_body_arrives_whole() -> None:
    """Of many pieces."""
    stage, body = Stage(), bytes(range(256)) * (PIECE_BYTES // 64)
    assert stage.send(proved("/large/a", body)).status == 200
    assert stage.app.bodies == [body]


def test_nothing_is_read_beyond_the_length() -> None:
    """What follows on the connection is the next request."""
    stage = Stage()
    environ = proved() | {"wsgi.input_terminated": False}
    assert stage.send(environ, OpenEnd(BODY)).status == 200
    assert stage.app.bodies == [BODY]


def test_chunks_arrive_with_their_length() -> None:
    """Frameworks that read no chunks read the body all the same."""
    stage = Stage()
    assert stage.send(in_chunks(proved())).status == 200
    (seen,) = stage.app.seen
    assert (seen["CONTENT_LENGTH"], "HTTP_TRANSFER_ENCODING" in seen) == (str(len(BODY)), False)
    assert stage.app.bodies == [BODY]


@pytest.mark.parametrize("path", ["/v1/a", "/open/a", "/watched/a"])
def test_chunks_of_which_nobody_knows_the_end(path: str) -> None:
    """A server that doesn't take them apart: whoever reads them could read the next request."""
    stage = Stage()
    environ = in_chunks(proved(path)) | {"wsgi.input_terminated": False}
    assert stage.send(environ, OpenEnd(b"")).status == 400
    assert (stage.app.seen, stage.reasons) == ([], [Reason.REQUEST_FRAMING])


@pytest.mark.parametrize("body", [BODY[::-1], BODY[:-1] + b"x"])
@pytest.mark.parametrize("chunked", [False, True])
def test_another_body_is_refused(body: bytes, *, chunked: bool) -> None:
    """Its digest isn't the one that was signed."""
    stage = Stage()
    environ = proved(sent=body)
    assert stage.send(in_chunks(environ) if chunked else environ).status == 401
    assert (stage.app.seen, stage.reasons) == ([], [Reason.PROOF_BODY])


def test_a_body_that_breaks_off_reaches_nobody() -> None:
    """Half of it is for nobody, and the proof isn't spent."""
    stage = Stage()
    environ = proved()
    assert stage.send(environ, io.BytesIO(BODY[:-1])).status == 400
    assert stage.send(environ, io.BytesIO(BODY)).status == 200
    assert (stage.app.bodies, len(stage.middleware._held)) == ([BODY], 0)


class Failing(io.RawIOBase):
    """Be a connection that breaks, or a server that does."""

    def __init__(self, error: Exception) -> None:
        """Raise this at the first read."""
        self._error = error

    def read(self, _size: int = -1, /) -> bytes:
        """Fail."""
        raise self._error


@pytest.mark.parametrize(
    ("error", "status"),
    [(ConnectionResetError(), 400), (OSError("bad chunk"), 400), (ValueError("v"), 500)],
    ids=repr,
)
@pytest.mark.parametrize("path", ["/v1/a", "/watched/a"])
def test_a_server_that_fails_while_a_body_arrives(path: str, error: Exception, status: int) -> None:
    """Whatever it raises, the API isn't called, and no text of it is told."""
    stage = Stage()
    answer = stage.send(proved(path), Failing(error))
    assert (answer.status, stage.app.seen) == (status, [])
    assert b"bad chunk" not in answer.body


def test_a_body_that_announces_too_much_is_not_read() -> None:
    """Its length says enough."""
    stage = Stage()
    environ = proved(body=b"x" * (LIMIT + 1))
    assert stage.send(environ, OpenEnd(b"")).status == 413
    assert stage.reasons == [Reason.REQUEST_BODY_TOO_LARGE]


def test_a_body_that_grows_too_large_is_read_no_further() -> None:
    """One byte more than the limit shows it."""
    stage = Stage()
    stream = io.BytesIO(b"x" * 10 * LIMIT)
    assert stage.send(in_chunks(proved(body=b"x" * 10 * LIMIT)), stream).status == 413
    assert (stream.tell(), stage.app.seen) == (LIMIT + 1, [])


def test_monitor_hands_on_what_it_could_not_hold() -> None:
    """What was read and the rest behind it, to the byte, and never beyond its end."""
    stage, body = Stage(), bytes(range(256)) * 100
    environ = proved("/watched/a", body) | {"wsgi.input_terminated": False}
    environ["wsgi.input"] = stream = OpenEnd(body)
    read: list[bytes] = []

    def reader(seen: Environ, start: Any) -> Iterable[bytes]:
        assert stream.tell() == LIMIT + 1
        source = seen["wsgi.input"]
        read.extend([source.read(10), source.readline(), source.read(2000), *source])
        start("200 OK", [])
        return []

    stage.middleware._app = reader
    assert stage.send(environ).status == 200
    assert (b"".join(read), stage.reasons) == (body, [Reason.REQUEST_BODY_TOO_LARGE])


def test_a_body_that_was_not_announced_stays_outside() -> None:
    """Over HTTP/2 there may be one; the proof covers none."""
    stage = Stage()
    fields = Prover().session(target="/v1/a")
    environ = environ_of(http_scope("/v1/a") | {"headers": fields}, b"smuggled")
    assert stage.send(environ).status == 200
    assert stage.app.bodies == [b""]


def test_bodies_that_no_proof_covers_stream() -> None:
    """A bearer route holds nothing, whatever its size: the application gets the server's own stream."""
    stage = Stage()
    length = (b"content-length", str(50 * len(BODY)).encode())
    scope = http_scope("/open/a", method="POST", token=token(), headers=[length])
    environ = environ_of(scope, BODY * 50)
    assert stage.send(environ).status == 200
    assert stage.app.seen[0]["wsgi.input"] is environ["wsgi.input"]
    assert stage.app.bodies == [BODY * 50]


def held(
    stream: Any, length: int | None, *, until: float = 60.0, ticks: Iterable[float] = ()
) -> HeldInput:
    """Return what reads a body; the clock shows one tick after the other."""
    clock = iter(ticks)
    return HeldInput(
        stream,
        length=length,
        limit=LIMIT,
        until=until,
        timestamp=lambda: next(clock, 0.0),
        memory=HeldMemory(16 * LIMIT),
        holder="i",
    )


def test_a_body_that_takes_longer_than_its_proof() -> None:
    """It is given up between two pieces."""
    refusal = held(io.BytesIO(BODY), None, until=60.0, ticks=[0.0, 60.0]).read()
    assert refusal is not None
    assert refusal.reason is Reason.REQUEST_TIMEOUT


def test_a_body_that_comes_by_the_byte() -> None:
    """It holds a thread and memory for ten seconds, however long its proof lives; one at a pace is read whole."""

    class Dripping(io.BytesIO):
        def read(self, most: int | None = -1, /) -> bytes:
            return super().read(min(100, most or 0))

    slow = held(Dripping(BODY), len(BODY), until=600.0, ticks=range(60)).read()
    assert slow is not None
    assert slow.reason is Reason.REQUEST_TIMEOUT
    paced = (number / 2 for number in range(60))
    assert held(Dripping(BODY), len(BODY), until=600.0, ticks=paced).read() is None


@given(st.binary(max_size=3 * LIMIT), st.integers(1, 200), st.booleans())
def test_whatever_was_read_is_handed_on(body: bytes, size: int, chunked: bool) -> None:
    """As a whole, or as its begin and its rest."""

    class Slow(io.BytesIO):
        def read(self, most: int | None = -1, /) -> bytes:
            return super().read(min(size, most or 0))

    reading = held(Slow(body), None if chunked else len(body))
    refusal = reading.read()
    assert (refusal is None) is reading.complete is (len(body) <= LIMIT)
    assert (reading.whole() if reading.complete else reading.begun()).read() == body


def test_all_threads_together_have_a_bound() -> None:
    """While one holds all the room, another is told to come back; then all of it is free again."""
    stage = Stage(max_held=LIMIT)
    holding, leave = threading.Event(), threading.Event()

    class Halting(io.BytesIO):
        def read(self, most: int | None = -1, /) -> bytes:
            if self.tell() > 0:
                holding.set()
                leave.wait()
            return super().read(min(600, most or 0))

    first = threading.Thread(target=stage.send, args=[proved(), Halting(BODY)])
    first.start()
    assert holding.wait(30)
    fields = Prover(token(subject="another")).session(target="/v1/a", body=BODY, method="POST")
    scope = http_scope("/v1/a", method="POST") | {"headers": fields}
    refused = stage.send(environ_of(scope, BODY))
    leave.set()
    first.join()
    assert (refused.status, refused.headers["retry-after"]) == (503, "5")
    assert stage.reasons == [Reason.GATE_OVERLOADED]
    assert stage.send(environ_of(scope, BODY)).status == 200
    assert (stage.app.bodies, len(stage.middleware._held)) == ([BODY, BODY], 0)


def test_counting_by_many_threads_loses_nothing() -> None:
    """All that was taken is given back."""
    memory = SharedMemory(10**9)

    def work() -> None:
        for _ in range(2000):
            memory.take("i", 3, 10**9)
            memory.give_back("i", 3)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(memory) == 0
