"""Hold what every forwarder does: one exchange beside a client that may leave, and its end."""

import asyncio
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    MutableMapping,
    Sequence,
)
from dataclasses import dataclass
from typing import Any

import httpcore

from watchword.apps.gateway.asgi_types import Scope
from watchword.gate.hygiene import canonical_name, is_client_side
from watchword.gate.injection import FIELDS_OF_THE_HOST, PREFIXES_OF_THE_HOST
from watchword.reasons import Reason, Refusal


class BrokenBodyError(Exception):
    """Report a body that ended before its end: cut short, or framed as it should not be."""


class RequestBody:
    """Hand on a body piece by piece: the next one is asked for when the last one was taken."""

    def __init__(
        self,
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        *,
        expected: bool,
        patience: float,
    ) -> None:
        """Read from ``receive``.

        :param expected: whether the request has a body at all.
        :param patience: seconds in which each next piece must arrive.
        """
        self._receive = receive
        self._patience = patience
        self._read = asyncio.Event()
        if not expected:
            self._read.set()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the pieces.

        :raises BrokenBodyError: when it ends before its end; what was sent on by then must not
            look like the whole.
        """
        while True:
            try:
                async with asyncio.timeout(self._patience):
                    message = await self._receive()
            except Exception as error:
                # Servers raise what they please for crooked chunks.  A client that falls silent
                # must not hold a connection to the API.
                raise BrokenBodyError from error
            if message["type"] != "http.request":
                raise BrokenBodyError
            if message.get("body"):
                yield message["body"]
            if not message.get("more_body", False):
                break
        self._read.set()

    async def until_client_is_gone(self) -> None:
        """Return when the client has left; it isn't listened for while its body arrives."""
        await self._read.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass


MAX_CONNECTIONS = 256
"""Most connections to one upstream at once; requests beyond wait for one."""

MAX_IDLE_CONNECTIONS = 64
"""Most connections that are kept open without a request."""

IDLE_SECONDS = 15.0
"""How long an idle connection is kept: less than common servers do, so that they rarely close
one in the moment in which a request is sent."""

FIRST_FINAL_STATUS = 200

UPSTREAM_ERRORS = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.UnsupportedProtocol,
    OSError,
)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Hold how long the proxy waits, in seconds.

    :param connect: for a connection to the API.
    :param read: for each next piece of its answer, the first included.
    :param write: for it to take each piece of the body.
    :param pool: for a free connection.
    :param body: for the client to send each next piece of its body, and to begin to take an answer that was held.
    :param whole: for the end of an answer that is held until it was searched, if its rule gives it no more.
    :param pace: bytes a second, at least, at which a client takes such an answer: others wait for its room.
    """

    connect: float = 5.0
    read: float = 60.0
    write: float = 30.0
    pool: float = 5.0
    body: float = 30.0
    whole: float = 120.0
    pace: int = 16 * 1024


async def while_client_stays(exchange: Coroutine[Any, Any, None], body: RequestBody) -> None:
    """Run an exchange to its end, or until the client has left.

    A client that left must not leave its work behind for others to finish.
    """
    running = asyncio.create_task(exchange)
    watcher = asyncio.create_task(body.until_client_is_gone())
    try:
        await asyncio.wait({running, watcher}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
    finally:
        running.cancel()
        watcher.cancel()
        await asyncio.gather(running, watcher, return_exceptions=True)


async def end(response: httpcore.Response) -> None:
    """Give a connection back for the next request, unless more came over it than the answer.

    What an API sends beyond the end of its answer (a body with a 204, a length that is too small)
    would be read as the answer to the next request, which is another client's.
    """
    try:
        if _has_leftover(response):
            # The pool finds it closed and makes a new one.
            await response.extensions["network_stream"].aclose()
    finally:
        await response.aclose()


def _has_leftover(response: httpcore.Response) -> bool:
    """Tell whether bytes were read beyond the answer; httpcore doesn't say so by itself."""
    try:
        state = response.stream._stream._connection._h11_state  # type: ignore[union-attr]  # noqa: SLF001
        return bool(state.trailing_data[0])
    except AttributeError:
        return True


