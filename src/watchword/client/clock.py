"""Reckon time on a phone: lives by the clock that runs since its boot, the time of day by the service's.

A phone's wall clock may be wrong and may be changed at any moment; nothing here depends on it once the service
said what time it is.
"""

import secrets  # noqa: TID251 - the default of an argument, see system_boot_id.
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

MAX_GATE_SKEW: Final = 120.0
"""Seconds by which a gate's clock may differ from the service's and be believed."""

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_MAX_TIME: Final = 1 << 40


class ClientClock:
    """Tell the time in two ways; both are safe to ask from any thread.

    :ivar boot_id: names this boot; times that were counted in another one mean nothing.
    :ivar ahead: what the service's time is ahead of the boot clock, None while it never told.
    """

    def __init__(self, wall: Callable[[], float], boot: Callable[[], float], boot_id: str) -> None:
        """Count by ``boot``, and tell the time by ``wall`` for as long as nobody knows better."""
        self._wall = wall
        self._boot = boot
        self.boot_id = boot_id
        self.ahead: float | None = None

    def uptime(self) -> float:
        """Return seconds since the boot, those asleep included: what lives are counted in."""
        return self._boot()

    def now(self) -> float:
        """Return the service's time, seconds since 1970; the wall clock's while the service told none."""
        ahead = self.ahead  # Read once: another thread may learn it meanwhile.
        return self._wall() if ahead is None else self._boot() + ahead

    def hear(self, told: Any) -> None:
        """Take the time out of an answer of the service that was read just now; what is none is ignored.

        Whole seconds, and older than the answer: what comes of them is never ahead of the truth.
        """
        if isinstance(told, int) and not isinstance(told, bool) and 0 < told < _MAX_TIME:
            self.ahead = told - self._boot()

    def believes(self, told: float) -> bool:
        """Tell whether a gate's time is near enough to the service's; any is, while that isn't known."""
        return self.ahead is None or abs(told - self.now()) <= MAX_GATE_SKEW

    def uptime_of_wall(self, moment: float) -> float:
        """Return when on the boot clock the wall clock shows or showed a moment, if it is right."""
        return moment - self._wall() + self._boot()


def system_uptime() -> float:
    """Return seconds since the boot that go on in sleep (Linux); the wall clock's where a system counts none."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    if clock is None:
        return time.time()  # noqa: TID251 - the default of an argument, as the boot's name is.
    return time.clock_gettime(clock)


@cache
def system_boot_id() -> str:
    """Return the system's name for this boot; one for this process where it has none."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return secrets.token_hex(16)
