"""Forward requests to the API behind the gate: an ASGI application for the middleware to guard.

Bytes stay what they are: the raw path and query, the body as it streams, compressed or not.  A
request is sent at most once; what became of one that got no answer is for the client to find out.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

import httpcore

from watchword.apps import problems
from watchword.apps.proxy.bodies import BrokenBodyError, RequestBody
from watchword.apps.proxy.headers import has_body, request_fields, response_fields
from watchword.ports import RefusalLog
from watchword.reasons import Reason, Refusal

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MAX_CONNECTIONS = 256
"""Most connections to the API at once; requests beyond wait for one."""

MAX_IDLE_CONNECTIONS = 64
"""Most connections that are kept open without a request."""

IDLE_SECONDS = 15.0
"""How long an idle connection is kept: less than common servers do, so that they rarely close
one in the moment in which a request is sent."""

_LOG_NAME = "proxy"

_FIRST_FINAL_STATUS = 200

_UPSTREAM_ERRORS = (
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
    :param body: for the client to send each next piece of its body.
    """

    connect: float = 5.0
    read: float = 60.0
    write: float = 30.0
    pool: float = 5.0
    body: float = 30.0


class ProxyApp:
    """Forward what reaches it to one upstream; to be put behind ``WatchwordMiddleware``."""

    def __init__(
        self,
        upstream: str,
        *,
        timeouts: Timeouts | None = None,
        refusal_log: RefusalLog | None = None,
        seal: Callable[[Refusal, str], str | None] | None = None,
        reveal: bool = False,
    ) -> None:
        """Prepare to forward; no connection is made yet.

        :param upstream: ``http://host:port`` or ``https://host``, without path or query.
        :param refusal_log: is told of what could not be forwarded.
        :param seal: makes the reference of a refusal and its place; without it there is none.
        :param reveal: put reason codes into answers (lab only).
        :raises ValueError: when ``upstream`` is something else.
        """
        parts = urlsplit(upstream)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"got upstream {upstream!r}, expected http://host:port")
        if parts.path not in {"", "/"} or parts.query or parts.fragment or parts.username:
            raise ValueError(f"got upstream {upstream!r}, expected nothing after host and port")
        self._scheme = parts.scheme.encode("ascii")
        self._host = parts.hostname.encode("ascii")
        self._port = parts.port
        self._timeouts = timeouts or Timeouts()
        self._extensions = {"timeout": asdict(self._timeouts)}
        self._refusal_log = refusal_log
        self._seal = seal
        self._reveal = reveal
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl.create_default_context() if parts.scheme == "https" else None,
            max_connections=MAX_CONNECTIONS,
            max_keepalive_connections=MAX_IDLE_CONNECTIONS,
            keepalive_expiry=IDLE_SECONDS,
            retries=0,
        )

    async def aclose(self) -> None:
        """Close the connections to the API."""
        await self._pool.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward one request and stream the answer back."""
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            raise NotImplementedError(f"got a scope of type {scope['type']!r}, expected http")
        refusal = _check_protocol(scope)
        if refusal is not None:
            await self._refuse(refusal, send)
            return
        fields = request_fields(
            scope["headers"], client=_client(scope), scheme=str(scope["scheme"])
        )
        if scope["method"] == "HEAD":
            # Some servers send a body all the same; it must not become the next client's answer.
            fields.append((b"connection", b"close"))
        body = RequestBody(receive, expected=has_body(fields), patience=self._timeouts.body)
        content = body.chunks() if has_body(fields) else None
        request = httpcore.Request(
            scope["method"],
            self._url(scope),
            headers=fields,
            content=content,
            extensions=self._extensions,
        )
        exchange = asyncio.create_task(self._exchange(request, send))
        watcher = asyncio.create_task(body.until_client_is_gone())
        try:
            # A client that left must not leave its work behind for the API to finish.
            await asyncio.wait({exchange, watcher}, return_when=asyncio.FIRST_COMPLETED)
            if exchange.done():
                exchange.result()
        finally:
            exchange.cancel()
            watcher.cancel()
            await asyncio.gather(exchange, watcher, return_exceptions=True)

    def _url(self, scope: Scope) -> httpcore.URL:
        """Return where the request goes, with the target's bytes as they came."""
        query = scope["query_string"]
        target = scope["raw_path"] + b"?" + query if query else scope["raw_path"]
        return httpcore.URL(scheme=self._scheme, host=self._host, port=self._port, target=target)

    async def _exchange(self, request: httpcore.Request, send: Send) -> None:
        """Send the request once; answer with what comes back, or with why nothing did."""
        try:
            response = await self._pool.handle_async_request(request)
        except (httpcore.LocalProtocolError, BrokenBodyError):
            # Granian reports crooked chunks as a client that left; if it did, nobody listens.
            await self._refuse(
                Refusal(Reason.REQUEST_MALFORMED, "got a request that can't be forwarded"), send
            )
            return
        except _UPSTREAM_ERRORS as error:
            await self._refuse(_upstream_failed(error), send)
            return
        try:
            if response.status < _FIRST_FINAL_STATUS:
                # Nothing was asked that could be answered by a change of protocol.
                failure = Refusal(Reason.GATE_UPSTREAM, f"got status {response.status}")
                await self._refuse(failure, send)
            else:
                await _stream_back(response, send)
        except _UPSTREAM_ERRORS as error:
            # The head is out.  Returning without the last piece makes the server cut the
            # connection, so that the client can't take the part for the whole.
            self._record(_upstream_failed(error))
        finally:
            await _end(response)

    async def _refuse(self, refusal: Refusal, send: Send) -> None:
        self._record(refusal)
        ref = None if self._seal is None else self._seal(refusal, _LOG_NAME)
        problem = problems.render((refusal,), ref=ref, reveal=self._reveal)
        await send(_start(problem.status, list(problem.headers)))
        await send({"type": "http.response.body", "body": problem.body})

    def _record(self, refusal: Refusal) -> None:
        if self._refusal_log is not None:
            self._refusal_log.record((refusal,), _LOG_NAME)


async def _stream_back(response: httpcore.Response, send: Send) -> None:
    """Send the answer on, piece by piece; the next one is read when the last one was taken."""
    await send(_start(response.status, response_fields(response.headers)))
    async for chunk in response.aiter_stream():
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _end(response: httpcore.Response) -> None:
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


def _start(status: int, headers: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": headers}


def _client(scope: Scope) -> str | None:
    client = scope.get("client")
    return str(client[0]) if client else None


def _check_protocol(scope: Scope) -> Refusal | None:
    """Refuse what isn't a request for an answer: tunnels, echoes and changes of protocol."""
    if scope["method"] in {"CONNECT", "TRACE"}:
        return Refusal(Reason.GATE_PROTOCOL, f"got {scope['method']}")
    for name, value in scope["headers"]:
        if name.lower() == b"upgrade" and b"websocket" in value.lower():
            return Refusal(Reason.GATE_PROTOCOL, "got a WebSocket handshake")
    return None


def _upstream_failed(error: Exception) -> Refusal:
    return Refusal(Reason.GATE_UPSTREAM, f"the API didn't answer: {type(error).__name__}")
