"""Read X.509 certificates leniently, check signatures strictly, and find the anchor of a linear chain, leaf first.

``cryptography`` refuses to parse the leaves of some genuine phones (an extra NULL in the algorithm identifier of Titan M,
extensions of Huawei), so our own DER walker finds the fields; ``cryptography`` checks the signature, over the signed bytes
as they arrived.  Leniency in reading can't forge anything: what is read is what was signed.

This isn't PKIX: vendors' chains break its rules and need stricter ones.  Chains are short and linear, they end at one of a
handful of keys, and a system's root store is never asked.

Vendors sign millions of phones with a few thousand issuers, so issuers that hold are remembered.  What is remembered is
true of the bytes, whoever sends them; what changes with time or configuration (dates, anchors, revocation, policy) never is.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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

from watchword.attestation.interface import IssuerCache
from watchword.encoding import der
from watchword.encoding.cache import BoundedCache
from watchword.encoding.der import Span
from watchword.ports import Anchor, RevocationEntry, RevocationStatus
from watchword.reasons import MalformedError, Reason, Refusal
from watchword.vocabulary import AnchorKind

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


MAX_CERTIFICATES = 6
"""Most certificates of a chain; the longest real one has five."""

MAX_CHAIN_BYTES = 32 * 1024
"""Most bytes of all certificates; the largest real chain has 5.6 kB."""


@dataclass(frozen=True, slots=True)
class Anchored:
    """Hold the anchor at the end of a chain.

    :param included: the chain's last certificate carries the anchor's own key; otherwise its last
        certificate was signed by that key, and the root was left out.
    """

    anchor: Anchor
    included: bool


@dataclass(frozen=True, slots=True)
class KnownIssuers:
    """Hold issuers that hold: each names the next one and is signed by it, the last up to an anchor.

    That is all that is remembered: it follows from the certificates' bytes and the anchors.

    :param anchors: among which ``anchored`` was found; with any other ones it says nothing.
    """

    certificates: tuple[Certificate, ...]
    anchored: Anchored
    anchors: tuple[Anchor, ...]


@dataclass(frozen=True, slots=True)
class LinkedChain:
    """Hold a chain whose links were verified, and what is wrong with them.

    :param digests: for each certificate but the leaf, SHA-256 over it and all above it.
    :param known_from: from this index on the links were known; the chain's length if none was.
    """

    certificates: tuple[Certificate, ...]
    anchored: Anchored | None
    anchors: tuple[Anchor, ...]
    refusals: tuple[Refusal, ...]
    digests: tuple[bytes, ...]
    known_from: int


def link(
    ders: Sequence[bytes], anchors: Sequence[Anchor], issuers: IssuerCache | None = None
) -> LinkedChain:
    """Read a chain, verify its links and find its anchor; what is known isn't verified again.

    Links are the names and the signatures, as of :func:`link_refusals`; below an end that is unknown only the
    names.  CA flags, dates, revocation and all the rest are judged by the caller each time.

    :raises MalformedError: as :func:`read_chain` does.
    """
    _require_within_caps(ders)
    among = tuple(anchors)
    digests = () if issuers is None else _digests(ders)
    known_from, known = len(ders), None
    if issuers is not None:
        known_from, known = _find_known(digests, among, issuers)
    chain = tuple(_read(index, data) for index, data in enumerate(ders[:known_from]))
    if known is None:
        anchored = find_anchor(chain, among)
        refusals = tuple(link_refusals(chain, signatures=anchored is not None))
    else:
        # The first known one stands in as the issuer of the last one that is new.
        refusals = tuple(link_refusals((*chain, known.certificates[0])))
        chain += known.certificates
        anchored = known.anchored
    return LinkedChain(chain, anchored, among, refusals, digests, known_from)


def remember(chain: LinkedChain, first: int, issuers: IssuerCache) -> None:
    """Remember the issuers from index ``first`` on, and from each index above it.

    Only for a chain that wasn't refused for anything: an attacker's own issuers never enter.  Whoever owns a
    genuine phone can write its certificates in other bytes (the encoding around what is signed) and fill the cache
    with them; issuers that others use all the time stay, and one that went costs a verification.  The caller chooses
    ``first`` so that what is below belongs to one device alone.
    """
    if chain.refusals or chain.anchored is None:
        raise ValueError("only chains that hold are remembered")
    if chain.known_from <= first:
        return
    root = chain.certificates[-1]
    if chain.anchored.included and not root.is_signed_by(root.spki):
        # A copy of a root that somebody mutated is still its key; but there are as many copies as they like.
        return
    # A root that is known by its key has no link to be remembered.
    end = len(chain.certificates) - (1 if chain.anchored.included else 0)
    for index in range(first, min(end, chain.known_from)):
        value = KnownIssuers(chain.certificates[index:], chain.anchored, chain.anchors)
        issuers.remember(chain.digests[index], value)


def read_chain(ders: Sequence[bytes]) -> tuple[Certificate, ...]:
    """Return the certificates of a chain.

    :raises MalformedError: with ``attestation.chain_length`` beyond the caps, with
        ``evidence.malformed`` for what isn't a certificate.
    """
    _require_within_caps(ders)
    return tuple(_read(index, data) for index, data in enumerate(ders))


def _require_within_caps(ders: Sequence[bytes]) -> None:
    if not 0 < len(ders) <= MAX_CERTIFICATES:
        raise MalformedError.because(
            Reason.ATTESTATION_CHAIN_LENGTH,
            f"got {len(ders)} certificates, expected 1 to {MAX_CERTIFICATES}",
        )
    size = sum(map(len, ders))
    if size > MAX_CHAIN_BYTES:
        raise MalformedError.because(
            Reason.ATTESTATION_CHAIN_LENGTH,
            f"got a chain of {size} bytes, expected at most {MAX_CHAIN_BYTES}",
        )


def _read(index: int, data: bytes) -> Certificate:
    try:
        return read_certificate(data)
    except MalformedError as error:
        raise error.as_reason(Reason.EVIDENCE_MALFORMED, f"certificate {index}") from None


def _digests(ders: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return for each certificate SHA-256 over the next one's digest and its own bytes; none for the leaf.

    The digest in front has a fixed size, so that no two chains are the same bytes cut up differently.
    """
    found = [b""] * len(ders)
    above = bytes(32)
    for index in range(len(ders) - 1, 0, -1):
        above = found[index] = hashlib.sha256(above + ders[index]).digest()
    return tuple(found)


