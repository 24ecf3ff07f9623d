"""Enrol with a phone that states security patches of a time to come."""

from watchword.drill.interface import Attack, Need
from watchword.drill.mutated_evidence import phone_variant
from watchword.reasons import Reason

ATTACK = Attack(
    id="phone-false-patch",
    title="Enrol with a made-up patch level",
    techniques=("MT-A04",),
    protections={"PR-B02": "live:attest.verdict_mix"},
    needs=(Need.SERVICE, Need.PHONES),
    sends="Attestation by a phone whose system claims a security patch of next year.",
    must="The service refuses it: nobody has written these patches yet.",
    blind="Your policy says how old patches may be; one that names no age accepts phones with old ones.",
    variants=(phone_variant("next-year", "future-patch-android", Reason.POLICY_PATCH_LEVEL),),
)
