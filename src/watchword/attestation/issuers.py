"""Remember issuers that hold, so that a chain costs the signatures that nobody has verified yet.

Vendors sign millions of phones with a few thousand issuers.  What is remembered is true of the bytes, whoever
sends them; what changes with time or configuration (dates, anchors, revocation, policy) is never part of it.
"""

from collections import OrderedDict
from typing import Final

MAX_ENTRIES: Final = 4096
"""Most entries by default; each takes about 5 kB, so that a full cache has some 20 MB."""


class BoundedIssuerCache:
    """Implement :class:`watchword.attestation.interface.IssuerCache` in memory.

    Each operation is a few single steps of the interpreter, each harmless without the next one: between threads
    an entry may be missed and verified again, and never is one found that wasn't remembered.
    """

    def __init__(self, max_entries: int = MAX_ENTRIES) -> None:
        """Keep at most so many entries; raise ValueError below one."""
        if max_entries < 1:
            raise ValueError("a cache needs room for one entry at least")
        self._max_entries = max_entries
        self._entries: OrderedDict[bytes, object] = OrderedDict()

    def __len__(self) -> int:
        """Return how many entries are remembered."""
        return len(self._entries)

    def find(self, digest: bytes) -> object | None:
        """Return what was remembered under this digest, None if nothing; it is the youngest then."""
        value = self._entries.pop(digest, None)
        if value is not None:
            self._entries[digest] = value
        return value

    def remember(self, digest: bytes, value: object) -> None:
        """Remember a value; of too many, the one that was unused for the longest is forgotten."""
        self._entries[digest] = value
        if len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
