"""Enrol with a statement that says something else than it must, and evidence that is bound to it all the same."""

from typing import Any

from watchword.drill.enrolment import audiences_of, challenge, enrol, exploited, statement_of
from watchword.drill.interface import Attack, AttackContext, Attempts, Need, Phone, Run, Variant
from watchword.drill.mutated_evidence import GENUINE
from watchword.reasons import Reason
from watchword.vocabulary import Platform, Purpose

_ELSEWHERE = "https://elsewhere.example"


def _mutated(purpose: Purpose = Purpose.ENROL, **changes: str) -> Run:
    def run(context: AttackContext) -> Attempts:
        return _enrolled(context, context.new_genuine(), purpose, **changes)

    return run


def _wider(context: AttackContext) -> Attempts:
    """Ask for an API beside those that are open to the app."""
    phone = context.new_genuine()
    return _enrolled(context, phone, aud=[*audiences_of(context, phone), _ELSEWHERE])


def _other_platform(context: AttackContext) -> Attempts:
    """Say that the app of an iPhone is the one for Android."""
    phone, other = context.phone(GENUINE[Platform.IOS]), context.phone(GENUINE[Platform.ANDROID])
    phone.device.create_keys()
    asked = challenge(context, other.app)
    statement = statement_of(context, phone, asked, app=other.app)
    return [exploited(context, enrol(context, phone, statement=statement))]


def _enrolled(
    context: AttackContext, phone: Phone, purpose: Purpose = Purpose.ENROL, **changes: Any
) -> Attempts:
    phone.device.create_keys()
    asked = challenge(context, phone.app)
    statement = statement_of(context, phone, asked, purpose, **changes)
    return [exploited(context, enrol(context, phone, statement=statement))]


ATTACK = Attack(
    id="statement-bent",
    title="Enrol for what one isn't entitled to",
    techniques=("MT-B03",),
    protections={"PR-B01": "live:shield.rejected_unattested"},
    needs=(Need.SERVICE, Need.GENUINE),
    sends="Statements for another service, another API, an unknown app, a renewal, and the app of the other platform, "
    "each with matching evidence.",
    must="The service refuses each for the wrong member.",
    blind="Your file says which APIs an app may ask for; a drill takes that for right.",
    variants=(
        Variant("another-service", _mutated(iss=_ELSEWHERE), frozenset({Reason.STATEMENT_ISSUER})),
        Variant("another-api", _wider, frozenset({Reason.STATEMENT_AUDIENCE})),
        Variant(
            "unknown-app", _mutated(app="not-registered"), frozenset({Reason.STATEMENT_APP_UNKNOWN})
        ),
        Variant(
            "renewal-as-enrolment",
            _mutated(Purpose.RENEW),
            frozenset({Reason.STATEMENT_PURPOSE}),
        ),
        Variant("other-platform", _other_platform, frozenset({Reason.EVIDENCE_PLATFORM})),
    ),
)
