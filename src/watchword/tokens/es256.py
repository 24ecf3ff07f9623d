"""Sign and verify with ES256: ECDSA on P-256 with SHA-256, r and s side by side (RFC 7518 section 3.4)."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    derive_private_key,
)
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA256

from watchword.ports import VerificationKey
from watchword.tokens.jwk import jwk_from_public_key, thumbprint

SIGNATURE_BYTES: Final = 64
"""Bytes of a signature: r and s, 32 each."""

_HALF: Final = SIGNATURE_BYTES // 2
_SCHEME: Final = ECDSA(SHA256())


def is_signed_by(key: EllipticCurvePublicKey, signature: bytes, data: bytes) -> bool:
    """Tell whether ``signature`` is the key's over ``data``; one of another length never is.

    ``r = s = 0`` and values beyond the order are left to the library, which refuses them: the same
    signature verified for every message in Java ("psychic signatures", CVE-2022-21449).

    :param key: on P-256.
    """
    if len(signature) != SIGNATURE_BYTES:
        return False
    r, s = int.from_bytes(signature[:_HALF]), int.from_bytes(signature[_HALF:])
    try:
        key.verify(encode_dss_signature(r, s), data, _SCHEME)
    except InvalidSignature:
        return False
    return True


SCALAR_BYTES: Final = 32
"""Bytes of a private key: a number from 1 to the order of P-256 less one, big endian."""

_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@dataclass(frozen=True)
class SigningKey:
    """Hold a private key; implements :class:`watchword.ports.Signer`.

    Two are equal when their key ids are: the id is the RFC 7638 thumbprint of the public key.
    """

    kid: str = field(init=False)
    private: EllipticCurvePrivateKey = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        """Name the key."""
        kid = thumbprint(jwk_from_public_key(self.private.public_key()))
        object.__setattr__(self, "kid", kid)

    @classmethod
    def from_scalar(cls, scalar: bytes) -> Self:
        """Return the key that :attr:`scalar` told.

        :raises ValueError: unless it is :data:`SCALAR_BYTES` long and within the group; the text
            doesn't quote it.
        """
        number = int.from_bytes(scalar, "big")
        if len(scalar) != SCALAR_BYTES or not 0 < number < _ORDER:
            raise ValueError("expected a private key of P-256")
        return cls(derive_private_key(number, SECP256R1()))

    @classmethod
    def from_wide_secret(cls, secret: bytes) -> Self:
        """Return the key that 64 secret bytes lead to, always the same one.

        Reduced from twice as many bits as the order has, so that no key is likelier than another
        (FIPS 186-5 appendix A.2.1).
        """
        number = int.from_bytes(secret, "big") % (_ORDER - 1) + 1
        return cls.from_scalar(number.to_bytes(SCALAR_BYTES, "big"))

    @property
    def scalar(self) -> bytes:
        """Return the private key as :meth:`from_scalar` takes it."""
        return self.private.private_numbers().private_value.to_bytes(SCALAR_BYTES, "big")

    @cached_property
    def public(self) -> EllipticCurvePublicKey:
        """Return the public key."""
        return self.private.public_key()

    def verification_key(self) -> VerificationKey:
        """Return what a verifier needs."""
        return VerificationKey(self.kid, self.public)

    def sign(self, message: bytes) -> bytes:
        """See :meth:`watchword.ports.Signer.sign`."""
        return sign(self.private, message)


def sign(private: EllipticCurvePrivateKey, message: bytes) -> bytes:
    """Return the 64-byte r||s of ES256 over ``message``, by a key on P-256."""
    r, s = decode_dss_signature(private.sign(message, ECDSA(SHA256())))
    return r.to_bytes(SCALAR_BYTES, "big") + s.to_bytes(SCALAR_BYTES, "big")
