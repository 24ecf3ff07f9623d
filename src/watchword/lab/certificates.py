"""Sign X.509 certificates deterministically, as authorities and for leaves."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from watchword.lab.keys import derive_key, derive_serial

Extension = tuple[x509.ExtensionType, bool]
"""An extension, and whether it is critical."""

_FROM: Final = datetime(2020, 1, 1, tzinfo=UTC)
_UNTIL: Final = datetime(2050, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Authority:
    """Hold one simulated certificate authority; its private key is in no repr."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def self_signed(
        cls, seed: bytes, label: str, name: x509.Name, curve: ec.EllipticCurve
    ) -> "Authority":
        """Make a root whose key belongs to this seed and label."""
        key = derive_key(seed, label, curve)
        serial = derive_serial(seed, label)
        return cls(_certify_authority(name, key, name, key.public_key(), serial), key)

    @property
    def der(self) -> bytes:
        """Return the certificate as DER."""
        return self.certificate.public_bytes(Encoding.DER)

    def subordinate(
        self, seed: bytes, label: str, name: x509.Name, curve: ec.EllipticCurve
    ) -> "Authority":
        """Make an authority under this one, whose key belongs to this seed and label."""
        key = derive_key(seed, label, curve)
        serial = derive_serial(seed, label)
        issuer = self.certificate.subject
        return Authority(_certify_authority(issuer, self.key, name, key.public_key(), serial), key)

    def issue_leaf(
        self,
        *,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        serial: int,
        validity: tuple[datetime, datetime],
        extensions: Sequence[Extension],
    ) -> bytes:
        """Issue a leaf that may sign data, as DER.

        The hash is SHA-256 also under a P-384 key: so do Apple and Android devices.
        """
        certificate = _sign(
            (self.certificate.subject, self.key),
            subject=subject,
            key=key,
            serial=serial,
            validity=validity,
            extensions=((_key_usage(digital_signature=True), True), *extensions),
            algorithm=hashes.SHA256(),
        )
        return certificate.public_bytes(Encoding.DER)


def _certify_authority(
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    subject: x509.Name,
    key: ec.EllipticCurvePublicKey,
    serial: int,
) -> x509.Certificate:
    """Sign the certificate of an authority."""
    return _sign(
        (issuer, issuer_key),
        subject=subject,
        key=key,
        serial=serial,
        validity=(_FROM, _UNTIL),
        extensions=(
            (x509.BasicConstraints(ca=True, path_length=None), True),
            (_key_usage(digital_signature=False), True),
            (x509.SubjectKeyIdentifier.from_public_key(key), False),
        ),
        algorithm=hashes.SHA384() if issuer_key.key_size > 256 else hashes.SHA256(),
    )


def _sign(
    issuer: tuple[x509.Name, ec.EllipticCurvePrivateKey],
    *,
    subject: x509.Name,
    key: ec.EllipticCurvePublicKey,
    serial: int,
    validity: tuple[datetime, datetime],
    extensions: Sequence[Extension],
    algorithm: hashes.SHA256 | hashes.SHA384,
) -> x509.Certificate:
    """Sign one certificate with a deterministic ECDSA nonce (RFC 6979), as the seed promises."""
    builder = (
        x509.CertificateBuilder()
        .issuer_name(issuer[0])
        .subject_name(subject)
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(validity[0])
        .not_valid_after(validity[1])
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(issuer[1], algorithm, ecdsa_deterministic=True)


def _key_usage(*, digital_signature: bool) -> x509.KeyUsage:
    """Allow a leaf to sign data, or an authority to sign certificates."""
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=not digital_signature,
        crl_sign=not digital_signature,
        encipher_only=False,
        decipher_only=False,
    )
