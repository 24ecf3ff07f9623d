"""Change what a genuine token says, and leave its signature as it is."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from watchword.drill.interface import (
    Attack,
    AttackContext,
    Attempts,
    MissingError,
    Need,
    Run,
    Variant,
)
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


def _changed(changes: Callable[[AttackContext, Mapping[str, Any]], Mapping[str, Any]]) -> Run:
    """Return a variant that changes claims of the genuine instance's token.

    :param changes: makes members by name of the claims that there are.
    """

    def run(context: AttackContext) -> Attempts:
        credential = genuine_credential(context)
        claims = parts_of(credential.token)[1]
        token = with_claims(credential.token, changes(context, claims))
        return [asked(context, replace(credential, token=token))]

    return run


def _somebody_else(context: AttackContext, _claims: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"sub": base64url.encode(context.random(32))}


def _longer(_context: AttackContext, claims: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"exp": claims["exp"] + _LONGER_SECONDS}


def _newer_app(_context: AttackContext, claims: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"app": {**claims["app"], "ver": "999999"}}


def _other_key(context: AttackContext) -> Attempts:
    """Put one's own key into a token that was caught, and prove the request with it."""
    sample = context.sample(Proof.DEVICE, Proof.BEARER)
    caught = genuine_credential(context).token
    attacker = new_attacker(context)
    token = with_claims(caught, {"cnf": {"jwk": dict(attacker.own.key)}})
    own = replace(attacker.own, session_id=parts_of(caught)[1]["sid"])
    return [asked(context, Credential(token, own, attacker.sign), sample)]


def _other_audience(context: AttackContext) -> Attempts:
    """Have a token that another API got say that it's for this one."""
    held = context.genuine()
    for audience in held.tokens:
        if audience != context.facts.audience:
            credential = credential_of(held, audience)
            token = with_claims(credential.token, {"aud": context.facts.audience})
            # Its session key is of the other API's secret: only the token is tried.
            return [asked(context, replace(credential, token=token, session_key=None))]
    raise MissingError(Need.OTHER_API)


def _higher_level(context: AttackContext) -> Attempts:
    """Have a token that was issued for less say that hardware stands behind it."""
    credential = minted(context, new_attacker(context), lvl=Level.SOFTWARE.value)
    token = with_claims(credential.token, {"lvl": Level.HARDWARE.value})
    return [asked(context, replace(credential, token=token))]


_EXPECTED = frozenset({Reason.TOKEN_SIGNATURE})

ATTACK = Attack(
    id="token-changed",
    title="Change what a genuine token says",
    techniques=("MT-C04", "MT-B20"),
    protections={"PR-B01": "live:shield.rejected_unattested"},
    needs=(Need.GENUINE,),
    sends="Genuine tokens with the original signature and changed claims: audience, holder, key, level, end, or "
    "version of the app.",
    must="Each is refused: the signature doesn't match the claims.",
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
