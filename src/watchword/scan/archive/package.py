"""Read a zip archive twice, by its directory as installers do and from front to back, and unpack its entries within limits.

Source: PKWARE APPNOTE.TXT 6.3.10, sections 4.3.7 (local header), 4.3.12 (central directory), 4.5.3 (zip64).

Source: PKWARE APPNOTE.TXT 6.3.10, sections 4.3.12 to 4.3.16.

What it finds and the directory doesn't name is there nevertheless: an installer, a scanner or a loader may see it.

Android inflates what is deflated and takes every other method as stored; it looks at neither the flag of encryption nor, for most
files, the checksum.  Source: AOSP, ``libziparchive/zip_archive.cc`` and ``androidfw/AssetsProvider.cpp``.
"""

import re
import struct
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from itertools import islice, pairwise
from types import MappingProxyType
from typing import Final

from watchword.reasons import WatchwordError
from watchword.scan.app import Disagreement, Entry, Part
from watchword.scan.archive.interface import (
    Limits,
    Memory,
    MissingEntryError,
    OutOfTimeError,
    Pace,
    UnreadableEntryError,
)
from watchword.scan.notes import Notes

LOCAL = b"PK\x03\x04"
CENTRAL = b"PK\x01\x02"
DESCRIPTOR = b"PK\x07\x08"
END = b"PK\x05\x06"
END_64 = b"PK\x06\x06"
LOCATOR_64 = b"PK\x06\x07"

ENCRYPTED = 0x1
STREAMED = 0x8
"""Flag: sizes and checksum stand behind the data (section 4.4.4, bit 3)."""

STORED = 0
DEFLATED = 8

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_EXTRA = struct.Struct("<HH")
_ZIP64 = 1
_IN_EXTRA = 0xFFFFFFFF
_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Record:
    """Hold what one header says of an entry; sizes in bytes.

    :param packed: bytes in the archive.
    :param offset: of the local header.
    :param end: of the record itself.
    """

    raw: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int
    end: int

    @property
    def name(self) -> str:
        """Return the name as Android takes it, UTF-8; in the code page of old where it isn't."""
        try:
            return self.raw.decode()
        except UnicodeDecodeError:
            return self.raw.decode("cp437")

    @property
    def shown(self) -> str:
        """Return the name for people: nothing that a terminal acts on, and not without end."""
        text = ascii(self.name)[1:-1]
        return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."

    @property
    def sizes_follow(self) -> bool:
        """Tell whether a local header leaves its sizes to the descriptor behind the data."""
        return bool(self.flags & STREAMED) and self.packed == 0

    @property
    def fills(self) -> bool:
        """Tell whether a local header only fills a hole: build tools write nameless ones."""
        return not self.raw and not self.packed and not self.size


def read_local(data: memoryview, offset: int) -> Record | None:
    """Read the local header at an offset; None if there is none, or it doesn't fit into the archive."""
    if not 0 <= offset <= len(data) - _LOCAL.size:
        return None
    (signature, _, flags, method, _, _, crc, packed, size, name, extra) = _LOCAL.unpack_from(
        data, offset
    )
    named = offset + _LOCAL.size
    end = named + name + extra
    if signature != LOCAL or end > len(data):
        return None
    record = Record(
        bytes(data[named : named + name]), flags, method, crc, packed, size, offset, end
    )
    return _widened(record, bytes(data[named + name : end]), with_offset=False)


def read_central(data: memoryview, position: int) -> Record | None:
    """Read the entry of the central directory at a position; None if there is none that fits into the archive."""
    if not 0 <= position <= len(data) - _CENTRAL.size:
        return None
    found = _CENTRAL.unpack_from(data, position)
    flags, method = found[3], found[4]
    crc, packed, size = found[7:10]
    name, extra, comment = found[10:13]
    named = position + _CENTRAL.size
    end = named + name + extra + comment
    if found[0] != CENTRAL or end > len(data):
        return None
    record = Record(
        bytes(data[named : named + name]), flags, method, crc, packed, size, found[16], end
    )
    return _widened(record, bytes(data[named + name : named + name + extra]), with_offset=True)


