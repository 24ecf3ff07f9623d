"""Verify Apple's App Attest receipts: who signed them, what they say, and when to have them refreshed.

A receipt comes with each attestation (type ATTEST) and is exchanged at Apple's server for newer ones (type RECEIPT), which
state how many keys the device had attested in 30 days: Apple's risk metric.  The one inside an attestation must be Apple's,
and this attestation's.  Source: Apple, "Assessing fraud risk".

Receipts are signed data (CMS, RFC 5652), written in BER.  Reading believes nothing: :func:`signature_of` says what the
signer's key signed; the chain of its certificate must settle whose key that is.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Final, NoReturn

from watchword.attestation import certificates
from watchword.attestation.attestation_object import AttestationObject
from watchword.attestation.certificates import (
    Certificate,
    is_p256_signature,
    p256_point,
    read_certificate,
)
from watchword.attestation.claims import ReceiptClaims, ReceiptKind
from watchword.attestation.interface import (
    CLOCK_LEEWAY,
    IssuerCache,
    Step,
    Trust,
    age_refusals,
    describe_age,
)
from watchword.encoding import ber, der
from watchword.encoding.der import Tlv
from watchword.ports import Anchor
from watchword.reasons import MalformedError, Reason, Refusal, RefusedError
from watchword.vocabulary import AppAttestEnvironment, Vendor

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
        der.refuse(f"got {len(members)} members of signed data, expected 4 to 6")
    _version, _digests, encapsulated, *optional = members
    enclosed = [member for member in optional if member.is_context(0)]
    certificates = _context(enclosed[0], 0) if len(enclosed) == 1 else ()
    if not 0 < len(certificates) <= MAX_CERTIFICATES:
        der.refuse(f"got {len(certificates)} certificates, expected 1 to {MAX_CERTIFICATES}")
    last = optional[-1]
    if not last.is_universal(der.SET):
        der.refuse("got signed data without a set of signers")
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
        der.refuse("got a signature that is too long")
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
            der.refuse("got a signed attribute twice")
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
        der.refuse(f"got tag {tlv.number} of class {tlv.tag_class}, expected [{number}]")
    return der.children(tlv)


def _expect(got: bytes, expected: bytes, what: str) -> None:
    if got != expected:
        der.refuse(f"got another {what} than Apple's receipts have")


def _exactly(members: Sequence[Tlv], count: int, what: str) -> Sequence[Tlv]:
    if len(members) != count:
        der.refuse(f"got {len(members)} members of {what}, expected {count}")
    return members


def _tlv(tag: int, content: bytes) -> bytes:
    """Write one element with a definite length."""
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


MAX_AGE: Final = timedelta(minutes=5)
"""How old the receipt of an attestation may be when it arrives (Apple, "Assessing fraud risk")."""

SIGNER_MARKER: Final = "1.2.840.113635.100.12.15"
"""Extension of the certificates that sign receipts.

