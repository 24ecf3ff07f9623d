"""Read the metadata of an assembly of .NET: its tables, its strings, and where its code lies.

Source: ECMA-335, 6th edition (June 2012), partition II, sections 22 to 25 (ecma-international.org, standard ECMA-335); the columns of the
tables were held against dnfile 0.18.0 on 2026-11-29.  Each index is checked where it is followed: whatever a file says, no read leaves it.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Final

from watchword.reasons import WatchwordError

MOST_ROWS: Final = 400_000
"""Rows of all tables of one assembly; the base library has about 60,000."""

MOST_STRINGS: Final = 1_000_000
"""Strings of one assembly, empty ones too."""

MOST_INITIAL: Final = 64 * 1024
"""Bytes of a field's initial value in which text is looked for."""

MOST_SECTIONS: Final = 96
MOST_STREAMS: Final = 16
MOST_NAME: Final = 1024
MOST_CHARACTERS: Final = 16 * 1024 * 1024
"""Characters of all names, and of all strings, of one assembly: each may begin a byte further in one and the same text."""

(TYPE_REF, TYPE_DEF, FIELD, METHOD, MEMBER_REF, CONSTANT) = (1, 2, 4, 6, 10, 11)
(INTERFACE, TYPE_SPEC, INITIAL, ASSEMBLY, RESOURCE, NESTED, METHOD_SPEC) = (
    9,
    27,
    29,
    32,
    40,
    41,
    43,
)

_SCHEMA: Final = {
    0: "2 S G G G",
    1: "ResolutionScope S S",
    2: "4 S S TypeDefOrRef 4# 6#",
    3: "4#",
    4: "2 S B",
    5: "6#",
    6: "4 2 2 S B 8#",
    7: "8#",
    8: "2 2 S",
    9: "2# TypeDefOrRef",
    10: "MemberRefParent S B",
    11: "2 HasConstant B",
    12: "HasCustomAttribute CustomAttributeType B",
    13: "HasFieldMarshal B",
    14: "2 HasDeclSecurity B",
    15: "2 4 2#",
    16: "4 4#",
    17: "B",
    18: "2# 20#",
    19: "20#",
    20: "2 S TypeDefOrRef",
    21: "2# 23#",
    22: "23#",
    23: "2 S B",
    24: "2 6# HasSemantics",
    25: "2# MethodDefOrRef MethodDefOrRef",
    26: "S",
    27: "B",
    28: "2 MemberForwarded S 26#",
    29: "4 4#",
    30: "4 4",
    31: "4",
    32: "4 2 2 2 2 4 B S S",
    33: "4",
    34: "4 4 4",
    35: "2 2 2 2 4 B S S B",
    36: "4 35#",
    37: "4 4 4 35#",
    38: "4 S B",
    39: "4 4 S S Implementation",
    40: "4 4 S Implementation",
    41: "2# 2#",
    42: "2 2 TypeOrMethodDef S",
    43: "MethodDefOrRef B",
    44: "42# TypeDefOrRef",
}
"""The columns by table: bytes of a number, S and B and G for a heap, ``N#`` for a row of a table, a word for a choice of tables."""

_CODED: Final = {
    "TypeDefOrRef": (2, (2, 1, 27)),
    "HasConstant": (2, (4, 8, 23)),
    "HasCustomAttribute": (
        5,
        (6, 4, 1, 2, 8, 9, 10, 0, 14, 23, 20, 17, 26, 27, 32, 35, 38, 39, 40, 42, 44, 43),
    ),
    "HasFieldMarshal": (1, (4, 8)),
    "HasDeclSecurity": (2, (2, 6, 32)),
    "MemberRefParent": (3, (2, 1, 26, 6, 27)),
    "HasSemantics": (1, (20, 23)),
    "MethodDefOrRef": (1, (6, 10)),
    "MemberForwarded": (1, (4, 6)),
    "Implementation": (2, (38, 35, 39)),
    "CustomAttributeType": (3, (6, 10)),
    "ResolutionScope": (2, (0, 26, 35, 1)),
    "TypeOrMethodDef": (1, (2, 6)),
}
"""The choices: bits of the tag, and the tables in its order."""

