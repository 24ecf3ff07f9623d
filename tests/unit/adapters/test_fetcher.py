"""Fetch over real connections on loopback: from good servers, and from everything else."""

import asyncio
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from tests.unit.adapters.loopback import Answer, response, self_signed, serving

from watchword.adapters.fetcher import HttpxFetcher, _headers
from watchword.ports import FetchRequest, FetchResponse
from watchword.reasons import Reason, UnavailableError

SECRET = "do-not-tell"  # Stands for a bearer token or a receipt.


def fetched(
    answer: Answer,
    fetcher: HttpxFetcher | None = None,
    *,
    tls: ssl.SSLContext | None = None,
    request: FetchRequest | None = None,
) -> FetchResponse:
    """Return the answer of one exchange."""
    fetcher = fetcher or HttpxFetcher(total_seconds=5)

    async def exchange() -> FetchResponse:
        async with serving(answer, tls) as origin:
            wanted = request or FetchRequest(
                "GET", f"{origin}/status?key={SECRET}", {"authorization": SECRET}
            )
            try:
                return await fetcher.fetch(wanted)
            finally:
                await fetcher.aclose()

    return asyncio.run(exchange())


def refused(call: Callable[[], object]) -> str:
    """Return why there was no answer, and see to it that no secret is told."""
    with pytest.raises(UnavailableError) as caught:
        call()
    assert caught.value.reason is Reason.VENDOR_UNAVAILABLE
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value.detail


def says(data: bytes) -> Answer:
    """Return an answer of fixed bytes."""

    async def answer(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(data)

    return answer


def test_answer_comes_back_whole() -> None:
    """Status, headers in lower case and body are those that were sent, and so is the request."""
    heads = []

    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        heads.append(head)
        writer.write(response(b"body", 'ETag: "a"', "X-Two: 1", "X-Two: 2"))

    got = fetched(answer)
    assert (got.status, got.body) == (200, b"body")
    assert got.headers["etag"] == '"a"'
    assert got.headers["x-two"] == "1, 2"
    assert heads[0].startswith(f"GET /status?key={SECRET} HTTP/1.1\r\n".encode())
    assert b"authorization: do-not-tell" in heads[0].lower()
    assert b"accept-encoding: identity" in heads[0].lower()
    assert SECRET not in repr(FetchRequest("GET", "https://a", {"authorization": SECRET}, b"x"))


def test_thousands_of_headers_take_no_time() -> None:
    """Each is read once: a server that sends many holds up nobody else."""
    lines = [f"x{number}: a" for number in range(5000)]
    got = fetched(says(response(b"", *lines)))
    assert len(got.headers) >= 5000
    named = httpx.Headers([(f"x{number}", "a") for number in range(10_000)])
    started = time.process_time()
    assert len(_headers(named)) == 10_000
    assert time.process_time() - started < 1


def test_body_is_sent() -> None:
    """A POST carries its body."""
    heads = []

    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        heads.append(head)
        writer.write(response(b""))

    async def exchange() -> None:
        fetcher = HttpxFetcher()
        async with serving(answer) as origin:
            await fetcher.fetch(FetchRequest("POST", origin, body=b"receipt"))
        await fetcher.aclose()

    asyncio.run(exchange())
    assert b"content-length: 7" in heads[0].lower()


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "404 Not Found"])
def test_redirects_and_errors_are_handed_back(status: str) -> None:
    """Nothing is followed: whoever asked decides."""
    requests = []

    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        requests.append(head)
        writer.write(response(b"", "location: https://evil.example/", status=status))

    got = fetched(answer)
    assert got.status == int(status[:3])
    assert len(requests) == 1


def test_cookies_are_not_kept() -> None:
    """What one answer sets doesn't go out with the next request."""
    heads = []

    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        heads.append(head)
        writer.write(response(b"", "set-cookie: session=1; path=/"))

    async def twice() -> None:
        fetcher = HttpxFetcher()
        async with serving(answer) as origin:
            await fetcher.fetch(FetchRequest("GET", origin))
            await fetcher.fetch(FetchRequest("GET", origin))
        await fetcher.aclose()

    asyncio.run(twice())
    assert len(heads) == 2
    assert b"cookie" not in heads[1].lower()


