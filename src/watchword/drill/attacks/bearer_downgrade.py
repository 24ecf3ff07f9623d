"""Use a stolen token alone where a proof is asked for, or beside something that is none."""

from typing import Final

from watchword.drill.interface import Attack, AttackContext, Attempts, Need, Run, Variant
from watchword.drill.mutated_proofs import (
    INPUT_HEADER,
    SIGNATURE_HEADER,
    own_hand,
    parts_of,
    sent,
    stolen,
    victim,
    with_digest,
    written,
)
from watchword.drill.requests import with_token
from watchword.reasons import Reason
from watchword.vocabulary import Proof

_OTHER_LABEL: Final = "otherhand"
"""As long as the protocol's own label, so that nothing but the name tells them apart."""


def _alone(proof: Proof) -> Run:
    """Send the token and nothing that proves whose it is."""

    def run(context: AttackContext) -> Attempts:
        sample, credential = stolen(context, proof)
        return sent(context, sample, with_token(sample.call(), credential.token))

    return run


def _empty(proof: Proof) -> Run:
    """Send the headers of a proof with nothing in them."""

    def run(context: AttackContext) -> Attempts:
        sample, credential = stolen(context, proof)
        call = with_token(with_digest(context, sample.call()), credential.token)
        for name in (INPUT_HEADER, SIGNATURE_HEADER):
            call = call.with_header(name, "")
        return sent(context, sample, call)

    return run


def _labelled(proof: Proof, of_input: str, of_signature: str | None) -> Run:
    """Send a proof that is right but for its labels.

    :param of_signature: None for the protocol's own.
    """

    def run(context: AttackContext) -> Attempts:
        sample, credential = victim(context, proof)
        call = with_digest(context, sample.call())
        parts = parts_of(context, call, credential, proof)
        call = parts.on(call, own_hand(credential, proof))
        call = call.with_header(INPUT_HEADER, f"{of_input}={parts.described}")
        if of_signature is not None:
            signature = own_hand(credential, proof)(parts.base)
            call = call.with_header(SIGNATURE_HEADER, written(signature, of_signature))
        return sent(context, sample, call)

    return run


def _session_for_device(context: AttackContext) -> Attempts:
    """Prove by the session key, which gates hold too, what asks for the device's own key."""
    sample, credential = stolen(context, Proof.DEVICE)
    call = with_digest(context, sample.call())
    parts = parts_of(context, call, credential, Proof.SESSION)
    return sent(context, sample, parts.on(call, own_hand(credential, Proof.SESSION)))


_MISSING = frozenset({Reason.PROOF_MISSING})
_NONE = frozenset({Reason.PROOF_MALFORMED})

ATTACK = Attack(
    id="bearer-downgrade",
    title="Use a stolen token without the key that it belongs to",
    techniques=("MT-B20",),
    protections={
        "PR-B03": "live:shield.signature_enforced",
        "PR-B15": "live:tokens.bound_ratio",
    },
    needs=(Need.GENUINE, Need.SESSION_ROUTE, Need.DEVICE_ROUTE),
    sends="A genuine token by itself, with empty signature headers, and with a signature under a foreign label. Where "
    "the device's own key is asked for, also with a proof by the session key.",
    must="Each is refused: a token that is bound to a key never passes as a bearer token.",
    blind="Routes that ask for no proof accept the token alone, as their settings say.",
    variants=(
        Variant("session-token-alone", _alone(Proof.SESSION), _MISSING),
        Variant("device-token-alone", _alone(Proof.DEVICE), _MISSING),
        Variant("session-empty-headers", _empty(Proof.SESSION), _MISSING | _NONE),
        Variant("device-empty-headers", _empty(Proof.DEVICE), _MISSING | _NONE),
        Variant("session-foreign-label", _labelled(Proof.SESSION, "sig1", "sig1"), _NONE),
        Variant("device-foreign-label", _labelled(Proof.DEVICE, "sig1", "sig1"), _NONE),
        Variant("session-unmatched-label", _labelled(Proof.SESSION, _OTHER_LABEL, None), _NONE),
        Variant("device-unmatched-label", _labelled(Proof.DEVICE, _OTHER_LABEL, None), _NONE),
        Variant(
            "session-proof-on-device-route",
            _session_for_device,
            frozenset({Reason.PROOF_ALGORITHM}),
        ),
    ),
)
