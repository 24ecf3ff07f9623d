"""Change what a genuine token says, and leave its signature as it is."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from watchword.drill.interface import Arena, Attack, Attempts, MissingError, Need, Run, Variant
from watchword.drill.requests import Credential, credential_of
from watchword.drill.tokens import (
    asked,
    genuine_credential,
    minted,
    new_attacker,
    parts_of,
    with_claims,
)
from watchword.encoding import base64url
from watchword.reasons import Reason
from watchword.vocabulary import Level, Proof

_LONGER_SECONDS = 120
"""Keeps a changed life below an hour, the longest that gates take, for any life up to 58 minutes."""


def _changed(changes: Callable[[Arena, Mapping[str, Any]], Mapping[str, Any]]) -> Run:
    """Return a variant that changes claims of the genuine instance's token.

    :param changes: makes members by name of the claims that there are.
    """

    def run(arena: Arena) -> Attempts:
        credential = genuine_credential(arena)
        claims = parts_of(credential.token)[1]
        token = with_claims(credential.token, changes(arena, claims))
        return [asked(arena, replace(credential, token=token))]

    return run


def _somebody_else(arena: Arena, _claims: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"sub": base64url.encode(arena.random(32))}


def _longer(_arena: Arena, claims: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"exp": claims["exp"] + _LONGER_SECONDS}


def _newer_app(_arena: Arena, claims: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"app": {**claims["app"], "ver": "999999"}}


def _other_key(arena: Arena) -> Attempts:
    """Put one's own key into a token that was caught, and prove the request with it."""
    sample = arena.sample(Proof.DEVICE, Proof.BEARER)
    caught = genuine_credential(arena).token
    attacker = new_attacker(arena)
    token = with_claims(caught, {"cnf": {"jwk": dict(attacker.own.key)}})
    own = replace(attacker.own, session_id=parts_of(caught)[1]["sid"])
    return [asked(arena, Credential(token, own, attacker.sign), sample)]


def _other_audience(arena: Arena) -> Attempts:
    """Have a token that another API got say that it's for this one."""
    held = arena.genuine()
    for audience in held.tokens:
        if audience != arena.facts.audience:
            credential = credential_of(held, audience)
            token = with_claims(credential.token, {"aud": arena.facts.audience})
            # Its session key is of the other API's secret: only the token is tried.
            return [asked(arena, replace(credential, token=token, session_key=None))]
    raise MissingError(Need.OTHER_API)


def _higher_level(arena: Arena) -> Attempts:
    """Have a token that was issued for less say that hardware stands behind it."""
    credential = minted(arena, new_attacker(arena), lvl=Level.SOFTWARE.value)
    token = with_claims(credential.token, {"lvl": Level.HARDWARE.value})
    return [asked(arena, replace(credential, token=token))]


_EXPECTED = frozenset({Reason.TOKEN_SIGNATURE})

ATTACK = Attack(
    id="token-changed",
    title="Change what a genuine token says",
    techniques=("MT-C04", "MT-B20"),
    protections={"PR-B01": "live:shield.rejected_unattested"},
    needs=(Need.GENUINE,),
    sends="Genuine tokens whose signature stands and whose claims are changed: whom they are for, who holds them, by which "
    "key, at which level, until when, in which version of the app.",
    must="Each is refused: the signature isn't one over what the token says.",
    blind="It changes one claim at a time, in tokens of this moment.",
    variants=(
        Variant("subject", _changed(_somebody_else), _EXPECTED),
        Variant("end", _changed(_longer), _EXPECTED),
        Variant("app-version", _changed(_newer_app), _EXPECTED),
        Variant("key", _other_key, _EXPECTED),
        Variant("audience", _other_audience, _EXPECTED),
        Variant("level", _higher_level, _EXPECTED),
    ),
)
