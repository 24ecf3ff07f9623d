"""Read and verify signed data (CMS, RFC 5652) as Apple writes it around App Attest receipts: in BER.

Reading believes nothing.  :func:`signature_of` says what the signer's key signed; whose key that is must be
settled by the chain of its certificate.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NoReturn

from watchword.attestation.certificates import is_p256_signature
from watchword.encoding import ber, der
from watchword.encoding.der import Tlv
from watchword.reasons import MalformedError, Reason

MAX_CERTIFICATES: Final = 4
"""Most certificates within; Apple sends signer, intermediate and root."""

# Object identifiers by their DER, whose one form (X.690 section 8.19) is compared as bytes.
_SIGNED_DATA: Final = bytes.fromhex("06092a864886f70d010702")
_DATA: Final = bytes.fromhex("06092a864886f70d010701")
_SHA256: Final = bytes.fromhex("0609608648016503040201")
_ECDSA_SHA256: Final = bytes.fromhex("06082a8648ce3d040302")
_CONTENT_TYPE: Final = "1.2.840.113549.1.9.3"
_MESSAGE_DIGEST: Final = "1.2.840.113549.1.9.4"

_MAX_SIGNATURE_BYTES: Final = 72
"""Most bytes of an ECDSA signature under P-256 in DER."""


class Signed(Enum):
    """Say what the signature is over.

    ``ATTRIBUTES``: the signed attributes, which hold the content's digest, as RFC 5652 section 5.4 has it.
    ``CONTENT``: the content itself, which is right where there are no signed attributes.
    ``CONTENT_BESIDE_ATTRIBUTES``: the content itself although there are signed attributes.  Apple's server
    did so in 2020.
    """

    CONTENT = "content"
    ATTRIBUTES = "attributes"
    CONTENT_BESIDE_ATTRIBUTES = "content_beside_attributes"


@dataclass(frozen=True, slots=True)
class SignedData:
    """Hold signed data with its one signer, read and not believed.

    :param certificates: DER of each enclosed certificate, in any order.
    :param issuer: DER Name of the signer's issuer; with ``serial_hex`` it names the signer's certificate.
    :param attributes: the signed attributes by object identifier, None where there are none.
    :param attributes_der: the bytes that the signature is over where there are attributes.
    """

    content: bytes
    certificates: tuple[bytes, ...]
    issuer: bytes
    serial_hex: str
    signature: bytes
    attributes: dict[str, Tlv] | None = None
    attributes_der: bytes = field(default=b"", repr=False)


def read_signed_data(data: bytes) -> SignedData:
    """Return the signed data in a ContentInfo (RFC 5652 sections 3 and 5).

    Exactly one signer, who signs data with ECDSA over SHA-256 and is named by issuer and serial number.

    :raises MalformedError: with ``encoding.der``, for everything else.
    """
    kind, wrapped = _exactly(der.sequence(der.read(ber.definite(data))), 2, "a ContentInfo")
    _expect(kind.raw, _SIGNED_DATA, "content type")
    (signed,) = _exactly(_context(wrapped, 0), 1, "content")
    members = der.sequence(signed)
    if not 4 <= len(members) <= 6:
        _refuse(f"got {len(members)} members of signed data, expected 4 to 6")
    _version, _digests, encapsulated, *optional = members
    enclosed = [member for member in optional if member.is_context(0)]
    certificates = _context(enclosed[0], 0) if len(enclosed) == 1 else ()
    if not 0 < len(certificates) <= MAX_CERTIFICATES:
        _refuse(f"got {len(certificates)} certificates, expected 1 to {MAX_CERTIFICATES}")
    last = optional[-1]
    if not last.is_universal(der.SET):
        _refuse("got signed data without a set of signers")
    (signer,) = _exactly(der.children(last), 1, "a set of signers")
    return _with_signer(_content(encapsulated), tuple(each.raw for each in certificates), signer)


def signature_of(signed: SignedData, spki: bytes) -> Signed | None:
    """Return what the key in ``spki`` signed; None where it signed neither content nor attributes.

    A signature over the content counts although there are signed attributes: the content is all that is
    believed, and it is what was signed.  The reverse confusion, attributes passed off as a content, is
    for the reader of the content to rule out: a field of a receipt has three members, an attribute has two.
    """
    if signed.attributes is None:
        good = is_p256_signature(spki, signed.signature, signed.content)
        return Signed.CONTENT if good else None
    if not _attributes_fit(signed.attributes, signed.content):
        return None
    if is_p256_signature(spki, signed.signature, signed.attributes_der):
        return Signed.ATTRIBUTES
    if is_p256_signature(spki, signed.signature, signed.content):
        return Signed.CONTENT_BESIDE_ATTRIBUTES
    return None


def _content(encapsulated: Tlv) -> bytes:
    """Return the content of an EncapsulatedContentInfo (RFC 5652 section 5.2)."""
    kind, wrapped = _exactly(der.sequence(encapsulated), 2, "an encapsulated content")
    _expect(kind.raw, _DATA, "type of the content")
    (content,) = _exactly(_context(wrapped, 0), 1, "content")
    return ber.octets(content)


def _with_signer(content: bytes, certificates: tuple[bytes, ...], signer: Tlv) -> SignedData:
    """Read a SignerInfo (RFC 5652 section 5.3)."""
    members = list(der.sequence(signer))
    attributes, attributes_der = None, b""
    if len(members) > 3 and members[3].is_context(0):
        attributes, attributes_der = _attributes(members.pop(3))
    if len(members) == 6 and members[5].is_context(1):
        members.pop()  # Unsigned attributes are worth nothing.
    _version, identifier, digest, algorithm, signature = _exactly(members, 5, "a signer")
    issuer, serial = _exactly(der.sequence(identifier), 2, "a signer's name")
    der.integer(serial)
    # Parameters, which follow within the same SEQUENCE, say nothing here.
    _expect(digest.content[: len(_SHA256)], _SHA256, "digest")
    _expect(algorithm.content[: len(_ECDSA_SHA256)], _ECDSA_SHA256, "signature algorithm")
    if len(signature.content) > _MAX_SIGNATURE_BYTES:
        _refuse("got a signature that is too long")
    return SignedData(
        content=content,
        certificates=certificates,
        issuer=issuer.raw,
        serial_hex=format(int.from_bytes(serial.content, "big"), "x"),
        signature=der.octets(signature),
        attributes=attributes,
        attributes_der=attributes_der,
    )


def _attributes(tagged: Tlv) -> tuple[dict[str, Tlv], bytes]:
    """Return the signed attributes by name, and the DER that is signed (RFC 5652 section 5.4)."""
    found: dict[str, Tlv] = {}
    members = der.children(tagged)
    for attribute in members:
        name, values = _exactly(der.sequence(attribute), 2, "an attribute")
        identifier = der.object_identifier(name)
        if identifier in found:
            _refuse("got a signed attribute twice")
        (found[identifier],) = _exactly(der.set_of(values), 1, "values of an attribute")
    # Sent under the tag [0] in any order; signed as a SET OF in DER, which is sorted (X.690 section 11.6).
    return found, _tlv(0x31, b"".join(sorted(attribute.raw for attribute in members)))


def _attributes_fit(attributes: dict[str, Tlv], content: bytes) -> bool:
    """Tell whether the signed attributes speak of this content (RFC 5652 section 11)."""
    kind, digest = attributes.get(_CONTENT_TYPE), attributes.get(_MESSAGE_DIGEST)
    try:
        return (
            kind is not None
            and digest is not None
            and kind.raw == _DATA
            and hmac.compare_digest(der.octets(digest), hashlib.sha256(content).digest())
        )
    except MalformedError:
        return False


def _context(tlv: Tlv, number: int) -> tuple[Tlv, ...]:
    """Return the elements under a context tag."""
    if not tlv.is_context(number):
        _refuse(f"got tag {tlv.number} of class {tlv.tag_class}, expected [{number}]")
    return der.children(tlv)


def _expect(got: bytes, expected: bytes, what: str) -> None:
    if got != expected:
        _refuse(f"got another {what} than Apple's receipts have")


def _exactly(members: Sequence[Tlv], count: int, what: str) -> Sequence[Tlv]:
    if len(members) != count:
        _refuse(f"got {len(members)} members of {what}, expected {count}")
    return members


def _tlv(tag: int, content: bytes) -> bytes:
    """Write one element with a definite length."""
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def _refuse(detail: str) -> NoReturn:
    raise MalformedError.because(Reason.ENCODING_DER, detail)
