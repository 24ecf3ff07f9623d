"""Use a stolen token by itself on every route."""

from watchword.drill.interface import (
    AbsentError,
    Attack,
    AttackContext,
    Attempt,
    Attempts,
    MissingError,
    Need,
    Variant,
)
from watchword.drill.mutated_proofs import stolen
from watchword.drill.requests import with_token
from watchword.reasons import Reason
from watchword.vocabulary import Proof


def _alone(context: AttackContext) -> Attempts:
    """Send the token and nothing that proves whose it is.

    :raises AbsentError: on a route that asks for nothing more though an asset lives there: nothing is there to stop a thief.
    """
    sample = context.sample()
    if sample.proof is not Proof.BEARER:
        _, credential = stolen(context, sample.proof)
        return [Attempt(sample, context.wire.send(with_token(sample.call(), credential.token)))]
    if sample.assets:
        raise AbsentError(Need.PROOF, f"{sample.name}, where {', '.join(sample.assets)} lives")
    raise MissingError(Need.PROOF, f"{sample.name}, where no asset of the plan lives")


ATTACK = Attack(
    id="token-alone",
    title="Use a stolen token on every route without the key behind it",
    techniques=("MT-B20",),
    protections={
        "PR-B03": "live:shield.signature_enforced",
        "PR-B15": "live:tokens.bound_ratio",
    },
    needs=(Need.GENUINE,),
    sends="A genuine token by itself, once on each route that a sample request falls under.",
    must="Each is refused. A route with `proof: bearer` where an asset of the plan lives can't refuse it, and is "
    "reported as absent.",
    blind="It says nothing of routes with `proof: bearer` where no asset of the plan lives.",
    variants=(
        Variant("on-each-route", _alone, frozenset({Reason.PROOF_MISSING}), each_route=True),
    ),
)
