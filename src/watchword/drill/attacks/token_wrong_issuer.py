"""Use a token of another service that was given the same keys."""

from collections.abc import Mapping
from typing import Any

from watchword.drill.interface import Attack, AttackContext, Need, Variant
from watchword.drill.tokens import minting, minting_each
from watchword.reasons import Reason


def _alike(context: AttackContext) -> list[Mapping[str, Any]]:
    """Name what a prefix, a suffix or a comparison without case takes for the service."""
    own = context.facts.issuer
    names = (f"{own}/", f"{own}@attacker.example", f"{own}#", own.upper(), own[:-1])
    return [{"iss": each} for each in names if each != own]


def _unclear(context: AttackContext) -> list[Mapping[str, Any]]:
    return [{"iss": each} for each in (None, "", [context.facts.issuer])]


_EXPECTED = frozenset({Reason.TOKEN_ISSUER})

ATTACK = Attack(
    id="token-wrong-issuer",
    title="Use a token of another service",
    techniques=("MT-B03",),
    protections={"PR-B01": "live:shield.rejected_unattested"},
    needs=(Need.KEYS,),
    sends="Validly signed tokens in the name of another service, of names that look like this one's, and of nobody.",
    must="Each is refused: the issuer is compared as a whole.",
    blind="It says nothing of how the keys of two services are kept apart.",
    variants=(
        Variant("foreign", minting({"iss": "https://attest.attacker.example"}), _EXPECTED),
        Variant("alike", minting_each(_alike), _EXPECTED),
        Variant("unclear", minting_each(_unclear), frozenset({Reason.TOKEN_MALFORMED})),
    ),
)
