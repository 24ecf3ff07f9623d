"""Walk DER from strangers (X.690), bounds-checked, and lenient where real devices are.

Phones in people's hands write certificates that strict parsers refuse: a stray NULL in an
algorithm identifier, a BOOLEAN TRUE that isn't 0xFF, lengths that aren't minimal.  This walker
reads them; whether a deviation is let pass, and is told, is for the caller.  What it never does
is read past an end or follow an indefinite length.

The caller descends with :func:`children`, one level at a time, so that depth is bounded by the
caller's own code and not by the input.
"""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, NamedTuple, NoReturn

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
_EXPLICIT: Final = 0xA0  # Context-specific and constructed, in the first three bits.
CONTEXT: Final = 2

MAX_TAG_BYTES: Final = 4
"""Most bytes of a tag number above 30; the largest in use (Android's 724) takes two."""

MAX_LENGTH_BYTES: Final = 4
"""Most bytes of a length in the long form."""

MAX_INTEGER_BYTES: Final = 64
"""Most bytes of an INTEGER: room for every serial, and none for a number that Python refuses to print."""

MAX_ELEMENTS: Final = 128
"""Most elements within one; the longest list of a real device has 17."""

FIRST_OF_SEQUENCE: Final = 0x30
"""The first byte of a SEQUENCE, the bit for constructed ones included."""

_FIRST_OF_SET: Final = 0x31

_CONSTRUCTED: Final = frozenset({SEQUENCE, SET})
"""The universal types, of those that are read here, that hold elements."""

_INTEGERS: Final = frozenset({INTEGER, ENUMERATED})
"""The universal types whose content is a number."""

_CUT_OFF: Final = "got input that ends within an element's tag or length"

_UTC_TIME_DIGITS: Final = 12
_GENERALIZED_TIME_DIGITS: Final = 14


class Tlv(NamedTuple):
    """Hold one element: its tag, its content, and its bytes as they arrived.

    A tuple, since making these is most of what reading a certificate costs.
    """

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


Span = tuple[int, int, int, int]
"""An element by where it lies: its first byte, where it starts, where its content does, where it ends."""


def spans(data: bytes, at: int, limit: int) -> list[Span]:
    """Return where the elements lie that stand one after the other from ``at`` to ``limit``.

    For structures of which most elements are only passed over: nothing is copied.

    :raises MalformedError: with ``encoding.der``; also beyond :data:`MAX_ELEMENTS`.
    """
    found: list[Span] = []
    while at < limit:
        # A head of two bytes is read right here: most are, and a call would cost more than the reading.
        body = at + 2
        if body > limit:
            refuse(_CUT_OFF)
        first, length = data[at], data[at + 1]
        if length > 0x7F or first & 0x1F == 0x1F:
            first, _, body, end = _header(data, at, limit)
        else:
            end = body + length
            if end > limit:
                _refuse_content(limit - body, length)
        found.append((first, at, body, end))
        if len(found) > MAX_ELEMENTS:
            refuse(f"got more than {MAX_ELEMENTS} elements within one")
        at = end
    return found


def members(data: bytes, span: Span) -> list[Span]:
    """Return where the elements of a SEQUENCE lie.

    :raises MalformedError: as :func:`spans` does; also for anything but a SEQUENCE.
    """
    if span[0] != FIRST_OF_SEQUENCE:
        refuse(f"got an element that begins with {span[0]:02x}, expected a SEQUENCE")
    return spans(data, span[2], span[3])


def set_members(data: bytes, span: Span) -> list[Span]:
    """Return where the elements of a SET lie, in any order (real devices don't sort them).

    :raises MalformedError: as :func:`spans` does; also for anything but a SET.
    """
    if span[0] != _FIRST_OF_SET:
        refuse(f"got an element that begins with {span[0]:02x}, expected a SET")
    return spans(data, span[2], span[3])


def whole(data: bytes) -> Span:
    """Return where the one element lies that ``data`` holds.

    :raises MalformedError: as :func:`read` does.
    """
    first, _, body, end = _header(data, 0, len(data))
    if end < len(data):
        refuse(f"got {len(data) - end} bytes after the element")
    return first, 0, body, end


def integer_at(data: bytes, span: Span) -> int:
    """Return an INTEGER, or the number of an ENUMERATED, as :func:`integer` does."""
    first, _, body, end = span
    if first not in _INTEGERS:
        refuse(f"got an element that begins with {first:02x}, expected an INTEGER")
    if not 0 < end - body <= MAX_INTEGER_BYTES:
        refuse(f"got an INTEGER of {end - body} bytes")
    return int.from_bytes(data[body:end], "big", signed=True)


