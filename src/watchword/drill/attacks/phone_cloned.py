"""Renew with the copy of a phone, whose App Attest counter goes on from where it was copied."""

from watchword.drill.enrolment import RENEW, exploited, renew
from watchword.drill.interface import Attack, AttackContext, Attempts, Need, Variant
from watchword.drill.mutated_evidence import TOGETHER, enrolled, granted, renewal_body, sent_at_once
from watchword.reasons import Reason

_KIND = "cloned-iphone"


def _second(context: AttackContext) -> Attempts:
    """Renew by the phone and then by its copy, with the same counter."""
    held = enrolled(context, _KIND)
    granted(renew(context, held))
    return [exploited(context, renew(context, held))]


def _at_once(context: AttackContext) -> Attempts:
    """Renew by several copies at one moment, each with a challenge of its own."""
    held = enrolled(context, _KIND)
    bodies = [renewal_body(context, held) for _ in range(TOGETHER)]
    return sent_at_once(context, RENEW, bodies, held.phone)


_EXPECTED = frozenset({Reason.INSTANCE_COUNTER})

ATTACK = Attack(
    id="phone-cloned",
    title="Renew with a copy of a phone",
    techniques=("MT-A10", "MT-B20"),
    protections={"PR-B15": "live:tokens.bound_ratio"},
    needs=(Need.SERVICE, Need.PHONES),
    sends="Renewals by two holders of one App Attest key: one after the other, and several at once.",
    must="With the same counter, exactly one renewal passes.",
    blind="Android's keys have no counter: there only the hardware prevents a copy of a key.",
    variants=(
        Variant("one-after-the-other", _second, _EXPECTED),
        Variant("at-one-moment", _at_once, _EXPECTED),
    ),
)
