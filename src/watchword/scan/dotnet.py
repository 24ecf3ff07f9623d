"""Read the assemblies of .NET of a package: loose ones, those in stores, and packed ones; what the app's own methods do.

Source: ECMA-335, 6th edition (June 2012), partition II, sections 22 to 25 (ecma-international.org, standard ECMA-335); the columns of the
tables were held against dnfile 0.18.0 on 2026-11-29.  Each index is checked where it is followed: whatever a file says, no read leaves it.

Source: ECMA-335, 6th edition, partition II, section 25.4 (bodies) and partition III (instructions); the widths of the operands
were held against dncil 1.0.2 on 2026-11-29.

Source: https://github.com/dotnet/android, read on 2026-11-29: ``tools/assembly-store-reader/AssemblyStoreReader.cs`` (stores of version 1,
at a4b923a), ``tools/assembly-store-reader-mk2/AssemblyStore`` (versions 2 and 3, and libraries around them: ``StoreReader_V2.cs`` at
0907f4d and ``Utils.cs`` at 2091094; the order of the parts and what is ignored: ``AssemblyStoreGenerator.cs`` at 0212ef0; packed assemblies: ``AssemblyCompression.cs`` at 70da5d7).
"""

import re
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from itertools import chain, pairwise
from typing import Final

from watchword.reasons import WatchwordError
from watchword.scan.app import (
    Assembly,
    Depth,
    ManagedMethod,
    Method,
    Op,
    Part,
    StaticField,
    Step,
    TextPart,
    Use,
)
from watchword.scan.archive.interface import SPLIT_END, TEXT, Archive, MissingEntryError
from watchword.scan.libraries import is_own_assembly
from watchword.scan.notes import Notes
from watchword.scan.texts.runs import (
    WINDOW,
    Budget,
    Kind,
    ascii_runs,
    kind_of,
    lines_of,
    text_lines,
    wide_runs,
)

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


MOST_STEPS: Final = 2_000_000
"""Steps of one assembly: bodies may lie over one another, so that a small file holds any number."""

MOST_OVERLAP: Final = 4
"""How often each byte of an assembly is read as code."""

_TOKENS: Final = {
    b"\x27": Op.CALL,
    b"\x28": Op.CALL,
    b"\x6f": Op.CALL,
    b"\x73": Op.NEW,
    b"\x72": Op.STRING,
    b"\x7d": Op.STORE,
    b"\x80": Op.STORE,
    b"\x7b": Op.LOAD,
    b"\x7e": Op.LOAD,
    b"\xfe\x06": Op.METHOD,
    b"\xfe\x07": Op.METHOD,
}
_STRING_TABLE: Final = 0x70
_SWITCH: Final = 0x45

# What isn't told is skipped by the search itself, as many instructions at once as there are: by operands of none, 1, 2, 4 and 8 bytes.
_SKIPPED: Final = re.compile(
    rb"(?:[\x00-\x0d\x14\x25\x26\x2a\x46-\x6e\x76\x7a\x82-\x8b\x8e\x90-\xa2\xb3-\xba\xc3\xd1-\xdc\xdf\xe0]"
    rb"|[\x0e-\x13\x2b-\x37\xde][\x00-\xff]"
    rb"|[\x22\x29\x38-\x44\x70\x71\x74\x75\x79\x7c\x7f\x81\x8c\x8d\x8f\xa3-\xa5\xc2\xc6\xd0\xdd][\x00-\xff]{4}"
    rb"|[\x21\x23][\x00-\xff]{8}"
    rb"|\xfe(?:[\x00-\x05\x0f\x11\x13\x14\x17\x18\x1a\x1d\x1e]|[\x12\x19][\x00-\xff]|[\x09-\x0e][\x00-\xff]{2}|[\x15\x16\x1c][\x00-\xff]{4})"
    rb")*+"
)
_SMALL: Final = tuple(Step(Op.NUMBER, "", number) for number in range(-1, 9))
_SAME: Final = re.compile(rb"\x00*([\x15-\x1e])(?:\x00*\x0a\x2b\x00\x06)?\x00*\x2a")
_EMPTY: Final = re.compile(rb"\x00*\x2a")


