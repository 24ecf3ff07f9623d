"""Read binary XML and resource tables as Android's packages and App Bundles hold them, within bounds.

The layout is that of ``ResourceTypes.h`` in Android's sources.  Nothing is read past an end, and strings are decoded only when they
are asked for, out of a budget: a million entries of a pool may point at the same megabyte.

The system knows an attribute by the resource id that belongs to its name, so that a document whose names are rubbish is installed
as well; kinds of chunks that it doesn't know it passes over, and the kind of the document itself it doesn't look at.

Of several configurations of a resource the one that an ordinary phone takes is read: without qualifiers, or with that of the
latest version of Android.  Where there is none, the first.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import chain
from struct import Struct, unpack_from
from typing import Final, Protocol

from watchword.reasons import WatchwordError
from watchword.scan.app import Part, Resource
from watchword.scan.notes import Notes

ANDROID: Final = "http://schemas.android.com/apk/res/android"
"""The name space of the system's attributes."""

MOST_DEPTH: Final = 128
"""How deep elements may be nested; a manifest has about five."""

MOST_ELEMENTS: Final = 200_000
MOST_ATTRIBUTES: Final = 500_000
"""How many elements and attributes a document may have; manifests of the largest apps have some thousands."""

MOST_TEXT: Final = 16 * 1024 * 1024
"""How many characters of text its elements may hold together: in binary XML all may share one long string."""

MOST_BYTES: Final = 16 * 1024 * 1024
"""How large a document may be."""


class AndroidFormatError(WatchwordError):
    """Report that a part of a package can't be read; the text says why and holds nothing of its content."""


class Kind(Enum):
    """Name the kinds of values that are told apart here."""

    NULL = auto()
    STRING = auto()
    REFERENCE = auto()
    BOOLEAN = auto()
    INTEGER = auto()
    OTHER = auto()


@dataclass(frozen=True, slots=True)
class Value:
    """Hold a value of an attribute or a resource; a file is the string of its path.

    :param text: of a string; of a reference its name, such as ``xml/network``, where it has one.
    :param number: of a boolean or an integer; of a reference the resource's id, 0 for none.
    """

    kind: Kind
    text: str = field(default="", repr=False)
    number: int = 0

    @property
    def shown(self) -> str:
        """Return the value as the system turns it into text; empty for what it can't."""
        if self.kind is Kind.BOOLEAN:
            return "true" if self.number else "false"
        if self.kind is Kind.INTEGER:
            return str(self.number)
        return self.text if self.kind is Kind.STRING else ""


@dataclass(slots=True)
class Element:
    """Hold an element.

    :param attributes: by resource id where they have one, as the system looks for them whatever they're called;
        others by name, those of the system's name space as ``android:NAME``, those of foreign ones not at all.
    :param texts: the pieces of text directly within it.
    """

    name: str
    attributes: dict[int | str, Value] = field(default_factory=dict)
    children: list["Element"] = field(default_factory=list, repr=False)
    texts: list[str] = field(default_factory=list, repr=False)

    @property
    def text(self) -> str:
        """Return all text directly within it."""
        return "".join(self.texts)

    def named(self, *names: str) -> Iterator["Element"]:
        """Yield the children of these names, in order."""
        return (child for child in self.children if child.name in names)


def attribute_key(resource: int, space: str, name: str) -> int | str | None:
    """Return the key of an attribute (see :class:`Element`); None for one of a foreign name space."""
    if resource:
        return resource
    if not space:
        return name
    return f"android:{name}" if space == ANDROID else None


