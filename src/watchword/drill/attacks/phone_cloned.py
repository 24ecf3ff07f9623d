"""Renew with the copy of a phone, whose App Attest counter goes on from where it was copied."""

from watchword.drill.bent_evidence import TOGETHER, enrolled, granted, renewal_body, sent_at_once
from watchword.drill.enrolment import RENEW, exploited, renew
from watchword.drill.interface import Arena, Attack, Attempts, Need, Variant
from watchword.reasons import Reason

_KIND = "cloned-iphone"


def _second(arena: Arena) -> Attempts:
    """Renew by the phone and then by its copy, with the same counter."""
    held = enrolled(arena, _KIND)
    granted(renew(arena, held))
    return [exploited(arena, renew(arena, held))]


def _at_once(arena: Arena) -> Attempts:
    """Renew by several copies at one moment, each with a challenge of its own."""
    held = enrolled(arena, _KIND)
    bodies = [renewal_body(arena, held) for _ in range(TOGETHER)]
    return sent_at_once(arena, RENEW, bodies, held.phone)


_EXPECTED = frozenset({Reason.INSTANCE_COUNTER})

ATTACK = Attack(
    id="phone-cloned",
    title="Renew with a copy of a phone",
    techniques=("MT-A10", "MT-B20"),
    protections={"PR-B15": "live:tokens.bound_ratio"},
    needs=(Need.SERVICE, Need.PHONES),
    sends="Renewals by two holders of one App Attest key: one after the other, and several at one moment.",
    must="Of the same counter exactly one renewal passes.",
    blind="Android's keys don't count: there a copy of a key is kept away by the hardware alone.",
    variants=(
        Variant("one-after-the-other", _second, _EXPECTED),
        Variant("at-one-moment", _at_once, _EXPECTED),
    ),
)
