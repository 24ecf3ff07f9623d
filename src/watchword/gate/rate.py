"""Limit how many requests one instance may send, in bounded memory and without a sweep.

Ask only after token and proof were verified: a stolen token without its proof must not spend what its
owner may send.
"""

from typing import Final

from watchword.gate.interface import Rate

DEFAULT_CAPACITY: Final = 200_000
"""Most instances that are told apart at once, about 30 MB; beyond, some share a limit."""

SHARED_CELLS: Final = 4096
"""How many limits are shared by the instances beyond the capacity."""


class RateLimiter:
    """Give each instance a bucket of ``requests`` tokens that fills evenly over ``seconds``.

    At most twice ``requests`` pass in any ``seconds`` (a full bucket and what flows in), half of
    them on the long run.  A bucket is one number: the instant from which on it is full again (the
    "theoretical arrival time" of GCRA, ITU-T I.371).

    **Forgetting.**  A bucket may be forgotten only when it is full, since a new one is full too; every
    bucket is full ``seconds`` after its last use.  So there are two generations: when the younger is
    that old, the older is dropped as a whole.  Nothing that an instance, or a crowd of them, sends
    makes room earlier: nobody's bucket is ever reset.

    **When there is no room**, an instance that isn't held shares one of :data:`SHARED_CELLS` buckets with
    others, chosen by a hash that nobody outside can predict (Python keys its own at each start).  To let
    it pass unlimited would switch the limit off for whoever brings enough instances, and to refuse it
    would shut out everybody new; sharing only makes the limit stricter for some of them for a while.
    What it spent there follows it into a bucket of its own.

    **Clocks.**  A clock that goes ahead fills buckets early, once.  One that goes back finds buckets that
    are full later than they can be: they count as empty, and fill at the usual pace.
    """

    def __init__(self, rate: Rate, capacity: int = DEFAULT_CAPACITY) -> None:
        """Start with every bucket full.

        :param capacity: most instances that are told apart.
        """
        self._seconds = float(rate.seconds)
        self._cost = rate.seconds / rate.requests
        # Sums of floats (2**-22 s is their step in our days) must not eat a bucket's last request.
        self._most = self._seconds + self._cost / 100 + rate.requests * 2**-22
        self._turn_seconds = self._seconds + self._cost
        self._half = max(capacity // 2, 1)
        self._young: dict[str, float] = {}
        self._old: dict[str, float] = {}
        self._cells: dict[int, float] = {}
        self._old_cells: dict[int, float] = {}
        self._turn_from = 0.0
        self._turn_at = 0.0
        self._turns: dict[float, object] = {}

    def __len__(self) -> int:
        """Return how many buckets are held."""
        held = (len(self._young), len(self._old), len(self._cells), len(self._old_cells))
        return sum(held)

    def take(self, subject: str, now: float) -> float:
        """Take one request out of an instance's bucket; return 0.0 when there was one.

        :param subject: the verified token's.
        :param now: seconds of any clock, always of the same one.
        :return: otherwise the seconds after which there will be one (for ``Retry-After``); a refused
            request takes nothing.
        """
        if not self._turn_from <= now < self._turn_at:
            self._turn_once(now)
        young = self._young
        full_at = young.get(subject)
        if full_at is None:
            if len(young) >= self._half:
                return self._take_shared(subject, now)
            full_at = self._old.get(subject)
            if full_at is None:
                full_at = self._spent_in_cell(subject) if self._cells or self._old_cells else now
        if full_at < now:  # noqa: PLR1730 - max() takes a quarter of the time of the whole call.
            full_at = now
        after = full_at + self._cost
        if after - now <= self._most:
            young[subject] = after
            return 0.0
        # Written down for the sake of a clock that went back: from here on it fills.
        full_at = min(full_at, now + self._seconds)
        young[subject] = full_at
        return full_at + self._cost - self._seconds - now

    def wait(self, subject: str, now: float) -> float:
        """Return 0.0 where :meth:`take` would take a request now, otherwise what it would return; takes nothing."""
        if not self._turn_from <= now < self._turn_at:
            self._turn_once(now)
        full_at = self._young.get(subject)
        if full_at is None:
            own = self._old.get(subject)
            full_at = now if own is None else own
            if len(self._young) >= self._half or own is None:
                full_at = max(full_at, self._spent_in_cell(subject))
        if full_at + self._cost - now <= self._most:
            return 0.0
        # There is no room, so that this takes nothing; it writes down what a clock that went back needs.
        return self.take(subject, now)

    def is_spent(self, subject: str, now: float) -> bool:
        """Tell whether something is missing in an instance's bucket."""
        full_at = self._young.get(subject, self._old.get(subject, 0.0))
        return max(full_at, self._spent_in_cell(subject)) > now

    def give_back(self, subject: str) -> None:
        """Put the request back that was taken last: it came to nothing.

        It goes where it was taken from, unless that is full and forgotten by now.
        """
        cell = hash(subject) % SHARED_CELLS
        for held, key in (
            (self._young, subject),
            (self._cells, cell),
            (self._old, subject),
            (self._old_cells, cell),
        ):
            if key in held:
                held[key] -= self._cost  # type: ignore[index]
                return

    def _turn_once(self, now: float) -> None:
        """Turn, but of two threads one only: the second would let go of what is still in use."""
        ended, mine = self._turn_at, object()
        if self._turns.setdefault(ended, mine) is mine:
            self._turn(now)
            self._turns = {}

    def _take_shared(self, subject: str, now: float) -> float:
        """Take one request where there is no room for a bucket of its own."""
        own = self._old.get(subject)
        cell = hash(subject) % SHARED_CELLS
        full_at = max(now, self._spent_in_cell(subject), now if own is None else own)
        full_at = min(full_at, now + self._seconds)
        after = full_at + self._cost
        if after - now <= self._most:
            self._cells[cell] = after
            return 0.0
        self._cells[cell] = full_at
        return after - self._seconds - now

    def _spent_in_cell(self, subject: str) -> float:
        """Return until when the cell of an instance fills, which may have spent there."""
        cell = hash(subject) % SHARED_CELLS
        return max(self._cells.get(cell, 0.0), self._old_cells.get(cell, 0.0))

    def _turn(self, now: float) -> None:
        """Let the older generation go: each of its buckets is full by now.

        After a jump back the buckets count as empty at most, and so are full ``seconds`` from now.
        """
        if now >= self._turn_at:
            idle = now >= self._turn_at + self._turn_seconds
            self._old = {} if idle else self._young
            self._old_cells = {} if idle else self._cells
            self._young = {}
            self._cells = {}
        self._turn_from = now
        self._turn_at = now + self._turn_seconds
