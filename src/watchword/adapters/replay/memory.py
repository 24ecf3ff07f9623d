"""Keep used proofs in the memory of one process."""

import threading

from watchword.gate.interface import ReplayClaim
from watchword.gate.replay import DEFAULT_CAPACITY, ReplaySet
from watchword.tokens.interface import LEEWAY_SECONDS


class MemoryReplayStore:
    """Implement :class:`watchword.gate.replay.ImmediateReplayStore` for all threads of one process.

    Every worker process has its own: behind two of them a proof passes twice, unless each takes only
    proofs with its own nonce (``affine``).  A restart forgets what was used, unless ``forgotten_until``
    says what to refuse for it.
    """

    def __init__(
        self,
        *,
        leeway: int = LEEWAY_SECONDS,
        capacity: int = DEFAULT_CAPACITY,
        forgotten_until: float = 0.0,
    ) -> None:
        """Start empty; parameters as :class:`watchword.gate.replay.ReplaySet` has them."""
        self._set = ReplaySet(leeway=leeway, capacity=capacity, forgotten_until=forgotten_until)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return how many claims are held."""
        return len(self._set)

    def claim_now(self, claim: ReplayClaim, now: float) -> bool:
        """See :meth:`watchword.gate.replay.ImmediateReplayStore.claim_now`."""
        with self._lock:
            return self._set.claim_now(claim, now)

    async def claim(self, claim: ReplayClaim, now: float) -> bool:
        """See :meth:`watchword.gate.interface.ReplayStore.claim`; never waits."""
        with self._lock:
            return self._set.claim_now(claim, now)

    async def close(self) -> None:
        """Do nothing: there is nothing to let go of."""