def _widened(record: Record, extra: bytes, *, with_offset: bool) -> Record:
    """Take the sizes from the zip64 field where the header leaves them to it (section 4.5.3)."""
    if _IN_EXTRA not in (record.size, record.packed, record.offset if with_offset else 0):
        return record
    position = 0
    while position + _EXTRA.size <= len(extra):
        kind, length = _EXTRA.unpack_from(extra, position)
        position += _EXTRA.size
        if kind == _ZIP64:
            return _taken(record, extra[position : position + length], with_offset=with_offset)
        position += length
    return record


def _taken(record: Record, field: bytes, *, with_offset: bool) -> Record:
    """Take those of size, packed size and offset that the header doesn't state, in this order."""
    wide = [int.from_bytes(field[at : at + 8], "little") for at in range(0, len(field) - 7, 8)]
    size, packed, offset = record.size, record.packed, record.offset
    if size == _IN_EXTRA and wide:
        size = wide.pop(0)
    if packed == _IN_EXTRA and wide:
        packed = wide.pop(0)
    if with_offset and offset == _IN_EXTRA and wide:
        offset = wide.pop(0)
    return replace(record, size=size, packed=packed, offset=offset)


_END = struct.Struct("<4s4H2IH")
_LOCATOR = struct.Struct("<4sIQI")
_END_64 = struct.Struct("<4sQ2H2I4Q")
_LONGEST_COMMENT = 0xFFFF
_FAR = 1024
"""Readers in a hurry look for the end record in the last 1,024 bytes only."""

_TRAILING = 1024 * 1024
"""How far in front of the end of the file an end record is still looked for."""


@dataclass(frozen=True, slots=True)
class Ending:
    """Hold an end record: where it stands, where the directory starts by it, and how many entries it counts.

    :param shift: bytes in front of the archive, by which all its offsets are wrong.
    :param trailing: bytes behind the end record and its comment.
    """

    position: int
    start: int
    size: int
    count: int
    shift: int
    comment: int
    trailing: int


@dataclass(frozen=True, slots=True)
class Directory:
    """Hold a central directory.

    :param records: in its order, with offsets as they count in the file; a name may occur twice.
    :param whole: False if entries were left out: too many, or out of time.
    """

    ending: Ending
    records: tuple[Record, ...]
    oddities: tuple[Disagreement, ...]
    whole: bool


def read_directory(data: memoryview, limits: Limits, pace: Pace) -> Directory | None:
    """Read the central directory; None if there is no end record that leads to one."""
    endings = list(_endings(data))
    if not endings:
        return None
    # An empty directory in the comment of a full one hides it from some; max takes the first of equals.
    ending = max(endings, key=lambda found: (found.size > 0, not found.trailing))
    records: list[Record] = []
    position = ending.start
    whole = True
    names = 0
    while (record := read_central(data, position)) is not None and position < ending.position:
        names += len(record.raw)
        full = len(records) >= limits.entries or names > limits.names
        if full or (len(records) % 1024 == 0 and pace.over):
            whole = False
            break
        records.append(_shifted(record, ending.shift))
        position = record.end
    oddities = [*_oddities(ending, endings, data)]
    if whole and len(records) != ending.count % 0x10000 and len(records) != ending.count:
        what = f"the end record counts {ending.count} entries, the directory has {len(records)}"
        oddities.append(Disagreement("", what))
    if whole and position < ending.position and not _is_end_64(data, position):
        what = f"{ending.position - position} bytes stand between the directory and its end record"
        oddities.append(Disagreement("", what))
    return Directory(ending, tuple(records), tuple(oddities), whole)


def _shifted(record: Record, shift: int) -> Record:
    """Return a record with its offset as it counts in the file."""
    return replace(record, offset=record.offset + shift) if shift else record


def _endings(data: memoryview) -> Iterator[Ending]:
    """Yield the end records that lead to a directory, the last one first."""
    reach = max(_TRAILING, _LONGEST_COMMENT + _END.size)
    start = max(0, len(data) - reach)
    tail = bytes(data[start:])
    at = len(tail) - _END.size + len(END)
    while (at := tail.rfind(END, 0, at)) >= 0:
        found = _ending(data, start + at)
        if found is not None:
            yield found
        at += len(END) - 1


