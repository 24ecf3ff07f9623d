"""Be the client of an API's WebSocket (RFC 6455): its handshake checked, its frames bounded.

The bytes of the handshake go through httpcore, as every request here does; the frames through ``websockets``, whose
protocol does no I/O of its own.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
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

from watchword.apps.gateway.proxy.exchange import Timeouts
from watchword.apps.gateway.proxy.headers import Fields

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
