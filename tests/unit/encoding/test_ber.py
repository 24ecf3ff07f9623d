"""BER: brought into definite lengths within caps, and nothing but one error."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.encoding import ber, der
from watchword.encoding.der import Tlv
from watchword.reasons import MalformedError, Reason


def indefinite(tag: int, *parts: bytes) -> bytes:
    """Return a constructed element of indefinite length."""
    return bytes([tag, 0x80]) + b"".join(parts) + b"\x00\x00"


def written(tag: int, *parts: bytes) -> bytes:
    """Return an element of definite length."""
    content = b"".join(parts)
    size = len(content).to_bytes(2, "big")
    return bytes([tag]) + (size[1:] if len(content) < 0x80 else b"\x82" + size) + content


def nested(depth: int, tag: int = 0x30) -> bytes:
    """Return elements of indefinite length within each other."""
    return bytes([tag, 0x80]) * depth + b"\x00\x00" * depth


def read(data: bytes) -> Tlv:
    """Return the element in ``data``."""
    return der.read(ber.definite(data))


def refused(data: bytes) -> str:
    """Return why it can't be brought into definite lengths."""
    with pytest.raises(MalformedError) as caught:
        ber.definite(data)
    assert caught.value.reason is Reason.ENCODING_DER
    return caught.value.detail


def test_definite_elements_stay_as_they_are() -> None:
    """Whatever is within: a certificate's bytes are those that were signed."""
    for data in (
        b"\x30\x07\x02\x01\x05\x04\x02hi",
        b"\x30\x81\x01\x05",
        b"\xbf\x85\x43\x00",
        b"\x05\x00",
    ):
        assert ber.definite(data) == data
        assert ber.definite(indefinite(0xA0, data)) == written(0xA0, data)


def test_indefinite_lengths_become_definite() -> None:
    """On every level, with tags of several bytes and contents of any size."""
    inner = written(0x04, b"x" * 300)
    data = indefinite(0x30, b"\x02\x01\x05", indefinite(0xA0, inner, indefinite(0x31)))
    assert ber.definite(data) == written(0x30, b"\x02\x01\x05", written(0xA0, inner, written(0x31)))
    assert ber.definite(b"\xbf\x85\x43\x80\x05\x00\x00\x00") == b"\xbf\x85\x43\x02\x05\x00"
    assert ber.definite(indefinite(0x30, written(0x04, b"x" * 60_000)))[:4] == b"\x30\x82\xea\x64"


def test_the_end_is_that_of_the_outer_element() -> None:
    """Zeros within a definite element, and ends of inner elements, don't end the outer one."""
    zeros = b"\x04\x04\x00\x00\x00\x00"
    tlv = read(indefinite(0x30, zeros, indefinite(0xA0, zeros), b"\x02\x01\x07"))
    first, second, third = der.sequence(tlv)
    assert first.content == bytes(4)
    assert der.explicit(second).content == bytes(4)
    assert der.integer(third) == 7


def test_octet_strings_come_in_pieces() -> None:
    """Pieces in order, pieces within pieces, and none at all."""
    a, b, c = b"\x04\x01a", b"\x04\x01b", b"\x04\x01c"
    assert ber.definite(indefinite(0x24, a, indefinite(0x24, b, b"\x04\x00"), c)) == b"\x04\x03abc"
    assert ber.definite(indefinite(0x24)) == b"\x04\x00"
    assert ber.definite(indefinite(0x24, written(0x24, a, b), c)) == b"\x04\x03abc"
    # In pieces of definite length it stays as it is, and is read in the end.
    assert ber.octets(der.read(written(0x24, a, written(0x24, b, c)))) == b"abc"
    assert ber.octets(der.read(a)) == b"a"


