"""Define what readers of a package's parts see of it: names, sizes, and the bytes of one entry at a time."""

from collections.abc import Sequence
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
