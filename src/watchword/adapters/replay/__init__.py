"""Remember which proofs were used: in one process, on one machine, or over many hosts."""

from watchword.adapters.replay.host import HostReplayStore
from watchword.adapters.replay.memory import MemoryReplayStore

# ValkeyReplayStore is imported from its module: a gate without one needs no redis package.
__all__ = ["HostReplayStore", "MemoryReplayStore"]
