"""Word times for people."""

from datetime import UTC, datetime
from typing import Final

DAY: Final = 86_400
_HOUR: Final = 3600


def day(at: float) -> str:
    """Return a day, in UTC."""
    return datetime.fromtimestamp(at, UTC).date().isoformat()


def moment(at: float) -> str:
    """Return a time to the second, in UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def in_words(seconds: float) -> str:
    """Return a stretch of time: days, from two days on, else hours."""
    if abs(seconds) >= 2 * DAY:
        return f"{seconds / DAY:.0f} days"
    if abs(seconds) >= _HOUR:
        return f"{seconds / _HOUR:.0f} hours"
    return f"{seconds / 60:.0f} minutes"