_STRING_CONSTANT: Final = 0x0E
_ABSTRACT: Final = 0x0400
_ELSEWHERE: Final = 0x2000  # By P/Invoke.
_NOT_IL: Final = (
    0x1003  # Native code, or code that the runtime makes: mask of the kind, and internal calls.
)

Row = tuple[int, ...]


class DotnetError(WatchwordError):
    """Report that a file is no assembly, or one that is damaged or of a form that isn't read."""


@dataclass(frozen=True, slots=True)
class MethodRow:
    """Hold a method that is defined here.

    :param cls: its class, in the form ``Shop.Net+Handler``.
    :param address: where its code is loaded; 0 for none.
    :param has_code: whether there must be code in the form that is read here.
    """

    cls: str
    name: str
    address: int
    has_code: bool


@dataclass(frozen=True, slots=True)
class _Section:
    start: int
    size: int
    offset: int


@dataclass(slots=True)
class Left:
    """Hold how many characters may still be read, and what was read by its place."""

    characters: int
    known: dict[int, str] = field(default_factory=dict)

    def take(self, text: str) -> str:
        """Count a text and return it.

        :raises DotnetError: if it's more than may be read.
        """
        self.characters -= len(text)
        if self.characters < 0:
            raise DotnetError("an assembly of .NET with more names or strings than are read")
        return text


def is_pe(head: bytes) -> bool:
    """Tell by its first bytes whether a file may be an assembly."""
    return head.startswith(b"MZ")


