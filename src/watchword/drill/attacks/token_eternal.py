"""Use a token that doesn't end, or not soon: what a service would sign that somebody tricked."""

from collections.abc import Mapping
from typing import Any

from watchword.drill.interface import Attack, AttackContext, Need, Variant
from watchword.drill.tokens import minting, minting_each
from watchword.reasons import Reason
from watchword.tokens.interface import MAX_LIFETIME_SECONDS

_YEAR = 365 * 86_400


def _lasting(seconds: int) -> Any:
    def changes(context: AttackContext) -> dict[str, Any]:
        at = int(context.now()) - 1
        return {"iat": at, "exp": at + seconds}

    return changes


def _other_numbers(context: AttackContext) -> list[Mapping[str, Any]]:
    """Say the end in milliseconds, as text, as a fraction, as yes, as more than any clock will show."""
    end = int(context.now()) + context.facts.token_lifetime
    return [{"exp": each} for each in (end * 1000, str(end), end + 0.5, True, 2**53)]


_EXPECTED = frozenset({Reason.TOKEN_MALFORMED})

ATTACK = Attack(
    id="token-eternal",
    title="Use a token that doesn't end",
    techniques=("MT-B20",),
    protections={"PR-B12": "live:tokens.ttl"},
    needs=(Need.KEYS,),
    sends="Tokens signed by the service that live for a year or a second longer than allowed, have no end or no "
    "beginning, or an end that isn't a whole number of seconds.",
    must="Each is refused, although its signature is valid.",
    blind="Gates accept any life up to an hour: they don't know how long this service's tokens live.",
    variants=(
        Variant("a-year", minting(_lasting(_YEAR)), _EXPECTED),
        Variant("a-second-too-long", minting(_lasting(MAX_LIFETIME_SECONDS + 1)), _EXPECTED),
        Variant("without-end", minting({"exp": None}), _EXPECTED),
        Variant("without-begin", minting({"iat": None}), _EXPECTED),
        Variant("other-numbers", minting_each(_other_numbers), _EXPECTED),
    ),
)
