"""Ask the operating system for the time and for random bytes: the one place that reads the system's clock."""

import ctypes
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final


class TimeLimit:
    """Implement :class:`watchword.plan.interface.Deadline` with the system's monotonic clock."""

    def __init__(self, seconds: float) -> None:
        """Start the time now."""
        self._seconds = seconds
        self._start = time.monotonic()

    def is_over(self, share: float) -> bool:
        """Tell whether more than a share (0 to 1) of the time is gone."""
        return time.monotonic() - self._start > self._seconds * share


_SINCE_BOOT: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def steady_seconds() -> float:
    """Return seconds since some moment; they go on while the machine sleeps, where its kernel counts that (Linux)."""
    return time.clock_gettime(_SINCE_BOOT)


def boot_id() -> str:
    """Return the kernel's name for this start of the machine, ``unknown`` where it has none (Linux has)."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except (OSError, ValueError):
        return "unknown"


class SystemClock:
    """Implement :class:`watchword.ports.Clock` with the clock of the operating system."""

    def now(self) -> datetime:
        """Return the time as an aware datetime in UTC."""
        return datetime.now(UTC)

    def timestamp(self) -> float:
        """Return the same time as seconds since 1970-01-01 UTC."""
        return time.time()


_UNSYNCHRONISED: Final = 5
"""``TIME_ERROR`` of ``sys/timex.h``; lower numbers are states of a clock that is synchronised, -1 is a failure."""

_TIMEX_BYTES: Final = 1024
"""More than ``struct timex`` has anywhere; all zero it asks, and sets nothing."""


def is_synchronised() -> bool:
    """Tell whether a time server vouches for the system's time, within 16 seconds (adjtimex(2)).

    Whoever sets the clock by hand ends that at once, until a time server is heard again.  False also where the
    system can't be asked (it isn't Linux).
    """
    ask = getattr(ctypes.CDLL(None), "adjtimex", None)
    if ask is None:
        return False
    return 0 <= int(ask(ctypes.create_string_buffer(_TIMEX_BYTES))) < _UNSYNCHRONISED


class SystemEntropy:
    """Implement :class:`watchword.ports.Entropy` with the system's generator."""

    def token_bytes(self, count: int) -> bytes:
        """Return ``count`` bytes that nobody can guess."""
        return os.urandom(count)