def test_pieces_of_another_type_are_refused() -> None:
    """A piece that isn't an OCTET STRING isn't passed over."""
    for piece in (b"\x02\x01a", b"\x84\x01a", indefinite(0x30)):
        assert "expected an OCTET STRING" in refused(indefinite(0x24, piece))
        with pytest.raises(MalformedError):
            ber.octets(der.read(written(0x24, ber.definite(piece))))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "ends within an element"),
        (b"\x30", "ends within an element"),
        (b"\x30\x80", "ends within an element"),
        (b"\x30\x80\x00", "ends within an element"),
        (b"\x30\x80\x02\x01\x05", "ends within an element"),
        (b"\x30\x80\x02\x01\x05\x00", "ends within an element"),
        (b"\x30\x05\x02", "bytes of content"),
        (b"\x04\x80ab\x00\x00", "primitive element of indefinite length"),
        (b"\x30\x85\x00\x00\x00\x00\x01", "length of too many bytes"),
        (b"\x30\x82\x01", "cut off"),
        (b"\x30\xff", "length of too many bytes"),
        (b"\x00\x00", "end-of-contents where nothing"),
        (b"\x30\x80\x00\x01x\x00\x00", "end-of-contents where nothing"),
        (b"\x30\x00\x00", "1 bytes after"),
        (indefinite(0x30) + b"\x00\x00", "2 bytes after"),
        (b"\x1f\xff\xff\xff\xff\x01\x00", "tag number"),
        (b"\x1f\x81", "tag number"),
        (b"\x05\x00" * 40_000, "at most 65536"),
    ],
)
def test_bad_input_is_refused(data: bytes, why: str) -> None:
    """Cut off, unbounded, misplaced or oversized: a reason, not an exception of another kind."""
    assert why in refused(data)


def test_depth_is_capped() -> None:
    """As many levels as the cap are read; one more isn't, and neither are thousands."""
    assert len(ber.definite(nested(ber.MAX_DEPTH))) == 2 * ber.MAX_DEPTH
    for depth in (ber.MAX_DEPTH + 1, 16_000):
        assert "deeper" in refused(nested(depth))
        assert "deeper" in refused(nested(depth, 0x24))
    pieces = b"\x04\x01x"
    for _ in range(ber.MAX_DEPTH):
        pieces = written(0x24, pieces)
    assert ber.octets(der.read(pieces)) == b"x"
    with pytest.raises(MalformedError, match="deeper"):
        ber.octets(der.read(written(0x24, pieces)))


def test_number_of_elements_is_capped() -> None:
    """A receipt has 15; thousands of tiny ones are refused, on one level or on several."""
    fits = b"\x05\x00" * ber.MAX_ELEMENTS
    assert ber.definite(indefinite(0x30, fits)) == written(0x30, fits)
    assert "more than" in refused(indefinite(0x30, fits, b"\x05\x00"))
    assert "more than" in refused(indefinite(0x30, indefinite(0xA0, fits)))
    assert "more than" in refused(indefinite(0x30, b"\x05\x00" * 30_000))


def test_the_worst_input_is_quick() -> None:
    """64 KiB of anything costs a millisecond or two, since caps come first."""
    for data in (nested(16_000), indefinite(0x30, b"\x05\x00" * 30_000), b"\x30\x80" * 32_768):
        start = time.process_time()
        assert refused(data)
        assert time.process_time() - start < 0.02


@given(st.binary(max_size=300))
def test_any_bytes_end_in_an_element_or_the_error(data: bytes) -> None:
    """No other exception comes out, and what comes out is one element of definite length."""
    try:
        element = ber.definite(data)
    except MalformedError as error:
        assert error.reason is Reason.ENCODING_DER  # noqa: PT017 - either outcome is right.
    else:
        assert der.read(element).raw == element
        assert ber.definite(element) == element


_TREES = st.recursive(
    st.binary(max_size=200), lambda inner: st.lists(inner, max_size=4), max_leaves=12
)


@given(_TREES)
def test_pieces_join_to_what_was_cut(tree: object) -> None:
    """However an octet string is cut into pieces, its bytes are the same."""

    def write(part: object, *, closed: bool) -> tuple[bytes, bytes]:
        if isinstance(part, bytes):
            return written(0x04, part), part
        assert isinstance(part, list)
        pieces = [write(each, closed=not closed) for each in part]
        body = [each for each, _ in pieces]
        # Within definite lengths nothing is looked into, so that all within has to be definite too.
        whole = written(0x24, *map(ber.definite, body)) if closed else indefinite(0x24, *body)
        return whole, b"".join(plain for _, plain in pieces)

    encoded, plain = write(tree, closed=False)
    try:
        assert ber.octets(read(encoded)) == plain
    except MalformedError as error:
        assert "deeper" in error.detail  # noqa: PT017 - beyond the cap on purpose.
