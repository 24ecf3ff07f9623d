"""Verify Apple's App Attest receipts: who signed them, what they say, and when to have them refreshed.

A receipt comes with each attestation (type ATTEST) and is exchanged at Apple's server for newer ones (type
RECEIPT), which state how many keys the device had attested in 30 days: Apple's risk metric.
Source: Apple, "Assessing fraud risk".
"""

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, NoReturn

from watchword.attestation import ages, chains, cms
from watchword.attestation.certificates import Certificate, p256_point, read_certificate
from watchword.attestation.claims import ReceiptClaims, ReceiptKind
from watchword.attestation.cms import Signed, SignedData
from watchword.attestation.interface import IssuerCache, Trust
from watchword.encoding import der
from watchword.ports import Anchor
from watchword.reasons import MalformedError, Reason, Refusal, RefusedError
from watchword.vocabulary import Vendor

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
    return _read_fields(cms.read_signed_data(data).content)


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
        signed = cms.read_signed_data(data)
        receipt = _read_fields(signed.content)
        anchors = trust.anchors.for_vendor(Vendor.APPLE_RECEIPT)
        digest = _digest(signed)
        known = _find_signer(digest, anchors, trust.issuers)
        signer = known or _verified_signer(signed, anchors)
        window = signer.windows[0]
        over = cms.signature_of(signed, signer.spki)
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
    if not before.created_at < after.created_at <= now + ages.CLOCK_LEEWAY:
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
    certificates = chains.read_chain(signed.certificates)
    signers = [
        each
        for each in certificates
        if each.issuer == signed.issuer and each.serial_hex == signed.serial_hex
    ]
    if len(signers) != 1:
        _refuse("the signer's certificate isn't enclosed, or more than one is")
    chain = _ordered(signers[0], certificates, {anchor.spki for anchor in anchors})
    anchored = chains.find_anchor(chain, anchors)
    refusals = (
        *chains.anchor_refusals(chain, anchored, anchors),
        *chains.link_refusals(chain, signatures=anchored is not None),
        *chains.authority_refusals(chain, first=1),
    )
    if anchored is None or refusals:
        raise RefusedError(refusals)
    if chain[0].basic_constraints()[0] or chain[0].spki == anchored.anchor.spki:
        _refuse("the signer is a CA")
    if SIGNER_MARKER not in chain[0].extensions:
        _refuse("the signer's certificate isn't one for receipts")
    below = chain[:-1] if anchored.included else chain
    bent_root = anchored.included and not chain[-1].is_signed_by(chain[-1].spki)
    return _Signer(
        alone=len(chain) == len(certificates) and not bent_root,
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
