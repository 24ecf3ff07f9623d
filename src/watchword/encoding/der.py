"""Walk DER from strangers (X.690), bounds-checked, and lenient where real devices are.

Phones in people's hands write certificates that strict parsers refuse: a stray NULL in an
algorithm identifier, a BOOLEAN TRUE that isn't 0xFF, lengths that aren't minimal.  This walker
reads them; whether a deviation is let pass, and is told, is for the caller.  What it never does
is read past an end or follow an indefinite length.

The caller descends with :func:`children`, one level at a time, so that depth is bounded by the
caller's own code and not by the input.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NoReturn

from watchword.reasons import MalformedError, Reason

BOOLEAN: Final = 1
INTEGER: Final = 2
BIT_STRING: Final = 3
OCTET_STRING: Final = 4
NULL: Final = 5
OBJECT_IDENTIFIER: Final = 6
ENUMERATED: Final = 10
SEQUENCE: Final = 16
SET: Final = 17
UTC_TIME: Final = 23
GENERALIZED_TIME: Final = 24

UNIVERSAL: Final = 0
CONTEXT: Final = 2

MAX_TAG_BYTES: Final = 4
"""Most bytes of a tag number above 30; the largest in use (Android's 724) takes two."""

MAX_LENGTH_BYTES: Final = 4
"""Most bytes of a length in the long form."""

MAX_INTEGER_BYTES: Final = 64
"""Most bytes of an INTEGER: room for every serial, and none for a number that Python refuses to print."""

MAX_ELEMENTS: Final = 128
"""Most elements within one; the longest list of a real device has 17."""

_UTC_TIME_DIGITS: Final = 12
_GENERALIZED_TIME_DIGITS: Final = 14


@dataclass(frozen=True, slots=True)
class Tlv:
    """Hold one element: its tag, its content, and its bytes as they arrived."""

    tag_class: int
    constructed: bool
    number: int
    content: bytes
    raw: bytes

    def is_universal(self, number: int) -> bool:
        """Tell whether this is the universal type with this number."""
        return self.tag_class == UNIVERSAL and self.number == number

    def is_context(self, number: int) -> bool:
        """Tell whether this is the context-specific tag with this number."""
        return self.tag_class == CONTEXT and self.number == number


def read(data: bytes) -> Tlv:
    """Return the one element that ``data`` holds.

    :raises MalformedError: with ``encoding.der``; also for bytes after the element.
    """
    tlv, end = _read_at(data, 0)
    if end < len(data):
        _refuse(f"got {len(data) - end} bytes after the element")
    return tlv


def children(tlv: Tlv) -> Iterator[Tlv]:
    """Yield the elements within a constructed one.

    :raises MalformedError: with ``encoding.der``, while it is iterated; also beyond
        :data:`MAX_ELEMENTS`.
    """
    if not tlv.constructed:
        _refuse("got a primitive element, expected a constructed one")
    at = 0
    for _ in range(MAX_ELEMENTS):
        if at == len(tlv.content):
            return
        child, at = _read_at(tlv.content, at)
        yield child
    if at < len(tlv.content):
        _refuse(f"got more than {MAX_ELEMENTS} elements within one")


def sequence(tlv: Tlv) -> tuple[Tlv, ...]:
    """Return the elements of a SEQUENCE."""
    return tuple(children(_typed(tlv, SEQUENCE)))


def set_of(tlv: Tlv) -> tuple[Tlv, ...]:
    """Return the elements of a SET, in any order (real devices don't sort them)."""
    return tuple(children(_typed(tlv, SET)))


def explicit(tlv: Tlv) -> Tlv:
    """Return the one element within an explicit tag."""
    if not tlv.constructed:
        _refuse("got a primitive element, expected an explicit tag")
    return read(tlv.content)


def integer(tlv: Tlv) -> int:
    """Return an INTEGER, or the number of an ENUMERATED."""
    if not (tlv.is_universal(INTEGER) or tlv.is_universal(ENUMERATED)) or tlv.constructed:
        _refuse(f"got tag {tlv.number}, expected an INTEGER")
    if not 0 < len(tlv.content) <= MAX_INTEGER_BYTES:
        _refuse(f"got an INTEGER of {len(tlv.content)} bytes")
    return int.from_bytes(tlv.content, "big", signed=True)


def boolean(tlv: Tlv) -> bool:
    """Return a BOOLEAN; any content but 0x00 is true, as in BER (X.690 section 8.2.2)."""
    content = _typed(tlv, BOOLEAN).content
    if len(content) != 1:
        _refuse(f"got a BOOLEAN of {len(content)} bytes")
    return content != b"\x00"


def octets(tlv: Tlv) -> bytes:
    """Return the bytes of a primitive OCTET STRING."""
    return _typed(tlv, OCTET_STRING).content


def bits(tlv: Tlv) -> bytes:
    """Return the bytes of a BIT STRING that has no unused bits."""
    content = _typed(tlv, BIT_STRING).content
    if not content or content[0] != 0:
        _refuse("got a BIT STRING with unused bits")
    return content[1:]


def object_identifier(tlv: Tlv) -> str:
    """Return an OBJECT IDENTIFIER in dotted form."""
    content = _typed(tlv, OBJECT_IDENTIFIER).content
    if not content or content[-1] & 0x80 or len(content) > 64:
        _refuse("got an OBJECT IDENTIFIER that is empty, cut off or too long")
    arcs: list[int] = []
    value = 0
    for byte in content:
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            arcs.append(value)
            value = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(str(arc) for arc in (first, arcs[0] - 40 * first, *arcs[1:]))


def time(tlv: Tlv) -> datetime:
    """Return a UTCTime or GeneralizedTime in the one form of RFC 5280 section 4.1.2.5."""
    text = tlv.content
    if tlv.is_universal(UTC_TIME):
        digits = _UTC_TIME_DIGITS
    elif tlv.is_universal(GENERALIZED_TIME):
        digits = _GENERALIZED_TIME_DIGITS
    else:
        _refuse(f"got tag {tlv.number}, expected a time")
    if len(text) != digits + 1 or not text[:-1].isdigit() or text[-1:] != b"Z":
        _refuse("got a time that isn't in UTC with seconds")
    if digits == _UTC_TIME_DIGITS:
        text = (b"19" if text[:2] >= b"50" else b"20") + text
    fields = [int(text[:4]), *(int(text[at : at + 2]) for at in range(4, 14, 2))]
    try:
        return datetime(*fields, tzinfo=UTC)  # type: ignore[arg-type, misc]
    except ValueError:
        _refuse("got a date that isn't in the calendar")


def _typed(tlv: Tlv, number: int) -> Tlv:
    """Return the element if it is of this universal type and form."""
    if not tlv.is_universal(number):
        _refuse(f"got tag {tlv.number} of class {tlv.tag_class}, expected universal {number}")
    if tlv.constructed != (number in {SEQUENCE, SET}):
        _refuse(f"got universal {number} in the wrong form")
    return tlv


def _read_at(data: bytes, start: int) -> tuple[Tlv, int]:
    """Read the element at ``start``; return it and the offset behind it."""
    if start >= len(data):
        _refuse("got nothing, expected an element")
    first = data[start]
    number, at = first & 0x1F, start + 1
    if number == 0x1F:
        number, at = _long_number(data, at)
    length, at = _length(data, at)
    end = at + length
    if end > len(data):
        _refuse(f"got {len(data) - at} bytes of content, expected {length}")
    tlv = Tlv(first >> 6, bool(first & 0x20), number, data[at:end], data[start:end])
    return tlv, end


def _long_number(data: bytes, start: int) -> tuple[int, int]:
    """Read a tag number above 30; return it and the offset behind it."""
    number = 0
    for at, byte in enumerate(data[start : start + MAX_TAG_BYTES], start=start + 1):
        number = number << 7 | byte & 0x7F
        if not byte & 0x80:
            return number, at
    raise MalformedError.because(
        Reason.ENCODING_DER, "got a tag number that is cut off or too large"
    )


def _length(data: bytes, at: int) -> tuple[int, int]:
    """Read a definite length; return it and the offset behind it."""
    if at >= len(data):
        _refuse("got input that ends before a length")
    first = data[at]
    at += 1
    if first < 0x80:
        return first, at
    size = first & 0x7F
    if not 0 < size <= MAX_LENGTH_BYTES:
        _refuse("got an indefinite length or one of too many bytes")
    if size > len(data) - at:
        _refuse("got input that ends within a length")
    return int.from_bytes(data[at : at + size], "big"), at + size


def _refuse(detail: str) -> NoReturn:
    raise MalformedError.because(Reason.ENCODING_DER, detail)
