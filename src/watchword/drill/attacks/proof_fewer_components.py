"""Make proofs that cover less than a request: that say so, that don't say so, and that only say so."""

from collections.abc import Callable, Iterator
from typing import Final

from watchword.drill.interface import Attack, AttackContext, Attempts, Need, Run, Variant
from watchword.drill.mutated_proofs import (
    DIGEST,
    TOKEN,
    Parts,
    own_hand,
    parts_of,
    sent,
    victim,
    with_digest,
)
from watchword.reasons import Reason
from watchword.vocabulary import Proof

_COMPONENTS: Final = {
    "token": TOKEN,
    "method": "@method",
    "host": "@authority",
    "path": "@path",
    "query": "@query",
    "body": DIGEST,
}
"""What a proof covers, by what stands for it in the names of variants."""


def _mutated(proof: Proof, mutate: Callable[[Parts], Parts], *, body: bool | None = None) -> Run:
    """Send a proof by the right key that covers less."""

    def run(context: AttackContext) -> Attempts:
        sample, credential = victim(context, proof, body=body)
        call = with_digest(context, sample.call())
        parts = mutate(parts_of(context, call, credential, proof))
        return sent(context, sample, parts.on(call, own_hand(credential, proof)))

    return run


def _variants(proof: Proof) -> Iterator[Variant]:
    """Yield the variants of a kind of proof: two for each component, and two that name too little or too much."""
    for word, component in _COMPONENTS.items():
        body = True if component == DIGEST else None

        def without(parts: Parts, component: str = component) -> Parts:
            return parts.without(component)

        def unsigned(parts: Parts, component: str = component) -> Parts:
            return parts.unsigned(component)

        yield Variant(
            f"{proof}-without-{word}", _mutated(proof, without, body=body), _COMPONENTS_WRONG
        )
        yield Variant(f"{proof}-unsigned-{word}", _mutated(proof, unsigned, body=body), _SIGNATURE)
    yield Variant(f"{proof}-names-nothing", _mutated(proof, Parts.naming), _COMPONENTS_WRONG)


_COMPONENTS_WRONG = frozenset({Reason.PROOF_COMPONENTS})
_SIGNATURE = frozenset({Reason.PROOF_SIGNATURE})

ATTACK = Attack(
    id="proof-fewer-components",
    title="Have a proof taken that covers less than the request",
    techniques=("MT-C04",),
    protections={"PR-B03": "live:shield.signature_enforced"},
    needs=(Need.GENUINE, Need.SESSION_ROUTE, Need.DEVICE_ROUTE),
    sends="Proofs by the right key that leave out the token, the method, the host, the path, the query or the body's "
    "digest: openly, or behind a list that names it all the same. Then a complete proof behind a list that names "
    "nothing.",
    must="Each is refused: a proof covers all components, and says so.",
    blind="It tries no component that the protocol doesn't know.",
    variants=tuple(each for proof in (Proof.SESSION, Proof.DEVICE) for each in _variants(proof)),
)
