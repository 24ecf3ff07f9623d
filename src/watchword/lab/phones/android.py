"""Simulate Android phones: key attestation by a TEE, or by an emulator's software.

Written from source.android.com "Key and ID attestation" (KeyDescription, version 300) and
developer.android.com "Verify hardware-backed key pairs with key attestation".
"""

import hashlib
from dataclasses import dataclass, replace
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from watchword.encoding import base64url
from watchword.lab.keys import derive_bytes, public_jwk
from watchword.lab.phones.interface import InstalledAndroidApp, InstalledApp, PhoneSetup
from watchword.lab.phones.key_description import Boot, SecurityLevel, key_description
from watchword.vocabulary import Platform

RENEWAL_PREFIX: Final = b"watchword/renew/v1\x00"
"""What stands before a renewal statement under the attested key's signature."""


class AndroidPhone:
    """Hold an app's attested key and seal key, as the system's Keystore would."""

    counter = 0  # Android keys don't count.

    def __init__(self, app: InstalledAndroidApp, setup: PhoneSetup, model: "AndroidModel") -> None:
        """Switch the phone on."""
        self._app = app
        self._setup = setup
        self._model = model
        self.generation = setup.generation

    def __repr__(self) -> str:
        """Name the phone, without its keys."""
        return f"AndroidPhone(name={self._setup.name!r}, app={self._app.package!r})"

    @property
    def proof_jwk(self) -> None:
        """Return None: the attested key is the proof key, and is made after the statement."""
        return

    @property
    def seal_jwk(self) -> dict[str, str]:
        """Return the public key to which secrets for this instance are sealed."""
        return public_jwk(self._key("seal").public_key())

    def create_keys(self) -> None:
        """Make new keys: a challenge goes into an Android key when it is made, and only then."""
        self.generation += 1

    def attest(self, binding: bytes) -> dict[str, Any]:
        """Return a certificate chain with ``attestationChallenge = binding``."""
        chain = self.certificate_chain(binding)
        return {"format": "android-key", "chain": [base64url.encode(der) for der in chain]}

    def renew(self, statement: bytes) -> dict[str, Any]:
        """Return a signature by the attested key over the prefixed statement."""
        signature = self._key("attested").sign(
            RENEWAL_PREFIX + statement, ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
        )
        return {"format": "android-key", "signature": base64url.encode(signature)}

    def certificate_chain(self, challenge: bytes) -> tuple[bytes, ...]:
        """Return what ``KeyStore.getCertificateChain`` gives an app: DER, leaf first."""
        authorities = self._setup.authorities
        description = key_description(
            challenge=challenge,
            app=self._app,
            security=self._model.security,
            boot=Boot(
                locked=self._model.locked,
                # A locked phone has its maker's boot key; an unlocked one states zeros.
                key=derive_bytes(authorities.seed, "boot-key", 32)
                if self._model.locked
                else bytes(32),
                hash=derive_bytes(authorities.seed, "boot-hash", 32),
            ),
            now=self._setup.clock.now(),
        )
        return authorities.issue_android_chain(
            self._key("attested").public_key(),
            description,
            hardware=self._model.security is not SecurityLevel.SOFTWARE,
        )

    def _key(self, purpose: str) -> ec.EllipticCurvePrivateKey:
        """Return the present generation's key for one purpose."""
        label = f"{self._setup.name}/{self.generation}/{purpose}"
        return self._setup.authorities.phone_key(label)


@dataclass(frozen=True, slots=True)
class AndroidModel:
    """Describe one kind of Android phone.

    :param security: where keys live and who attests them.
    :param locked: False for a bootloader that starts any system.
    :param repackaged: the app was changed, and signed again by someone who hasn't our key.
    """

    summary: str
    security: SecurityLevel = SecurityLevel.TRUSTED_ENVIRONMENT
    locked: bool = True
    repackaged: bool = False

    @property
    def platform(self) -> Platform:
        """Return the operating system."""
        return Platform.ANDROID

    def build(self, app: InstalledApp, setup: PhoneSetup) -> AndroidPhone:
        """Return an Android phone of this kind with ``app``, or a repackaged copy, on it.

        :raises ValueError: if the app is one for iOS.
        """
        if not isinstance(app, InstalledAndroidApp):
            raise ValueError("got an app for iOS, expected one for Android")  # noqa: TRY004
        if self.repackaged:
            forged = hashlib.sha256(b"the repackager's certificate").digest()
            app = replace(app, signing_digests=(forged,))
        return AndroidPhone(app, setup, self)
