"""Sign X.509 certificates deterministically, as authorities and for leaves, each named so that nobody takes it for a vendor's."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from watchword.lab import der
from watchword.lab.keys import derive_key, derive_rsa_key, derive_serial

Extension = tuple[x509.ExtensionType, bool]
"""An extension, and whether it is critical."""

Validity = tuple[datetime, datetime]
"""First and last second."""

SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

LONG: Final[Validity] = (datetime(2020, 1, 1, tzinfo=UTC), datetime(2050, 1, 1, tzinfo=UTC))
"""Dates of an authority that outlives every test."""

_ECDSA_SHA256: Final = der.object_identifier("1.2.840.10045.4.3.2")


class Usage(Enum):
    """Say what a certificate's key may sign (keyUsage)."""

    DATA = "data"
    CERTIFICATES = "certificates"


@dataclass(frozen=True, slots=True)
class Issuer:
    """Hold a certificate and its key, which signs others; the key is in no repr."""

    certificate: x509.Certificate
    key: SigningKey = field(repr=False)

    @property
    def der(self) -> bytes:
        """Return the certificate as DER."""
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def serial_hex(self) -> str:
        """Return the serial number in lower-case hex without leading zeros."""
        return format(self.certificate.serial_number, "x")

    def subordinate(
        self,
        seed: bytes,
        label: str,
        name: x509.Name,
        curve: ec.EllipticCurve,
        *,
        validity: Validity = LONG,
        serial: int | None = None,
        extensions: Sequence[Extension] = (),
        marked_ca: bool = True,
    ) -> "Authority":
        """Make an authority under this one, whose key belongs to this seed and label.

        :param serial: None derives it from seed and label.
        :param extensions: in addition to those that every authority has.
        :param marked_ca: False leaves the mark of a CA out, as some factories did.
        """
        key = derive_key(seed, label, curve)
        certificate = _sign(
            self,
            subject=name,
            key=key.public_key(),
            serial=derive_serial(seed, label) if serial is None else serial,
            validity=validity,
            extensions=(
                _key_identifier(key.public_key()),
                (x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False),
                (x509.BasicConstraints(ca=marked_ca, path_length=None), True),
                _key_usage(Usage.CERTIFICATES if marked_ca else Usage.DATA),
                *extensions,
            ),
            algorithm=_fitting_hash(self.key),
        )
        return Authority(certificate, key)

    def reissued(self, serial: int, validity: Validity) -> "Issuer":
        """Return a root again under the same key and name, with other dates."""
        return Issuer(_self_sign(self.key, self.certificate.subject, serial, validity), self.key)


@dataclass(frozen=True, slots=True)
class Authority(Issuer):
    """Hold one simulated authority, or anyone, that signs with an elliptic curve."""

    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def self_signed(
        cls, seed: bytes, label: str, name: x509.Name, curve: ec.EllipticCurve
    ) -> "Authority":
        """Make a root whose key belongs to this seed and label."""
        key = derive_key(seed, label, curve)
        return cls(_self_sign(key, name, derive_serial(seed, label), LONG), key)

    def issue_leaf(
        self,
        *,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        serial: int,
        validity: Validity,
        extensions: Sequence[Extension],
        usage: Usage = Usage.DATA,
        issuer_name: x509.Name | None = None,
    ) -> bytes:
        """Issue a certificate that isn't an authority's, as DER.

        The hash is SHA-256 also under a P-384 key: so do Apple and Android devices.

        :param issuer_name: how it names this authority; None as the authority's own certificate does.
        """
        certificate = _sign(
            self,
            subject=subject,
            key=key,
            serial=serial,
            validity=validity,
            extensions=(_key_usage(usage), *extensions),
            algorithm=hashes.SHA256(),
            issuer_name=issuer_name,
        )
        return certificate.public_bytes(Encoding.DER)

    def sign_with_stray_null(self, leaf: bytes) -> bytes:
        """Sign a leaf of this authority again the way Titan M did: NULL parameters after ECDSA.

        RFC 5758 section 3.2 forbids them; both algorithm identifiers of the certificate have them.
        """
        plain = der.sequence(_ECDSA_SHA256)
        stray = der.sequence(_ECDSA_SHA256, der.NULL)
        signed = x509.load_der_x509_certificate(leaf).tbs_certificate_bytes
        # The first one in the signed part is the algorithm's: only version and serial come before.
        content = der.content(signed).replace(plain, stray, 1)
        again = der.sequence(content)
        signature = self.key.sign(again, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
        return der.sequence(again, stray, der.bit_string(signature))


def rsa_root(seed: bytes, label: str, name: x509.Name, validity: Validity = LONG) -> Issuer:
    """Return a root with an RSA-4096 key that belongs to this seed and label."""
    key = derive_rsa_key(seed, label)
    return Issuer(_self_sign(key, name, derive_serial(seed, label), validity), key)


def _self_sign(
    key: SigningKey, name: x509.Name, serial: int, validity: Validity
) -> x509.Certificate:
    """Sign the certificate of a root."""
    builder = _builder(name, name, key.public_key(), serial, validity)
    for extension, critical in (
        (x509.BasicConstraints(ca=True, path_length=None), True),
        _key_usage(Usage.CERTIFICATES),
        _key_identifier(key.public_key()),
    ):
        builder = builder.add_extension(extension, critical=critical)
    return _finish(builder, key, _fitting_hash(key))


def _sign(
    issuer: Issuer,
    *,
    subject: x509.Name,
    key: ec.EllipticCurvePublicKey,
    serial: int,
    validity: Validity,
    extensions: Sequence[Extension],
    algorithm: hashes.SHA256 | hashes.SHA384,
    issuer_name: x509.Name | None = None,
) -> x509.Certificate:
    """Sign one certificate."""
    named = issuer.certificate.subject if issuer_name is None else issuer_name
    builder = _builder(named, subject, key, serial, validity)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return _finish(builder, issuer.key, algorithm)


def _builder(
    issuer: x509.Name,
    subject: x509.Name,
    key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    serial: int,
    validity: Validity,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(validity[0])
        .not_valid_after(validity[1])
    )


def _finish(
    builder: x509.CertificateBuilder,
    key: SigningKey,
    algorithm: hashes.SHA256 | hashes.SHA384,
) -> x509.Certificate:
    """Sign with a deterministic ECDSA nonce (RFC 6979), as the seed promises; RSA has none."""
    if isinstance(key, rsa.RSAPrivateKey):
        return builder.sign(key, algorithm)
    return builder.sign(key, algorithm, ecdsa_deterministic=True)


def _fitting_hash(key: SigningKey) -> hashes.SHA256 | hashes.SHA384:
    """Return what vendors' authorities hash with: SHA-384 under P-384, else SHA-256."""
    return hashes.SHA384() if key.key_size == ec.SECP384R1.key_size else hashes.SHA256()


def _key_identifier(key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey) -> Extension:
    return x509.SubjectKeyIdentifier.from_public_key(key), False


def _key_usage(usage: Usage) -> Extension:
    """Allow a leaf to sign data, or an authority to sign certificates."""
    certificates = usage is Usage.CERTIFICATES
    return (
        x509.KeyUsage(
            digital_signature=not certificates,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=certificates,
            crl_sign=False,
            encipher_only=False,
            decipher_only=False,
        ),
        True,
    )


MARKER: Final = "Watchword Lab - not for production"
"""Stands in the name of every authority of the lab."""


def marked_name(common_name: str) -> x509.Name:
    """Name an authority, with the marker as its organisation."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, MARKER),
        ]
    )
