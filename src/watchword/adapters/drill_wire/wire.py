"""Send requests to pinned addresses over HTTP/1.1: no redirects, no proxies of the environment, no cookies."""

import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Final

from watchword.adapters.drill_wire.exchange import exchange, request_head
from watchword.adapters.drill_wire.origin import Origin
from watchword.adapters.drill_wire.stream import (
    Limit,
    OutOfTimeError,
    Stream,
    open_stream,
    tls_context,
)
from watchword.adapters.drill_wire.weak import weak_context
from watchword.drill.consent import MAX_RATE
from watchword.drill.interface import MissingError, Need
from watchword.drill.wire import (
    MAX_ANSWER_BYTES,
    Answer,
    Call,
    Headers,
    Part,
    TargetLostError,
    Weakness,
)

TIMEOUT_SECONDS: Final = 10.0
"""How long one exchange may take as a whole, from connecting to the last byte; of several together, connecting has as
much again."""

_IDLE_SECONDS: Final = 2.0
"""How long a connection is kept for the next request: less than servers keep it, so that none ends in between."""

_MOST_IDLE: Final = 16
_NEEDS: Final = {Part.GATE: Need.SAMPLE, Part.SERVICE: Need.SERVICE, Part.UPSTREAM: Need.UPSTREAM}


