"""Renew somebody else's instance, or one's own with more than it enrolled for."""

from typing import Literal

from watchword.drill.enrolment import (
    challenge,
    enrol,
    enrol_genuine,
    exploited,
    renew,
    statement_of,
)
from watchword.drill.interface import (
    Attack,
    AttackContext,
    Attempts,
    MissingError,
    Need,
    Run,
    Variant,
)
from watchword.drill.mutated_evidence import GENUINE, enrolled, granted, renewed_by
from watchword.reasons import Reason
from watchword.vocabulary import Platform, Purpose


def _by_own_key(platform: Platform) -> Run:
    """Say what the victim's app would say, and sign with the attacker's attested key."""

    def run(context: AttackContext) -> Attempts:
        victim = enrolled(context, GENUINE[platform])
        attacker = enrolled(context, GENUINE[platform])
        return [exploited(context, renewed_by(context, victim, attacker.phone))]

    return run


def _for_own_keys(platform: Platform, member: Literal["proof_jwk", "seal_jwk"]) -> Run:
    """Have the victim's phone sign for a key of the attacker's, as malware in the app can."""

    def run(context: AttackContext) -> Attempts:
        held = enrolled(context, GENUINE[platform])
        thief = context.phone(GENUINE[platform])
        thief.device.create_keys()
        own = {"proof_jwk": thief.device.proof_jwk, "seal_jwk": thief.device.seal_jwk}
        return [exploited(context, renewed_by(context, held, held.phone, **{member: own[member]}))]

    return run


def _wider(context: AttackContext) -> Attempts:
    """Enrol for another API alone, and renew for this one."""
    phone = context.new_genuine()
    own = context.facts.audience
    others = sorted(context.facts.audiences.get(phone.app, frozenset()) - {own})
    if not others:
        raise MissingError(Need.OTHER_API)
    phone.device.create_keys()
    asked = challenge(context, phone.app)
    statement = statement_of(context, phone, asked, audiences=others[:1])
    held = granted(enrol(context, phone, statement=statement))
    asked = challenge(context, phone.app, Purpose.RENEW)
    statement = statement_of(context, phone, asked, Purpose.RENEW, [own])
    return [exploited(context, renew(context, held, statement=statement))]


def _enrolments_challenge(context: AttackContext) -> Attempts:
    """Renew with an enrolment's challenge, which is good for that alone."""
    held = enrol_genuine(context)
    asked = challenge(context, held.phone.app)
    statement = statement_of(context, held.phone, asked, Purpose.RENEW, list(held.tokens))
    return [exploited(context, renew(context, held, statement=statement))]


_KEY = frozenset({Reason.STATEMENT_KEY})

ATTACK = Attack(
    id="renewal-stolen",
    title="Renew what isn't one's own",
    techniques=("MT-B20",),
    protections={"PR-B15": "live:tokens.bound_ratio"},
    needs=(Need.SERVICE, Need.GENUINE),
    sends="Renewals of a victim's instance signed by the attacker's phone, and renewals that bring other keys, another API or another challenge.",
    must="The service refuses each: the key that enrolled must sign, for what it enrolled for.",
    blind="Whoever makes the victim's phone sign a renewal without changes gets tokens, as the app does.",
    variants=(
        Variant(
            "android-own-signature",
            _by_own_key(Platform.ANDROID),
            frozenset({Reason.ANDROID_SIGNATURE}),
        ),
        Variant(
            "iphone-own-signature",
            _by_own_key(Platform.IOS),
            frozenset({Reason.APP_ATTEST_SIGNATURE}),
        ),
        Variant("android-own-seal-key", _for_own_keys(Platform.ANDROID, "seal_jwk"), _KEY),
        Variant("iphone-own-seal-key", _for_own_keys(Platform.IOS, "seal_jwk"), _KEY),
        Variant("iphone-own-proof-key", _for_own_keys(Platform.IOS, "proof_jwk"), _KEY),
        Variant("another-api", _wider, frozenset({Reason.STATEMENT_AUDIENCE})),
        Variant(
            "challenge-of-enrolment", _enrolments_challenge, frozenset({Reason.CHALLENGE_UNKNOWN})
        ),
    ),
)
