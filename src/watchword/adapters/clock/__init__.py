"""Tell the time: the one place that reads the system's clock."""

from watchword.adapters.clock.limit import TimeLimit
from watchword.adapters.clock.system import SystemClock

__all__ = ["SystemClock", "TimeLimit"]
