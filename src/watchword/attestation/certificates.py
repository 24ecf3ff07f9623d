"""Read X.509 certificates leniently and check one signature strictly.

``cryptography`` refuses to parse the leaves of some genuine phones (an extra NULL in the algorithm
identifier of Titan M, extensions of Huawei), so that the fields are found by our own DER walker;
the signature itself is checked by ``cryptography`` over the signed bytes as they arrived.  Leniency in
reading can't forge anything: what is read is what was signed.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Final, NamedTuple, TypeVar

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from watchword.encoding import der
from watchword.encoding.cache import BoundedCache
from watchword.encoding.der import Span
from watchword.reasons import MalformedError

BASIC_CONSTRAINTS: Final = "2.5.29.19"
KEY_USAGE: Final = "2.5.29.15"

MAX_CERTIFICATE_BYTES: Final = 16 * 1024
"""Most bytes of one certificate; the largest real one (an ML-DSA leaf apart) has about 1.5 kB."""

P256_SPKI_PREFIX: Final = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
"""What stands before the point in every SubjectPublicKeyInfo of an uncompressed P-256 key (RFC 5480)."""

MAX_EXTENSIONS: Final = 16
"""Most extensions of a certificate; recorded ones of phones have up to seven."""

_EC_KEY: Final = "1.2.840.10045.2.1"
_RSA_KEY: Final = "1.2.840.113549.1.1.1"
_CURVES: Final = frozenset({"1.2.840.10045.3.1.7", "1.3.132.0.34"})
"""P-256 and P-384 (RFC 5480 section 2.1.1.1): what the vendors sign with."""

MAX_RSA_BITS: Final = 4096
"""Most bits of an RSA key that verifies; Google's root has as many, and larger ones cost time."""

MAX_EXPONENT_BITS: Final = 32
"""Most bits of an RSA key's public exponent; vendors' is 65,537, of 17 bits."""

MAX_KEY_BYTES: Final = 1024
"""Most bytes of a SubjectPublicKeyInfo that is loaded; one of RSA with 4,096 bits has 550."""

KEPT_KEYS: Final = 2048
"""How many loaded keys are kept, so that an issuer's is loaded once; each takes some kB."""

_VERSION: Final = 0xA0
_EXTENSIONS: Final = 0xA3

Member = TypeVar("Member")


class _Key(NamedTuple):
    """Hold a loaded key by its kind, asked for once: the classes of ``cryptography`` are abstract and slow to ask.

    :param is_p256: it is on P-256 and was written as every P-256 key is.
    """

    curve: EllipticCurvePublicKey | None = None
    rsa: RSAPublicKey | None = None
    is_p256: bool = False


_NO_KEY: Final = _Key()

_KEY_CERT_SIGN: Final = 0x04
"""The bit keyCertSign in the first byte of KeyUsage (RFC 5280 section 4.2.1.3)."""

_ECDSA_SHA256: Final = ECDSA(hashes.SHA256())
_ECDSA: Final[Mapping[str, ECDSA]] = {
    "1.2.840.10045.4.3.2": _ECDSA_SHA256,
    "1.2.840.10045.4.3.3": ECDSA(hashes.SHA384()),
    "1.2.840.10045.4.3.4": ECDSA(hashes.SHA512()),
}
_RSA: Final[Mapping[str, hashes.HashAlgorithm]] = {
    "1.2.840.113549.1.1.11": hashes.SHA256(),
    "1.2.840.113549.1.1.12": hashes.SHA384(),
    "1.2.840.113549.1.1.13": hashes.SHA512(),
}


class Certificate(NamedTuple):
    """Hold one certificate that was read, not yet believed.

    :param tbs: the signed bytes.
    :param issuer: DER Name; ``subject`` likewise; ``validity`` is DER too.
    :param spki: DER SubjectPublicKeyInfo.
    :param extensions: content of each extension by its object identifier, in order.
    """

    der: bytes
    tbs: bytes
    serial_hex: str
    issuer: bytes
    subject: bytes
    validity: bytes
    spki: bytes
    algorithm: str
    signature: bytes
    extensions: Mapping[str, bytes]

    def window(self) -> tuple[datetime, datetime]:
        """Return notBefore and notAfter.

        Read only when asked for, since some leaves carry dates that aren't any.

        :raises MalformedError: with ``encoding.der``.
        """
        return _WINDOW.read(self.validity)

    def basic_constraints(self) -> tuple[bool, int | None]:
        """Return whether this is a CA, and its path length constraint (RFC 5280 section 4.2.1.9).

        :raises MalformedError: with ``encoding.der``.
        """
        content = self.extensions.get(BASIC_CONSTRAINTS)
        return (False, None) if content is None else _BASIC_CONSTRAINTS.read(content)

    def may_sign_certificates(self) -> bool | None:
        """Return KeyUsage's keyCertSign, None where the extension is absent.

        :raises MalformedError: with ``encoding.der``.
        """
        content = self.extensions.get(KEY_USAGE)
        return None if content is None else _SIGNS_CERTIFICATES.read(content)

    def subject_attributes(self) -> Mapping[str, str]:
        """Return the attributes of the subject by object identifier.

        :raises MalformedError: with ``encoding.der``.
        """
        return _ATTRIBUTES.read(self.subject)

    def subject_names(self) -> Sequence[tuple[str, str]]:
        """Return the attributes of the subject in order, each by its object identifier; ``issuer_names`` likewise.

        :raises MalformedError: with ``encoding.der``.
        """
        return tuple(_names(self.subject))

    def issuer_names(self) -> Sequence[tuple[str, str]]:
        """See :meth:`subject_names`."""
        return tuple(_names(self.issuer))

    def is_signed_by(self, spki: bytes) -> bool:
        """Tell whether the key in ``spki`` signed this certificate; anything unusual is no."""
        curve, rsa, _ = _load(spki)
        try:
            if curve is not None and self.algorithm in _ECDSA:
                curve.verify(self.signature, self.tbs, _ECDSA[self.algorithm])
            elif rsa is not None and self.algorithm in _RSA:
                rsa.verify(self.signature, self.tbs, PKCS1v15(), _RSA[self.algorithm])
            else:
                return False
        except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
            return False
        return True


