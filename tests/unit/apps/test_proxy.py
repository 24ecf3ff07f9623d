"""Show that the proxy changes nothing but what it must, and sends nothing twice."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.unit.apps.asgi_client import call, http_scope
from tests.unit.apps.raw_http import RawApi, Reader, Writer, exchange, get, listening
from tests.unit.apps.test_middleware import ListedRefusals, StoppedClock
from tests.unit.gate.simulators import published, route, token

from watchword.adapters.http_server import serve
from watchword.apps.gateway import WatchwordMiddleware
from watchword.apps.gateway.proxy import ProxyApp, Timeouts
from watchword.gate.service import Gate
from watchword.reasons import Reason, Refusal
from watchword.vocabulary import Mode

GOOD = token()
OPEN = route("/open/**", mode=Mode.OFF)


@dataclass
class Front:
    """Hold a running proxy: its port and what it refused."""

    port: int
    log: ListedRefusals = field(default_factory=ListedRefusals)


@contextlib.asynccontextmanager
async def standing_before(api_port: int, **options: Any) -> AsyncIterator[Front]:
    """Run middleware and proxy on a real server in front of an API."""
    log = ListedRefusals()
    proxy = ProxyApp(f"http://127.0.0.1:{api_port}", refusal_log=log, **options)
    gate = Gate(published(OPEN, route("/v1/**")))
    guarded = WatchwordMiddleware(proxy, gate=gate, clock=StoppedClock())
    async with serve(guarded) as server:
        yield Front(server.port, log)
    await proxy.aclose()


def forwarded(api: RawApi, request: bytes, **options: Any) -> bytes:
    """Send one request through the proxy to an API; return the answer."""

    async def main() -> bytes:
        async with listening(api), standing_before(api.port, **options) as front:
            return await exchange(front.port, request)

    return asyncio.run(main())


def test_a_genuine_request_arrives_without_its_token() -> None:
    """The API sees who is there; the client sees the API's answer."""
    api = RawApi()
    answer = forwarded(api, get(b"/v1/patients", b"Watchword-Token: " + GOOD.encode()))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\nok")
    fields = dict(api.fields)
    assert fields[b"watchword-level"] == b"hardware"
    assert b"watchword-token" not in fields


def test_a_script_does_not_reach_the_api() -> None:
    """Without a token nothing is forwarded, whatever it says of itself."""
    api = RawApi()
    answer = forwarded(api, get(b"/v1/patients", b"Watchword-Level: hardware"))
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert api.heads == []


@pytest.mark.parametrize(
    "target",
    [b"/open/a%20b", b"/open/%61", b"/open/x/?q=%2F..%2f&b=+;c", b"/open/a:b@c,d", b"/open/~a?"],
)
def test_the_target_keeps_its_bytes(target: bytes) -> None:
    """Nothing is decoded, encoded or resolved on the way."""
    api = RawApi()
    forwarded(api, get(target))
    assert api.heads[0].split(b" ")[1] == target.removesuffix(b"?")


def test_request_fields() -> None:
    """Hop-by-hop fields stop here; where the request comes from is said by the proxy alone."""
    api = RawApi()
    forwarded(
        api,
        get(
            b"/open/a",
            b"X-Forwarded-For: 6.6.6.6",
            b"X_Forwarded_For: 6.6.6.6",
            b"X-Forwarded-Proto: https",
            b"X-Forwarded-Host: evil.example",
            b"X-Forwarded-Ssl: on",
            b"X.Forwarded_Whatever: 6.6.6.6",
            b"Forwarded: for=6.6.6.6",
            b"TE: trailers",
            b"Proxy-Authorization: Basic x",
            b"Keep-Alive: 5",
            b"Upgrade: h2c",
            b"Accept: a",
            b"Accept: b",
            b"Cookie: c=1",
            b"Accept-Encoding: gzip",
        ),
    )
    assert api.fields == [
        (b"host", b"clinic.example"),
        (b"accept", b"a"),
        (b"accept", b"b"),
        (b"cookie", b"c=1"),
        (b"accept-encoding", b"gzip"),
        (b"x-forwarded-for", b"127.0.0.1"),
        (b"x-forwarded-proto", b"http"),
        (b"x-forwarded-host", b"clinic.example"),
        (b"via", b"1.1 watchword"),
    ]