def _ending(data: memoryview, position: int) -> Ending | None:
    """Read an end record; None if no directory stands where it says."""
    if position + _END.size > len(data):
        return None
    (_, _, _, _, count, size, start, comment) = _END.unpack_from(data, position)
    end_of_directory = position
    if 0xFFFFFFFF in (size, start) or count == 0xFFFF:
        wide = _wide(data, position)
        if wide is not None:
            count, size, start, end_of_directory = wide
    trailing = max(0, len(data) - position - _END.size - comment)
    if not count and not size:
        return Ending(position, position, 0, 0, 0, comment, trailing)
    for first in (start, end_of_directory - size):
        if 0 <= first < position and data[first : first + 4] == CENTRAL:
            return Ending(position, first, size, count, first - start, comment, trailing)
    return None


def _wide(data: memoryview, position: int) -> tuple[int, int, int, int] | None:
    """Read the zip64 end record by its locator: count, size, start, and where it stands itself."""
    locator = position - _LOCATOR.size
    if locator < 0:
        return None
    signature, _, offset, _ = _LOCATOR.unpack_from(data, locator)
    if signature != LOCATOR_64:
        return None
    for at in (offset, locator - _END_64.size):
        if 0 <= at <= locator - _END_64.size and data[at : at + 4] == END_64:
            found = _END_64.unpack_from(data, at)
            return found[7], found[8], found[9], at
    return None


def _is_end_64(data: memoryview, position: int) -> bool:
    """Tell whether the zip64 end record stands here, which belongs between directory and end record."""
    return bytes(data[position : position + 4]) in (END_64, LOCATOR_64)


def _oddities(ending: Ending, endings: list[Ending], data: memoryview) -> Iterator[Disagreement]:
    """Yield where readers of the end record go different ways."""
    if ending.trailing:
        what = f"{ending.trailing} bytes stand behind the end record"
        yield Disagreement("", what)
    elif len(data) - ending.position > _FAR:
        what = (
            f"the end record stands {len(data) - ending.position} bytes in front of the end, behind "
            f"a comment of {ending.comment} bytes: readers that look at the last {_FAR} miss it"
        )
        yield Disagreement("", what)
    if ending.comment > len(data) - ending.position - _END.size:
        yield Disagreement("", "the end record states a comment that is longer than the file")
    if ending.shift:
        what = f"offsets in the directory are off by {ending.shift} bytes"
        yield Disagreement("", what)
    if len({found.start for found in endings}) > 1:
        yield Disagreement("", f"{len(endings)} end records lead to different directories")


_NEXT = re.compile(rb"PK(?:\x03\x04|\x01\x02)")
_NEXT_OR_DESCRIPTOR = re.compile(rb"PK(?:\x03\x04|\x01\x02|\x07\x08)")
_SIGNING_BLOCK = b"APK Sig Block 42"
_WINDOW = 4 * 1024 * 1024
_OVERLAP = 3
_SEARCHES = 2
"""How many times the size of the archive is searched for the ends of entries: headers that lie make it quadratic."""

_FREE_SEARCH = 16 * 1024 * 1024
_DESCRIPTOR_SIZES = (16, 24)
_BARE_DESCRIPTOR = 12


@dataclass(frozen=True, slots=True)
class Walk:
    """Hold what stands in the archive from its front.

    :param records: local headers, with sizes from the descriptors behind the data where the header leaves them out.
    :param strays: (start, end) of bytes that belong to no entry and aren't all zero.
    :param end: where the walk ended: at the directory, or the end of the archive.
    :param whole: False if it was given up: out of time, too many entries, or headers that lie.
    """

    records: tuple[Record, ...]
    strays: tuple[tuple[int, int], ...]
    end: int
    whole: bool


def walk(data: memoryview, limits: Limits, pace: Pace) -> Walk:
    """Walk over the local headers, from the front to the directory."""
    return _Walker(data, limits, pace).run()


