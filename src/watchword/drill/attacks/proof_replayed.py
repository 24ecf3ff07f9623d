"""Send a caught request once more: byte for byte, with other headers, later, at one moment, with its nonce alone."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from watchword.client.proofs import Freshness
from watchword.drill.interface import (
    Attack,
    AttackContext,
    Attempt,
    Attempts,
    Need,
    Run,
    Sample,
    Variant,
)
from watchword.drill.judgements import described, is_of_the_api
from watchword.drill.mutated_proofs import (
    INPUT_HEADER,
    LABEL,
    SIGNATURE_HEADER,
    own_hand,
    parts_of,
    victim,
    with_digest,
)
from watchword.drill.requests import Credential, fresh, proved
from watchword.drill.wire import Call
from watchword.reasons import Reason
from watchword.vocabulary import Proof

TOGETHER = 8
"""Copies that are sent at one moment; exactly one may be served."""

_TRIES: Final = 3
"""Times that a genuine request is sent until it is served."""

_UNSERVED: Final = "the genuine request before it wasn't served"

_LATER_SECONDS: Final = 0.6
"""Well within the life of a proof, and most often in another second than it was made."""


def _caught(
    context: AttackContext, sample: Sample, credential: Credential, proof: Proof
) -> tuple[Call, str]:
    """Send a genuine request and return it, and why to send it again shows nothing; empty where it was served.

    What a busy gate didn't take is no replay the second time: it is tried anew.
    """
    tried = 0
    while True:
        call = proved(context, sample.call(), credential, proof)
        answer = context.wire.send(call)
        tried += 1
        if is_of_the_api(answer):
            return call, ""
        if tried == _TRIES:
            return call, f"{_UNSERVED}: {described(answer)}"


def _again(proof: Proof, dress: Callable[[Call], Call] = lambda call: call) -> Run:
    def run(context: AttackContext) -> Attempts:
        sample, credential = victim(context, proof)
        call, unsure = _caught(context, sample, credential, proof)
        return [Attempt(sample, context.wire.send(dress(call)), unsure=unsure)]

    return run


def _reordered(call: Call) -> Call:
    """Turn the headers round, and write their names in capitals."""
    return replace(
        call, headers=tuple((name.upper(), value) for name, value in reversed(call.headers))
    )


def _other_case(call: Call) -> Call:
    """Write the label in capitals, which the proof doesn't cover."""
    for name in (INPUT_HEADER, SIGNATURE_HEADER):
        value = call.header(name) or ""
        call = call.with_header(name, LABEL.upper() + value.removeprefix(LABEL))
    return call


def _later(proof: Proof) -> Run:
    """Send it again a moment later, while it would still count."""

    def run(context: AttackContext) -> Attempts:
        sample, credential = victim(context, proof)
        call, unsure = _caught(context, sample, credential, proof)
        context.wait(_LATER_SECONDS)
        return [Attempt(sample, context.wire.send(call), unsure=unsure)]

    return run


def _nonce_again(proof: Proof) -> Run:
    """Have another request signed with a nonce that was used, and another time."""

    def run(context: AttackContext) -> Attempts:
        sample, credential = victim(context, proof)
        first = fresh(context)
        calls = []
        for freshness in (first, Freshness(first.created - 1, first.own)):
            call = with_digest(context, sample.call())
            parts = parts_of(context, call, credential, proof, freshness=freshness)
            calls.append(parts.on(call, own_hand(credential, proof)))
        first_answer = context.wire.send(calls[0])
        unsure = "" if is_of_the_api(first_answer) else f"{_UNSERVED}: {described(first_answer)}"
        return [Attempt(sample, context.wire.send(calls[1]), unsure=unsure)]

    return run


def _together(proof: Proof) -> Run:
    def run(context: AttackContext) -> Attempts:
        sample, credential = victim(context, proof)
        call = proved(context, sample.call(), credential, proof)
        answers = context.wire.send_together([call] * TOGETHER)
        refused = [each for each in answers if not is_of_the_api(each)]
        served = len(answers) - len(refused)
        # The first of them is genuine: only what is served beside it is the thief's.
        return [Attempt(sample, (refused or answers)[0], served=(max(0, served - 1), TOGETHER - 1))]

    return run


_EXPECTED = frozenset({Reason.PROOF_REPLAYED})
_LABELLED = _EXPECTED | {Reason.PROOF_MALFORMED}

ATTACK = Attack(
    id="proof-replayed",
    title="Send a caught request again",
    techniques=("MT-C05",),
    protections={"PR-B03": "live:shield.signature_enforced"},
    needs=(Need.GENUINE, Need.SESSION_ROUTE, Need.DEVICE_ROUTE),
    sends="A genuine request with its token and proof, once more: unchanged, with its headers reversed, with the label "
    "in capitals, a moment later, and eight times at once. Then a second request with the nonce of the first.",
    must="Exactly one is served.",
    blind="If gates don't share what they saw, it tests only the gate that it reaches.",
    variants=(
        Variant("session-again", _again(Proof.SESSION), _EXPECTED, each_route=True),
        Variant("device-again", _again(Proof.DEVICE), _EXPECTED, each_route=True),
        Variant("session-reordered", _again(Proof.SESSION, _reordered), _EXPECTED),
        Variant("device-reordered", _again(Proof.DEVICE, _reordered), _EXPECTED),
        Variant("session-other-case", _again(Proof.SESSION, _other_case), _LABELLED),
        Variant("device-other-case", _again(Proof.DEVICE, _other_case), _LABELLED),
        Variant("session-later", _later(Proof.SESSION), _EXPECTED),
        Variant("device-later", _later(Proof.DEVICE), _EXPECTED),
        Variant("session-nonce-again", _nonce_again(Proof.SESSION), _EXPECTED),
        Variant("device-nonce-again", _nonce_again(Proof.DEVICE), _EXPECTED),
        Variant("session-together", _together(Proof.SESSION), _EXPECTED),
        Variant("device-together", _together(Proof.DEVICE), _EXPECTED),
    ),
)
