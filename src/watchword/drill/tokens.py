"""Make tokens that say whatever an attacker wants, mutate genuine ones, and ask the API with them.

Shares no code with what verifies.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256

from watchword.client.own_token import OwnToken
from watchword.drill.enrolment import binding_value
from watchword.drill.interface import AttackContext, Attempt, MissingError, Need, Run, Sample
from watchword.drill.requests import Credential, credential_of, proved
from watchword.drill.wire import MAX_ANSWER_BYTES, Call, Part
from watchword.encoding import base64url, strict_json
from watchword.ports import Signer
from watchword.reasons import MalformedError
from watchword.tokens.jose import SigningKey, jwk_from_public_key, thumbprint
from watchword.tokens.proofs.session import derive_key
from watchword.vocabulary import Proof

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


def new_attacker(context: AttackContext) -> Attacker:
    """Return one that nobody has met."""
    subject, session = (base64url.encode(context.random(count)) for count in (32, 16))
    return Attacker(subject, session, new_key(context))


def new_key(context: AttackContext) -> SigningKey:
    """Return a fresh key on P-256."""
    return SigningKey.from_wide_secret(context.random(_WIDE_SECRET_BYTES))


def claims_of(context: AttackContext, attacker: Attacker, **changes: Any) -> dict[str, Any]:
    """Return the claims of a token that would be accepted, but for what is changed.

    :param changes: members by name; None takes one out.
    """
    now = int(context.now())
    app = next(iter(context.facts.audiences), "app")
    claims: dict[str, Any] = {
        "iss": context.facts.issuer,
        "aud": context.facts.audience,
        "sub": attacker.subject,
        "iat": now - _AGE,
        "exp": now - _AGE + context.facts.token_lifetime,
        "jti": base64url.encode(context.random(16)),
        "env": context.facts.environment.value,
        "app": {"id": app, "ver": "999999"},
        "lvl": "hardware",
        "cnf": {"jwk": dict(jwk_from_public_key(attacker.key.public))},
        "sid": attacker.session_id,
    }
    if context.keys is not None:
        claims["epo"] = context.keys.gate_secret(context.facts.audience).epoch
    if (bnd := binding_value(context)) is not None:
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


def minted(context: AttackContext, attacker: Attacker, **changes: Any) -> Credential:
    """Return a credential that the deployment's own key signed, for claims that it never would.

    :raises MissingError: where no keys are borrowed.
    """
    signer = context.borrowed().token_signer()
    claims = claims_of(context, attacker, **changes)
    token = assembled(header_of(signer.kid), claims, signer)
    return Credential(
        token, attacker.own, attacker.sign, session_key_for(context, attacker, claims)
    )


def session_key_for(context: AttackContext, attacker: Attacker, claims: Mapping[str, Any]) -> bytes:
    """Return the session key that the gate derives for such a token."""
    secret = context.borrowed().gate_secret(context.facts.audience)
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


JWKS: Final = "/.well-known/jwks.json"

_MEMBERS: Final = frozenset({"kty", "crv", "x", "y"})
"""Where the service publishes the keys of its tokens."""

_MAX_BYTES: Final = 4096


def asked(context: AttackContext, credential: Credential, sample: Sample | None = None) -> Attempt:
    """Ask the API with a credential, everything else in the request being right.

    :param sample: the first that a credential of its kind can be asked for, where none is named.
    :raises MissingError: where there is none.
    """
    if sample is None:
        proofs = (Proof.BEARER, Proof.DEVICE)
        sample = context.sample(
            *(proofs if credential.session_key is None else (*proofs, Proof.SESSION))
        )
    return Attempt(
        sample, context.wire.send(proved(context, sample.call(), credential, sample.proof))
    )


def genuine_credential(context: AttackContext) -> Credential:
    """Return what the genuine instance of the run proves its requests with.

    :raises MissingError: where there is none.
    """
    return credential_of(context.genuine(), context.facts.audience)


def mutated(context: AttackContext, token: str) -> Attempt:
    """Ask the API as the genuine instance, with another text in place of its token."""
    return asked(context, replace(genuine_credential(context), token=token))


def parts_of(token: str) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """Return header, claims and signature of a token that the service issued."""
    header, claims, signature = (base64url.decode(each) for each in token.split("."))
    return (
        strict_json.loads(header, _MAX_BYTES),
        strict_json.loads(claims, _MAX_BYTES),
        signature,
    )


def with_claims(token: str, changes: Mapping[str, Any]) -> str:
    """Return a token whose claims say something else, under the signature of what they said."""
    head, _, signature = token.split(".")
    claims = {**parts_of(token)[1], **changes}
    return f"{head}.{base64url.encode(strict_json.dumps(claims))}.{signature}"


def claims_like_genuine(context: AttackContext, attacker: Attacker) -> dict[str, Any]:
    """Return the claims of the genuine token, in the attacker's name and for his key.

    What a token of this deployment looks like is read off one of them, so that no key has to be borrowed for it.
    """
    claims = parts_of(genuine_credential(context).token)[1]
    return {
        **claims,
        "sub": attacker.subject,
        "sid": attacker.session_id,
        "jti": base64url.encode(context.random(16)),
        "cnf": {"jwk": dict(attacker.own.key)},
    }


def compact(header: bytes, claims: bytes, signer: Signer) -> str:
    """Return a compact JWS over bytes as they are, which needn't be what a JSON writer would write."""
    message = f"{base64url.encode(header)}.{base64url.encode(claims)}"
    return f"{message}.{base64url.encode(signer.sign(message.encode()))}"


def minting(changes: Mapping[str, Any] | Callable[[AttackContext], Mapping[str, Any]]) -> Run:
    """Return a variant: a token of the deployment's own signature, right but for what is changed.

    :param changes: members by name, None for one to leave out.
    """

    def run(context: AttackContext) -> list[Attempt]:
        written = changes(context) if callable(changes) else changes
        return [asked(context, minted(context, new_attacker(context), **written))]

    return run


def minting_each(changes: Callable[[AttackContext], list[Mapping[str, Any]]]) -> Run:
    """Return a variant of several spellings of one thing, each in a token as in :func:`minting`."""

    def run(context: AttackContext) -> list[Attempt]:
        return [
            asked(context, minted(context, new_attacker(context), **each))
            for each in changes(context)
        ]

    return run


def published_key(context: AttackContext, kid: str) -> Mapping[str, str]:
    """Return a key of the service's tokens as anyone gets it.

    :raises MissingError: where the service publishes none of this name.
    """
    answer = context.wire.send(Call(Part.SERVICE, "GET", JWKS))
    try:
        keys = strict_json.loads(answer.body, MAX_ANSWER_BYTES).get("keys")
    except MalformedError:
        keys = None
    for key in keys if isinstance(keys, list) else []:
        if isinstance(key, dict) and key.get("kid") == kid and key.keys() >= _MEMBERS:
            return {name: str(key[name]) for name in sorted(_MEMBERS)}
    raise MissingError(Need.SERVICE, f"it publishes no key {kid}")