def start(status: int, headers: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    """Return the message with which an answer starts."""
    return {"type": "http.response.start", "status": status, "headers": headers}


def check_protocol(scope: Scope) -> Refusal | None:
    """Refuse what isn't a request for an answer: tunnels, echoes and changes of protocol."""
    if scope["method"] in {"CONNECT", "TRACE"}:
        return Refusal(Reason.GATE_PROTOCOL, f"got {scope['method']}")
    for name, value in scope["headers"]:
        if name.lower() == b"upgrade" and b"websocket" in value.lower():
            return Refusal(Reason.GATE_PROTOCOL, "got a WebSocket handshake")
    return None


def upstream_failed(error: Exception) -> Refusal:
    """Return the refusal of a request that got no answer, or half of one."""
    return Refusal(Reason.GATE_UPSTREAM, f"the API didn't answer: {type(error).__name__}")


Fields = list[tuple[bytes, bytes]]

VIA = (b"via", b"1.1 watchword")
"""Says to the API that a gateway forwarded the request (RFC 9110 section 7.6.3)."""

_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)

# Answered by the server in front, which asks for the body when it is wanted.
_ANSWERED_HERE = frozenset({b"expect"})


def request_fields(
    received: Iterable[tuple[bytes, bytes]], *, client: str | None, scheme: str
) -> Fields:
    """Return the fields that the API gets.

    The client's Host is kept: APIs build links and choose tenants by it.  Names are
    compared as CGI does (:func:`watchword.gate.hygiene.canonical_name`).

    :param client: address of the connection's other end, None on a Unix socket.
    :param scheme: ``http`` or ``https``, as the connection came in.
    """
    received = [(name.lower(), value) for name, value in received]
    dropped = _HOP_BY_HOP | _ANSWERED_HERE | _named_by_connection(received)
    fields = [
        field
        for field in received
        # What the proxy states itself: a client that could say where it comes from would choose the
        # address that the API limits, logs or trusts.
        if (canonical := canonical_name(field[0])) not in dropped and not is_client_side(canonical)
    ]
    if any(name == b"transfer-encoding" for name, _ in received):
        # The gate let nothing through but chunked; this hop is framed anew.
        fields.append((b"transfer-encoding", b"chunked"))
    if client is not None:
        fields.append((b"x-forwarded-for", client.encode("ascii", "replace")))
    fields.append((b"x-forwarded-proto", scheme.encode("ascii", "replace")))
    fields.extend((b"x-forwarded-host", value) for name, value in received if name == b"host")
    fields.append(VIA)
    return fields


def response_fields(received: Sequence[tuple[bytes, bytes]]) -> Fields:
    """Return the fields that the client gets, in the API's order, duplicates kept."""
    received = [(name.lower(), value) for name, value in received]
    dropped = _HOP_BY_HOP | _named_by_connection(received)
    return [field for field in received if field[0] not in dropped]


def injected_response_fields(received: Sequence[tuple[bytes, bytes]]) -> Fields:
    """Return the fields of a third party's answer that the client gets.

    Those that speak for the host stay behind: the client takes them for the API's.  A cookie would be sent to the API
    with every later request, or stand in the place of the session's; ``Alt-Svc`` would lead elsewhere.

    A cache in front of the gate knows nothing of tokens: what it kept it would hand to whoever asks, so that
    nobody but the client may keep an answer.
    """
    fields, keeping = [], [b"private"]
    for name, value in response_fields(received):
        if name == b"cache-control":
            keeping.append(value)
        elif name not in FIELDS_OF_THE_HOST and not name.startswith(PREFIXES_OF_THE_HOST):
            fields.append((name, value))
    return [*fields, (b"cache-control", b", ".join(keeping))]


def has_body(fields: Iterable[tuple[bytes, bytes]]) -> bool:
    """Tell whether a request with these fields has a body (RFC 9112 section 6.3)."""
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0"))
        for name, value in fields
    )


def _named_by_connection(fields: Iterable[tuple[bytes, bytes]]) -> frozenset[bytes]:
    return frozenset(
        option.strip(b" \t").lower()
        for name, value in fields
        if name == b"connection"
        for option in value.split(b",")
    )