def octets_at(data: bytes, span: Span) -> bytes:
    """Return the bytes of a primitive OCTET STRING."""
    if span[0] != OCTET_STRING:
        refuse(f"got an element that begins with {span[0]:02x}, expected an OCTET STRING")
    return data[span[2] : span[3]]


def object_identifier_at(data: bytes, span: Span) -> str:
    """Return an OBJECT IDENTIFIER in dotted form."""
    if span[0] != OBJECT_IDENTIFIER:
        refuse(f"got an element that begins with {span[0]:02x}, expected an OBJECT IDENTIFIER")
    return _dotted(data[span[2] : span[3]])


def read(data: bytes) -> Tlv:
    """Return the one element that ``data`` holds.

    :raises MalformedError: with ``encoding.der``; also for bytes after the element.
    """
    first, number, body, end = _header(data, 0, len(data))
    if end < len(data):
        refuse(f"got {len(data) - end} bytes after the element")
    return _new(Tlv, (first >> 6, first & 0x20 != 0, number, data[body:end], data))


def children(tlv: Tlv) -> tuple[Tlv, ...]:
    """Return the elements within a constructed one.

    :raises MalformedError: with ``encoding.der``; also beyond :data:`MAX_ELEMENTS`.
    """
    _, constructed, _, data, _ = tlv
    if not constructed:
        refuse("got a primitive element, expected a constructed one")
    found: list[Tlv] = []
    end, limit = 0, len(data)
    while end < limit:
        start = end
        first, number, body, end = _header(data, start, limit)
        found.append(
            _new(Tlv, (first >> 6, first & 0x20 != 0, number, data[body:end], data[start:end]))
        )
        if len(found) > MAX_ELEMENTS:
            refuse(f"got more than {MAX_ELEMENTS} elements within one")
    return tuple(found)


def sequence(tlv: Tlv) -> tuple[Tlv, ...]:
    """Return the elements of a SEQUENCE."""
    return children(_typed(tlv, SEQUENCE))


def set_of(tlv: Tlv) -> tuple[Tlv, ...]:
    """Return the elements of a SET, in any order (real devices don't sort them)."""
    return children(_typed(tlv, SET))


def tagged(tlv: Tlv) -> dict[int, Tlv]:
    """Return the elements within the explicit context tags of a SEQUENCE, by tag, in order.

    :raises MalformedError: with ``encoding.der``; also on another class, on a tag that occurs twice, and
        beyond :data:`MAX_ELEMENTS`.
    """
    _typed(tlv, SEQUENCE)
    return tagged_within(tlv.content, 0, len(tlv.content))


def tagged_within(data: bytes, at: int, limit: int) -> dict[int, Tlv]:
    """Return the same as :func:`tagged` from the bytes of ``data`` from ``at`` to ``limit``."""
    found: dict[int, Tlv] = {}
    while at < limit:
        first, tag, inner, end = _header(data, at, limit)
        if first & 0xE0 != _EXPLICIT:
            refuse(f"got tag {tag}, expected an explicit context tag")
        if tag in found:
            refuse(f"got tag {tag} twice")
        first, number, body, at = _header(data, inner, end)
        if at < end:
            refuse(f"got {end - at} bytes after the element")
        found[tag] = _new(
            Tlv, (first >> 6, first & 0x20 != 0, number, data[body:end], data[inner:end])
        )
        if len(found) > MAX_ELEMENTS:
            refuse(f"got more than {MAX_ELEMENTS} elements within one")
    return found


def explicit(tlv: Tlv) -> Tlv:
    """Return the one element within an explicit tag."""
    if not tlv.constructed:
        refuse("got a primitive element, expected an explicit tag")
    return read(tlv.content)


def integer(tlv: Tlv) -> int:
    """Return an INTEGER, or the number of an ENUMERATED."""
    tag_class, constructed, number, content, _ = tlv
    if number not in _INTEGERS or tag_class != UNIVERSAL or constructed:
        refuse(f"got tag {number}, expected an INTEGER")
    if not 0 < len(content) <= MAX_INTEGER_BYTES:
        refuse(f"got an INTEGER of {len(content)} bytes")
    return int.from_bytes(content, "big", signed=True)


def boolean(tlv: Tlv) -> bool:
    """Return a BOOLEAN; any content but 0x00 is true, as in BER (X.690 section 8.2.2)."""
    content = _typed(tlv, BOOLEAN).content
    if len(content) != 1:
        refuse(f"got a BOOLEAN of {len(content)} bytes")
    return content != b"\x00"


