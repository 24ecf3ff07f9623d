"""Enrol with what no secure hardware vouches for: an emulator, software that attests, a key in software."""

from watchword.drill.interface import Attack, Need
from watchword.drill.mutated_evidence import phone_variant
from watchword.reasons import Reason

_ROOT = Reason.ATTESTATION_ANCHOR_SOFTWARE

ATTACK = Attack(
    id="phone-emulator",
    title="Enrol with an emulator",
    techniques=("MT-A05",),
    protections={"PR-B02": "live:attest.verdict_mix"},
    needs=(Need.SERVICE, Need.PHONES),
    sends="Key attestation that ends at the root for software, and genuine attestation of a key that lives in software.",
    must="The service refuses each: no hardware vouches for it.",
    blind="It doesn't tell a shelf of genuine phones from as many users.",
    variants=(
        phone_variant("emulator", "emulator", _ROOT),
        phone_variant("software-attests", "software-attestation-android", _ROOT),
        phone_variant("key-in-software", "software-key-android", Reason.POLICY_SECURITY_LEVEL),
    ),
)
