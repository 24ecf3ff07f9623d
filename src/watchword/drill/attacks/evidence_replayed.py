"""Put recorded evidence under a new statement with a fresh challenge."""

from watchword.client.statement import binding_of
from watchword.drill.enrolment import challenge, exploited, send_enrolment, statement_of
from watchword.drill.interface import Attack, AttackContext, Attempts, Need, Run, Variant
from watchword.drill.mutated_evidence import GENUINE, enrolled
from watchword.reasons import Reason
from watchword.vocabulary import Platform

_ELSEWHERE = "https://elsewhere.example"


def _recorded(platform: Platform) -> Run:
    def run(context: AttackContext) -> Attempts:
        held = enrolled(context, GENUINE[platform])
        statement = statement_of(context, held.phone, challenge(context, held.phone.app))
        evidence = held.body["evidence"]
        return [exploited(context, send_enrolment(context, held.phone, statement, evidence))]

    return run


def _from_elsewhere(platform: Platform) -> Run:
    def run(context: AttackContext) -> Attempts:
        phone = context.phone(GENUINE[platform])
        phone.device.create_keys()
        asked = challenge(context, phone.app)
        given_away = statement_of(context, phone, asked, iss=_ELSEWHERE)
        evidence = dict(phone.device.attest(binding_of(given_away)))
        statement = statement_of(context, phone, asked)
        return [exploited(context, send_enrolment(context, phone, statement, evidence))]

    return run


_EXPECTED = frozenset({Reason.ATTESTATION_BINDING})

ATTACK = Attack(
    id="evidence-replayed",
    title="Use recorded evidence for a new statement",
    techniques=("MT-C05", "MT-B03"),
    protections={"PR-B01": "live:shield.rejected_unattested"},
    needs=(Need.SERVICE, Need.PHONES),
    sends="Genuine evidence beside a fresh statement: recorded at an enrolment, or made for another service.",
    must="The service refuses each: the evidence isn't bound to this statement.",
    blind="Whoever holds a genuine phone gets evidence for any statement that the app makes.",
    variants=(
        Variant("android-recorded", _recorded(Platform.ANDROID), _EXPECTED),
        Variant("iphone-recorded", _recorded(Platform.IOS), _EXPECTED),
        Variant("android-from-elsewhere", _from_elsewhere(Platform.ANDROID), _EXPECTED),
        Variant("iphone-from-elsewhere", _from_elsewhere(Platform.IOS), _EXPECTED),
    ),
)
