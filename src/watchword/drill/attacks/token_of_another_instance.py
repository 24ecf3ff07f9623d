"""Use a stolen token with proofs by the keys of the thief's own genuine phone."""

from watchword.drill.enrolment import enrol_genuine
from watchword.drill.interface import Attack, AttackContext, Attempts, Need, Run, Variant
from watchword.drill.mutated_proofs import own_hand, parts_of, quoted, sent, stolen, with_digest
from watchword.drill.requests import credential_of
from watchword.reasons import Reason
from watchword.vocabulary import Proof


def _stolen(proof: Proof, *, own_name: bool) -> Run:
    """Send the victim's token with a proof by the thief's key.

    :param own_name: whether the proof names the thief's key, otherwise the one that the token names.
    """

    def run(context: AttackContext) -> Attempts:
        sample, taken = stolen(context, proof)
        thief = credential_of(enrol_genuine(context), context.facts.audience)
        call = with_digest(context, sample.call())
        parts = parts_of(context, call, taken, proof)
        if own_name:
            own = thief.own
            name = own.session_id if proof is Proof.SESSION else own.thumbprint
            parts = parts.with_parameter("keyid", quoted(name))
        return sent(context, sample, parts.on(call, own_hand(thief, proof)))

    return run


_KEY = frozenset({Reason.PROOF_KEY})
_SIGNATURE = frozenset({Reason.PROOF_SIGNATURE})

ATTACK = Attack(
    id="token-of-another-instance",
    title="Use a stolen token from one's own genuine phone",
    techniques=("MT-B20",),
    protections={
        "PR-B03": "live:shield.signature_enforced",
        "PR-B15": "live:tokens.bound_ratio",
    },
    needs=(Need.SERVICE, Need.GENUINE),
    sends="A genuine token of one instance with a proof by the keys of another genuine one, under the name of either key.",
    must="Each is refused: the token names the key that its proofs are made with.",
    blind="It doesn't tell what malware can do on the victim's own phone, where the key is.",
    variants=(
        Variant("session-thiefs-name", _stolen(Proof.SESSION, own_name=True), _KEY),
        Variant("session-victims-name", _stolen(Proof.SESSION, own_name=False), _SIGNATURE),
        Variant("device-thiefs-name", _stolen(Proof.DEVICE, own_name=True), _KEY),
        Variant("device-victims-name", _stolen(Proof.DEVICE, own_name=False), _SIGNATURE),
    ),
)
