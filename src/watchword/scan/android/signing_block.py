"""Find the APK Signing Block in front of the central directory, and the certificates in its signers (schemes v2, v3, v3.1).

Source: https://source.android.com/docs/security/features/apksigning/v2 and /v3.  Nothing is verified.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Final

from watchword.scan.android.elements import AndroidFormatError

MOST_BYTES: Final = 16 * 1024 * 1024
"""How large a block may be; ordinary ones have 4 KB, of which most is padding."""

MOST_SIGNERS: Final = 10
"""How many signers of one scheme are read; the system takes no more either."""

_MAGIC: Final = b"APK Sig Block 42"
_END: Final = b"PK\x05\x06"
_END_SIZE: Final = 22
_LONGEST_COMMENT: Final = 0xFFFF
_MOST_ENDS: Final = 64
_U32: Final = Struct("<I")
_U64: Final = Struct("<Q")
_PAIR: Final = Struct("<QI")

_SCHEMES: Final = {0x7109871A: "v2", 0xF05368C0: "v3", 0x1B93AD61: "v3.1"}


@dataclass(frozen=True, slots=True)
class SchemeSigners:
    """Hold what one scheme's part of the block states.

    :param certificates: of each signer that which signs, as DER; a signer's further ones vouch for nothing.
    :param damage: why signers couldn't be read, empty if all were.
    """

    scheme: str
    certificates: tuple[bytes, ...]
    damage: str = ""


def read_signing_block(package: memoryview) -> tuple[SchemeSigners, ...]:
    """Return what the schemes state, the latest one first; nothing if there is no block.

    :raises AndroidFormatError: if there is a block that is damaged.
    """
    block = _block(package)
    if block is None:
        return ()
    found = {}
    for identity, value in _pairs(block):
        scheme = _SCHEMES.get(identity)
        if scheme is not None and scheme not in found:
            found[scheme] = _signers(scheme, value)
    return tuple(found[scheme] for scheme in reversed(_SCHEMES.values()) if scheme in found)


def _block(package: memoryview) -> bytes | None:
    """Return the pairs of the block; None if none stands in front of any directory that an end record leads to."""
    for directory in _directories(package):
        footer = directory - len(_MAGIC) - _U64.size
        if footer < _U64.size or bytes(package[footer + _U64.size : directory]) != _MAGIC:
            continue
        (size,) = _U64.unpack_from(package, footer)
        start = directory - size
        if size > MOST_BYTES or start < _U64.size or start > footer:
            raise AndroidFormatError("the signing block's size is wrong")
        if _U64.unpack_from(package, start - _U64.size)[0] != size:
            raise AndroidFormatError("the signing block's two sizes differ")
        return bytes(package[start:footer])
    return None


def _directories(package: memoryview) -> Iterator[int]:
    """Yield where end records say that the directory begins, the last one first."""
    start = max(0, len(package) - _LONGEST_COMMENT - _END_SIZE)
    tail = bytes(package[start:])
    at = len(tail) - _END_SIZE + len(_END)
    for _ in range(_MOST_ENDS):
        at = tail.rfind(_END, 0, max(0, at))
        if at < 0:
            return
        if at + _END_SIZE <= len(tail):
            (offset,) = _U32.unpack_from(tail, at + 16)
            if offset <= len(package):
                yield offset
        at += len(_END) - 1


def _pairs(block: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(block):
        if at + _PAIR.size > len(block):
            raise AndroidFormatError("the signing block is cut off")
        size, identity = _PAIR.unpack_from(block, at)
        end = at + _U64.size + size
        if size < _U32.size or end > len(block):
            raise AndroidFormatError("a part of the signing block has a wrong size")
        yield identity, block[at + _PAIR.size : end]
        at = end


def _signers(scheme: str, value: bytes) -> SchemeSigners:
    found: list[bytes] = []
    damage = ""
    try:
        for number, signer in enumerate(_items(_prefixed(value, 0)[0])):
            if number >= MOST_SIGNERS:
                damage = f"more than {MOST_SIGNERS} signers"
                break
            signed, _ = _prefixed(signer, 0)
            _, certificates_at = _prefixed(signed, 0)
            certificates, _ = _prefixed(signed, certificates_at)
            found.append(_prefixed(certificates, 0)[0])
    except AndroidFormatError as error:
        damage = str(error)
    if not found and not damage:
        damage = "no signer"
    return SchemeSigners(scheme, tuple(found), damage and f"{scheme}: {damage}")


def _items(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        item, at = _prefixed(data, at)
        yield item


def _prefixed(data: bytes, at: int) -> tuple[bytes, int]:
    """Return bytes that stand behind their length, and where they end."""
    if at + _U32.size > len(data):
        raise AndroidFormatError("a signer is cut off")
    (size,) = _U32.unpack_from(data, at)
    start = at + _U32.size
    if size > len(data) - start:
        raise AndroidFormatError("a signer is cut off")
    return data[start : start + size], start + size
