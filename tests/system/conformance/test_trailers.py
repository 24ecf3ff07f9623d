"""Trailers reach no API: not late ones, not those of HTTP/2; and the API of the corpus would show them if they did."""

import asyncio
import socket
from pathlib import Path

import pytest
from tests.unit.apps.asgi_client import http_scope
from tests.unit.apps.test_middleware import GOOD, StoppedClock
from tests.unit.conformance.enforcement_points import ENFORCEMENT_POINTS, deployed
from tests.unit.gate.simulators import published, route

from watchword.adapters.replay.memory import MemoryReplayStore
from watchword.adapters.system import SystemClock
from watchword.apps.gateway import WatchwordMiddleware
from watchword.apps.gateway.asgi_types import Receive, Scope, Send
from watchword.gate.service import Gate
from watchword.vocabulary import Mode
from watchword_conformance.corpus import load_corpus
from watchword_conformance.deployment import load
from watchword_conformance.runner import Target, send, workshop
from watchword_conformance.upstream import Seen, Upstream

HIDDEN = (
    b"POST /open/upload HTTP/1.1\r\nHost: api\r\nX-Conformance-Case: {run}.one\r\n"
    b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    b"5\r\nhello\r\n0\r\nx: y\r\nget: /admin/users HTTP/1.1\r\nwatchword-level: hardware\r\n\r\n"
)
_DATA, _HEADERS, _SETTINGS = 0, 1, 4
_END_STREAM, _END_HEADERS = 1, 4
_FRAME_HEAD = 9


def test_the_api_merges_trailers_and_takes_one_for_a_request() -> None:
    """What a gate leaves shows twice: as a field of the request, and as a second request that nobody checked."""

    async def main() -> list[Seen]:
        async with Upstream().listening() as api:
            await send(Target("127.0.0.1", api.port), HIDDEN, "POST")
            return api.records.seen

    first, second = asyncio.run(main())
    assert ["watchword-level", "hardware"] in first.headers
    assert [name for name, _ in first.trailers] == ["x", "get", "watchword-level"]
    assert second.target == "/admin/users"


@pytest.mark.parametrize("path", ["/v1/patients", "/open/x"])
def test_a_trailer_that_comes_late_reaches_no_application(path: str) -> None:
    """Uvicorn with httptools adds trailers to the list that it gave the gate, when the decision was long made."""
    scope = http_scope(
        path, method="POST", token=GOOD, headers=[(b"transfer-encoding", b"chunked")]
    )
    seen = []

    async def receive() -> dict[str, object]:
        scope["headers"].append((b"watchword-level", b"trailer"))
        return {"type": "http.request", "body": b"hello", "more_body": False}

    async def app(inner: Scope, receive: Receive, answer: Send) -> None:
        await receive()
        seen.append(list(inner["headers"]))
        await answer({"type": "http.response.start", "status": 200, "headers": []})
        await answer({"type": "http.response.body", "body": b""})

    async def ignore(_message: object) -> None:
        return

    state = published(route("/open/**", mode=Mode.OFF), route("/v1/**"))
    gate = Gate(state, memory=MemoryReplayStore())
    guarded = WatchwordMiddleware(app, gate=gate, clock=StoppedClock())
    asyncio.run(guarded(scope, receive, ignore))
    assert len(seen) == 1
    assert (b"watchword-level", b"trailer") not in seen[0]
    assert (b"watchword-level", b"trailer") in scope["headers"]


def _literal(text: bytes) -> bytes:
    return bytes([len(text)]) + text if len(text) < 127 else _long(len(text)) + text


def _long(length: int) -> bytes:
    """Return an integer behind a prefix of seven bits (RFC 7541 section 5.1)."""
    rest, made = length - 127, bytearray([127])
    while rest > 127:
        made.append(rest % 128 + 128)
        rest //= 128
    return bytes([*made, rest])


def _fields(*fields: tuple[bytes, bytes]) -> bytes:
    """Return a field section of literals without a name of the table (RFC 7541 section 6.2.2)."""
    return b"".join(b"\0" + _literal(name) + _literal(value) for name, value in fields)


def _frame(kind: int, flags: int, payload: bytes, stream: int = 1) -> bytes:
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")
    return head + payload


def _over_http2(port: int, path: bytes, *fields: tuple[bytes, bytes]) -> None:
    """Send a body with trailers over HTTP/2 and wait until the answer ends."""
    head = _fields(
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path),
        (b":authority", load_corpus().host.encode()),
        (b"trailer", b"watchword-level, x"),
        *fields,
    )
    behind = _fields((b"watchword-level", b"trailer"), (b"x", b"y"), (b"get", b"/admin HTTP/1.1"))
    wire = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(_SETTINGS, 0, b"", 0)
    wire += _frame(_HEADERS, _END_HEADERS, head) + _frame(_DATA, 0, b"hello")
    wire += _frame(_HEADERS, _END_HEADERS | _END_STREAM, behind)
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sent:
        sent.sendall(wire)
        stream = sent.makefile("rb")
        while len(frame := stream.read(_FRAME_HEAD)) == _FRAME_HEAD:
            stream.read(int.from_bytes(frame[:3], "big"))
            if frame[3] in {_DATA, _HEADERS} and frame[4] & _END_STREAM:
                return
    raise AssertionError("the answer didn't end")


def test_trailers_of_http2_reach_no_api(tmp_path: Path) -> None:
    """Traefik alone of all speaks HTTP/2 without TLS (tests/system/conformance/test_plain_http.py holds the others)."""
    directory = deployed(tmp_path)
    shop = workshop(load(directory))
    case = next(case for case in load_corpus().cases if case.id == "body/bearer-post")
    token = shop.build(case, 0, shop.instances(), [], SystemClock().timestamp()).token
    assert token is not None

    async def main() -> list[Seen]:
        async with Upstream().listening() as api:
            upstream = f"http://127.0.0.1:{api.port}"
            with ENFORCEMENT_POINTS["traefik"](directory, upstream, None) as point:
                held = (b"watchword-token", token.value.encode())
                for path, fields in ((b"/open/upload", ()), (b"/bearer/orders", (held,))):
                    await asyncio.to_thread(_over_http2, point.port, path, *fields)
            return api.records.seen

    seen = asyncio.run(main())
    assert [each.target for each in seen] == ["/open/upload", "/bearer/orders"]
    assert [each.trailers for each in seen] == [[], []]
    assert not any(name.lower() in {"x", "get"} for each in seen for name, _ in each.headers)
    levels = [[v for n, v in each.headers if n.lower() == "watchword-level"] for each in seen]
    assert levels == [[], [token.claims["lvl"]]]