class Growth:
    """Build a tree of elements, within the bounds on depth, elements and attributes."""

    def __init__(self) -> None:
        """Start without a root."""
        self._elements = MOST_ELEMENTS
        self._attributes = MOST_ATTRIBUTES
        self._text = MOST_TEXT

    def element(self, name: str, depth: int) -> Element:
        """Return a new element, ``depth`` others being around it.

        :raises AndroidFormatError: if there are too many, or too many within each other.
        """
        self._elements -= 1
        if self._elements < 0:
            raise AndroidFormatError(f"more than {MOST_ELEMENTS} elements")
        if depth >= MOST_DEPTH:
            raise AndroidFormatError(f"elements nested deeper than {MOST_DEPTH}")
        return Element(name)

    def text(self, element: Element, text: str) -> None:
        """Add text to an element.

        :raises AndroidFormatError: if there is too much in all.
        """
        self._text -= len(text)
        if self._text < 0:
            raise AndroidFormatError(f"more than {MOST_TEXT} characters of text")
        element.texts.append(text)

    def attributes(self, count: int) -> None:
        """Count attributes before they're read.

        :raises AndroidFormatError: if there are too many.
        """
        self._attributes -= count
        if self._attributes < 0:
            raise AndroidFormatError(f"more than {MOST_ATTRIBUTES} attributes")


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


_FIRST_NODE: Final = 0x0100
_LAST_NODE: Final = 0x017F
_START: Final = 0x0102
_END: Final = 0x0103
_TEXT: Final = 0x0104
_RESOURCE_MAP: Final = 0x0180

_ELEMENT: Final = Struct("<IIHHH")
_ATTRIBUTE: Final = Struct("<III")
_ATTRIBUTE_SIZE: Final = 20


def read_axml(data: bytes) -> Element:
    """Return the outermost element of a document.

    :raises AndroidFormatError: if it is damaged, too large, too deep, or has no element.
    """
    if len(data) > MOST_BYTES:
        raise AndroidFormatError(f"binary XML of {len(data)} bytes; at most {MOST_BYTES} are read")
    return _Document(Buffer(data)).root()


class _Document:
    """Hold the state of reading one document."""

    def __init__(self, buffer: Buffer) -> None:
        self._buffer = buffer
        self._pool: StringPool | None = None
        self._resources = range(0)
        self._growth = Growth()
        self._root: Element | None = None
        self._open: list[Element] = []

    def root(self) -> Element:
        """Read the document."""
        whole = chunk_at(self._buffer, 0, len(self._buffer.data))
        nodes = False
        for chunk in chunks(self._buffer, whole.body, whole.end):
            nodes = nodes or _FIRST_NODE <= chunk.kind <= _LAST_NODE
            if nodes:
                self._node(chunk)
            elif chunk.kind == STRING_POOL:
                self._pool = StringPool(self._buffer, chunk)
            elif chunk.kind == _RESOURCE_MAP:
                self._resources = range(chunk.body, chunk.end - 3, 4)
        if self._root is None:
            raise AndroidFormatError("binary XML without an element")
        return self._root

    def _node(self, chunk: Chunk) -> None:
        if chunk.kind == _START:
            self._start(chunk)
        elif chunk.kind == _END and self._open:
            self._open.pop()
        elif chunk.kind == _TEXT and self._open:
            self._growth.text(self._open[-1], self._string(self._within(chunk, 4)))

    def _within(self, chunk: Chunk, size: int) -> int:
        """Return the number at the start of a chunk's body, which has to have this size."""
        if chunk.body + size > chunk.end:
            raise AndroidFormatError("a node is shorter than its form")
        return self._buffer.u32(chunk.body)

    def _string(self, index: int) -> str:
        if self._pool is None:
            raise AndroidFormatError("binary XML without a string pool")
        return self._pool.get(index)

    def _start(self, chunk: Chunk) -> None:
        self._within(chunk, _ELEMENT.size)
        _, name, start, size, count = self._buffer.unpack(_ELEMENT, chunk.body)
        first = chunk.body + start
        if count and (size < _ATTRIBUTE_SIZE or first + size * count > chunk.end):
            raise AndroidFormatError("attributes that reach beyond their element")
        element = self._growth.element(self._string(name), len(self._open))
        self._growth.attributes(count)
        for at in range(first, first + size * count, size or 1):
            self._attribute(element, at)
        if self._open:
            self._open[-1].children.append(element)
        elif self._root is None:
            self._root = element
        self._open.append(element)

    def _attribute(self, element: Element, at: int) -> None:
        space, name, _ = self._buffer.unpack(_ATTRIBUTE, at)
        resource = 0
        if name < len(self._resources):
            resource = self._buffer.u32(self._resources[name])
        namespace = "" if space == NO_STRING else self._string(space)
        key = attribute_key(resource, namespace, "" if resource else self._string(name))
        if key is not None and key not in element.attributes:
            assert self._pool is not None  # The element's name came out of it.
            element.attributes[key] = value_at(self._buffer, self._pool, at + _ATTRIBUTE.size)


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