def answer_of(body: bytes) -> int | None:
    """Return the number that a method always answers, without doing anything else: 1 for true; None where it does more."""
    found = _SAME.fullmatch(body)
    return None if found is None else found[1][0] - 0x16


def does_nothing(body: bytes) -> bool:
    """Tell whether a method only returns."""
    return _EMPTY.fullmatch(body) is not None


class Steps:
    """Turn bodies of one assembly into steps, within one budget."""

    def __init__(self, metadata: Metadata) -> None:
        """Start with nothing read."""
        self._metadata = metadata
        # By opcode and token: a method says the same many times, and each is kept once.
        self._known: dict[int, Step] = {}
        self._names = Left(MOST_CHARACTERS)
        self._left = MOST_STEPS
        self._bytes = MOST_OVERLAP * len(metadata.data)

    def body(self, method: MethodRow) -> bytes:
        """Return the instructions of a method.

        :raises DotnetError: if they aren't in the file.
        """
        data = self._metadata.data
        at = self._metadata.offset(method.address)
        try:
            first = data[at]
            if first & 3 == 2:
                begin, size = at + 1, first >> 2
            elif first & 3 == 3:
                flags, _, size = struct.unpack_from("<HHI", data, at)
                begin = at + 4 * (flags >> 12)
            else:
                raise DotnetError("a method of .NET whose code isn't where it says")
        except (struct.error, IndexError) as error:
            raise DotnetError("a method of .NET that ends too early") from error
        self._bytes -= size
        if not size or begin + size > len(data) or self._bytes < 0:
            raise DotnetError("a method of .NET that ends too early")
        return data[begin : begin + size]

    def of(self, body: bytes) -> Iterator[Step]:
        """Yield the steps of a method.

        :raises DotnetError: at an instruction that isn't known, or that isn't whole.
        """
        at, end = 0, len(body)
        while True:
            skipped = _SKIPPED.match(body, at)
            assert skipped is not None
            at = skipped.end()
            if at >= end:
                return
            self._left -= 1
            if self._left < 0:
                raise DotnetError("an assembly of .NET with more code than is read")
            first = body[at]
            if first == _SWITCH:
                at += 5 + 4 * int.from_bytes(body[at + 1 : at + 5], "little")
            elif 0x15 <= first <= 0x20:
                step, at = _number(body, at)
                yield step
            else:
                step, at = self._token(body, at)
                yield step
            if at > end:
                raise DotnetError("a method of .NET that ends within an instruction")

    def _token(self, body: bytes, at: int) -> tuple[Step, int]:
        code = body[at : at + (2 if body[at] == 0xFE else 1)]
        op = _TOKENS.get(code)
        if op is None:
            raise DotnetError("a method of .NET with an instruction that isn't known")
        at += len(code)
        token = int.from_bytes(body[at : at + 4], "little")
        key = int.from_bytes(code, "little") << 32 | token
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._told(op, token)
        return known, at + 4

    def _told(self, op: Op, token: int) -> Step:
        if op is Op.STRING:
            if token >> 24 != _STRING_TABLE:
                raise DotnetError("a method of .NET that loads no string")
            return Step(op, self._metadata.user_string(token & 0xFFFFFF))
        self._names.take("")  # Once there is nothing left, nothing is looked up in vain.
        cls, name = self._metadata.member(token >> 24, token & 0xFFFFFF)
        return Step(op, self._names.take(f"{cls}.{name}" if cls else name))


def _number(body: bytes, at: int) -> tuple[Step, int]:
    """Read an instruction that loads a number of 32 bits: from -1 to 8 by itself, or with one byte or four."""
    first = body[at]
    if first <= 0x1E:
        return _SMALL[first - 0x15], at + 1
    size = 1 if first == 0x1F else 4
    value = int.from_bytes(body[at + 1 : at + 1 + size], "little", signed=True)
    return Step(Op.NUMBER, "", value), at + 1 + size


