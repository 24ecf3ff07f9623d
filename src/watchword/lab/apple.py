"""Play Apple: which device an App Attest leaf is for, the authority that signs receipts, and the server that exchanges them.

Leaves are written from the recorded ones of 2020 to 2026 and from Apple's words on the access control list of a Mac's key;
sources stand in docs/formats/app_attest.md.  Receipts follow Apple's "Assessing fraud risk" and how real ones look: signed
data of indefinite length around a content in pieces of 1,000 bytes, three certificates, no signed attributes.  The server
takes one request to one answer: it counts attestations per device, and says no like Apple; its state is what it has counted.
Whoever wants it behind a port or on a socket puts it there.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from watchword.encoding import base64url
from watchword.lab import der
from watchword.lab.certificates import Authority, marked_name
from watchword.lab.keys import derive_bytes, derive_key, derive_serial
from watchword.ports import Anchor, FetchRequest, FetchResponse
from watchword.reasons import MalformedError

_PHONE, _PAD = 2, 0


def _utf8(text: str) -> bytes:
    content = text.encode()
    return bytes([0x0C, len(content)]) + content


def _allowed(operation: str) -> bytes:
    """Say that an operation needs nothing."""
    return der.sequence(_utf8(operation), der.explicit(1, der.boolean(value=True)))


def _listed(*operations: bytes) -> bytes:
    return der.sequence(_utf8("11"), der.sequence(*operations))


IPHONE_KEY: Final = _listed(*map(_allowed, ("okd", "oa", "osgn", "odel", "ock")))
"""The access control list of an iPhone's key."""

SEALED_MAC_KEY: Final = _listed(
    *map(_allowed, ("ok", "oa", "odel")),
    der.sequence(
        _utf8("osgn"),
        der.explicit(0, _utf8("rsec")),
        der.sequence(der.explicit(6, der.integer(1))),
    ),
)
"""That of a Mac's key: it signs only in Full Security with System Integrity Protection."""

OPEN_MAC_KEY: Final = _listed(*map(_allowed, ("ok", "oa", "odel", "osgn")))
"""That of a Mac's key whose owner switched the protection off: it signs whatever runs."""


@dataclass(frozen=True, slots=True)
class AppleSystem:
    """Hold what Apple says of a device.

    :param name: ``iphoneos`` on iPhones and iPads, ``macosx`` on Macs; None as systems before 18 have it.
    :param key_access: None as systems before 26 have it.
    :param extension: stands in the place of all that, where it is given.
    """

    name: str | None = "iphoneos"
    version: str = "27.0"
    build: str | None = "24A5355q"
    device_class: int | None = _PHONE
    key_access: bytes | None = IPHONE_KEY
    extension: bytes | None = None

    def described(self) -> bytes:
        """Return the extension that names the system: explicit tags in a SEQUENCE."""
        if self.extension is not None:
            return self.extension
        parts = [der.explicit(1400, der.octet_string(self.version.encode()))]
        if self.device_class is not None:
            parts.append(der.explicit(1104, der.integer(self.device_class)))
        if self.build is not None:
            parts.append(der.explicit(1403, der.octet_string(self.build.encode())))
        if self.name is not None:
            parts.append(der.explicit(1026, der.octet_string(self.name.encode())))
        return der.sequence(*parts)


IPHONE: Final = AppleSystem()
IPHONE_26: Final = AppleSystem(version="26.2", build="23C55")
IPHONE_17: Final = AppleSystem(None, "17.5.1", "21F90", None, None)
IPAD: Final = AppleSystem(device_class=_PAD)
VISION: Final = AppleSystem(name="xros", device_class=None)
MAC: Final = AppleSystem("macosx", "27.0", "26A428", None, SEALED_MAC_KEY)
OPEN_MAC: Final = replace(MAC, key_access=OPEN_MAC_KEY)


LIFETIME: Final = timedelta(days=90)
"""How long a receipt can be exchanged for a newer one."""