def test_endless_body_is_cut_off() -> None:
    """A server that sends for ever is given up at the cap, with little of it in memory."""
    sent = 0

    async def answer(_head: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(bytes(65536))
            await writer.drain()
            sent += 65536

    detail = refused(lambda: fetched(answer, HttpxFetcher(max_body_bytes=100_000)))
    assert detail == "127.0.0.1: sent more than 100000 bytes"
    assert sent < 10_000_000


def test_body_of_exactly_the_cap_passes() -> None:
    """The cap is the most that is accepted, and one byte more isn't."""
    assert fetched(says(response(bytes(1000))), HttpxFetcher(max_body_bytes=1000)).body == bytes(
        1000
    )
    refused(lambda: fetched(says(response(bytes(1001))), HttpxFetcher(max_body_bytes=1000)))


def test_body_that_unfolds_is_refused() -> None:
    """A compressed answer, which wasn't asked for, isn't unfolded."""
    detail = refused(lambda: fetched(says(response(b"x", "content-encoding: gzip"))))
    assert "coding" in detail


@pytest.mark.parametrize("pause", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n"])
def test_slow_server_ends_in_time(pause: bytes) -> None:
    """A byte now and then keeps no exchange alive beyond the whole time it may take."""
    sent = 0

    async def answer(_head: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(pause)
        while True:
            writer.write(b"x")
            await writer.drain()
            sent += 1
            await asyncio.sleep(0.02)

    refused(lambda: fetched(answer, HttpxFetcher(total_seconds=0.3)))
    assert sent < 50


def test_silent_server_ends_in_time() -> None:
    """A server that accepts and says nothing is given up."""

    async def answer(_head: bytes, _writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    detail = refused(lambda: fetched(answer, HttpxFetcher(total_seconds=0.2)))
    assert "127.0.0.1" in detail


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"HTTP/1.1 twohundred OK\r\n\r\n",
        b"\x00\xff" * 400,
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 100_000,
    ],
)
def test_broken_answers_are_none(data: bytes) -> None:
    """Half an answer, or what isn't HTTP, is an error of ours."""
    assert refused(lambda: fetched(says(data))).startswith("127.0.0.1: ")


def test_reset_connection() -> None:
    """A connection that is torn down is an error of ours."""

    async def answer(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    assert refused(lambda: fetched(answer)).startswith("127.0.0.1: ")


def test_nobody_listens() -> None:
    """A closed port is an error of ours."""

    async def exchange() -> None:
        async with serving(says(b"")) as origin:
            pass
        await HttpxFetcher().fetch(FetchRequest("GET", origin))

    assert refused(lambda: asyncio.run(exchange())) == "127.0.0.1: ConnectError"


def test_certificate_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    """TLS without a known authority gets not even the request; with it, it is answered."""
    context, chain = self_signed(tmp_path)
    heads = []

    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        heads.append(head)
        writer.write(response(b"good"))

    assert refused(lambda: fetched(answer, tls=context)) == "127.0.0.1: ConnectError"
    assert heads == []
    known = HttpxFetcher(tls=ssl.create_default_context(cafile=chain))
    assert fetched(answer, known, tls=context).body == b"good"


@pytest.mark.parametrize(
    "url",
    [
        "http://android.googleapis.com/attestation/status",
        "http://127.0.0.1.evil.example/",
        "http://localhost.evil.example/",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "https://user:do-not-tell@vendor.example/",
        "https://[::1/",
        "//127.0.0.1/",
        "",
    ],
)
def test_urls_that_are_not_spoken_to(url: str) -> None:
    """Without TLS nobody but loopback is asked, and a password in a URL isn't sent."""
    why = refused(lambda: asyncio.run(HttpxFetcher().fetch(FetchRequest("GET", url))))
    assert why != ""


def test_headers_that_would_split_the_request_are_not_sent() -> None:
    """A line break in a header is refused before anything is sent."""
    heads = []

    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        heads.append(head)
        writer.write(response(b""))

    async def exchange() -> None:
        async with serving(answer) as origin:
            await HttpxFetcher().fetch(FetchRequest("GET", origin, {"a": "b\r\nhost: evil"}))

    refused(lambda: asyncio.run(exchange()))
    assert heads == []


def test_proxy_stands_before_vendors_and_not_before_loopback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """HTTPS_PROXY is asked to connect to the vendor; loopback is spoken to directly."""
    heads = []

    async def proxy(head: bytes, writer: asyncio.StreamWriter) -> None:
        heads.append(head)
        writer.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")

    async def exchange() -> None:
        async with serving(proxy) as origin, serving(says(response(b"lab"))) as vendor:
            monkeypatch.setenv("HTTPS_PROXY", origin)
            monkeypatch.setenv("HTTP_PROXY", origin)
            monkeypatch.delenv("NO_PROXY", raising=False)
            fetcher = HttpxFetcher(total_seconds=5)
            assert (await fetcher.fetch(FetchRequest("GET", vendor))).body == b"lab"
            try:
                await fetcher.fetch(FetchRequest("GET", "https://vendor.example/"))
            finally:
                await fetcher.aclose()

    assert refused(lambda: asyncio.run(exchange())) == "vendor.example: ProxyError"
    assert [head.split(b"\r\n")[0] for head in heads] == [b"CONNECT vendor.example:443 HTTP/1.1"]