def _find_known(
    digests: Sequence[bytes], anchors: tuple[Anchor, ...], issuers: IssuerCache
) -> tuple[int, KnownIssuers | None]:
    """Return the lowest index above the leaf from which all issuers are known, and those."""
    for index in range(1, len(digests)):
        known = issuers.find(digests[index])
        if isinstance(known, KnownIssuers) and known.anchors == anchors:
            return index, known
    return len(digests), None


def find_anchor(chain: Sequence[Certificate], anchors: Sequence[Anchor]) -> Anchored | None:
    """Return the anchor that the last certificate is, or was signed by; None if there is none.

    Compared by public key: roots are re-issued with new dates under the same key.  A key that is
    known for vouching for software vouches for nothing else, under whatever other kind it was added.
    """
    last = chain[-1]
    for anchor in anchors:
        if last.spki == anchor.spki:
            return Anchored(_least_of_key(anchor, anchors), included=True)
    for anchor in anchors:
        if last.issuer == anchor.subject and last.is_signed_by(anchor.spki):
            return Anchored(_least_of_key(anchor, anchors), included=False)
    return None


def _least_of_key(found: Anchor, anchors: Sequence[Anchor]) -> Anchor:
    """Return the software anchor that has the same key, else the one that was found."""
    for anchor in anchors:
        if anchor.kind == AnchorKind.SOFTWARE and anchor.spki == found.spki:
            return anchor
    return found


def anchor_refusals(
    chain: Sequence[Certificate], anchored: Anchored | None, anchors: Sequence[Anchor]
) -> Iterator[Refusal]:
    """Yield what is wrong with the end of the chain: nothing we know, software, or a prolonged one."""
    if anchored is None:
        yield Refusal(
            Reason.ATTESTATION_ANCHOR_UNKNOWN,
            f"got a chain of {len(chain)} that ends at none of {len(anchors)} known keys",
        )
    elif anchored.anchor.kind == AnchorKind.SOFTWARE:
        yield Refusal(Reason.ATTESTATION_ANCHOR_SOFTWARE, f"got the root {anchored.anchor.name}")
    if any(certificate.spki == anchor.spki for certificate in chain[:-1] for anchor in anchors):
        yield Refusal(Reason.ATTESTATION_CHAIN_LENGTH, "got certificates beyond a root's own key")