_PIECE: Final = 1000
_SIGNER_MARKER: Final = x509.ObjectIdentifier("1.2.840.113635.100.12.15")
_INTEGRATION_MARKER: Final = x509.ObjectIdentifier("1.2.840.113635.100.6.2.3")
_SIGNED_DATA: Final = der.object_identifier("1.2.840.113549.1.7.2")
_DATA: Final = der.object_identifier("1.2.840.113549.1.7.1")
_SHA256: Final = der.sequence(der.object_identifier("2.16.840.1.101.3.4.2.1"), der.NULL)
_ECDSA_SHA256: Final = der.sequence(der.object_identifier("1.2.840.10045.4.3.2"))


@dataclass(frozen=True, slots=True)
class ReceiptContent:
    """Hold what a receipt says; the numbers are those of Apple's table.

    :param certificate: the attested certificate, DER (field 3).
    :param token: ties the receipt to a device, for Apple alone (field 5).
    :param environment: ``sandbox`` or ``production`` (field 7).
    :param risk_metric: None for a receipt of type ATTEST, which has no ``not_before`` either.
    """

    app_id: str
    certificate: bytes = field(repr=False)
    client_hash: bytes = field(repr=False)
    token: str = field(repr=False)
    environment: str
    created_at: datetime
    risk_metric: int | None = None
    not_before: datetime | None = None

    def encode(self) -> bytes:
        """Return the SET of fields, in Apple's order, which isn't sorted."""
        named = [
            (2, self.app_id.encode()),
            (3, self.certificate),
            (4, self.client_hash),
            (5, self.token.encode()),
        ]
        if self.risk_metric is None:
            named += [(6, b"ATTEST"), (7, self.environment.encode())]
        else:
            named = [(17, str(self.risk_metric).encode()), (6, b"RECEIPT"), *named]
            named.append((7, self.environment.encode()))
        named.append((12, write_time(self.created_at)))
        if self.not_before is not None:
            named.append((19, write_time(self.not_before)))
        named.append((21, write_time(self.created_at + LIFETIME)))
        members = (
            der.sequence(der.integer(number), der.integer(1), der.octet_string(value))
            for number, value in named
        )
        return b"\x31" + der.sequence(*members)[1:]


