"""Read a clock that nobody sets."""

import time
from typing import Final

_SINCE_BOOT: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def steady_seconds() -> float:
    """Return seconds since some moment; they go on while the machine sleeps, where its kernel counts that (Linux)."""
    return time.clock_gettime(_SINCE_BOOT)
