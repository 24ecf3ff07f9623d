"""Bring BER from strangers (X.690 section 8) into definite lengths, so that the DER walker can read it.

Apple's receipts have elements of indefinite length, and an octet string in pieces, which
:mod:`watchword.encoding.der` refuses on purpose.  An element of indefinite length ends where its own
end-of-contents stands, so that everything within has to be passed over to find it: that is bounded in depth
and in the number of elements.  What has a definite length is copied as it is, and never looked into.
"""

from typing import Final

from watchword.encoding import der
from watchword.encoding.der import MAX_LENGTH_BYTES, MAX_TAG_BYTES, OCTET_STRING, Tlv
from watchword.reasons import MalformedError, Reason

MAX_DEPTH: Final = 8
"""Most elements of indefinite length within each other; a receipt has five."""

MAX_ELEMENTS: Final = 256
"""Most elements within those of indefinite length, in all; a receipt has about 15."""

MAX_BYTES: Final = 64 * 1024
"""Most bytes of input; a receipt has about 4,000."""

_INDEFINITE: Final = -1
_PIECES: Final = 0x24
"""The first byte of an OCTET STRING in pieces."""

_END_OF_CONTENTS: Final = b"\x00\x00"


def definite(data: bytes) -> bytes:
    """Return the one element that ``data`` holds, with definite lengths instead of indefinite ones.

    An OCTET STRING of indefinite length becomes one in a single piece.

    :raises MalformedError: with ``encoding.der``; also for bytes after the element, and beyond the caps.
    """
    if len(data) > MAX_BYTES:
        der.refuse(f"got {len(data)} bytes, expected at most {MAX_BYTES}")
    element, end = _Rewriter(data).element(0, 0)
    if end < len(data):
        der.refuse(f"got {len(data) - end} bytes after the element")
    return element


def octets(tlv: Tlv) -> bytes:
    """Return the bytes of an OCTET STRING, in one piece or in several, which may be in pieces again.

    :raises MalformedError: with ``encoding.der``; also beyond the caps.
    """
    return tlv.content if tlv[:3] == (0, False, OCTET_STRING) else b"".join(_pieces(tlv, 0))


def _pieces(tlv: Tlv, depth: int) -> list[bytes]:
    """Return the pieces of an OCTET STRING in order (X.690 section 8.7)."""
    if not tlv.is_universal(OCTET_STRING):
        der.refuse(f"got tag {tlv.number} of class {tlv.tag_class}, expected an OCTET STRING")
    if depth > MAX_DEPTH:
        der.refuse(f"got octet strings nested deeper than {MAX_DEPTH}")
    if not tlv.constructed:
        return [tlv.content]
    return [piece for child in der.children(tlv) for piece in _pieces(child, depth + 1)]


class _Rewriter:
    """Rewrite one element, counting what it passes over."""

    __slots__ = ("_data", "_left")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._left = MAX_ELEMENTS

    def element(self, start: int, depth: int) -> tuple[bytes, int]:
        """Return the element at ``start`` with definite lengths, and the offset behind it."""
        data = self._data
        body, length = _head(data, start)
        if length != _INDEFINITE:
            if not data[start]:
                der.refuse("got an end-of-contents where nothing of indefinite length is open")
            end = body + length
            return data[start:end], end
        if depth == MAX_DEPTH:
            der.refuse(f"got indefinite lengths nested deeper than {MAX_DEPTH}")
        parts = []
        end = body
        while data[end : end + 2] != _END_OF_CONTENTS:
            self._left -= 1
            if self._left < 0:
                der.refuse(f"got more than {MAX_ELEMENTS} elements")
            part, end = self.element(end, depth + 1)
            parts.append(part)
        if data[start] == _PIECES:
            content = b"".join(octets(der.read(part)) for part in parts)
            return _written(b"\x04", content), end + 2
        return _written(data[start : body - 1], b"".join(parts)), end + 2


def _head(data: bytes, start: int) -> tuple[int, int]:
    """Read tag and length; return the offset of the content and the length."""
    body = start + 2
    if body > len(data):
        der.refuse("got input that ends within an element")
    if data[start] & 0x1F == 0x1F:
        body = _after_long_number(data, start + 1)
    length = data[body - 1]
    if length > 0x80:
        size = length & 0x7F
        if size > MAX_LENGTH_BYTES or size > len(data) - body:
            der.refuse("got a length of too many bytes, or one that is cut off")
        length, body = int.from_bytes(data[body : body + size], "big"), body + size
    elif length == 0x80:
        if not data[start] & 0x20:
            der.refuse("got a primitive element of indefinite length")
        return body, _INDEFINITE
    if length > len(data) - body:
        der.refuse(f"got {len(data) - body} bytes of content, expected {length}")
    return body, length


def _after_long_number(data: bytes, at: int) -> int:
    """Return the offset behind the first byte of the length that follows a tag number above 30."""
    for end in range(at + 1, min(at + MAX_TAG_BYTES + 1, len(data))):
        if data[end - 1] < 0x80:
            return end + 1
    raise MalformedError.because(
        Reason.ENCODING_DER, "got a tag number that is cut off or too large"
    )


def _written(tag: bytes, content: bytes) -> bytes:
    """Write one element with a definite length."""
    size = len(content)
    if size < 0x80:
        return tag + bytes((size,)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return b"".join((tag, bytes((0x80 | len(length),)), length, content))
