"""Read the Dalvik executables of an app as one: bytes in, answers of the protocol ``Code`` out.

Nearly all time of a scan of code goes into telling one instruction from the next.  A regular expression does that at the
speed of C: it eats whole instructions that use no string and no method, and captures those that do.

What is known ends at every place that code may jump to, so nothing is told that holds on one way only.  An array of bytes or characters is
followed as the text of its elements; handed to a method that could change it, it's no constant any more.
"""

import re
import struct
import sys
import zlib
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from watchword.scan.app import Code, Method, Part, StaticField, Use
from watchword.scan.archive.interface import TEXT, Memory
from watchword.scan.notes import Notes

ALLOWANCE = 4
"""How many times its own size a file may ask to be read.  A genuine one needs about 1; one whose items overlap or point at the
same place a million times asks for their product, and that is how a small file would stop a scan."""


class Damaged(ValueError):  # noqa: N818
    """Say that an item couldn't be read; caught where the next one begins."""


class Budget:
    """Hold how many bytes of a file may still be read, and what is kept of all files together."""

    def __init__(self, size: int, memory: Memory | None = None) -> None:
        """Start with :data:`ALLOWANCE` times the file."""
        self._left = ALLOWANCE * size + 4096
        self._memory = Memory() if memory is None else memory

    @property
    def left(self) -> int:
        """Return the bytes that may still be read, never below 0."""
        return self._left

    @property
    def room(self) -> int:
        """Return the bytes of memory that the scan has still room for."""
        return self._memory.left

    def keep(self, size: int) -> bool:
        """Count bytes of memory that are kept; False, and nothing is counted, where the scan has no room for them."""
        return self._memory.keep(size)

    def spend(self, amount: int) -> bool:
        """Take bytes out of it; False, and nothing is taken, where there aren't as many."""
        if amount > self._left:
            return False
        self._left -= amount
        return True


class Trouble:
    """Collect what was wrong with one file, each kind once with its count: a broken table has a gap per row."""

    def __init__(self, where: str) -> None:
        """Start with nothing wrong."""
        self._where = where
        self._kinds: Counter[str] = Counter()

    def __call__(self, why: str) -> None:
        """Note one thing that is wrong."""
        self._kinds[why] += 1

    def notify(self, notes: Notes) -> None:
        """Hand over what was collected."""
        for why, count in self._kinds.items():
            notes.gap(Part.DEX, self._where, f"{why} ({count} times)" if count > 1 else why)


def unsigned(data: bytes, at: int) -> tuple[int, int]:
    """Return the number at ``at`` and where the next item begins.

    :raises Damaged: when it has more than five bytes or the file ends in it.
    """
    # Written out: most numbers have one byte, places of code have three or four, and a file has a hundred thousand.
    try:
        first = data[at]
        if first < 0x80:
            return first, at + 1
        value = first & 0x7F | data[at + 1] << 7
        if value < 0x4000:
            return value, at + 2
        value = value & 0x3FFF | data[at + 2] << 14
        if value < 0x20_0000:
            return value, at + 3
        value = value & 0x1F_FFFF | data[at + 3] << 21
        if value < 0x1000_0000:
            return value, at + 4
        last = data[at + 4]
    except IndexError:
        raise Damaged("a number of variable length has no end") from None
    if last > 0x7F:
        raise Damaged("a number of variable length has no end")
    return (value & 0xFFF_FFFF | last << 28) & 0xFFFF_FFFF, at + 5


def signed(data: bytes, at: int) -> tuple[int, int]:
    """Return the signed number at ``at`` and where the next item begins.

    :raises Damaged: as :func:`unsigned`.
    """
    value, after = unsigned(data, at)
    width = min(32, 7 * (after - at))
    return (value - (1 << width) if value >> (width - 1) & 1 else value), after


VERSIONS = (b"035", b"036", b"037", b"038", b"039", b"040", b"041")
"""Formats that are read."""

MOST_IN_CONTAINER = 256
"""How many DEX files a container may hold: a header is 120 bytes, and a file of nothing else would have millions."""

_LITTLE = 0x12345678
_SIZE = 0x70
_SIZE_041 = 0x78
_FIELDS = struct.Struct("<I20sIII4x4x4x12I")


@dataclass(frozen=True, slots=True)
class Table:
    """Hold where a table lies: ``count`` rows from offset ``at`` on; neither was checked."""

    count: int
    at: int


@dataclass(frozen=True, slots=True)
class Header:
    """Hold what a header says.

    :param at: where it lies; offsets of the tables count from the begin of the file, also in a container.
    :param size: bytes from this header to the next one or to the end.
    """

    at: int
    size: int
    strings: Table
    types: Table
    protos: Table
    fields: Table
    methods: Table
    classes: Table


def read_headers(data: bytes, trouble: Trouble) -> list[Header]:
    """Return the headers of a file: one, or several of a container (format 041); none where it's no DEX file."""
    found: list[Header] = []
    at = 0
    while at < len(data):
        if len(found) == MOST_IN_CONTAINER:
            trouble(f"a container of more than {MOST_IN_CONTAINER} DEX files")
            break
        header = _read(data, at, trouble)
        if header is None:
            break
        found.append(header)
        container = data[at + 4 : at + 7] == b"041"
        at += header.size
        if not container or header.size < _SIZE_041:
            break
    if found and at < len(data):
        trouble("bytes after the end that the header states")
    if not data:
        trouble("empty")
    return found


def _read(data: bytes, at: int, trouble: Trouble) -> Header | None:
    """Return the header at ``at``; None where there is none that can be read."""
    magic = data[at : at + 8]
    if magic[:4] != b"dex\n" or magic[4:7] not in VERSIONS or magic[7:] != b"\0":
        trouble(
            "no DEX file of a format that is read here (035 to 041): encrypted, compact or damaged"
        )
        return None
    if len(data) < at + _SIZE:
        trouble("ends within its header")
        return None
    checksum, _, size, header_size, endian, *tables = _FIELDS.unpack_from(data, at + 8)
    if endian != _LITTLE:
        trouble("byte order isn't little-endian")
        return None
    container = magic[4:7] == b"041"
    if header_size != (_SIZE_041 if container else _SIZE):
        trouble(f"states a header of {header_size} bytes")
    if at + size > len(data):
        trouble(f"truncated: states {size} bytes, has {len(data) - at}")
    elif zlib.adler32(memoryview(data)[at + 12 : at + size]) != checksum:
        trouble("checksum is wrong")
    if container and len(data) >= at + _SIZE_041:
        container_size, own_offset = struct.unpack_from("<II", data, at + _SIZE)
        if own_offset != at:
            trouble("header of a container states another place than its own")
        if container_size != len(data):
            trouble(f"container states {container_size} bytes, has {len(data)}")
    rows = [Table(tables[n], tables[n + 1]) for n in range(0, 12, 2)]
    return Header(at, size, *rows)


