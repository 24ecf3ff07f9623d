"""Take the third party's key out of the app, or ask in its place with all that is in there."""

from watchword.drill.interface import (
    Attack,
    AttackContext,
    Attempt,
    Attempts,
    MissingError,
    Need,
    Sample,
    Variant,
)
from watchword.drill.requests import credential_of, with_token
from watchword.drill.third_party_keys import (
    INJECTED_EVIDENCE,
    borrowed_value,
    heard,
    holds,
    injected_samples,
)
from watchword.drill.wire import Answer
from watchword.reasons import Reason
from watchword.vocabulary import Proof


def _said(sample: Sample) -> bytes:
    """Return what every copy of the app has for a sample."""
    call = sample.call()
    return heard(Answer(0, call.headers, call.target.encode() + b"\n" + call.body))


def _carried(context: AttackContext) -> Attempts:
    """Look for the key in all that every copy of the app sends, and ask with that."""
    attempts = []
    for sample, injection in injected_samples(context):
        value = borrowed_value(context, injection)
        found = any(holds(value, _said(each)) for each in context.samples)
        told = f"what every copy of the app sends holds the key {injection.rule.secret}"
        attempts.append(Attempt(sample, context.wire.send(sample.call()), leaked=told * found))
    return attempts


def _script(context: AttackContext) -> Attempts:
    return [Attempt(each, context.wire.send(each.call())) for each, _ in injected_samples(context)]


def _stolen(context: AttackContext) -> Attempts:
    """Ask with a genuine token that was read off a phone, and without its key."""
    attempts = []
    for sample, _ in injected_samples(context):
        if sample.proof is not Proof.BEARER:
            token = credential_of(context.genuine(), context.facts.audience).token
            attempts.append(Attempt(sample, context.wire.send(with_token(sample.call(), token))))
    if not attempts:
        raise MissingError(Need.INJECTED_ROUTE, "one that asks for a proof")
    return attempts


_MISSING = frozenset({Reason.TOKEN_MISSING})

ATTACK = Attack(
    id="key-from-package",
    title="Use a third party with what is in the package",
    techniques=("MT-A02", "MT-B18"),
    protections={"PR-B06": INJECTED_EVIDENCE},
    needs=(),
    sends="Requests to each route that injects a key, with all that every copy of the app sends and nothing that a "
    "device vouches for. Then the same with a token whose key is missing.",
    must="None reaches the third party, and nothing that the app sends holds the key.",
    blind="It sees what the samples send, not the package: a scan reads that (watchword scan).",
    variants=(
        Variant("key-in-the-samples", _carried, _MISSING),
        Variant("script", _script, _MISSING),
        Variant("stolen-token", _stolen, frozenset({Reason.PROOF_MISSING})),
    ),
)
