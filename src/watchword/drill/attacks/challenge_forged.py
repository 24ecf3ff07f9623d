"""Enrol with a challenge that the service didn't make, made for something else, or doesn't take any more."""

from collections.abc import Callable

from watchword.drill.enrolment import challenge, enrol, exploited, statement_of
from watchword.drill.interface import Attack, AttackContext, Attempts, Need, Phone, Run, Variant
from watchword.drill.mutated_evidence import minted_challenge
from watchword.encoding import base64url
from watchword.reasons import Reason
from watchword.vocabulary import Purpose

_OLD = -1


def _with(make: Callable[[AttackContext, Phone], str]) -> Run:
    def run(context: AttackContext) -> Attempts:
        phone = context.new_genuine()
        forged = make(context, phone)
        phone.device.create_keys()
        statement = statement_of(context, phone, forged)
        return [exploited(context, enrol(context, phone, statement=statement))]

    return run


def _own(context: AttackContext, phone: Phone) -> str:
    """Make one with a key of one's own."""
    return minted_challenge(context, context.random(32), phone.app, Purpose.ENROL)


def _later(context: AttackContext, phone: Phone) -> str:
    """Move the end of one that the service made by a day."""
    made = bytearray(base64url.decode(challenge(context, phone.app)))
    expiry = int.from_bytes(made[1:9], "big") + 24 * 60 * 60
    made[1:9] = expiry.to_bytes(8, "big")
    return base64url.encode(bytes(made))


def _for_renewal(context: AttackContext, phone: Phone) -> str:
    """Take one that the service made for a renewal."""
    return challenge(context, phone.app, Purpose.RENEW)


def _for_another_app(context: AttackContext, phone: Phone) -> str:
    """Take one that was made for another app: the service's, or one by its borrowed key."""
    for app in context.facts.audiences:
        if app != phone.app:
            return challenge(context, app)
    key = context.borrowed().challenge_key()
    return minted_challenge(context, key, f"not-{phone.app}", Purpose.ENROL)


def _expired(context: AttackContext, phone: Phone) -> str:
    """Make one that has ended, by the service's borrowed key: nobody waits five minutes for it."""
    key = context.borrowed().challenge_key()
    return minted_challenge(context, key, phone.app, Purpose.ENROL, lifetime=_OLD)


_UNKNOWN = frozenset({Reason.CHALLENGE_UNKNOWN})

ATTACK = Attack(
    id="challenge-forged",
    title="Enrol with a challenge that isn't good for it",
    techniques=("MT-B03", "MT-C05"),
    protections={"PR-B01": "live:shield.rejected_unattested"},
    needs=(Need.SERVICE, Need.GENUINE),
    sends="Genuine evidence over an attacker's challenge, a prolonged one, one for a renewal, one for another app, and "
    "one that ended.",
    must="The service refuses each challenge, before it looks at any evidence.",
    blind="It doesn't tell whether the key that makes challenges is kept well.",
    variants=(
        Variant("own-key", _with(_own), _UNKNOWN),
        Variant("prolonged", _with(_later), _UNKNOWN),
        Variant("for-renewal", _with(_for_renewal), _UNKNOWN),
        Variant("for-another-app", _with(_for_another_app), _UNKNOWN),
        Variant("expired", _with(_expired), frozenset({Reason.CHALLENGE_EXPIRED})),
    ),
)
