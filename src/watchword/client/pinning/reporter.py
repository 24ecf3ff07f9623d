"""Report connections that pins speak against: bounded, without secrets, and never over what is reported.

Somebody on the way can keep reports back; that is why they go to another host.  The server that was reached can't count
them: in TLS 1.3 a client that refuses looks like one that went away.
"""

import queue
import threading
from collections import OrderedDict
from typing import Final, Protocol, TypeAlias

import httpx

from watchword.client.pinning.installation import Seen
from watchword.pins.installed import is_withdrawn
from watchword.pins.reports import report_of, write_report
from watchword.pins.sets import reports_to_itself

MAX_WAITING: Final = 16
"""Reports that wait to be sent; more are dropped."""

MAX_AN_HOUR: Final = 12
"""Reports that are sent in an hour; more are dropped."""

MAX_REMEMBERED: Final = 256
"""Different reports that are remembered, so that none is told twice."""

REPEAT_SECONDS: Final = 24 * 3600.0
"""After how long the same is told again."""

_What: TypeAlias = tuple[object, ...]
"""What tells a report from others."""

_HOUR: Final = 3600.0
_TIMEOUT: Final = httpx.Timeout(5.0)


class Postman(Protocol):
    """Carry a report."""

    def post(self, url: str, body: bytes) -> bool:
        """Send JSON to a URL; tell whether it was taken (a status of 2xx), and never raise."""


class HttpPostman:
    """Implement :class:`Postman` over a connection that isn't pinned, with no cookie, token or redirect."""

    def __init__(self, transport: httpx.BaseTransport | None = None) -> None:
        """Prepare; nothing is sent yet."""
        self._http = httpx.Client(timeout=_TIMEOUT, transport=transport)

    def post(self, url: str, body: bytes) -> bool:
        """See :meth:`Postman.post`."""
        headers = {"content-type": "application/json"}
        try:
            # What the answer holds isn't needed, and may be endless.
            with self._http.stream("POST", url, content=body, headers=headers) as answer:
                return answer.is_success
        except (httpx.HTTPError, httpx.InvalidURL):
            return False
        finally:
            self._http.cookies.clear()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


class Reporter:
    """Take what a :class:`PinKeeper` tells, and send it from a thread of its own; safe to use from many threads."""

    def __init__(self, postman: Postman) -> None:
        """Prepare; the thread starts with the first report."""
        self._postman = postman
        self._waiting: queue.Queue[tuple[_What, str, bytes] | None] = queue.Queue(MAX_WAITING)
        self._lock = threading.Lock()
        self._told: OrderedDict[_What, float] = OrderedDict()
        self._sent: list[float] = []
        self._thread: threading.Thread | None = None
        self.dropped = 0

    def notify(self, seen: Seen) -> None:
        """Take a connection; returns at once, and never raises."""
        url = url_of(seen)
        judgement = seen.judgement
        what = (seen.host, judgement.version, judgement.basis, judgement.mismatch, seen.chain[:1])
        if url is None or not self._is_allowed(what, seen.at):
            return
        app = seen.installed.builtin
        # Hashes of public keys and versions; nothing of the request, the user or the device.
        report = write_report(
            report_of(app.app, app.app_version, seen.host, seen.chain, judgement, seen.at)
        )
        with self._lock:
            try:
                self._waiting.put_nowait((what, url, report))
                self._start()
            except (queue.Full, RuntimeError):
                # The queue is full, or the process can't start a thread: a connection isn't held up for it.
                self.dropped += 1
                self._told.pop(what, None)

    def _start(self) -> None:
        # A thread doesn't come along into a child process; there another one is started.
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="pin-reports", daemon=True)
            self._thread.start()

    def close(self, seconds: float = 5.0) -> None:
        """Send what waits, for at most so many seconds."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is None:
            return
        try:
            self._waiting.put(None, timeout=seconds)
        except queue.Full:
            return
        thread.join(seconds)

    def _is_allowed(self, what: _What, at: float) -> bool:
        """Tell whether this wasn't told lately, and not too much else."""
        with self._lock:
            last = self._told.get(what)
            if last is not None and 0 <= at - last < REPEAT_SECONDS:
                return False
            self._sent = [each for each in self._sent if 0 <= at - each < _HOUR]
            if len(self._sent) >= MAX_AN_HOUR:
                self.dropped += 1
                return False
            self._sent.append(at)
            self._told[what] = at
            self._told.move_to_end(what)
            if len(self._told) > MAX_REMEMBERED:
                self._told.popitem(last=False)
            return True

    def _run(self) -> None:
        while (each := self._waiting.get()) is not None:
            what, url, report = each
            if not self._postman.post(url, report):
                # Whoever keeps it back doesn't silence the next one of its kind; the bound by the hour holds.
                with self._lock:
                    self._told.pop(what, None)


def url_of(seen: Seen) -> str | None:
    """Return where a connection is reported: nowhere, if that were a pinned host.

    The address of a withdrawn set may be a thief's, who could aim all phones at anybody: the shipped set's is taken instead.
    """
    held = seen.installed
    pin_set = held.set
    if pin_set is not None and is_withdrawn(pin_set, held.roots):
        pin_set = held.builtin.first
    return None if pin_set is None or reports_to_itself(pin_set) else pin_set.reports
