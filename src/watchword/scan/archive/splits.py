"""Find the packages of a split set, tell which one is the base, and show them as one archive.

A set is a zip of APKs: what ``bundletool`` writes (APKS), what stores hand out (XAPK), what ``adb`` pulls.  Depth is 1: what lies in a
package of the set is an entry, never opened as a package again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from watchword.scan.app import Disagreement, Entry, Part
from watchword.scan.archive.interface import SPLIT_END, MissingEntryError, Pace
from watchword.scan.archive.package import LOCAL, Budget, NotAnArchiveError, ZipArchive, open_zip
from watchword.scan.notes import Notes

MANIFEST = "AndroidManifest.xml"
MOST_SPLITS = 256
"""Packages of one set that are opened; a real one has a few dozen."""

MOST_HELD = 96 * 1024 * 1024
"""Bytes of packed packages that are held unpacked; those that are stored are read where they stand."""

_SPLIT_ATTRIBUTE = (b"\x05\x00s\0p\0l\0i\0t\0\0\0", b"\x05\x05split\0")
"""The attribute ``split`` in the strings of a binary manifest, in both encodings: the base has none."""

_BASES = ("base.apk", "base-master.apk")
_STANDALONE = "standalones/"
_SLICED = "splits/"


@dataclass(frozen=True, slots=True)
class Split:
    """Hold one package of a set; ``name`` is that of its entry."""

    name: str
    archive: ZipArchive
    is_base: bool


class MergedArchive:
    """Show the packages of a set as one; implements :class:`~watchword.scan.archive.interface.Archive`."""

    def __init__(self, splits: Sequence[Split]) -> None:
        """Take the packages, the base first; at least one."""
        self._splits = tuple(splits)
        self._places: dict[str, tuple[ZipArchive, str]] = {}
        for number, split in enumerate(self._splits):
            prefix = f"{split.name}{SPLIT_END}" if number else ""
            for name in split.archive.names:
                self._places.setdefault(prefix + name, (split.archive, name))

    @property
    def names(self) -> Sequence[str]:
        """Return the names of all entries."""
        return tuple(self._places)

    @property
    def defined(self) -> int:
        """Return how many entries all packages have, also those that weren't listed."""
        return sum(split.archive.defined for split in self._splits)

    @property
    def entries(self) -> Sequence[Entry]:
        """Return all entries."""
        return tuple(
            replace(entry, name=prefix + entry.name)
            for prefix, split in self._prefixed()
            for entry in split.archive.entries
        )

    @property
    def package(self) -> memoryview:
        """Return the bytes of the base."""
        return self._splits[0].archive.package

    @property
    def disagreements(self) -> tuple[Disagreement, ...]:
        """Return where the readers of any of the packages disagree."""
        return tuple(
            replace(found, entry=prefix + found.entry)
            for prefix, split in self._prefixed()
            for found in split.archive.disagreements
        )

    @property
    def refused(self) -> dict[str, str]:
        """Return the entries that couldn't be read when they were asked for, and why."""
        return {
            prefix + name: why
            for prefix, split in self._prefixed()
            for name, why in split.archive.refused.items()
        }

    def has(self, name: str) -> bool:
        """Tell whether there is an entry of this name."""
        return name in self._places

    def read(self, name: str) -> bytes:
        """Return an entry's bytes, unpacked; raise as the interface says, with the name as it was asked for."""
        archive, inner = self._place(name)
        try:
            return archive.read(inner)
        except MissingEntryError as error:
            raise type(error)(name, error.why) from error

    def peek(self, name: str, size: int) -> bytes:
        """Return the first bytes of an entry, at most ``size``; fewer if it can't be read."""
        archive, inner = self._place(name)
        return archive.peek(inner, size)

    def _place(self, name: str) -> tuple[ZipArchive, str]:
        """Return where an entry is; raise MissingEntryError if there is none."""
        if name not in self._places:
            raise MissingEntryError(name, "there is no such entry")
        return self._places[name]

    def _prefixed(self) -> list[tuple[str, Split]]:
        """Return the packages with what stands in front of their entries' names."""
        return [
            (f"{split.name}{SPLIT_END}" if number else "", split)
            for number, split in enumerate(self._splits)
        ]


def find_splits(outer: ZipArchive, budget: Budget, pace: Pace, notes: Notes) -> list[Split]:
    """Return the packages of a set, the base first; none if the archive isn't a set.

    Of a set that holds the same app whole for old devices (``standalones/``) and in slices, the slices are taken.
    """
    names = [name for name in outer.names if outer.peek(name, len(LOCAL)) == LOCAL]
    sliced = any(name.startswith(_SLICED) for name in names)
    taken = [name for name in names if not (sliced and name.startswith(_STANDALONE))]
    found: list[Split] = []
    held = 0
    for name in taken[:MOST_SPLITS]:
        data = outer.stored(name)
        if data is None:
            data = _unpacked(outer, name, MOST_HELD - held, notes)
            held += len(data)
        split = _split(name, data, budget, pace, notes)
        if split is not None:
            found.append(split)
    if len(taken) > MOST_SPLITS:
        why = f"{len(taken)} packages, more than {MOST_SPLITS} are not read"
        notes.gap(Part.ARCHIVE, "", why)
    if found:
        notes.seen(Part.ARCHIVE, len(found), len(names), "packages of the set")
    return sorted(found, key=_rank)


def _unpacked(outer: ZipArchive, name: str, most: int, notes: Notes) -> memoryview:
    """Return a packed package's bytes; empty, with a gap, if they can't be had."""
    size = next(entry.size for entry in outer.entries if entry.name == name)
    if size > most:
        notes.gap(
            Part.ARCHIVE, name, f"isn't read: packed packages of more than {MOST_HELD} bytes in all"
        )
        return memoryview(b"")
    if not notes.memory.keep(size):
        notes.gap(Part.ARCHIVE, name, "isn't read: more memory than a scan may take")
        return memoryview(b"")
    try:
        return memoryview(outer.read(name))
    except MissingEntryError as error:
        notes.gap(Part.ARCHIVE, name, error.why)
        return memoryview(b"")


def _split(name: str, data: memoryview, budget: Budget, pace: Pace, notes: Notes) -> Split | None:
    """Open one package; None if it isn't one."""
    own = Notes()
    try:
        archive = open_zip(data, budget, pace, own)
    except NotAnArchiveError:
        return None
    if not archive.has(MANIFEST):
        return None
    try:
        manifest = archive.read(MANIFEST)
    except MissingEntryError:
        # Whoever reads the manifest notes the gap; a set needs a base, and this may be it.
        manifest = b""
    for gap in own.coverage().gaps:
        notes.gap(gap.part, f"{name}{SPLIT_END}{gap.where}", gap.why)
    is_base = not any(mark in manifest for mark in _SPLIT_ATTRIBUTE)
    return Split(name, archive, is_base)


def _rank(split: Split) -> tuple[bool, bool, bool, int, str]:
    """Order a set: the base first, by its manifest; among several by name, by code, by size."""
    has_code = split.archive.has("classes.dex")
    named = split.name.rpartition("/")[2] in _BASES
    return (not split.is_base, not named, not has_code, -len(split.archive.package), split.name)
