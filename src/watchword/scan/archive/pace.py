"""Keep the time and the memory of reading an archive within bounds."""

from collections.abc import Callable

RELEASE_EVERY = 32 * 1024 * 1024
"""Bytes that are looked at before their pages are handed back."""


MOST_KEPT = 320 * 1024 * 1024
"""Bytes of memory that all that is kept of one package may take, as its readers reckon them."""

MOST_AT_ONCE = 64 * 1024 * 1024
"""Bytes of an entry that is let go after it was read, beyond what is left of the memory that may be kept."""

TEXT = 128
"""Bytes that Python needs for a text beside its characters, with its places in a list and a set."""


class Memory:
    """Count the memory that is kept of a package, over all its readers: of what doesn't fit, they tell that it wasn't seen."""

    def __init__(self, most: int = MOST_KEPT) -> None:
        """Start with nothing kept."""
        self._left = most

    @property
    def left(self) -> int:
        """Return the bytes that may still be kept."""
        return self._left

    def keep(self, size: int) -> bool:
        """Count bytes that are kept; False, and nothing is counted, where there isn't room for them."""
        if size > self._left:
            return False
        self._left -= size
        return True

    def holds(self, size: int) -> bool:
        """Tell whether an entry of this size can be read and let go."""
        return size <= self._left + MOST_AT_ONCE


def _nothing() -> None:
    """Release nothing: the bytes are in memory anyway."""


class Pace:
    """Tell whether the time is over, and hand back what was looked at.

    :param left: seconds that are left; zero or less once the time is over.
    :param release: gives the pages of a mapped file back to the system, so that a package of gigabytes doesn't fill memory.
    """

    def __init__(self, left: Callable[[], float], release: Callable[[], None] = _nothing) -> None:
        """Start with nothing looked at."""
        self._left = left
        self._release = release
        self._looked_at = 0

    @property
    def over(self) -> bool:
        """Tell whether the time is over."""
        return self._left() <= 0

    def looked_at(self, size: int) -> None:
        """Count bytes of the package that were looked at."""
        self._looked_at += size
        if self._looked_at >= RELEASE_EVERY:
            self._looked_at = 0
            self._release()
