"""Send another body than the one that was proved: with its old digest, with a new one, with none, with two."""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import replace

from watchword.drill.interface import Attack, AttackContext, Attempts, Need, Run, Variant
from watchword.drill.mutated_proofs import (
    DIGEST,
    DIGEST_HEADER,
    own_hand,
    parts_of,
    sent,
    victim,
    with_digest,
)
from watchword.drill.requests import covered_by
from watchword.drill.wire import Call
from watchword.reasons import Reason
from watchword.vocabulary import Proof


def _caught(call: Call) -> Call:
    """Return the request that was proved: the same as is sent, but for its body."""
    return replace(call, body=call.body + b" ")


def _old_digest(proof: Proof) -> Run:
    """Change the body alone."""

    def run(context: AttackContext) -> Attempts:
        sample, credential = victim(context, proof, body=True)
        caught = with_digest(context, _caught(sample.call()))
        parts = parts_of(context, caught, credential, proof)
        changed = replace(caught, body=sample.body)
        return sent(context, sample, parts.on(changed, own_hand(credential, proof)))

    return run


def _new_digest(proof: Proof) -> Run:
    """Change the body, and the header that says its digest."""

    def run(context: AttackContext) -> Attempts:
        sample, credential = victim(context, proof, body=True)
        caught = covered_by(context, _caught(sample.call()))
        call = with_digest(context, sample.call())
        parts = parts_of(context, call, credential, proof, covered=caught)
        return sent(context, sample, parts.on(call, own_hand(credential, proof)))

    return run


def _no_digest(proof: Proof) -> Run:
    """Prove a request that has no body, and send one with it."""

    def run(context: AttackContext) -> Attempts:
        sample, credential = victim(context, proof, body=True)
        call = sample.call()
        parts = parts_of(context, call, credential, proof).without(DIGEST)
        return sent(context, sample, parts.on(call, own_hand(credential, proof)))

    return run


def _digests(proof: Proof, digests: Callable[[bytes], str]) -> Run:
    """Prove the body by digests that are right, and aren't the one that the protocol knows."""

    def run(context: AttackContext) -> Attempts:
        sample, credential = victim(context, proof, body=True)
        call = sample.call().with_header(DIGEST_HEADER, digests(sample.body))
        parts = parts_of(context, call, credential, proof)
        return sent(context, sample, parts.on(call, own_hand(credential, proof)))

    return run


def _digest(algorithm: str, digest: bytes) -> str:
    return f"{algorithm}=:{base64.b64encode(digest).decode()}:"


def _another_alone(body: bytes) -> str:
    return _digest("sha-512", hashlib.sha512(body).digest())


def _another_behind(body: bytes) -> str:
    """Add one that an intermediary may look at in place of the first; of another body, as it would be."""
    other = hashlib.md5(body + b" ", usedforsecurity=False).digest()
    return f"{_digest('sha-256', hashlib.sha256(body).digest())}, {_digest('md5', other)}"


_BODY = frozenset({Reason.PROOF_BODY})
_SIGNATURE = frozenset({Reason.PROOF_SIGNATURE})
_DIGEST = frozenset({Reason.PROOF_DIGEST})

ATTACK = Attack(
    id="proof-changed-body",
    title="Change the body of a proved request",
    techniques=("MT-C04",),
    protections={"PR-B03": "live:shield.signature_enforced"},
    needs=(Need.GENUINE, Need.BODY_ROUTE),
    sends="A body that differs from the proved one: with the proved digest, with its own, with a proof that covers "
    "none, with a digest of another algorithm, and with two digests.",
    must="Each is refused: the body that arrives must be the one that the proof covers, by the one accepted digest.",
    blind="It says nothing of what the API does with a correct body.",
    variants=(
        Variant("session-old-digest", _old_digest(Proof.SESSION), _BODY),
        Variant("device-old-digest", _old_digest(Proof.DEVICE), _BODY),
        Variant("session-new-digest", _new_digest(Proof.SESSION), _SIGNATURE),
        Variant("device-new-digest", _new_digest(Proof.DEVICE), _SIGNATURE),
        Variant("session-no-digest", _no_digest(Proof.SESSION), _DIGEST),
        Variant("device-no-digest", _no_digest(Proof.DEVICE), _DIGEST),
        Variant("session-other-digest", _digests(Proof.SESSION, _another_alone), _DIGEST),
        Variant("device-other-digest", _digests(Proof.DEVICE, _another_alone), _DIGEST),
        Variant("session-two-digests", _digests(Proof.SESSION, _another_behind), _DIGEST),
        Variant("device-two-digests", _digests(Proof.DEVICE, _another_behind), _DIGEST),
    ),
)
