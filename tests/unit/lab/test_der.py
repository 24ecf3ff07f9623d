"""Hold the DER writer to the decoder of cryptography, and to X.690's examples."""

from typing import Annotated

import pytest
from cryptography.hazmat import asn1
from hypothesis import given
from hypothesis import strategies as st

from watchword.lab import der


@given(st.integers(min_value=0, max_value=2**200))
def test_integers_read_back(value: int) -> None:
    """Any non-negative integer is in the one form that a strict decoder takes."""
    assert asn1.decode_der(int, der.integer(value)) == value


@given(st.binary(max_size=70_000))
def test_octet_strings_read_back(value: bytes) -> None:
    """Short and long lengths are in the one form that a strict decoder takes."""
    assert asn1.decode_der(bytes, der.octet_string(value)) == value


def test_booleans_read_back() -> None:
    """TRUE is 0xff, which strict decoders insist on."""
    assert asn1.decode_der(bool, der.boolean(True)) is True
    assert asn1.decode_der(bool, der.boolean(False)) is False


@asn1.sequence
class Tagged:
    """Hold fields under a short tag and under two- and three-byte ones."""

    short: Annotated[int, asn1.Explicit(10)]
    long: Annotated[int, asn1.Explicit(31)]
    longer: Annotated[int, asn1.Explicit(704)]


def test_tags_and_sequences_read_back() -> None:
    """Explicit tags below and above 31 are understood by another implementation."""
    data = der.sequence(*(der.explicit(tag, der.integer(tag)) for tag in (10, 31, 704)))
    read = asn1.decode_der(Tagged, data)
    assert (read.short, read.long, read.longer) == (10, 31, 704)


@pytest.mark.parametrize(
    ("tag", "head"), [(30, "be"), (31, "bf1f"), (127, "bf7f"), (128, "bf8100"), (704, "bf8540")]
)
def test_tag_bytes(tag: int, head: str) -> None:
    """Tag numbers are written as X.690 section 8.1.2 says."""
    assert der.explicit(tag, b"").hex() == head + "00"


@pytest.mark.parametrize(
    ("dotted", "encoded"),
    [
        ("1.2.840.10045.4.3.2", "06082a8648ce3d040302"),
        ("2.999.3", "0603883703"),
        ("1.3.6.1.4.1.11129.2.1.17", "060a2b06010401d679020111"),
    ],
)
def test_object_identifiers(dotted: str, encoded: str) -> None:
    """The example of X.690 section 8.19.5, and two that the lab writes."""
    assert der.object_identifier(dotted).hex() == encoded


def test_bit_strings_have_no_unused_bits() -> None:
    """A signature is whole bytes."""
    assert der.bit_string(b"\xa5").hex() == "030200a5"


def test_a_sloppy_true() -> None:
    """Some devices write TRUE as 0x01; FALSE has one form in any case."""
    assert der.boolean(True, true=1).hex() == "010101"
    assert der.boolean(False, true=1) == der.boolean(False)


@given(st.binary(max_size=70_000))
def test_content_is_what_was_wrapped(value: bytes) -> None:
    """Short and long lengths alike."""
    assert der.content(der.octet_string(value)) == value


def test_sets_are_sorted() -> None:
    """SET OF is ascending whatever order it is given in."""
    assert der.set_of([der.integer(3), der.integer(1)]).hex() == "3106020101020103"


def test_enumerated_bytes() -> None:
    """ENUMERATED has its own tag."""
    assert der.enumerated(1).hex() == "0a0101"
