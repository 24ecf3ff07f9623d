"""Enrol with genuine phones whose system isn't the maker's, or whose key wasn't made in the hardware."""

from watchword.drill.interface import Attack, Need
from watchword.drill.mutated_evidence import phone_variant
from watchword.reasons import Reason

ATTACK = Attack(
    id="phone-rooted",
    title="Enrol with a phone under somebody else's control",
    techniques=("MT-A04",),
    protections={"PR-B02": "live:attest.verdict_mix"},
    needs=(Need.SERVICE, Need.PHONES),
    sends="Genuine key attestation of phones that are unlocked, whose boot failed, that run another system, or that hold an imported key.",
    must="The service refuses each for what its secure hardware states, or grants a level that the route doesn't take.",
    blind="A phone that was rooted through a hole in its system, with its boot loader locked, shows no sign of it.",
    variants=(
        phone_variant(
            "unlocked", "unlocked-android", Reason.POLICY_BOOTLOADER_UNLOCKED, each_route=True
        ),
        phone_variant("unverified-boot", "failed-boot-android", Reason.POLICY_BOOT_UNVERIFIED),
        # A policy may take such a system at a lower level; then it is the gate that refuses.
        phone_variant(
            "self-signed-boot",
            "grapheneos-android",
            Reason.POLICY_BOOT_SELF_SIGNED,
            Reason.POLICY_BOOT_KEY,
            Reason.GATE_LEVEL,
        ),
        phone_variant("imported-key", "imported-key-android", Reason.POLICY_KEY_ORIGIN),
        phone_variant("key-that-decrypts", "no-sign-key-android", Reason.POLICY_KEY_PURPOSE),
    ),
)
