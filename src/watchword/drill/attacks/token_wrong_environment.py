"""Use a token of the other world: what a lab issues, where simulated phones are believed, in production."""

from collections.abc import Mapping
from typing import Any

from watchword.drill.interface import Attack, AttackContext, Need, Variant
from watchword.drill.tokens import minting, minting_each
from watchword.reasons import Reason
from watchword.vocabulary import Environment


def _other(context: AttackContext) -> dict[str, Any]:
    (other,) = set(Environment) - {context.facts.environment}
    return {"env": other.value}


def _unclear(context: AttackContext) -> list[Mapping[str, Any]]:
    """Leave it out, or name it in a way that only a generous reader takes."""
    own = context.facts.environment.value
    return [{"env": each} for each in (None, "", own.upper(), f"{own} ", [own], "*")]


ATTACK = Attack(
    id="token-wrong-environment",
    title="Use a token of the lab in production, or the other way round",
    techniques=("MT-B03",),
    protections={"PR-B01": "live:shield.rejected_unattested"},
    needs=(Need.KEYS,),
    sends="Tokens signed by the service for the other environment, for none, and for one that doesn't exist.",
    must="Each is refused, even where lab and production were given the same keys.",
    blind="Keys are borrowed only in a lab, so a drill of production can't send it.",
    variants=(
        Variant("other", minting(_other), frozenset({Reason.TOKEN_ENVIRONMENT})),
        Variant("unclear", minting_each(_unclear), frozenset({Reason.TOKEN_MALFORMED})),
    ),
)
