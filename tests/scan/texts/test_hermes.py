"""The string table of Hermes bytecode."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.scan.texts.hermes_building import bytecode

from watchword.scan.texts.hermes import HermesError, is_hermes, strings

TEXTS = ["https://api.example.test/v1", "key", "Grüße 世界", "L" * 300, ""]


def test_strings_are_told_apart() -> None:
    """Strings lie without anything between them; the table says where each begins."""
    data = bytecode(TEXTS)
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


@given(st.data())
def test_bent_bytes_give_strings_or_are_refused_before_the_first(data: st.DataObject) -> None:
    """Whatever bytes are changed or cut: as many strings as the table says, or an error of ours and none of them."""
    bent = bytearray(bytecode(TEXTS))
    for _ in range(data.draw(st.integers(1, 5))):
        bent[data.draw(st.integers(8, len(bent) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(bent[: data.draw(st.integers(8, len(bent)))])
    told: list[str] = []
    try:
        told.extend(strings(cut))
    except HermesError:
        assert told == []
    else:
        (count,) = struct.unpack_from("<I", cut, 52)
        assert len(told) == count
