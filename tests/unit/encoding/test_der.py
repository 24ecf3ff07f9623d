"""The DER walker stays within its bounds and reads what real devices write."""

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.attestation.forge import integer, tagged, tlv

from watchword.encoding import der
from watchword.encoding.der import Tlv
from watchword.reasons import MalformedError, Reason

READERS: list[Callable[[Tlv], object]] = [
    der.integer,
    der.boolean,
    der.octets,
    der.bits,
    der.object_identifier,
    der.time,
    der.sequence,
    der.set_of,
    der.explicit,
]


@given(st.binary(max_size=64))
def test_garbage_raises_nothing_but_malformed(data: bytes) -> None:
    """Each reader ends in a value or in our own error, and no element reaches beyond the input."""
    with contextlib.suppress(MalformedError):
        element = der.read(data)
        assert element.raw == data
        assert element.raw.endswith(element.content)
        for reader in READERS:
            with contextlib.suppress(MalformedError):
                reader(element)


@given(st.integers(-(2**127), 2**127))
def test_integers_come_back(value: int) -> None:
    """Any INTEGER is read with its sign."""
    assert der.integer(der.read(integer(value))) == value


@given(st.integers(0, 2**28 - 1), st.binary(max_size=300))
def test_tag_numbers_of_any_size_come_back(number: int, content: bytes) -> None:
    """Explicit tags are read in the short and the long form, up to four bytes."""
    outer = der.read(tagged(number, tlv(0x04, content)))
    assert outer.is_context(number)
    assert der.octets(der.explicit(outer)) == content


@pytest.mark.parametrize(
    ("what", "data"),
    [
        ("nothing", b""),
        ("tag alone", b"\x30"),
        ("indefinite length", b"\x30\x80\x00\x00"),
        ("indefinite length and nothing", b"\x30\x80"),
        ("length of five bytes", b"\x04\x85\x00\x00\x00\x00\x00"),
        ("length that is cut off", b"\x04\x82\x01"),
        ("content that is cut off", b"\x04\x05abcd"),
        ("tag number that is cut off", b"\xbf\x85"),
        ("tag number of five bytes", b"\xbf\x81\x81\x81\x81\x01\x00"),
        ("bytes behind the element", b"\x05\x00\x00"),
    ],
)
def test_refuses(what: str, data: bytes) -> None:
    """Whatever doesn't fit its own lengths is refused."""
    with pytest.raises(MalformedError) as caught:
        der.read(data)
    assert caught.value.reason is Reason.ENCODING_DER, what


@pytest.mark.parametrize(
    ("reader", "data"),
    [
        (der.integer, b"\x02\x00"),
        (der.integer, tlv(0x02, b"\x01" * (der.MAX_INTEGER_BYTES + 1))),
        (der.integer, b"\x04\x01\x01"),
        (der.integer, b"\x22\x03\x02\x01\x01"),
        (der.boolean, b"\x01\x00"),
        (der.boolean, b"\x01\x02\xff\xff"),
        (der.octets, b"\x24\x03\x04\x01\x01"),
        (der.bits, b"\x03\x00"),
        (der.bits, b"\x03\x02\x01\x80"),
        (der.object_identifier, b"\x06\x00"),
        (der.object_identifier, b"\x06\x02\x2a\x80"),
        (der.object_identifier, tlv(0x06, b"\x2a" * 65)),
        (der.sequence, b"\x31\x00"),
        (der.sequence, b"\x10\x00"),
        (der.set_of, b"\x30\x00"),
        (der.explicit, b"\x81\x01\x00"),
        (der.explicit, b"\xa1\x00"),
        (der.time, b"\x17\x0b2601010000Z"),
        (der.time, b"\x17\x0d261301000000Z"),
        (der.time, b"\x17\x0d26010100000\xb2Z"),
        (der.time, b"\x18\x13202601010000+0100Z"),
        (der.time, b"\x04\x01Z"),
    ],
)
def test_readers_refuse_other_types_and_forms(reader: Callable[[Tlv], object], data: bytes) -> None:
    """A reader takes its own type in its own form only."""
    with pytest.raises(MalformedError):
        reader(der.read(data))


def test_lenient_forms_of_real_devices_are_read() -> None:
    """TRUE as 0x01 and a length with a needless byte don't stop the walk."""
    assert der.boolean(der.read(b"\x01\x01\x01")) is True
    assert der.boolean(der.read(b"\x01\x01\x00")) is False
    assert der.octets(der.read(b"\x04\x82\x00\x02ab")) == b"ab"


