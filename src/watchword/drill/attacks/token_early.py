"""Use a token before its time: one that was made ahead, to be used when nobody watches."""

from typing import Any

from watchword.drill.interface import Attack, AttackContext, Need, Variant
from watchword.drill.tokens import minting
from watchword.reasons import Reason

_AHEAD = 30
"""Seconds beyond the leeway."""


def _issued_ahead(context: AttackContext) -> dict[str, Any]:
    at = int(context.now()) + context.facts.leeway + _AHEAD
    return {"iat": at, "exp": at + context.facts.token_lifetime}


def _valid_ahead(context: AttackContext) -> dict[str, Any]:
    return {"nbf": int(context.now()) + context.facts.leeway + _AHEAD}


_EXPECTED = frozenset({Reason.TOKEN_EARLY})

ATTACK = Attack(
    id="token-early",
    title="Use a token before its time",
    techniques=("MT-B20",),
    protections={"PR-B12": "live:tokens.ttl"},
    needs=(Need.KEYS,),
    sends="Tokens signed by the service that are issued, or valid, only later.",
    must="Each is refused until its time has come, with the clocks' leeway counted in.",
    blind="It can't see whether the gate's clock is right.",
    variants=(
        Variant("issued-ahead", minting(_issued_ahead), _EXPECTED),
        Variant("valid-ahead", minting(_valid_ahead), _EXPECTED),
    ),
)
