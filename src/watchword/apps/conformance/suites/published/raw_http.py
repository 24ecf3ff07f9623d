"""Requests as raw bytes: what h11 and the gate's own reading of headers and paths let through.

The gate's rows that no mode lets pass (steps 1 to 3 of its decision) behind the parser that uvicorn uses.  Whole gates, with
their servers, are held to more of this by ``watchword conformance gate``.
"""

import base64
from collections.abc import Iterator
from functools import partial
from typing import Final

import h11

from watchword.apps.conformance.suites.files import SuiteFile
from watchword.apps.conformance.suites.interface import (
    Case,
    CaseSet,
    JsonObject,
    MisreadError,
    Must,
    Outside,
    Suite,
)
from watchword.gate import hygiene
from watchword.gate.hygiene import read_path
from watchword.reasons import Refusal

ONE_PATH = Outside(
    "one-path",
    "The file lets a path pass that the API serves as the very same bytes. Ours are refused where servers differ over them.",
)
SERVER = Outside(
    "server",
    "The server in front reads the bytes. h11 takes what RFC 9112 lets it take: a bare LF as the end of a line, a folded line as a "
    "blank, a later minor version. What comes out is one request, and no line ends stand in its fields.",
    unjudged=True,
)
HANDSHAKE = Outside(
    "handshake",
    "The server answers a WebSocket's handshake; the gate judges its headers as any others.",
    unjudged=True,
)

_MUST: Final = {
    "2xx": (Must.ACCEPT, None),
    "4xx or connection close": (Must.REJECT, None),
    "400/401": (Must.REJECT, None),
    "2xx but X_A": (Must.ACCEPT, None),
    "policy sees the exact path": (Must.EITHER, ONE_PATH),
    "authority taken from one place only": (Must.REJECT, None),
    "4xx, worker survives": (Must.REJECT, HANDSHAKE),
}
"""By the beginning of what a file says of a case."""

_LEFT_TO_SERVERS: Final = frozenset({"bare LF headers", "obs-fold", "HTTP/1.2"})

_MAX_EVENTS: Final = 10_000


def read(file: SuiteFile) -> CaseSet | None:
    """Return the cases of a file with bytes in base64 and what must become of them."""
    suite = file.json_object("cases", "generated_large")
    return None if suite is None else CaseSet("Raw HTTP/1.1", _cases(suite))


def _cases(suite: JsonObject) -> Iterator[Case]:
    for name, case in suite["cases"].items():
        # The longest one that fits: "2xx" begins another.
        told = max((text for text in _MUST if case["must"].startswith(text)), key=len)
        must, outside = _MUST[told]
        outside = SERVER if name in _LEFT_TO_SERVERS else outside
        wire = base64.b64decode(case["b64"])
        yield Case(name, must, partial(is_let_through, wire), outside)
    if "1M header value" in suite["generated_large"]:
        wire = b"GET / HTTP/1.1\r\nHost: a\r\nX: %b\r\n\r\n" % (b"a" * 1_000_000)
        yield Case("1M header value", Must.REJECT, partial(is_let_through, wire))


def is_let_through(wire: bytes) -> bool:
    """Tell whether exactly one request of these bytes would be looked up in the route table."""
    connection = h11.Connection(h11.SERVER)
    try:
        connection.receive_data(wire)
        request = connection.next_event()
        if not isinstance(request, h11.Request):
            return False
        for _ in range(_MAX_EVENTS):
            event = connection.next_event()
            if isinstance(event, h11.EndOfMessage):
                break
            if not isinstance(event, h11.Data):
                return False
    except h11.RemoteProtocolError:
        return False
    headers = request.headers.raw_items()
    cleaned = hygiene.clean(headers)
    path = read_path(request.target.partition(b"?")[0])
    if isinstance(cleaned, Refusal) or isinstance(path, Refusal):
        return False
    sent = {name.lower() for name, _ in headers}
    if not {name for name, _ in cleaned.fields} <= sent:
        raise MisreadError("a header came out under another name")
    return not connection.trailing_data[0]


SUITE = Suite(
    title="Raw HTTP/1.1",
    source="request smuggling and framing after RFC 9112, one JSON file",
    layout="JSON with `generated_large` and `cases`: `{name: {b64, must}}`",
    held="h11 and the gate's reading of headers, framing and paths",
    read=read,
    outside=(ONE_PATH, SERVER, HANDSHAKE),
)
