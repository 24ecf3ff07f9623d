"""Simulate iPhones: App Attest attestations and assertions.

Written from Apple's "Validating apps that connect to your server" and the "Attestation Object
Validation Guide" (2026, for what iOS 27 added).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Final

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from watchword.encoding import base64url
from watchword.lab.apple import IPHONE, AppleSystem, ReceiptContent, device_token
from watchword.lab.keys import public_jwk, sign_message
from watchword.lab.phones.interface import (
    Expectation,
    InstalledApp,
    InstalledIosApp,
    PhoneKeys,
    PhoneSetup,
)
from watchword.vocabulary import AppAttestEnvironment, ApplePlatform, Distribution, Platform

_FLAG_ATTESTED_DATA: Final = b"\x40"
_COPYCAT_TEAM: Final = "WRONGTEAM0"
_ENVIRONMENTS: Final = {
    AppAttestEnvironment.DEVELOPMENT: "sandbox",
    AppAttestEnvironment.PRODUCTION: "production",
}
_AS_OF_IOS_27: Final = Expectation(leniencies=("extension_data_without_flag",))


APP_STORE: Final = (4).to_bytes(4, "little")
TESTFLIGHT: Final = (2).to_bytes(4, "little")
DEVELOPMENT: Final = 3
"""As a number: Apple's article says UInt32, its example has four bytes."""

ENTERPRISE: Final = (5).to_bytes(4, "little")
DEVELOPER_ID: Final = (6).to_bytes(4, "little")
NOBODY_KNOWS: Final = (77).to_bytes(4, "little")


class ReceiptHabit(Enum):
    """Say which receipt an iPhone sends: Apple's for this attestation, none, or another device's."""

    OWN = "own"
    NONE = "none"
    SWAPPED = "swapped"


@dataclass(frozen=True, slots=True)
class Habits:
    """Hold what an iPhone does beside attesting.

    :param system: which device it is, and which version of its system.
    :param category: how the system says that the app came onto the device, as iOS does from 27 on; four bytes,
        or a number.  None states neither that nor the app's version.
    :param category_later: what renewals state in its place, after an update of system or app.
    :param cloned: each renewal starts from the counter that the key had when it was copied.
    :param device: the device that Apple counts attestations of; None is one for each name.
    """

    system: AppleSystem = IPHONE
    category: int | bytes | None = APP_STORE
    category_later: int | bytes | None = None
    receipt: ReceiptHabit = ReceiptHabit.OWN
    cloned: bool = False
    device: str | None = None