Without it any certificate that Apple's intermediate issues, for whatever purpose, could sign receipts.
"""

LENIENT_ATTRIBUTES: Final = "receipt_signed_beside_attributes"
"""In reports: signed attributes are there, and the signature is over the content (Apple, 2020)."""

FIRST_PAUSE: Final = timedelta(minutes=5)
LONGEST_PAUSE: Final = timedelta(days=1)

_APP_ID, _KEY, _CLIENT_HASH, _TOKEN, _KIND, _ENVIRONMENT = 2, 3, 4, 5, 6, 7
_CREATED, _RISK_METRIC, _NOT_BEFORE, _EXPIRES = 12, 17, 19, 21

_MAX_FIELDS: Final = 32
"""Most fields of a receipt; real ones have up to ten."""

_MAX_TEXT_BYTES: Final = 512
_MAX_NUMBER_BYTES: Final = 4
_FIRST_BYTES: Final = (0x30, 0x02, 0x02, 0x04)
"""First bytes of a field and of its three members: SEQUENCE, INTEGER, INTEGER, OCTET STRING."""

_TIME: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6})\d*)?Z", re.ASCII
)
_METRIC: Final = re.compile(r"\d{1,6}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Receipt:
    """Hold the fields of a receipt, by their numbers in Apple's table; nothing in it is proven.

    :param app_id: field 2.  ``key``: field 3, the attested certificate or public key.
    :param client_hash: field 4, the client data hash; damaged by Apple in receipts of type RECEIPT.
    :param token: field 5, Apple's own.  ``kind``: field 6.  ``environment``: field 7, ``sandbox`` or
        ``production``.  ``created_at``: field 12.
    :param risk_metric: field 17, ``refresh_after``: field 19, ``expires_at``: field 21.
    """

    app_id: str
    key: bytes = field(repr=False)
    kind: ReceiptKind
    created_at: datetime
    client_hash: bytes = field(default=b"", repr=False)
    token: str = field(default="", repr=False)
    environment: str = ""
    risk_metric: int | None = None
    refresh_after: datetime | None = None
    expires_at: datetime | None = None

    def claims(self) -> ReceiptClaims:
        """Return what rules judge."""
        return ReceiptClaims(
            kind=self.kind,
            app_id=self.app_id,
            created_at=self.created_at,
            risk_metric=self.risk_metric,
            refresh_after=self.refresh_after,
            expires_at=self.expires_at,
        )

    def is_for_key(self, leaf_der: bytes, spki: bytes) -> bool:
        """Tell whether field 3 is this leaf certificate, another one of the same key, or the key."""
        if hmac.compare_digest(self.key, leaf_der) or self.key in {spki, p256_point(spki)}:
            return True
        return _key_of(self.key) == spki


@dataclass(frozen=True, slots=True)
class ReceiptExamination:
    """Hold what was found in a receipt.

    :param receipt: None where it couldn't be read.
    :param refusals: why it isn't Apple's; empty where it is.
    :param signer_validity: the window of the signer's certificate, None where there was none to read.
    """

    receipt: Receipt | None
    refusals: tuple[Refusal, ...]
    leniencies: tuple[str, ...] = ()
    signer_validity: tuple[datetime, datetime] | None = None


@dataclass(frozen=True, slots=True)
class _Signer:
    """Hold a signer's key that was verified up to an anchor's; remembered by the bytes it came from.

    :param alone: nothing else was enclosed than the chain, whose root, if there is one, signed itself.
    :param windows: validity of the signer and each issuer below the anchor.
    """

    alone: bool
    spki: bytes
    windows: tuple[tuple[datetime, datetime], ...]
    anchor_spki: bytes


def read_receipt(data: bytes) -> Receipt:
    """Return the fields of a receipt; nothing is verified.

    :raises MalformedError: with ``encoding.der``.
    """
    return _read_fields(read_signed_data(data).content)


def examine_receipt(data: bytes, trust: Trust) -> ReceiptExamination:
    """Find out whether a receipt is Apple's, at the time that it says it was made.

    1. It is signed data with one signer, ECDSA over SHA-256 by a P-256 key.
    2. The signer's certificate leads to a key of vendor ``apple-receipt`` through enclosed CAs, isn't a CA
       and carries :data:`SIGNER_MARKER`.
    3. The signature holds over the content.
    4. All certificates below the anchor were valid when the receipt was made: receipts are kept and exchanged
       for months, their signers live for one year.  Who could lie about that time has the
       signer's key, and the receipt of an attestation must be minutes old anyway.
    """
    receipt = None
    window = None
    try:
        signed = read_signed_data(data)
        receipt = _read_fields(signed.content)
        anchors = trust.anchors.for_vendor(Vendor.APPLE_RECEIPT)
        digest = _digest(signed)
        known = _find_signer(digest, anchors, trust.issuers)
        signer = known or _verified_signer(signed, anchors)
        window = signer.windows[0]
        over = signature_of(signed, signer.spki)
        if over is None:
            _refuse("not signed by the key of the signer's certificate")
        if not all(start <= receipt.created_at <= end for start, end in signer.windows):
            _refuse("a certificate of its signer wasn't valid when it was made")
    except RefusedError as error:
        refusals = tuple(
            Refusal(Reason.APP_ATTEST_RECEIPT_SIGNATURE, each.detail) for each in error.refusals
        )
        return ReceiptExamination(receipt, refusals, signer_validity=window)
    # Only signers of receipts that hold are remembered, and only as Apple encloses them: strays around the
    # certificates of one good receipt would make ever new entries.
    if trust.issuers is not None and known is None and signer.alone:
        trust.issuers.remember(digest, signer)
    lenient = (LENIENT_ATTRIBUTES,) if over is Signed.CONTENT_BESIDE_ATTRIBUTES else ()
    return ReceiptExamination(receipt, (), lenient, window)


def examine_refreshed(old: bytes, new: bytes, trust: Trust, now: datetime) -> ReceiptClaims:
    """Return the claims of a receipt that Apple's server gave for an older one.

    It must be Apple's, of type RECEIPT with a risk metric, for the same App ID, key and environment, newer
    than the old one, and not from the future: what the server's connection delivers isn't believed
    without its signature, and a receipt of another device must not take the place of this one's.

    :raises RefusedError: ``app_attest.receipt_signature`` where it isn't Apple's, ``app_attest.receipt_age``
        where it isn't newer, ``app_attest.receipt`` where it isn't the old one's successor.
    """
    try:
        before = read_receipt(old)
    except MalformedError as error:
        raise error.as_reason(Reason.APP_ATTEST_RECEIPT, "the old receipt") from None
    found = examine_receipt(new, trust)
    if found.receipt is None or found.refusals:
        raise RefusedError(found.refusals)
    after = found.receipt
    if after.kind is not ReceiptKind.RECEIPT or after.risk_metric is None:
        raise RefusedError.because(
            Reason.APP_ATTEST_RECEIPT, f"got type {after.kind}, expected RECEIPT with a risk metric"
        )
    same = (after.app_id, after.environment) == (before.app_id, before.environment)
    if not same or _key_of(after.key) != _key_of(before.key):
        raise RefusedError.because(
            Reason.APP_ATTEST_RECEIPT, "got a receipt of another app, environment or key"
        )
    if not before.created_at < after.created_at <= now + CLOCK_LEEWAY:
        raise RefusedError.because(
            Reason.APP_ATTEST_RECEIPT_AGE, "got a receipt that isn't newer, or from the future"
        )
    return after.claims()


def next_attempt(failures: int, now: datetime) -> datetime:
    """Return when to ask again after so many failures in a row: pauses double, up to one day.

    :param failures: at least 1; the one that just happened is counted.
    """
    doublings = min(max(failures, 1) - 1, 16)
    return now + min(FIRST_PAUSE * (1 << doublings), LONGEST_PAUSE)


def next_due(receipt: ReceiptClaims, now: datetime) -> datetime | None:
    """Return when to have a receipt refreshed; None once it has expired and can't be any more."""
    if receipt.expires_at is not None and receipt.expires_at <= now:
        return None
    return max(receipt.refresh_after or now, now)


