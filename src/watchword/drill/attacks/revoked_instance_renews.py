"""Go on with an instance that the operator revoked: renew it, and enrol the same key again."""

from watchword.drill.enrolment import (
    ENROL,
    again,
    challenge,
    enrol,
    enrol_genuine,
    exploited,
    renew,
    statement_of,
)
from watchword.drill.interface import Attack, AttackContext, Attempts, Held, Need, Variant
from watchword.drill.mutated_evidence import GENUINE, enrolled
from watchword.reasons import Reason
from watchword.vocabulary import Platform


def _revoked(context: AttackContext, held: Held) -> Held:
    context.operating().revoke(held.instance)
    return held


def _renews(context: AttackContext) -> Attempts:
    """Renew right after the revocation."""
    held = _revoked(context, enrol_genuine(context))
    return [exploited(context, renew(context, held))]


def _enrols(context: AttackContext) -> Attempts:
    """Send the enrolment once more that went well before the revocation."""
    held = _revoked(context, enrol_genuine(context))
    return [exploited(context, again(context, ENROL, held.body, held.phone))]


def _attests(context: AttackContext) -> Attempts:
    """Have the same key attested anew for a fresh statement, as a mutated Keystore could."""
    held = _revoked(context, enrolled(context, GENUINE[Platform.ANDROID]))
    statement = statement_of(context, held.phone, challenge(context, held.phone.app))
    return [exploited(context, enrol(context, held.phone, statement=statement))]


ATTACK = Attack(
    id="revoked-instance-renews",
    title="Go on with a revoked instance",
    techniques=("MT-B20",),
    protections={"PR-B25": "live:policy.push_seconds"},
    needs=(Need.SERVICE, Need.GENUINE, Need.OPERATOR),
    sends="A renewal of an instance that the operator has just revoked, its enrolment once more, and its key attested anew.",
    must="The service refuses each.",
    blind="A phone that makes new keys is a new instance: revoking one doesn't lock a device out.",
    variants=(
        Variant("renews", _renews, frozenset({Reason.INSTANCE_REVOKED})),
        Variant("enrols-again", _enrols, frozenset({Reason.CHALLENGE_USED})),
        Variant("attests-again", _attests, frozenset({Reason.INSTANCE_EXISTS})),
    ),
)
