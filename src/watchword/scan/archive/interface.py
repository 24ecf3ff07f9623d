"""Say what a reader of archives answers, and keep reading within its limits and its time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from watchword.reasons import WatchwordError
from watchword.scan.app import Entry


class MissingEntryError(WatchwordError):
    """Report that the bytes of an entry can't be had: it isn't there, or (:class:`UnreadableEntryError`) can't be read.

    A reader that catches it notes a gap: ``notes.gap(part, error.entry, error.why)``.
    """

    def __init__(self, entry: str, why: str) -> None:
        """Keep the entry's name and why, for people."""
        self.entry = entry
        self.why = why
        super().__init__(f"{entry}: {why}")


class UnreadableEntryError(MissingEntryError):
    """Report that an entry is there but damaged, encrypted, or beyond a limit."""


class OutOfTimeError(UnreadableEntryError):
    """Report that the time for the whole package is over; no further entry will be read."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Hold what a package may cost; sizes in bytes.

    :param entries: of one archive; those beyond are left out.
    :param names: bytes of the names of those entries; beyond them entries are left out too.
    :param entry_size: of one entry, unpacked.
    :param total_size: of all entries that are read, unpacked; an entry that is read twice counts twice.
    :param ratio: unpacked to packed, which an entry of more than ``ratio_from`` may not exceed.
    :param file_size: of the package itself.
    """

    entries: int = 100_000
    names: int = 16 * 1024 * 1024
    entry_size: int = 256 * 1024 * 1024
    total_size: int = 1024 * 1024 * 1024
    ratio: int = 200
    ratio_from: int = 1024 * 1024
    file_size: int = 4 * 1024 * 1024 * 1024


SPLIT_END = "!/"
"""Stands between the name of a split and that of an entry in it."""


def inner_name(name: str) -> str:
    """Return an entry's name within its split; the name itself where it isn't in one."""
    return name.partition(SPLIT_END)[2] or name


class Archive(Protocol):
    """Give the entries of a package, by its central directory, each name once.

    Of a split set: the entries of the base as they are, those of other splits as ``SPLIT.apk!/ENTRY`` (see
    :func:`inner_name`).  Of an App Bundle: as they stand in it (``base/dex/classes.dex``, ``feature/lib/...``).
    """

    @property
    def names(self) -> Sequence[str]:
        """Return the names of all entries, in the order of the directory."""

    @property
    def entries(self) -> Sequence[Entry]:
        """Return all entries, in the same order; folders (``name/``) too."""

    @property
    def package(self) -> memoryview:
        """Return the bytes of the package whose manifest and signature count: the file, or the base of a split set."""

    def read(self, name: str) -> bytes:
        """Return an entry's bytes, unpacked.

        :raises MissingEntryError: if there is none of this name.
        :raises UnreadableEntryError: if it is damaged, encrypted, beyond a limit, or the time is over.
        """

    def peek(self, name: str, size: int) -> bytes:
        """Return the first bytes of an entry, at most ``size``; fewer or none if it can't be read."""

    def has(self, name: str) -> bool:
        """Tell whether there is an entry of this name."""


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
