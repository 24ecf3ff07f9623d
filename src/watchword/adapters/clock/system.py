"""Read the system's clock."""

import time
from datetime import UTC, datetime


class SystemClock:
    """Implement :class:`watchword.ports.Clock` with the clock of the operating system."""

    def now(self) -> datetime:
        """Return the time as an aware datetime in UTC."""
        return datetime.now(UTC)

    def timestamp(self) -> float:
        """Return the same time as seconds since 1970-01-01 UTC."""
        return time.time()
