"""Keep the demo's own time, which it moves ahead to see a token expire without waiting."""

from datetime import datetime, timedelta

from watchword.ports import Clock


class MovableClock:
    """Implement :class:`watchword.ports.Clock`: another clock's time plus what was added."""

    def __init__(self, clock: Clock) -> None:
        """Start at the other clock's time."""
        self._clock = clock
        self._ahead = timedelta()

    def move(self, seconds: int) -> None:
        """Move the time ahead; phones, service and gate all live in it."""
        self._ahead += timedelta(seconds=seconds)

    def now(self) -> datetime:
        """Return the demo's time as an aware datetime in UTC."""
        return self._clock.now() + self._ahead

    def timestamp(self) -> float:
        """Return the demo's time as seconds since 1970."""
        return self._clock.timestamp() + self._ahead.total_seconds()