def _read_fields(content: bytes) -> Receipt:
    """Read the fields: a SET of SEQUENCE { type INTEGER, version INTEGER, value OCTET STRING }."""
    fields: dict[int, bytes] = {}
    whole = der.read(content)
    if not whole.is_universal(der.SET) or not whole.constructed:
        _malformed("got something else than a SET of fields")
    inner = whole.content
    for first, _, start, end in der.spans(inner, 0, len(inner)):
        members = der.spans(inner, start, end)
        if first != _FIRST_BYTES[0] or tuple(member[0] for member in members) != _FIRST_BYTES[1:]:
            _malformed("got a field that isn't two INTEGERs and an OCTET STRING")
        (_, _, at, to), _version, (_, _, value_at, value_to) = members
        if to - at > _MAX_NUMBER_BYTES:
            _malformed("got a field whose number is too large")
        number = int.from_bytes(inner[at:to], "big")
        if number in fields:
            _malformed(f"got field {number} twice")
        if len(fields) == _MAX_FIELDS:
            _malformed(f"got more than {_MAX_FIELDS} fields")
        fields[number] = inner[value_at:value_to]
    missing = [number for number in (_APP_ID, _KEY, _KIND, _CREATED) if number not in fields]
    if missing:
        _malformed(f"got no field {missing[0]}")
    kind = _text(fields[_KIND])
    if kind not in {each.value for each in ReceiptKind}:
        _malformed("got a type that is neither ATTEST nor RECEIPT")
    return Receipt(
        app_id=_text(fields[_APP_ID]),
        key=fields[_KEY],
        kind=ReceiptKind(kind),
        created_at=_time(fields[_CREATED]),
        client_hash=fields.get(_CLIENT_HASH, b""),
        token=_text(fields.get(_TOKEN, b"")),
        environment=_text(fields.get(_ENVIRONMENT, b"")),
        risk_metric=_metric(fields[_RISK_METRIC]) if _RISK_METRIC in fields else None,
        refresh_after=_time(fields[_NOT_BEFORE]) if _NOT_BEFORE in fields else None,
        expires_at=_time(fields[_EXPIRES]) if _EXPIRES in fields else None,
    )


def _text(value: bytes) -> str:
    if len(value) > _MAX_TEXT_BYTES:
        _malformed(f"got a text of {len(value)} bytes")
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        _malformed("got a text that isn't UTF-8")


