"""Read an APK's resource table (``resources.arsc``): the value behind a reference, and the strings with their names.

Of several configurations of a resource the one that an ordinary phone takes is read: without qualifiers, or with that of the
latest version of Android.  Where there is none, the first.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from struct import Struct, unpack_from
from typing import Final, Protocol

from watchword.scan.android.chunks import (
    Buffer,
    Chunk,
    StringPool,
    chunk_at,
    chunks,
    value_at,
    value_of,
)
from watchword.scan.android.elements import AndroidFormatError, Value

TEXT_TYPES: Final = frozenset({"string", "array", "plurals"})
"""Types of resources that hold text."""

_TABLE: Final = 0x0002
_PACKAGE: Final = 0x0200
_TYPE: Final = 0x0201

_PACKAGE_HEAD: Final = Struct("<I256xIIII")
_TYPE_HEAD: Final = Struct("<BBHIII")
_ENTRY: Final = Struct("<HHI")
_SPARSE: Final = 0x01
_SHORT_OFFSETS: Final = 0x02
_COMPLEX: Final = 0x01
_COMPACT: Final = 0x08
_MOST_ENTRIES: Final = 0x10000  # What the 16 bits of an entry's number can name.
_MOST_VARIANTS: Final = 100_000
"""Types times configurations; the largest apps have some thousands."""

_MOST_REMEMBERED: Final = 64
_NONE: Final = 0xFFFFFFFF
_SHORT_NONE: Final = 0xFFFF
_CONFIG_AT: Final = 20
_VERSION: Final = range(24, 28)


class Table(Protocol):
    """Give a package's resources."""

    @property
    def damage(self) -> Sequence[str]:
        """Return what of it couldn't be read, each reason once."""

    def value(self, resource: int, name: str) -> Value | None:
        """Return the value of a resource, by its id or, where that is 0, by its name (``xml/network``); None if it isn't here."""

    def texts(self) -> Iterator[tuple[str, Value]]:
        """Yield the names and values of what holds text; a list's name once for each of its values."""


@dataclass(frozen=True, slots=True)
class _Variant:
    """Hold where the values of one type lie in one configuration; ``rank`` is lowest for that which a phone takes."""

    body: int
    end: int
    values: int
    count: int
    flags: int
    rank: tuple[bool, int]


@dataclass(slots=True)
class _Type:
    name: str
    keys: StringPool
    variants: list[_Variant] = field(default_factory=list)


