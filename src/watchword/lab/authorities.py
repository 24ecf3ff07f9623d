"""Play Apple and Google: certificate authorities like theirs, with keys from a seed.

Every name carries :data:`MARKER`, so that no lab certificate can be taken for a vendor's by a
person who looks at it.  The verifier goes by public keys alone, and loads these only in a lab
environment (protocol, section 4).
"""

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from watchword.lab import der
from watchword.lab.android_authorities import AndroidAuthorities
from watchword.lab.apple import IPHONE, AppleSystem, ReceiptAuthorities
from watchword.lab.certificates import MARKER, Authority, Issuer, marked_name
from watchword.lab.keys import MIN_SEED_BYTES, derive_key, derive_serial
from watchword.ports import Anchor

__all__ = ["MARKER", "LabAuthorities"]

_APPLE_NONCE: Final = x509.ObjectIdentifier("1.2.840.113635.100.8.2")
_KEY_ACCESS: Final = x509.ObjectIdentifier("1.2.840.113635.100.8.6")
_SYSTEM: Final = x509.ObjectIdentifier("1.2.840.113635.100.8.7")
_CREDENTIAL_USAGE: Final = x509.ExtendedKeyUsage([x509.ObjectIdentifier("1.2.840.113635.100.4.24")])


@dataclass(frozen=True)
class LabAuthorities:
    """Hold all simulated vendors, each made when it is first needed.

    Two of the same seed are the same to the byte.  ``apple_*``: the App Attest root and the
    intermediate that signs leaves; ``android``: Google and the makers of phones.
    """

    seed: bytes = field(repr=False)

    @classmethod
    def from_seed(cls, seed: bytes) -> "LabAuthorities":
        """Return the authorities of ``seed``.

        :raises ValueError: on a seed of fewer than 16 bytes.
        """
        if len(seed) < MIN_SEED_BYTES:
            raise ValueError(f"got a seed of {len(seed)} bytes, expected at least {MIN_SEED_BYTES}")
        return cls(seed)

    @cached_property
    def apple_root(self) -> Authority:
        """Return Apple's App Attest root."""
        name = marked_name("Lab App Attestation Root CA")
        return Authority.self_signed(self.seed, "apple-root", name, ec.SECP384R1())

    @cached_property
    def apple_intermediate(self) -> Authority:
        """Return Apple's authority that signs credential certificates."""
        name = marked_name("Lab App Attestation CA 1")
        return self.apple_root.subordinate(self.seed, "apple-intermediate", name, ec.SECP384R1())

    @cached_property
    def receipts(self) -> ReceiptAuthorities:
        """Return the part of Apple that signs receipts."""
        return ReceiptAuthorities(self.seed)

    @cached_property
    def android(self) -> AndroidAuthorities:
        """Return Google and the makers of Android phones."""
        return AndroidAuthorities(self.seed)

    def anchors(self) -> tuple[Anchor, ...]:
        """Return the roots as trust anchors: kind ``lab``, and ``software`` for the emulators'."""
        android = self.android
        return (
            _anchor(self.apple_root, "Watchword Lab App Attest root", "apple-app-attest", "lab"),
            self.receipts.anchor(),
            _anchor(android.root, "Watchword Lab Android root", "android-key", "lab"),
            _anchor(android.rsa_root, "Watchword Lab Android RSA root", "android-key", "lab"),
            _anchor(
                android.software_root, "Watchword Lab software root", "android-key", "software"
            ),
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
        self,
        key: ec.EllipticCurvePublicKey,
        key_id: bytes,
        nonce: bytes,
        now: datetime,
        system: AppleSystem = IPHONE,
    ) -> bytes:
        """Issue the credential certificate of an App Attest key, valid for three days, as DER.

        :param key_id: SHA-256 of the public key; stands in the subject, as with Apple.
        :param nonce: 32 bytes, in Apple's extension as SEQUENCE { [1] OCTET STRING }.
        :param system: what Apple says of the device, in extensions of its own.
        """
        nonce_extension = der.sequence(der.explicit(1, der.octet_string(nonce)))
        # The day before: a service whose clock is minutes behind mustn't see a leaf too early.
        start = now.replace(microsecond=0) - timedelta(days=1)
        return self.apple_intermediate.issue_leaf(
            subject=marked_name(key_id.hex()),
            key=key,
            serial=derive_serial(self.seed, f"app-attest/{key_id.hex()}"),
            validity=(start, start + timedelta(days=3)),
            extensions=(
                (x509.BasicConstraints(ca=False, path_length=None), True),
                (x509.UnrecognizedExtension(_APPLE_NONCE, nonce_extension), False),
                *_of_system(system),
            ),
        )


def _of_system(system: AppleSystem) -> Iterator[tuple[x509.ExtensionType, bool]]:
    """Yield the extensions that say which device it is; the key's came with OS 27."""
    yield x509.UnrecognizedExtension(_SYSTEM, system.described()), False
    if system.key_access is not None:
        yield _CREDENTIAL_USAGE, False
        listed = der.sequence(der.explicit(3, der.octet_string(system.key_access)))
        yield x509.UnrecognizedExtension(_KEY_ACCESS, listed), False


def _anchor(root: Issuer, name: str, vendor: str, kind: str) -> Anchor:
    """Return a root as a trust anchor."""
    spki = root.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    subject = root.certificate.subject.public_bytes()
    return Anchor(name=name, vendor=vendor, kind=kind, spki=spki, subject=subject)
