"""Carry WebSockets on to the API behind the gate (RFC 6455), which opened them by a handshake that the gate let in.

Messages cross one by one, and the next one is read when the last one was taken: a slow side holds the fast one back,
and what is held for both is a message each.  Whoever says that a protocol was changed without having changed it gets
no tunnel, and nothing of what it sends after.

Be the client of an API's WebSocket (RFC 6455): its handshake checked, its frames bounded.

The bytes of the handshake go through httpcore, as every request here does; the frames through ``websockets``, whose
protocol does no I/O of its own.
"""

import asyncio
import contextlib
import logging
import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import httpcore
from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.exceptions import InvalidHandshake, ProtocolError
from websockets.frames import BINARY, CLOSE, CONT, TEXT, Frame
from websockets.http11 import Response
from websockets.protocol import OPEN
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI

from watchword.apps.gateway.asgi_types import Receive, Scope, Send
from watchword.apps.gateway.guard import CLAIMS
from watchword.apps.gateway.proxy.exchange import (
    UPSTREAM_ERRORS,
    Fields,
    Timeouts,
    has_body,
    request_fields,
    response_fields,
    upstream_failed,
)
from watchword.gate.hygiene import canonical_name
from watchword.reasons import Reason, Refusal

READ_BYTES: Final = 16 * 1024
"""Most bytes that are read at once: what they can hold of frames is held at once."""

GOING_AWAY: Final = 1001
NO_STATUS: Final = 1005
MESSAGE_TOO_BIG: Final = 1009
BAD_GATEWAY: Final = 1014
"""Close codes of RFC 6455 section 7.4.1, and of the registry that it founds."""

SWITCHING_PROTOCOLS: Final = 101

# Where somebody turns on debugging for all of a process, frames and handshakes would stand in its log.
_QUIET = logging.getLogger("watchword.proxy.websockets")
_QUIET.setLevel(logging.ERROR)


class SocketRefusedError(Exception):
    """Report an answer that agrees to a WebSocket in words, and isn't one (RFC 6455 section 4.1)."""


class SocketBrokenError(Exception):
    """Report a WebSocket that its API broke off, or spoke wrongly on; the text is for the operator."""

    def __init__(self, detail: str, code: int = BAD_GATEWAY) -> None:
        """Say with which code the client's is closed."""
        super().__init__(detail)
        self.code = code


@dataclass(frozen=True, slots=True)
class Closed:
    """Hold how a side ended its WebSocket."""

    code: int
    reason: str = ""


Message = str | bytes


