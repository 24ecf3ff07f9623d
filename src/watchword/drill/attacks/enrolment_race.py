"""Send one caught enrolment, and one caught renewal, several times at one moment."""

from watchword.drill.enrolment import ENROL, RENEW
from watchword.drill.interface import Attack, AttackContext, Attempts, Need, Run, Variant
from watchword.drill.mutated_evidence import (
    GENUINE,
    TOGETHER,
    enrolled,
    enrolment_body,
    renewal_body,
    sent_at_once,
)
from watchword.reasons import Reason
from watchword.vocabulary import Platform


def _enrols(platform: Platform) -> Run:
    def run(context: AttackContext) -> Attempts:
        phone = context.phone(GENUINE[platform])
        return sent_at_once(context, ENROL, [enrolment_body(context, phone)] * TOGETHER, phone)

    return run


def _renews(platform: Platform) -> Run:
    def run(context: AttackContext) -> Attempts:
        held = enrolled(context, GENUINE[platform])
        return sent_at_once(context, RENEW, [renewal_body(context, held)] * TOGETHER, held.phone)

    return run


_EXPECTED = frozenset({Reason.CHALLENGE_USED})

ATTACK = Attack(
    id="enrolment-race",
    title="Race a caught enrolment against itself",
    techniques=("MT-C05",),
    protections={"PR-B01": "live:shield.rejected_unattested"},
    needs=(Need.SERVICE, Need.PHONES),
    sends="A genuine enrolment, and a genuine renewal, eight times over eight connections at once.",
    must="Exactly one of the eight is granted; requests of the others to the API are refused.",
    blind="Several services that share no store would each grant one.",
    variants=(
        Variant("android-enrolment", _enrols(Platform.ANDROID), _EXPECTED),
        Variant("iphone-enrolment", _enrols(Platform.IOS), _EXPECTED),
        Variant("android-renewal", _renews(Platform.ANDROID), _EXPECTED),
        Variant("iphone-renewal", _renews(Platform.IOS), _EXPECTED),
    ),
)