class IPhone(PhoneKeys):
    """Hold an app's attested key, proof key and seal key, as a Secure Enclave would."""

    def __init__(self, app: InstalledIosApp, setup: PhoneSetup, habits: Habits) -> None:
        """Switch the phone on."""
        super().__init__(setup)
        self._app = app
        self._habits = habits
        self.counter = setup.counter

    def __repr__(self) -> str:
        """Name the phone, without its keys."""
        return f"IPhone(name={self._setup.name!r}, app={self._app.app_id!r})"

    @property
    def proof_jwk(self) -> Mapping[str, str]:
        """Return the second Secure Enclave key: App Attest keys can't sign requests."""
        return public_jwk(self._key("proof").public_key())

    def create_keys(self) -> None:
        """Make new keys, like a reinstalled app: an App Attest key is attested only once."""
        super().create_keys()
        self.counter = 0

    def attest(self, binding: bytes) -> dict[str, Any]:
        """Return an attestation with ``clientDataHash = binding``."""
        return {
            "format": "app-attest",
            "attestation": base64url.encode(self.attestation_object(binding)),
            "key_id": base64url.encode(self.key_id),
        }

    def renew(self, statement: bytes) -> dict[str, Any]:
        """Return an assertion with ``clientDataHash = SHA-256(statement)``; the counter goes up."""
        assertion = self.assertion(hashlib.sha256(statement).digest())
        return {"format": "app-attest", "assertion": base64url.encode(assertion)}

    def assertion(self, client_data_hash: bytes) -> bytes:
        """Return the CBOR that ``DCAppAttestService.generateAssertion`` gives an app; the counter goes up."""
        self.counter = 1 if self._habits.cloned else self.counter + 1
        later = self._habits.category_later
        trailing = self._trailing(self._habits.category if later is None else later)
        data = self._authenticator_head(self.counter) + trailing
        nonce = hashlib.sha256(data + client_data_hash).digest()
        # The Secure Enclave hashes the nonce once more: ECDSA-SHA256 over these 32 bytes.
        signature = sign_message(self._key("attested"), nonce)
        return cbor2.dumps({"signature": signature, "authenticatorData": data})

    def attestation_object(self, client_data_hash: bytes) -> bytes:
        """Return the CBOR that ``DCAppAttestService.attestKey`` gives an app."""
        authorities = self._setup.authorities
        key = self._key("attested").public_key()
        trailing = self._trailing(self._habits.category)
        data = self._authenticator_head(0) + self._credential(key) + trailing
        leaf = authorities.issue_app_attest_leaf(
            key,
            self.key_id,
            nonce=hashlib.sha256(data + client_data_hash).digest(),
            now=self._setup.clock.now(),
            system=self._habits.system,
        )
        statement: dict[str, Any] = {"x5c": [leaf, authorities.apple_intermediate.der]}
        if self._habits.receipt is not ReceiptHabit.NONE:
            statement["receipt"] = self._receipt(leaf, client_data_hash)
        return cbor2.dumps({"fmt": "apple-appattest", "attStmt": statement, "authData": data})

    def _receipt(self, leaf: bytes, client_data_hash: bytes) -> bytes:
        """Return the receipt that Apple gives for this leaf, or for another device's."""
        setup, key_id = self._setup, self.key_id
        device = self._habits.device or setup.name
        if self._habits.receipt is ReceiptHabit.SWAPPED:
            device = f"another than {device}"
            key = setup.authorities.phone_key(device).public_key()
            key_id = _key_id(key)
            leaf = setup.authorities.issue_app_attest_leaf(
                key, key_id, client_data_hash, setup.clock.now()
            )
        return setup.authorities.receipts.issue(
            ReceiptContent(
                app_id=self._app.app_id,
                certificate=leaf,
                client_hash=client_data_hash,
                token=device_token(setup.authorities.seed, device, key_id),
                environment=_ENVIRONMENTS[self._app.environment],
                created_at=setup.clock.now(),
            )
        )

    def _authenticator_head(self, counter: int) -> bytes:
        """Return rpIdHash, flags and counter: what attestations and assertions begin with."""
        relying_party = hashlib.sha256(self._app.app_id.encode()).digest()
        return relying_party + _FLAG_ATTESTED_DATA + counter.to_bytes(4, "big")

    def _credential(self, key: ec.EllipticCurvePublicKey) -> bytes:
        """Return AAGUID, credential id and COSE key (WebAuthn, section 6.5.1)."""
        numbers = key.public_numbers()
        cose = {
            1: 2,
            3: -7,
            -1: 1,
            -2: numbers.x.to_bytes(32, "big"),
            -3: numbers.y.to_bytes(32, "big"),
        }
        key_id = self.key_id
        return (
            self._app.environment.value
            + len(key_id).to_bytes(2, "big")
            + key_id
            + cbor2.dumps(cose)
        )

    def _trailing(self, category: int | bytes | None) -> bytes:
        """Return what iOS 27 appends while the extension flag stays clear."""
        if category is None:
            return b""
        if category == APP_STORE and self._app.environment is AppAttestEnvironment.DEVELOPMENT:
            category = DEVELOPMENT  # The store has no builds for Apple's development environment.
        return cbor2.dumps(
            {
                "apple_bundle_version_01": self._app.version,
                "apple_validation_category_01": category,
            }
        )

    @property
    def key_id(self) -> bytes:
        """Return the attested key's id, 32 bytes."""
        return _key_id(self._key("attested").public_key())


_GENUINE: Final = Habits()


@dataclass(frozen=True, slots=True)
class IPhoneModel:
    """Describe one kind of iPhone.

    :param copycat: another developer's app stands on it, which sends what ours would.
    :param development: the app was built for Apple's development environment.
    :param listed_as: what an app must list to take it; None where none does, or all do.
    """

    summary: str
    habits: Habits = _GENUINE
    copycat: bool = False
    development: bool = False
    listed_as: ApplePlatform | Distribution | None = None
    expected: Expectation = _AS_OF_IOS_27

    @property
    def platform(self) -> Platform:
        """Return the operating system."""
        return Platform.IOS

    def build(self, app: InstalledApp, setup: PhoneSetup) -> IPhone:
        """Return an iPhone of this kind with ``app``, or a copycat of it, on it.

        :raises ValueError: if the app is one for Android.
        """
        if not isinstance(app, InstalledIosApp):
            raise ValueError("got an app for Android, expected one for iOS")  # noqa: TRY004
        if self.copycat:
            app = replace(app, team_id=_COPYCAT_TEAM, bundle_id=f"{app.bundle_id}.copycat")
        if self.development:
            app = replace(app, environment=AppAttestEnvironment.DEVELOPMENT)
        return IPhone(app, setup, self.habits)


def _key_id(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return SHA-256 of a public key as an uncompressed X9.62 point."""
    return hashlib.sha256(key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)).digest()
