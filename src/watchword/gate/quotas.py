"""Count what each instance used of a quota: exactly, in windows that are aligned to 1970, in bounded memory.

Ask only after token and proof were verified, as of :mod:`watchword.gate.rate`.
"""

from collections.abc import MutableMapping
from typing import Final, NamedTuple, Protocol

DEFAULT_CAPACITY: Final = 500_000
"""Most instances that are told apart in one window, about 90 MB; beyond, some share a count."""

SHARED_CELLS: Final = 65_536
"""How many counts are shared by the instances beyond the capacity."""

STEP_SECONDS: Final = 60
"""How far a clock may be set back behind the begin of a window without leaving it."""


class QuotaWindow(NamedTuple):
    """Name one window of one quota.

    :param quota: the limit's name.
    :param seconds: how long its windows are.
    :param number: since 1970; the window begins at ``number * seconds``.
    """

    quota: str
    seconds: int
    number: int


class QuotaKeeper(Protocol):
    """Keep counts over the restarts of a gate, and share them between its processes.

    Called on the path of requests: neither waits, but for :meth:`counts` at the start of a process.
    """

    def counts(self, window: QuotaWindow) -> MutableMapping[str, int]:
        """Return by subject what was counted in a window so far, the same object whenever it is asked for.

        The gate counts in it; the keeper raises a count where other processes counted too.
        """

    def spent(self, window: QuotaWindow, subject: str) -> None:
        """Hear of one request that was counted."""


class _Window:
    """Hold the counts of one window."""

    __slots__ = ("begin", "cells", "counts", "end", "name")

    def __init__(self, name: QuotaWindow, counts: MutableMapping[str, int]) -> None:
        self.name = name
        self.begin = float(name.number * name.seconds - STEP_SECONDS)
        self.end = float((name.number + 1) * name.seconds)
        self.counts = counts
        self.cells: dict[int, int] = {}


class QuotaCounter:
    """Let each instance send ``requests`` in each window of ``seconds``.

    **Forgetting.**  Counts are forgotten all at once, when their window has ended, and never earlier: nothing
    that an instance, or a crowd of them, sends resets anybody's.

    **When there is no room**, an instance that isn't held shares one of :data:`SHARED_CELLS` counts with others,
    chosen by a hash that nobody outside can predict, as in :class:`watchword.gate.rate.RateLimiter`.

    **Clocks.**  One that goes ahead into another window begins that one.  One that goes back by at most a minute
    stays in the window that it had reached: around its begin nobody gets two quotas.  One that goes back further
    takes the counts along, and they hold for the window that it is in then.

    **Threads.**  Of two threads that count for one instance in the same instant both may get its last request.
    """

    def __init__(
        self,
        quota: str,
        requests: int,
        seconds: int,
        *,
        capacity: int = DEFAULT_CAPACITY,
        keeper: QuotaKeeper | None = None,
    ) -> None:
        """Start before any window.

        :param quota: its name, for the keeper.
        :param capacity: most instances that are told apart.
        :param keeper: keeps the counts; None where they end with the process.
        """
        self.requests = requests
        self._quota = quota
        self._seconds = seconds
        self._capacity = capacity
        self._keeper = keeper
        self._windows: dict[int, _Window] = {}
        self._window = _Window(QuotaWindow(quota, seconds, -1), {})

    def __len__(self) -> int:
        """Return how many counts are held."""
        return len(self._window.counts) + len(self._window.cells)

    def wait(self, subject: str, now: float) -> float:
        """Return 0.0 where there is room for a request of an instance now; otherwise the seconds until there is.

        :param subject: the verified token's.
        :param now: seconds since 1970.
        """
        window = self._window
        if not window.begin <= now < window.end:
            window = self._turn(now)
        count = window.counts.get(subject)
        if count is None:
            if len(window.counts) < self._capacity:
                return 0.0
            count = window.cells.get(hash(subject) % SHARED_CELLS, 0)
        return 0.0 if count < self.requests else window.end - now

    def take(self, subject: str, now: float) -> float:
        """Count a request if there is room for it; return as :meth:`wait`.  A refused one counts nowhere."""
        window = self._window
        if not window.begin <= now < window.end:
            window = self._turn(now)
        counts = window.counts
        count = counts.get(subject)
        if count is None:
            if len(counts) >= self._capacity:
                return self._take_shared(window, subject, now)
            count = 0
        if count >= self.requests:
            return window.end - now
        counts[subject] = count + 1
        if self._keeper is not None:
            self._keeper.spent(window.name, subject)
        return 0.0

    def _take_shared(self, window: _Window, subject: str, now: float) -> float:
        """Count a request where there is no room for a count of its own."""
        cell = hash(subject) % SHARED_CELLS
        count = window.cells.get(cell, 0)
        if count >= self.requests:
            return window.end - now
        window.cells[cell] = count + 1
        return 0.0

    def _turn(self, now: float) -> _Window:
        """Go to the window of an instant; threads that come at once find the same one."""
        held = self._window
        number = int(now // self._seconds)
        name = QuotaWindow(self._quota, self._seconds, number)
        keeper = self._keeper
        fresh = _Window(name, {} if keeper is None else keeper.counts(name))
        if number < held.name.number:
            for subject, count in list(held.counts.items()):
                fresh.counts[subject] = max(count, fresh.counts.get(subject, 0))
            fresh.cells = held.cells
        window = self._windows.setdefault(number, fresh)
        self._window = window
        self._windows = {number: window}
        return window
