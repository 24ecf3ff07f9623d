"""Keep the time and the memory of reading an archive within bounds."""

from collections.abc import Callable

RELEASE_EVERY = 32 * 1024 * 1024
"""Bytes that are looked at before their pages are handed back."""


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
