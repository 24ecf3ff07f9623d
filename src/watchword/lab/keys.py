"""Derive every key of the lab from one seed, so that a run can be repeated to the byte."""

from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from watchword.encoding import base64url

MIN_SEED_BYTES: Final = 16
"""Fewest bytes of a seed: below that its keys could be guessed."""

_SALT: Final = b"watchword/lab/v1"
_EXTRA_BYTES: Final = 8


def derive_bytes(seed: bytes, label: str, count: int) -> bytes:
    """Return ``count`` bytes that belong to this seed and label (HKDF-SHA256, RFC 5869)."""
    return HKDF(algorithm=hashes.SHA256(), length=count, salt=_SALT, info=label.encode()).derive(
        seed
    )


def derive_key(seed: bytes, label: str, curve: ec.EllipticCurve) -> ec.EllipticCurvePrivateKey:
    """Return the private key that belongs to this seed and label.

    64 more bits than the order has make the reduction as good as uniform (FIPS 186-5,
    appendix A.2.1).
    """
    order = curve.group_order
    stream = derive_bytes(seed, f"{curve.name}/{label}", curve.key_size // 8 + _EXTRA_BYTES)
    return ec.derive_private_key(int.from_bytes(stream, "big") % (order - 1) + 1, curve)


def derive_serial(seed: bytes, label: str) -> int:
    """Return a positive certificate serial number of at most 127 bits for this seed and label."""
    return (int.from_bytes(derive_bytes(seed, f"serial/{label}", 16), "big") >> 1) | 1


def public_jwk(key: ec.EllipticCurvePublicKey) -> dict[str, str]:
    """Return a P-256 public key as a JWK (RFC 7518 section 6.2.1)."""
    numbers = key.public_numbers()
    return {
        "kty": "EC",
        "crv": "P-256",
        "x": base64url.encode(numbers.x.to_bytes(32, "big")),
        "y": base64url.encode(numbers.y.to_bytes(32, "big")),
    }
