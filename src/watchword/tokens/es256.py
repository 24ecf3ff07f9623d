"""Verify ES256 signatures: ECDSA on P-256 with SHA-256, r and s side by side (RFC 7518 section 3.4)."""

from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

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
