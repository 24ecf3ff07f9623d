"""Carry WebSockets on to the API behind the gate (RFC 6455), which opened them by a handshake that the gate let in.

Messages cross one by one, and the next one is read when the last one was taken: a slow side holds the fast one back,
and what is held for both is a message each.  Whoever says that a protocol was changed without having changed it gets
no tunnel, and nothing of what it sends after.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import httpcore

from watchword.apps.gateway.proxy.exchange import (
    UPSTREAM_ERRORS,
    Receive,
    Scope,
    Send,
    Timeouts,
    upstream_failed,
)
from watchword.apps.gateway.proxy.headers import Fields, has_body, request_fields, response_fields
from watchword.apps.gateway.proxy.upstream_socket import (
    GOING_AWAY,
    MESSAGE_TOO_BIG,
    NO_STATUS,
    SWITCHING_PROTOCOLS,
    Closed,
    SocketBrokenError,
    SocketRefusedError,
    UpstreamSocket,
    handshake,
)
from watchword.apps.gateway.verified import CLAIMS
from watchword.gate.hygiene import canonical_name
from watchword.reasons import Reason, Refusal

HANDSHAKE_SECONDS: Final = 10.0
"""In which the API must answer a handshake."""

CLOSE_SECONDS: Final = 5.0
"""In which the API must answer the end of a WebSocket."""

_NORMAL: Final = 1000
_FIRST_FINAL_STATUS: Final = 200


@dataclass(frozen=True, slots=True)
class SocketLimits:
    """Hold what WebSockets may take.

    :param message: most bytes of one message, in both directions.
    :param idle: seconds without a message in either direction after which one ends; pings aren't messages.
    :param ping: seconds after which a silent API is asked for a sign of life, and again so many until it must come.
    :param at_once: most WebSockets of all clients; whoever wasn't identified finds room while half of them are open.
    """

    message: int = 1024 * 1024
    idle: float = 300.0
    ping: float = 20.0
    at_once: int = 1024


MAX_DECLINE_BYTES: Final = 64 * 1024
"""Most bytes with which the API may say that it opens none: they are held."""

Record = Callable[[Refusal], None]
Refuse = Callable[[Refusal], Awaitable[None]]


class SocketProxy:
    """Carry the WebSockets of one API."""

    def __init__(
        self,
        origin: httpcore.Origin,
        tls: ssl.SSLContext | None,
        timeouts: Timeouts,
        limits: SocketLimits | None = None,
    ) -> None:
        """Prepare to connect, each time anew: a connection that was a WebSocket's is nobody else's.

        :param tls: None where the API is asked without it.
        """
        self._origin = origin
        self._tls = tls
        self._timeouts = timeouts
        self._limits = limits or SocketLimits()
        self._count = 0

    async def carry(
        self, scope: Scope, receive: Receive, send: Send, refuse: Refuse, record: Record
    ) -> None:
        """Carry one WebSocket from its handshake to its end.

        :param refuse: answers the handshake; ``record`` is told of what goes wrong when it was answered.
        """
        if has_body(scope["headers"]):
            # Behind a handshake come frames; a server that reads a body there reads them as something else.
            await refuse(Refusal(Reason.GATE_PROTOCOL, "got a WebSocket handshake with a body"))
            return
        most = self._limits.at_once
        if scope.get(CLAIMS) is None:
            # Of one instance there are few; of strangers, on routes that judge nobody, there is no end.
            most -= most // 2
        if self._count >= most:
            await refuse(Refusal(Reason.GATE_OVERLOADED, f"got more than {most} WebSockets"))
            return
        self._count += 1
        try:
            await self._carry(scope, receive, send, refuse, record)
        finally:
            self._count -= 1

    async def _carry(
        self, scope: Scope, receive: Receive, send: Send, refuse: Refuse, record: Record
    ) -> None:
        upstream = UpstreamSocket(
            scope.get("subprotocols") or (),
            max_message=self._limits.message,
            timeouts=self._timeouts,
            ping=self._limits.ping,
        )
        async with contextlib.AsyncExitStack() as stack:
            try:
                response = await stack.enter_async_context(self._answer(scope, upstream))
            except httpcore.LocalProtocolError:
                failure = "got a request that can't be forwarded"
                await refuse(Refusal(Reason.REQUEST_MALFORMED, failure))
                return
            except (*UPSTREAM_ERRORS, TimeoutError) as error:
                await refuse(upstream_failed(error))
                return
            if response.status != SWITCHING_PROTOCOLS:
                await self._decline(scope, response, receive, send, refuse)
                return
            try:
                upstream.agree(response)
            except SocketRefusedError as error:
                failure = f"the API took up another protocol: {error}"
                await refuse(Refusal(Reason.GATE_UPSTREAM, failure))
                return
            await receive()
            await send(
                {
                    "type": "websocket.accept",
                    "subprotocol": upstream.subprotocol,
                    "headers": _without_framing(response_fields(response.headers)),
                }
            )
            relay = _Relay(upstream, receive, send, record, self._limits, self._timeouts.write)
            await relay.run()

    @contextlib.asynccontextmanager
    async def _answer(
        self, scope: Scope, upstream: UpstreamSocket
    ) -> AsyncIterator[httpcore.Response]:
        """Hold the answer to a handshake, and its connection, which ends with it in every case."""
        query = scope["query_string"]
        target = scope["raw_path"] + b"?" + query if query else scope["raw_path"]
        origin = self._origin
        url = httpcore.URL(scheme=origin.scheme, host=origin.host, port=origin.port, target=target)
        request = handshake(url, _fields(scope, upstream), self._timeouts, HANDSHAKE_SECONDS)
        connection = httpcore.AsyncHTTPConnection(origin, ssl_context=self._tls)
        try:
            async with asyncio.timeout(self._timeouts.connect + HANDSHAKE_SECONDS):
                response = await connection.handle_async_request(request)
            yield response
        finally:
            await connection.aclose()

    async def _decline(
        self,
        scope: Scope,
        response: httpcore.Response,
        receive: Receive,
        send: Send,
        refuse: Refuse,
    ) -> None:
        """Hand on that the API doesn't open a WebSocket, in its own words."""
        if response.status < _FIRST_FINAL_STATUS or "websocket.http.response" not in scope.get(
            "extensions", {}
        ):
            await refuse(Refusal(Reason.GATE_UPSTREAM, f"got status {response.status}"))
            return
        body = bytearray()
        try:
            async for chunk in response.aiter_stream():
                body += chunk
                if len(body) > MAX_DECLINE_BYTES:
                    break
        except UPSTREAM_ERRORS as error:
            await refuse(upstream_failed(error))
            return
        if len(body) > MAX_DECLINE_BYTES:
            most = f"got a handshake declined in more than {MAX_DECLINE_BYTES} bytes"
            await refuse(Refusal(Reason.GATE_UPSTREAM, most))
            return
        await receive()
        fields = _without_framing(response_fields(response.headers))
        kind = "websocket.http.response"
        await send({"type": f"{kind}.start", "status": response.status, "headers": fields})
        # In one piece: of several granian makes a 403 of its own.
        await send({"type": f"{kind}.body", "body": bytes(body)})


