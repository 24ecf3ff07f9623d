"""Offer requests at fixed moments, whether or not earlier ones were answered: an open loop.

A closed loop waits for answers before it sends on, and so never offers more than a server takes. Here each request
has the moment at which it is meant to start, and its time counts from there: what the generator itself is late
counts against the server, never for it.  A client waits for so long and then hangs up.

One thread and one ``epoll``; every client is a connection of its own, or one that an earlier client left open.
"""

import errno
import select
import socket
import statistics
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

PATIENCE: Final = 2.0
"""Seconds after its intended start in which a client wants its answer; it hangs up then."""

MOST_CONNECTIONS: Final = 6000
"""Most clients at once; who comes beyond them stays outside and counts as offered, not sent."""

Address = tuple[str, int] | str
"""Host and port, or the path of a Unix socket."""

_AT_A_TURN: Final = 64
_READ_BYTES: Final = 65_536
_SETTLING: Final = PATIENCE + 0.5


class Requests(Protocol):
    """Give requests, and hear what became of each."""

    def take(self) -> tuple[int, bytes]:
        """Return a number and the bytes of the next request.

        :raises SystemExit: when there are no more: the benchmark was given too few.
        """

    def done(self, number: int, status: int) -> None:
        """Hear the status of an answer; 0 where none came in time."""


class Circle:
    """Give the same requests over and over: of those that may be sent more than once."""

    def __init__(self, requests: Sequence[bytes]) -> None:
        """Begin at the first."""
        self._requests = requests
        self._at = 0

    def take(self) -> tuple[int, bytes]:
        """Return the next one."""
        self._at += 1
        return 0, self._requests[self._at % len(self._requests)]

    def done(self, number: int, status: int) -> None:
        """Need nothing of it."""


@dataclass
class Tally:
    """Count what became of what was offered in one phase.

    :ivar offered: requests whose moment came.
    :ivar answers: by status; 0 where none came in time or the connection broke.
    :ivar good: seconds from the intended start to each answer that was wanted, by intended start.
    :ivar unsent: those for which there was no connection left, of ``offered``.
    :ivar broken: by what went wrong: ``refused``, ``reset``, ``late``.
    :ivar behind: seconds that each request was sent after its intended start.
    :ivar after: seconds from the begin of the phase to the intended start of the last request that wasn't answered well and quickly.
    """

    offered: int = 0
    unsent: int = 0
    answers: Counter[int] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    good: list[float] = field(default_factory=list)
    behind: list[float] = field(default_factory=list)
    after: float = 0.0

    def quantile(self, share: float) -> float:
        """Return so many seconds that this share of the good answers took no longer; 0 without any."""
        return quantile(self.good, share)


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value below which this share lies; 0 where there are none."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else 0.0


class Phase(NamedTuple):
    """Offer requests at a rate for a time.

    :param rate: a second.
    :param quick: seconds in which a good answer counts as quick, for :attr:`Tally.after`.
    """

    requests: Requests
    rate: float
    seconds: float
    quick: float = 0.5


class _Arrivals:
    """Say when the next request of a phase is due."""

    def __init__(self, phase: Phase, start: float, *, alone: bool) -> None:
        self.phase, self.tally, self.alone = phase, Tally(), alone
        self.start, self.end = start, start + phase.seconds
        self.due = start

    def advance(self) -> float:
        due = self.due
        self.due += 1 / self.phase.rate
        self.tally.offered += 1
        return due


class _Connection:
    """Be a client's connection, or one that a client left open."""

    __slots__ = ("arrivals", "intended", "left", "number", "received", "sent_whole", "sock")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.arrivals: _Arrivals | None = None
        self.number = 0
        self.intended = 0.0
        self.left: memoryview | bytes = b""
        self.received = b""
        self.sent_whole = False