MOST_ASSEMBLIES: Final = 2_000
"""Assemblies of one store; large apps have some hundred."""

MOST_UNPACKED: Final = 64 * 1024 * 1024
"""Bytes of one assembly, unpacked."""

_STORE: Final = b"XABA"
_LZ4: Final = b"XALZ"
_ZSTANDARD: Final = b"XAZS"
_MOST_RATIO: Final = 255
"""LZ4 can't unpack a byte to more: one byte of a length stands for at most 255."""

_HEADER: Final = struct.Struct("<4s4I")
_ENTRY_1: Final = struct.Struct("<6I")
_ENTRY_2: Final = struct.Struct("<7I")
_PAYLOAD: Final = b"payload"
_MOST_SECTIONS: Final = 4096


def is_library(head: bytes) -> bool:
    """Tell by its first bytes whether an entry is a library around assemblies."""
    return head.startswith(b"\x7fELF")


def assemblies_of(data: bytes) -> Iterator[memoryview]:
    """Yield the assemblies of an entry, packed ones as they are: a loose one, those of a store, or of a library around either.

    :raises DotnetError: where it holds none that can be found.
    """
    view = memoryview(data)
    payload = _payload(data) if is_library(data[:4]) else view
    if bytes(payload[:4]) == _STORE:
        yield from _stored(payload)
    else:
        yield payload


def unpacked(data: memoryview) -> bytes:
    """Return an assembly, unpacked if it's packed.

    :raises DotnetError: if it can't be unpacked: damaged, too large, or by a way that nothing is installed for.
    """
    head = bytes(data[:4])
    if head == _ZSTANDARD:
        raise DotnetError("an assembly of .NET packed by Zstandard, which isn't read here")
    if head != _LZ4:
        return bytes(data)
    if len(data) < 12:
        raise DotnetError("a packed assembly of .NET that ends too early")
    (size,) = struct.unpack_from("<I", data, 8)
    if size > min(MOST_UNPACKED, _MOST_RATIO * (len(data) - 12)):
        raise DotnetError(f"a packed assembly of .NET that says to hold {size:,} bytes")
    try:
        # All but this is read without it.
        from lz4.block import (  # type: ignore[import-untyped] # noqa: PLC0415
            LZ4BlockError,
            decompress,
        )
    except ImportError:
        raise DotnetError(
            "an assembly of .NET packed by LZ4; install `watchword[scan]`, which brings what unpacks it"
        ) from None
    try:
        found = bytes(decompress(data[12:], uncompressed_size=size))
    except LZ4BlockError as error:
        raise DotnetError("a packed assembly of .NET that is damaged") from error
    if len(found) != size:
        raise DotnetError("a packed assembly of .NET that is damaged")
    return found


def _stored(store: memoryview) -> Iterator[memoryview]:
    """Yield what a store holds, as it is."""
    try:
        _, version, count, index, size = _HEADER.unpack_from(store)
        if count > MOST_ASSEMBLIES:
            raise DotnetError(f"a store of .NET with more than {MOST_ASSEMBLIES} assemblies")
        if version == 1:
            # What would be the size of the index is the number of the store.
            entries = [_ENTRY_1.unpack_from(store, 20 + 24 * at)[:2] for at in range(count)]
        elif version & 0xFF in {2, 3}:
            # The index of names' hashes is skipped: an assembly says its own name.
            start = 20 + size
            if index > 4 * MOST_ASSEMBLIES or start > len(store):
                raise DotnetError("a store of .NET whose index lies beyond its end")
            found = [_ENTRY_2.unpack_from(store, start + 28 * at)[1:3] for at in range(count)]
            # One that the runtime shall ignore has a place in the table and no bytes.
            entries = [each for each in found if each != (0, 0)]
        else:
            raise DotnetError(f"a store of .NET of version {version & 0xFFFF}, which isn't known")
    except struct.error as error:
        raise DotnetError("a store of .NET that ends too early") from error
    for offset, length in entries:
        if not length or offset + length > len(store):
            raise DotnetError("a store of .NET with an assembly that lies beyond its end")
        yield store[offset : offset + length]


