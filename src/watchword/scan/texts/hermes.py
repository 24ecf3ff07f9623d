"""Read Hermes bytecode, into which React Native compiles its scripts: its strings, and the names that code gives them.

Strings lie in it without anything between them: without the table, one runs into the next.  Which property a string is put into, only
the instructions and the literals of objects tell; without it a password is a word like any other.

Source: https://github.com/facebook/hermes, ``include/hermes/BCGen/HBC/BytecodeFileFormat.h`` (at 006fd73, where headers of functions have 12
bytes, as from version 97 on; earlier ones have 16) and ``StringTableEntry.h``; where versions differ, hermes-dec 0.1.8 (PyPI); all read on
2026-11-29.  Held against what hermesc of versions 76, 84, 89, 94, 96, 98 and 99 writes, and against its own dumps.  Later versions, and earlier
ones than 74, aren't read.
"""

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from itertools import islice, pairwise
from typing import Final, NamedTuple

from watchword.encoding.tables import read_table
from watchword.reasons import WatchwordError

MAGIC: Final = (0x1F1903C103BC1FC6).to_bytes(8, "little")
VERSIONS: Final = range(74, 100)
"""The versions whose table of strings is read."""

MOST_NAMED: Final = 200_000
"""How many strings with a name are told of one file."""

LONGEST_NAME: Final = 256
"""Characters of a name; longer ones are texts."""

MOST_CODE: Final = 32 * 1024 * 1024
MOST_LITERALS: Final = 4_000_000
"""How many bytes of instructions, and how many literals of objects, are looked at for names: both may lie over one another."""

_VERSION: Final = struct.Struct("<8xI")
_COUNTS: Final = struct.Struct("<7I")
_COUNTS_AT: Final = 40  # After magic, version, SHA-1, length of the file, and the global function.
_HEADER: Final = 128
_SHORT_HEADERS_FROM: Final = 97
_BIG_NUMBERS_FROM: Final = 87
_MANY_REGISTERS_FROM: Final = 98
_MOST: Final = 1_000_000
_OVERFLOWED: Final = 1 << 5
_MOST_LITERALS: Final = 0xFFFF
_TWICE: Final = 2
"""How often each byte of a file is read as code: functions that are alike share theirs."""


class HermesError(WatchwordError):
    """Report that the table of strings isn't where this version of the format is known to have it."""


class _Use(IntEnum):
    """Name what an instruction does with strings; see ``hermes.toml``."""

    NOTHING = 0
    LOAD = 1
    PUT = 2
    OWN = 3
    OBJECT = 4
    PARENT = 5
    SLOT = 6
    CALL = 7


@dataclass(frozen=True, slots=True)
class _Opcodes:
    """Hold what of the instructions of a version must be known, by opcode.

    :param widths: bytes with the opcode itself.
    """

    widths: Sequence[int]
    uses: Sequence[int]


class _Tables(NamedTuple):
    """Hold the tables of a file: its version, its strings' entries and place, and how many functions it has."""

    version: int
    functions: int
    entries: list[tuple[int, int, int]]
    storage: int
    end: int


def is_hermes(data: bytes) -> bool:
    """Tell by its magic whether a file is Hermes bytecode."""
    return data.startswith(MAGIC)


def strings(data: bytes) -> Iterator[str]:
    """Yield the strings of a bytecode file, in the order of its table.

    :raises HermesError: before the first one, if the table doesn't hold together.
    """
    tables = _tables(data)
    for entry in tables.entries:
        yield _text(data, tables.storage, entry)


def named(data: bytes, goes_on: Callable[[], bool] = lambda: True) -> Iterator[tuple[str, str]]:
    """Yield names and strings of a bytecode file: of properties that strings are put into, and of arguments beside them.

    A function whose instructions aren't known is left out: its strings are among the others.

    :param goes_on: tells whether there is time for more.
    :raises HermesError: if the table doesn't hold together.
    """
    tables = _tables(data)
    opcodes = _opcodes(tables.version)
    if opcodes is None:
        return
    reader = _Names(data, tables, opcodes, goes_on)
    most = len(tables.entries)
    # A value that is no string counts as -1.
    pairs = (pair for pair in reader.pairs() if 0 <= pair[0] < most and 0 <= pair[1] < most)
    for name, value in dict.fromkeys(islice(pairs, MOST_NAMED)):
        if tables.entries[name][1] <= LONGEST_NAME:
            texts = [_text(data, tables.storage, tables.entries[at]) for at in (name, value)]
            yield texts[0], texts[1]