def read_strings(
    data: bytes, offsets: Sequence[int], budget: Budget, trouble: Trouble
) -> list[str]:
    """Return the strings at these offsets, an empty one for each that couldn't be read."""
    found: list[str] = []
    if not budget.keep(TEXT * len(offsets)):
        trouble("more strings than a scan has memory for")
        return found
    left = start_with = min(budget.left, budget.room)
    for at in offsets:
        try:
            # Strings of less than 128 units have one byte of length, and that's nearly all of them.
            start = at + 1 if data[at] < 0x80 else unsigned(data, at)[1]
        except (IndexError, Damaged):
            trouble("strings lie outside the file")
            found.append("")
            continue
        end = data.find(b"\0", start, start + left)
        taken = (end if end >= 0 else min(len(data), start + left)) - start
        if taken > left:
            trouble("strings have no end or overlap")
            found.extend([""] * (len(offsets) - len(found)))
            break
        left -= taken
        if end < 0:
            trouble("strings have no end or overlap")
            found.append("")
            continue
        raw = data[start:end]
        found.append(raw.decode("ascii") if raw.isascii() else decode(raw))
    budget.spend(start_with - left)
    budget.keep(start_with - left)
    return found


def decode(raw: bytes) -> str:
    """Return a string of MUTF-8; what isn't text, such as half a surrogate pair, becomes U+FFFD.

    A lone surrogate is legal here (tables of lexers are full of them), yet no report could be written with it.
    """
    try:
        return raw.decode()
    except UnicodeDecodeError:
        plain = raw.replace(b"\xc0\x80", b"\0")
    try:
        pairs = plain.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return plain.decode("utf-8", "replace")
    return pairs.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


MOST_IDS = 65536
"""Rows of the tables that instructions and items name by 16 bits; what lies beyond can't be named."""

MOST_STRINGS = 1 << 21
"""Strings that are read of one file, ten times what the largest genuine ones have: each takes far more memory than room in the file."""

MOST_DESCRIPTOR = 8192
"""Characters of a method's descriptor: 255 parameters of one long type would be a text of megabytes, for each method again."""

MOST_REMEMBERED = 4096
"""Prototypes whose parameters are remembered."""

MOST_PARAMETERS = 255
"""Parameters of a method (Dalvik bytecode: a call hands over at most 255 registers)."""


def java_name(descriptor: str) -> str:
    """Return ``com.example.Main`` for ``Lcom/example/Main;``, and what is no class (``I``, ``[B``) as it stands."""
    if descriptor.startswith("L") and descriptor.endswith(";"):
        return descriptor[1:-1].replace("/", ".")
    return descriptor


def column(
    data: bytes, table: Table, row: int, most: int, budget: Budget, trouble: Trouble
) -> memoryview:
    """Return the bytes of those rows of a table that lie in the file, at most ``most``.

    :param row: bytes of each.
    """
    room = max(0, len(data) - table.at) // row
    count = min(table.count, room, most)
    if count < table.count:
        trouble("a table doesn't lie in the file, or is too long")
    if not budget.spend(count * row):
        trouble("tables overlap")
        count = 0
    return memoryview(data)[table.at : table.at + count * row]


def numbers(form: str, raw: memoryview) -> Sequence[int]:
    """Return little-endian numbers: an array takes a tenth of the memory that tuples of rows would."""
    found = array(form, raw.tobytes())
    if sys.byteorder == "big":
        found.byteswap()
    return found