class Metadata:
    """Hold the metadata of one assembly."""

    def __init__(self, data: bytes, most: int = MOST_CHARACTERS) -> None:
        """Find the tables.

        :param most: characters of all names, and of all strings, that may be read.
        :raises DotnetError: if they aren't there, or don't fit into the file.
        """
        self.data = data
        self._names = Left(most)
        self._texts = Left(most)
        try:
            self._sections, header = self._portable_executable()
            metadata, size = struct.unpack_from("<II", data, header + 8)
            self._resources = struct.unpack_from("<II", data, header + 24)
            self._streams = self._find_streams(self.offset(metadata), size)
            self._tables = self._find_tables()
        except (struct.error, OverflowError) as error:
            raise DotnetError("an assembly of .NET that ends too early") from error

    def _portable_executable(self) -> tuple[list[_Section], int]:
        """Return the sections, and where the header of .NET is (II.25.2 and II.25.3)."""
        data = self.data
        if not is_pe(data[:2]):
            raise DotnetError("no assembly of .NET")
        (at,) = struct.unpack_from("<I", data, 0x3C)
        magic, _, sections, _, _, _, optional, _ = struct.unpack_from("<IHHIIIHH", data, at)
        if magic != 0x4550 or sections > MOST_SECTIONS:
            raise DotnetError("no assembly of .NET")
        (kind,) = struct.unpack_from("<H", data, at + 24)
        directories = at + 24 + {0x10B: 96, 0x20B: 112}.get(kind, 0)
        if kind not in {0x10B, 0x20B} or optional < directories - at - 24 + 15 * 8:
            raise DotnetError("a program of Windows without code of .NET")
        found = []
        for index in range(sections):
            size, start, raw, offset = struct.unpack_from(
                "<IIII", data, at + 24 + optional + 40 * index + 8
            )
            # What a loader fills with zeros isn't in the file.
            found.append(_Section(start, min(max(size, raw), raw), offset))
        self._sections = found
        address, extent = struct.unpack_from("<II", data, directories + 14 * 8)
        if not address or extent < 72:
            raise DotnetError("a program of Windows without code of .NET")
        return found, self.offset(address)

    def offset(self, address: int) -> int:
        """Return where in the file an address lies."""
        for one in self._sections:
            if one.start <= address < one.start + one.size:
                return address - one.start + one.offset
        raise DotnetError("an assembly of .NET with a part outside of its sections")

    def _find_streams(self, at: int, size: int) -> dict[str, tuple[int, int]]:
        """Return start and length of each heap (II.24.2.1 and II.24.2.2)."""
        magic, _, _, _, version = struct.unpack_from("<IHHII", self.data, at)
        if magic != 0x424A5342:
            raise DotnetError("an assembly of .NET whose metadata isn't where it says")
        here = at + 16 + version
        (count,) = struct.unpack_from("<2xH", self.data, here)
        here += 4
        found: dict[str, tuple[int, int]] = {}
        if count > MOST_STREAMS:
            raise DotnetError(f"an assembly of .NET with more than {MOST_STREAMS} heaps")
        for _ in range(count):
            start, length = struct.unpack_from("<II", self.data, here)
            end = self.data.find(b"\0", here + 8, here + 8 + 32)
            if end < 0:
                raise DotnetError("an assembly of .NET whose heaps have no names")
            name = self.data[here + 8 : end].decode("ascii", "replace")
            here = here + 8 + (end - here - 8) // 4 * 4 + 4
            if start + length > size or at + start + length > len(self.data):
                raise DotnetError("an assembly of .NET with a heap that lies beyond its end")
            if name in found:
                # One runtime takes the first of them, another one the last.
                raise DotnetError("an assembly of .NET with two heaps of one name")
            found[name] = (at + start, length)
        return found

    def _find_tables(self) -> dict[int, tuple[int, int, struct.Struct]]:
        """Return start, count and form of the rows of each table (II.24.2.6)."""
        if "#~" not in self._streams:
            raise DotnetError("an assembly of .NET whose tables are of a form that isn't read here")
        at, length = self._streams["#~"]
        heaps, valid = struct.unpack_from("<6xB1xQ", self.data, at)
        present = [index for index in range(64) if valid >> index & 1]
        counts = struct.unpack_from(f"<{len(present)}I", self.data, at + 24)
        rows = dict(zip(present, counts, strict=True))
        if sum(counts) > MOST_ROWS:
            raise DotnetError(f"more than {MOST_ROWS} rows of metadata")
        here = at + 24 + 4 * len(present) + (4 if heaps & 0x40 else 0)
        found = {}
        for index in present:
            if index not in _SCHEMA:
                raise DotnetError("an assembly of .NET with a table that isn't known")
            form = _form(_SCHEMA[index], rows, heaps)
            if here + form.size * rows[index] > at + length:
                raise DotnetError("an assembly of .NET with a table that lies beyond its end")
            found[index] = (here, rows[index], form)
            here += form.size * rows[index]
        return found

    def count(self, table: int) -> int:
        """Return how many rows a table has."""
        return self._tables[table][1] if table in self._tables else 0

    def rows(self, table: int) -> Iterator[Row]:
        """Yield the rows of a table."""
        if table in self._tables:
            at, count, form = self._tables[table]
            yield from form.iter_unpack(self.data[at : at + form.size * count])

    def row(self, table: int, number: int) -> Row | None:
        """Return a row by its number, which begins at 1; None where there is none."""
        at, count, form = self._tables.get(table, (0, 0, struct.Struct("")))
        if not 1 <= number <= count:
            return None
        return form.unpack_from(self.data, at + form.size * (number - 1))

    def name(self, at: int) -> str:
        """Return a name of the heap of names; empty where there is none."""
        known = self._names.known.get(at)
        if known is not None:
            return known
        start, length = self._streams.get("#Strings", (0, 0))
        if at >= length:
            return ""
        stop = min(start + length, start + at + MOST_NAME)
        end = self.data.find(b"\0", start + at, stop)
        found = self.data[start + at : end if end >= 0 else stop].decode("utf-8", "replace")
        self._names.known[at] = self._names.take(found)
        return found

    def blob(self, at: int) -> bytes:
        """Return a piece of the heap of blobs; empty where there is none."""
        return self._piece("#Blob", at)

    def user_string(self, at: int) -> str:
        """Return a string that code loads, by its place in their heap."""
        known = self._texts.known.get(at)
        if known is None:
            self._texts.take("")  # Once there is nothing left, nothing is decoded in vain.
            known = self._texts.take(self._piece("#US", at)[:-1].decode("utf-16-le", "replace"))
            self._texts.known[at] = known
        return known

    def user_strings(self) -> Iterator[str]:
        """Yield all strings of the heap that code loads them from (II.24.2.4)."""
        start, length = self._streams.get("#US", (0, 0))
        at, steps = 1, 0
        while at < length:
            steps += 1
            if steps > MOST_STRINGS:
                raise DotnetError("an assembly of .NET with more strings than are read")
            begin, size = _compressed(self.data, start + at, start + length)
            if self.data[start + at] >= 0xE0 or begin + size > start + length:
                raise DotnetError("an assembly of .NET whose strings don't follow one another")
            if size > 1:
                yield self.data[begin : begin + size - 1].decode("utf-16-le", "replace")
            at = begin + size - start

    def region(self, *heaps: str) -> list[range]:
        """Return where the named heaps lie."""
        found = (self._streams.get(name, (0, 0)) for name in heaps)
        return [range(start, start + length) for start, length in found]

    def _piece(self, heap: str, at: int) -> bytes:
        start, length = self._streams.get(heap, (0, 0))
        if at >= length:
            return b""
        begin, size = _length(self.data, start + at, start + length)
        return self.data[begin : begin + size]

    @property
    def assembly(self) -> str:
        """Return the assembly's name; empty for a module without one."""
        row = self.row(ASSEMBLY, 1)
        return "" if row is None else self.name(row[7])

    @cached_property
    def types(self) -> Sequence[str]:
        """Return the classes that are defined, in the order of their table: ``Shop.Net+Handler`` for one inside of another."""
        rows = list(self.rows(TYPE_DEF))
        names = [_joined(self.name(row[2]), self.name(row[1])) for row in rows]
        outer = {row[0]: row[1] for row in self.rows(NESTED)}
        full: list[str] = []
        for number, name in enumerate(names, start=1):
            above = outer.get(number, 0)
            # The outer class stands before the inner one (II.22.32); whatever else a file says isn't followed.
            known = full[above - 1] if 0 < above < number else ""
            whole = f"{known}+{name}" if known else name
            full.append(self._names.take(whole[: 4 * MOST_NAME]))
        return full

    @cached_property
    def methods(self) -> Sequence[MethodRow]:
        """Return the methods that are defined, in the order of their table."""
        owners = self._owners(5, self.count(METHOD))
        found = []
        for row, cls in zip(self.rows(METHOD), owners, strict=True):
            address, implemented, flags = row[0], row[1], row[2]
            elsewhere = flags & (_ABSTRACT | _ELSEWHERE) or implemented & _NOT_IL
            found.append(MethodRow(cls, self.name(row[3]), address, not elsewhere))
        return found

    def _owners(self, column: int, count: int) -> list[str]:
        """Return by field or method the class that it's of: each class's stretch ends where the next one's begins."""
        owners: list[str] = []
        starts = [row[column] for row in self.rows(TYPE_DEF)]
        ends = [*starts[1:], count + 1][: len(starts)]
        for cls, begin, end in zip(self.types, starts, ends, strict=True):
            if len(owners) < begin - 1 <= count:
                owners.extend([""] * (begin - 1 - len(owners)))
            owners.extend([cls] * (min(end, count + 1) - 1 - len(owners)))
        return [*owners[:count], *[""] * (count - len(owners))]

    @cached_property
    def fields(self) -> Sequence[tuple[str, str]]:
        """Return class and name of the fields that are defined, in the order of their table."""
        owners = self._owners(4, self.count(FIELD))
        names = (self.name(row[1]) for row in self.rows(FIELD))
        return list(zip(owners, names, strict=True))

    def constants(self) -> Iterator[tuple[str, str, str]]:
        """Yield class, name and value of each field that is a constant string: compilers leave those too that nothing uses."""
        for kind, parent, value in self.rows(CONSTANT):
            at = (parent >> 2) - 1
            if kind & 0xFF == _STRING_CONSTANT and parent & 3 == 0 and at < len(self.fields):
                cls, name = self.fields[at] if at >= 0 else ("", "")
                text = self.blob(value).decode("utf-16-le", "replace")
                yield cls, name, self._texts.take(text)

    def interfaces(self) -> Iterator[tuple[str, str]]:
        """Yield class and interface of each implementation."""
        for number, coded in self.rows(INTERFACE):
            if 0 < number <= len(self.types):
                yield self.types[number - 1], self.type_of(coded)

    def type_of(self, coded: int, depth: int = 4) -> str:
        """Return the name of a class by a choice of its tables; empty for one that has none."""
        return self.type_at((TYPE_DEF, TYPE_REF, TYPE_SPEC, -1)[coded & 3], coded >> 2, depth)

    def type_at(self, table: int, number: int, depth: int = 4) -> str:
        """Return the name of a class by its table and row.

        :param depth: how many classes around it, or generic forms of it, are followed.
        """
        if table == TYPE_DEF:
            return self.types[number - 1] if 0 < number <= len(self.types) else ""
        row = self.row(table, number)
        if row is None or depth == 0:
            return ""
        if table == TYPE_REF:
            name = _joined(self.name(row[2]), self.name(row[1]))
            above = self.type_at(TYPE_REF, row[0] >> 2, depth - 1) if row[0] & 3 == 3 else ""
            return f"{above}+{name}" if above else name
        if table == TYPE_SPEC:
            form = self.blob(row[0])
            # A generic class with its arguments, and the class that it's made of (II.23.2.12).
            if len(form) > 2 and form[0] == 0x15:
                return self.type_of(_compressed(form, 2, len(form))[1], depth - 1)
        return ""

    def member(self, table: int, number: int) -> tuple[str, str]:
        """Return class and name of a method or field; empty for one that isn't there."""
        if table == METHOD:
            found = self.methods[number - 1] if 0 < number <= len(self.methods) else None
            return (found.cls, found.name) if found is not None else ("", "")
        if table == FIELD:
            return self.fields[number - 1] if 0 < number <= len(self.fields) else ("", "")
        row = self.row(table, number)
        if row is None:
            return "", ""
        if table == METHOD_SPEC:
            return self.member((METHOD, MEMBER_REF)[row[0] & 1], row[0] >> 1)
        if table == MEMBER_REF:
            kind, at = row[0] & 7, row[0] >> 3
            owner = (TYPE_DEF, TYPE_REF, -1, METHOD, TYPE_SPEC, -1, -1, -1)[kind]
            cls = self.member(METHOD, at)[0] if owner == METHOD else self.type_at(owner, at)
            return cls, self.name(row[1])
        return "", ""

    def initial_values(self) -> Iterator[range]:
        """Yield where the initial values of fields lie, each up to the next one: of texts in UTF-8, and of arrays (II.22.18)."""
        starts = sorted({self.offset(address) for address, _ in self.rows(INITIAL)})
        for start, after in pairwise([*starts, len(self.data)]):
            yield range(start, min(after, start + MOST_INITIAL))

    def resources(self) -> Iterator[tuple[str, bytes]]:
        """Yield name and bytes of each file that is built in (II.24.2.4, II.22.24)."""
        address, length = self._resources
        if not length or not self.count(RESOURCE):
            return
        start = self.offset(address)
        for at, _, name, where in self.rows(RESOURCE):
            if where:
                continue  # In another file.
            size = int.from_bytes(self.data[start + at : start + at + 4], "little")
            if at + 4 + size > length or start + length > len(self.data):
                raise DotnetError("an assembly of .NET with a built-in file beyond its end")
            yield self.name(name), self.data[start + at + 4 : start + at + 4 + size]


