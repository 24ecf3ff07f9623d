"""Property lists of strangers: what is taken, and what would break whoever walks it."""

import contextlib
import plistlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.scan.ios.plists import (
    MOST_BYTES,
    MOST_DEPTH,
    PlistError,
    is_set,
    items_of,
    mapping_of,
    names_of,
    read_plist,
)

HEAD = b'<?xml version="1.0" encoding="UTF-8"?>\n'


@pytest.mark.parametrize("form", [plistlib.FMT_XML, plistlib.FMT_BINARY], ids=["xml", "binary"])
def test_both_forms_are_read(form: plistlib.PlistFormat) -> None:
    """XML and binary say the same."""
    value = {"a": "b", "c": [1, True, {"d": "e"}]}
    assert read_plist(plistlib.dumps(value, fmt=form)) == value


def test_entities_are_refused() -> None:
    """An entity that is made of entities isn't expanded: the list is refused where it's declared."""
    bomb = (
        HEAD + b'<!DOCTYPE plist [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;">]>'
        b"<plist><dict><key>k</key><string>&b;</string></dict></plist>"
    )
    with pytest.raises(PlistError):
        read_plist(bomb)


def _nested(depth: int) -> bytes:
    inside = b"<array>" * depth + b"</array>" * depth
    return HEAD + b"<plist><dict><key>k</key>" + inside + b"</dict></plist>"


def test_nesting_is_bounded() -> None:
    """What is nested deeper than the bound is refused, also where the parser itself would give up."""
    assert read_plist(_nested(MOST_DEPTH - 2))
    for depth in (MOST_DEPTH + 1, 5000):
        with pytest.raises(PlistError):
            read_plist(_nested(depth))


def _shared(levels: int) -> bytes:
    """Return a binary list of arrays, each of which holds the next one twice: a tree of 2 ** levels."""
    value: object = ["x"]
    for _ in range(levels):
        value = [value, value]
    objects = [b"\xd1\x01\x02", b"\x51k"]
    objects += [b"\xa2" + bytes([index, index]) for index in range(3, 3 + levels)]
    objects += [b"\xa0"]
    body, offsets = b"bplist00", b""
    for one in objects:
        offsets += bytes([len(body)])
        body += one
    trailer = bytes(6) + b"\1\1" + len(objects).to_bytes(8, "big") + bytes(8)
    return body + offsets + trailer + len(body).to_bytes(8, "big")


def test_shared_members_count_each_time() -> None:
    """A list of a hundred bytes that is a tree of a million is refused, at once; a small one is taken."""
    assert read_plist(_shared(4))
    with pytest.raises(PlistError):
        read_plist(_shared(20))


def test_recursion_through_itself_is_refused() -> None:
    """An array that holds itself has no end."""
    body = b"bplist00" + b"\xd1\x01\x02" + b"\x51k" + b"\xa1\x02"
    trailer = bytes(6) + b"\1\1" + (3).to_bytes(8, "big") + bytes(8) + len(body).to_bytes(8, "big")
    with pytest.raises(PlistError):
        read_plist(body + b"\x08\x0b\x0d" + trailer)


def test_size_is_bounded() -> None:
    """A list beyond the bound isn't parsed, even if it is sound."""
    sound = plistlib.dumps({"k": "v"})
    with pytest.raises(PlistError):
        read_plist(sound + b" " * MOST_BYTES)


@pytest.mark.parametrize("value", [["a"], "text"], ids=["list", "text"])
def test_only_a_dictionary_is_taken(value: list[str] | str) -> None:
    """The outermost value is a dictionary."""
    with pytest.raises(PlistError):
        read_plist(plistlib.dumps(value))


SOUND = [
    plistlib.dumps({"a": [1, 2.5, True, {"b": b"\0\1"}], "c": "d"}, fmt=form)
    for form in (plistlib.FMT_XML, plistlib.FMT_BINARY)
]


@given(st.sampled_from(SOUND), st.data())
def test_mutated_bytes_raise_nothing_foreign(sound: bytes, data: st.DataObject) -> None:
    """Whatever bytes are changed or cut, a dictionary or PlistError comes out."""
    mutated = bytearray(sound)
    for _ in range(data.draw(st.integers(1, 6))):
        mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(mutated)))
    with contextlib.suppress(PlistError):
        assert isinstance(read_plist(bytes(mutated[:cut])), dict)


def test_values_of_other_kinds_are_none() -> None:
    """What is no dictionary, list or name counts as empty; words and numbers count as flags."""
    assert mapping_of(["a"]) == {}
    assert mapping_of({"a": 1, 2: 3}) == {"a": 1}
    assert items_of("abc") == ()
    assert names_of(["a", 1, "b"]) == ("a", "b")
    flags: list[object] = [True, 1, "YES", "true", False, 0, "NO", None, []]
    assert [is_set(one) for one in flags] == [True] * 4 + [False] * 5
