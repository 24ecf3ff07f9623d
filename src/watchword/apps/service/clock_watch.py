"""Notice a clock that jumps: the wall clock against one that nobody sets."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from watchword.reasons import Reason, UnavailableError
from watchword.tokens.interface import LEEWAY_SECONDS

FORGIVEN: Final = LEEWAY_SECONDS / 3600
"""Seconds of jumps that each second takes away while they are few: a clock that is set now and then by what it is
off (by an hourly job, after the backup of a virtual machine) must not come to its measure in a week."""

RETRY_SECONDS: Final = 30
"""After how long to ask again for a token."""


def _nobody() -> bool:
    return False


@dataclass(slots=True)
class ClockWatch:
    """Add up the jumps of the wall clock since the start.

    What the clock said at the start is taken for right, and so is what sets it slowly, or is vouched for.  Jumps that
    take each other back count for nothing.

    :param wall: seconds since 1970.
    :param steady: seconds that nobody sets, which also run while the machine sleeps.
    :param vouched: tells whether the system itself knows its time to be right, since it follows a time server.
    :param most: how far a clock may have jumped, in seconds, before nothing is issued by it.
    """

    wall: Callable[[], float]
    steady: Callable[[], float]
    vouched: Callable[[], bool] = _nobody
    most: float = LEEWAY_SECONDS
    _last: float = field(init=False)
    _read_at: float = field(init=False)
    _jumped: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        """Read both clocks for the first time."""
        self._read_at = self.steady()
        self._last = self.wall() - self._read_at

    def look(self) -> float:
        """Read both clocks; return by how many seconds the wall clock is ahead (or, below 0, behind) by jumps."""
        now = self.steady()
        offset = self.wall() - now
        if not self.trouble:
            # Not in trouble: what is set back by as much as it jumped has to come out as nothing.
            forgiven = FORGIVEN * max(0.0, now - self._read_at)
            self._jumped -= max(-forgiven, min(forgiven, self._jumped))
        self._jumped += offset - self._last
        self._last, self._read_at = offset, now
        if self.trouble and self.vouched():
            # It was set by a time server, as after the pause of a virtual machine: it is right now.
            self._jumped = 0.0
        return self._jumped

    @property
    def trouble(self) -> str:
        """Return what is wrong as of the last look, empty for nothing."""
        if abs(self._jumped) <= self.most:
            return ""
        way = "ahead" if self._jumped > 0 else "back"
        return (
            f"the clock jumped {abs(self._jumped):.0f} s {way}, expected at most {self.most:.0f} s: "
            "set it right, or start the service again to take it for right"
        )

    def require_steady(self) -> None:
        """Refuse to issue anything by a clock that jumped.

        :raises UnavailableError: ``service.clock``.
        """
        self.look()
        if self.trouble:
            raise UnavailableError(Reason.SERVICE_CLOCK, self.trouble, RETRY_SECONDS)
