"""Read the classes that a DEX file defines (Dalvik executable format, ``class_def_item``, ``class_data_item``, ``encoded_array``)."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from watchword.scan.dex.bounds import Budget, Damaged, Trouble
from watchword.scan.dex.header import Header
from watchword.scan.dex.leb128 import unsigned
from watchword.scan.dex.tables import MOST_IDS, Tables, column, numbers

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
