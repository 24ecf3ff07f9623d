"""Measure how much of a time is gone, for work that may be cut short."""

import time


class TimeLimit:
    """Implement :class:`watchword.plan.patience.Patience` with the system's monotonic clock."""

    def __init__(self, seconds: float) -> None:
        """Start the time now."""
        self._seconds = seconds
        self._start = time.monotonic()

    def is_over(self, share: float) -> bool:
        """Tell whether more than a share (0 to 1) of the time is gone."""
        return time.monotonic() - self._start > self._seconds * share
