"""Forward requests to the API behind the gate: an ASGI application for the middleware to guard.

Bytes stay what they are: the raw path and query, the body as it streams, compressed or not.  A
request is sent at most once; what became of one that got no answer is for the client to find out.
"""

import ssl
from collections.abc import Callable
from dataclasses import asdict
from urllib.parse import urlsplit

import httpcore

from watchword.adapters.system import SystemClock
from watchword.apps import problems
from watchword.apps.gateway.asgi import DECISION
from watchword.apps.gateway.asgi_types import Receive, Scope, Send
from watchword.apps.gateway.guard import RETRY_AFTER_SECONDS, refuse_websocket
from watchword.apps.gateway.proxy.exchange import (
    FIRST_FINAL_STATUS,
    IDLE_SECONDS,
    MAX_CONNECTIONS,
    MAX_IDLE_CONNECTIONS,
    UPSTREAM_ERRORS,
    BrokenBodyError,
    RequestBody,
    Timeouts,
    check_protocol,
    end,
    has_body,
    request_fields,
    response_fields,
    start,
    upstream_failed,
    while_client_stays,
)
from watchword.apps.gateway.proxy.injection import Ends, Injector
from watchword.apps.gateway.proxy.websocket import SocketLimits, SocketProxy
from watchword.apps.problems import Problem
from watchword.gate.interface import Decision
from watchword.ports import Clock, RefusalLog
from watchword.reasons import Reason, Refusal

_LOG_NAME = "proxy"
_HTTP, _HTTPS = 80, 443


class ProxyApp:
    """Forward what reaches it to one upstream; to be put behind ``WatchwordMiddleware``.

    What the gate allowed for a route that adds a key goes to the ``injector``, and never to the upstream.
    """

    def __init__(
        self,
        upstream: str,
        *,
        timeouts: Timeouts | None = None,
        refusal_log: RefusalLog | None = None,
        seal: Callable[[Refusal, str], str | None] | None = None,
        reveal: bool = False,
        injector: Injector | None = None,
        clock: Clock | None = None,
        sockets: SocketLimits | None = None,
    ) -> None:
        """Prepare to forward; no connection is made yet.

        :param upstream: ``http://host:port`` or ``https://host``, without path or query.
        :param refusal_log: is told of what could not be forwarded.
        :param seal: makes the reference of a refusal and its place; without it there is none.
        :param reveal: put reason codes into answers (lab only).
        :param injector: forwards where a key is added; whoever made it closes it.  Without one such a request is refused.
        :param clock: the system's clock if None.
        :param sockets: what WebSockets may take.
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
        self._injector = injector
        self._timestamp = (clock or SystemClock()).timestamp
        tls = ssl.create_default_context() if parts.scheme == "https" else None
        port = parts.port or (_HTTPS if parts.scheme == "https" else _HTTP)
        origin = httpcore.Origin(self._scheme, self._host, port)
        self._sockets = SocketProxy(origin, tls, self._timeouts, sockets)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls,
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
        decision: Decision | None = scope.get(DECISION)
        if scope["type"] == "websocket":
            await self._carry(decision, scope, receive, send)
            return
        if scope["type"] != "http":
            raise NotImplementedError(f"got a scope of type {scope['type']!r}, expected http")
        if decision is not None and decision.injection is not None:
            await self._inject(decision, scope, receive, send)
            return
        refusal = check_protocol(scope)
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
        await while_client_stays(self._exchange(request, send), body)

    def _url(self, scope: Scope) -> httpcore.URL:
        """Return where the request goes, with the target's bytes as they came."""
        query = scope["query_string"]
        target = scope["raw_path"] + b"?" + query if query else scope["raw_path"]
        return httpcore.URL(scheme=self._scheme, host=self._host, port=self._port, target=target)

    async def _inject(self, decision: Decision, scope: Scope, receive: Receive, send: Send) -> None:
        """Have the injector forward; what it refuses is answered as everything else here."""
        if self._injector is None:
            refusal = Refusal(Reason.SECRET_UNAVAILABLE, "nobody here adds keys")
            await self._refuse(refusal, send, decision.route)
            return

        async def refuse(refusal: Refusal, retry_after: int | None) -> None:
            await self._refuse(refusal, send, decision.route, retry_after)

        def record(refusal: Refusal) -> None:
            self._record(refusal, decision.route)

        await self._injector.forward(decision, scope, receive, send, Ends(refuse, record))

    async def _carry(
        self, decision: Decision | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Carry a WebSocket on to the API, and never to a third party."""

        async def refuse(refusal: Refusal) -> None:
            self._record(refusal)
            full = refusal.reason is Reason.GATE_OVERLOADED
            problem = self._problem(refusal, _LOG_NAME, RETRY_AFTER_SECONDS if full else None)
            await refuse_websocket(problem, scope, receive, send)

        if decision is not None and decision.injection is not None:
            await refuse(
                Refusal(Reason.GATE_PROTOCOL, "got a WebSocket handshake to a third party")
            )
            return
        await self._sockets.carry(scope, receive, send, refuse, self._record)

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
        except UPSTREAM_ERRORS as error:
            await self._refuse(upstream_failed(error), send)
            return
        try:
            if response.status < FIRST_FINAL_STATUS:
                # Nothing was asked that could be answered by a change of protocol.
                failure = Refusal(Reason.GATE_UPSTREAM, f"got status {response.status}")
                await self._refuse(failure, send)
            else:
                await _stream_back(response, send)
        except UPSTREAM_ERRORS as error:
            # The head is out.  Returning without the last piece makes the server cut the
            # connection, so that the client can't take the part for the whole.
            self._record(upstream_failed(error))
        finally:
            await end(response)

    async def _refuse(
        self,
        refusal: Refusal,
        send: Send,
        where: str = _LOG_NAME,
        retry_after: int | None = None,
    ) -> None:
        self._record(refusal, where)
        problem = self._problem(refusal, where, retry_after)
        await send(start(problem.status, list(problem.headers)))
        await send({"type": "http.response.body", "body": problem.body})

    def _problem(self, refusal: Refusal, where: str, retry_after: int | None) -> Problem:
        ref = None if self._seal is None else self._seal(refusal, where)
        return problems.render(
            (refusal,), ref=ref, reveal=self._reveal, now=self._timestamp(), retry_after=retry_after
        )

    def _record(self, refusal: Refusal, where: str = _LOG_NAME) -> None:
        if self._refusal_log is not None:
            self._refusal_log.record((refusal,), where)


async def _stream_back(response: httpcore.Response, send: Send) -> None:
    """Send the answer on, piece by piece; the next one is read when the last one was taken."""
    await send(start(response.status, response_fields(response.headers)))
    async for chunk in response.aiter_stream():
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _client(scope: Scope) -> str | None:
    client = scope.get("client")
    return str(client[0]) if client else None