def read_certificate(data: bytes) -> Certificate:
    """Return the certificate in ``data`` (RFC 5280 section 4.1).

    :raises MalformedError: with ``encoding.der``.
    """
    if len(data) > MAX_CERTIFICATE_BYTES:
        der.refuse(
            f"got a certificate of {len(data)} bytes, expected at most {MAX_CERTIFICATE_BYTES}"
        )
    tbs, outer, signature = _exactly(der.members(data, der.whole(data)), 3, "a certificate")
    fields = der.members(data, tbs)
    if fields and fields[0][0] == _VERSION:
        fields = fields[1:]  # The version says nothing that the extensions don't.
    if len(fields) < 6:
        der.refuse(f"got {len(fields)} fields of a certificate, expected at least 6")
    serial, inner, issuer, validity, subject, spki, *optional = fields
    algorithm = data[inner[1] : inner[3]]
    # The outer identifier isn't signed; the inner one is (RFC 5280 section 4.1.1.2).
    if algorithm != data[outer[1] : outer[3]]:
        der.refuse("got two different signature algorithms in one certificate")
    if serial[0] != der.INTEGER or not 0 < serial[3] - serial[2] <= der.MAX_INTEGER_BYTES:
        der.refuse("got a serial that isn't an INTEGER, or one of too many bytes")
    _exactly(der.members(data, validity), 2, "a validity")
    if signature[0] != der.BIT_STRING or data[signature[2] : signature[2] + 1] != b"\x00":
        der.refuse("got a signature that isn't a BIT STRING of whole bytes")
    return Certificate(
        der=data,
        tbs=data[tbs[1] : tbs[3]],
        serial_hex=format(int.from_bytes(data[serial[2] : serial[3]], "big"), "x"),
        issuer=data[issuer[1] : issuer[3]],
        subject=data[subject[1] : subject[3]],
        validity=data[validity[1] : validity[3]],
        spki=data[spki[1] : spki[3]],
        algorithm=_ALGORITHM.read(algorithm),
        signature=data[signature[2] + 1 : signature[3]],
        extensions=_extensions(data, optional),
    )


def p256_point(spki: bytes) -> bytes | None:
    """Return the 65-byte X9.62 point of a P-256 key, None for any other key."""
    if len(spki) == len(P256_SPKI_PREFIX) + 65 and spki.startswith(P256_SPKI_PREFIX + b"\x04"):
        return spki[len(P256_SPKI_PREFIX) :]
    return None


def load_p256(spki: bytes) -> EllipticCurvePublicKey | None:
    """Return the P-256 key in ``spki``, None if it is of another kind or not on the curve."""
    if p256_point(spki) is None:
        return None
    key = _load(spki)
    return key.curve if key.is_p256 else None


def is_p256_signature(spki: bytes, signature: bytes, message: bytes) -> bool:
    """Tell whether ``signature`` is ECDSA with SHA-256 over ``message`` by the P-256 key in ``spki``."""
    key = load_p256(spki)
    if key is None:
        return False
    try:
        key.verify(signature, message, _ECDSA_SHA256)
    except (InvalidSignature, ValueError):
        return False
    return True


def _load(spki: bytes) -> _Key:
    """Return a key of the kinds that vendors sign with; one that is empty for any other and for what is none."""
    return _load_kept(spki) if len(spki) <= MAX_KEY_BYTES else _NO_KEY


