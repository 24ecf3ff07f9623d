"""Enrol with Macs under the app's own App ID: sealed, with the protection switched off, and without a name."""

from watchword.drill.interface import Attack, Need
from watchword.drill.mutated_evidence import phone_variant
from watchword.reasons import Reason

_UNSEALED = (Reason.POLICY_APPLE_PLATFORM, Reason.POLICY_KEY_ACCESS)

ATTACK = Attack(
    id="phone-mac",
    title="Enrol with a Mac in the place of a phone",
    techniques=("MT-A04", "MT-B03"),
    protections={"PR-B02": "live:attest.verdict_mix"},
    needs=(Need.SERVICE, Need.PHONES),
    sends="Genuine App Attest attestations of Macs: a sealed one, one with System Integrity Protection off, and one "
    "that leaves out its name.",
    must="The service refuses each, unless the app lists macOS. It refuses the last two in any case.",
    blind="It doesn't tell how Apple would write the certificate of a tampered Mac: nobody has published one.",
    variants=(
        phone_variant("sealed", "genuine-mac", Reason.POLICY_APPLE_PLATFORM),
        phone_variant("sip-off", "sip-off-mac", *_UNSEALED),
        phone_variant("without-a-name", "nameless-mac", *_UNSEALED),
    ),
)
