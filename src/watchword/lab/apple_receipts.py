"""Play the part of Apple that signs App Attest receipts: authorities of its own, and BER like Apple's.

Written from Apple's "Assessing fraud risk" and from how real receipts look: signed data of indefinite length
around a content in pieces of 1,000 bytes, three certificates, no signed attributes.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from watchword.lab import der
from watchword.lab.certificates import Authority
from watchword.lab.keys import derive_key, derive_serial
from watchword.lab.names import marked_name
from watchword.ports import Anchor

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