_VARINT: Final = 0
_FIXED_64: Final = 1
_DELIMITED: Final = 2
_FIXED_32: Final = 5
_FIXED: Final = {_FIXED_64: 8, _FIXED_32: 4}
_MOST_VARINT_BYTES: Final = 10


class Message:
    """Hold where a message lies in a file, and give its fields."""

    __slots__ = ("_data", "_end", "_start")

    def __init__(self, data: bytes, start: int = 0, end: int | None = None) -> None:
        """Take the bytes from ``start`` to ``end``; nothing is read yet."""
        self._data = data
        self._start = start
        self._end = len(data) if end is None else end

    def fields(self) -> Iterator[tuple[int, "int | Message"]]:
        """Yield the number and the value of each field: a number, or bytes, which may be a message.

        :raises AndroidFormatError: where it is cut off, or isn't a message.
        """
        data, at, end = self._data, self._start, self._end
        while at < end:
            key, at = _varint(data, at, end)
            wire = key & 7
            if wire == _VARINT:
                number, at = _varint(data, at, end)
                yield key >> 3, number
                continue
            if wire == _DELIMITED:
                size, at = _varint(data, at, end)
            elif wire in _FIXED:
                size = _FIXED[wire]
            else:
                raise AndroidFormatError("it isn't a protocol buffer")
            if size > end - at:
                raise AndroidFormatError("a field ends outside of its message")
            yield key >> 3, Message(data, at, at + size)
            at += size

    def messages(self, number: int) -> Iterator["Message"]:
        """Yield the messages in the fields of this number."""
        for each, value in self.fields():
            if each == number and isinstance(value, Message):
                yield value

    def message(self, number: int) -> "Message | None":
        """Return the last message in a field of this number, which is the one that counts; None if there is none."""
        found = None
        for found in self.messages(number):  # noqa: B007 - the last one is wanted.
            pass
        return found

    def number(self, number: int) -> int:
        """Return the last number in a field of this number; 0, the default, if there is none."""
        found = 0
        for each, value in self.fields():
            if each == number and isinstance(value, int):
                found = value
        return found

    def string(self, number: int) -> str:
        """Return the text in a field of this number; empty, the default, if there is none."""
        found = self.message(number)
        return "" if found is None else found.text()

    def text(self) -> str:
        """Return the bytes as text."""
        return self._data[self._start : self._end].decode("utf-8", "replace")


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Return a number of seven bits to the byte, lowest first, and where it ends."""
    if at < end and data[at] < 0x80:
        return data[at], at + 1
    number = 0
    for shift in range(_MOST_VARINT_BYTES):
        if at >= end:
            raise AndroidFormatError("cut off")
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return number & 0xFFFFFFFFFFFFFFFF, at
    raise AndroidFormatError("a number that doesn't end")


MOST_ENTRIES: Final = 300_000
"""How many packages, types and entries of one table are read; those of the largest apps have some ten thousand."""

_ITEM_REFERENCE: Final = 1
_ITEM_TEXTS: Final = frozenset({2, 3, 4, 5})
"""String, raw string, styled string and file: each holds its text or path in field 1."""
_ITEM_PRIMITIVE: Final = 7
_CONFIG_VERSION: Final = 24


def read_bundle_xml(data: bytes) -> Element:
    """Return the outermost element of an ``XmlNode``.

    :raises AndroidFormatError: if it is damaged, too large, too deep, or has no element.
    """
    if len(data) > MOST_BYTES:
        raise AndroidFormatError(f"XML of {len(data)} bytes; at most {MOST_BYTES} are read")
    top = Message(data).message(1)
    if top is None:
        raise AndroidFormatError("XML without an element")
    growth = Growth()
    root = growth.element("", 0)
    waiting: list[tuple[Message, Element, int]] = [(top, root, 0)]
    while waiting:
        message, element, depth = waiting.pop()
        for node in _fill(message, element, growth):
            inner = node.message(1)
            if inner is None:
                growth.text(element, node.string(2))
                continue
            child = growth.element("", depth + 1)
            element.children.append(child)
            waiting.append((inner, child, depth + 1))
    return root


def _fill(message: Message, element: Element, growth: Growth) -> Iterator[Message]:
    """Read an element's name and attributes, and yield its nodes."""
    for number, value in message.fields():
        if not isinstance(value, Message):
            continue
        if number == 3:
            element.name = value.text()
        elif number == 4:
            growth.attributes(1)
            _attribute(value, element)
        elif number == 5:
            yield value