@lru_cache(maxsize=KEPT_KEYS)
def _load_kept(spki: bytes) -> _Key:
    """Load a key.

    The kind is read before ``cryptography`` loads anything: loading an odd group, or verifying
    under a huge modulus, is work that a stranger would choose.
    """
    try:
        is_p256 = p256_point(spki) is not None
        if not is_p256 and not _is_of_known_kind(spki):
            return _NO_KEY
        key = load_der_public_key(spki)
    except (MalformedError, UnsupportedAlgorithm, ValueError):
        return _NO_KEY
    if isinstance(key, EllipticCurvePublicKey):
        return _Key(curve=key, is_p256=is_p256)
    if isinstance(key, RSAPublicKey) and _costs_little(key):
        return _Key(rsa=key)
    return _NO_KEY


def _costs_little(key: RSAPublicKey) -> bool:
    """Tell whether verifying under an RSA key is quick; under an exponent as long as the modulus it takes 10 ms."""
    exponent = key.public_numbers().e
    return key.key_size <= MAX_RSA_BITS and exponent.bit_length() <= MAX_EXPONENT_BITS


def _is_of_known_kind(spki: bytes) -> bool:
    """Tell whether an SPKI names RSA, or one of the curves that vendors sign with.

    :raises MalformedError: with ``encoding.der``.
    """
    algorithm, _ = _exactly(der.sequence(der.read(spki)), 2, "a public key")
    kind = _ALGORITHM.read(algorithm.raw)
    if kind == _EC_KEY:
        return der.object_identifier(der.sequence(algorithm)[-1]) in _CURVES
    return kind == _RSA_KEY


def _algorithm(raw: bytes) -> str:
    """Return the object identifier of an AlgorithmIdentifier; parameters may be anything.

    None of the algorithms that we verify takes parameters, and Titan M writes a stray NULL.
    """
    members = der.sequence(der.read(raw))
    if not members:
        der.refuse("got an empty algorithm identifier")
    return der.object_identifier(members[0])


def _extensions(data: bytes, optional: Sequence[Span]) -> Mapping[str, bytes]:
    """Return the contents of the extensions by object identifier; refuse one that occurs twice."""
    found: dict[str, bytes] = {}
    for tagged in optional:
        if tagged[0] != _EXTENSIONS:
            continue
        (explicit,) = _exactly(der.spans(data, tagged[2], tagged[3]), 1, "an explicit tag")
        for _, start, _, end in der.members(data, explicit):
            name, content = _EXTENSION.read(data[start:end])
            if name in found:
                der.refuse(f"got the extension {name} twice")
            if len(found) == MAX_EXTENSIONS:
                der.refuse(f"got more than {MAX_EXTENSIONS} extensions")
            found[name] = content
    return found


def _extension(raw: bytes) -> tuple[str, bytes]:
    """Return the object identifier and the content of an extension, critical or not."""
    members = der.members(raw, der.whole(raw))
    if len(members) not in {2, 3}:
        der.refuse(f"got an extension of {len(members)} members, expected 2 or 3")
    return der.object_identifier_at(raw, members[0]), der.octets_at(raw, members[-1])


def _window(validity: bytes) -> tuple[datetime, datetime]:
    not_before, not_after = _exactly(der.sequence(der.read(validity)), 2, "a validity")
    return der.time(not_before), der.time(not_after)


def _attributes(name: bytes) -> Mapping[str, str]:
    return MappingProxyType(dict(_names(name)))


def _names(name: bytes) -> Iterator[tuple[str, str]]:
    for relative in der.members(name, der.whole(name)):
        for pair in der.set_members(name, relative):
            kind, (_, _, start, end) = _exactly(der.members(name, pair), 2, "an attribute")
            value = name[start:end].decode("utf-8", "replace")
            yield der.object_identifier_at(name, kind), value


def _basic_constraints(content: bytes) -> tuple[bool, int | None]:
    members = der.sequence(der.read(content))
    is_ca = bool(members) and members[0].is_universal(der.BOOLEAN) and der.boolean(members[0])
    path = next((der.integer(item) for item in members if item.is_universal(der.INTEGER)), None)
    return is_ca, path


def _signs_certificates(content: bytes) -> bool:
    usage = der.read(content)
    return (
        usage.is_universal(der.BIT_STRING)
        and len(usage.content) > 1
        and bool(usage.content[1] & _KEY_CERT_SIGN)
    )


# Issuers say the same with each chain below them, and many certificates say the same as others.
_WINDOW: Final = BoundedCache(_window, entries=1024, size=40)
_ATTRIBUTES: Final = BoundedCache(_attributes, entries=1024, size=256)
_ALGORITHM: Final = BoundedCache(_algorithm, entries=64, size=64)
_EXTENSION: Final = BoundedCache(_extension, entries=256, size=24)
_BASIC_CONSTRAINTS: Final = BoundedCache(_basic_constraints, entries=64, size=64)
_SIGNS_CERTIFICATES: Final = BoundedCache(_signs_certificates, entries=64, size=64)


def _exactly(members: Sequence[Member], count: int, what: str) -> Sequence[Member]:
    if len(members) != count:
        der.refuse(f"got {len(members)} members of {what}, expected {count}")
    return members