def _payload(data: bytes) -> memoryview:
    """Return what a library of Android is wrapped around: its section ``payload``, or a store anywhere in it.

    Only sections tell where it is; in later versions only a symbol does, and the store is searched for by its head.
    """
    found = _section(data, _PAYLOAD)
    view = memoryview(data)
    if found is None:
        at = data.find(_STORE)
        while at >= 0 and at % 8:
            at = data.find(_STORE, at + 1)
        if at < 0:
            raise DotnetError("a library that should hold assemblies of .NET and doesn't")
        return view[at:]
    if found.stop > len(data) or not len(found):
        raise DotnetError("a library whose assemblies of .NET lie beyond its end")
    return view[found.start : found.stop]


def _section(data: bytes, name: bytes) -> range | None:
    """Return where a section of an ELF file lies, by its name; None where there is none (System V ABI, chapter 4)."""
    wide = data[4:5] == b"\2"
    try:
        (at,) = struct.unpack_from("<Q" if wide else "<I", data, 40 if wide else 32)
        extent, count, names = struct.unpack_from("<3H", data, 58 if wide else 46)
        form = struct.Struct("<II8x8xQQ" if wide else "<II4x4xII")
        if not at or count > _MOST_SECTIONS or names >= count:
            return None
        tables = [form.unpack_from(data, at + number * extent) for number in range(count)]
    except (struct.error, OverflowError):
        return None
    start = tables[names][2]
    for title, _, offset, size in tables:
        if data[start + title : start + title + len(name) + 1] == name + b"\0":
            return range(offset, offset + size)
    return None


MOST_LINES: Final = 1_000_000
MAX_TEXT: Final = 48 * 1024 * 1024
"""How much text is kept of all assemblies of an app."""

MOST_BYTES: Final = 512 * 1024 * 1024
"""Bytes of all assemblies of an app, unpacked: those of a store may lie over one another."""

STEP: Final = 16
"""Bytes of memory that are reckoned for a step of a method: those that say the same are kept once."""

_MOST_BUILT_IN: Final = 8 * WINDOW
"""Bytes of a text that is built into an assembly."""

_CODE: Final = re.compile(r"(?i)\.(?:dll|exe|so|js|lua)(?:\.|$)")
"""Names of built-in files with code, packed ones too."""

_FEW: Final = 20
_MOSTLY: Final = 0.9
"""Beyond how many methods, and what share of all, code that only returns is none."""

_BACKING: Final = re.compile(r"<(\w+)>k__BackingField")
_NOWHERE: Final = Method("", "", "")


@dataclass(frozen=True, slots=True)
class Assemblies:
    """Hold what was read.

    :param texts: of the files that are built into assemblies, and what can be read of assemblies that are damaged.
    """

    assemblies: tuple[Assembly, ...]
    texts: tuple[TextPart, ...]


def read_assemblies(
    archive: Archive,
    notes: Notes,
    over: Callable[[], bool] = lambda: False,
    most: int = MOST_BYTES,
) -> Assemblies:
    """Return the assemblies of a package, by entry; one that lies there twice, for another processor, counts once.

    :param over: tells whether the time is over; what isn't read by then is a gap.
    :param most: bytes of all of them, unpacked.
    """
    reader = _Reader(archive, notes, over, most)
    for entry in sorted(archive.entries, key=lambda entry: entry.name):
        if kind_of(entry.name) is Kind.DOTNET:
            reader.read(entry.name)
    return Assemblies(tuple(reader.assemblies), tuple(reader.texts))


