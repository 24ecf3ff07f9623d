"""Count refusals in bounded memory: a million of them cost what a thousand cost.

Refusals can be caused by anyone, so that they go neither to the disk nor to the log one by one.
For each reason the latest few are kept: a flood of one kind can't push out the rare ones.
"""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from watchword.ports import Clock
from watchword.reasons import Reason, Refusal

SAMPLES_PER_REASON: Final = 8
"""Latest refusals that are kept for each reason."""

MAX_PLACES: Final = 512
"""Most different places that are counted apart; later ones are counted as ``other``."""

MAX_DETAIL_CHARACTERS: Final = 200
"""Most characters of a detail that are kept."""


@dataclass(frozen=True, slots=True)
class RefusalSample:
    """Hold one refusal: when, where (a route's name, never a path), and every cause."""

    at: datetime
    where: str
    refusals: tuple[Refusal, ...]


class MemoryRefusalLog:
    """Implement :class:`watchword.ports.RefusalLog`; lost with the process, like all counters.

    To be used from one event loop; nothing here waits.
    """

    def __init__(self, clock: Clock) -> None:
        """Start with every counter at zero."""
        self._clock = clock
        self._counts: Counter[tuple[Reason, str]] = Counter()
        self._places: set[str] = set()
        self._samples: dict[Reason, deque[RefusalSample]] = {}

    def record(self, refusals: Sequence[Refusal], where: str) -> None:
        """See :meth:`watchword.ports.RefusalLog.record`; the first cause names the sample's kind."""
        if where not in self._places:
            if len(self._places) >= MAX_PLACES:
                where = "other"
            else:
                self._places.add(where)
        for refusal in refusals:
            self._counts[refusal.reason, where] += 1
        if not refusals:
            return
        kept = tuple(
            Refusal(refusal.reason, refusal.detail[:MAX_DETAIL_CHARACTERS]) for refusal in refusals
        )
        samples = self._samples.setdefault(kept[0].reason, deque(maxlen=SAMPLES_PER_REASON))
        samples.append(RefusalSample(self._clock.now(), where, kept))

    def counts(self) -> Mapping[tuple[Reason, str], int]:
        """Return how often each reason was met at each place."""
        return dict(self._counts)

    def drain(self) -> tuple[Mapping[tuple[Reason, str], int], Sequence[RefusalSample]]:
        """Return counts and kept refusals, and begin anew; which places were met stays known."""
        taken = self.counts(), self.samples()
        self._counts.clear()
        self._samples.clear()
        return taken

    def put_back(self, counts: Mapping[tuple[Reason, str], int]) -> None:
        """Count once more what was drained, and reached nobody."""
        self._counts.update(counts)

    def samples(self) -> Sequence[RefusalSample]:
        """Return the kept refusals, newest first."""
        every = (sample for samples in self._samples.values() for sample in samples)
        return sorted(every, key=lambda sample: sample.at, reverse=True)
