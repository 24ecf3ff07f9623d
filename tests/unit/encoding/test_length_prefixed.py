"""Join byte strings without two meanings."""

from hypothesis import given
from hypothesis import strategies as st

from watchword.encoding import length_prefixed

PARTS = st.lists(st.binary(max_size=6), max_size=4)


def test_layout() -> None:
    """Four bytes of length, big endian, stand before each part."""
    assert length_prefixed.join(b"ab", b"") == b"\0\0\0\2ab\0\0\0\0"
    assert length_prefixed.join() == b""


@given(one=PARTS, two=PARTS)
def test_no_two_lists_give_the_same(one: list[bytes], two: list[bytes]) -> None:
    """What was joined can be told apart again."""
    assert (length_prefixed.join(*one) == length_prefixed.join(*two)) == (one == two)
