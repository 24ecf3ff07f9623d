"""Open a zip archive by both readers, and read its entries within limits."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from watchword.reasons import WatchwordError
from watchword.scan.app import Disagreement, Entry, Part
from watchword.scan.archive.comparison import MOST_DISAGREEMENTS, compare, overlaps
from watchword.scan.archive.directory import read_directory
from watchword.scan.archive.interface import (
    Limits,
    MissingEntryError,
    OutOfTimeError,
    UnreadableEntryError,
)
from watchword.scan.archive.pace import Memory, Pace
from watchword.scan.archive.records import LOCAL, STORED, Record, read_local
from watchword.scan.archive.unpacking import peek, stored, unpack
from watchword.scan.archive.walker import walk
from watchword.scan.notes import Notes

_TABLE: Final = "resources.arsc"
"""The entry that Android maps into memory as it stands, so that it asks how and where it does."""


class NotAnArchiveError(WatchwordError):
    """Report that bytes aren't a zip archive, and not the front of one either."""


class Budget:
    """Count what was unpacked of a package and its splits, in bytes."""

    def __init__(self, limits: Limits, memory: Memory | None = None) -> None:
        """Start with nothing unpacked.

        :param memory: what is kept of the package.
        """
        self.limits = limits
        self.memory = Memory() if memory is None else memory
        self._left = limits.total_size

    def take(self, name: str, size: int) -> None:
        """Take an entry's size off; raise UnreadableEntryError once all of it would be more than ``total_size``."""
        if size > self._left:
            what = f"isn't read: more than {self.limits.total_size} bytes would be unpacked in all"
            raise UnreadableEntryError(name, what)
        if not self.memory.holds(size):
            what = f"isn't read: {size} bytes more would be more memory than a scan may take"
            raise UnreadableEntryError(name, what)
        self._left -= size


class ZipArchive:
    """Hold one zip archive; implements :class:`~watchword.scan.archive.interface.Archive`.

    ``damaged`` tells that its directory is missing: entries behind what is left are missing too.  ``defined`` is the number of
    its entries by the end record, if that is more than were listed.
    """

    def __init__(
        self,
        data: memoryview,
        records: Sequence[Record],
        disagreements: tuple[Disagreement, ...],
        budget: Budget,
        pace: Pace,
        *,
        damaged: bool = False,
        defined: int = 0,
        overlapping: Mapping[int, str] = MappingProxyType({}),
    ) -> None:
        """Take what the readers found; the first of several entries of a name counts.

        :param overlapping: by the place of its record in the directory: with what an entry shares bytes. It isn't read: no tool
            that builds apps makes such, and one kilobyte would be read a thousand times.
        """
        self.damaged = damaged
        self.defined = max(defined, len(records))
        self._data = data
        self._records: dict[str, Record] = {}
        self._overlapping: dict[str, str] = {}
        for place, record in enumerate(records):
            if self._records.setdefault(record.name, record) is record and place in overlapping:
                self._overlapping[record.name] = overlapping[place]
        self._disagreements = dict.fromkeys(disagreements)
        self._budget = budget
        self._pace = pace
        self._refused: dict[str, str] = {}

    @property
    def names(self) -> Sequence[str]:
        """Return the names of all entries."""
        return tuple(self._records)

    @property
    def entries(self) -> Sequence[Entry]:
        """Return all entries."""
        return tuple(
            Entry(name, record.size, self._table_at(record) if name == _TABLE else None)
            for name, record in self._records.items()
        )

    @property
    def package(self) -> memoryview:
        """Return all bytes of the archive."""
        return self._data

    @property
    def disagreements(self) -> tuple[Disagreement, ...]:
        """Return where its readers disagree; wrong checksums only of entries that were read."""
        return tuple(self._disagreements)

    @property
    def refused(self) -> dict[str, str]:
        """Return the entries that couldn't be read when they were asked for, and why."""
        return dict(self._refused)

    def has(self, name: str) -> bool:
        """Tell whether there is an entry of this name."""
        return name in self._records

    def read(self, name: str) -> bytes:
        """Return an entry's bytes, unpacked; raise as the interface says."""
        record = self._record(name)
        try:
            return self._read(name, record)
        except UnreadableEntryError as error:
            self._refused[name] = error.why
            raise

    def peek(self, name: str, size: int) -> bytes:
        """Return the first bytes of an entry, at most ``size``; fewer if it can't be read."""
        if name in self._overlapping:
            return b""
        return peek(self._data, self._record(name), size)

    def stored(self, name: str) -> memoryview | None:
        """Return an entry's bytes where they stand; None if it is packed, or shares them."""
        if name in self._overlapping:
            return None
        return stored(self._data, self._record(name))

    def _table_at(self, record: Record) -> int | None:
        """Return where an entry's bytes start; None if they are packed."""
        local = read_local(self._data, record.offset) if record.method == STORED else None
        return None if local is None else local.end

    def _record(self, name: str) -> Record:
        """Return the record of a name; raise MissingEntryError if there is none."""
        record = self._records.get(name)
        if record is None:
            raise MissingEntryError(name, "there is no such entry")
        return record

    def _read(self, name: str, record: Record) -> bytes:
        """Read an entry, and note a wrong checksum."""
        if self._pace.over:
            raise OutOfTimeError(name, "isn't read: the time is over")
        if name in self._overlapping:
            raise UnreadableEntryError(name, f"isn't read: {self._overlapping[name]}")
        self._budget.take(name, min(record.size, self._budget.limits.entry_size + 1))
        content, sound = unpack(self._data, record, self._budget.limits, self._pace)
        if not sound and len(self._disagreements) < 2 * MOST_DISAGREEMENTS:
            self._disagreements[
                Disagreement(name, "has another checksum than the directory says")
            ] = None
        return content


def open_zip(data: memoryview, budget: Budget, pace: Pace, notes: Notes) -> ZipArchive:
    """Open an archive by its directory; by its local headers if it has none, with a gap.

    :raises NotAnArchiveError: if neither is there.
    """
    directory = read_directory(data, budget.limits, pace)
    if directory is None and data[:4] != LOCAL:
        raise NotAnArchiveError("has neither a zip directory nor a zip entry")
    walked = walk(data, budget.limits, pace)
    if directory is None:
        notes.gap(
            Part.ARCHIVE,
            "",
            "damaged: the directory at its end is missing; entries are taken from what stands in front of it",
        )
        return ZipArchive(data, walked.records, (), budget, pace, damaged=True)
    if not directory.whole:
        limit = budget.limits.entries
        notes.gap(
            Part.ARCHIVE, "", f"entries were left out: more than {limit}, or the time was over"
        )
    again: set[str] = set()
    for record in directory.records:
        if record.name in again:
            notes.gap(Part.ARCHIVE, record.name, "only the first entry of this name is read")
        again.add(record.name)
    defined = 0 if directory.whole else directory.ending.count
    disagreements = compare(data, directory, walked)
    return ZipArchive(
        data,
        directory.records,
        disagreements,
        budget,
        pace,
        defined=defined,
        overlapping=overlaps(data, directory),
    )
