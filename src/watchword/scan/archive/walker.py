"""Read an archive by its local headers, from front to back, without its directory: the second of two readers.

What it finds and the directory doesn't name is there nevertheless: an installer, a scanner or a loader may see it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from watchword.scan.archive.interface import Limits
from watchword.scan.archive.pace import Pace
from watchword.scan.archive.records import (
    CENTRAL,
    DESCRIPTOR,
    END,
    END_64,
    LOCAL,
    STREAMED,
    Record,
    read_local,
)

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
        crowded = max(len(self._records), len(self._strays)) >= self._limits.entries
        crowded = crowded or self._names > self._limits.names
        return crowded or self._searchable < 0 or self._pace.over

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