@pytest.mark.parametrize(
    ("data", "instant"),
    [
        (b"\x17\x0d500101000000Z", datetime(1950, 1, 1, tzinfo=UTC)),
        (b"\x17\x0d491231235959Z", datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (b"\x18\x0f21060207062815Z", datetime(2106, 2, 7, 6, 28, 15, tzinfo=UTC)),
    ],
)
def test_times_of_both_kinds(data: bytes, instant: datetime) -> None:
    """A UTCTime belongs to 1950 to 2049, a GeneralizedTime says its century (RFC 5280)."""
    assert der.time(der.read(data)) == instant


@pytest.mark.parametrize(
    ("data", "dotted"),
    [
        ("060a2b06010401d679020111", "1.3.6.1.4.1.11129.2.1.17"),
        ("06092a864886f763640802", "1.2.840.113635.100.8.2"),
        ("0603551d13", "2.5.29.19"),
        ("06028837", "2.999"),
    ],
)
def test_object_identifiers(data: str, dotted: str) -> None:
    """Identifiers come out in dotted form, also under the arc 2 with a large second number."""
    assert der.object_identifier(der.read(bytes.fromhex(data))) == dotted


def test_children_are_read_one_after_the_other() -> None:
    """A constructed element yields its members in order, a primitive one none."""
    outer = der.read(tlv(0x30, integer(1), tlv(0x04, b"x"), integer(2)))
    assert [child.number for child in der.children(outer)] == [2, 4, 2]
    with pytest.raises(MalformedError):
        list(der.children(der.read(b"\x04\x00")))


def test_elements_are_counted() -> None:
    """A list of thousands is refused after the first few, and the cap itself still passes."""
    most = der.read(tlv(0x30, integer(1) * der.MAX_ELEMENTS))
    assert len(der.sequence(most)) == der.MAX_ELEMENTS
    with pytest.raises(MalformedError):
        der.sequence(der.read(tlv(0x30, integer(1) * (der.MAX_ELEMENTS + 1))))


def test_explicit_tags_are_read_by_number() -> None:
    """Short and long tags in any order; the elements within are those that were put there."""
    members = [tagged(704, integer(1)), tagged(1, tlv(0x31, integer(2))), tagged(30, tlv(0x05))]
    found = der.tagged(der.read(tlv(0x30, *members)))
    assert list(found) == [704, 1, 30]
    assert der.integer(found[704]) == 1
    assert [der.integer(each) for each in der.set_of(found[1])] == [2]
    assert found[30].raw == b"\x05\x00"


@pytest.mark.parametrize(
    "data",
    [
        tlv(0x31, tagged(1, integer(1))),
        tlv(0x30, integer(1)),
        tlv(0x30, tlv(0x81, integer(1))),
        tlv(0x30, tlv(0x61, integer(1))),
        tlv(0x30, tagged(1, integer(1)), tagged(1, integer(1))),
        tlv(0x30, tlv(0xA1, integer(1), integer(2))),
        tlv(0x30, tlv(0xA1)),
        tlv(0x30, tlv(0xA1, b"\x02\x05\x00")),
        tlv(0x30, *(tagged(number, tlv(0x05)) for number in range(der.MAX_ELEMENTS + 1))),
    ],
)
def test_refuses_what_is_no_list_of_explicit_tags(data: bytes) -> None:
    """Other types and classes, a tag twice, two elements or none within one, and too many."""
    with pytest.raises(MalformedError) as caught:
        der.tagged(der.read(data))
    assert caught.value.reason is Reason.ENCODING_DER


@given(st.binary(max_size=64))
def test_spans_and_explicit_tags_stay_within_bounds(data: bytes) -> None:
    """Whatever the bytes: spans follow each other without a gap to the very end, or it is malformed."""
    with contextlib.suppress(MalformedError):
        der.tagged(der.read(tlv(0x30, data)))
    with contextlib.suppress(MalformedError):
        end = 0
        for first, start, body, stop in der.spans(data, 0, len(data)):
            assert start == end < body <= stop <= len(data)
            assert first == data[start]
            end = stop
        assert end == len(data)


def test_spans_are_those_of_the_elements() -> None:
    """They lie where the elements were put, within the limits that were given."""
    data = b"x" + integer(5) + tlv(0x04, b"abc") + b"y"
    (one, other) = der.spans(data, 1, len(data) - 1)
    assert one == (2, 1, 3, 4)
    assert data[other[2] : other[3]] == b"abc"
    with pytest.raises(MalformedError):
        der.spans(data, 1, len(data) - 2)
    with pytest.raises(MalformedError):
        der.spans(b"\x05\x00" * (der.MAX_ELEMENTS + 1), 0, 2 * der.MAX_ELEMENTS + 2)


def _outcome(read: Callable[[], object]) -> object:
    """Return what a reader returns, or the reason for which it refuses the input."""
    try:
        return read()
    except MalformedError as error:
        return error.reason


@given(
    st.sampled_from([0x01, 0x02, 0x04, 0x06, 0x0A, 0x22, 0x24, 0x30, 0x31, 0x82, 0xA0, 0xA4]),
    st.binary(max_size=300)
    | st.lists(st.integers(-300, 300), max_size=5).map(
        lambda numbers: b"".join(map(integer, numbers))
    ),
)
def test_reading_in_place_says_the_same(first: int, content: bytes) -> None:
    """An element that is read where it lies is what the same one is when it is cut out."""
    data = tlv(first, content)
    element, place = der.read(data), der.whole(data)
    assert (place[0], data[place[2] : place[3]]) == (first, content)
    assert _outcome(lambda: der.integer_at(data, place)) == _outcome(lambda: der.integer(element))
    assert _outcome(lambda: der.octets_at(data, place)) == _outcome(lambda: der.octets(element))
    assert _outcome(lambda: der.object_identifier_at(data, place)) == _outcome(
        lambda: der.object_identifier(element)
    )
    whole = _outcome(lambda: [each.raw for each in der.sequence(element)])
    assert whole == _outcome(
        lambda: [data[start:end] for _, start, _, end in der.members(data, place)]
    )


@pytest.mark.parametrize(
    "data", [b"", b"\x30", b"\x30\x80", b"\x05\x00\x00", b"\x30\x82\x01", b"\xbf\x80"]
)
def test_a_whole_element_is_one_and_complete(data: bytes) -> None:
    """Neither nothing nor a part nor more than one is taken for an element."""
    with pytest.raises(MalformedError) as caught:
        der.whole(data)
    assert caught.value.reason is Reason.ENCODING_DER