class UpstreamSocket:
    """Hold one WebSocket to the API; belongs to one event loop.

    Messages are sent by one task and read by one other.
    """

    def __init__(
        self, offered: Sequence[str], *, max_message: int, timeouts: Timeouts, ping: float
    ) -> None:
        """Prepare; nothing is sent yet.

        :param offered: subprotocols, in the client's order.
        :param max_message: most bytes of a message of the API.
        :param ping: seconds of silence after which the API is asked for a sign of life, and after which it is given up.
        """
        self._protocol = ClientProtocol(
            # The target goes through httpcore; this one is written nowhere.
            WebSocketURI(secure=False, host="api", port=80, path="/", query=""),
            subprotocols=[Subprotocol(each) for each in offered] or None,
            state=OPEN,
            max_size=max_message,
            logger=_QUIET,
        )
        self._offered = offered
        self._timeouts = timeouts
        self._ping = ping
        self._stream: httpcore.AsyncNetworkStream | None = None
        self._writing = asyncio.Lock()
        self._asked = False
        self._parts: bytearray | None = None
        self._text = False
        self._ready: deque[Message | Closed] = deque()

    @property
    def subprotocol(self) -> str | None:
        """Return what the API chose."""
        return self._protocol.subprotocol

    def fields(self) -> Fields:
        """Return what makes a request a handshake.  No extension is offered: what is compressed has no size."""
        fields = [
            (b"connection", b"Upgrade"),
            (b"upgrade", b"websocket"),
            (b"sec-websocket-version", b"13"),
            (b"sec-websocket-key", self._protocol.key.encode("ascii")),
        ]
        if self._offered:
            offered = ", ".join(self._offered).encode("latin-1", "replace")
            fields.append((b"sec-websocket-protocol", offered))
        return fields

    def agree(self, response: httpcore.Response) -> None:
        """Take the connection over from an answer of status 101.

        :raises SocketRefusedError: when it isn't the answer to this handshake.
        """
        headers = Headers(
            [(name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers]
        )
        try:
            self._protocol.process_response(Response(response.status, "", headers))
        except InvalidHandshake as error:
            raise SocketRefusedError(type(error).__name__) from None
        self._stream = response.extensions["network_stream"]

    async def send(self, message: bytes, *, text: bool) -> bool:
        """Send one message, and return when the API has room for more; tell whether it still took this one.

        :raises SocketBrokenError: when it takes none for too long, or has gone.
        """
        if self._protocol.state is not OPEN:
            return False
        (self._protocol.send_text if text else self._protocol.send_binary)(message)
        await self._flush()
        return True

    async def read(self) -> Message | Closed | None:
        """Return the next message, or how the API ended the WebSocket; None for a while without any.

        :raises SocketBrokenError: when it broke off, speaks wrongly, or says nothing.
        """
        if not self._ready:
            if self._protocol.parser_exc is not None:
                self._give_up()
            await self._hear()
        return self._ready.popleft() if self._ready else None

    async def close(self, code: int, reason: str, seconds: float) -> None:
        """Say that the client has ended it, and hear the API out for so long."""
        if self._protocol.state is OPEN:
            try:
                self._protocol.send_close(None if code == NO_STATUS else code, reason)
            except (ProtocolError, UnicodeEncodeError):
                # A code that no frame may carry: 1006 and its like stand for how a connection was lost.
                self._protocol.send_close(GOING_AWAY)
        try:
            async with asyncio.timeout(seconds):
                await self._flush()
                # An API that has gone says no more, however often it is asked.
                while self._protocol.close_rcvd is None and self._protocol.parser_exc is None:
                    self._ready.clear()
                    await self._hear()
        except (TimeoutError, SocketBrokenError):
            return

    async def _hear(self) -> None:
        """Read once; answer pings and the end."""
        assert self._stream is not None
        try:
            data = await self._stream.read(READ_BYTES, timeout=self._ping)
        except httpcore.ReadTimeout:
            if self._asked:
                raise SocketBrokenError("got no sign of life") from None
            self._asked = True
            if self._protocol.state is OPEN:
                self._protocol.send_ping(b"")
            await self._flush()
            return
        except (httpcore.NetworkError, OSError) as error:
            raise SocketBrokenError(f"got {type(error).__name__}") from None
        self._asked = False
        if data:
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                self._take(event)
        await self._flush()

    def _take(self, frame: Frame) -> None:
        """Put messages together; their size was bounded where their frames were read."""
        if frame.opcode is CLOSE:
            assert self._protocol.close_rcvd is not None
            self._ready.append(
                Closed(self._protocol.close_rcvd.code, self._protocol.close_rcvd.reason)
            )
        elif frame.opcode in {TEXT, BINARY, CONT}:
            if frame.opcode is not CONT:
                self._parts, self._text = bytearray(), frame.opcode is TEXT
            assert self._parts is not None
            self._parts += frame.data
            if frame.fin:
                whole, self._parts = bytes(self._parts), None
                self._ready.append(_read_text(whole) if self._text else whole)

    def _give_up(self) -> None:
        """Raise what the protocol found wrong."""
        sent = self._protocol.close_sent
        too_big = sent is not None and sent.code == MESSAGE_TOO_BIG
        name = type(self._protocol.parser_exc).__name__
        raise SocketBrokenError(f"got {name}", MESSAGE_TOO_BIG if too_big else BAD_GATEWAY)

    async def _flush(self) -> None:
        """Write what is to be written, in the order in which it was said."""
        assert self._stream is not None
        async with self._writing:
            data = b"".join(self._protocol.data_to_send())
            try:
                if data:
                    await self._stream.write(data, timeout=self._timeouts.write)
            except (httpcore.TimeoutException, httpcore.NetworkError, OSError) as error:
                raise SocketBrokenError(f"got {type(error).__name__}") from None


def handshake(
    url: httpcore.URL, fields: Fields, timeouts: Timeouts, seconds: float
) -> httpcore.Request:
    """Return the request of a handshake; its answer must begin within ``seconds``."""
    waits = asdict(timeouts) | {"read": seconds}
    return httpcore.Request("GET", url, headers=fields, extensions={"timeout": waits})


def _read_text(whole: bytes) -> str:
    """Return a text, which is UTF-8 or a failure (RFC 6455 section 8.1)."""
    try:
        return whole.decode("utf-8")
    except UnicodeDecodeError:
        raise SocketBrokenError("got a text that isn't UTF-8") from None


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
