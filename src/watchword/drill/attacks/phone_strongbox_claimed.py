"""Enrol with a leaked key of a TEE that says it lives in a StrongBox, where the policy wants one."""

from watchword.drill.enrolment import enrol, exploited
from watchword.drill.interface import Attack, AttackContext, Attempts, MissingError, Need, Variant
from watchword.reasons import Reason


def _claimed(context: AttackContext) -> Attempts:
    """Enrol with a StrongBox that only the key description speaks of."""
    if not context.facts.own_chip:
        raise MissingError(Need.OWN_CHIP_RULE, "hardware_security with strongbox: true")
    return [exploited(context, enrol(context, context.phone("claimed-strongbox-android")))]


ATTACK = Attack(
    id="phone-strongbox-claimed",
    title="Enrol with a StrongBox that is only claimed",
    techniques=("MT-B03",),
    protections={"PR-B01": "live:shield.rejected_unattested"},
    needs=(Need.SERVICE, Need.PHONES),
    sends="Key attestation by a TEE's key, whose owner wrote StrongBox into what it signs.",
    must="The service refuses it: the vendor's certificate names no StrongBox.",
    blind="If the policy wants no StrongBox, such a phone passes as what its certificate says: a TEE.",
    variants=(Variant("by-a-tee", _claimed, frozenset({Reason.POLICY_SECURITY_LEVEL})),),
)
