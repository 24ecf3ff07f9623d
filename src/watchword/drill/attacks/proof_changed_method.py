"""Send a proved request with another method than the proved one."""

from dataclasses import replace

from watchword.client.proofs import Covered
from watchword.drill.interface import Attack, Need, Run, Variant
from watchword.drill.mutated_proofs import of_another
from watchword.reasons import Reason
from watchword.vocabulary import Proof


def _proved_for(proof: Proof, *methods: str) -> Run:
    """Take a proof of the first of these methods that isn't the sample's own, and send the sample."""

    def other(covered: Covered) -> Covered:
        return replace(covered, method=next(each for each in methods if each != covered.method))

    return of_another(proof, other)


_EXPECTED = frozenset({Reason.PROOF_SIGNATURE})

ATTACK = Attack(
    id="proof-changed-method",
    title="Change the method of a proved request",
    techniques=("MT-C04",),
    protections={"PR-B03": "live:shield.signature_enforced"},
    needs=(Need.GENUINE, Need.SESSION_ROUTE, Need.DEVICE_ROUTE),
    sends="A sample request with a proof that was made for the same target and body, and for another method.",
    must="Each is refused: a proof to read something doesn't allow writing it.",
    blind="It doesn't tell whether the API takes a method from a header of its own.",
    variants=(
        Variant("session-of-reading", _proved_for(Proof.SESSION, "GET", "HEAD"), _EXPECTED),
        Variant("session-of-writing", _proved_for(Proof.SESSION, "PUT", "PATCH"), _EXPECTED),
        Variant("device-of-reading", _proved_for(Proof.DEVICE, "GET", "HEAD"), _EXPECTED),
        Variant("device-of-writing", _proved_for(Proof.DEVICE, "PUT", "PATCH"), _EXPECTED),
    ),
)
