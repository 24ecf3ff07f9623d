"""Read the chunks, string pools and values that binary XML and resource tables of an APK are made of.

The layout is that of ``ResourceTypes.h`` in Android's sources.  Nothing is read past an end, and strings are decoded only when they
are asked for, out of a budget: a million entries of a pool may point at the same megabyte.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Final

from watchword.scan.android.elements import AndroidFormatError, Kind, Value

STRING_POOL: Final = 0x0001
NO_STRING: Final = 0xFFFFFFFF

MOST_CHUNKS: Final = 1_000_000
"""How many chunks of one level are read; binary XML of the largest size has about 400,000."""

MOST_KNOWN: Final = 100_000
MOST_CHARACTERS: Final = 4 * 1024 * 1024
"""Strings of one pool that are remembered, and their characters; they're read again when there were more."""

ALLOWANCE: Final = 4
"""How many times its own size a file may ask to be decoded; a genuine one needs about 1."""

_U16: Final = Struct("<H")
_U32: Final = Struct("<I")
_HEAD: Final = Struct("<HHI")
_VALUE: Final = Struct("<HBBI")
_UTF8: Final = 0x100

_TYPE_NULL: Final = 0x00
_TYPE_REFERENCE: Final = 0x01
_TYPE_STRING: Final = 0x03
_TYPE_DYNAMIC_REFERENCE: Final = 0x07
_TYPE_FIRST_INTEGER: Final = 0x10
_TYPE_BOOLEAN: Final = 0x12
_TYPE_LAST_INTEGER: Final = 0x1F


class Buffer:
    """Hold bytes with a budget for what is decoded of them; all numbers are little-endian."""

    def __init__(self, data: bytes) -> None:
        """Start with a budget of :data:`ALLOWANCE` times the bytes."""
        self.data = data
        self._left = ALLOWANCE * len(data) + 4096

    def u8(self, at: int) -> int:
        """Return the byte at this offset.

        :raises AndroidFormatError: if the bytes end before it.
        """
        if at >= len(self.data):
            raise AndroidFormatError("cut off")
        return self.data[at]

    def u16(self, at: int) -> int:
        """Return two bytes as a number, as :meth:`u8` does."""
        return int(self.unpack(_U16, at)[0])

    def u32(self, at: int) -> int:
        """Return four bytes as a number, as :meth:`u8` does."""
        return int(self.unpack(_U32, at)[0])

    def unpack(self, form: Struct, at: int) -> tuple[int, ...]:
        """Return the numbers of a structure.

        :raises AndroidFormatError: if the bytes end before it does.
        """
        if at + form.size > len(self.data):
            raise AndroidFormatError("cut off")
        return form.unpack_from(self.data, at)

    def spend(self, size: int) -> None:
        """Take bytes out of the budget.

        :raises AndroidFormatError: if there aren't as many left.
        """
        self._left -= size
        if self._left < 0:
            raise AndroidFormatError("its items overlap, so that a small file would be a large one")


@dataclass(frozen=True, slots=True)
class Chunk:
    """Hold where a chunk lies: from ``at`` over its header, which ends at ``body``, to ``end``."""

    kind: int
    at: int
    body: int
    end: int


def chunk_at(buffer: Buffer, at: int, limit: int) -> Chunk:
    """Return the chunk that begins here and ends at ``limit`` or before.

    :raises AndroidFormatError: if its sizes can't be.
    """
    kind, header, size = buffer.unpack(_HEAD, at)
    if header < _HEAD.size or size < header or at + size > limit:
        raise AndroidFormatError("a chunk's size is wrong")
    return Chunk(kind, at, at + header, at + size)


