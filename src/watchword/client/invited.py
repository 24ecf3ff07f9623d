"""Be a device without a phone: a test instance, invited by an operator's one-time code.

Its keys live in this process, or in a file that its owner keeps; the service grants it a level for as long
as the operator said, on his word alone (docs/test-instances.md).
"""

from collections.abc import Mapping
from typing import Any, Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    derive_private_key,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256

from watchword.client.errors import CodeSpentError
from watchword.encoding import base64url
from watchword.encoding.phrases import other_format
from watchword.reasons import MalformedError

FORMAT: Final = "operator_code"
KEY_PREFIX: Final = b"watchword/test/v1\x00"
RENEWAL_PREFIX: Final = b"watchword/renew/v1\x00"
"""What stands before the binding and before a renewal's statement under the proof key's signature."""

_VERSION: Final = 1
_SCALAR_BYTES: Final = 32
_SEALING: Final = hpke.Suite(hpke.KEM.P256, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_128_GCM)


class TestInstanceDevice:
    """Implement :class:`watchword.client.device.Device` with P-256 keys in software.

    ::

        device = TestInstanceDevice(code)
        client = WatchwordClient(service_url, app, device, audiences, clock=..., jitter=...)
        client.enrol()
        kept = {"device": device.export(), "session": client.export_session()}

    Safe to use from many threads once it is enrolled.
    """

    __test__ = False  # It is no test, whatever collects classes by their names.

    def __init__(self, code: str) -> None:
        """Take a code that wasn't used yet; ``watchword instances invite`` makes one."""
        self._code: str | None = code
        self._proof = _new_key()
        self._seal = _new_key()

    def __repr__(self) -> str:
        """Show neither code nor keys."""
        return "TestInstanceDevice(...)"

    @classmethod
    def from_export(cls, document: Mapping[str, Any]) -> Self:
        """Return the device behind an export; it can renew, and has no code to enrol again with.

        :raises ValueError: if it isn't one, or one of another version.
        """
        try:
            if document["v"] != _VERSION:
                raise ValueError(f"stored test instance: {other_format(document['v'], _VERSION)}")
            proof, seal = _restored(document["proof_key"]), _restored(document["seal_key"])
        except (TypeError, KeyError, AttributeError, MalformedError):
            raise ValueError("got something that isn't a stored test instance") from None
        device = cls("")
        device._code, device._proof, device._seal = None, proof, seal
        return device

    def export(self) -> dict[str, Any]:
        """Return the private keys as JSON-ready data, without the code.

        Store it in a file of mode 0600: who has it is this instance until that ends.
        """
        return {
            "v": _VERSION,
            "proof_key": _scalar(self._proof),
            "seal_key": _scalar(self._seal),
        }

    @property
    def proof_jwk(self) -> Mapping[str, str]:
        """Return the public proof key."""
        return _public_jwk(self._proof)

    @property
    def seal_jwk(self) -> Mapping[str, str]:
        """Return the public key to which secrets for this instance are sealed."""
        return _public_jwk(self._seal)

    def create_keys(self) -> None:
        """Make new keys for a new enrolment.

        :raises CodeSpentError: without a code, with the old keys still there: they may yet renew.
        """
        if self._code is None:
            raise CodeSpentError
        self._proof, self._seal = _new_key(), _new_key()

    def attest(self, binding: bytes) -> Mapping[str, Any]:
        """Return the code, and a signature which shows that it is spent on a key of ours.

        :raises CodeSpentError: without a code.
        """
        if self._code is None:
            raise CodeSpentError
        signature = self.sign(KEY_PREFIX + binding)
        return {
            "format": FORMAT,
            "code": self._code,
            "key_signature": base64url.encode(signature),
        }

    def renew(self, statement: bytes) -> Mapping[str, Any]:
        """Return a signature by the proof key over the prefixed statement."""
        signature = self.sign(RENEWAL_PREFIX + statement)
        return {"format": FORMAT, "signature": base64url.encode(signature)}

    def sign(self, message: bytes) -> bytes:
        """Return ECDSA-SHA256 over ``message`` by the proof key, DER."""
        return self._proof.sign(message, ECDSA(SHA256()))

    def open_sealed(self, info: bytes, sealed: bytes) -> bytes:
        """Return what was sealed to the seal key.

        :raises ValueError: if it wasn't.
        """
        try:
            return _SEALING.decrypt(sealed, self._seal, info)
        except InvalidTag:
            raise ValueError(
                "got something that wasn't sealed to this key with this info"
            ) from None


def _new_key() -> EllipticCurvePrivateKey:
    return generate_private_key(SECP256R1())


def _public_jwk(key: EllipticCurvePrivateKey) -> dict[str, str]:
    """Return the public part as a JWK (RFC 7518 section 6.2.1)."""
    numbers = key.public_key().public_numbers()
    return {
        "kty": "EC",
        "crv": "P-256",
        "x": base64url.encode(numbers.x.to_bytes(_SCALAR_BYTES)),
        "y": base64url.encode(numbers.y.to_bytes(_SCALAR_BYTES)),
    }


def _scalar(key: EllipticCurvePrivateKey) -> str:
    return base64url.encode(key.private_numbers().private_value.to_bytes(_SCALAR_BYTES))


def _restored(text: Any) -> EllipticCurvePrivateKey:
    """Return the key with this private scalar; raise TypeError or ValueError for what is none."""
    if not isinstance(text, str):
        raise TypeError
    scalar = base64url.decode(text, _SCALAR_BYTES * 2)
    if len(scalar) != _SCALAR_BYTES:
        raise ValueError("got a private key of another length")
    return derive_private_key(int.from_bytes(scalar), SECP256R1())