def test_response_fields() -> None:
    """Order and duplicates are kept, hop-by-hop fields and those that Connection names are not."""
    api = RawApi(
        b"HTTP/1.1 200 Fine\r\nSet-Cookie: a=1\r\nX-Hop: 1\r\nSet-Cookie: b=2\r\n"
        b"Connection: x-hop\r\nKeep-Alive: timeout=5\r\nContent-Encoding: gzip\r\n"
        b"Server: api\r\nDate: Tue, 24 Nov 2026 00:00:00 GMT\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x00"
    )
    head, _, body = forwarded(api, get(b"/open/a")).partition(b"\r\n\r\n")
    assert [line for line in head.split(b"\r\n") if not line.startswith(b"connection")] == [
        b"HTTP/1.1 200 OK",
        b"set-cookie: a=1",
        b"set-cookie: b=2",
        b"content-encoding: gzip",
        b"server: api",
        b"date: Tue, 24 Nov 2026 00:00:00 GMT",
        b"content-length: 3",
    ]
    assert body == b"\x1f\x8b\x00"


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        (b"HEAD", b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n"),
        (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        (b"GET", b'HTTP/1.1 304 Not Modified\r\netag: "a"\r\n\r\n'),
        (b"GET", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
    ],
)
def test_answers_without_a_body(method: bytes, answer: bytes) -> None:
    """HEAD, 204 and 304 end with their head."""
    got = forwarded(RawApi(answer), get(b"/open/a", method=method))
    assert got.split(b" ")[1] == answer.split(b" ")[1]
    assert got.endswith(b"\r\n\r\n")
    if method == b"HEAD":
        assert b"content-length: 100\r\n" in got


def test_early_hints_are_left_out() -> None:
    """Informational answers stop here, the final one arrives."""
    api = RawApi(
        b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
    )
    assert forwarded(api, get(b"/open/a")).startswith(b"HTTP/1.1 200 ")


def test_bodies_with_a_length() -> None:
    """The body arrives as it was sent, with its length."""
    api = RawApi()
    body = bytes(range(256)) * 1000
    forwarded(api, get(b"/open/a", b"Content-Length: %d" % len(body), method=b"POST", body=body))
    assert api.bodies == [body]
    assert (b"content-length", b"256000") in api.fields


def test_bodies_in_chunks() -> None:
    """A body without a length arrives in chunks."""
    api = RawApi()
    body = b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    forwarded(api, get(b"/open/a", b"Transfer-Encoding: chunked", method=b"POST", body=body))
    assert [line.split(b"\r\n")[0::2] for line in api.bodies] != []
    assert b"".join(api.bodies[0].split(b"\r\n")[1::2]) == b"abcde"
    assert (b"transfer-encoding", b"chunked") in api.fields


@pytest.mark.parametrize("chunk", [b"0_2\r\nab\r\n", b"2\nab\r\n", b"zz\r\nab\r\n"])
def test_crooked_chunks(chunk: bytes) -> None:
    """A body that can't be read in one way is the sender's fault, and never looks whole."""
    api = RawApi()
    request = get(b"/open/a", b"Transfer-Encoding: chunked", method=b"POST")
    answer = forwarded(api, request + chunk + b"0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert api.bodies == []


def test_expect_continue() -> None:
    """A client that asks before it sends its body is told to go on; the API isn't asked."""
    api = RawApi()

    async def main() -> bytes:
        async with listening(api), standing_before(api.port) as front:
            reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
            writer.write(
                get(b"/open/a", b"Expect: 100-continue", b"Content-Length: 2", method=b"POST")
            )
            async with asyncio.timeout(5):
                interim = await reader.readuntil(b"\r\n\r\n")
                writer.write(b"hi")
                rest = await reader.read()
            writer.close()
            return interim + rest

    answer = asyncio.run(main())
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert api.bodies == [b"hi"]
    assert b"expect" not in dict(api.fields)


def test_a_refused_body_is_not_asked_for() -> None:
    """A client that asks before it sends gets its refusal at once."""
    answer = forwarded(
        RawApi(), get(b"/v1/a", b"Expect: 100-continue", b"Content-Length: 9", method=b"POST")
    )
    assert answer.startswith(b"HTTP/1.1 401 ")


def test_answers_stream() -> None:
    """A piece arrives before the next one exists."""
    go_on = asyncio.Event()

    async def slowly(_api: RawApi, _reader: Reader, writer: Writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        await go_on.wait()
        writer.write(b"6\r\nsecond\r\n0\r\n\r\n")
        await writer.drain()

    async def main() -> bytes:
        async with listening(RawApi(slowly)) as api, standing_before(api.port) as front:
            reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
            writer.write(get(b"/open/a"))
            async with asyncio.timeout(5):
                first = await reader.readuntil(b"first\r\n")
                go_on.set()
                rest = await reader.read()
            writer.close()
            return first + rest

    assert asyncio.run(main()).endswith(b"5\r\nfirst\r\n6\r\nsecond\r\n0\r\n\r\n")


def test_requests_stream() -> None:
    """The API gets the first piece of a body before the client has sent the last."""
    got = asyncio.Event()

    async def listen(api: RawApi, reader: Reader, writer: Writer) -> None:
        api.bodies.append(await reader.readexactly(5))
        got.set()
        api.bodies.append(await reader.readexactly(6))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()

    async def main() -> RawApi:
        async with listening(RawApi(listen)) as api, standing_before(api.port) as front:
            reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
            writer.write(get(b"/open/a", b"Content-Length: 11", method=b"POST") + b"first")
            async with asyncio.timeout(5):
                await got.wait()
                writer.write(b"second")
                await reader.read()
            writer.close()
            return api

    assert asyncio.run(main()).bodies == [b"first", b"second"]


def test_back_pressure() -> None:
    """An API that sends faster than the client reads is held back, not stored."""
    sent = 0

    async def flood(_api: RawApi, _reader: Reader, writer: Writer) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 200000000\r\n\r\n")
        while True:
            writer.write(b"x" * 100_000)
            await writer.drain()
            sent += 100_000

    async def main() -> None:
        async with listening(RawApi(flood)) as api, standing_before(api.port) as front:
            reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
            writer.write(get(b"/open/a"))
            await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(1)
            writer.close()
            async with asyncio.timeout(5):
                await api.gone.wait()

    asyncio.run(main())
    assert 0 < sent < 60_000_000


def test_a_client_that_leaves_stops_the_api() -> None:
    """Its connection to the API ends, so that the API can stop too."""

    async def think(_api: RawApi, reader: Reader, _writer: Writer) -> None:
        await reader.read()

    async def main() -> bool:
        async with listening(RawApi(think)) as api, standing_before(api.port) as front:
            _, writer = await asyncio.open_connection("127.0.0.1", front.port)
            writer.write(get(b"/open/a"))
            await api.asked.wait()
            assert not api.gone.is_set()
            writer.close()
            async with asyncio.timeout(5):
                await api.gone.wait()
            return True

    assert asyncio.run(main())


def test_a_client_that_leaves_in_its_body() -> None:
    """A body that was cut off doesn't look whole to the API."""

    async def think(api: RawApi, reader: Reader, _writer: Writer) -> None:
        api.bodies.append(await reader.read())

    async def main() -> RawApi:
        async with listening(RawApi(think)) as api, standing_before(api.port) as front:
            _, writer = await asyncio.open_connection("127.0.0.1", front.port)
            writer.write(
                get(b"/open/a", b"Transfer-Encoding: chunked", method=b"POST") + b"3\r\nabc\r\n"
            )
            await api.asked.wait()
            writer.close()
            async with asyncio.timeout(5):
                await api.gone.wait()
            return api

    api = asyncio.run(main())
    assert not api.bodies[0].endswith(b"0\r\n\r\n")


def upstream_problem(api: RawApi, **options: Any) -> tuple[bytes, list[Any]]:
    """Return the answer and the refusals of a request that the API doesn't answer well."""

    async def main() -> tuple[bytes, list[Any]]:
        async with listening(api), standing_before(api.port, **options) as front:
            return await exchange(front.port, get(b"/open/a")), front.log.seen

    return asyncio.run(main())


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"v" * 200_000 + b"\r\n\r\n",
    ],
    ids=["nothing", "garbage", "length", "switch", "huge"],
)
def test_an_api_that_answers_badly(answer: bytes) -> None:
    """The client gets a problem, the operator a count, and the API got the request once."""

    async def say(_api: RawApi, _reader: Reader, writer: Writer) -> None:
        writer.write(answer)
        await writer.drain()

    api = RawApi(say)
    got, refusals = upstream_problem(api)
    assert got.startswith(b"HTTP/1.1 502 ")
    assert json.loads(got.partition(b"\r\n\r\n")[2])["type"].endswith("upstream-unreachable")
    assert refusals == [(Reason.GATE_UPSTREAM, "proxy")]
    assert len(api.heads) == 1


@pytest.mark.parametrize(
    ("method", "head"),
    [
        (b"GET", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
        (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        (b"GET", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n"),
        (b"HEAD", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"),
    ],
    ids=["length", "204", "304", "HEAD"],
)
@pytest.mark.parametrize("pause", [0, 0.05])
def test_what_comes_after_an_answer_is_nobody_s_answer(
    method: bytes, head: bytes, pause: float
) -> None:
    """An API that sends more than its answer doesn't thereby answer the next client."""
    more = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison"

    async def say_too_much(api: RawApi, reader: Reader, writer: Writer) -> None:
        while True:
            if b"/open/first" not in api.heads[-1]:
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            elif pause:
                writer.write(head)
                await writer.drain()
                await asyncio.sleep(pause)
                writer.write(more)
            else:
                writer.write(head + more)
            await writer.drain()
            api.heads.append(await reader.readuntil(b"\r\n\r\n"))

    async def main() -> list[bytes]:
        async with listening(RawApi(say_too_much)) as api, standing_before(api.port) as front:
            first = await exchange(front.port, get(b"/open/first", method=method))
            if method != b"HEAD":
                # What is there before the next request is seen; only HEAD is known to tempt APIs.
                await asyncio.sleep(2 * pause)
            return [first, *[await exchange(front.port, get(b"/open/next")) for _ in range(2)]]

    first, *others = asyncio.run(main())
    assert b"poison" not in first
    assert [other.rpartition(b"\r\n\r\n")[2] for other in others] == [b"ok", b"ok"]


def test_a_refusal_of_the_proxy_has_a_reference() -> None:
    """Whoever reports a problem can name it, and the operator opens the name."""

    def seal(refusal: Refusal, where: str) -> str:
        return f"{refusal.reason.code} at {where}"

    async def main() -> bytes:
        async with listening(RawApi()) as api:
            port = api.port
        async with standing_before(port, seal=seal) as front:
            return await exchange(front.port, get(b"/open/a"))

    problem = json.loads(asyncio.run(main()).partition(b"\r\n\r\n")[2])
    assert problem["ref"] == "gate.upstream at proxy"


def test_a_client_that_falls_silent_in_its_body() -> None:
    """It holds no connection to the API for longer than it may."""

    async def main() -> RawApi:
        timeouts = Timeouts(body=0.2)
        async with (
            listening(RawApi()) as api,
            standing_before(api.port, timeouts=timeouts) as front,
        ):
            _, writer = await asyncio.open_connection("127.0.0.1", front.port)
            writer.write(get(b"/open/a", b"Content-Length: 9", method=b"POST", body=b"part"))
            await asyncio.wait_for(api.gone.wait(), 5)
            writer.close()
            return api

    assert asyncio.run(main()).bodies == []


def test_an_api_that_is_too_slow() -> None:
    """After its time the client gets a problem."""

    async def think(_api: RawApi, reader: Reader, _writer: Writer) -> None:
        await reader.read()

    api = RawApi(think)
    got, refusals = upstream_problem(api, timeouts=Timeouts(read=0.2))
    assert got.startswith(b"HTTP/1.1 502 ")
    assert refusals == [(Reason.GATE_UPSTREAM, "proxy")]
    assert len(api.heads) == 1


def test_an_api_that_is_down() -> None:
    """Nobody listens there."""

    async def main() -> bytes:
        async with listening(RawApi()) as api:
            port = api.port
        async with standing_before(port) as front:
            return await exchange(front.port, get(b"/open/a"))

    assert asyncio.run(main()).startswith(b"HTTP/1.1 502 ")


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\npart\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart",
    ],
)
def test_an_answer_that_is_cut_off_does_not_look_whole(head: bytes) -> None:
    """The client's connection is cut too, before an end that would be a lie."""

    async def cut(_api: RawApi, _reader: Reader, writer: Writer) -> None:
        writer.write(head)
        await writer.drain()

    got, refusals = upstream_problem(RawApi(cut))
    assert b"part" in got
    assert not got.endswith(b"0\r\n\r\n")
    assert refusals == [(Reason.GATE_UPSTREAM, "proxy")]


def test_a_kept_connection_that_died_is_not_tried_again() -> None:
    """A request that may have been read is never sent a second time."""
    calls = 0

    async def once(_api: RawApi, _reader: Reader, writer: Writer) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            await writer.drain()
            await _reader.readuntil(b"\r\n\r\n")  # Takes the second request and says nothing.

    async def main() -> tuple[list[bytes], int]:
        async with listening(RawApi(once)) as api, standing_before(api.port) as front:
            answers = [await exchange(front.port, get(b"/open/%d" % number)) for number in (1, 2)]
            return answers, len(api.heads)

    answers, connections = asyncio.run(main())
    assert [answer.split(b" ")[1] for answer in answers] == [b"200", b"502"]
    assert connections == 1


@pytest.mark.parametrize(
    "request_bytes",
    [
        get(b"/open/a", method=b"TRACE"),
        get(b"/open/a", b"Upgrade: websocket", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
        get(b"clinic.example:443", method=b"CONNECT"),
    ],
    ids=["trace", "websocket", "connect"],
)
def test_tunnels_and_echoes(request_bytes: bytes) -> None:
    """TRACE, CONNECT and WebSockets don't reach the API."""
    api = RawApi()
    answer = forwarded(api, request_bytes)
    assert not answer.startswith(b"HTTP/1.1 2")
    assert api.heads == []


@pytest.mark.parametrize(
    "change",
    [{"method": "TRACE"}, {"method": "CONNECT"}, {"headers": [(b"Upgrade", b"WebSocket")]}],
    ids=str,
)
def test_the_reason_for_tunnels_and_echoes(change: dict[str, Any]) -> None:
    """What isn't a request for an answer is refused as such."""
    log = ListedRefusals()
    proxy = ProxyApp("http://127.0.0.1:9", refusal_log=log, reveal=True)
    answer = call(proxy, http_scope("/open/a") | change)
    assert answer.status == 403
    assert json.loads(answer.body)["reasons"] == ["gate.protocol"]
    assert log.seen == [(Reason.GATE_PROTOCOL, "proxy")]


@pytest.mark.parametrize(
    "upstream", ["", "api", "ftp://a", "http://", "http://a/path", "http://a?q", "http://u@a"]
)
def test_crooked_upstreams(upstream: str) -> None:
    """An upstream is a scheme, a host and perhaps a port."""
    with pytest.raises(ValueError, match="upstream"):
        ProxyApp(upstream)


def test_many_requests_at_once() -> None:
    """A hundred clients are served over a bounded number of connections."""
    # What a busy machine makes wait isn't refused here: how long they wait has tests of its own.
    patient = Timeouts(connect=300, pool=300)

    async def main() -> Sequence[bytes]:
        async with (
            listening(RawApi()) as api,
            standing_before(api.port, timeouts=patient) as front,
        ):
            return await asyncio.gather(
                *(exchange(front.port, get(b"/open/%d" % number)) for number in range(100))
            )

    assert all(answer.startswith(b"HTTP/1.1 200 ") for answer in asyncio.run(main()))