class _Walker:
    """Hold the state of one walk."""

    def __init__(self, data: memoryview, limits: Limits, pace: Pace) -> None:
        self._data = data
        self._limits = limits
        self._pace = pace
        self._searchable = _SEARCHES * len(data) + _FREE_SEARCH
        self._records: list[Record] = []
        self._strays: list[tuple[int, int]] = []
        self._names = 0

    def run(self) -> Walk:
        """Walk from the front; each step is an entry, a signing block, or a search for the next header."""
        position = 0
        whole = True
        while position < len(self._data):
            if self._gave_up:
                whole = False
                break
            signature = bytes(self._data[position : position + 4])
            if signature in (CENTRAL, END, END_64):
                break
            record = read_local(self._data, position)
            if record is not None:
                record, position = self._measured(record)
                self._records.append(record)
                self._names += len(record.raw)
                continue
            position = self._behind_stray(position)
        return Walk(tuple(self._records), tuple(self._strays), position, whole)

    @property
    def _gave_up(self) -> bool:
        """Tell whether the walk costs more than it may."""
        full = max(len(self._records), len(self._strays)) >= self._limits.entries
        full = full or self._names > self._limits.names
        return full or self._searchable < 0 or self._pace.over

    def _measured(self, record: Record) -> tuple[Record, int]:
        """Return a record with its sizes, and where its data and its descriptor end."""
        if record.sizes_follow:
            return self._by_descriptor(record)
        end = record.end + record.packed
        if end > len(self._data):
            # It claims more than there is: its data ends where the next header stands.
            found = next(self._hits(_NEXT, record.end), len(self._data))
            return record, found
        self._pace.looked_at(len(record.raw))
        if record.flags & STREAMED:
            end += self._descriptor_at(end, record.packed)
        return record, end

    def _descriptor_at(self, position: int, packed: int) -> int:
        """Return the size of the descriptor at a position, 0 for none."""
        if self._data[position : position + 4] == DESCRIPTOR:
            return self._descriptor_size(position)
        bare = self._number(position + 4, 4) == packed
        return _BARE_DESCRIPTOR if bare and self._is_header(position + _BARE_DESCRIPTOR) else 0

    def _descriptor_size(self, position: int) -> int:
        """Return the size of a descriptor with a signature: the longer one holds sizes of 8 bytes."""
        short, long = _DESCRIPTOR_SIZES
        return (
            long
            if self._is_header(position + long) and not self._is_header(position + short)
            else short
        )

    def _is_header(self, position: int) -> bool:
        """Tell whether a header stands at a position."""
        return bytes(self._data[position : position + 4]) in (LOCAL, CENTRAL)

    def _by_descriptor(self, record: Record) -> tuple[Record, int]:
        """Find the descriptor behind the data, by the distance that it states (section 4.3.9)."""
        start = record.end
        for hit in self._hits(_NEXT_OR_DESCRIPTOR, start):
            distance = hit - start
            if self._data[hit : hit + 4] == DESCRIPTOR:
                if self._number(hit + 8, 4) != distance:
                    continue
                end = hit + self._descriptor_size(hit)
                wide = end - hit == _DESCRIPTOR_SIZES[1]
                size = self._number(hit + 16, 8) if wide else self._number(hit + 12, 4)
                crc = self._number(hit + 4, 4)
                return replace(record, crc=crc, packed=distance, size=size), end
            bare = hit - _BARE_DESCRIPTOR
            if bare >= start and self._number(bare + 4, 4) == bare - start:
                size, crc = self._number(bare + 8, 4), self._number(bare, 4)
                return replace(record, crc=crc, packed=bare - start, size=size), hit
        found = next(self._hits(_NEXT, start), len(self._data))
        return record, found

    def _behind_stray(self, position: int) -> int:
        """Return where the next header stands, and note the bytes before it unless they are padding."""
        found = next(self._hits(_NEXT, position + 1), len(self._data))
        end = _front_of_signing_block(self._data, position, found)
        if not _all_zero(self._data, position, end):
            self._strays.append((position, end))
        return found

    def _hits(self, pattern: re.Pattern[bytes], position: int) -> Iterator[int]:
        """Yield where a signature stands, window by window, as long as the walk may search."""
        while position < len(self._data) and not self._gave_up:
            window = min(position + _WINDOW, len(self._data))
            searched = position
            for hit in pattern.finditer(self._data, position, window):
                self._searchable -= hit.end() - searched
                searched = hit.end()
                yield hit.start()
            self._searchable -= window - searched
            self._pace.looked_at(window - position)
            if window == len(self._data):
                return
            position = window - _OVERLAP

    def _number(self, position: int, size: int) -> int:
        """Return a number of the archive; 0 or less of it behind its end."""
        return int.from_bytes(self._data[position : position + size], "little")


