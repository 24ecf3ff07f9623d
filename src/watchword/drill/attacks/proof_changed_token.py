"""Send a proof with another token than the one that it was made for."""

from watchword.drill.enrolment import enrol_genuine, renew
from watchword.drill.interface import (
    Attack,
    AttackContext,
    Attempts,
    MissingError,
    Need,
    Run,
    Variant,
)
from watchword.drill.mutated_proofs import sent
from watchword.drill.requests import credential_of, proved, with_token
from watchword.drill.tokens import minted, new_attacker
from watchword.reasons import Reason
from watchword.vocabulary import Proof


def _renewed(context: AttackContext) -> Attempts:
    """Take a proof of one token, and send it with the token that the same device got next."""
    sample = context.sample(Proof.DEVICE)
    held = enrol_genuine(context)
    renewed = renew(context, held).held
    if renewed is None:
        raise MissingError(Need.GENUINE, "the service didn't renew it")
    call = proved(context, sample.call(), credential_of(held, context.facts.audience), sample.proof)
    token = renewed.tokens[context.facts.audience].token
    return sent(context, sample, with_token(call, token))


def _same_session(proof: Proof) -> Run:
    """Take a proof of one token, and send it with another one of the same session and key.

    The service makes a new session with each token, so that only its own key can sign two for one.
    """

    def run(context: AttackContext) -> Attempts:
        sample = context.sample(proof)
        instance = new_attacker(context)
        first, second = (minted(context, instance) for _ in range(2))
        call = proved(context, sample.call(), first, proof)
        return sent(context, sample, with_token(call, second.token))

    return run


_EXPECTED = frozenset({Reason.PROOF_SIGNATURE})

ATTACK = Attack(
    id="proof-changed-token",
    title="Send a proof with another token of the same key",
    techniques=("MT-B20", "MT-C04"),
    protections={"PR-B03": "live:shield.signature_enforced"},
    needs=(Need.GENUINE,),
    sends="A proof that was made with one token, beside another token that names the same key.",
    must="Each is refused: a proof covers the token that it was made with.",
    blind="It doesn't tell how long the first token stays good.",
    variants=(
        Variant("device-renewed", _renewed, _EXPECTED),
        Variant("device-same-session", _same_session(Proof.DEVICE), _EXPECTED),
        Variant("session-same-session", _same_session(Proof.SESSION), _EXPECTED),
    ),
)
