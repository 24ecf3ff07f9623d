"""Tell the time: the one place that reads the system's clock."""

from watchword.adapters.clock.limit import TimeLimit
from watchword.adapters.clock.steady import steady_seconds
from watchword.adapters.clock.system import SystemClock
from watchword.adapters.clock.vouched import is_synchronised

__all__ = ["SystemClock", "TimeLimit", "is_synchronised", "steady_seconds"]