def _front_of_signing_block(data: memoryview, start: int, end: int) -> int:
    """Return where the APK Signing Block that stands in front of ``end`` starts; ``end`` if there is none after ``start``.

    Source: Android, "APK Signature Scheme v2", APK Signing Block: its size without these 8 bytes, pairs, its size, a magic.
    """
    magic = end - len(_SIGNING_BLOCK)
    if magic - 16 < start or data[magic:end] != _SIGNING_BLOCK:
        return end
    size = int.from_bytes(data[magic - 8 : magic], "little")
    front = end - 8 - size
    if not start <= front < magic or int.from_bytes(data[front : front + 8], "little") != size:
        return end
    return front


def _all_zero(data: memoryview, start: int, end: int) -> bool:
    """Tell whether there are only zeros: padding of tools that align."""
    for at in range(start, end, _WINDOW):
        piece = bytes(data[at : min(at + _WINDOW, end)])
        if piece.count(0) != len(piece):
            return False
    return True


MOST_DISAGREEMENTS = 200
"""How many are told one by one."""


def compare(data: memoryview, directory: Directory, walked: Walk) -> tuple[Disagreement, ...]:
    """Return where the directory and the local headers say different things; at most :data:`MOST_DISAGREEMENTS`."""
    found = _all(data, directory, walked)
    told = list(islice(found, MOST_DISAGREEMENTS))
    if next(found, None) is not None:
        told.append(
            Disagreement("", f"more than {MOST_DISAGREEMENTS} disagreements: the rest isn't listed")
        )
    return tuple(told)


def _all(data: memoryview, directory: Directory, walked: Walk) -> Iterator[Disagreement]:
    """Yield all disagreements: of the archive, then of its entries."""
    yield from directory.oddities
    yield from _duplicates(directory)
    for record in directory.records:
        yield from _of_entry(data, record)
    yield from _overlaps(data, directory)
    yield from _unlisted(data, directory, walked)


def _duplicates(directory: Directory) -> Iterator[Disagreement]:
    """Yield names that stand in the directory more than once: one reader takes the first, another the last."""
    for name, count in Counter(record.name for record in directory.records).items():
        if count > 1:
            yield Disagreement(name, f"the directory names it {count} times")


def _of_entry(data: memoryview, record: Record) -> Iterator[Disagreement]:
    """Yield where an entry's local header says something else, or it is of a kind that readers treat differently."""
    name = record.name
    if record.flags & ENCRYPTED:
        yield Disagreement(name, "is flagged as encrypted, which Android doesn't look at")
    if record.method not in (STORED, DEFLATED):
        yield Disagreement(
            name, f"has the compression method {record.method}, which Android takes as none"
        )
    if record.method == STORED and record.packed != record.size:
        what = f"is stored in {record.packed} bytes and states {record.size}"
        yield Disagreement(name, what)
    local = read_local(data, record.offset)
    if local is None:
        yield Disagreement(
            name, f"has no local header at {record.offset}, where the directory says"
        )
        return
    if local.raw != record.raw:
        yield Disagreement(name, f"is called {local.shown!r} by its local header")
    if local.method != record.method:
        what = f"has the compression method {record.method}, and {local.method} by its local header"
        yield Disagreement(name, what)
    if (local.flags ^ record.flags) & ENCRYPTED:
        yield Disagreement(name, "is flagged as encrypted by one of its two headers only")
    if not local.sizes_follow:
        yield from _sizes(record, local)


def _sizes(record: Record, local: Record) -> Iterator[Disagreement]:
    """Yield where sizes or checksum differ."""
    for what, mine, other in (
        ("bytes packed", record.packed, local.packed),
        ("bytes unpacked", record.size, local.size),
    ):
        if mine != other:
            yield Disagreement(record.name, f"has {mine} {what}, and {other} by its local header")
    if record.crc != local.crc:
        yield Disagreement(record.name, "has another checksum by its local header")


