"""Walk the instructions of a code item (Dalvik executable format, ``code_item``; Dalvik bytecode).

Nearly all time of a scan of code goes into telling one instruction from the next.  A regular expression does that at the
speed of C: it eats whole instructions that use no string and no method, and captures those that do.
"""

import re
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from watchword.scan.dex.bounds import Budget, Damaged
from watchword.scan.dex.leb128 import signed, unsigned
from watchword.scan.dex.opcodes import UNITS, USES

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
