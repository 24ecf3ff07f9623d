"""What is kept is what would be read: bounded in number and size, and never an error."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.encoding.cache import BoundedCache


@given(st.lists(st.binary(max_size=6), max_size=40))
def test_it_says_what_the_function_says(inputs: list[bytes]) -> None:
    """However often, in whatever order, and beyond its bounds."""
    kept = BoundedCache(bytes.hex, entries=3, size=4)
    for data in inputs:
        assert kept.read(data) == data.hex()


def test_the_same_bytes_are_read_once_and_long_ones_each_time() -> None:
    """Only values under short bytes are kept, and of too many the one unused for longest goes."""
    reads: list[bytes] = []

    def read(data: bytes) -> int:
        reads.append(data)
        return len(data)

    kept = BoundedCache(read, entries=2, size=2)
    for data in (b"a", b"a", b"bb", b"a", b"cc", b"bb", b"long", b"long"):
        assert kept.read(data) == len(data)
    assert reads == [b"a", b"bb", b"cc", b"bb", b"long", b"long"]


def test_errors_are_raised_each_time() -> None:
    """What can't be read isn't remembered as anything."""
    kept = BoundedCache(int, entries=2, size=8)
    for _ in range(2):
        with pytest.raises(ValueError, match="invalid literal"):
            kept.read(b"x")
    assert kept.read(b"7") == 7
