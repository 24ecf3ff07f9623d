"""Test that fetching pins is bounded, whatever the other side does."""

import threading
from collections.abc import Iterator

import httpx
import pytest

from watchword.client.pinning import HttpPinSource, SourceError
from watchword.client.pinning.installation import MAX_SECONDS
from watchword.pins.interface import MAX_SET_BYTES


class Ticking:
    """Be a clock that goes on by a step each time it's looked at."""

    def __init__(self, step: float) -> None:
        self.step = step
        self.at = 0.0

    def __call__(self) -> float:
        """Return the time."""
        self.at += self.step
        return self.at


class NoDeadline(httpx.SyncByteStream):
    """Send bytes for ever."""

    def __init__(self, chunk: bytes) -> None:
        self.chunk = chunk
        self.sent = 0

    def __iter__(self) -> Iterator[bytes]:
        while True:
            self.sent += len(self.chunk)
            yield self.chunk


def source(answer: httpx.Response | Exception, step: float = 0.0) -> HttpPinSource:
    """Return a source whose service gives this answer."""

    def handle(_request: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    transport = httpx.MockTransport(handle)
    url = "https://attest.example"
    return HttpPinSource(url, "clinic", monotonic=Ticking(step), transport=transport)


def test_it_asks_as_the_service_is_asked() -> None:
    """Paths, the escaped name of the app, and the ETag of the set that is there."""
    seen = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append((request.url.raw_path, request.headers.get("if-none-match")))
        if b"roots" in request.url.raw_path:
            return httpx.Response(404)
        if request.headers.get("if-none-match"):
            return httpx.Response(304)
        return httpx.Response(200, content=b"set", headers={"etag": '"7"'})

    transport = httpx.MockTransport(handle)
    asking = HttpPinSource(
        "https://attest.example", "a/b", monotonic=Ticking(0), transport=transport
    )
    assert asking.roots(2) is None
    fetched = asking.newest(None)
    assert fetched is not None
    assert (fetched.data, fetched.etag) == (b"set", '"7"')
    assert asking.newest('"7"') is None
    asking.close()
    assert seen == [
        (b"/v1/pins/a%2Fb/roots/2", None),
        (b"/v1/pins/a%2Fb", None),
        (b"/v1/pins/a%2Fb", '"7"'),
    ]


def test_an_endless_answer_ends_at_its_bound() -> None:
    """Neither memory nor time goes beyond what a set may have."""
    stream = NoDeadline(b"x" * 65536)
    with pytest.raises(SourceError, match="bytes"):
        source(httpx.Response(200, stream=stream)).newest(None)
    assert stream.sent <= MAX_SET_BYTES + 65536


def test_an_answer_in_drops_ends_in_time() -> None:
    """A byte now and then isn't waited for longer than for silence."""
    stream = NoDeadline(b"x")
    with pytest.raises(SourceError, match="no whole answer"):
        source(httpx.Response(200, stream=stream), step=1.0).newest(None)
    assert stream.sent <= MAX_SECONDS + 1


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500),
        httpx.Response(301, headers={"location": "https://elsewhere.example/"}),
        httpx.Response(200, content=b"", headers={"content-encoding": "gzip"}),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("silence"),
    ],
)
def test_every_failure_is_one_of_the_source(answer: httpx.Response | Exception) -> None:
    """Errors, redirects and compressed answers give no pins and no error of another kind."""
    with pytest.raises(SourceError):
        source(answer).newest(None)


def test_a_service_that_never_ends_its_headers_is_left_behind() -> None:
    """A byte now and then keeps httpx waiting for ever; an update goes on, and starts no second fetch beside the first."""
    ended = threading.Event()
    asked: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        ended.wait()
        return httpx.Response(404)

    asking = HttpPinSource(
        "https://attest.example",
        "clinic",
        monotonic=Ticking(0),
        transport=httpx.MockTransport(handle),
        seconds=0.05,
    )
    try:
        with pytest.raises(SourceError, match="no whole answer"):
            asking.roots(2)
        with pytest.raises(SourceError, match="earlier fetch"):
            asking.newest(None)
        assert len(asked) == 1
    finally:
        ended.set()
