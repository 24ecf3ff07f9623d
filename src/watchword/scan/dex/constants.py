"""Follow constants through straight-line code: which ones a method hands to what it calls.

What is known ends at every place that code may jump to, so nothing is told that holds on one way only.  An array of bytes or characters is
followed as the text of its elements; handed to a method that could change it, it's no constant any more.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from watchword.scan.dex.code import CodeItem, array_data, code_item, instructions, targets
from watchword.scan.dex.opcodes import CONST_STRING, CONST_STRING_JUMBO, INVOKES
from watchword.scan.dex.registers import handed_over, written
from watchword.scan.dex.tables import Tables

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