def chunks(buffer: Buffer, at: int, limit: int) -> Iterator[Chunk]:
    """Yield the chunks that stand one after the other; a rest too small for one is passed over, as the system does.

    :raises AndroidFormatError: where the next one's sizes can't be.
    """
    for _ in range(MOST_CHUNKS):
        if at + _HEAD.size > limit:
            return
        chunk = chunk_at(buffer, at, limit)
        yield chunk
        at = chunk.end
    raise AndroidFormatError(f"more than {MOST_CHUNKS} chunks")


class StringPool:
    """Give the strings of a pool by their index."""

    def __init__(self, buffer: Buffer, chunk: Chunk) -> None:
        """Read the pool's header.

        :raises AndroidFormatError: if it isn't one.
        """
        if chunk.kind != STRING_POOL or chunk.body - chunk.at < 28:
            raise AndroidFormatError("no string pool where one should be")
        self._buffer = buffer
        self._end = chunk.end
        self._count = buffer.u32(chunk.at + 8)
        self._utf8 = bool(buffer.u32(chunk.at + 16) & _UTF8)
        self._strings = chunk.at + buffer.u32(chunk.at + 20)
        self._offsets = chunk.body
        self._known: dict[int, str] = {}
        self._characters = 0

    def get(self, index: int) -> str:
        """Return a string; empty for the index that stands for none.

        :raises AndroidFormatError: if there is none of this index, or it ends outside of the pool.
        """
        if index == NO_STRING:
            return ""
        known = self._known.get(index)
        if known is None:
            if len(self._known) >= MOST_KNOWN or self._characters >= MOST_CHARACTERS:
                self._known.clear()
                self._characters = 0
            known = self._known[index] = self._decode(index)
            self._characters += len(known)
        return known

    def _decode(self, index: int) -> str:
        offset = self._offsets + 4 * index
        if index >= self._count or offset + 4 > self._end:
            raise AndroidFormatError("a string's index is beyond its pool")
        at = self._strings + self._buffer.u32(offset)
        if self._utf8:
            _, at = self._short_length(at)
            size, at = self._short_length(at)
        else:
            size, at = self._long_length(at)
            size *= 2
        if at + size > self._end:
            raise AndroidFormatError("a string ends outside of its pool")
        self._buffer.spend(size + 1)
        raw = self._buffer.data[at : at + size]
        return raw.decode("utf-8" if self._utf8 else "utf-16-le", "replace")

    def _short_length(self, at: int) -> tuple[int, int]:
        """Read a length of one byte or two, and where it ends."""
        first = self._buffer.u8(at)
        if first & 0x80:
            return (first & 0x7F) << 8 | self._buffer.u8(at + 1), at + 2
        return first, at + 1

    def _long_length(self, at: int) -> tuple[int, int]:
        """Read a length of two bytes or four, and where it ends."""
        first = self._buffer.u16(at)
        if first & 0x8000:
            return (first & 0x7FFF) << 16 | self._buffer.u16(at + 2), at + 4
        return first, at + 2


def value_at(buffer: Buffer, pool: StringPool, at: int) -> Value:
    """Read a value (``Res_value``), its string out of this pool."""
    _, _, kind, data = buffer.unpack(_VALUE, at)
    return value_of(pool, kind, data)


def value_of(pool: StringPool, kind: int, data: int) -> Value:
    """Return the value of a type and 32 bits; colours count as integers, as they do for the system's flags."""
    if kind == _TYPE_STRING:
        return Value(Kind.STRING, pool.get(data))
    if kind in (_TYPE_REFERENCE, _TYPE_DYNAMIC_REFERENCE):
        return Value(Kind.REFERENCE, number=data) if data else Value(Kind.NULL)
    if kind == _TYPE_BOOLEAN:
        return Value(Kind.BOOLEAN, number=int(data != 0))
    if _TYPE_FIRST_INTEGER <= kind <= _TYPE_LAST_INTEGER:
        return Value(Kind.INTEGER, number=data - (1 << 32) if data >= 1 << 31 else data)
    return Value(Kind.NULL if kind == _TYPE_NULL else Kind.OTHER)