def link_refusals(chain: Sequence[Certificate], *, signatures: bool = True) -> Iterator[Refusal]:
    """Yield what is wrong between each certificate and the one above it: names and signatures.

    From the top down, and no signature below one that is wrong: no key is used before it was itself vouched for.
    A stranger's keys would be work of a stranger's choice.

    :param signatures: False looks at the names only, where nothing is known that could vouch for the top.
    """
    for index in range(len(chain) - 2, -1, -1):
        child, issuer = chain[index], chain[index + 1]
        if child.issuer != issuer.subject:
            yield name_refusal(index)
        if signatures and not child.is_signed_by(issuer.spki):
            signatures = False
            yield Refusal(
                Reason.ATTESTATION_CHAIN_SIGNATURE,
                f"certificate {index} isn't signed by the key of certificate {index + 1}",
            )


def name_refusal(index: int) -> Refusal:
    """Return the refusal of a certificate that names another issuer than the one above it."""
    return Refusal(
        Reason.ATTESTATION_CHAIN_NAME,
        f"certificate {index} names another issuer than certificate {index + 1}",
    )


def authority_refusals(chain: Sequence[Certificate], first: int, end: int = 0) -> Iterator[Refusal]:
    """Yield each issuer from index ``first`` on that isn't a CA for the certificates below it.

    RFC 5280 section 6.1.4, (k) basicConstraints, (m) path length, (n) keyUsage.

    :param end: index of the certificate at which paths end, counted from which their length is.
    :raises MalformedError: when an extension can't be read.
    """
    for index in range(first, len(chain)):
        certificate = chain[index]
        is_ca, path_length = certificate.basic_constraints()
        if not is_ca:
            yield Refusal(Reason.ATTESTATION_CHAIN_NOT_CA, f"certificate {index} isn't a CA")
        elif certificate.may_sign_certificates() is False:
            yield Refusal(
                Reason.ATTESTATION_CHAIN_NOT_CA, f"certificate {index} may not sign certificates"
            )
        below = index - 1 - end
        if path_length is not None and below > path_length:
            yield Refusal(
                Reason.ATTESTATION_CHAIN_NOT_CA,
                f"certificate {index} has {below} CAs below, expected at most {path_length}",
            )


def validity_refusals(
    chain: Sequence[Certificate], indexes: Sequence[int], now: datetime
) -> Iterator[Refusal]:
    """Yield each of the certificates at ``indexes`` that isn't valid at ``now``.

    :raises MalformedError: when a date can't be read.
    """
    for index in indexes:
        not_before, not_after = chain[index].window()
        if now < not_before:
            yield Refusal(
                Reason.ATTESTATION_CERTIFICATE_EARLY,
                f"certificate {index} begins at {not_before:%Y-%m-%dT%H:%M:%SZ}",
            )
        elif now > not_after:
            yield Refusal(
                Reason.ATTESTATION_CERTIFICATE_EXPIRED,
                f"certificate {index} ended at {not_after:%Y-%m-%dT%H:%M:%SZ}",
            )


def withdrawn(
    chain: Sequence[Certificate], revocation: RevocationStatus
) -> Iterator[tuple[int, RevocationEntry]]:
    """Yield the index of each certificate that the vendor withdrew for good or suspended, and the entry."""
    for index, certificate in enumerate(chain):
        entry = revocation.find(certificate.serial_hex)
        if entry is not None:
            yield index, entry


MAX_ENTRIES: Final = 4096
"""Most entries by default; each takes about 5 kB, so that a full cache has some 20 MB."""


class BoundedIssuerCache:
    """Implement :class:`watchword.attestation.interface.IssuerCache` in memory.

    Each operation is a few single steps of the interpreter, each harmless without the next one: between threads
    an entry may be missed and verified again, and never is one found that wasn't remembered.
    """

    def __init__(self, max_entries: int = MAX_ENTRIES) -> None:
        """Keep at most so many entries; raise ValueError below one."""
        if max_entries < 1:
            raise ValueError("a cache needs room for one entry at least")
        self._max_entries = max_entries
        self._entries: OrderedDict[bytes, object] = OrderedDict()

    def __len__(self) -> int:
        """Return how many entries are remembered."""
        return len(self._entries)

    def find(self, digest: bytes) -> object | None:
        """Return what was remembered under this digest, None if nothing; it is the youngest then."""
        value = self._entries.pop(digest, None)
        if value is not None:
            self._entries[digest] = value
        return value

    def remember(self, digest: bytes, value: object) -> None:
        """Remember a value; of too many, the one that was unused for the longest is forgotten."""
        self._entries[digest] = value
        if len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
