"""Read and write P-256 public keys as JWKs (RFC 7517, RFC 7518 section 6.2.1)."""

import hashlib
from collections.abc import Mapping
from typing import Any, NoReturn

from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePublicKey,
    EllipticCurvePublicNumbers,
)

from watchword.encoding import base64url, strict_json
from watchword.reasons import MalformedError, Reason

COORDINATE_BYTES = 32
"""Bytes of each coordinate, leading zeros included (RFC 7518 section 6.2.1.2)."""

_COORDINATE_CHARACTERS = 43
_MEMBERS = {"kty", "crv", "x", "y"}


def public_key_from_jwk(jwk: Mapping[str, Any]) -> EllipticCurvePublicKey:
    """Return the key behind a JWK with exactly the members kty, crv, x and y.

    A point off the curve, a coordinate of another length and a private key are all refused:
    each made another library accept a key that its sender could break.

    :raises MalformedError: with ``statement.key``.
    """
    if jwk.keys() != _MEMBERS:
        _refuse("expected a JWK with exactly kty, crv, x and y")
    if jwk["kty"] != "EC" or jwk["crv"] != "P-256":
        _refuse("expected kty EC and crv P-256")
    numbers = EllipticCurvePublicNumbers(_coordinate(jwk["x"]), _coordinate(jwk["y"]), SECP256R1())
    try:
        return numbers.public_key()
    except ValueError:
        _refuse("got a point that isn't on P-256")


def jwk_from_public_key(key: EllipticCurvePublicKey) -> dict[str, str]:
    """Return the JWK of a P-256 public key; raise ValueError for a key on another curve."""
    if not isinstance(key.curve, SECP256R1):
        raise ValueError(f"got a key on {key.curve.name}, expected P-256")  # noqa: TRY004 - its type is right, its curve is not.
    numbers = key.public_numbers()
    return {
        "kty": "EC",
        "crv": "P-256",
        "x": base64url.encode(numbers.x.to_bytes(COORDINATE_BYTES)),
        "y": base64url.encode(numbers.y.to_bytes(COORDINATE_BYTES)),
    }


def published_jwk(kid: str, key: EllipticCurvePublicKey) -> dict[str, str]:
    """Return a P-256 key as it stands in a JWK Set, for ES256 signatures (RFC 7517 section 4)."""
    return {**jwk_from_public_key(key), "kid": kid, "alg": "ES256", "use": "sig"}


def thumbprint(jwk: Mapping[str, str]) -> str:
    """Return the SHA-256 thumbprint of a P-256 JWK in base64url (RFC 7638 section 3)."""
    required = {name: jwk[name] for name in ("crv", "kty", "x", "y")}
    return base64url.encode(hashlib.sha256(strict_json.dumps(required)).digest())


def _coordinate(value: Any) -> int:
    if not isinstance(value, str) or len(value) != _COORDINATE_CHARACTERS:
        _refuse(f"expected coordinates of {_COORDINATE_CHARACTERS} characters")
    try:
        return int.from_bytes(base64url.decode(value))
    except MalformedError:
        _refuse("expected coordinates in canonical base64url")


def _refuse(detail: str) -> NoReturn:
    raise MalformedError.because(Reason.STATEMENT_KEY, detail)