class HttpWire:
    """Implement :class:`watchword.drill.wire.Wire`; safe to use from many threads.

    Where it connects is decided by :class:`Origin` alone: no header, no target (an absolute one among them), no answer and
    no variable of the environment has a say in it.  Requests go out byte for byte, see :func:`request_head`; one that can't
    be is refused by :class:`UnsendableError` before anything is sent.
    """

    def __init__(
        self,
        origins: Mapping[Part, Origin],
        *,
        rate: float | None,
        signed: Callable[[Call], Headers] = lambda _: (),
        stop: threading.Event | None = None,
        ca: Path | None = None,
        seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        """Prepare; nothing is sent yet.

        :param rate: most requests a second, None for no bound on this machine; elsewhere at most :data:`MAX_RATE`, whatever
            is said here.
        :param signed: returns headers that name the run, to be added to each request; what it raises is raised, and
            nothing is sent.
        :param stop: once set, nothing more is sent, and whatever waits ends.
        :param ca: certificates that are believed instead of the public authorities'; read at the first ``https``.
        :param seconds: that one exchange may take.
        :raises ValueError: for a rate that isn't above 0.
        """
        if rate is not None and not rate > 0:
            raise ValueError(f"got a rate of {rate}, expected one above 0")
        if not all(origin.is_loopback for origin in origins.values()):
            rate = min(MAX_RATE, rate or MAX_RATE)
        self._origins = dict(origins)
        self._interval = 0.0 if rate is None else 1.0 / rate
        self._signed = signed
        self._stop = stop or threading.Event()
        self._ca = ca
        self._seconds = seconds
        self._lock = threading.Lock()
        self._next = 0.0
        # By origin and not by address: two names at one address have two certificates.
        self._idle: dict[Origin, list[Stream]] = {}
        self._closed = False
        self._sent = threading.local()
        self._total = 0

    def close(self) -> None:
        """Close every connection that waits for another request."""
        with self._lock:
            self._closed = True
            streams = [stream for each in self._idle.values() for stream in each]
            self._idle.clear()
        for stream in streams:
            stream.close()

    @property
    def sent(self) -> int:
        """Return how many requests this thread sent, or had sent together."""
        count: int = getattr(self._sent, "count", 0)
        return count

    @property
    def total(self) -> int:
        """Return how many requests were sent by all threads."""
        return self._total

    def authority(self, part: Part) -> str:
        """See :meth:`watchword.drill.wire.Wire.authority`."""
        return self._origin(part).authority

    def scheme(self, part: Part) -> str:
        """See :meth:`watchword.drill.wire.Wire.scheme`."""
        return self._origin(part).scheme

    def send(self, call: Call) -> Answer:
        """See :meth:`watchword.drill.wire.Wire.send`.

        :raises UnsendableError: when it has no bytes that are one request.
        """
        origin = self._origin(call.part)
        # A first look, so that what can't be sent takes no turn; signed only when its turn came.
        request_head(call, origin, ())
        self._take_turns(1)
        return self._exchanged(call, origin, self._kept(origin))

    def send_together(self, calls: Sequence[Call]) -> list[Answer]:
        """See :meth:`watchword.drill.wire.Wire.send_together`; raises as :meth:`send` does.

        Where the rate is bounded, it is silent for as many turns before and after, so that no second has more.  More than
        go into one second are sent one after the other.
        """
        if len(calls) * self._interval > 1.0:
            return [self.send(call) for call in calls]
        origins = [self._origin(call.part) for call in calls]
        for call, origin in zip(calls, origins, strict=True):
            request_head(call, origin, ())
        if not calls:
            return []
        self._take_turns(len(calls))
        streams: list[Stream] = []
        try:
            for call, origin in zip(calls, origins, strict=True):
                streams.append(self._opened(call, origin, Limit(self._seconds, self._stop)))
        except BaseException:
            for stream in streams:
                stream.close()
            raise
        start = threading.Barrier(len(calls))

        def one(call: Call, origin: Origin, stream: Stream) -> Answer:
            # Whoever waits for longer goes alone.
            with suppress(threading.BrokenBarrierError):
                start.wait(self._seconds)
            return self._exchanged(call, origin, stream)

        with ThreadPoolExecutor(len(calls)) as pool:
            return list(pool.map(one, calls, origins, streams))

    def send_weakly(self, call: Call, weakness: Weakness) -> Answer:
        """See :meth:`watchword.drill.wire.Channel.send_weakly`; bounded, signed and refused as :meth:`send`."""
        origin = self._origin(call.part)
        if origin.scheme != "https":
            raise MissingError(Need.TLS)
        request_head(call, origin, ())
        tls = None if weakness is Weakness.CLEARTEXT else weak_context(weakness, self._ca)
        self._take_turns(1)
        self._signed(call)
        limit = Limit(self._seconds, self._stop)
        # The same address and port, and the same Host: the scheme says only whether there is TLS.
        over = replace(origin, scheme="http") if tls is None else origin
        try:
            stream = open_stream(over, tls, limit)
        except (ssl.SSLError, ConnectionResetError, OutOfTimeError):
            return Answer(0)  # It was refused, in one of the ways in which servers do.
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise TargetLostError(f"{call.part} at {origin.text}: got {why}") from None
        try:
            head = request_head(call, origin, self._signed(call))
            return exchange(stream, call, head, limit, MAX_ANSWER_BYTES).answer
        finally:
            stream.close()

    def _origin(self, part: Part) -> Origin:
        origin = self._origins.get(part)
        if origin is None:
            raise MissingError(_NEEDS[part])
        return origin

    def _exchanged(self, call: Call, origin: Origin, stream: Stream | None) -> Answer:
        """Send one request over this connection, or a new one, and keep it if it can be used again."""
        try:
            limit = Limit(self._seconds, self._stop)
            if stream is None:
                stream = self._opened(call, origin, limit)
            # Only now: while a slow target was connected to, its consent may have ended.
            head = request_head(call, origin, self._signed(call))
            outcome = exchange(stream, call, head, limit, MAX_ANSWER_BYTES)
        except BaseException:
            if stream is not None:
                stream.close()
            raise
        if outcome.reusable:
            self._keep(origin, stream)
        else:
            stream.close()
        return outcome.answer

    def _opened(self, call: Call, origin: Origin, limit: Limit) -> Stream:
        """Return a new connection, if what is to be sent over it may be sent: a handshake has bytes too.

        :raises TargetLostError: when nobody answers there, or with another's certificate.
        """
        self._signed(call)
        try:
            tls = self._tls if origin.scheme == "https" else None
            return open_stream(origin, tls, limit)
        except OutOfTimeError:
            why = f"nothing in {self._seconds:g} s"
        except ssl.SSLCertVerificationError as error:
            why = f"a certificate that doesn't hold for {origin.name}: {error.verify_message}"
        except OSError as error:
            why = error.strerror or type(error).__name__
        raise TargetLostError(f"{call.part} at {origin.text} ({origin.address}): got {why}")

    def _kept(self, origin: Origin) -> Stream | None:
        """Return a connection that was used before and still stands, None where there is none."""
        while True:
            with self._lock:
                waiting = self._idle.get(origin)
                if not waiting:
                    return None
                stream = waiting.pop()
            if time.monotonic() - stream.idle_since < _IDLE_SECONDS and stream.is_quiet():
                return stream
            stream.close()

    def _keep(self, origin: Origin, stream: Stream) -> None:
        stream.idle_since = time.monotonic()
        with self._lock:
            waiting = self._idle.setdefault(origin, [])
            if not self._closed and len(waiting) < _MOST_IDLE:
                waiting.append(stream)
                return
        stream.close()

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return tls_context(self._ca)

    def _take_turns(self, count: int) -> None:
        """Wait for the turn of so many requests at once, and count them.

        :raises KeyboardInterrupt: once the run was stopped.
        """
        with self._lock:
            now = time.monotonic()
            at = max(now, self._next) + (count - 1) * self._interval
            self._next = at + count * self._interval
        if self._stop.wait(at - now):
            raise KeyboardInterrupt
        with self._lock:
            self._total += count
        self._sent.count = self.sent + count
