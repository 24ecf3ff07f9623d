"""Bend tokens, and ask the API with them: genuine ones whose text is changed, and forged ones."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from watchword.drill.interface import Arena, Attempt, Run, Sample
from watchword.drill.needs import MissingError, Need
from watchword.drill.requests import Credential, credential_of, proved
from watchword.drill.tokens import Attacker, minted, new_attacker
from watchword.drill.wire import MAX_ANSWER_BYTES, Call, Part
from watchword.encoding import base64url, strict_json
from watchword.ports import Signer
from watchword.reasons import MalformedError
from watchword.vocabulary import Proof

JWKS: Final = "/.well-known/jwks.json"

_MEMBERS: Final = frozenset({"kty", "crv", "x", "y"})
"""Where the service publishes the keys of its tokens."""

_MAX_BYTES: Final = 4096


def asked(arena: Arena, credential: Credential, sample: Sample | None = None) -> Attempt:
    """Ask the API with a credential, everything else in the request being right.

    :param sample: the first that a credential of its kind can be asked for, where none is named.
    :raises MissingError: where there is none.
    """
    if sample is None:
        proofs = (Proof.BEARER, Proof.DEVICE)
        sample = arena.sample(
            *(proofs if credential.session_key is None else (*proofs, Proof.SESSION))
        )
    return Attempt(sample, arena.wire.send(proved(arena, sample.call(), credential, sample.proof)))


def genuine_credential(arena: Arena) -> Credential:
    """Return what the genuine instance of the run proves its requests with.

    :raises MissingError: where there is none.
    """
    return credential_of(arena.genuine(), arena.facts.audience)


def bent(arena: Arena, token: str) -> Attempt:
    """Ask the API as the genuine instance, with another text in place of its token."""
    return asked(arena, replace(genuine_credential(arena), token=token))


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


def claims_like_genuine(arena: Arena, attacker: Attacker) -> dict[str, Any]:
    """Return the claims of the genuine token, in the attacker's name and for his key.

    What a token of this deployment looks like is read off one of them, so that no key has to be lent for it.
    """
    claims = parts_of(genuine_credential(arena).token)[1]
    return {
        **claims,
        "sub": attacker.subject,
        "sid": attacker.session_id,
        "jti": base64url.encode(arena.random(16)),
        "cnf": {"jwk": dict(attacker.own.key)},
    }


def compact(header: bytes, claims: bytes, signer: Signer) -> str:
    """Return a compact JWS over bytes as they are, which needn't be what a JSON writer would write."""
    message = f"{base64url.encode(header)}.{base64url.encode(claims)}"
    return f"{message}.{base64url.encode(signer.sign(message.encode()))}"


def minting(changes: Callable[[Arena], Mapping[str, Any]]) -> Run:
    """Return a variant: a token of the deployment's own signature, right but for what is changed.

    :param changes: members by name, None for one to leave out.
    """

    def run(arena: Arena) -> list[Attempt]:
        return [asked(arena, minted(arena, new_attacker(arena), **changes(arena)))]

    return run


def minting_each(changes: Callable[[Arena], list[Mapping[str, Any]]]) -> Run:
    """Return a variant of several spellings of one thing, each in a token as in :func:`minting`."""

    def run(arena: Arena) -> list[Attempt]:
        return [asked(arena, minted(arena, new_attacker(arena), **each)) for each in changes(arena)]

    return run


def published_key(arena: Arena, kid: str) -> Mapping[str, str]:
    """Return a key of the service's tokens as anyone gets it.

    :raises MissingError: where the service publishes none of this name.
    """
    answer = arena.wire.send(Call(Part.SERVICE, "GET", JWKS))
    try:
        keys = strict_json.loads(answer.body, MAX_ANSWER_BYTES).get("keys")
    except MalformedError:
        keys = None
    for key in keys if isinstance(keys, list) else []:
        if isinstance(key, dict) and key.get("kid") == kid and key.keys() >= _MEMBERS:
            return {name: str(key[name]) for name in sorted(_MEMBERS)}
    raise MissingError(Need.SERVICE, f"it publishes no key {kid}")