class _Reader:
    """Read one entry after another under one budget."""

    def __init__(self, archive: Archive, notes: Notes, over: Callable[[], bool], most: int) -> None:
        self.assemblies: list[Assembly] = []
        self.texts: list[TextPart] = []
        self._archive = archive
        self._notes = notes
        self._budget = Budget(MOST_LINES, MAX_TEXT, over=over, memory=notes.memory)
        self._known: dict[bytes, Depth] = {}
        self._left = most

    def read(self, entry: str) -> None:
        """Read an entry; what it holds beside what was read is a gap."""
        notes = self._notes
        try:
            data = self._archive.read(entry)
        except MissingEntryError as error:
            notes.gap(Part.BUNDLE, entry, error.why)
            notes.seen(Part.BUNDLE, 0, 1, "assemblies")
            return
        depths: list[Depth] = []
        try:
            depths.extend(
                self._one(entry, each, alone=len(each) == len(data)) for each in assemblies_of(data)
            )
        except DotnetError as error:
            depths.append(self._unread(entry, data, str(error)))
        del data
        if self._budget.spent:
            why = "more text in this app's assemblies than is read, or the time was over"
            notes.gap(Part.BUNDLE, entry, why)
        if depths:
            notes.code(entry, min(depths, key=lambda depth: depth.rank))

    def _one(self, entry: str, packed: memoryview, *, alone: bool) -> Depth:
        """Read an assembly; one that can't be read leaves the others of its store."""
        self._left -= len(packed)
        try:
            data = self._image(packed)
            digest = sha256(data).digest()
            if digest in self._known:
                self._notes.seen(Part.BUNDLE, 1, 1, "assemblies")
                return self._known[digest]
            metadata = Metadata(data)
            file = entry if alone else f"{entry}{SPLIT_END}{metadata.assembly or 'module'}.dll"
            found, depth = self._assembly(entry, file, metadata)
        except DotnetError as error:
            return self._unread(entry, bytes(packed), str(error))
        self._known[digest] = depth
        self.assemblies.append(found)
        self._notes.seen(Part.BUNDLE, 1, 1, "assemblies")
        return depth

    def _image(self, packed: memoryview) -> bytes:
        if self._left < 0 or not self._budget.goes_on():
            raise DotnetError("more assemblies than are read, or the time was over")
        data = unpacked(packed)
        self._left -= len(data)
        return data

    def _unread(self, entry: str, data: bytes, why: str) -> Depth:
        """Note an assembly that isn't read, and keep the runs of characters in it."""
        self._notes.gap(Part.BUNDLE, entry, f"{why}: only runs of printable characters were read")
        self._notes.seen(Part.BUNDLE, 0, 1, "assemblies")
        runs = chain(ascii_runs(data, self._budget), wide_runs(data, self._budget))
        lines = tuple(self._kept(runs))
        if lines:
            self.texts.append(TextPart(entry, "xamarin", lines))
        return Depth.UNREAD

    def _assembly(self, entry: str, file: str, metadata: Metadata) -> tuple[Assembly, Depth]:
        own = is_own_assembly(metadata.assembly)
        names = metadata.types
        count = len(names) + len(metadata.methods) + len(metadata.fields)
        if not self._notes.memory.keep(sum(map(len, names)) + TEXT * count):
            raise DotnetError("more names in this app than are read")
        methods: list[ManagedMethod] = []
        whole = self._methods(metadata, methods) if own else False
        constants = [StaticField(*each) for each in metadata.constants()] if own else []
        constants += chain.from_iterable(named_in(each) for each in methods)
        strings = self._strings(metadata, methods)
        if own:
            # Strings of attributes lie in the heap of blobs, those of UTF-8 among initial values.
            places = [*metadata.region("#Blob"), *metadata.initial_values()]
            runs = (ascii_runs(metadata.data, self._budget, one.start, one.stop) for one in places)
            strings += [Use(run, _NOWHERE) for run in self._kept(chain.from_iterable(runs))]
            for name, data in metadata.resources():
                self._built_in(entry, f"{file}{SPLIT_END}{name}", data)
        lines = chain((use.what for use in strings), metadata.types)
        self.texts.append(
            TextPart(file, "xamarin", tuple(chain.from_iterable(map(lines_of, lines))))
        )
        found = Assembly(
            file=file,
            name=metadata.assembly,
            own=own,
            classes=tuple(metadata.types),
            implements=tuple(metadata.interfaces()),
            methods=tuple(methods),
            constants=tuple(dict.fromkeys(constants)),
            strings=tuple(strings),
        )
        return found, Depth.CALLS if whole else Depth.STRINGS

    def _methods(self, metadata: Metadata, found: list[ManagedMethod]) -> bool:
        """Read the code of methods; False where that of any wasn't there or couldn't be read, as after it was compiled ahead of time."""
        steps = Steps(metadata)
        read = idle = defined = 0
        for row in metadata.methods:
            if not row.has_code:
                continue
            defined += 1
            try:
                body = steps.body(row)
                taken = tuple(steps.of(body))
            except DotnetError:
                continue
            if not self._notes.memory.keep(STEP * len(taken) + TEXT):
                break
            read += 1
            idle += does_nothing(body)
            method = Method(row.cls, row.name, "")
            found.append(ManagedMethod(method, taken, answer_of(body), does_nothing(body)))
        # Code that was compiled ahead of time may be taken out: what is left of each method only returns.
        taken_out = idle > _FEW and idle > read * _MOSTLY
        self._notes.seen(Part.BUNDLE, 0 if taken_out else read, defined, "methods of .NET")
        return read == defined and not taken_out

    def _strings(self, metadata: Metadata, methods: Iterable[ManagedMethod]) -> list[Use]:
        loaded: dict[str, Method] = {}
        for each in methods:
            for step in each.steps:
                if step.op is Op.STRING:
                    loaded.setdefault(step.what, each.method)
        for text in metadata.user_strings():
            loaded.setdefault(text, _NOWHERE)
        kept = self._kept(text for text in loaded if text)
        return [Use(text, loaded[text]) for text in kept]

    def _built_in(self, entry: str, file: str, data: bytes) -> None:
        """Read a file that is built into an assembly: settings, pages, tables of texts; code in it is a gap."""
        if is_pe(data) or _CODE.search(file.rpartition(SPLIT_END)[2]):
            why = f"{file} may hold code, and isn't read as such"
            self._notes.gap(Part.BUNDLE, entry, why)
        found = text_lines(data, _MOST_BUILT_IN)
        if found is not None and len(data) > _MOST_BUILT_IN:
            why = f"of {file} the first {_MOST_BUILT_IN} bytes were read"
            self._notes.gap(Part.BUNDLE, entry, why)
        if found is None:
            found = chain(ascii_runs(data, self._budget), wide_runs(data, self._budget))
        lines = tuple(self._kept(found))
        if lines:
            self.texts.append(TextPart(file, "asset", lines))

    def _kept(self, lines: Iterable[str]) -> Iterator[str]:
        for line in lines:
            if not self._budget.takes(line):
                return
            yield line


def named_in(method: ManagedMethod) -> Iterator[StaticField]:
    """Yield strings with the names that a method gives them: of a field, a property, or of an argument beside them."""
    cls = method.method.cls
    given: list[str] = []
    for step in method.steps:
        if step.op is Op.STRING:
            given.append(step.what)
        elif step.op is Op.STORE and given:
            name = step.what.rpartition(".")[2]
            kept = _BACKING.fullmatch(name)
            yield StaticField(cls, kept[1] if kept else name, given[-1])
            given.clear()
        elif step.op in {Op.CALL, Op.NEW} and given:
            yield from (StaticField(cls, name, value) for name, value in pairwise(given))
            member = step.what.rpartition(".")[2]
            if len(given) == 1 and member.startswith("set_"):
                yield StaticField(cls, member.removeprefix("set_"), given[0])
            given.clear()