def overlaps(data: memoryview, directory: Directory) -> dict[int, str]:
    """Return, by its place in the directory, each entry that shares bytes with another one, so that those left share none.

    Of several that begin at the same byte all but the first are returned, and what reaches into the next one.
    """
    found: dict[int, str] = {}
    spans: list[tuple[int, int, Record]] = []
    first: dict[int, Record] = {}
    for place, record in enumerate(directory.records):
        local = read_local(data, record.offset)
        if local is None:
            continue
        known = first.setdefault(record.offset, record)
        if known is record:
            spans.append((local.end + record.packed, place, record))
        else:
            found[place] = f"shares bytes with {known.shown!r}"
    spans.sort(key=lambda span: span[2].offset)
    for (end, place, _), (_, _, following) in pairwise(spans):
        if end > following.offset:
            found[place] = f"shares bytes with {following.shown!r}"
    return found


def _overlaps(data: memoryview, directory: Directory) -> Iterator[Disagreement]:
    """Yield entries that share bytes with one before them, or with the directory: the trick of bombs that overlap."""
    for place, why in overlaps(data, directory).items():
        yield Disagreement(directory.records[place].name, why)
    ends = [
        (local.end + record.packed, record)
        for record in directory.records
        if (local := read_local(data, record.offset)) is not None
    ]
    if ends:
        end, record = max(ends, key=lambda span: span[0])
        if end > directory.ending.start:
            yield Disagreement(record.name, "reaches into the directory")


def _unlisted(data: memoryview, directory: Directory, walked: Walk) -> Iterator[Disagreement]:
    """Yield what stands in the archive and not in the directory."""
    listed = {record.offset for record in directory.records}
    for record in walked.records if directory.whole else ():
        if record.offset not in listed and not record.fills:
            yield Disagreement(record.name, "stands in the archive, and not in its directory")
    for start, end in walked.strays:
        yield Disagreement("", f"{end - start} bytes at {start} belong to no entry")
    if not walked.whole:
        yield Disagreement(
            "", "its local headers can't be followed to the end: there are too many, or they lie"
        )
    elif walked.end not in (directory.ending.start, len(data)):
        what = f"from its front, the directory stands at {walked.end}, by its end record at {directory.ending.start}"
        yield Disagreement("", what)


_RAW_DEFLATE = -15
_PIECE = 1024 * 1024
_AT_ONCE = 8 * 1024 * 1024
"""Entries beyond it are taken piece by piece: zlib holds twice the size otherwise, and all pages of the file stay."""


def peek(data: memoryview, record: Record, size: int) -> bytes:
    """Return the first bytes of an entry, at most ``size``; fewer or none if it can't be read."""
    local = read_local(data, record.offset)
    if local is None:
        return b""
    if _is_deflated(record):
        packed = data[local.end : local.end + min(record.packed, size + 1024)]
        try:
            return zlib.decompressobj(_RAW_DEFLATE).decompress(packed, size)
        except zlib.error:
            return b""
    return bytes(data[local.end : local.end + min(record.size, size)])


def stored(data: memoryview, record: Record) -> memoryview | None:
    """Return an entry's bytes where they stand, if it isn't packed."""
    local = read_local(data, record.offset)
    if local is None or _is_deflated(record) or local.end + record.size > len(data):
        return None
    return data[local.end : local.end + record.size]


def unpack(data: memoryview, record: Record, limits: Limits, pace: Pace) -> tuple[bytes, bool]:
    """Return an entry's bytes, and whether they have the checksum that the directory states.

    :raises UnreadableEntryError: if it is damaged, encrypted or beyond a limit.
    """
    _check_limits(record, limits)
    local = read_local(data, record.offset)
    if local is None:
        raise _unreadable(record, "has no local header where the directory says")
    content = _content(data, record, local.end, pace)
    sound = zlib.crc32(content) == record.crc
    if record.flags & ENCRYPTED and not sound:
        raise _unreadable(record, "is encrypted")
    return content, sound


