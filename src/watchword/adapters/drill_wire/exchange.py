"""Write a request byte for byte, and read its answer strictly (RFC 9112)."""

from dataclasses import dataclass
from typing import Final

import h11

from watchword.adapters.drill_wire.origin import Origin
from watchword.adapters.drill_wire.stream import Limit, OutOfTimeError, Stream
from watchword.drill.wire import Answer, Call, Headers
from watchword.reasons import WatchwordError

MAX_HEAD_BYTES: Final = 64 * 1024
"""Most bytes of an answer's head."""

_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})
_OWN_FRAMING: Final = frozenset({"content-length", "transfer-encoding", "connection", "upgrade"})
_SWITCHING: Final = 101
_FINAL: Final = 200


class UnsendableError(WatchwordError):
    """Report a request that would become two, or has no bytes: nothing was sent, and nothing is proven."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Hold what came back.

    :param whole: the answer's end was seen, within every bound.
    :param reusable: the connection stands, and nothing is left in it.
    """

    answer: Answer
    whole: bool = False
    reusable: bool = False


def request_head(call: Call, origin: Origin, added: Headers) -> bytes:
    """Return the head of a request: what the call holds, in its order and its spelling, beside what HTTP asks for.

    ``Host``, ``User-Agent``, ``Accept``, ``Accept-Encoding`` and ``Content-Length`` are put first where the call names
    none; ``added`` comes last and replaces what the call has of those names.  Everything else is sent as it is, a space, a
    null byte and any Latin-1 character in the target among it, and whatever a server may make of that.

    :raises UnsendableError: for CR or LF, which would start a header or a request that nobody counted or signed, and for
        characters beyond Latin-1.
    """
    signed = {name.lower() for name, _ in added}
    kept = [pair for pair in call.headers if pair[0].lower() not in signed]
    given = {name.lower() for name, _ in kept}
    first = [
        ("Host", origin.authority),
        ("User-Agent", "watchword-drill"),
        ("Accept", "*/*"),
        # Another coding could unfold to any size.
        ("Accept-Encoding", "identity"),
    ]
    headers = [pair for pair in first if pair[0].lower() not in given] + kept
    if (call.body or call.method in _WITH_BODY) and not given & {
        "content-length",
        "transfer-encoding",
    }:
        headers.append(("Content-Length", str(len(call.body))))
    lines = [f"{call.method} {call.target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in (*headers, *added)]
    if any("\r" in line or "\n" in line for line in lines):
        raise UnsendableError("got a line break within a request, expected none: it'd become two")
    try:
        return "\r\n".join([*lines, "", ""]).encode("latin-1")
    except UnicodeEncodeError:
        raise UnsendableError(
            "got a character beyond Latin-1 in a request's head, expected it as percent-encoded"
        ) from None


def exchange(stream: Stream, call: Call, head: bytes, limit: Limit, most: int) -> Outcome:
    """Send a request and read its answer; a status that came is told even where its body didn't.

    An answer that has begun says that the request was served, however it ends.  One that breaks the rules of HTTP, or took
    longer than it may, is none.

    :param most: most bytes of the body.
    :raises KeyboardInterrupt: once the run was stopped.
    """
    sent = True
    try:
        stream.send(head, limit)
        stream.send(call.body, limit)
    except OSError:
        # A server may refuse before it was sent everything; then its answer is there already.
        sent = False
    except OutOfTimeError:
        return Outcome(Answer(0))
    own_framing = any(name.lower() in _OWN_FRAMING for name, _ in call.headers)
    reader = _Reader(stream, _expecting(call), most)
    whole = reader.read(limit)
    body, pieces = bytes(reader.body[:most]), tuple(reader.pieces)
    answer = Answer(reader.status, reader.headers, body, pieces)
    return Outcome(answer, whole, whole and sent and not own_framing and reader.is_clean())


def _expecting(call: Call) -> h11.Connection:
    """Return a reader of answers that knows what changes their framing: the method, and an upgrade that was asked for.

    What was sent is none of its business, and may well be nothing that it would send.
    """
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)
    upgrade = call.header("upgrade")
    headers = [("host", "target"), *([] if upgrade is None else [("upgrade", "any")])]
    method = call.method if call.method in {"HEAD", "CONNECT"} else "GET"
    connection.send(h11.Request(method=method, target="/", headers=headers))
    connection.send(h11.EndOfMessage())
    return connection


class _Reader:
    """Read one answer."""

    def __init__(self, stream: Stream, connection: h11.Connection, most: int) -> None:
        self._stream = stream
        self._connection = connection
        self._most = most
        self.status = 0
        self.headers: Headers = ()
        self.body = bytearray()
        self.pieces: list[int] = []
        self._in_chunk = False

    def read(self, limit: Limit) -> bool:
        """Read as far as it goes; tell whether that was the answer's end."""
        try:
            while not self._took(limit):
                pass
        except (OSError, h11.RemoteProtocolError, OutOfTimeError):
            return False
        return len(self.body) <= self._most and self.status != _SWITCHING

    def is_clean(self) -> bool:
        """Tell whether the next request may go over the same connection."""
        return self._connection.their_state is h11.DONE and not self._connection.trailing_data[0]

    def _count(self, event: h11.Data) -> None:
        if event.chunk_start or not self._in_chunk:
            self.pieces.append(0)
        self.pieces[-1] += len(event.data)
        self._in_chunk = (event.chunk_start or self._in_chunk) and not event.chunk_end

    def _took(self, limit: Limit) -> bool:
        """Take the next event; tell whether it was the last."""
        event = self._connection.next_event()
        if event is h11.NEED_DATA:
            # Asked also where bytes keep coming, none of which is an answer.
            limit.left()
            self._connection.receive_data(self._stream.receive(limit))
            return False
        if isinstance(event, h11.Data):
            self._count(event)
            self.body += event.data[: self._most + 1 - len(self.body)]
            return len(self.body) > self._most
        if isinstance(event, h11.Response | h11.InformationalResponse):
            if event.status_code < _FINAL and event.status_code != _SWITCHING:
                return False
            self.status = event.status_code
            self.headers = tuple(
                (name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers
            )
            return self.status == _SWITCHING
        return True
