"""Count what instances use of injected keys: in one process, on one machine, or over many hosts."""

from watchword.adapters.usage.host import HostUsageLedger
from watchword.adapters.usage.memory import MemoryUsageLedger

# ValkeyUsageLedger is imported from its module: a gate without one needs no redis package.
__all__ = ["HostUsageLedger", "MemoryUsageLedger"]
