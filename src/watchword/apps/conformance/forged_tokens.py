"""Make tokens by recipe, wrong ones too; shares no code with what verifies them."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP384R1,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384

from watchword.apps.conformance.bending import encode
from watchword.apps.conformance.corpus import Corpus, TokenRecipe
from watchword.apps.conformance.deployment import ACTIVE_EPOCH, Deployment
from watchword.tokens.es256 import SigningKey
from watchword.tokens.jwk import jwk_from_public_key

LIFETIME_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Instance:
    """Hold one pretended installation of the app, fresh for each case so that no limit is shared."""

    subject: str
    session_id: str
    key: SigningKey


@dataclass(frozen=True, slots=True)
class Signed:
    """Hold a token as it is sent, and what proofs of it are made from.

    :param text: the compact JWS alone, without what is wrapped around it.
    """

    text: str
    value: str
    claims: Mapping[str, Any]
    holder: Instance


def make_token(
    recipe: TokenRecipe,
    instances: Mapping[str, Instance],
    corpus: Corpus,
    deployment: Deployment,
    foreign: SigningKey,
    now: float,
    token_id: str,
) -> Signed:
    """Return the token that a recipe describes."""
    holder = instances[recipe.holder]
    claims: dict[str, Any] = {
        "iss": corpus.issuer,
        "aud": corpus.audience,
        "sub": holder.subject,
        "iat": int(now) - 2,
        "exp": int(now) - 2 + LIFETIME_SECONDS,
        "jti": token_id,
        "env": "lab",
        "app": {"id": corpus.app, "ver": "2.1.0"},
        "lvl": "hardware",
        "cnf": {"jwk": jwk_from_public_key(holder.key.public)},
        "sid": holder.session_id,
        "epo": ACTIVE_EPOCH,
    }
    claims.update(recipe.claims)
    claims.update({name: int(now) + offset for name, offset in recipe.times.items()})
    for name in recipe.without:
        del claims[name]
    keys = {**deployment.keys, "foreign": foreign}
    signer = keys[recipe.key]
    header: dict[str, Any] = {
        "alg": recipe.signature if recipe.signature in {"none", "HS256", "ES384"} else "ES256",
        "kid": keys[recipe.kid or recipe.key].kid,
        "typ": "watchword+jwt",
    }
    header.update(recipe.header)
    for name in recipe.without_header:
        del header[name]
    payload = _json(claims)
    if recipe.append:
        payload = payload[:-1] + recipe.append.encode("latin-1") + b"}"
    bend = recipe.bend
    signing_input = (
        encode(_json(header), url_safe=True, bend=bend.get("header"))
        + "."
        + encode(payload, url_safe=True, bend=bend.get("payload"))
    )
    signature = _sign(recipe, signing_input.encode("latin-1"), signer)
    text = f"{signing_input}.{encode(signature, url_safe=True, bend=bend.get('signature'))}"
    return Signed(text, recipe.wrap.replace("{token}", text), claims, holder)


def _json(members: Mapping[str, Any]) -> bytes:
    return json.dumps(members, separators=(",", ":")).encode()


def _sign(recipe: TokenRecipe, message: bytes, signer: SigningKey) -> bytes:
    """Return the signature in the way that the recipe asks for."""
    if recipe.signature == "none":
        return b""
    if recipe.signature == "HS256":
        # The old trick: a public key taken for the secret of an HMAC.
        public = json.dumps(jwk_from_public_key(signer.public), separators=(",", ":")).encode()
        return hmac.digest(public, message, hashlib.sha256)
    if recipe.signature == "ES384":
        r, s = decode_dss_signature(
            generate_private_key(SECP384R1()).sign(message, ECDSA(SHA384()))
        )
        return r.to_bytes(48) + s.to_bytes(48)
    if recipe.signature == "DER":
        return signer.private.sign(message, ECDSA(SHA256()))
    if recipe.signature == "zero":
        return bytes(64)  # CVE-2022-21449: r = s = 0 held for every message.
    return signer.sign(message)