@dataclass(frozen=True, slots=True)
class _End:
    """Hold what a side is told when the other one ended; nothing where it needn't or can't be told."""

    client: Closed | None = None
    api: Closed | None = None
    refusal: Refusal | None = None


_CLIENT_GONE: Final = _End(api=Closed(GOING_AWAY))


@dataclass(slots=True)
class _Relay:
    """Carry messages in both directions until one side ends, and tell the other one."""

    upstream: UpstreamSocket
    receive: Receive
    send: Send
    record: Record
    limits: SocketLimits
    patience: float
    latest: float = 0.0

    async def run(self) -> None:
        """Return when one side has ended it and the other one was told."""
        self.latest = asyncio.get_running_loop().time()
        up, down = asyncio.create_task(self._up()), asyncio.create_task(self._down())
        try:
            done, _ = await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
            end = (up if up in done else down).result()
            if end is _CLIENT_GONE:
                # Sending fails sooner than it is read why.
                await asyncio.wait({up}, timeout=1.0)
                end = up.result() if up.done() else end
        finally:
            # Granian closes nothing while somebody waits for a message.
            up.cancel()
            down.cancel()
            await asyncio.gather(up, down, return_exceptions=True)
        if end.refusal is not None:
            # Before anybody is told: a server that stops doesn't wait until they are.
            self.record(end.refusal)
        if end.client is not None:
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self.send(_close(end.client))
        if end.api is not None:
            await self.upstream.close(end.api.code, end.api.reason, CLOSE_SECONDS)

    async def _up(self) -> _End:
        """Carry what the client says."""
        while True:
            message = await self.receive()
            if message["type"] == "websocket.disconnect":
                code = message.get("code") or NO_STATUS
                return _End(api=Closed(code, message.get("reason") or ""))
            data = message.get("bytes")
            said: bytes = message["text"].encode("utf-8") if data is None else data
            if len(said) > self.limits.message:
                most = f"expected messages of at most {self.limits.message} bytes"
                refusal = Refusal(Reason.REQUEST_BODY_TOO_LARGE, most)
                return _End(Closed(MESSAGE_TOO_BIG), Closed(GOING_AWAY), refusal)
            self._stir()
            try:
                if not await self.upstream.send(said, text=data is None):
                    # The API has ended it, which is read on the other way.
                    await asyncio.get_running_loop().create_future()
            except SocketBrokenError as error:
                return _broken(error)

    async def _down(self) -> _End:
        """Carry what the API says."""
        while True:
            try:
                message = await self.upstream.read()
            except SocketBrokenError as error:
                return _broken(error)
            if isinstance(message, Closed):
                return _End(client=message)
            if message is None:
                if asyncio.get_running_loop().time() - self.latest > self.limits.idle:
                    return _End(Closed(GOING_AWAY, "idle"), Closed(GOING_AWAY, "idle"))
                continue
            self._stir()
            kind = "text" if isinstance(message, str) else "bytes"
            try:
                async with asyncio.timeout(self.patience):
                    await self.send({"type": "websocket.send", kind: message})
            except (OSError, TimeoutError):
                return _CLIENT_GONE

    def _stir(self) -> None:
        self.latest = asyncio.get_running_loop().time()


def _broken(error: SocketBrokenError) -> _End:
    refusal = Refusal(Reason.GATE_UPSTREAM, f"the API's WebSocket broke off: {error}")
    return _End(client=Closed(error.code), refusal=refusal)


def _close(end: Closed) -> dict[str, object]:
    """Return the message that closes the client's; no status is none that a frame may carry."""
    code = _NORMAL if end.code == NO_STATUS else end.code
    return {"type": "websocket.close", "code": code, "reason": end.reason}


def _fields(scope: Scope, upstream: UpstreamSocket) -> Fields:
    """Return the fields of the handshake with the API: the client's, without what frames its own connection."""
    client = scope.get("client")
    scheme = "https" if scope["scheme"] in {"wss", "https"} else "http"
    fields = request_fields(
        scope["headers"], client=str(client[0]) if client else None, scheme=scheme
    )
    kept = [field for field in _without_framing(fields) if field[0] != b"content-length"]
    return [*kept, *upstream.fields()]


def _without_framing(fields: Fields) -> Fields:
    """Return fields without those of the handshake itself, which is made anew on each side."""
    return [field for field in fields if not canonical_name(field[0]).startswith(b"sec-websocket-")]