def octets(tlv: Tlv) -> bytes:
    """Return the bytes of a primitive OCTET STRING."""
    return _typed(tlv, OCTET_STRING).content


def bits(tlv: Tlv) -> bytes:
    """Return the bytes of a BIT STRING that has no unused bits."""
    content = _typed(tlv, BIT_STRING).content
    if not content or content[0] != 0:
        refuse("got a BIT STRING with unused bits")
    return content[1:]


def object_identifier(tlv: Tlv) -> str:
    """Return an OBJECT IDENTIFIER in dotted form."""
    return _dotted(_typed(tlv, OBJECT_IDENTIFIER).content)


@lru_cache(maxsize=256)
def _dotted(content: bytes) -> str:
    """Return an identifier's content in dotted form; the same dozen comes with every certificate."""
    if not content or content[-1] & 0x80 or len(content) > 64:
        refuse("got an OBJECT IDENTIFIER that is empty, cut off or too long")
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
        refuse(f"got tag {tlv.number}, expected a time")
    if len(text) != digits + 1 or not text[:-1].isdigit() or text[-1:] != b"Z":
        refuse("got a time that isn't in UTC with seconds")
    if digits == _UTC_TIME_DIGITS:
        text = (b"19" if text[:2] >= b"50" else b"20") + text
    day = int(text[:4]), int(text[4:6]), int(text[6:8])
    try:
        return datetime(*day, int(text[8:10]), int(text[10:12]), int(text[12:14]), tzinfo=UTC)
    except ValueError:
        refuse("got a date that isn't in the calendar")


def _typed(tlv: Tlv, number: int) -> Tlv:
    """Return the element if it is of this universal type and form."""
    if tlv.number != number or tlv.tag_class != UNIVERSAL:
        refuse(f"got tag {tlv.number} of class {tlv.tag_class}, expected universal {number}")
    if tlv.constructed != (number in _CONSTRUCTED):
        refuse(f"got universal {number} in the wrong form")
    return tlv


def _header(data: bytes, start: int, limit: int) -> tuple[int, int, int, int]:
    """Read the head of the element at ``start``, which ends at ``limit`` or before.

    :return: the first byte, the tag's number, where the content begins, where it ends.
    """
    body = start + 2
    if body > limit:
        refuse(_CUT_OFF)
    first = data[start]
    number = first & 0x1F
    if number == 0x1F:
        if start + 4 <= limit and data[start + 1] > 0x7F and data[start + 2] < 0x80:
            # Two bytes, as nearly every long tag of Android's has.
            number, body = (data[start + 1] & 0x7F) << 7 | data[start + 2], start + 4
        else:
            number, body = _long_number(data, start + 1, limit)
    length = data[body - 1]
    if length > 0x7F:
        if length == 0x82 and body + 2 <= limit:
            length = data[body] << 8 | data[body + 1]
            body += 2
        else:
            length, body = _long_length(data, body, limit, length & 0x7F)
    end = body + length
    if end > limit:
        _refuse_content(limit - body, length)
    return first, number, body, end


def _long_number(data: bytes, at: int, limit: int) -> tuple[int, int]:
    """Read a tag number above 30; return it and the offset behind the first byte of a length."""
    number = 0
    for end in range(at + 1, min(at + MAX_TAG_BYTES + 1, limit)):
        byte = data[end - 1]
        number = number << 7 | byte & 0x7F
        if byte < 0x80:
            return number, end + 1
    raise MalformedError.because(
        Reason.ENCODING_DER, "got a tag number that is cut off or too large"
    )


def _long_length(data: bytes, at: int, limit: int, size: int) -> tuple[int, int]:
    """Read a definite length of ``size`` bytes; return it and the offset behind it."""
    if not 0 < size <= MAX_LENGTH_BYTES:
        refuse("got an indefinite length or one of too many bytes")
    end = at + size
    if end > limit:
        refuse("got input that ends within a length")
    return int.from_bytes(data[at:end], "big"), end


_new = tuple.__new__
"""Make an element without the detour through Python that a named tuple's own constructor takes."""


def _refuse_content(size: int, wanted: int) -> NoReturn:
    refuse(f"got {size} bytes of content, expected {wanted}")


def refuse(detail: str) -> NoReturn:
    """Refuse bytes that aren't DER as it has to be.

    :raises MalformedError: always, with what is wrong with them.
    """
    raise MalformedError.because(Reason.ENCODING_DER, detail)
