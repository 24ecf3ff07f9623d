"""Write DER (X.690): only what vendors' certificate extensions need; nothing here reads."""

from collections.abc import Iterable
from typing import Final

_LONG_TAG: Final = 31
_LONG_LENGTH: Final = 128
NULL: Final = b"\x05\x00"


def boolean(value: bool) -> bytes:
    """Encode a BOOLEAN; TRUE is 0xff, as DER demands."""
    return _tlv(b"\x01", b"\xff" if value else b"\x00")


def integer(value: int) -> bytes:
    """Encode a non-negative INTEGER in the fewest bytes."""
    return _tlv(b"\x02", _minimal(value))


def enumerated(value: int) -> bytes:
    """Encode a non-negative ENUMERATED in the fewest bytes."""
    return _tlv(b"\x0a", _minimal(value))


def octet_string(value: bytes) -> bytes:
    """Encode an OCTET STRING."""
    return _tlv(b"\x04", value)


def sequence(*parts: bytes) -> bytes:
    """Encode a SEQUENCE of parts that are encoded already."""
    return _tlv(b"\x30", b"".join(parts))


def set_of(parts: Iterable[bytes]) -> bytes:
    """Encode a SET OF in the ascending order that DER demands."""
    return _tlv(b"\x31", b"".join(sorted(parts)))


def explicit(number: int, content: bytes) -> bytes:
    """Wrap ``content`` in the explicit, constructed, context-specific tag ``[number]``."""
    if number < _LONG_TAG:
        return _tlv(bytes([0xA0 | number]), content)
    # Tags from 31 on follow in base 128, all but the last byte with the top bit set.
    digits = [number & 0x7F]
    while number := number >> 7:
        digits.append((number & 0x7F) | 0x80)
    return _tlv(bytes([0xBF, *reversed(digits)]), content)


def _minimal(value: int) -> bytes:
    """Return the shortest two's complement of a non-negative number."""
    return value.to_bytes(value.bit_length() // 8 + 1, "big")


def _tlv(tag: bytes, content: bytes) -> bytes:
    """Put tag and definite length in front of ``content``."""
    size = len(content)
    if size < _LONG_LENGTH:
        return tag + bytes([size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return tag + bytes([0x80 | len(length)]) + length + content
