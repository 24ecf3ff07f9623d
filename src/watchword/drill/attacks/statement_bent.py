"""Enrol with a statement that says something else than it must, and evidence that is bound to it all the same."""

from typing import Any

from watchword.drill.bent_evidence import GENUINE
from watchword.drill.enrolment import audiences_of, challenge, enrol, exploited, statement_of
from watchword.drill.interface import Arena, Attack, Attempts, Need, Phone, Run, Variant
from watchword.reasons import Reason
from watchword.vocabulary import Platform, Purpose

_ELSEWHERE = "https://elsewhere.example"


def _bent(purpose: Purpose = Purpose.ENROL, **changes: str) -> Run:
    def run(arena: Arena) -> Attempts:
        return _enrolled(arena, arena.new_genuine(), purpose, **changes)

    return run


def _wider(arena: Arena) -> Attempts:
    """Ask for an API beside those that are open to the app."""
    phone = arena.new_genuine()
    return _enrolled(arena, phone, aud=[*audiences_of(arena, phone), _ELSEWHERE])


def _other_platform(arena: Arena) -> Attempts:
    """Say that the app of an iPhone is the one for Android."""
    phone, other = arena.phone(GENUINE[Platform.IOS]), arena.phone(GENUINE[Platform.ANDROID])
    phone.device.create_keys()
    asked = challenge(arena, other.app)
    statement = statement_of(arena, phone, asked, app=other.app)
    return [exploited(arena, enrol(arena, phone, statement=statement))]


def _enrolled(
    arena: Arena, phone: Phone, purpose: Purpose = Purpose.ENROL, **changes: Any
) -> Attempts:
    phone.device.create_keys()
    asked = challenge(arena, phone.app)
    statement = statement_of(arena, phone, asked, purpose, **changes)
    return [exploited(arena, enrol(arena, phone, statement=statement))]


ATTACK = Attack(
    id="statement-bent",
    title="Enrol for what one isn't entitled to",
    techniques=("MT-B03",),
    protections={"PR-B01": "live:shield.rejected_unattested"},
    needs=(Need.SERVICE, Need.GENUINE),
    sends="Statements for another service, another API, an unknown app, a renewal, and the app of the other platform, each with evidence over it.",
    must="The service refuses each for the member that is wrong.",
    blind="Which APIs an app may ask for is what your file says; a drill takes that for right.",
    variants=(
        Variant("another-service", _bent(iss=_ELSEWHERE), frozenset({Reason.STATEMENT_ISSUER})),
        Variant("another-api", _wider, frozenset({Reason.STATEMENT_AUDIENCE})),
        Variant(
            "unknown-app", _bent(app="not-registered"), frozenset({Reason.STATEMENT_APP_UNKNOWN})
        ),
        Variant(
            "renewal-as-enrolment",
            _bent(Purpose.RENEW),
            frozenset({Reason.STATEMENT_PURPOSE}),
        ),
        Variant("other-platform", _other_platform, frozenset({Reason.EVIDENCE_PLATFORM})),
    ),
)
