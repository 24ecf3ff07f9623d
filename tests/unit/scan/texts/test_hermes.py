"""The string table of Hermes bytecode."""

import struct
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.scan.texts.hermes_builders import bytecode

from watchword.scan.texts.hermes import VERSIONS, HermesError, is_hermes, named, strings

TEXTS = ["https://api.example.test/v1", "key", "Grüße 世界", "L" * 300, ""]


@pytest.mark.parametrize("version", VERSIONS)
def test_strings_are_told_apart(version: int) -> None:
    """Strings lie without anything between them; the table says where each begins, in every version that is known."""
    data = bytecode(TEXTS, version=version)
    assert is_hermes(data)
    assert list(strings(data)) == TEXTS


@pytest.mark.parametrize(
    ("at", "value"),
    [(52, 10**9), (56, 9), (60, 1), (40, 10**6)],
    ids=["count", "overflow", "storage", "functions"],
)
def test_a_table_that_does_not_hold_together(at: int, value: int) -> None:
    """Counts that don't fit are refused before the first string."""
    data = bytearray(bytecode(TEXTS))
    struct.pack_into("<I", data, at, value)
    with pytest.raises(HermesError):
        next(strings(bytes(data)))


def test_a_string_outside_of_its_storage() -> None:
    """A string that ends one byte behind the storage is refused, though the file goes on."""
    data = bytearray(bytecode(["abcdef"]) + b"more")
    struct.pack_into("<I", data, 60, 5)
    with pytest.raises(HermesError):
        next(strings(bytes(data)))


def test_a_long_string_that_is_not_there() -> None:
    """A length of 255 stands for a place in the overflow, which must be there."""
    data = bytecode(["L" * 300])
    at = data.index(struct.pack("<I", 255 << 24))
    with pytest.raises(HermesError):
        next(strings(data[:at] + struct.pack("<I", 1 << 1 | 255 << 24) + data[at + 4 :]))


@pytest.mark.parametrize("version", [1, 73, 100, 2**32 - 1])
def test_a_version_that_is_not_known(version: int) -> None:
    """Nobody knows where its strings are: it's refused, never guessed."""
    with pytest.raises(HermesError, match=f"version {version}, which isn't known"):
        next(strings(bytecode(TEXTS, version=version)))


NAMED = ["password", "hunter2!", "api", "s3cret", "user"]
_FIVE = bytes(
    [0x50 | 2, 0, 0, 2, 0]
)  # Two strings by numbers of two bytes: those of ``password`` and ``api``.
_VALUES = bytes([0x50 | 1, 1, 0, 0x00 | 1])  # A string, and a null.


@dataclass(frozen=True)
class Version:
    """Hold opcodes of a version: a string into a register, a register into a property, a call, a register into another, and so on."""

    number: int
    load: int
    put: int
    call: int
    move: int
    slot: int = 0
    new: int = 1

    def loads(self, register: int, text: int) -> bytes:
        """Return the instruction that loads a string."""
        return bytes([self.load, register]) + struct.pack("<H", text)


# As hermesc of these versions writes them.
NAMING = [
    Version(84, 109, 55, 80, 8),
    Version(96, 115, 59, 84, 8),
    Version(99, 144, 74, 111, 16, 82),
]


@pytest.mark.parametrize("version", NAMING, ids=lambda each: str(each.number))
@pytest.mark.parametrize("large", [False, True])
def test_names_of_strings(version: Version, large: bool) -> None:
    """Strings have the names of the properties that they're put into, and of arguments beside them."""
    put = version.loads(1, 1) + bytes([version.put, 0, 1, 0]) + struct.pack("<H", 0)
    call = version.loads(5, 3) + version.loads(4, 2) + bytes([version.call, 0, 1, 2, 4, 5])
    data = bytecode(NAMED, version=version.number, code=[put, call], large=large)
    assert set(named(data)) == {("password", "hunter2!"), ("api", "s3cret")}