def _check_limits(record: Record, limits: Limits) -> None:
    """Refuse a bomb by what it states; one that states less than it is gets refused while it is unpacked."""
    if record.size > limits.entry_size:
        what = f"states {record.size} bytes unpacked, more than {limits.entry_size} are not read"
        raise _unreadable(record, what)
    if record.size > limits.ratio_from and record.size > limits.ratio * record.packed:
        what = (
            f"states {record.size} bytes unpacked of {record.packed}, more than {limits.ratio} times: a zip bomb "
            "by its looks"
        )
        raise _unreadable(record, what)


def _content(data: memoryview, record: Record, start: int, pace: Pace) -> bytes:
    """Return the bytes, inflated where they are deflated."""
    if _is_deflated(record):
        packed = data[start : start + record.packed]
        try:
            return _inflated(packed, record, pace)
        except zlib.error as error:
            # Only a method that doesn't exist may mean either; what says deflated and isn't is damaged.
            if record.method == DEFLATED:
                raise _unreadable(record, f"can't be inflated ({_first_words(error)})") from error
    if start + record.size > len(data):
        raise _unreadable(record, "reaches beyond the end of the archive")
    found = data[start : start + record.size]
    return bytes(found) if record.size <= _AT_ONCE else _joined(_pieces(found, record, pace))


def _is_deflated(record: Record) -> bool:
    """Tell whether an entry is to be inflated; a method that doesn't exist says so by its sizes."""
    if record.method == DEFLATED:
        return True
    return record.method != STORED and record.packed != record.size


def _inflated(packed: memoryview, record: Record, pace: Pace) -> bytes:
    """Inflate to exactly the size that the directory states."""
    inflater = zlib.decompressobj(_RAW_DEFLATE)
    if record.size <= _AT_ONCE:
        # One byte more than stated tells an entry that is longer; max_length 0 would mean no bound at all.
        content = inflater.decompress(packed, record.size + 1)
        pace.looked_at(len(packed))
    else:
        content = _joined(_inflated_pieces(packed, inflater, record, pace))
    _check(record, len(content), ended=inflater.eof)
    return content


def _inflated_pieces(
    packed: memoryview, inflater: "zlib._Decompress", record: Record, pace: Pace
) -> Iterator[bytes]:
    """Yield what is inflated, piece by piece, to a little more than the stated size."""
    length = 0
    for piece in _pieces(packed, record, pace):
        rest: bytes | memoryview = piece
        while True:
            _check_time(record, pace)
            found = inflater.decompress(rest, _PIECE)
            length += len(found)
            yield found
            rest = inflater.unconsumed_tail
            if inflater.eof or length > record.size:
                return
            if not rest and len(found) < _PIECE:
                break


def _pieces(data: memoryview, record: Record, pace: Pace) -> Iterator[memoryview]:
    """Yield bytes piece by piece, as long as there is time."""
    for at in range(0, len(data), _PIECE):
        _check_time(record, pace)
        piece = data[at : at + _PIECE]
        yield piece
        pace.looked_at(len(piece))


def _check_time(record: Record, pace: Pace) -> None:
    """Raise OutOfTimeError once the time is over."""
    if pace.over:
        raise OutOfTimeError(record.name, "isn't read to its end: the time is over")


def _joined(pieces: Iterable[bytes | memoryview]) -> bytes:
    """Return pieces as one; BytesIO hands out what it holds without a copy, a join would need twice the memory."""
    sink = BytesIO()
    for piece in pieces:
        sink.write(piece)
    return sink.getvalue()


def _check(record: Record, length: int, *, ended: bool) -> None:
    """Refuse what is longer or shorter than it states."""
    if length > record.size:
        raise _unreadable(record, f"is longer than the {record.size} bytes that it states")
    if length < record.size or not ended:
        raise _unreadable(record, f"ends after {length} of the {record.size} bytes that it states")


def _first_words(error: zlib.error) -> str:
    """Return what zlib says, without its number."""
    return str(error).partition(":")[2].strip() or "damaged"


def _unreadable(record: Record, why: str) -> UnreadableEntryError:
    """Make the error of an entry."""
    return UnreadableEntryError(record.name, why)


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
