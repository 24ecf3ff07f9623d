"""Go on with an instance that the operator revoked: renew it, and enrol the same key again."""

from watchword.drill.bent_evidence import GENUINE, enrolled
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
from watchword.drill.interface import Arena, Attack, Attempts, Held, Need, Variant
from watchword.reasons import Reason
from watchword.vocabulary import Platform


def _revoked(arena: Arena, held: Held) -> Held:
    arena.operating().revoke(held.instance)
    return held


def _renews(arena: Arena) -> Attempts:
    """Renew right after the revocation."""
    held = _revoked(arena, enrol_genuine(arena))
    return [exploited(arena, renew(arena, held))]


def _enrols(arena: Arena) -> Attempts:
    """Send the enrolment once more that went well before the revocation."""
    held = _revoked(arena, enrol_genuine(arena))
    return [exploited(arena, again(arena, ENROL, held.body, held.phone))]


def _attests(arena: Arena) -> Attempts:
    """Have the same key attested anew for a fresh statement, as a bent Keystore could."""
    held = _revoked(arena, enrolled(arena, GENUINE[Platform.ANDROID]))
    statement = statement_of(arena, held.phone, challenge(arena, held.phone.app))
    return [exploited(arena, enrol(arena, held.phone, statement=statement))]


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
