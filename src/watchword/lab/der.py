"""Write DER (X.690): only what vendors' certificates and their extensions need."""

from collections.abc import Iterable
from typing import Final

_LONG_TAG: Final = 31
_LONG_LENGTH: Final = 128
NULL: Final = b"\x05\x00"


def boolean(value: bool, *, true: int = 0xFF) -> bytes:
    """Encode a BOOLEAN; TRUE is 0xff, as DER demands, and some devices write another byte."""
    return _tlv(b"\x01", bytes([true]) if value else b"\x00")


def integer(value: int) -> bytes:
    """Encode a non-negative INTEGER in the fewest bytes."""
    return _tlv(b"\x02", _minimal(value))


def enumerated(value: int) -> bytes:
    """Encode a non-negative ENUMERATED in the fewest bytes."""
    return _tlv(b"\x0a", _minimal(value))


def octet_string(value: bytes) -> bytes:
    """Encode an OCTET STRING."""
    return _tlv(b"\x04", value)


def bit_string(value: bytes) -> bytes:
    """Encode a BIT STRING of whole bytes."""
    return _tlv(b"\x03", b"\x00" + value)


def object_identifier(dotted: str) -> bytes:
    """Encode an OBJECT IDENTIFIER of at least two arcs (X.690 section 8.19)."""
    first, second, *rest = map(int, dotted.split("."))
    return _tlv(b"\x06", b"".join(map(_base128, (first * 40 + second, *rest))))


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
    return _tlv(b"\xbf" + _base128(number), content)


def content(written: bytes) -> bytes:
    """Return what stands behind tag and length of something that was written here or alike.

    Only for tags of one byte; nothing is checked, since no stranger's bytes come here.
    """
    long = written[1] & 0x7F if written[1] & 0x80 else 0
    return written[2 + long :]


def _base128(number: int) -> bytes:
    """Return base 128, all but the last byte with the top bit set."""
    digits = [number & 0x7F]
    while number := number >> 7:
        digits.append((number & 0x7F) | 0x80)
    return bytes(reversed(digits))


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
