"""Read an archive by its central directory, as installers do: the first of two readers.

Source: PKWARE APPNOTE.TXT 6.3.10, sections 4.3.12 to 4.3.16.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

from watchword.scan.app import Disagreement
from watchword.scan.archive.interface import Limits
from watchword.scan.archive.pace import Pace
from watchword.scan.archive.records import (
    CENTRAL,
    END,
    END_64,
    LOCATOR_64,
    Record,
    read_central,
)

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
        crowded = len(records) >= limits.entries or names > limits.names
        if crowded or (len(records) % 1024 == 0 and pace.over):
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