def _text(data: bytes, storage: int, entry: tuple[int, int, int]) -> str:
    at, length, wide = entry
    raw = data[storage + at : storage + at + length * (1 + wide)]
    return raw.decode("utf-16-le" if wide else "latin-1", "replace")


def _tables(data: bytes) -> _Tables:
    try:
        (version,) = _VERSION.unpack_from(data)
        if version not in VERSIONS:
            raise HermesError(f"Hermes bytecode of version {version}, which isn't known")
        functions, kinds, identifiers, count, overflowing, size, _ = _COUNTS.unpack_from(
            data, _COUNTS_AT
        )
    except struct.error as error:
        raise HermesError("Hermes bytecode that ends in its header") from error
    small_at = _HEADER + functions * _function(version) + 4 * kinds + 4 * identifiers
    overflow_at = small_at + 4 * count
    storage = overflow_at + 8 * overflowing
    if not identifiers <= count <= _MOST or overflowing > count or storage + size > len(data):
        raise HermesError("Hermes bytecode whose strings don't fit into it")
    small = struct.unpack_from(f"<{count}I", data, small_at)
    overflow = struct.unpack_from(f"<{2 * overflowing}I", data, overflow_at)
    entries = list(_entries(small, overflow))
    if any(at + length * (1 + wide) > size for at, length, wide in entries):
        raise HermesError("Hermes bytecode with a string outside of its storage")
    return _Tables(version, functions, entries, storage, storage + size)


def _function(version: int) -> int:
    """Return how many bytes the header of a function has."""
    return 12 if version >= _SHORT_HEADERS_FROM else 16


def _entries(small: tuple[int, ...], overflow: tuple[int, ...]) -> Iterator[tuple[int, int, int]]:
    """Yield offset, length and whether it's UTF-16, of each string; a length of 255 stands for a place in the overflow."""
    for entry in small:
        wide, at, length = entry & 1, entry >> 1 & 0x7FFFFF, entry >> 24
        if length == 0xFF:
            if 2 * at + 1 >= len(overflow):
                raise HermesError("Hermes bytecode with a long string that isn't there")
            at, length = overflow[2 * at], overflow[2 * at + 1]
        yield at, length, wide


@cache
def _all_opcodes() -> Sequence[Mapping[str, object]]:
    found: Sequence[Mapping[str, object]] = read_table("watchword.scan.texts", "hermes.toml")[
        "opcodes"
    ]
    return found


@cache
def _opcodes(version: int) -> _Opcodes | None:
    """Return the opcodes of a version; None for one of which only strings are read."""
    known = None
    for each in _all_opcodes():
        if int(str(each["first"])) <= version:
            known = each
    if known is None:
        return None

    widths = [1 + int(each, 36) for each in str(known["widths"])]
    uses = [int(_Use.NOTHING)] * len(widths)
    for use in _Use:
        opcodes = known.get(use.name.lower(), [])
        assert isinstance(opcodes, list)
        for opcode in opcodes:
            uses[opcode] = int(use)
    return _Opcodes(widths, uses)


