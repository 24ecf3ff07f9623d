"""Make tokens that say whatever an attacker wants, signed by whoever he can be; shares no code with what verifies."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256

from watchword.client.own_token import OwnToken
from watchword.drill.enrolling import binding_value
from watchword.drill.interface import Arena
from watchword.drill.requests import Credential
from watchword.encoding import base64url, strict_json
from watchword.ports import Signer
from watchword.tokens.es256 import SigningKey
from watchword.tokens.jwk import jwk_from_public_key, thumbprint
from watchword.tokens.proofs.session import derive_key

TOKEN_TYPE: Final = "watchword+jwt"  # noqa: S105 - a media type.

_AGE: Final = 2
_WIDE_SECRET_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class Attacker:
    """Hold an instance that an attacker pretends to be, with a key of his own."""

    subject: str
    session_id: str
    key: SigningKey = field(repr=False)

    def sign(self, message: bytes) -> bytes:
        """Return ECDSA-SHA256 by his key, DER."""
        return self.key.private.sign(message, ECDSA(SHA256()))

    @property
    def own(self) -> OwnToken:
        """Return what a token of his would say of his key."""
        jwk = dict(jwk_from_public_key(self.key.public))
        return OwnToken(self.session_id, jwk, thumbprint(jwk))


def new_attacker(arena: Arena) -> Attacker:
    """Return one that nobody has met."""
    subject, session = (base64url.encode(arena.random(count)) for count in (32, 16))
    return Attacker(subject, session, new_key(arena))


def new_key(arena: Arena) -> SigningKey:
    """Return a fresh key on P-256."""
    return SigningKey.from_wide_secret(arena.random(_WIDE_SECRET_BYTES))


def claims_of(arena: Arena, attacker: Attacker, **changes: Any) -> dict[str, Any]:
    """Return the claims of a token that would be accepted, but for what is changed.

    :param changes: members by name; None takes one out.
    """
    now = int(arena.now())
    app = next(iter(arena.facts.audiences), "app")
    claims: dict[str, Any] = {
        "iss": arena.facts.issuer,
        "aud": arena.facts.audience,
        "sub": attacker.subject,
        "iat": now - _AGE,
        "exp": now - _AGE + arena.facts.token_lifetime,
        "jti": base64url.encode(arena.random(16)),
        "env": arena.facts.environment.value,
        "app": {"id": app, "ver": "999999"},
        "lvl": "hardware",
        "cnf": {"jwk": dict(jwk_from_public_key(attacker.key.public))},
        "sid": attacker.session_id,
    }
    if arena.keys is not None:
        claims["epo"] = arena.keys.gate_secret(arena.facts.audience).epoch
    if (bnd := binding_value(arena)) is not None:
        claims["bnd"] = bnd
    claims.update(changes)
    return {name: value for name, value in claims.items() if value is not None}


def header_of(kid: str, **changes: Any) -> dict[str, Any]:
    """Return the header of a token; ``changes`` as in :func:`claims_of`."""
    header = {"alg": "ES256", "kid": kid, "typ": TOKEN_TYPE, **changes}
    return {name: value for name, value in header.items() if value is not None}


def assembled(
    header: Mapping[str, Any], claims: Mapping[str, Any], signer: Signer | None = None
) -> str:
    """Return a compact JWS (RFC 7515 section 7.1); with an empty signature where nobody signs."""
    message = ".".join(base64url.encode(strict_json.dumps(dict(part))) for part in (header, claims))
    signature = b"" if signer is None else signer.sign(message.encode())
    return f"{message}.{base64url.encode(signature)}"


def minted(arena: Arena, attacker: Attacker, **changes: Any) -> Credential:
    """Return a credential that the deployment's own key signed, for claims that it never would.

    :raises MissingError: where no keys are lent.
    """
    signer = arena.borrowed().token_signer()
    claims = claims_of(arena, attacker, **changes)
    token = assembled(header_of(signer.kid), claims, signer)
    return Credential(token, attacker.own, attacker.sign, session_key_for(arena, attacker, claims))


def session_key_for(arena: Arena, attacker: Attacker, claims: Mapping[str, Any]) -> bytes:
    """Return the session key that the gate derives for such a token."""
    secret = arena.borrowed().gate_secret(arena.facts.audience)
    return derive_key(
        secret.secret,
        issuer=str(claims.get("iss", "")),
        audience=str(claims.get("aud", "")),
        session_id=str(claims.get("sid", "")),
        thumbprint=attacker.own.thumbprint,
    )


def published_kid(token: str) -> str:
    """Return the key id that genuine tokens name: anyone reads it in a token or in the JWKS."""
    header = strict_json.loads(base64url.decode(token.split(".", maxsplit=1)[0]), 2048)
    return str(header["kid"])


def digest_of(text: str) -> str:
    """Return SHA-256 in base64url, as ``bnd`` and ``ath`` are made."""
    return base64url.encode(hashlib.sha256(text.encode()).digest())