class BinaryTable:
    """Give the resources of ``resources.arsc``; what is damaged in it is left out and told."""

    def __init__(self, data: bytes) -> None:
        """Read where things lie in it.

        :raises AndroidFormatError: if it isn't a resource table.
        """
        self._buffer = Buffer(data)
        self._damage: dict[str, None] = {}
        self._types: dict[tuple[int, int], _Type] = {}
        self._sparse: dict[int, dict[int, int]] = {}
        self._variants = 0
        whole = chunk_at(self._buffer, 0, len(data))
        if whole.kind != _TABLE:
            raise AndroidFormatError("it isn't a resource table")
        self._values = StringPool(self._buffer, chunk_at(self._buffer, whole.body, whole.end))
        try:
            for chunk in chunks(self._buffer, whole.body, whole.end):
                if chunk.kind == _PACKAGE:
                    self._package(chunk)
        except AndroidFormatError as error:
            self._damage[str(error)] = None
        for kind in self._types.values():
            kind.variants.sort(key=lambda variant: variant.rank)

    @property
    def damage(self) -> Sequence[str]:
        """Return what of it couldn't be read."""
        return tuple(self._damage)

    def value(self, resource: int, name: str) -> Value | None:  # noqa: ARG002 - ids are always there.
        """Return the value of a resource; None if it isn't here or is a list."""
        kind = self._types.get((resource >> 24, resource >> 16 & 0xFF))
        try:
            for variant in kind.variants if kind is not None else ():
                at = self._entry(variant, resource & 0xFFFF)
                if at is not None:
                    found = self._read(variant, at)[1]
                    return found[0] if len(found) == 1 else None
        except AndroidFormatError as error:
            # The next variant isn't asked: once the budget is spent, thousands of them would all refuse.
            self._damage[str(error)] = None
        return None

    def texts(self) -> Iterator[tuple[str, Value]]:
        """Yield names and values of what holds text."""
        for kind in self._types.values():
            if kind.name not in TEXT_TYPES:
                continue
            seen: set[int] = set()
            for variant in kind.variants:
                for index in self._indexes(variant):
                    if index not in seen:
                        yield from self._texts_of(kind, variant, index, seen)

    def _texts_of(
        self, kind: _Type, variant: _Variant, index: int, seen: set[int]
    ) -> Iterator[tuple[str, Value]]:
        try:
            at = self._entry(variant, index)
            if at is None:
                return
            seen.add(index)
            key, values = self._read(variant, at)
            name = kind.keys.get(key)
        except AndroidFormatError as error:
            self._damage[str(error)] = None
            return
        for value in values:
            yield name, value

    def _package(self, chunk: Chunk) -> None:
        package, types_at, _, keys_at, _ = self._buffer.unpack(_PACKAGE_HEAD, chunk.at + 8)
        names = StringPool(self._buffer, chunk_at(self._buffer, chunk.at + types_at, chunk.end))
        keys = StringPool(self._buffer, chunk_at(self._buffer, chunk.at + keys_at, chunk.end))
        for each in chunks(self._buffer, chunk.body, chunk.end):
            if each.kind == _TYPE:
                self._variant(each, package & 0xFF, names, keys)

    def _variant(self, chunk: Chunk, package: int, names: StringPool, keys: StringPool) -> None:
        number, flags, _, count, values, _ = self._buffer.unpack(_TYPE_HEAD, chunk.at + 8)
        width = 2 if flags & _SHORT_OFFSETS and not flags & _SPARSE else 4
        if count > _MOST_ENTRIES or chunk.body + width * count > chunk.end:
            raise AndroidFormatError("a type with more entries than it has room for")
        self._variants += 1
        if self._variants > _MOST_VARIANTS:
            raise AndroidFormatError(f"more than {_MOST_VARIANTS} types and configurations")
        known = self._types.get((package, number))
        if known is None:
            known = self._types[package, number] = _Type(names.get(number - 1), keys)
        rank = self._rank(chunk)
        known.variants.append(
            _Variant(chunk.body, chunk.end, chunk.at + values, count, flags, rank)
        )

    def _rank(self, chunk: Chunk) -> tuple[bool, int]:
        """Return what variants are ordered by: those without qualifiers but the system's version first, the latest of them."""
        start = chunk.at + _CONFIG_AT
        config = self._buffer.data[start : min(start + self._buffer.u32(start), chunk.body)]
        rest = config[4 : _VERSION.start] + config[_VERSION.stop :]
        version = int.from_bytes(config[_VERSION.start : _VERSION.start + 2], "little")
        return any(rest), -version

    def _indexes(self, variant: _Variant) -> Sequence[int]:
        if variant.flags & _SPARSE:
            return sorted(self._sparse_offsets(variant))
        if variant.flags & _SHORT_OFFSETS:
            return range(variant.count)
        offsets = unpack_from(f"<{variant.count}I", self._buffer.data, variant.body)
        return [index for index, offset in enumerate(offsets) if offset != _NONE]

    def _sparse_offsets(self, variant: _Variant) -> dict[int, int]:
        known = self._sparse.get(variant.body)
        if known is None:
            if len(self._sparse) >= _MOST_REMEMBERED:
                self._sparse.clear()
            known = {}
            for at in range(variant.body, variant.body + 4 * variant.count, 4):
                known.setdefault(self._buffer.u16(at), 4 * self._buffer.u16(at + 2))
            self._sparse[variant.body] = known
        return known

    def _entry(self, variant: _Variant, index: int) -> int | None:
        """Return where an entry stands; None if it isn't in this variant."""
        # What isn't there is looked for in every variant, of which a file may have thousands.
        self._buffer.spend(4)
        if variant.flags & _SPARSE:
            offset = self._sparse_offsets(variant).get(index)
        elif index >= variant.count:
            offset = None
        elif variant.flags & _SHORT_OFFSETS:
            short = self._buffer.u16(variant.body + 2 * index)
            offset = None if short == _SHORT_NONE else 4 * short
        else:
            wide = self._buffer.u32(variant.body + 4 * index)
            offset = None if wide == _NONE else wide
        if offset is None:
            return None
        at = variant.values + offset
        if at + _ENTRY.size > variant.end:
            raise AndroidFormatError("an entry outside of its type")
        return at

    def _read(self, variant: _Variant, at: int) -> tuple[int, list[Value]]:
        """Return an entry's key and its values: one, or those of a list."""
        size, flags, key = self._buffer.unpack(_ENTRY, at)
        self._buffer.spend(_ENTRY.size)
        if flags & _COMPACT:
            # Size and key change places with the value's type and bits.
            return size, [value_of(self._values, flags >> 8, key)]
        if not flags & _COMPLEX:
            return key, [value_at(self._buffer, self._values, at + size)]
        count = self._buffer.u32(at + 12)
        first = at + size
        if first + 12 * count > variant.end:
            raise AndroidFormatError("a list outside of its type")
        self._buffer.spend(12 * count)
        places = range(first + 4, first + 12 * count, 12)
        return key, [value_at(self._buffer, self._values, place) for place in places]
