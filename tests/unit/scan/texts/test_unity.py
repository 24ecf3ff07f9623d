"""The strings of metadata of Unity's IL2CPP."""

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.scan.texts.unity_builders import metadata

from watchword.scan.texts.reader import VERSIONS, UnityError, unity_rest, unity_strings

TEXTS = ["https://api.example.test/v1", "", "Grüße 世界", "L" * 300]
NAMES = ["PaymentService", "SendAsync"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("lengths", [True, False])
def test_strings_and_names(version: int, lengths: bool) -> None:
    """Literals lie without anything between them; the table says where each begins, with its length or without."""
    data = metadata(TEXTS, NAMES, version=version, lengths=lengths, behind=b"more")
    assert list(unity_strings(data)) == [*TEXTS, *NAMES, ""]
    assert data[unity_rest(data) :] == b"more"


@pytest.mark.parametrize("version", [0, 15, 32, 34, 38, 2**32 - 1])
def test_a_version_that_is_not_known(version: int) -> None:
    """Nobody knows where its strings are: it's refused, never guessed."""
    with pytest.raises(UnityError, match="isn't known"):
        next(unity_strings(metadata(TEXTS, version=version)))


@pytest.mark.parametrize(
    ("at", "value", "why"),
    [
        (0, 1, "encrypted"),
        (8, 2**31, "beyond its end"),
        (12, 2**32 - 1, "beyond its end"),
        (20, 10, "hold together"),
        (8, 4, "beyond its end"),
        (28, 10**6, "beyond its end"),
    ],
)
def test_tables_that_do_not_hold_together(at: int, value: int, why: str) -> None:
    """They're refused before the first string."""
    data = bytearray(metadata(TEXTS, NAMES))
    struct.pack_into("<I", data, at, value)
    with pytest.raises(UnityError, match=why):
        next(unity_strings(bytes(data)))


@given(st.data())
def test_changed_bytes_raise_nothing_foreign(data: st.DataObject) -> None:
    """Whatever bytes are changed or cut: strings of the file, or an error of ours before the first."""
    changed = bytearray(metadata(TEXTS, NAMES))
    for _ in range(data.draw(st.integers(1, 5))):
        changed[data.draw(st.integers(4, len(changed) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(changed[: data.draw(st.integers(4, len(changed)))])
    told: list[str] = []
    try:
        told.extend(unity_strings(cut))
    except UnityError:
        assert told == []
    with suppress(UnityError):
        assert sum(map(len, unity_strings(cut))) <= 2 * len(cut)
