"""Play Apple and Google: certificate authorities like theirs, with keys from a seed.

Every name carries :data:`MARKER`, so that no lab certificate can be taken for a vendor's by a
person who looks at it.  The verifier goes by public keys alone, and loads these only in a lab
environment (protocol, section 4).
"""

import base64
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from watchword.lab import der
from watchword.lab.certificates import Authority
from watchword.lab.keys import MIN_SEED_BYTES, derive_bytes, derive_key, derive_serial
from watchword.ports import Anchor

MARKER: Final = "Watchword Lab - not for production"
"""Organisation in the name of every authority of the lab."""

_APPLE_NONCE: Final = x509.ObjectIdentifier("1.2.840.113635.100.8.2")
_APPLE_PURPOSE: Final = x509.ObjectIdentifier("1.2.840.113635.100.4.24")
_KEY_DESCRIPTION: Final = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.1.17")

# Leaves of Android devices carry these dates: the secure world has no clock.
_ANDROID_LEAF_VALIDITY: Final = (
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(2048, 1, 1, tzinfo=UTC),
)


@dataclass(frozen=True, slots=True)
class LabAuthorities:
    """Hold all simulated vendors; two of the same seed are the same to the byte.

    ``apple_*``: the App Attest root and the intermediate that signs leaves.
    ``android_*``: a factory-provisioned TEE: root, intermediate, and the batch key that many
    devices of one model share.
    ``software_*``: what emulators end at; it vouches for nothing.
    """

    apple_root: Authority
    apple_intermediate: Authority
    android_root: Authority
    android_intermediate: Authority
    android_batch: Authority
    software_root: Authority
    software_intermediate: Authority
    seed: bytes = field(repr=False)

    @classmethod
    def from_seed(cls, seed: bytes) -> "LabAuthorities":
        """Make every authority from ``seed``.

        :raises ValueError: on a seed of fewer than 16 bytes.
        """
        if len(seed) < MIN_SEED_BYTES:
            raise ValueError(f"got a seed of {len(seed)} bytes, expected at least {MIN_SEED_BYTES}")
        p256, p384 = ec.SECP256R1(), ec.SECP384R1()
        apple = Authority.self_signed(
            seed, "apple-root", _name("Lab App Attestation Root CA"), p384
        )
        android = Authority.self_signed(
            seed, "android-root", _name("Lab Key Attestation CA1"), p384
        )
        tee = android.subordinate(seed, "android-tee", _tee_name(seed, "android-tee"), p384)
        software = Authority.self_signed(
            seed, "software-root", _name("Lab Software Attestation Root"), p256
        )
        return cls(
            apple_root=apple,
            apple_intermediate=apple.subordinate(
                seed, "apple-intermediate", _name("Lab App Attestation CA 1"), p384
            ),
            android_root=android,
            android_intermediate=tee,
            android_batch=tee.subordinate(
                seed, "android-batch", _tee_name(seed, "android-batch"), p256
            ),
            software_root=software,
            software_intermediate=software.subordinate(
                seed, "software-intermediate", _name("Lab Software Intermediate"), p256
            ),
            seed=seed,
        )

    def anchors(self) -> tuple[Anchor, ...]:
        """Return the roots as trust anchors: kind ``lab``, and ``software`` for the emulators'."""
        return (
            _anchor(self.apple_root, "Watchword Lab App Attest root", "apple-app-attest", "lab"),
            _anchor(self.android_root, "Watchword Lab Android root", "android-key", "lab"),
            _anchor(self.software_root, "Watchword Lab software root", "android-key", "software"),
        )

    def anchors_document(self) -> dict[str, Any]:
        """Return the anchors as the JSON document that a verifier loads.

        ``{"kind": "lab", "anchors": [{"name", "vendor", "kind", "spki", "subject"}]}``, the last
        two DER in standard base64.
        """
        return {
            "kind": "lab",
            "anchors": [
                {
                    "name": anchor.name,
                    "vendor": anchor.vendor,
                    "kind": anchor.kind,
                    "spki": base64.b64encode(anchor.spki).decode("ascii"),
                    "subject": base64.b64encode(anchor.subject).decode("ascii"),
                }
                for anchor in self.anchors()
            ],
        }

    def phone_key(self, label: str) -> ec.EllipticCurvePrivateKey:
        """Return the P-256 key that a phone keeps under ``label``."""
        return derive_key(self.seed, f"phone/{label}", ec.SECP256R1())

    def issue_app_attest_leaf(
        self, key: ec.EllipticCurvePublicKey, key_id: bytes, nonce: bytes, now: datetime
    ) -> bytes:
        """Issue the credential certificate of an App Attest key, valid for three days, as DER.

        :param key_id: SHA-256 of the public key; stands in the subject, as with Apple.
        :param nonce: 32 bytes, in Apple's extension as SEQUENCE { [1] OCTET STRING }.
        """
        nonce_extension = der.sequence(der.explicit(1, der.octet_string(nonce)))
        # The day before: a service whose clock is minutes behind mustn't see a leaf too early.
        start = now.replace(microsecond=0) - timedelta(days=1)
        return self.apple_intermediate.issue_leaf(
            subject=_name(key_id.hex()),
            key=key,
            serial=derive_serial(self.seed, f"app-attest/{key_id.hex()}"),
            validity=(start, start + timedelta(days=3)),
            extensions=(
                (x509.BasicConstraints(ca=False, path_length=None), True),
                (x509.ExtendedKeyUsage([_APPLE_PURPOSE]), False),
                (x509.UnrecognizedExtension(_APPLE_NONCE, nonce_extension), False),
            ),
        )

    def issue_android_chain(
        self, key: ec.EllipticCurvePublicKey, key_description: bytes, *, hardware: bool
    ) -> tuple[bytes, ...]:
        """Issue the chain over an Android key: DER certificates, leaf first, with the root.

        The leaf's name, serial number and dates are those of real devices.

        :param key_description: DER of the KeyDescription extension.
        :param hardware: under the batch key of a TEE (4 certificates), or under the emulators'
            software root (3).
        """
        issuers = (
            (self.android_batch, self.android_intermediate, self.android_root)
            if hardware
            else (self.software_intermediate, self.software_root)
        )
        leaf = issuers[0].issue_leaf(
            subject=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Android Keystore Key")]),
            key=key,
            serial=1,
            validity=_ANDROID_LEAF_VALIDITY,
            extensions=((x509.UnrecognizedExtension(_KEY_DESCRIPTION, key_description), False),),
        )
        return (leaf, *(issuer.der for issuer in issuers))


def _anchor(root: Authority, name: str, vendor: str, kind: str) -> Anchor:
    """Return a root as a trust anchor."""
    spki = root.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    subject = root.certificate.subject.public_bytes()
    return Anchor(name=name, vendor=vendor, kind=kind, spki=spki, subject=subject)


def _name(common_name: str) -> x509.Name:
    """Name an authority, with the marker."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, MARKER),
        ]
    )


def _tee_name(seed: bytes, label: str) -> x509.Name:
    """Name a factory-provisioned issuer the way devices do, by serial number and title."""
    serial = derive_bytes(seed, f"name/{label}", 16).hex()
    return x509.Name(
        [
            x509.NameAttribute(NameOID.SERIAL_NUMBER, serial),
            x509.NameAttribute(NameOID.TITLE, "TEE"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, MARKER),
        ]
    )
