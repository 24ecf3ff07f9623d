"""Simulate iPhones: App Attest attestations and assertions.

Written from Apple's "Validating apps that connect to your server" and the "Attestation Object
Validation Guide" (2026, for what iOS 27 added).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from watchword.encoding import base64url
from watchword.lab.keys import public_jwk
from watchword.lab.phones.interface import InstalledApp, InstalledIosApp, PhoneSetup
from watchword.vocabulary import Platform

RECEIPT: Final = b"Watchword Lab receipt - not for production"
"""Stands where Apple's signed receipt would be; opaque to all but Apple's receipt server."""

_FLAG_ATTESTED_DATA: Final = b"\x40"
_COPYCAT_TEAM: Final = "WRONGTEAM0"


class IPhone:
    """Hold an app's attested key, proof key and seal key, as a Secure Enclave would."""

    def __init__(self, app: InstalledIosApp, setup: PhoneSetup, *, states_version: bool) -> None:
        """Switch the phone on; ``states_version`` is what iOS does from 27 on."""
        self._app = app
        self._setup = setup
        self._states_version = states_version
        self.generation = setup.generation
        self.counter = setup.counter

    def __repr__(self) -> str:
        """Name the phone, without its keys."""
        return f"IPhone(name={self._setup.name!r}, app={self._app.app_id!r})"

    @property
    def proof_jwk(self) -> Mapping[str, str]:
        """Return the second Secure Enclave key: App Attest keys can't sign requests."""
        return public_jwk(self._key("proof").public_key())

    @property
    def seal_jwk(self) -> Mapping[str, str]:
        """Return the public key to which secrets for this instance are sealed."""
        return public_jwk(self._key("seal").public_key())

    def create_keys(self) -> None:
        """Make new keys, like a reinstalled app: an App Attest key is attested only once."""
        self.generation += 1
        self.counter = 0

    def attest(self, binding: bytes) -> dict[str, Any]:
        """Return an attestation with ``clientDataHash = binding``."""
        return {
            "format": "app-attest",
            "attestation": base64url.encode(self.attestation_object(binding)),
            "key_id": base64url.encode(self._key_id()),
        }

    def renew(self, statement: bytes) -> dict[str, Any]:
        """Return an assertion with ``clientDataHash = SHA-256(statement)``; the counter goes up."""
        self.counter += 1
        data = self._authenticator_head(self.counter) + self._trailing()
        nonce = hashlib.sha256(data + hashlib.sha256(statement).digest()).digest()
        # The Secure Enclave hashes the nonce once more: ECDSA-SHA256 over these 32 bytes.
        signature = self._key("attested").sign(
            nonce, ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
        )
        assertion = cbor2.dumps({"signature": signature, "authenticatorData": data})
        return {"format": "app-attest", "assertion": base64url.encode(assertion)}

    def attestation_object(self, client_data_hash: bytes) -> bytes:
        """Return the CBOR that ``DCAppAttestService.attestKey`` gives an app."""
        authorities = self._setup.authorities
        key = self._key("attested").public_key()
        data = self._authenticator_head(0) + self._credential(key) + self._trailing()
        leaf = authorities.issue_app_attest_leaf(
            key,
            self._key_id(),
            nonce=hashlib.sha256(data + client_data_hash).digest(),
            now=self._setup.clock.now(),
        )
        return cbor2.dumps(
            {
                "fmt": "apple-appattest",
                "attStmt": {"x5c": [leaf, authorities.apple_intermediate.der], "receipt": RECEIPT},
                "authData": data,
            }
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
        key_id = self._key_id()
        return (
            self._app.environment.value
            + len(key_id).to_bytes(2, "big")
            + key_id
            + cbor2.dumps(cose)
        )

    def _trailing(self) -> bytes:
        """Return what iOS 27 appends while the extension flag stays clear."""
        if not self._states_version:
            return b""
        return cbor2.dumps(
            {
                "apple_bundle_version_01": self._app.version,
                "apple_validation_category_01": (1).to_bytes(4, "little"),
            }
        )

    def _key_id(self) -> bytes:
        """Return SHA-256 of the public key as an uncompressed X9.62 point."""
        point = (
            self._key("attested")
            .public_key()
            .public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        )
        return hashlib.sha256(point).digest()

    def _key(self, purpose: str) -> ec.EllipticCurvePrivateKey:
        """Return the present generation's key for one purpose."""
        label = f"{self._setup.name}/{self.generation}/{purpose}"
        return self._setup.authorities.phone_key(label)


@dataclass(frozen=True, slots=True)
class IPhoneModel:
    """Describe one kind of iPhone.

    :param copycat: another developer's app stands on it, which sends what ours would.
    :param states_version: the system is iOS 27 or newer.
    """

    summary: str
    copycat: bool = False
    states_version: bool = True

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
        return IPhone(app, setup, states_version=self.states_version)