def _time(value: bytes) -> datetime:
    """Read a time as Apple writes it, for example ``2020-11-27T22:41:40.46Z``."""
    match = _TIME.fullmatch(_text(value))
    if match is None:
        _malformed("got a time in another form than ISO 8601 in UTC")
    *whole, fraction = match.groups(default="0")
    fields = [*(int(digits) for digits in whole), int(fraction.ljust(6, "0"))]
    try:
        made: datetime = datetime(*fields, tzinfo=UTC)  # type: ignore[arg-type, misc]
    except ValueError:
        _malformed("got a date that isn't in the calendar")
    return made


def _metric(value: bytes) -> int:
    text = _text(value)
    if _METRIC.fullmatch(text) is None:
        _malformed("got a risk metric that isn't a number")
    return int(text)


def _key_of(attested: bytes) -> bytes:
    """Return the SubjectPublicKeyInfo of field 3 where it is a certificate, else field 3 itself."""
    try:
        return read_certificate(attested).spki
    except MalformedError:
        return attested


def _find_signer(
    digest: bytes, anchors: Sequence[Anchor], issuers: IssuerCache | None
) -> _Signer | None:
    """Return the signer that is remembered under this digest, if its anchor is still one."""
    remembered = None if issuers is None else issuers.find(digest)
    if isinstance(remembered, _Signer) and any(
        anchor.spki == remembered.anchor_spki for anchor in anchors
    ):
        return remembered
    return None


def _digest(signed: SignedData) -> bytes:
    """Name the signer and the certificates that vouch for it, apart from all that others remember."""
    named = hashlib.sha256(b"watchword/receipt-signer/v1")
    for part in (signed.issuer, signed.serial_hex.encode(), *signed.certificates):
        named.update(len(part).to_bytes(4, "big") + part)
    return named.digest()


def _verified_signer(signed: SignedData, anchors: Sequence[Anchor]) -> _Signer:
    """Verify the chain of the signer, which the enclosed certificates make up in any order.

    :raises RefusedError: with what is wrong with it.
    """
    enclosed = certificates.read_chain(signed.certificates)
    signers = [
        each
        for each in enclosed
        if each.issuer == signed.issuer and each.serial_hex == signed.serial_hex
    ]
    if len(signers) != 1:
        _refuse("the signer's certificate isn't enclosed, or more than one is")
    chain = _ordered(signers[0], enclosed, {anchor.spki for anchor in anchors})
    anchored = certificates.find_anchor(chain, anchors)
    refusals = (
        *certificates.anchor_refusals(chain, anchored, anchors),
        *certificates.link_refusals(chain, signatures=anchored is not None),
        *certificates.authority_refusals(chain, first=1),
    )
    if anchored is None or refusals:
        raise RefusedError(refusals)
    if chain[0].basic_constraints()[0] or chain[0].spki == anchored.anchor.spki:
        _refuse("the signer is a CA")
    if SIGNER_MARKER not in chain[0].extensions:
        _refuse("the signer's certificate isn't one for receipts")
    below = chain[:-1] if anchored.included else chain
    mutated_root = anchored.included and not chain[-1].is_signed_by(chain[-1].spki)
    return _Signer(
        alone=len(chain) == len(enclosed) and not mutated_root,
        spki=chain[0].spki,
        windows=tuple(certificate.window() for certificate in below),
        anchor_spki=anchored.anchor.spki,
    )


def _ordered(
    signer: Certificate, certificates: Sequence[Certificate], ends: set[bytes]
) -> tuple[Certificate, ...]:
    """Return the signer's chain, each followed by an issuer of its issuer's name, up to an anchor's key."""
    chain = [signer]
    while chain[-1].spki not in ends:
        issuer = next(
            (c for c in certificates if c.subject == chain[-1].issuer and c not in chain), None
        )
        if issuer is None:
            break
        chain.append(issuer)
    return tuple(chain)


def _refuse(detail: str) -> NoReturn:
    raise RefusedError.because(Reason.APP_ATTEST_RECEIPT_SIGNATURE, detail)


def _malformed(detail: str) -> NoReturn:
    raise MalformedError.because(Reason.ENCODING_DER, f"receipt: {detail}")


RECEIPT_AGE: Final = "receipt_age"
"""Among the unchecked: how old the receipt was when it arrived."""

_ENVIRONMENTS: Final[Mapping[str, AppAttestEnvironment]] = {
    "sandbox": AppAttestEnvironment.DEVELOPMENT,
    "production": AppAttestEnvironment.PRODUCTION,
}
"""Field 7 of a receipt, and the AAGUID that goes with it."""


