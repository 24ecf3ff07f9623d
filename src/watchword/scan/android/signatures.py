"""Find the certificates that a package is signed with (schemes v1 to v3.1), and tell of them what rules ask.

CMS is RFC 5652 section 5.  Nothing is verified.

Source: https://source.android.com/docs/security/features/apksigning/v2 and /v3, and ``ApkSigningBlockUtils.java`` in Android's
sources (commit 0172a23b1af4735bcca3580bc53e37f57a639c7a, read on 2026-11-29).  No signature is verified; whether the package
is the one that was signed is told by its digest.
"""

import hashlib
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from struct import Struct
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa

from watchword.encoding import ber, der
from watchword.reasons import WatchwordError
from watchword.scan.android.binary import AndroidFormatError
from watchword.scan.app import Certificate

UNKNOWN: Final = "unknown"
"""The kind of a key that nobody here can read."""

_KEYS: Final = {
    "1.2.840.113549.1.1.1": "RSA",
    "1.2.840.10040.4.1": "DSA",
    "1.2.840.10045.2.1": "EC",
}

_CERTIFICATE_HASHES: Final = {
    "1.2.840.113549.1.1.2": "md2",
    "1.2.840.113549.1.1.4": "md5",
    "1.2.840.113549.1.1.5": "sha1",
    "1.2.840.113549.1.1.14": "sha224",
    "1.2.840.113549.1.1.11": "sha256",
    "1.2.840.113549.1.1.12": "sha384",
    "1.2.840.113549.1.1.13": "sha512",
    "1.3.14.3.2.29": "sha1",
    "1.2.840.10040.4.3": "sha1",
    "2.16.840.1.101.3.4.3.1": "sha224",
    "2.16.840.1.101.3.4.3.2": "sha256",
    "1.2.840.10045.4.1": "sha1",
    "1.2.840.10045.4.3.1": "sha224",
    "1.2.840.10045.4.3.2": "sha256",
    "1.2.840.10045.4.3.3": "sha384",
    "1.2.840.10045.4.3.4": "sha512",
}
"""Hashes by the algorithm of the certificate's signature (RFC 3279, RFC 4055, RFC 5758)."""


def describe(data: bytes) -> Certificate:
    """Return what a certificate says; of one that can't be read, as old tools made some, its digest alone."""
    digest = hashlib.sha256(data).hexdigest()
    try:
        with warnings.catch_warnings():
            # Serial numbers and dates that are against the rules are common in these, and of no meaning here.
            warnings.simplefilter("ignore")
            certificate = x509.load_der_x509_certificate(data)
            subject = certificate.subject.rfc4514_string()
            named = certificate.signature_algorithm_oid.dotted_string
            kind, bits = _key(certificate)
    except (ValueError, TypeError, x509.InvalidVersion, UnsupportedAlgorithm):
        return Certificate(digest, "", UNKNOWN, None, None, None)
    return Certificate(
        digest, subject, kind, bits, _CERTIFICATE_HASHES.get(named), _end(certificate)
    )


def _end(certificate: x509.Certificate) -> datetime | None:
    try:
        return certificate.not_valid_after_utc
    except ValueError:
        return None


def _key(certificate: x509.Certificate) -> tuple[str, int | None]:
    """Return the kind of the key, and its bits where they can be told."""
    named = _KEYS.get(certificate.public_key_algorithm_oid.dotted_string, UNKNOWN)
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return named, None
    if isinstance(key, rsa.RSAPublicKey):
        return "RSA", key.key_size
    if isinstance(key, dsa.DSAPublicKey):
        return "DSA", key.key_size
    if isinstance(key, ec.EllipticCurvePublicKey):
        return "EC", key.key_size
    return named, None


MOST_BYTES: Final = 64 * 1024
"""How large a signature may be; ordinary ones have 1 to 2 KB."""

MOST_SIGNATURES: Final = 10

_BLOCK: Final = re.compile(r"META-INF/([^/]+)\.(?:RSA|DSA|EC)", re.IGNORECASE)
_SIGNED_DATA: Final = "1.2.840.113549.1.7.2"


def signature_files(names: Sequence[str]) -> list[str]:
    """Return the entries that hold signatures, sorted: those beside which the file stands that they sign."""
    signed = {name.upper() for name in names if name.upper().endswith(".SF")}
    found = []
    for name in names:
        match = _BLOCK.fullmatch(name)
        if match is not None and f"META-INF/{match[1]}.SF".upper() in signed:
            found.append(name)
    return sorted(found)


