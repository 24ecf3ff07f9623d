"""Pass on a proof that the app made for somebody else's host."""

from collections.abc import Callable
from dataclasses import replace

from watchword.drill.interface import Attack, Need, Run, Variant
from watchword.drill.mutated_proofs import of_another
from watchword.reasons import Reason
from watchword.vocabulary import Proof


def _other_name(_authority: str) -> str:
    """Return a host that was made to look like the API (RFC 2606 section 2)."""
    return "api.phish.example"


def _other_port(authority: str) -> str:
    """Return the same host with another port, where another program listens."""
    name = authority.rpartition(":")[0] if authority[-1:].isdigit() else ""
    return f"{name or authority}:9"


def _made_for(proof: Proof, other: Callable[[str], str]) -> Run:
    """Send the sample to the API with a proof that was made for another authority.

    The host that is sent stays the API's own: a front that many share would take another one elsewhere.
    """
    return of_another(proof, lambda covered: replace(covered, authority=other(covered.authority)))


_EXPECTED = frozenset({Reason.PROOF_SIGNATURE})

ATTACK = Attack(
    id="proof-changed-host",
    title="Pass on a proof that was made for another host",
    techniques=("MT-C04",),
    protections={"PR-B03": "live:shield.signature_enforced"},
    needs=(Need.GENUINE, Need.SESSION_ROUTE, Need.DEVICE_ROUTE),
    sends="A sample request with a proof by the right key that was made for another name, and for another port.",
    must="Each is refused: a proof counts for the host that the app meant to speak to.",
    blind="It sends no Host but the target's own, because that could reach somebody else.",
    variants=(
        Variant("session-other-name", _made_for(Proof.SESSION, _other_name), _EXPECTED),
        Variant("session-other-port", _made_for(Proof.SESSION, _other_port), _EXPECTED),
        Variant("device-other-name", _made_for(Proof.DEVICE, _other_name), _EXPECTED),
        Variant("device-other-port", _made_for(Proof.DEVICE, _other_port), _EXPECTED),
    ),
)
