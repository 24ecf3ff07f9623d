"""Keep used proofs in the bounded memory of one process, so that no jump of a clock lets one pass again.

Claims lie in buckets by their ``until``.  A bucket is forgotten as a whole, once its proofs are stale
or lie where no proof of today can; the span of time that it stood for is remembered instead, and
what falls into such a span is refused for good.  So the clock decides when memory is given back,
and never whether a proof is new.
"""

import threading
from bisect import bisect_right
from typing import Final

from watchword.gate.interface import ReplayClaim
from watchword.gate.replay import BUCKET_SECONDS, DEFAULT_CAPACITY, window
from watchword.reasons import Reason, UnavailableError
from watchword.tokens.interface import LEEWAY_SECONDS

MAX_SPANS: Final = 1024
"""Most forgotten spans that are told apart; beyond, the two oldest become one."""


class ForgottenSpans:
    """Know in which spans of time claims may have been forgotten; bounded, in order, disjoint."""

    def __init__(self) -> None:
        """Start with nothing forgotten."""
        self._starts: list[float] = []
        self._ends: list[float] = []
        self.newest: float = 0.0

    def __contains__(self, until: float) -> bool:
        """Tell whether a claim with this ``until`` may have been forgotten."""
        if until >= self.newest:
            return False
        at = bisect_right(self._starts, until) - 1
        return at >= 0 and until < self._ends[at]

    def __len__(self) -> int:
        """Return how many spans are told apart."""
        return len(self._starts)

    def add(self, start: float, end: float) -> None:
        """Note that claims with ``start <= until < end`` may be forgotten."""
        starts, ends = self._starts, self._ends
        first = bisect_right(starts, start)
        if first and ends[first - 1] >= start:
            first -= 1
        last = bisect_right(starts, end)
        if first < last:
            start, end = min(start, starts[first]), max(end, ends[last - 1])
        starts[first:last] = [start]
        ends[first:last] = [end]
        if len(starts) > MAX_SPANS:
            # What lies between them is refused too: a clock may go back there, nothing opens.
            del starts[1], ends[0]
        self.newest = ends[-1]


class MemoryReplayStore:
    """Hold used proofs, the first claim of each wins, for all threads of one process.

    Implements :class:`watchword.gate.replay.ImmediateReplayStore`.  Every worker process has its own: behind two of
    them a proof passes twice, unless each takes only proofs with its own nonce (``affine``).  A restart forgets what was
    used, unless ``forgotten_until`` says what to refuse for it.

    * The same claim never wins twice, whatever ``now`` says: it is in its bucket, or its bucket was
      forgotten and it is refused for that.
    * The same tag with another ``until`` is one nonce under two signatures, and refused as long as
      the first is held.
    * A bucket is forgotten once ``until`` is past, or when it lies further ahead than the window:
      then it was filled by a clock that has gone back since.  After a clock ran ahead and went back,
      fresh proofs are refused for at most ``leeway`` and :data:`BUCKET_SECONDS`.
    * When it is full, new claims are refused.  None is ever dropped to make room: a flood would then
      push out the proof that it wants to send again.

    A claim costs a look into as many sets as the window has buckets (4 or 5), and nothing is ever
    swept.  One instance can fill it only as quickly as its rate limit lets it.
    """

    def __init__(
        self,
        *,
        leeway: int = LEEWAY_SECONDS,
        capacity: int = DEFAULT_CAPACITY,
        forgotten_until: float = 0.0,
    ) -> None:
        """Start empty.

        :param leeway: the gate's, in seconds.
        :param capacity: most claims that are held.
        :param forgotten_until: seconds since 1970; claims with an earlier ``until`` are refused, since a
            process that ran before may have seen them.
        """
        self._lock = threading.Lock()
        self.forgotten = ForgottenSpans()
        if forgotten_until > 0:
            self.forgotten.add(0.0, forgotten_until)
        self._window = window(leeway)
        self._capacity = self._room = capacity
        self._buckets: dict[int, set[bytes]] = {}
        self._live: tuple[set[bytes], ...] = ()
        self._newest = self._until_at = self._turn_from = self._turn_at = 0.0

    def __len__(self) -> int:
        """Return how many claims are held."""
        return self._capacity - self._room

    def claim_now(self, claim: ReplayClaim, now: float) -> bool:
        """Record a claim; tell whether it is the first one (:meth:`watchword.gate.replay.ImmediateReplayStore.claim_now`).

        A claim is refused too where its proof is stale at ``now``, or two buckets further ahead than it
        could be.

        :raises UnavailableError: ``gate.replay_full``.
        """
        tag, until = claim
        with self._lock:
            if not self._turn_from <= now < self._turn_at:
                self._turn(now)
            if not now < until < self._until_at or (
                until < self._newest and until in self.forgotten
            ):
                return False
            for bucket in self._live:
                if tag in bucket:
                    return False
            if self._room <= 0:
                raise UnavailableError(
                    Reason.GATE_REPLAY_FULL,
                    f"{len(self)} used proofs are held, and none of them may be forgotten yet",
                    retry_after=BUCKET_SECONDS,
                )
            bucket = self._buckets[int(until) // BUCKET_SECONDS]
            if not bucket:
                self._live = (*self._live, bucket)
            bucket.add(tag)
            self._room -= 1
            return True

    async def claim(self, claim: ReplayClaim, now: float) -> bool:
        """See :meth:`watchword.gate.interface.ReplayStore.claim`; never waits."""
        return self.claim_now(claim, now)

    async def close(self) -> None:
        """Do nothing: there is nothing to let go of."""

    def _turn(self, now: float) -> None:
        """Forget the buckets whose time is over, or can't have come yet; make those that can be met now."""
        earliest = int(now) // BUCKET_SECONDS
        latest = int(now + self._window) // BUCKET_SECONDS + 1
        held = self._buckets
        for number, bucket in held.items():
            if bucket and not earliest <= number <= latest:
                self._room += len(bucket)
                self.forgotten.add(number * BUCKET_SECONDS, (number + 1) * BUCKET_SECONDS)
        self._buckets = {n: held.get(n) or set() for n in range(earliest, latest + 1)}
        self._live = tuple(bucket for bucket in self._buckets.values() if bucket)
        self._newest = self.forgotten.newest
        self._until_at = (latest + 1) * BUCKET_SECONDS
        self._turn_from = earliest * BUCKET_SECONDS
        self._turn_at = self._turn_from + BUCKET_SECONDS