def _joined(space: str, name: str) -> str:
    return f"{space}.{name}" if space else name


def _form(columns: str, rows: dict[int, int], heaps: int) -> struct.Struct:
    """Return the form of a table's rows: an index is as wide as what it points into needs (II.24.2.6)."""
    wide = {"S": heaps & 1, "G": heaps & 2, "B": heaps & 4}
    code = []
    for column in columns.split():
        if column in wide:
            code.append("I" if wide[column] else "H")
        elif column in {"2", "4"}:
            code.append("H" if column == "2" else "I")
        elif column.endswith("#"):
            code.append("I" if rows.get(int(column[:-1]), 0) > 0xFFFF else "H")
        else:
            bits, tables = _CODED[column]
            most = max(rows.get(table, 0) for table in tables)
            code.append("I" if most >= 1 << (16 - bits) else "H")
    return struct.Struct("<" + "".join(code))


def _compressed(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Return where a compressed number ends, and the number (II.23.2); one that isn't whole ends the stretch that it's in."""
    first = data[at] if at < end else 0xFF
    if first < 0x80:
        return at + 1, first
    size = 2 if first < 0xC0 else 4
    if first >= 0xE0 or at + size > end:
        return end, 0
    number = int.from_bytes(data[at : at + size], "big")
    return at + size, number & (0x3FFF if size == 2 else 0x1FFFFFFF)


def _length(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Return where a piece of a heap begins, and its length, cut at the heap's end."""
    begin, size = _compressed(data, at, end)
    return begin, min(size, end - begin)