def _attribute(message: Message, element: Element) -> None:
    resource = message.number(5) & 0xFFFFFFFF
    key = attribute_key(resource, message.string(1), message.string(2))
    if key is None or key in element.attributes:
        return
    item = message.message(6)
    value = None if item is None else _item(item)
    element.attributes[key] = value or Value(Kind.STRING, message.string(3))


def _item(item: Message) -> Value | None:
    """Return the value of an ``Item``; None if it has none."""
    found: Value | None = None
    for number, value in item.fields():
        if not isinstance(value, Message):
            continue
        if number == _ITEM_REFERENCE:
            # The other type of reference asks the theme.
            plain = value.number(1) == 0
            identity = value.number(2) & 0xFFFFFFFF
            name = value.string(3)
            found = Value(Kind.REFERENCE, name, identity) if plain else Value(Kind.OTHER)
            if plain and not identity and not name:
                found = Value(Kind.NULL)
        elif number in _ITEM_TEXTS:
            found = Value(Kind.STRING, value.string(1))
        elif number == _ITEM_PRIMITIVE:
            found = _primitive(value)
        else:
            found = Value(Kind.OTHER)
    return found


def _primitive(message: Message) -> Value:
    found = Value(Kind.NULL)
    for number, value in message.fields():
        if isinstance(value, Message):
            found = Value(Kind.NULL if number in (1, 2) else Kind.OTHER)
        elif number == 8:
            found = Value(Kind.BOOLEAN, number=int(value != 0))
        else:
            low = value & 0xFFFFFFFF
            found = Value(Kind.INTEGER, number=low - (1 << 32) if low >= 1 << 31 else low)
    return found


@dataclass(frozen=True, slots=True)
class _Entries:
    """Hold the entries of one type, unread."""

    kind: str
    entries: Sequence[Message]


