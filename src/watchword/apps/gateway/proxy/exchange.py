"""Hold what every forwarder does: one exchange beside a client that may leave, and its end."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from dataclasses import dataclass
from typing import Any

import httpcore

from watchword.apps.gateway.proxy.bodies import RequestBody
from watchword.reasons import Reason, Refusal

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

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
