"""Keep a scan within its time, and tell those who wait how far it is."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from watchword.reasons import WatchwordError

QUIET: Final = 2.0
"""Seconds after which those who wait are told for the first time."""

GRACE: Final = 1.0
"""Seconds beyond the end of the time, after which what doesn't look at the clock is interrupted."""


class OverTimeError(WatchwordError):
    """Report that reading took longer than it may."""


class Pace:
    """Say how many seconds are left, and tell of it now and then: readers ask again and again."""

    def __init__(
        self, seconds: float, clock: Callable[[], float], tell: Callable[[str], None]
    ) -> None:
        """Start the time.

        :param clock: monotonic, in seconds.
        :param tell: takes a line for people.
        """
        self._seconds = seconds
        self._clock = clock
        self._tell = tell
        self._started = clock()
        self._next = QUIET
        self._step = "reading"

    @property
    def taken(self) -> float:
        """Return the seconds since the start."""
        return self._clock() - self._started

    def left(self) -> float:
        """Return the seconds that are left, and tell of it when it is time to."""
        taken = self.taken
        if taken >= self._next:
            self._next = max(self._next * 2, taken + QUIET)
            self._tell(f"{self._step}, {taken:.0f} s of at most {self._seconds:.0f} s")
        return self._seconds - taken

    def looks(self, rule: str) -> None:
        """Note which rule looks now."""
        self._step = f"looking for {rule}"
        self.left()


@contextmanager
def interrupted_after(seconds: float) -> Iterator[None]:
    """Interrupt what runs in here, once, after so many seconds; where nobody can (another thread), let it run.

    :raises OverTimeError: when what runs doesn't take care of it.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGALRM"):
        yield
        return

    def interrupt(*_: Any) -> None:
        raise OverTimeError("got no end in time, expected one; allow more by --timeout")

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