def signers(data: bytes) -> list[bytes]:
    """Return the certificate of each signer of a CMS message, as DER; those of their authorities are left out.

    :raises AndroidFormatError: if it is damaged, too large, or a signer's certificate isn't in it.
    """
    if len(data) > MOST_BYTES:
        raise AndroidFormatError(f"a signature of {len(data)} bytes; at most {MOST_BYTES} are read")
    try:
        found = _jar_signature_signers(data)
    except AndroidFormatError:
        raise
    except WatchwordError as error:
        raise AndroidFormatError("a signature that isn't a CMS message") from error
    if not found:
        raise AndroidFormatError("a signature of nobody whose certificate is in it")
    return found


def _jar_signature_signers(data: bytes) -> list[bytes]:
    message = der.sequence(der.read(ber.definite(data)))
    if len(message) < 2 or der.object_identifier(message[0]) != _SIGNED_DATA:
        raise AndroidFormatError("a CMS message that isn't signed data")
    fields = der.sequence(der.explicit(message[1]))
    if not fields:
        raise AndroidFormatError("signed data without anything in it")
    certificates = [
        each
        for field in fields
        if field.is_context(0)
        for each in der.children(field)
        if each.is_universal(der.SEQUENCE)
    ]
    found = [_certificate_of(info, certificates) for info in der.children(fields[-1])]
    return list(dict.fromkeys(each for each in found if each is not None))


def _certificate_of(info: der.Tlv, certificates: Sequence[der.Tlv]) -> bytes | None:
    """Return the certificate that a signer names by issuer and serial number; None if it isn't there.

    Some tools write the issuer's name in another type of string than the certificate does: then the serial number decides.
    """
    parts = der.sequence(info)
    named = der.sequence(parts[1]) if len(parts) > 1 else ()
    if len(named) != 2:
        return None
    issuer, serial = (each.raw for each in named)
    alike = None
    for certificate in certificates:
        its_issuer, its_serial = _issued(certificate)
        if its_serial == serial:
            if its_issuer == issuer:
                return certificate.raw
            alike = alike or certificate.raw
    return alike


def _issued(certificate: der.Tlv) -> tuple[bytes, bytes]:
    """Return issuer and serial number of a certificate (RFC 5280 section 4.1); empty without them."""
    outer = der.sequence(certificate)
    parts = der.sequence(outer[0]) if outer else ()
    if parts and parts[0].is_context(0):
        parts = parts[1:]
    return (parts[2].raw, parts[0].raw) if len(parts) > 2 else (b"", b"")


MAX_BLOCK: Final = 16 * 1024 * 1024
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

MOST_DIGESTED: Final = 512 * 1024 * 1024
"""How large a package is whose digest is taken; half a gigabyte takes about a second."""

_CHUNK: Final = 1024 * 1024
_SIGNING_BLOCK_HASHES: Final = {
    0x0101: "sha256",
    0x0102: "sha512",
    0x0103: "sha256",
    0x0104: "sha512",
    0x0201: "sha256",
    0x0202: "sha512",
    0x0301: "sha256",
}
"""By algorithm of signature with what the package is digested in chunks; those over a tree of hashes aren't here."""

_SCHEMES: Final = {0x7109871A: "v2", 0xF05368C0: "v3", 0x1B93AD61: "v3.1"}