class Tables:
    """Hold the tables of one DEX file; what a row names is looked up when asked for."""

    def __init__(self, data: bytes, header: Header, budget: Budget, trouble: Trouble) -> None:
        """Read all tables at once; rows that name nothing get empty names."""
        self.data = data
        strings = numbers("I", column(data, header.strings, 4, MOST_STRINGS, budget, trouble))
        self.strings = read_strings(data, strings, budget, trouble)
        types = numbers("I", column(data, header.types, 4, MOST_IDS, budget, trouble))
        self.descriptors = [self.string(index) for index in types]
        if not budget.keep(TEXT * len(types) + sum(map(len, self.descriptors))):
            trouble("more types than a scan has memory for")
            self.descriptors = []
        self.types = [java_name(descriptor) for descriptor in self.descriptors]
        # Three numbers of 32 bits a row: a short form, the type of the result, where the parameters lie.
        self._protos = numbers("I", column(data, header.protos, 12, MOST_IDS, budget, trouble))
        # Four numbers of 16 bits a row: class, type or prototype, and the name in two halves.
        self._fields = numbers("H", column(data, header.fields, 8, MOST_IDS, budget, trouble))
        self._methods = numbers("H", column(data, header.methods, 8, MOST_IDS, budget, trouble))
        # By member the type index of its class.
        self.owners_of_fields = self._fields[0::4]
        self.owners = self._methods[0::4]
        self._parameters: dict[int, tuple[str, ...]] = {}

    def string(self, index: int) -> str:
        """Return a string, an empty one where there is none."""
        return self.strings[index] if index < len(self.strings) else ""

    def type(self, index: int) -> str:
        """Return a type's name in Java form, an empty one where there is none."""
        return self.types[index] if index < len(self.types) else ""

    def types_at(self, at: int, most: int) -> list[int]:
        """Return the type indices of a ``type_list``, at most ``most``; none where it lies outside the file."""
        if not at or at + 4 > len(self.data):
            return []
        (count,) = struct.unpack_from("<I", self.data, at)
        count = min(count, most, (len(self.data) - at - 4) // 2)
        return list(struct.unpack_from(f"<{count}H", self.data, at + 4))

    def owner(self, method: int) -> int:
        """Return the type index of a method's class, -1 for a method that isn't in the table."""
        return self.owners[method] if method < len(self.owners) else -1

    def method_name(self, method: int) -> str:
        """Return a method's name, an empty one where there is none."""
        if 4 * method >= len(self._methods):
            return ""
        return self.string(self._methods[4 * method + 2] | self._methods[4 * method + 3] << 16)

    def parameters(self, method: int) -> tuple[str, ...]:
        """Return the descriptors of a method's parameters, without its receiver."""
        at = 4 * method + 1
        proto = self._methods[at] if at < len(self._methods) else MOST_IDS
        if proto not in self._parameters:
            if len(self._parameters) >= MOST_REMEMBERED:
                self._parameters.clear()
            listed = self._protos[3 * proto + 2] if 3 * proto < len(self._protos) else 0
            found = self.types_at(listed, MOST_PARAMETERS)
            self._parameters[proto] = tuple(self._descriptor(index) for index in found)
        return self._parameters[proto]

    def method(self, index: int) -> Method:
        """Return a method by its index; empty names for one that isn't in the table."""
        if 4 * index >= len(self._methods):
            return Method("", "", "")
        proto = 3 * self._methods[4 * index + 1] + 1
        result = self._descriptor(self._protos[proto]) if proto < len(self._protos) else ""
        parameters = self.parameters(index)
        if sum(map(len, parameters)) + len(result) > MOST_DESCRIPTOR:
            parameters, result = ("...",), ""
        descriptor = f"({''.join(parameters)}){result}"
        return Method(self.type(self.owner(index)), self.method_name(index), descriptor)

    def field(self, index: int) -> tuple[str, str]:
        """Return a field's class and name, empty ones where there is none."""
        row = self._fields[4 * index : 4 * index + 4]
        return (self.type(row[0]), self.string(row[2] | row[3] << 16)) if row else ("", "")

    def _descriptor(self, index: int) -> str:
        return self.descriptors[index] if index < len(self.descriptors) else ""


MOST_INTERFACES = 65535
_CLASS, _MEMBER = 768, 128
"""Bytes of memory that are reckoned for a class and for each of its members."""

_NONE = 0xFFFFFFFF

# Types of an encoded value.
_CHAR, _STRING, _NULL, _BOOLEAN = 0x03, 0x17, 0x1E, 0x1F
_INTEGERS = (0x00, 0x02, 0x04, 0x06)
_WIDEST = {0x00: 1, 0x02: 2, _CHAR: 2, 0x04: 4, 0x06: 8, 0x10: 4, 0x11: 8} | dict.fromkeys(
    (0x15, 0x16, _STRING, 0x18, 0x19, 0x1A, 0x1B), 4
)


@dataclass(slots=True)
class ClassDef:
    """Hold a class that is defined.

    :param index: of its type.
    :param methods: index and offset of its code, 0 for none, in the order of the file.
    :param initial: initial values of static fields by the field's index: strings and whole numbers.
    :param whole: whether all of it was read.
    """

    index: int
    name: str
    superclass: str | None
    interfaces: tuple[str, ...]
    data_at: int
    values_at: int
    methods: list[tuple[int, int]] = field(default_factory=list)
    initial: dict[int, str | int] = field(default_factory=dict, repr=False)
    whole: bool = True


def read_definitions(
    tables: Tables, header: Header, budget: Budget, trouble: Trouble
) -> Iterator[ClassDef]:
    """Yield the classes of the table of definitions, without their members."""
    table = numbers("I", column(tables.data, header.classes, 32, MOST_IDS, budget, trouble))
    for row in range(0, len(table), 8):
        index, _, superclass, interfaces_at, _, _, data_at, values_at = table[row : row + 8]
        name = tables.type(index)
        if not name:
            trouble("a class without a name")
            continue
        interfaces = tables.types_at(interfaces_at, MOST_INTERFACES)
        if not budget.spend(2 * len(interfaces)):
            trouble("lists of interfaces overlap")
            interfaces = []
        if not budget.keep(_CLASS + 8 * len(interfaces)):
            trouble("more classes than a scan has memory for")
            return
        yield ClassDef(
            index,
            name,
            None if superclass == _NONE else tables.type(superclass),
            tuple(tables.type(interface) for interface in interfaces),
            data_at,
            values_at,
        )


def read_members(found: ClassDef, tables: Tables, budget: Budget, trouble: Trouble) -> None:
    """Read the members of a class and the initial values of its static fields into it."""
    if not found.data_at:
        return
    try:
        static = _read_data(found, tables, budget)
        if found.values_at:
            _read_values(found, static, tables, budget)
    except (Damaged, IndexError):
        found.whole = False
        trouble("a class whose members couldn't be read")


def _read_data(found: ClassDef, tables: Tables, budget: Budget) -> list[int]:
    """Read methods into a class; return the indices of its static fields.

    A class has members of its own only, each once, so a file can't have more of them than rows in its tables.
    """
    data, at = tables.data, found.data_at
    counts = []
    for _ in range(4):
        count, at = unsigned(data, at)
        counts.append(count)
    # A field takes two bytes at least, a method three.
    if not budget.spend(2 * sum(counts[:2]) + 3 * sum(counts[2:])):
        raise Damaged("more members than the file could hold")
    if not budget.keep(_MEMBER * sum(counts)):
        raise Damaged("more members than a scan has memory for")
    static: list[int] = []
    # An index that isn't in the table ends the class as any other damage does.
    owners = tables.owners_of_fields
    for kind in range(2):
        index = 0
        for _ in range(counts[kind]):
            step, at = unsigned(data, at) if data[at] > 0x7F else (data[at], at + 1)
            _, at = unsigned(data, at) if data[at] > 0x7F else (0, at + 1)
            index += step
            if owners[index] != found.index:
                raise Damaged("a field of another class")
            if kind == 0:
                static.append(index)
    owners = tables.owners
    for kind in range(2, 4):
        index = 0
        for nth in range(counts[kind]):
            step, at = unsigned(data, at) if data[at] > 0x7F else (data[at], at + 1)
            _, at = unsigned(data, at) if data[at] > 0x7F else (0, at + 1)
            code, at = unsigned(data, at) if data[at] > 0x7F else (data[at], at + 1)
            index += step
            if owners[index] != found.index or (step == 0 and nth):
                raise Damaged("a method of another class, or twice the same")
            found.methods.append((index, code))
    return static


def _read_values(found: ClassDef, static: list[int], tables: Tables, budget: Budget) -> None:
    """Read the initial values of static fields: the first value is the first field's.

    :raises Damaged: at a value that no static field can have (an array, an annotation) or that isn't one.
    """
    data = tables.data
    count, at = unsigned(data, found.values_at)
    if count > len(static) or not budget.spend(2 * count):
        raise Damaged("more values than static fields")
    for index in static[:count]:
        kind, argument = data[at] & 0x1F, data[at] >> 5
        at += 1
        if kind in (_NULL, _BOOLEAN):
            if kind == _BOOLEAN:
                found.initial[index] = argument & 1
            continue
        width = argument + 1
        raw = data[at : at + width]
        if width > _WIDEST.get(kind, 0) or len(raw) < width:
            raise Damaged("a value of no known type")
        at += width
        if kind == _STRING:
            found.initial[index] = tables.string(int.from_bytes(raw, "little"))
        elif kind in _INTEGERS:
            found.initial[index] = int.from_bytes(raw, "little", signed=True)
        elif kind == _CHAR:
            found.initial[index] = int.from_bytes(raw, "little")


_KINDS = ("", "-wide", "-object", "-boolean", "-byte", "-char", "-short")
_MATHS = ("add", "sub", "mul", "div", "rem", "and", "or", "xor", "shl", "shr", "ushr")
_BINARY = [
    *(f"{what}-{of}" for of in ("int", "long") for what in _MATHS),
    *(f"{what}-{of}" for of in ("float", "double") for what in _MATHS[:5]),
]
_CALLS = [f"invoke-{kind}" for kind in ("virtual", "super", "direct", "static", "interface")]
_TESTS = ("eq", "ne", "lt", "ge", "gt", "le")
_LITERAL = ("add-int", "rsub-int", "mul-int", "div-int", "rem-int", "and-int", "or-int", "xor-int")
_MOVES = [f"move{kind}{form}" for kind in _KINDS[:3] for form in ("", "/from16", "/16")]
_CASTS = [f"{a}-to-{b}" for a in ("int", "long") for b in ("int", "long", "float", "double")]
_CASTS = [name for name in _CASTS if name not in ("int-to-int", "long-to-long")]
_UNARY = [
    *("neg-int", "not-int", "neg-long", "not-long", "neg-float", "neg-double"),
    *_CASTS,
    *("float-to-int", "float-to-long", "float-to-double"),
    *("double-to-int", "double-to-long", "double-to-float"),
    *("int-to-byte", "int-to-char", "int-to-short"),
]

_RUNS: tuple[tuple[int, int, list[str]], ...] = (
    # First opcode, length in units of 16 bits, names; moves, constants and jumps follow one by one.
    (0x0A, 1, ["move-result", "move-result-wide", "move-result-object", "move-exception"]),
    (0x0E, 1, ["return-void", "return", "return-wide", "return-object"]),
    (0x1C, 2, ["const-class"]),
    (0x1D, 1, ["monitor-enter", "monitor-exit"]),
    (0x1F, 2, ["check-cast", "instance-of"]),
    (0x21, 1, ["array-length"]),
    (0x22, 2, ["new-instance", "new-array"]),
    (0x24, 3, ["filled-new-array", "filled-new-array/range", "fill-array-data"]),
    (0x27, 1, ["throw", "goto"]),
    (0x29, 2, ["goto/16"]),
    (0x2A, 3, ["goto/32", "packed-switch", "sparse-switch"]),
    (0x2D, 2, ["cmpl-float", "cmpg-float", "cmpl-double", "cmpg-double", "cmp-long"]),
    (0x32, 2, [f"if-{test}" for test in _TESTS] + [f"if-{test}z" for test in _TESTS]),
    (0x44, 2, [f"{verb}{kind}" for verb in ("aget", "aput") for kind in _KINDS]),
    (0x52, 2, [f"{verb}{kind}" for verb in ("iget", "iput") for kind in _KINDS]),
    (0x60, 2, [f"{verb}{kind}" for verb in ("sget", "sput") for kind in _KINDS]),
    (0x6E, 3, _CALLS),
    (0x74, 3, [f"{name}/range" for name in _CALLS]),
    (0x7B, 1, _UNARY),
    (0x90, 2, _BINARY),
    (0xB0, 1, [f"{name}/2addr" for name in _BINARY]),
    (0xD0, 2, ["add-int/lit16", "rsub-int", *(f"{name}/lit16" for name in _LITERAL[2:])]),
    (0xD8, 2, [f"{name}/lit8" for name in (*_LITERAL, "shl-int", "shr-int", "ushr-int")]),
    (0xFA, 4, ["invoke-polymorphic", "invoke-polymorphic/range"]),
    (0xFC, 3, ["invoke-custom", "invoke-custom/range"]),
    (0xFE, 2, ["const-method-handle", "const-method-type"]),
    (0x00, 1, ["nop"]),
    *((0x01 + n, 1 + n % 3, [name]) for n, name in enumerate(_MOVES)),
    (0x12, 1, ["const/4"]),
    (0x13, 2, ["const/16"]),
    (0x14, 3, ["const"]),
    (0x15, 2, ["const/high16", "const-wide/16"]),
    (0x17, 3, ["const-wide/32"]),
    (0x18, 5, ["const-wide"]),
    (0x19, 2, ["const-wide/high16", "const-string"]),
    (0x1B, 3, ["const-string/jumbo"]),
)

MNEMONICS = {first + n: name for first, _, names in _RUNS for n, name in enumerate(names)}
"""The mnemonic of each opcode; those that aren't in it are unused."""

_LENGTHS = {first + n: units for first, units, names in _RUNS for n in range(len(names))}
UNITS = bytes(_LENGTHS.get(op, 0) for op in range(256))
"""The length of each opcode's instruction in units of 16 bits, 0 where it's unused."""

CONST_STRING = 0x1A
CONST_STRING_JUMBO = 0x1B

INVOKES = frozenset((*range(0x6E, 0x73), *range(0x74, 0x79), 0xFA, 0xFB))
"""Opcodes that call a method by its index, which stands in their second unit."""

USES = INVOKES | {CONST_STRING, CONST_STRING_JUMBO}
"""Opcodes that use a string or a method."""


MOST_UNITS = 1 << 20
"""Units of 16 bits of one method's code; compilers write at most a tenth, since Java's own bound is 64 kB."""

_ITEM = struct.Struct("<HHHHII")
_PACKED, _SPARSE, _ARRAY = 1, 2, 3


class CodeItem(NamedTuple):
    """Hold where a method's instructions lie: ``start`` to ``end`` in bytes, and how many tries follow."""

    # A tuple is made in a third of the time that a frozen dataclass takes, and there is one for each method.
    registers: int
    tries: int
    start: int
    end: int


def code_item(data: bytes, at: int) -> CodeItem:
    """Return the code item at ``at``.

    :raises Damaged: when it doesn't lie in the file.
    """
    if at + _ITEM.size > len(data):
        raise Damaged("code outside the file")
    registers, _, _, tries, _, size = _ITEM.unpack_from(data, at)
    start = at + _ITEM.size
    if start + 2 * size > len(data) or size > MOST_UNITS:
        raise Damaged("code outside the file, or too long")
    return CodeItem(registers, tries, start, start + 2 * size)


def _one_of(opcodes: Iterable[int]) -> bytes:
    return b"[" + b"".join(b"\\x%02x" % opcode for opcode in opcodes) + b"]"


def _of_length(units: int, opcodes: Iterable[int]) -> bytes:
    """Return a pattern of whole instructions: those of the opcodes that have this length."""
    chosen = [opcode for opcode in opcodes if UNITS[opcode] == units]
    return _one_of(chosen) + b".{%d}" % (2 * units - 1)


_OTHERS = [opcode for opcode in range(1, 256) if UNITS[opcode] and opcode not in USES]
# Opcode 0 is a no-op, or with 1 to 3 in its high byte the begin of data that isn't instructions.
_SKIP = b"|".join((*(_of_length(units, _OTHERS) for units in (1, 2, 3, 5)), rb"\x00[^\x01-\x03]"))
_TAKE = b"|".join(_of_length(units, sorted(USES)) for units in (2, 3, 4))
# Possessive, so that nothing is kept for going back; the rest is what neither matches, empty at a clean end.
_INSTRUCTION = re.compile(b"(?:" + _SKIP + b")*+(" + _TAKE + b"|.*)", re.DOTALL)


def uses(data: bytes, item: CodeItem, budget: Budget) -> list[bytes]:
    """Return the instructions of a code item that use a string or a method, as their bytes, in order.

    :raises Damaged: at an instruction that is none, at data that doesn't fit, or with the budget spent.
    """
    found: list[bytes] = []
    at, end = item.start, item.end
    while at < end:
        if not budget.spend(end - at):
            raise Damaged("code items overlap")
        found += _INSTRUCTION.findall(data, at, end)
        while found and not found[-1]:
            found.pop()
        rest = found[-1] if found else b""
        if not rest or (rest[0] in USES and len(rest) == 2 * UNITS[rest[0]]):
            break
        found.pop()
        at = _after_payloads(data, end - len(rest), end)
    return found


def _after_payloads(data: bytes, at: int, end: int) -> int:
    """Return where instructions go on after the data at ``at``, and after more data right behind it.

    :raises Damaged: when there is no such data.
    """
    after = at + _payload(data, at, end)
    while after + 4 <= end:
        if data[after] == 0 and 1 <= data[after + 1] <= _ARRAY:
            after += _payload(data, after, end)
        elif data[after : after + 2] == b"\0\0":
            after += 2
        else:
            break
    return after


def _payload(data: bytes, at: int, end: int) -> int:
    """Return the length in bytes of the ``packed-switch``, ``sparse-switch`` or ``fill-array-data`` payload at ``at``.

    :raises Damaged: when it's none of them or doesn't end before ``end``.
    """
    size = 0
    if at + 4 <= end and data[at] == 0:
        kind = data[at + 1]
        (count,) = struct.unpack_from("<H", data, at + 2)
        if kind == _PACKED:
            size = 8 + 4 * count
        elif kind == _SPARSE:
            size = 4 + 8 * count
        elif kind == _ARRAY and at + 8 <= end:
            (elements,) = struct.unpack_from("<I", data, at + 4)
            size = 8 + (count * elements + 1 & ~1)
    if not size or at + size > end:
        raise Damaged("an instruction that is none")
    return size


def instructions(data: bytes, item: CodeItem) -> Iterator[tuple[int, int]]:
    """Yield place and opcode of each instruction, data between them left out.

    :raises Damaged: at an instruction that is none.
    """
    at = item.start
    while at < item.end:
        opcode = data[at]
        if opcode == 0 and at + 1 < item.end and 1 <= data[at + 1] <= _ARRAY:
            at += _payload(data, at, item.end)
            continue
        size = 2 * UNITS[opcode]
        if not size or at + size > item.end:
            raise Damaged("an instruction that is none")
        yield at, opcode
        at += size


_GOTOS = {0x28: "<xb", 0x29: "<2xh", 0x2A: "<2xi"}


def targets(data: bytes, item: CodeItem) -> set[int]:
    """Return the places that code may jump to, as offsets in the file: branches, cases of switches, handlers.

    :raises Damaged: when instructions or handlers can't be read.
    """
    found: set[int] = set()
    room = item.end - item.start
    for at, opcode in instructions(data, item):
        if opcode in _GOTOS:
            found.add(at + 2 * struct.unpack_from(_GOTOS[opcode], data, at)[0])
        elif 0x32 <= opcode <= 0x3D:
            found.add(at + 2 * struct.unpack_from("<h", data, at + 2)[0])
        elif opcode in (0x2B, 0x2C):
            payload = at + 2 * struct.unpack_from("<i", data, at + 2)[0]
            cases = _cases(data, payload, item)
            # Each switch has a table of its own, within the code; a thousand that share a long one are an attack.
            room -= 4 * len(cases)
            if room < 0:
                raise Damaged("switches share their tables")
            found.update(at + 2 * step for step in cases)
    if item.tries:
        tries = item.end + (item.end - item.start) % 4
        most = (item.end - item.start) // 2 + 1
        found.update(item.start + 2 * step for step in _handlers(data, tries, item.tries, most))
    return found


def _cases(data: bytes, at: int, item: CodeItem) -> tuple[int, ...]:
    """Return the steps to the cases of a switch."""
    if not item.start <= at < item.end:
        raise Damaged("a switch without its table")
    _payload(data, at, item.end)
    (count,) = struct.unpack_from("<H", data, at + 2)
    skipped = 8 if data[at + 1] == _PACKED else 4 + 4 * count
    if data[at + 1] == _ARRAY:
        raise Damaged("a switch without its table")
    return struct.unpack_from(f"<{count}i", data, at + skipped)


def array_data(data: bytes, at: int, item: CodeItem) -> tuple[int, bytes]:
    """Return width and bytes of the ``fill-array-data`` payload at ``at``.

    :raises Damaged: when it's none.
    """
    if not item.start <= at < item.end or data[at : at + 2] != b"\0\3":
        raise Damaged("an array without its data")
    _payload(data, at, item.end)
    width, elements = struct.unpack_from("<HI", data, at + 2)
    return width, data[at + 8 : at + 8 + width * elements]


def _handlers(data: bytes, at: int, tries: int, most: int) -> set[int]:
    """Return where the handlers of a code item begin, in units from its first instruction (``encoded_catch_handler_list``).

    :param at: of the ``tries`` items, before the list.
    :param most: how many addresses are read.
    :raises Damaged: when the list ends too early.
    """
    found: set[int] = set()
    lists, at = unsigned(data, at + 8 * tries)
    read = 0
    for _ in range(lists):
        count, at = signed(data, at)
        for step in range(abs(count) + (count <= 0)):
            if step < abs(count):
                _, at = unsigned(data, at)
            address, at = unsigned(data, at)
            found.add(address)
            read += 1
            if read > most:
                raise Damaged("more handlers than instructions")
    return found


_NIBBLE = frozenset(
    (*(0x01, 0x04, 0x07, 0x12, 0x20, 0x21, 0x23), *range(0x52, 0x59), *range(0x7B, 0x90))
) | frozenset(range(0xB0, 0xD8))
_BYTE = frozenset(
    (*(0x02, 0x05, 0x08, 0x22, 0xFE, 0xFF), *range(0x0A, 0x0E), *range(0x13, 0x1D))
) | frozenset(
    (
        *range(0x2D, 0x32),
        *range(0x44, 0x4B),
        *range(0x60, 0x67),
        *range(0x90, 0xB0),
        *range(0xD8, 0xE3),
    )
)
_WORD = frozenset((0x03, 0x06, 0x09))
_WIDE = frozenset(
    (*(0x04, 0x05, 0x06, 0x0B), *range(0x16, 0x1A), 0x45, 0x53, 0x61, 0x7D, 0x7E, 0x80, 0x81)
) | frozenset(
    (
        *(0x83, 0x86, 0x88, 0x89, 0x8B),
        *range(0x9B, 0xA6),
        *range(0xAB, 0xB0),
        *range(0xBB, 0xC6),
        *range(0xCB, 0xD0),
    )
)


def written(data: bytes, at: int, opcode: int) -> tuple[int, ...]:
    """Return the registers that the instruction at ``at`` writes: none, one, or both of a pair."""
    if opcode in _NIBBLE:
        first = data[at + 1] & 0xF
    elif opcode in _BYTE:
        first = data[at + 1]
    elif opcode in _WORD:
        first = data[at + 2] | data[at + 3] << 8
    else:
        return ()
    return (first, first + 1) if opcode in _WIDE else (first,)


def handed_over(data: bytes, at: int, opcode: int) -> list[int]:
    """Return the registers that the call at ``at`` hands over, in order."""
    if opcode in (0x25, 0xFB) or 0x74 <= opcode <= 0x78:
        first = data[at + 4] | data[at + 5] << 8
        return list(range(first, first + data[at + 1]))
    high, low = data[at + 1] >> 4, data[at + 1] & 0xF
    four = data[at + 4] | data[at + 5] << 8
    return [*((four >> shift) & 0xF for shift in (0, 4, 8, 12)), low][: min(high, 5)]


LONGEST_ARRAY = 1024
"""Elements of an array that is followed; keys and vectors are short."""

_PASS_ON = {
    "java.lang.String": frozenset(
        ("getBytes", "toCharArray", "trim", "intern", "toString", "valueOf", "copyValueOf")
    ),
    "android.util.Base64": frozenset(("decode",)),
    # Cut or hashed, a constant stays one: whoever has the app makes the same of it.
    "java.util.Arrays": frozenset(("copyOf", "copyOfRange")),
    "java.security.MessageDigest": frozenset(("digest",)),
    "java.util.Base64$Decoder": frozenset(("decode",)),
    "kotlin.text.StringsKt": frozenset(("encodeToByteArray", "toByteArray")),
    "kotlin.text.StringsKt__StringsJVMKt": frozenset(("encodeToByteArray", "toByteArray")),
}
_OF_OTHERS = frozenset(("valueOf", "copyValueOf"))
_HARMLESS = ("java.lang.String", "javax.crypto.spec.", "kotlin.jvm.internal.Intrinsics")
_LITERALS = {0x13: "<2xh", 0x14: "<2xi", 0x16: "<2xh", 0x17: "<2xi", 0x18: "<2xq"}
_STATICS = frozenset((0x71, 0x77))


@dataclass(slots=True, eq=False)
class Array:
    """Hold an array while it's being filled; ``elements`` is None once something unknown may have written to it."""

    elements: list[int] | None

    def text(self) -> str | None:
        """Return its elements as characters, bytes as those of Latin-1."""
        if self.elements is None:
            return None
        return "".join(map(chr, self.elements))


Known = str | int | Array
Constant = str | int | None
Statics = Callable[[str, str], Constant]


@dataclass(slots=True)
class _State:
    """Hold what is known at one place of a method."""

    registers: dict[int, Known] = field(default_factory=dict)
    result: Known | None = None

    def constant(self, register: int) -> Constant:
        known = self.registers.get(register)
        return known.text() if isinstance(known, Array) else known


@dataclass(frozen=True, slots=True)
class Call:
    """Hold a call: the method's index, and what is known of its arguments, without the receiver."""

    method: int
    arguments: tuple[Constant, ...]


@dataclass(frozen=True, slots=True)
class Put:
    """Hold what is written to a static field, by the field's index."""

    field: int
    value: Constant


def follow(tables: Tables, code_at: int, statics: Statics) -> Iterator[Call | Put]:
    """Yield the calls and the writes to static fields of a method, in the order of its code.

    :param statics: answers with the initial value of a static field, by class and name.
    :raises Damaged: when the code can't be read.
    """
    data = tables.data
    item = code_item(data, code_at)
    joins = targets(data, item)
    state = _State()
    for at, opcode in instructions(data, item):
        if at in joins:
            state = _State()
        if opcode in INVOKES:
            yield _call(tables, at, opcode, state)
            continue
        if 0x67 <= opcode <= 0x6D:
            yield Put(_word(data, at + 2), state.constant(data[at + 1]))
            continue
        _step(tables, item, at, opcode, state, statics)


def _word(data: bytes, at: int) -> int:
    return data[at] | data[at + 1] << 8


def _step(
    tables: Tables, item: CodeItem, at: int, opcode: int, state: _State, statics: Statics
) -> None:
    """Carry one instruction that calls nothing."""
    data = tables.data
    if opcode == 0x26:
        _fill(data, item, at, state)
        return
    if 0x4B <= opcode <= 0x51:
        _put_element(data, at, opcode, state)
        return
    into = written(data, at, opcode)
    value: Known | None = None
    if into:
        value = _value(tables, at, opcode, state, statics)
    for register in into:
        state.registers.pop(register, None)
    if value is not None:
        state.registers[into[0]] = value
    state.result = None


def _value(tables: Tables, at: int, opcode: int, state: _State, statics: Statics) -> Known | None:
    """Return what an instruction writes, None where that isn't a constant."""
    data = tables.data
    value: Known | None = None
    if opcode == CONST_STRING:
        value = tables.string(_word(data, at + 2))
    elif opcode == CONST_STRING_JUMBO:
        value = tables.string(struct.unpack_from("<I", data, at + 2)[0])
    elif opcode in _LITERALS:
        value = int(struct.unpack_from(_LITERALS[opcode], data, at)[0])
    elif opcode == 0x12:
        high = data[at + 1] >> 4
        value = high - 16 if high > 7 else high
    elif opcode == 0x15:
        value = int(struct.unpack_from("<2xh", data, at)[0]) << 16
    elif opcode in (0x0A, 0x0C):
        value = state.result
    elif opcode == 0x23:
        value = _new_array(tables, at, state)
    elif 0x60 <= opcode <= 0x66:
        value = statics(*tables.field(_word(data, at + 2)))
    elif 0x01 <= opcode <= 0x09:
        source = (data[at + 1] >> 4, _word(data, at + 2), 0)[(opcode - 1) % 3]
        source = _word(data, at + 4) if (opcode - 1) % 3 == 2 else source
        value = state.registers.get(source)
    return value


def _new_array(tables: Tables, at: int, state: _State) -> Array | None:
    """Return a new array of bytes or characters, all zero; None for one of another type, or of unknown or great length."""
    index = _word(tables.data, at + 2)
    descriptor = tables.descriptors[index] if index < len(tables.descriptors) else ""
    length = state.registers.get(tables.data[at + 1] >> 4)
    if descriptor in ("[B", "[C") and isinstance(length, int) and 0 <= length <= LONGEST_ARRAY:
        return Array([0] * length)
    return None


def _fill(data: bytes, item: CodeItem, at: int, state: _State) -> None:
    """Carry ``fill-array-data``."""
    array = state.registers.get(data[at + 1])
    if not isinstance(array, Array) or array.elements is None:
        return
    payload = at + 2 * struct.unpack_from("<i", data, at + 2)[0]
    width, raw = array_data(data, payload, item)
    if len(raw) > width * len(array.elements) or width not in (1, 2):
        array.elements = None
        return
    values = raw if width == 1 else struct.unpack(f"<{len(raw) // 2}H", raw)
    array.elements[: len(values)] = values


def _put_element(data: bytes, at: int, opcode: int, state: _State) -> None:
    """Carry ``aput``: an unknown element makes the array unknown."""
    array = state.registers.get(data[at + 2])
    if not isinstance(array, Array) or array.elements is None:
        return
    value = state.registers.get(data[at + 1])
    index = state.registers.get(data[at + 3])
    if (
        isinstance(value, int)
        and isinstance(index, int)
        and 0 <= index < len(array.elements)
        and opcode in (0x4F, 0x50)
    ):
        array.elements[index] = value & (0xFF if opcode == 0x4F else 0xFFFF)
    else:
        array.elements = None


def _call(tables: Tables, at: int, opcode: int, state: _State) -> Call:
    """Carry a call: tell its arguments, pass a constant on, forget arrays that it may write to."""
    index = _word(tables.data, at + 2)
    registers = handed_over(tables.data, at, opcode)
    receiver = None if opcode in _STATICS else registers[0] if registers else None
    left = registers if opcode in _STATICS else registers[1:]
    arguments: list[Constant] = []
    place = 0
    for descriptor in tables.parameters(index):
        arguments.append(state.constant(left[place]) if place < len(left) else None)
        place += 2 if descriptor in ("J", "D") else 1
    owner = tables.type(tables.owner(index)) if tables.owner(index) >= 0 else ""
    name = tables.method_name(index)
    known = state.constant(receiver) if receiver is not None else None
    state.result = _passed_on(owner, name, known, arguments)
    if owner == "java.lang.String" and name == "<init>" and receiver is not None:
        made = arguments[0] if arguments else ""
        state.registers.pop(receiver, None)
        if isinstance(made, str) and len(arguments) <= 2:
            state.registers[receiver] = made
    if not owner.startswith(_HARMLESS):
        for register in registers:
            touched = state.registers.get(register)
            if isinstance(touched, Array):
                touched.elements = None
    return Call(index, tuple(arguments))


def _passed_on(
    owner: str, name: str, receiver: Constant, arguments: list[Constant]
) -> Known | None:
    """Return the constant that a method gives back, as far as it's known for giving back what it got."""
    first = arguments[0] if arguments else None
    if owner == "java.lang.String" and name == "concat":
        both = isinstance(receiver, str) and isinstance(first, str)
        return f"{receiver}{first}" if both else None
    if name not in _PASS_ON.get(owner, ()):
        return None
    # A static method, and a decoder, give back their first argument; the string itself is the receiver elsewhere: what getBytes
    # gets is the name of an encoding.
    of_itself = owner == "java.lang.String" and name not in _OF_OTHERS
    value = receiver if of_itself or isinstance(receiver, str) else first
    return value if isinstance(value, str) else None


_USE = 48
"""Bytes of memory that are reckoned for each string and method that a method uses."""

_MOST_PLACES = 256
"""Classes of which it is remembered where the code of their methods lies."""


def read_code(dexes: Sequence[tuple[str, bytes]], notes: Notes) -> Code:
    """Read DEX files, in the order in which the system loads them.

    Every class, member and instruction is read here, so that the notes are complete when this returns.

    :param dexes: name of the entry and its bytes.
    :param notes: what couldn't be read is told there, and how many classes were.
    """
    taken: set[str] = set()
    parts: list[_Part] = []
    for where, data in dexes:
        trouble = Trouble(where)
        budget = Budget(len(data), notes.memory)
        for header in read_headers(data, trouble):
            part = _Part(data, header, budget, trouble)
            part.read(taken, budget, trouble)
            notes.seen(Part.DEX, part.whole, header.classes.count, "classes")
            parts.append(part)
        trouble.notify(notes)
    return DexCode(parts)


class _Part:
    """Hold one DEX file: its tables, its classes, and who uses what by the indices of its tables."""

    def __init__(self, data: bytes, header: Header, budget: Budget, trouble: Trouble) -> None:
        self.tables = Tables(data, header, budget, trouble)
        self.classes: dict[str, ClassDef] = {}
        self.callers: defaultdict[int, list[int]] = defaultdict(list)
        self.loaders: defaultdict[int, list[int]] = defaultdict(list)
        self.whole = 0
        self._header = header

    def read(self, taken: set[str], budget: Budget, trouble: Trouble) -> None:
        """Read all classes but those that are defined before: the system never loads a second one of a name."""
        for found in read_definitions(self.tables, self._header, budget, trouble):
            if found.name in taken:
                trouble("a class that is defined twice: the second one isn't read")
                continue
            taken.add(found.name)
            self.classes[found.name] = found
            read_members(found, self.tables, budget, trouble)
            for place, (method, code_at) in enumerate(found.methods):
                if code_at and not self._walk(method, code_at, budget):
                    # Later questions leave it alone: only so is their work bounded by what was read here.
                    found.methods[place] = (method, 0)
                    found.whole = False
                    trouble("a method whose code couldn't be read")
            self.whole += found.whole

    def _walk(self, method: int, code_at: int, budget: Budget) -> bool:
        """Note what a method uses; False where its code can't be read."""
        data = self.tables.data
        try:
            used = uses(data, code_item(data, code_at), budget)
        except Damaged:
            return False
        callers, loaders = self.callers, self.loaders
        different = set(used)
        if not budget.keep(_USE * len(different)):
            return False
        for each in different:
            opcode = each[0]
            index = each[2] | each[3] << 8
            if opcode == CONST_STRING:
                loaders[index].append(method)
            elif opcode == CONST_STRING_JUMBO:
                loaders[index | each[4] << 16 | each[5] << 24].append(method)
            else:
                callers[index].append(method)
        return True

    @cached_property
    def called(self) -> dict[str, list[int]]:
        """Return the methods that are called, by their class."""
        found: dict[str, list[int]] = {}
        for index in sorted(self.callers):
            owner = self.tables.owner(index)
            if owner >= 0:
                found.setdefault(self.tables.type(owner), []).append(index)
        return found

    @cached_property
    def string_index(self) -> dict[str, list[int]]:
        """Return the indices of the strings that code loads."""
        found: dict[str, list[int]] = {}
        for index in sorted(self.loaders):
            found.setdefault(self.tables.string(index), []).append(index)
        return found


class DexCode:
    """Answer questions about the bytecode of an app; see ``Code`` for each."""

    def __init__(self, parts: Sequence[_Part]) -> None:
        """Take what was read, of each DEX file in order."""
        self._parts = tuple(parts)
        self._home = {name: part for part in reversed(self._parts) for name in part.classes}
        self._places: dict[str, dict[Method, int]] = {}
        self._from_initializers: dict[str, dict[str, Constant]] = {}

    @cached_property
    def classes(self) -> Sequence[str]:
        """Return the classes that are defined, sorted."""
        return tuple(sorted(self._home))

    @cached_property
    def strings(self) -> Sequence[str]:
        """Return all strings, each once, sorted."""
        return tuple(sorted(set().union(*(part.tables.strings for part in self._parts))))

    @cached_property
    def static_fields(self) -> Sequence[StaticField]:
        """Return the static fields whose initial value is a string."""
        return tuple(
            StaticField(*part.tables.field(index), value)
            for part in self._parts
            for found in part.classes.values()
            for index, value in found.initial.items()
            if isinstance(value, str)
        )

    @cached_property
    def _initial(self) -> dict[tuple[str, str], str | int]:
        return {
            part.tables.field(index): value
            for part in self._parts
            for found in part.classes.values()
            for index, value in found.initial.items()
        }

    @cached_property
    def _implementers(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name in self.classes:
            defined = self._home[name].classes[name]
            for above in dict.fromkeys((defined.superclass, *defined.interfaces)):
                if above is not None:
                    found.setdefault(above, []).append(name)
        return found

    @cached_property
    def _named(self) -> frozenset[str]:
        """Return all classes that any DEX file names, also as the element of an array."""
        return frozenset(
            name[name.rfind("[") + 2 : -1].replace("/", ".") if name.startswith("[") else name
            for part in self._parts
            for name in part.tables.types
        )

    def _defined(self, cls: str) -> ClassDef | None:
        part = self._home.get(cls)
        return part.classes[cls] if part else None

    def superclass(self, cls: str) -> str | None:
        """Return the superclass of a defined class."""
        found = self._defined(cls)
        return found.superclass if found else None

    def interfaces(self, cls: str) -> Sequence[str]:
        """Return the interfaces that a defined class implements itself."""
        found = self._defined(cls)
        return found.interfaces if found else ()

    def implementers(self, interface: str) -> Sequence[str]:
        """Return the defined classes directly below an interface or a class, sorted."""
        return tuple(self._implementers.get(interface, ()))

    def methods(self, cls: str) -> Sequence[Method]:
        """Return the methods that a class defines, in the order of the file."""
        part = self._home.get(cls)
        if part is None:
            return ()
        return tuple(part.tables.method(index) for index, _ in part.classes[cls].methods)

    def without_code(self, cls: str) -> Sequence[Method]:
        """Return the methods of a class that have no code here."""
        part = self._home.get(cls)
        if part is None:
            return ()
        return tuple(part.tables.method(index) for index, at in part.classes[cls].methods if not at)

    def refers_to(self, cls: str) -> bool:
        """Tell whether the code names a class."""
        return cls in self._named

    def calls(self, cls: str, name: str | None = None) -> Sequence[Use]:
        """Return who calls a method; each caller once for each method that it calls."""
        found: dict[Use, None] = {}
        for part in self._parts:
            for index in part.called.get(cls, ()):
                if name is not None and part.tables.method_name(index) != name:
                    continue
                what = str(part.tables.method(index))
                for caller in part.callers[index]:
                    found[Use(what, part.tables.method(caller))] = None
        return tuple(found)

    def users(self, string: str) -> Sequence[Method]:
        """Return the methods that load this string, each once."""
        found: dict[Method, None] = {}
        for part in self._parts:
            for index in part.string_index.get(string, ()):
                for loader in part.loaders[index]:
                    found[part.tables.method(loader)] = None
        return tuple(found)

    def _code(self, by: Method) -> Iterator[tuple[_Part, int]]:
        """Yield where the code of a method lies, nothing for one that isn't defined or has none."""
        part = self._home.get(by.cls)
        if part is None:
            return
        if by.cls not in self._places:
            if len(self._places) >= _MOST_PLACES:
                self._places.clear()
            methods = part.classes[by.cls].methods
            self._places[by.cls] = {part.tables.method(index): at for index, at in methods}
        code_at = self._places[by.cls].get(by, 0)
        if code_at:
            yield part, code_at

    def _uses(self, by: Method) -> Iterator[tuple[_Part, bytes]]:
        for part, code_at in self._code(by):
            data = part.tables.data
            try:
                found = uses(data, code_item(data, code_at), Budget(len(data)))
            except Damaged:
                return
            for each in found:
                yield part, each

    def calls_of(self, by: Method) -> Sequence[Method]:
        """Return what a method calls, in the order of its code."""
        return tuple(
            part.tables.method(each[2] | each[3] << 8)
            for part, each in self._uses(by)
            if each[0] not in (CONST_STRING, CONST_STRING_JUMBO)
        )

    def strings_of(self, by: Method) -> Sequence[str]:
        """Return the strings that a method loads, in the order of its code."""
        return tuple(
            part.tables.string(int.from_bytes(each[2:], "little"))
            for part, each in self._uses(by)
            if each[0] in (CONST_STRING, CONST_STRING_JUMBO)
        )

    def arguments(self, by: Method) -> Sequence[tuple[Method, tuple[Constant, ...]]]:
        """Return the calls of a method with their constant arguments, one for each parameter; the receiver is none of them.

        An array of bytes stands as text, each byte the character of that number.
        """
        found: list[tuple[Method, tuple[Constant, ...]]] = []
        try:
            for part, code_at in self._code(by):
                found.extend(
                    (part.tables.method(step.method), step.arguments)
                    for step in follow(part.tables, code_at, self._static)
                    if isinstance(step, Call)
                )
        except Damaged:
            pass
        return tuple(found)

    def body(self, method: Method) -> Sequence[str]:
        """Return the mnemonics of a method's code, as far as it can be read."""
        found: list[str] = []
        try:
            for part, code_at in self._code(method):
                data = part.tables.data
                for _, opcode in instructions(data, code_item(data, code_at)):
                    found.append(MNEMONICS[opcode])
        except Damaged:
            pass
        return tuple(found)

    def _static(self, cls: str, name: str) -> Constant:
        """Return what a static field of the app starts with: stated, or written once by its class's initializer."""
        stated = self._initial.get((cls, name))
        return stated if stated is not None else self._initialized(cls).get(name)

    def _initialized(self, cls: str) -> dict[str, Constant]:
        """Return the constants that the initializer of a class writes to fields of that class."""
        if cls not in self._from_initializers:
            found: dict[str, Constant] = {}
            try:
                for part, code_at in self._code(Method(cls, "<clinit>", "()V")):
                    # Other classes' initializers aren't followed from here: they could go round in a circle.
                    for step in follow(part.tables, code_at, self._stated):
                        owner, name = (
                            part.tables.field(step.field) if isinstance(step, Put) else ("", "")
                        )
                        if isinstance(step, Put) and owner == cls:
                            found[name] = None if name in found else step.value
            except Damaged:
                pass
            self._from_initializers[cls] = found
        return self._from_initializers[cls]

    def _stated(self, cls: str, name: str) -> Constant:
        return self._initial.get((cls, name))