class _Names:
    """Follow strings from where they're loaded to what they're put into."""

    def __init__(
        self, data: bytes, tables: _Tables, opcodes: _Opcodes, goes_on: Callable[[], bool]
    ) -> None:
        self._goes_on = goes_on
        self._data = data
        self._tables = tables
        self._opcodes = opcodes
        self._literals_left = MOST_LITERALS
        self._short = tables.version >= _SHORT_HEADERS_FROM
        self._keys, self._values, self._shapes = self._buffers()

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Yield the numbers of name and string; instructions are looked at function by function."""
        left = min(_TWICE * len(self._data), MOST_CODE)
        done: set[tuple[int, int]] = set()
        for at, size in self._bodies():
            left -= size
            if left < 0 or not self._goes_on():
                return
            if (at, size) not in done:
                done.add((at, size))
                yield from self._of(self._data[at : at + size])

    def _buffers(self) -> tuple[range, range, range]:
        """Return where the literals of keys and of values lie, and the shapes of objects; each begins at a multiple of four."""
        first = _COUNTS_AT + 24 + (8 if self._tables.version >= _BIG_NUMBERS_FROM else 0) + 8
        one, two, three = struct.unpack_from("<3I", self._data, first)
        starts = [(self._tables.end + 3) & ~3]
        for size in (one, two):
            starts.append((starts[-1] + size + 3) & ~3)
        if self._short:
            return (
                range(starts[1], starts[1] + two),
                range(starts[0], starts[0] + one),
                range(starts[2], starts[2] + 8 * three),
            )
        # Literals of arrays stand in front.
        return range(starts[1], starts[1] + two), range(starts[2], starts[2] + three), range(0)

    def _bodies(self) -> Iterator[tuple[int, int]]:
        """Yield where the instructions of each function lie."""
        data, version = self._data, self._tables.version
        each = _function(version)
        many = version >= _MANY_REGISTERS_FROM
        for number in range(self._tables.functions):
            start = _HEADER + number * each
            first, second, third = struct.unpack_from("<3I", data, start)
            at, size = first & 0x1FFFFFF, second & (0x3FFF if many else 0x7FFF)
            if data[start + each - 1] & _OVERFLOWED:
                if not self._short:
                    large = (third & 0x1FFFFFF) << 16 | at
                elif many:
                    large = (second >> 14 & 0xFF) << 24 | at
                else:
                    large = (second >> 15) << 16 | at
                if large + 16 > len(data):
                    continue
                at, _, *sizes = struct.unpack_from("<4I", data, large)
                size = sizes[many]
            if size and at + size <= len(data):
                yield at, size

    def _of(self, body: bytes) -> Iterator[tuple[int, int]]:
        """Yield the pairs of one function; of one that holds what isn't known, those before it."""
        widths, uses, known = self._opcodes.widths, self._opcodes.uses, len(self._opcodes.uses)
        # Looked up once: this loop runs for each instruction.
        load, call, put, slot = int(_Use.LOAD), int(_Use.CALL), int(_Use.PUT), int(_Use.SLOT)
        literals = {int(_Use.OBJECT), int(_Use.PARENT)}
        loaded: dict[int, int] = {}
        objects: dict[int, tuple[int, ...]] = {}
        at, end = 0, len(body)
        while at < end:
            code = body[at]
            if code >= known:
                return
            after = at + widths[code]
            if after > end:
                return
            use = uses[code]
            if use == 0:
                # Most write to the register that they name first.
                if (loaded or objects) and after > at + 1:
                    loaded.pop(body[at + 1], None)
                    objects.pop(body[at + 1], None)
            elif use == load:
                loaded[body[at + 1]] = int.from_bytes(body[at + 2 : after], "little")
            elif use == call:
                yield from pairwise(loaded.get(each, -1) for each in body[at + 4 : after])
                loaded.pop(body[at + 1], None)
            elif use in literals:
                keys, values = self._literals(body[at + 1 : after], parent=use == _Use.PARENT)
                yield from zip(keys, values, strict=False)
                objects[body[at + 1]] = keys
                loaded.pop(body[at + 1], None)
            elif body[at + 2] in loaded:
                value = loaded[body[at + 2]]
                name = int.from_bytes(body[at + 3 + (use == put) : after], "little")
                if use != slot:
                    yield name, value
                elif name < len(keys := objects.get(body[at + 1], ())):
                    yield keys[name], value
            at = after

    def _literals(
        self, operands: bytes, *, parent: bool
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return keys and values of an object of literals; -1 for a value that is no string."""
        data = self._data
        if not self._short:
            wide = len(operands) > 9
            count = int.from_bytes(operands[3:5], "little")
            keys, values = struct.unpack("<2I" if wide else "<2H", operands[5:])
        else:
            wide = parent or len(operands) > 5
            shape, values = struct.unpack("<2I" if wide else "<2H", operands[1 + parent :])
            at = self._shapes.start + 8 * shape
            if at + 8 > min(self._shapes.stop, len(data)):
                return (), ()
            keys, count = struct.unpack_from("<2I", data, at)
        count = min(count, _MOST_LITERALS, self._literals_left)
        self._literals_left -= count
        later = self._tables.version >= _MANY_REGISTERS_FROM
        return (
            tuple(_serialised(data, self._keys, keys, count, later=later)),
            tuple(_serialised(data, self._values, values, count, later=later)),
        )


def _serialised(
    data: bytes, where: range, offset: int, count: int, *, later: bool
) -> Iterator[int]:
    """Yield the numbers of strings among literals, -1 for others: each run of one kind has a tag with its length before it."""
    at, end = where.start + offset, min(where.stop, len(data))
    while count > 0 and at < end:
        tag = data[at]
        length = tag & 0x0F
        at += 1
        if tag & 0x80:
            length = length << 8 | (data[at] if at < end else 0)
            at += 1
        kind = tag >> 4 & 7
        width = (0, 0, 0, 8, 4, 2, 0 if later else 1, 4)[kind]
        for _ in range(min(length, count)):
            if at + width > end:
                return
            if kind in {4, 5} or (kind == 6 and not later):
                yield int.from_bytes(data[at : at + width], "little")
            else:
                yield -1
            at += width
        count -= length