@dataclass(frozen=True)
class ReceiptAuthorities:
    """Hold the authorities above receipts: a root, an intermediate, and a signer for each year."""

    seed: bytes = field(repr=False)

    @cached_property
    def root(self) -> Authority:
        """Return what Apple Root CA - G3 is."""
        name = marked_name("Lab Root CA - G3")
        return Authority.self_signed(self.seed, "apple-receipt-root", name, ec.SECP384R1())

    @cached_property
    def intermediate(self) -> Authority:
        """Return what Apple Application Integration CA 5 - G1 is: it also issues what isn't for receipts."""
        return self.root.subordinate(
            self.seed,
            "apple-receipt-intermediate",
            marked_name("Lab Application Integration CA 5 - G1"),
            ec.SECP256R1(),
            extensions=((x509.UnrecognizedExtension(_INTEGRATION_MARKER, der.NULL), False),),
        )

    def signer(self, at: datetime, *, marked: bool = True) -> Authority:
        """Return the signer of the year of ``at``; its certificate lives for 13 months.

        :param marked: False gives a certificate for another purpose by the same intermediate.
        """
        label = f"apple-receipt-signer/{at.year}/{marked}"
        key = derive_key(self.seed, label, ec.SECP256R1())
        marker = (x509.UnrecognizedExtension(_SIGNER_MARKER, der.NULL), False)
        certificate = self.intermediate.issue_leaf(
            subject=marked_name("Lab Application Attestation Fraud Receipt Signing"),
            key=key.public_key(),
            serial=derive_serial(self.seed, label),
            validity=(
                datetime(at.year - 1, 12, 1, tzinfo=UTC),
                datetime(at.year, 12, 31, 23, 59, 59, tzinfo=UTC),
            ),
            extensions=(
                (x509.BasicConstraints(ca=False, path_length=None), True),
                *((marker,) if marked else ()),
            ),
        )
        return Authority(x509.load_der_x509_certificate(certificate), key)

    def anchor(self) -> Anchor:
        """Return the root as a trust anchor of the lab."""
        key = self.root.key.public_key()
        return Anchor(
            name="Watchword Lab receipt root",
            vendor="apple-receipt",
            kind="lab",
            spki=key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
            subject=self.root.certificate.subject.public_bytes(),
        )

    def issue(self, content: ReceiptContent) -> bytes:
        """Return the receipt that says ``content``, signed; the same content gives the same bytes."""
        return self.sign(content.encode(), self.signer(content.created_at))

    def sign(self, content: bytes, signer: Authority) -> bytes:
        """Return any content signed by any signer, as a receipt is; other signers are for tests."""
        signature = signer.key.sign(content, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
        pieces = (
            der.octet_string(content[at : at + _PIECE]) for at in range(0, len(content), _PIECE)
        )
        encapsulated = indefinite(0x30, _DATA, indefinite(0xA0, indefinite(0x24, *pieces)))
        certificates = (signer.der, self.intermediate.der, self.root.der)
        info = der.sequence(
            der.integer(1),
            der.sequence(
                signer.certificate.issuer.public_bytes(),
                der.integer(signer.certificate.serial_number),
            ),
            _SHA256,
            _ECDSA_SHA256,
            der.octet_string(signature),
        )
        signed = indefinite(
            0x30,
            der.integer(1),
            der.set_of([_SHA256]),
            encapsulated,
            indefinite(0xA0, *certificates),
            der.set_of([info]),
        )
        return indefinite(0x30, _SIGNED_DATA, indefinite(0xA0, signed))


def indefinite(tag: int, *parts: bytes) -> bytes:
    """Write a constructed element of indefinite length (X.690 section 8.1.3.6)."""
    return bytes((tag, 0x80)) + b"".join(parts) + b"\x00\x00"


def write_time(at: datetime) -> bytes:
    """Write a time as Apple does: milliseconds, without zeros at their end."""
    fraction = f".{at.microsecond // 1000:03d}".rstrip("0").rstrip(".")
    return f"{at:%Y-%m-%dT%H:%M:%S}{fraction}Z".encode()


PATH: Final = "/v1/attestationData"
HOSTS: Final[Mapping[str, str]] = {
    "https://data.appattest.apple.com": "production",
    "https://data-development.appattest.apple.com": "sandbox",
}
"""Apple's own addresses, and the environment whose receipts each takes."""

WINDOW: Final = timedelta(days=30)
PAUSE: Final = timedelta(days=1)
MAX_TOKEN_AGE: Final = timedelta(minutes=20)

_DEVICE_BYTES: Final = 32


def device_token(seed: bytes, device: str, key_id: bytes) -> str:
    """Return field 5 of a receipt: which device it is, for the server alone, and which key."""
    secret = derive_bytes(seed, f"apple-device/{device}", _DEVICE_BYTES)
    return base64.b64encode(secret + hashlib.sha256(secret + key_id).digest()).decode("ascii")


@dataclass(slots=True)
class AppleServer:
    """Answer as Apple's receipt server does.

    :param teams: public key by (team id, key id), as registered at Apple.
    :param throttled: seconds that 429 answers ask to wait; None answers requests.
    """

    authorities: ReceiptAuthorities
    teams: Mapping[tuple[str, str], ec.EllipticCurvePublicKey]
    throttled: int | None = None
    attested: dict[bytes, dict[bytes, datetime]] = field(default_factory=dict, repr=False)

    def count(self, receipt: bytes) -> None:
        """Count the attestation that a receipt of type ATTEST came with, as Apple does when it is made.

        :raises ValueError: when it isn't a receipt of this lab.
        """
        content = read_own(receipt, self.authorities)
        device = base64.b64decode(content.token)[:_DEVICE_BYTES]
        key = hashlib.sha256(content.certificate).digest()
        if content.risk_metric is None:
            self.attested.setdefault(device, {}).setdefault(key, content.created_at)

    def answer(self, request: FetchRequest, now: datetime) -> FetchResponse:
        """Return the answer to one request."""
        host, _, path = request.url.partition("/v1/")
        if f"/v1/{path}" != PATH or request.method != "POST":
            return _answer(404)
        if self.throttled is not None:
            return _answer(429, {"retry-after": str(self.throttled)})
        team = self._team(request.headers.get("authorization", ""), now)
        if team is None:
            return _answer(401)
        try:
            receipt = base64.b64decode(request.body, validate=True)
            content = read_own(receipt, self.authorities)
        except (ValueError, binascii.Error):
            return _answer(400)
        if host in HOSTS and HOSTS[host] != content.environment:
            return _answer(400)
        if not content.app_id.startswith(f"{team}.") or now > content.created_at + LIFETIME:
            return _answer(404)
        self.count(receipt)
        if content.not_before is not None and now < content.not_before:
            return _answer(304)
        newer = ReceiptContent(
            app_id=content.app_id,
            certificate=content.certificate,
            client_hash=content.client_hash,
            token=content.token,
            environment=content.environment,
            created_at=now,
            risk_metric=self._metric(content.token, now),
            not_before=now + PAUSE,
        )
        return _answer(200, body=base64.b64encode(self.authorities.issue(newer)))

    def _metric(self, token: str, now: datetime) -> int:
        """Return how many keys of the device were attested within the window, this one at least."""
        times = self.attested.get(base64.b64decode(token)[:_DEVICE_BYTES], {}).values()
        return max(1, sum(now - WINDOW <= at <= now for at in times))

    def _team(self, authorization: str, now: datetime) -> str | None:
        """Return whose ES256 token this is, None if nobody's (RFC 7515, RFC 7518 section 3.4)."""
        try:
            signing_input, _, encoded = authorization.rpartition(".")
            header, claims = (_json(part) for part in signing_input.split("."))
            signature = base64url.decode(encoded)
            key = self.teams[claims["iss"], header["kid"]]
            age = now - datetime.fromtimestamp(claims["iat"], UTC)
            half = len(signature) // 2
            r, s = (int.from_bytes(part, "big") for part in (signature[:half], signature[half:]))
            key.verify(
                encode_dss_signature(r, s), signing_input.encode(), ec.ECDSA(hashes.SHA256())
            )
        except (InvalidSignature, MalformedError, KeyError, TypeError, ValueError, OverflowError):
            return None
        fresh = -timedelta(minutes=1) <= age <= MAX_TOKEN_AGE
        return str(claims["iss"]) if header["alg"] == "ES256" and half == 32 and fresh else None


def read_own(receipt: bytes, authorities: ReceiptAuthorities) -> ReceiptContent:
    """Return what a receipt of this lab says; one that the lab wouldn't issue to the byte is none.

    :raises ValueError: when it isn't one.
    """
    marker = b"\x24\x80"
    start = receipt.find(marker) + len(marker)
    content = b""
    while receipt[start : start + 1] == b"\x04":
        piece, start = _element(receipt, start)
        content += piece
    fields: dict[int, bytes] = {}
    members, _ = _element(content, 0)
    at = 0
    while at < len(members):
        entry, at = _element(members, at)
        number, after = _element(entry, 0)
        _, after = _element(entry, after)
        fields[int.from_bytes(number, "big")] = _element(entry, after)[0]
    try:
        read = ReceiptContent(
            app_id=fields[2].decode(),
            certificate=fields[3],
            client_hash=fields[4],
            token=fields[5].decode(),
            environment=fields[7].decode(),
            created_at=datetime.fromisoformat(fields[12].decode()),
            risk_metric=int(fields[17]) if 17 in fields else None,
            not_before=datetime.fromisoformat(fields[19].decode()) if 19 in fields else None,
        )
    except (KeyError, UnicodeDecodeError) as error:
        raise ValueError("not a receipt") from error
    # Signatures of the lab are deterministic, so that issuing it again is the best verification.
    if authorities.issue(read) != receipt:
        raise ValueError("not a receipt of this lab")
    return read


def _element(data: bytes, at: int) -> tuple[bytes, int]:
    """Return the content of the definite element at ``at``, and the offset behind it."""
    if at + 2 > len(data):
        raise ValueError("cut off")
    size, start = data[at + 1], at + 2
    if size > 0x80:
        count = size & 0x7F
        size, start = int.from_bytes(data[start : start + count], "big"), start + count
    if start + size > len(data):
        raise ValueError("cut off")
    return data[start : start + size], start + size


def _json(part: str) -> dict[str, Any]:
    document = json.loads(base64url.decode(part))
    if not isinstance(document, dict):
        raise TypeError("expected an object")
    return document


def _answer(
    status: int, headers: Mapping[str, str] | None = None, body: bytes = b""
) -> FetchResponse:
    return FetchResponse(status, headers or {}, body)
