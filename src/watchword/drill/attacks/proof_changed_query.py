"""Send a proved request with another query than the proved one."""

from dataclasses import replace
from typing import Final

from watchword.drill.interface import Attack, AttackContext, Attempts, Need, Run, Variant
from watchword.drill.mutated_proofs import of_another, sent, victim
from watchword.drill.requests import proved
from watchword.reasons import Reason
from watchword.vocabulary import Proof

_MORE: Final = "drill=1"
"""A parameter that no API knows, so that each serves what it served without it."""


def _with_more(query: str) -> str:
    return f"{query}&{_MORE}" if query else _MORE


def _added(proof: Proof) -> Run:
    """Add a parameter to what was proved."""

    def run(context: AttackContext) -> Attempts:
        sample, credential = victim(context, proof)
        call = proved(context, sample.call(), credential, proof)
        target = f"{call.path}?{_with_more(call.query)}"
        return sent(context, sample, replace(call, target=target))

    return run


def _removed(proof: Proof) -> Run:
    """Take a parameter away from what was proved."""
    return of_another(proof, lambda covered: replace(covered, query=_with_more(covered.query)))


_EXPECTED = frozenset({Reason.PROOF_SIGNATURE})

ATTACK = Attack(
    id="proof-changed-query",
    title="Change the query of a proved request",
    techniques=("MT-C04",),
    protections={"PR-B03": "live:shield.signature_enforced"},
    needs=(Need.GENUINE, Need.SESSION_ROUTE, Need.DEVICE_ROUTE),
    sends="A sample request with one parameter more than was proved, and with one less.",
    must="Each is refused: a proof counts for the query as it was written.",
    blind="If a device route takes DPoP too, that covers no query, and this says nothing of it.",
    variants=(
        Variant("session-added", _added(Proof.SESSION), _EXPECTED),
        Variant("session-removed", _removed(Proof.SESSION), _EXPECTED),
        Variant("device-added", _added(Proof.DEVICE), _EXPECTED),
        Variant("device-removed", _removed(Proof.DEVICE), _EXPECTED),
    ),
)
