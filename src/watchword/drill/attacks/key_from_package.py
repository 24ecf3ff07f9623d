"""Take the third party's key out of the app, or ask in its place with all that is in there."""

from watchword.drill.interface import (
    Arena,
    Attack,
    Attempt,
    Attempts,
    MissingError,
    Need,
    Sample,
    Variant,
)
from watchword.drill.requests import credential_of, with_token
from watchword.drill.third_party_keys import (
    LENT_EVIDENCE,
    borrowed_value,
    heard,
    holds,
    lent_samples,
)
from watchword.drill.wire import Answer
from watchword.reasons import Reason
from watchword.vocabulary import Proof


def _said(sample: Sample) -> bytes:
    """Return what every copy of the app has for a sample."""
    call = sample.call()
    return heard(Answer(0, call.headers, call.target.encode() + b"\n" + call.body))


def _carried(arena: Arena) -> Attempts:
    """Look for the key in all that every copy of the app sends, and ask with that."""
    attempts = []
    for sample, lending in lent_samples(arena):
        value = borrowed_value(arena, lending)
        found = any(holds(value, _said(each)) for each in arena.samples)
        told = f"what every copy of the app sends holds the key {lending.rule.secret}"
        attempts.append(Attempt(sample, arena.wire.send(sample.call()), leaked=told * found))
    return attempts


def _script(arena: Arena) -> Attempts:
    return [Attempt(each, arena.wire.send(each.call())) for each, _ in lent_samples(arena)]


def _stolen(arena: Arena) -> Attempts:
    """Ask with a genuine token that was read off a phone, and without its key."""
    attempts = []
    for sample, _ in lent_samples(arena):
        if sample.proof is not Proof.BEARER:
            token = credential_of(arena.genuine(), arena.facts.audience).token
            attempts.append(Attempt(sample, arena.wire.send(with_token(sample.call(), token))))
    if not attempts:
        raise MissingError(Need.LENT_ROUTE, "one that asks for a proof")
    return attempts


_MISSING = frozenset({Reason.TOKEN_MISSING})

ATTACK = Attack(
    id="key-from-package",
    title="Use a third party with what is in the package",
    techniques=("MT-A02", "MT-B18"),
    protections={"PR-B06": LENT_EVIDENCE},
    needs=(),
    sends="Requests to each route that lends a key, with all that every copy of the app sends and nothing that a device vouches for; with a "
    "token whose key is missing.",
    must="None reaches the third party, and nothing that the app sends holds the key.",
    blind="It sees what the samples send, not the package: a scan reads that (watchword scan).",
    variants=(
        Variant("key-in-the-samples", _carried, _MISSING),
        Variant("script", _script, _MISSING),
        Variant("stolen-token", _stolen, frozenset({Reason.PROOF_MISSING})),
    ),
)
