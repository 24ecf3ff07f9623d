"""Define what the client needs of the platform: the one protocol that a mobile engineer ports.

Also how its failures are taken: what is busy is asked again, what waits keeps its keys.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from watchword.client.errors import DeviceError, DeviceErrorKind, ServiceUnavailableError
from watchword.client.exchange import MAX_ATTEMPTS, Backoff

_T = TypeVar("_T")


class Device(Protocol):
    """Keep an instance's keys in hardware and make evidence with them.

    Public keys are JWKs of P-256 (``{"kty": "EC", "crv": "P-256", "x", "y"}``), the seal key may be
    X25519.  Methods raise :class:`watchword.client.DeviceError` for what docs/client.md says something about;
    whatever else they raise, the client lets through.

    A device that can't open sealed keys at all says so by an attribute ``can_open`` that is False; without it, it can.
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


_KEYS_STAY: Final = frozenset(
    {DeviceErrorKind.TRANSIENT, DeviceErrorKind.LOCKED, DeviceErrorKind.OFFLINE}
)


class ResilientDevice:
    """Ask a device, again where it is busy; keep keys that were made and not attested for the next try."""

    def __init__(self, device: Device, backoff: Backoff) -> None:
        """Ask ``device``, with the pauses of ``backoff``."""
        self._device = device
        self._backoff = backoff
        self._unattested = False

    @property
    def can_open(self) -> bool:
        """Tell whether it says that it can open sealed keys."""
        return bool(getattr(self._device, "can_open", True))

    @property
    def proof_jwk(self) -> Mapping[str, str] | None:
        """See :attr:`Device.proof_jwk`."""
        return self._device.proof_jwk

    @property
    def seal_jwk(self) -> Mapping[str, str]:
        """See :attr:`Device.seal_jwk`."""
        return self._device.seal_jwk

    def prepare_keys(self) -> None:
        """Make new keys, unless there are some that nothing was attested with, since the device was busy.

        :raises DeviceError: if it can't.
        """
        if not self._unattested:
            self._asked(self._device.create_keys)
            self._unattested = True

    def attest(self, binding: bytes) -> dict[str, Any]:
        """See :meth:`Device.attest`.

        :raises DeviceError: if it can't.
        """
        keys_stay = False
        try:
            return dict(self._asked(partial(self._device.attest, binding)))
        except ServiceUnavailableError:
            keys_stay = True
            raise
        except DeviceError as error:
            keys_stay = error.kind in _KEYS_STAY
            raise
        finally:
            self._unattested = keys_stay

    def renew(self, statement: bytes, attempts: int) -> dict[str, Any]:
        """See :meth:`Device.renew`.

        :raises DeviceError: if it can't.
        """
        return dict(self._asked(partial(self._device.renew, statement), attempts))

    def sign(self, message: bytes) -> bytes:
        """See :meth:`Device.sign`.

        :raises DeviceError: if it can't.
        """
        return self._asked(partial(self._device.sign, message))

    def open_sealed(self, info: bytes, sealed: bytes) -> bytes | None:
        """See :meth:`Device.open_sealed`; None where the device can't open it, for whatever reason."""
        if not self.can_open:
            return None
        try:
            return self._asked(partial(self._device.open_sealed, info, sealed))
        except (ValueError, DeviceError, ServiceUnavailableError):
            return None

    def _asked(self, call: Callable[[], _T], attempts: int = MAX_ATTEMPTS) -> _T:
        """Call the device; while it is busy, again after growing pauses."""
        attempt = 0
        while True:
            try:
                return call()
            except DeviceError as error:
                attempt += 1
                if error.kind is DeviceErrorKind.OFFLINE:
                    raise ServiceUnavailableError(str(error), attempt) from error
                # Platform code that names a pause has waited and asked again itself.
                is_last = attempt >= attempts or error.retry_after is not None
                if error.kind is not DeviceErrorKind.TRANSIENT or is_last:
                    raise
            self._backoff.rest(attempt - 1)