@pytest.mark.parametrize("version", NAMING, ids=lambda each: str(each.number))
def test_names_in_objects_of_literals(version: Version) -> None:
    """Keys and values of an object lie in stretches of their own; what is filled in later is named by its slot."""
    later = version.number >= 97
    if later:
        code = bytes([version.new, 0]) + struct.pack("<2H", 0, 0)
        code += version.loads(1, 3) + bytes([version.slot, 0, 1, 1])
        expected = {("password", "hunter2!"), ("api", "s3cret")}
    else:
        code = bytes([version.new, 0]) + struct.pack("<4H", 2, 2, 0, 0)
        expected = {("password", "hunter2!")}
    data = bytecode(
        NAMED, version=version.number, code=[code], keys=_FIVE, values=_VALUES, shapes=[(0, 2)]
    )
    assert set(named(data)) == expected


@pytest.mark.parametrize("version", NAMING, ids=lambda each: str(each.number))
def test_a_register_that_holds_something_else(version: Version) -> None:
    """What a register held before has no name of what is put from it later."""
    put = bytes([version.put, 0, 1, 0]) + struct.pack("<H", 0)
    moved = bytes([version.move, 1, 2])
    answered = bytes([version.call, 1, 2, 3, 4, 5])
    for between in (moved, answered):
        code = version.loads(1, 1) + between + put
        assert list(named(bytecode(NAMED, version=version.number, code=[code]))) == []
    kept = version.loads(1, 1) + bytes([version.move, 2, 1]) + put
    assert list(named(bytecode(NAMED, version=version.number, code=[kept])))


def test_functions_that_lie_over_one_another_are_bounded() -> None:
    """Any number of functions may share their instructions: each byte is read twice at most."""
    version = NAMING[0]
    code = (version.loads(1, 1) + bytes([version.put, 0, 1, 0]) + struct.pack("<H", 0)) * 400
    data = bytearray(bytecode(NAMED, code=[code] * 300))
    for number in range(302):
        # Each begins an instruction later in the first one, up to its end.
        struct.pack_into("<2I", data, 128 + 16 * number, len(data) - len(code), len(code) - number)
    assert set(named(bytes(data))) == {("password", "hunter2!")}


@given(st.sampled_from(NAMING), st.data())
def test_changed_bytes_name_nothing_that_is_not_there(
    version: Version, data: st.DataObject
) -> None:
    """Whatever bytes are changed or cut: names and strings are those of the table, or an error of ours."""
    put = version.loads(1, 1) + bytes([version.put, 0, 1, 0]) + struct.pack("<H", 0)
    new = bytes([version.new, 0]) + struct.pack("<4H", 2, 2, 0, 0)
    changed = bytearray(
        bytecode(
            NAMED,
            version=version.number,
            code=[put, new],
            keys=_FIVE,
            values=_VALUES,
            shapes=[(0, 2)],
        )
    )
    for _ in range(data.draw(st.integers(1, 5))):
        changed[data.draw(st.integers(12, len(changed) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(changed[: data.draw(st.integers(len(changed) // 2, len(changed)))])
    try:
        known = set(strings(cut))
    except HermesError:
        return
    assert {text for pair in named(cut) for text in pair} <= known


@given(st.data())
def test_mutated_bytes_give_strings_or_are_refused_before_the_first(data: st.DataObject) -> None:
    """Whatever bytes are changed or cut: as many strings as the table says, or an error of ours and none of them."""
    mutated = bytearray(bytecode(TEXTS))
    for _ in range(data.draw(st.integers(1, 5))):
        mutated[data.draw(st.integers(8, len(mutated) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(mutated[: data.draw(st.integers(8, len(mutated)))])
    told: list[str] = []
    try:
        told.extend(strings(cut))
    except HermesError:
        assert told == []
    else:
        (count,) = struct.unpack_from("<I", cut, 52)
        assert len(told) == count
