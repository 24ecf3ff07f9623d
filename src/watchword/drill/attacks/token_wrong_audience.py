"""Use at this API a token that is for another one."""

from collections.abc import Mapping
from typing import Any

from watchword.drill.interface import Attack, AttackContext, Attempts, MissingError, Need, Variant
from watchword.drill.requests import credential_of
from watchword.drill.tokens import asked, minting, minting_each
from watchword.reasons import Reason
from watchword.vocabulary import Proof


def _other_api(context: AttackContext) -> Attempts:
    """Use what the service gave the genuine app for its other API, as that API's operator could."""
    held = context.genuine()
    sample = context.sample(Proof.BEARER, Proof.DEVICE)
    others = [each for each in held.tokens if each != context.facts.audience]
    if not others:
        raise MissingError(Need.OTHER_API)
    return [asked(context, credential_of(held, each), sample) for each in others]


def _alike(context: AttackContext) -> list[Mapping[str, Any]]:
    """Name what a prefix, a suffix or a comparison without case takes for this API."""
    own = context.facts.audience
    names = (f"{own}/", f"{own}.attacker.example", own.upper(), own[:-1], f"{own}\u200b")
    return [{"aud": each} for each in names]


def _several(context: AttackContext) -> list[Mapping[str, Any]]:
    """Name several APIs at once, as RFC 7519 section 4.1.3 lets tokens do."""
    own = context.facts.audience
    return [{"aud": each} for each in ([own], [own, "https://api.attacker.example"], None)]


_EXPECTED = frozenset({Reason.TOKEN_AUDIENCE})

ATTACK = Attack(
    id="token-wrong-audience",
    title="Use a token of another API",
    techniques=("MT-B20", "MT-B03"),
    protections={"PR-B01": "live:shield.rejected_unattested"},
    needs=(Need.GENUINE,),
    sends="A genuine token for another API of the same service. Then tokens signed by the service for nobody's API, "
    "for names that look like this one's, and for several APIs at once.",
    must="Each is refused: a token is for one API, named by its whole audience.",
    blind="It doesn't try this API's tokens at the others.",
    variants=(
        Variant("other-api", _other_api, _EXPECTED),
        Variant("nobodys", minting({"aud": "https://api.attacker.example"}), _EXPECTED),
        Variant("alike", minting_each(_alike), _EXPECTED),
        Variant("several", minting_each(_several), frozenset({Reason.TOKEN_MALFORMED})),
    ),
)