@dataclass(frozen=True, slots=True)
class AttestedReceipt:
    """Hold the steps on a receipt, and what claims say of it.

    :param claims: None where there is no receipt, or where it doesn't verify.
    :param fault: ``code: detail`` of what keeps it from being believed, None where nothing does.
    """

    steps: tuple[Step, ...]
    claims: ReceiptClaims | None = None
    fault: str | None = None
    leniencies: tuple[str, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)


def judge_receipt(
    read: AttestationObject, leaf: Certificate, trust: Trust, now: datetime, *, fresh: bool
) -> AttestedReceipt:
    """Carry out steps 10 to 12 on the receipt that came with this leaf.

    A receipt that speaks of another key, app or environment refuses the attestation, whoever signed it: no
    phone sends one, and it would hide the device's own risk metric behind another's.  One that can't
    be read, isn't signed up to Apple's root, or is too old is a fault that policy judges: that it isn't
    believed is all that follows from it.

    :param fresh: False leaves the age out.
    """
    if not read.receipt:
        none = (Refusal(Reason.APP_ATTEST_RECEIPT, "got no receipt"),)
        return AttestedReceipt((_step_signed("no receipt", none), *_left_out("no receipt")))
    found = examine_receipt(read.receipt, trust)
    signed = _step_signed("signed up to Apple's root" if not found.refusals else _first(found))
    if found.receipt is None:
        steps = (signed, *_left_out("a receipt that can't be read"))
        return AttestedReceipt(steps, fault=str(found.refusals[0]))
    receipt = found.receipt
    mismatch = _mismatch(receipt, read, leaf)
    fits = Step(
        "11",
        "the receipt is this attestation's",
        "type ATTEST, the leaf's key, the app and its environment",
        mismatch or f"type {receipt.kind}, the same",
        (Refusal(Reason.APP_ATTEST_RECEIPT, mismatch),) if mismatch else (),
    )
    late = (
        age_refusals(receipt.created_at, now, MAX_AGE, Reason.APP_ATTEST_RECEIPT_AGE)
        if fresh
        else ()
    )
    faults = (*found.refusals, *fits.refusals, *late)
    return AttestedReceipt(
        steps=(signed, fits, _step_age(describe_age(now - receipt.created_at), fresh=fresh)),
        claims=None if faults else receipt.claims(),
        fault=str(faults[0]) if faults else None,
        leniencies=found.leniencies,
        fields=_fields(receipt),
    )


def _mismatch(receipt: Receipt, read: AttestationObject, leaf: Certificate) -> str:
    """Return in which way the receipt belongs to another attestation; empty where it fits."""
    if receipt.kind is not ReceiptKind.ATTEST:
        return f"got a receipt of type {receipt.kind}, expected ATTEST"
    app = hashlib.sha256(receipt.app_id.encode()).digest()
    if not hmac.compare_digest(app, read.data.rp_id_hash):
        return "got the receipt of another app"
    if not receipt.is_for_key(leaf.der, leaf.spki):
        return "got the receipt of another key"
    environment = _ENVIRONMENTS.get(receipt.environment)
    if receipt.environment and (environment is None or environment.value != read.credential.aaguid):
        return "got the receipt of another environment"
    return ""


def _step_signed(found: str, refusals: tuple[Refusal, ...] = ()) -> Step:
    return Step(
        "10",
        "the receipt is Apple's",
        "signed up to Apple's root, by a certificate for receipts",
        found,
        refusals,
    )


def _step_age(found: str, *, fresh: bool = True) -> Step:
    wanted = f"made in the last {MAX_AGE.seconds} s"
    return Step("12", "the receipt is new", wanted, found, checked=fresh)


def _left_out(found: str) -> tuple[Step, Step]:
    """Return the steps that need a receipt to be read, as left out."""
    fits = Step("11", "the receipt is this attestation's", "type, key, app", found, checked=False)
    return fits, _step_age(found, fresh=False)


def _first(found: ReceiptExamination) -> str:
    return found.refusals[0].detail


def _fields(receipt: Receipt) -> dict[str, Any]:
    """Return what people are shown; token and client hash stay out."""
    return {
        "type": receipt.kind.value,
        "app_id": receipt.app_id,
        "environment": receipt.environment,
        "creation_time": receipt.created_at.isoformat(),
        "expiration_time": None if receipt.expires_at is None else receipt.expires_at.isoformat(),
    }