class BundleTable:
    """Give the resources of a module's ``resources.pb``; what is damaged in it is left out and told."""

    def __init__(self, data: bytes, most: int = MOST_ENTRIES) -> None:
        """Find its types; entries are read when they're asked for.

        :param most: packages, types and entries that are read.
        """
        self._damage: dict[str, None] = {}
        self._types: dict[tuple[int, int], _Entries] = {}
        self._indexes: dict[tuple[int, int], dict[int, Message]] = {}
        self._names: dict[str, dict[str, Message]] = {}
        self._most = self._left = most
        try:
            for package in self._counted(Message(data).messages(2)):
                identity = package.message(1)
                for kind in self._counted(package.messages(3)):
                    self._type(0 if identity is None else identity.number(1), kind)
        except AndroidFormatError as error:
            self._damage[str(error)] = None

    @property
    def damage(self) -> Sequence[str]:
        """Return what of it couldn't be read."""
        return tuple(self._damage)

    def value(self, resource: int, name: str) -> Value | None:
        """Return the value of a resource, by its id, or by its name where that is 0; None if it isn't here or is a list."""
        try:
            entry = self._by_id(resource) if resource else self._by_name(name)
            values = [] if entry is None else self._values(entry)
        except AndroidFormatError as error:
            self._damage[str(error)] = None
            return None
        return values[0] if len(values) == 1 else None

    def texts(self) -> Iterator[tuple[str, Value]]:
        """Yield names and values of what holds text."""
        for found in self._types.values():
            if found.kind not in TEXT_TYPES:
                continue
            for entry in found.entries:
                try:
                    name, values = entry.string(2), self._values(entry)
                except AndroidFormatError as error:
                    self._damage[str(error)] = None
                    continue
                for value in values:
                    yield name, value

    def _type(self, package: int, message: Message) -> None:
        identity = message.message(1)
        number = 0 if identity is None else identity.number(1)
        found = _Entries(message.string(2), tuple(self._counted(message.messages(3))))
        self._types.setdefault((package, number), found)

    def _counted(self, messages: Iterator[Message]) -> Iterator[Message]:
        for message in messages:
            self._left -= 1
            if self._left < 0:
                raise AndroidFormatError(f"more than {self._most} resources")
            yield message

    def _by_id(self, resource: int) -> Message | None:
        key = resource >> 24, resource >> 16 & 0xFF
        index = self._indexes.get(key)
        if index is None:
            found = self._types.get(key)
            index = self._indexes[key] = {}
            for entry in found.entries if found is not None else ():
                identity = entry.message(1)
                index.setdefault(0 if identity is None else identity.number(1), entry)
        return index.get(resource & 0xFFFF)

    def _by_name(self, name: str) -> Message | None:
        kind, _, wanted = name.rpartition(":")[2].partition("/")
        # Each name is looked for in an index: a document may ask for a hundred thousand.
        index = self._names.get(kind)
        if index is None:
            index = self._names[kind] = {}
            for found in self._types.values():
                if found.kind == kind:
                    for entry in found.entries:
                        index.setdefault(entry.string(2), entry)
        return index.get(wanted)

    def _values(self, entry: Message) -> list[Value]:
        """Return the values of that configuration which a phone takes: one, or those of a list."""
        best: tuple[tuple[bool, int], Message] | None = None
        for each in entry.messages(6):
            rank = _rank(each.message(1))
            if best is None or rank < best[0]:
                best = rank, each
        value = None if best is None else best[1].message(2)
        if value is None:
            return []
        item = value.message(4)
        items = [item] if item is not None else list(_listed(value.message(5)))
        return [found for each in items if (found := _item(each)) is not None]


def _listed(compound: Message | None) -> Iterator[Message]:
    """Yield the items of an array or of plurals."""
    for number, item in ((4, 3), (5, 4)):
        found = None if compound is None else compound.message(number)
        for each in found.messages(1) if found is not None else ():
            inner = each.message(item)
            if inner is not None:
                yield inner


def _rank(config: Message | None) -> tuple[bool, int]:
    """Return what configurations are ordered by, as those of a resource table are."""
    qualified, version = False, 0
    for number, value in config.fields() if config is not None else ():
        if number == _CONFIG_VERSION and isinstance(value, int):
            version = value
        else:
            qualified = qualified or value != 0
    return qualified, -version


MOST_STEPS: Final = 16
"""How many references are followed one after the other; some lead back to themselves."""

MOST_ATTRIBUTE: Final = 1024
"""How many characters of an attribute are taken; names of classes, hosts and permissions are far shorter."""

MOST_STRINGS: Final = 300_000
MAX_TEXT: Final = 32 * 1024 * 1024
"""How many strings are kept of one app, and of how many characters."""

MOST_TEXTS: Final = 1_000_000
"""How many texts are looked at for them, those that occur twice counted twice."""

_PAIR: Final = 320
"""Bytes of memory that are reckoned for a string with its name beside their characters."""

_MOST_KNOWN: Final = 100_000
_TRUE: Final = frozenset({"1", "true", "TRUE"})
_SYSTEM: Final = 0x01
"""The package of the system's own resources, which lie on the phone."""


