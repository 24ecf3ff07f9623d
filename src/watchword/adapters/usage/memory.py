"""Count use in the memory of one process."""

from collections.abc import Mapping
from typing import Final

from watchword.adapters.usage.counters import (
    Count,
    forgotten_at,
    given_back,
    lengths,
    tag_of,
    taken,
)
from watchword.broker.interface import Spent, Use
from watchword.reasons import Reason, UnavailableError

DEFAULT_CAPACITY: Final = 200_000
"""Most counts at once, about 40 MB."""

SWEEP_SECONDS: Final = 1.0
"""How rarely a full ledger looks for counts that it may forget."""


class MemoryUsageLedger:
    """Implement :class:`watchword.broker.interface.UsageLedger` for one event loop.

    Every process has its own, and a restart forgets what was used: for tests, and where a quota is a courtesy.
    """

    def __init__(self, capacity: int = DEFAULT_CAPACITY) -> None:
        """Start with nothing used.

        :param capacity: most counts; beyond, nobody new may call.
        """
        self._capacity = capacity
        self._counts: dict[tuple[bytes, int], Count] = {}
        self._used: dict[str, dict[int, int]] = {}
        self._swept_at = 0.0

    async def take(self, use: Use, now: float) -> Spent | None:
        """See :meth:`watchword.broker.interface.UsageLedger.take`; never waits."""
        tag = tag_of(use.secret, use.who)
        found = taken(use, now, lambda seconds: self._counts.get((tag, seconds)))
        self._make_room(sum((tag, seconds) not in self._counts for seconds in found.counts), now)
        for seconds, count in found.counts.items():
            self._counts[tag, seconds] = count
        if found.spent is not None:
            return found.spent
        used = self._used.setdefault(use.secret, {})
        used[use.version] = max(int(now), used.get(use.version, 0))
        return None

    async def give_back(self, use: Use, now: float) -> None:
        """See :meth:`watchword.broker.interface.UsageLedger.give_back`."""
        tag = tag_of(use.secret, use.who)
        for seconds in lengths(use):
            count = given_back(use, seconds, now, self._counts.get((tag, seconds)))
            if count is not None:
                self._counts[tag, seconds] = count

    async def versions_used(self, secret: str) -> Mapping[int, int]:
        """See :meth:`watchword.broker.interface.UsageLedger.versions_used`."""
        return dict(self._used.get(secret, {}))

    async def aclose(self) -> None:
        """Do nothing: there is nothing to let go of."""

    def _make_room(self, more: int, now: float) -> None:
        if len(self._counts) + more <= self._capacity:
            return
        if not 0 <= now - self._swept_at < SWEEP_SECONDS:
            self._swept_at = now
            self._counts = {
                (tag, seconds): count
                for (tag, seconds), count in self._counts.items()
                if now < forgotten_at(seconds, count.window)
            }
        if len(self._counts) + more > self._capacity:
            raise UnavailableError(
                Reason.SECRET_USAGE_UNAVAILABLE,
                f"room for {self._capacity} counts, and none of them may be forgotten yet",
            )
