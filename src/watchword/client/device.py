"""Define what the client needs of the platform: the one protocol that a mobile engineer ports."""

from collections.abc import Mapping
from typing import Any, Protocol


class Device(Protocol):
    """Keep an instance's keys in hardware and make evidence with them.

    Public keys are JWKs of P-256 (``{"kty": "EC", "crv": "P-256", "x", "y"}``), the seal key may be
    X25519.  Methods may raise what the platform raises; the client lets it through.
    """

    @property
    def proof_jwk(self) -> Mapping[str, str] | None:
        """Return the public proof key of the present keys.

        iOS: a Secure Enclave key beside the App Attest key.  Android: None, since the attested
        key is the proof key, and is made after the statement that it is bound to.  Android with Play
        Integrity: a Keystore key, which the verdict vouches for by way of the statement.
        """

    @property
    def seal_jwk(self) -> Mapping[str, str]:
        """Return the public key to which secrets for this instance are sealed."""

    def create_keys(self) -> None:
        """Make new keys for a new enrolment and forget the old ones.

        Called before every enrolment: an App Attest key can be attested only once, and a
        challenge goes into an Android key when that is made.
        """

    def attest(self, binding: bytes) -> Mapping[str, Any]:
        """Return the ``evidence`` member of an enrolment.

        iOS: ``attestKey(keyId, clientDataHash: binding)``.  Android: make the key with
        ``setAttestationChallenge(binding)`` and return its certificate chain; with Play Integrity,
        ask for a token with the request hash base64url(binding).

        :param binding: SHA-256 of the statement, 32 bytes.
        """

    def renew(self, statement: bytes) -> Mapping[str, Any]:
        """Return the ``evidence`` member of a renewal.

        iOS: ``generateAssertion(keyId, clientDataHash: SHA-256(statement))``.  Android: an
        ECDSA-SHA256 signature (DER) over ``watchword/renew/v1``, a zero byte and the statement, by the
        attested key, or with Play Integrity by the proof key.
        """

    def sign(self, message: bytes) -> bytes:
        """Return ECDSA-SHA256 over ``message`` by the proof key, DER.

        For requests to routes that ask for a ``device`` proof.  iOS: ``SecKeyCreateSignature`` with
        ``ecdsaSignatureMessageX962SHA256``.  Android: ``SHA256withECDSA``, by the attested key, or with
        Play Integrity by the proof key.  May be called from several threads at once.
        """

    def open_sealed(self, info: bytes, sealed: bytes) -> bytes:
        """Return what was sealed to the seal key (HPKE, RFC 9180: base mode, one shot).

        The KEM is the seal key's, DHKEM(P-256, HKDF-SHA256) or DHKEM(X25519, HKDF-SHA256); the KDF
        HKDF-SHA256, the AEAD AES-128-GCM.  iOS: ``HPKE.Recipient`` of CryptoKit with the Secure Enclave
        key.  Android: ``KeyAgreement`` with a key of ``PURPOSE_AGREE_KEY`` (Android 12), the rest in the app.

        :param sealed: the encapsulated key and the ciphertext, one after the other.
        :raises ValueError: if this device can't open it.  The token is kept without its session key
            then; proofs by the device's own key still work.
        """