class Resources:
    """Resolve values; what leads nowhere is a gap of the part that asked."""

    def __init__(self, tables: Sequence[Table], notes: Notes) -> None:
        """Take the tables, that of the base first."""
        self._tables = tables
        self._notes = notes
        self._known: dict[tuple[int, str], Value | None] = {}

    def resolve(self, value: Value) -> Value | None:
        """Return what a value stands for: itself if it isn't a reference, None for a reference that leads nowhere."""
        for _ in range(MOST_STEPS):
            if value.kind is not Kind.REFERENCE:
                return value
            found = self._look_up(value)
            if found is None:
                return None
            value = found
        return None

    def _look_up(self, value: Value) -> Value | None:
        key = value.number, value.text
        if key not in self._known:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            # A document may ask for one and the same large entry half a million times.
            self._known[key] = self._ask(value)
        return self._known[key]

    def _ask(self, value: Value) -> Value | None:
        for table in self._tables:
            found = table.value(value.number, value.text)
            if found is not None:
                return found
        return None

    def strings(self, most: int = MOST_STRINGS) -> tuple[Resource, ...]:
        """Return the strings with their names in the order of the tables, each pair once; also the texts of lists.

        :param most: strings that are kept.
        """
        found: dict[tuple[str, str], None] = {}
        left = MAX_TEXT
        texts = chain.from_iterable(table.texts() for table in self._tables)
        for looked_at, (name, value) in enumerate(texts):
            resolved = self.resolve(value)
            text = "" if resolved is None or resolved.kind is not Kind.STRING else resolved.text
            new = bool(text) and (name, text) not in found
            if new:
                size = len(name) + len(text)
                left -= size
                if not self._notes.memory.keep(_PAIR + 4 * size * (not text.isascii()) + size):
                    left = -1
            if left < 0 or looked_at >= MOST_TEXTS or (new and len(found) >= most):
                self._notes.gap(Part.RESOURCES, "", "more strings than are read of one app")
                break
            if new:
                found[name, text] = None
        return tuple(Resource(*pair) for pair in found)


class Reader:
    """Read the attributes of one document's elements as the system does."""

    def __init__(self, part: Part, file: str, resources: Resources, notes: Notes) -> None:
        """Read for this part; gaps name this file."""
        self._part = part
        self._file = file
        self._resources = resources
        self._notes = notes

    def gap(self, why: str) -> None:
        """Note what wasn't seen of this document."""
        self._notes.gap(self._part, self._file, why)

    def value(self, element: Element, *keys: int | str) -> Value | None:
        """Return the value of the first of these attributes that is stated, resolved; None if none is, or it leads nowhere."""
        for key in keys:
            stated = element.attributes.get(key)
            if stated is None:
                continue
            found = self._resources.resolve(stated)
            if found is None:
                what = (
                    "one of the system's own values"
                    if stated.number >> 24 == _SYSTEM
                    else "nothing"
                )
                self.gap(f"an attribute of <{_shown(element.name)}> refers to {what}")
                return None
            return None if found.kind is Kind.NULL else found
        return None

    def text(self, element: Element, *keys: int | str) -> str | None:
        """Return an attribute as text, cut beyond :data:`MOST_ATTRIBUTE`; None if it isn't stated."""
        found = self.value(element, *keys)
        if found is None:
            return None
        shown = found.shown
        if len(shown) > MOST_ATTRIBUTE:
            self.gap(f"an attribute of more than {MOST_ATTRIBUTE} characters; the rest is left out")
        return shown[:MOST_ATTRIBUTE]

    def number(self, element: Element, key: int | str) -> int | None:
        """Return an attribute as a number; None if it isn't stated or isn't one."""
        found = self.value(element, key)
        if found is None:
            return None
        if found.kind in (Kind.INTEGER, Kind.BOOLEAN):
            return found.number
        text = found.text
        return int(text) if len(text) < 10 and text.isascii() and text.isdigit() else None

    def flag(self, element: Element, key: int | str) -> bool | None:
        """Return an attribute as the system takes it for a flag (``TypedArray.getBoolean``); None if it isn't stated."""
        found = self.value(element, key)
        if found is None:
            return None
        if found.kind in (Kind.INTEGER, Kind.BOOLEAN):
            return found.number != 0
        return found.text in _TRUE


def _shown(name: str) -> str:
    """Return an element's name for people, whatever stands there."""
    return name if name.isprintable() and len(name) <= 40 else "an element of an odd name"
