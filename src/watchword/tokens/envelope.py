"""Seal a session key to the instance that it is for (protocol, section 5).

HPKE in base mode, one shot (RFC 9180 section 6.1): nobody on the way, whoever ends the TLS
connection, can read the key; only the instance's seal key opens it.  The info names the
statement and the session, so that a sealed key can't be put beside another answer's token.
"""

from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from watchword.encoding import base64url, length_prefixed
from watchword.reasons import MalformedError, Reason
from watchword.tokens.jose import public_key_from_jwk

SEAL_LABEL: Final = b"watchword/seal/v1\x00"
"""What the info of a sealed session key begins with."""


def _suite(kem: hpke.KEM) -> hpke.Suite:
    return hpke.Suite(kem, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_128_GCM)


_P256: Final = _suite(hpke.KEM.P256)
_X25519: Final = _suite(hpke.KEM.X25519)


def sealing_info(binding: bytes, session_id: str) -> bytes:
    """Return the HPKE info of one sealed session key.

    :param binding: SHA-256 of the statement that asked for the token, 32 bytes.
    :param session_id: ``sid`` of the token that the key belongs to.
    """
    return SEAL_LABEL + binding + length_prefixed.join(session_id.encode())


def seal(session_key: bytes, seal_jwk: Mapping[str, str], binding: bytes, session_id: str) -> bytes:
    """Return a sealed session key: 113 bytes for a P-256 seal key, 80 for X25519, where the key has 32.

    :param seal_jwk: as for :func:`seal_with_info`.
    :raises MalformedError: ``statement.key`` if nothing can be sealed to it.
    """
    return seal_with_info(session_key, seal_jwk, sealing_info(binding, session_id))


def seal_with_info(plain: bytes, seal_jwk: Mapping[str, str], info: bytes) -> bytes:
    """Return the encapsulated key and the ciphertext, one after the other.

    :param seal_jwk: P-256 or X25519 (RFC 8037) public key, as the statement stated it.
    :param info: binds it to its purpose; it begins with a label that no other purpose has.
    :raises MalformedError: ``statement.key`` if nothing can be sealed to it: a point of low order,
        with which everybody would know the shared secret (RFC 9180 section 7.1.4).
    """
    try:
        if seal_jwk.get("kty") == "OKP":
            key: X25519PublicKey | EllipticCurvePublicKey = X25519PublicKey.from_public_bytes(
                base64url.decode(seal_jwk["x"])
            )
            return _X25519.encrypt(plain, key, info)
        return _P256.encrypt(plain, public_key_from_jwk(seal_jwk), info)
    except ValueError:
        raise MalformedError.because(
            Reason.STATEMENT_KEY, "got a seal_jwk that nothing can be sealed to"
        ) from None