class Generator:
    """Send to one server on loopback; of one thread."""

    def __init__(
        self,
        port: int,
        *,
        patience: float = PATIENCE,
        most: int = MOST_CONNECTIONS,
        good: frozenset[int] = frozenset({200, 201}),
    ) -> None:
        """Connect to nobody yet."""
        self._address: Address = ("127.0.0.1", port)
        self._patience = patience
        self._most = most
        self._good = good
        self._poll = select.epoll()
        self._open: dict[int, _Connection] = {}
        self._idle: dict[_Connection, None] = {}
        self._waiting: deque[tuple[float, _Connection, float]] = deque()
        self._closed_loop: Callable[[], None] | None = None
        self._beside: Address = self._address

    def close(self) -> None:
        """Hang up everywhere."""
        for connection in list(self._open.values()):
            self._hang_up(connection)
        self._poll.close()

    def run(
        self, phases: Sequence[Phase], beside: Phase | None = None, at: Address | None = None
    ) -> list[Tally]:
        """Offer the phases one after another; return a tally for each, and at the end that of ``beside``.

        :param beside: is offered all along, each request on a new connection: health, say.
        :param at: where ``beside`` goes, None for the same server.
        """
        self._beside = self._address if at is None else at
        start = time.monotonic() + 0.05
        plan = []
        for phase in phases:
            plan.append(_Arrivals(phase, start, alone=False))
            start = plan[-1].end
        probes = [] if beside is None else [_Arrivals(beside, plan[0].start, alone=True)]
        for probe in probes:
            probe.end = start
        while (now := time.monotonic()) < start or self._waiting:
            for each in (*plan, *probes):
                self._launch(each, now)
            self._expire(now)
            self._turn()
            if now > start + _SETTLING:
                break
        return [each.tally for each in (*plan, *probes)]

    def closed(self, requests: Requests, width: int, seconds: float) -> float:
        """Keep so many requests on their way; return how many were answered well in a second."""
        phase = Phase(requests, 1.0, seconds)
        arrivals = _Arrivals(phase, time.monotonic(), alone=False)
        self._closed_loop = lambda: self._begin(arrivals, time.monotonic())
        for _ in range(width):
            self._closed_loop()
        while (now := time.monotonic()) < arrivals.end:
            self._turn()
            self._expire(now)
        rate = len(arrivals.tally.good) / (now - arrivals.start)
        self._closed_loop = None
        while self._waiting and time.monotonic() < arrivals.end + _SETTLING:
            self._turn()
            self._expire(time.monotonic())
        return rate

    def _launch(self, arrivals: _Arrivals, now: float) -> None:
        """Start what is due, but not so much at a turn that answers stay unread."""
        for _ in range(_AT_A_TURN):
            if arrivals.due > now or arrivals.due >= arrivals.end:
                break
            self._begin(arrivals, arrivals.advance())

    def _begin(self, arrivals: _Arrivals, intended: float) -> None:
        connection = self._client(arrivals)
        if connection is None:
            arrivals.tally.unsent += 1
            self._bad(arrivals, intended)
            return
        connection.number, connection.left = arrivals.phase.requests.take()
        connection.arrivals, connection.intended = arrivals, intended
        connection.received, connection.sent_whole = b"", False
        now = time.monotonic()
        arrivals.tally.behind.append(now - intended)
        self._waiting.append((max(intended + self._patience, now), connection, intended))
        self._send(connection)

    def _client(self, arrivals: _Arrivals) -> _Connection | None:
        if self._idle and not arrivals.alone:
            return self._idle.popitem()[0]
        return self._connect(self._beside if arrivals.alone else self._address)

    def _connect(self, address: Address) -> _Connection | None:
        if len(self._open) >= self._most:
            return None
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        if family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = sock.connect_ex(address)
        if code not in (0, errno.EINPROGRESS):
            # Nobody listens, or this machine has no port left for another client.
            sock.close()
            return None
        connection = _Connection(sock)
        self._open[sock.fileno()] = connection
        self._poll.register(sock, select.EPOLLIN | select.EPOLLOUT)
        return connection

    def _send(self, connection: _Connection) -> None:
        try:
            sent = connection.sock.send(connection.left)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(connection, 0, _named(error))
            return
        if sent == len(connection.left):
            connection.left, connection.sent_whole = b"", True
            self._poll.modify(connection.sock, select.EPOLLIN)
        else:
            connection.left = memoryview(connection.left)[sent:]

    def _turn(self) -> None:
        """Take up what has arrived, and never rest.

        Two cores of a virtual machine are often one core's two threads: there a generator that rests in the closed
        loop, and can't in the open one, would slow the server by a third, and the peak would be another machine's.
        """
        for number, events in self._poll.poll(0, 512):
            connection = self._open.get(number)
            if connection is None:
                continue
            if events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
                self._receive(connection)
            elif events & select.EPOLLOUT and connection.arrivals is not None:
                self._send(connection)

    def _receive(self, connection: _Connection) -> None:
        try:
            data = connection.sock.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(connection, 0, _named(error))
            return
        if not data or connection.arrivals is None:
            self._end(connection, 0, "reset")
            return
        connection.received += data
        head, found, body = connection.received.partition(b"\r\n\r\n")
        if found and len(body) >= _length(head):
            keep = b"connection: close" not in head.lower() and connection.sent_whole
            self._end(connection, int(head[9:12]), "", keep=keep)

    def _end(
        self, connection: _Connection, status: int, broken: str, *, keep: bool = False
    ) -> None:
        """File what came of a request, and keep or close its connection."""
        arrivals, intended = connection.arrivals, connection.intended
        connection.arrivals = None
        if keep and not (arrivals is not None and arrivals.alone):
            self._idle[connection] = None
        else:
            self._hang_up(connection)
        if arrivals is None:
            return
        tally, took = arrivals.tally, time.monotonic() - intended
        if took > self._patience:
            # It may have come in time and been read late; that counts against the server too.
            status, broken = 0, "late"
        tally.answers[status] += 1
        if broken:
            tally.broken[broken] += 1
        if status in self._good:
            tally.good.append(took)
        if status not in self._good or took > arrivals.phase.quick:
            self._bad(arrivals, intended)
        arrivals.phase.requests.done(connection.number, status)
        if self._closed_loop is not None and time.monotonic() < arrivals.end:
            self._closed_loop()

    def _bad(self, arrivals: _Arrivals, intended: float) -> None:
        arrivals.tally.after = max(arrivals.tally.after, intended - arrivals.start)

    def _hang_up(self, connection: _Connection) -> None:
        if self._open.pop(connection.sock.fileno(), None) is not None:
            self._poll.unregister(connection.sock)
            connection.sock.close()
        self._idle.pop(connection, None)

    def _expire(self, now: float) -> None:
        """Have clients hang up whose patience is at its end."""
        while self._waiting:
            until, connection, intended = self._waiting[0]
            waits = connection.arrivals is not None and connection.intended == intended
            if waits and until > now:
                return
            self._waiting.popleft()
            if waits:
                self._end(connection, 0, "late")


def _named(error: OSError) -> str:
    return "refused" if error.errno == errno.ECONNREFUSED else "reset"


def _length(head: bytes) -> int:
    _, found, rest = head.lower().partition(b"content-length:")
    return int(rest.partition(b"\r\n")[0]) if found else 0


def median(values: Sequence[float]) -> float:
    """Return the median; 0 where there are none."""
    return statistics.median(values) if values else 0.0
