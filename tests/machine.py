"""Say how long to wait for something on this machine, as fast and as busy as it is: the one place where time limits scale."""

import functools
from typing import Final

from watchword.adapters.system import SystemClock

_ROUNDS: Final = 4_000_000
_USUAL_SECONDS: Final = 0.1
"""How long so many rounds take on a machine of two idle cores."""

_HEADROOM: Final = 2
"""Load may come after it was measured."""

_KNOWN_SECONDS: Final = 20
"""So long a measurement holds: load comes and goes."""


def patience(seconds: float) -> float:
    """Return a time limit for what an idle machine does within ``seconds``, scaled by how much slower this one is now; never less.

    It is for whatever would hang else.  A test that passes doesn't wait for it, and none may say by it that something is fast.
    """
    return _HEADROOM * seconds * _slowness(int(SystemClock().timestamp() / _KNOWN_SECONDS))


@functools.lru_cache(maxsize=1)
def _slowness(_when: int) -> float:
    """Return how many times as long as usual the same work takes now, at least 1."""
    start = SystemClock().timestamp()
    for _ in range(_ROUNDS):
        pass
    return max(1.0, (SystemClock().timestamp() - start) / _USUAL_SECONDS)
