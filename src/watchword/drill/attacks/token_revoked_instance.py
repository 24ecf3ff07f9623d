"""Go on with the tokens of an instance that the operator has revoked."""

from watchword.drill.enrolment import enrol_genuine
from watchword.drill.interface import Attack, AttackContext, Attempt, Attempts, Need, Run, Variant
from watchword.drill.judgements import is_of_the_api
from watchword.drill.requests import genuine_call
from watchword.reasons import Reason
from watchword.vocabulary import Proof

WITHIN_SECONDS = 1.0
"""How soon every gate must know of it."""

_PAUSE_SECONDS = 0.05


def _used_on(*proofs: Proof) -> Run:
    """Return a variant whose token the gate has just met on each route, so that it may have it in mind."""

    def run(context: AttackContext) -> Attempts:
        first = context.sample(*proofs)
        others = [each.samples[0] for each in context.on_each_route]
        samples = [first, *(each for each in others if each.proof in proofs and each != first)]
        operator = context.operating()
        held = enrol_genuine(context)
        for sample in samples:
            context.wire.send(genuine_call(context, sample, held))
        operator.revoke(held.instance)
        deadline = context.now() + WITHIN_SECONDS
        attempts = []
        for sample in samples:
            answer = context.wire.send(genuine_call(context, sample, held))
            while is_of_the_api(answer) and context.now() < deadline:
                context.wait(_PAUSE_SECONDS)
                answer = context.wire.send(genuine_call(context, sample, held))
            attempts.append(Attempt(sample, answer))
        return attempts

    return run


_EXPECTED = frozenset({Reason.TOKEN_INSTANCE_REVOKED})

ATTACK = Attack(
    id="token-revoked-instance",
    title="Go on after being revoked",
    techniques=("MT-B20",),
    protections={"PR-B25": "live:policy.push_seconds"},
    needs=(Need.GENUINE, Need.OPERATOR),
    sends="Requests of an instance that was enrolled for this, used on each route, and then revoked by the operator. "
    "They are repeated for a second.",
    must="The gate refuses it within a second.",
    blind="It tests the gate that it reaches, not others. No key of the service is withdrawn, because that would end "
    "everybody's tokens.",
    variants=(
        Variant("bearer", _used_on(Proof.BEARER), _EXPECTED),
        Variant("with-proof", _used_on(Proof.SESSION, Proof.DEVICE), _EXPECTED),
    ),
)