@dataclass(frozen=True, slots=True)
class SchemeSigners:
    """Hold what one scheme's part of the block states.

    :param certificates: of each signer that which signs, as DER; a signer's further ones vouch for nothing.
    :param damage: why signers couldn't be read, empty if all were.
    :param digests: of the package, by algorithm of signature, as the signers state them.
    """

    scheme: str
    certificates: tuple[bytes, ...]
    damage: str = ""
    digests: tuple[tuple[int, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class _Block:
    """Hold the pairs of a block, and where it, the directory behind it and the end record start."""

    pairs: bytes
    start: int
    directory: int
    end: int


def read_signing_block(package: memoryview) -> tuple[SchemeSigners, ...]:
    """Return what the schemes state, the latest one first; nothing if there is no block.

    :raises AndroidFormatError: if there is a block that is damaged.
    """
    block = _block(package)
    if block is None:
        return ()
    found = {}
    for identity, value in _pairs(block.pairs):
        scheme = _SCHEMES.get(identity)
        if scheme is not None and scheme not in found:
            found[scheme] = _signing_block_signers(scheme, value)
    return tuple(found[scheme] for scheme in reversed(_SCHEMES.values()) if scheme in found)


def changed_since_signed(package: memoryview, signed: Sequence[SchemeSigners]) -> tuple[str, ...]:
    """Return the schemes whose signers digested another package than this; those that weren't compared aren't among them.

    :param signed: what :func:`read_signing_block` found in it.
    """
    known = [
        (each.scheme, _SIGNING_BLOCK_HASHES[kind], digest)
        for each in signed
        for kind, digest in each.digests
        if kind in _SIGNING_BLOCK_HASHES
    ]
    block = _block(package)
    if block is None or not known or len(package) > MOST_DIGESTED:
        return ()
    taken = {name: _digest(package, block, name) for name in {name for _, name, _ in known}}
    return tuple(sorted({scheme for scheme, name, digest in known if taken[name] != digest}))


def _digest(package: memoryview, block: _Block, name: str) -> bytes:
    """Return the digest of a package without its block, over chunks of its entries, its directory and its end record."""
    # The end record is digested as it was before the block moved the directory.
    ending = bytearray(package[block.end :])
    _U32.pack_into(ending, 16, block.start)
    sections = (
        package[: block.start],
        package[block.directory : block.end],
        memoryview(bytes(ending)),
    )
    count, chunks = 0, bytearray()
    for section in sections:
        for at in range(0, len(section), _CHUNK):
            chunk = section[at : at + _CHUNK]
            hashed = hashlib.new(name, b"\xa5" + _U32.pack(len(chunk)))
            hashed.update(chunk)
            chunks += hashed.digest()
            count += 1
    return hashlib.new(name, b"\x5a" + _U32.pack(count) + bytes(chunks)).digest()


def _block(package: memoryview) -> _Block | None:
    """Return the block; None if none stands in front of any directory that an end record leads to."""
    for end, directory in _directories(package):
        footer = directory - len(_MAGIC) - _U64.size
        if footer < _U64.size or bytes(package[footer + _U64.size : directory]) != _MAGIC:
            continue
        (size,) = _U64.unpack_from(package, footer)
        start = directory - size
        if size > MAX_BLOCK or start < _U64.size or start > footer:
            raise AndroidFormatError("the signing block's size is wrong")
        if _U64.unpack_from(package, start - _U64.size)[0] != size:
            raise AndroidFormatError("the signing block's two sizes differ")
        return _Block(bytes(package[start:footer]), start - _U64.size, directory, end)
    return None


def _directories(package: memoryview) -> Iterator[tuple[int, int]]:
    """Yield where end records stand, and where they say that the directory begins, the last one first."""
    start = max(0, len(package) - _LONGEST_COMMENT - _END_SIZE)
    tail = bytes(package[start:])
    at = len(tail) - _END_SIZE + len(_END)
    for _ in range(_MOST_ENDS):
        at = tail.rfind(_END, 0, max(0, at))
        if at < 0:
            return
        if at + _END_SIZE <= len(tail):
            (offset,) = _U32.unpack_from(tail, at + 16)
            if offset <= start + at:
                yield start + at, offset
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


def _signing_block_signers(scheme: str, value: bytes) -> SchemeSigners:
    found: list[bytes] = []
    digests: dict[tuple[int, bytes], None] = {}
    damage = ""
    try:
        for number, signer in enumerate(_items(_prefixed(value, 0)[0])):
            if number >= MOST_SIGNERS:
                damage = f"more than {MOST_SIGNERS} signers"
                break
            signed, _ = _prefixed(signer, 0)
            stated, certificates_at = _prefixed(signed, 0)
            certificates, _ = _prefixed(signed, certificates_at)
            found.append(_prefixed(certificates, 0)[0])
            digests.update(dict.fromkeys(_digests(stated)))
    except AndroidFormatError as error:
        damage = str(error)
    if not found and not damage:
        damage = "no signer"
    return SchemeSigners(scheme, tuple(found), damage and f"{scheme}: {damage}", tuple(digests))


def _digests(stated: bytes) -> Iterator[tuple[int, bytes]]:
    for number, item in enumerate(_items(stated)):
        if (
            number >= len(_SIGNING_BLOCK_HASHES) + 3
        ):  # Each algorithm once, those over a tree included.
            return
        if len(item) < _U32.size:
            raise AndroidFormatError("a digest is cut off")
        yield _U32.unpack_from(item, 0)[0], _prefixed(item, _U32.size)[0]


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
