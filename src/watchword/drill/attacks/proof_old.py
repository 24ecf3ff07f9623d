"""Make proofs beyond their time, ahead of it, without a time, and with a nonce that is none."""

from typing import Final

from watchword.drill.interface import Attack, AttackContext, Attempts, Need, Run, Variant
from watchword.drill.mutated_proofs import own_hand, parts_of, quoted, sent, victim, with_digest
from watchword.drill.requests import fresh
from watchword.reasons import Reason
from watchword.vocabulary import Proof

_LIFE: Final = 60
"""Seconds that a proof is good for (protocol, section 5)."""

_MARGIN: Final = 10
"""Seconds beyond the window, so that a slow answer tells the same."""

_SHORT_NONCE: Final = 8


def _made(proof: Proof, *, late: bool) -> Run:
    """Sign the time itself wrongly: by as much as the gate's clock may be off, and as much again as it overlooks."""

    def run(context: AttackContext) -> Attempts:
        sample, credential = victim(context, proof)
        # A gate that is behind takes an old proof for a younger one, and that is no fault of its check.
        beyond = 2 * context.facts.leeway + _MARGIN
        freshness = fresh(context, offset=-(_LIFE + beyond) if late else beyond)
        call = with_digest(context, sample.call())
        parts = parts_of(context, call, credential, proof, freshness=freshness)
        return sent(context, sample, parts.on(call, own_hand(credential, proof)))

    return run


def _without(proof: Proof, parameter: str) -> Run:
    """Leave a parameter out of what is signed and sent."""

    def run(context: AttackContext) -> Attempts:
        sample, credential = victim(context, proof)
        call = with_digest(context, sample.call())
        parts = parts_of(context, call, credential, proof).with_parameter(parameter, None)
        return sent(context, sample, parts.on(call, own_hand(credential, proof)))

    return run


def _short(proof: Proof) -> Run:
    """Sign a nonce so short that others would meet it by chance."""

    def run(context: AttackContext) -> Attempts:
        sample, credential = victim(context, proof)
        call = with_digest(context, sample.call())
        nonce = fresh(context).own[:_SHORT_NONCE]
        parts = parts_of(context, call, credential, proof).with_parameter("nonce", quoted(nonce))
        return sent(context, sample, parts.on(call, own_hand(credential, proof)))

    return run


_EXPIRED = frozenset({Reason.PROOF_EXPIRED})
_EARLY = frozenset({Reason.PROOF_EARLY})
_MALFORMED = frozenset({Reason.PROOF_MALFORMED})

ATTACK = Attack(
    id="proof-old",
    title="Use a proof outside of its time",
    techniques=("MT-C05",),
    protections={"PR-B03": "live:shield.signature_enforced"},
    needs=(Need.GENUINE, Need.SESSION_ROUTE, Need.DEVICE_ROUTE),
    sends="Proofs by the right key that were made too long ago, claim to be from the future, state no time or no "
    "nonce, or have a nonce of eight characters.",
    must="Each is refused: a proof counts for a minute, and what can't be told from a replay doesn't count.",
    blind="It says nothing of the accuracy of the gate's own clock.",
    variants=(
        Variant("session-old", _made(Proof.SESSION, late=True), _EXPIRED),
        Variant("device-old", _made(Proof.DEVICE, late=True), _EXPIRED),
        Variant("session-future", _made(Proof.SESSION, late=False), _EARLY),
        Variant("device-future", _made(Proof.DEVICE, late=False), _EARLY),
        Variant("session-no-time", _without(Proof.SESSION, "created"), _MALFORMED),
        Variant("device-no-time", _without(Proof.DEVICE, "created"), _MALFORMED),
        Variant("session-no-nonce", _without(Proof.SESSION, "nonce"), _MALFORMED),
        Variant("device-no-nonce", _without(Proof.DEVICE, "nonce"), _MALFORMED),
        Variant("session-short-nonce", _short(Proof.SESSION), _MALFORMED),
        Variant("device-short-nonce", _short(Proof.DEVICE), _MALFORMED),
    ),
)
