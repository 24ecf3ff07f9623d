"""Read the tables of a DEX file: strings, types, prototypes, fields and methods (Dalvik executable format, "string_id_item" ff.)."""

import struct
import sys
from array import array
from collections.abc import Sequence

from watchword.scan.app import Method
from watchword.scan.archive.pace import TEXT
from watchword.scan.dex.bounds import Budget, Trouble
from watchword.scan.dex.header import Header, Table
from watchword.scan.dex.text import read_strings

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
