"""Judge whether an Android device runs the system that its maker signed."""

from dataclasses import dataclass

from watchword.attestation.interface import AppRegistration, BootState, UnverifiedClaims
from watchword.policy.interface import Finding
from watchword.reasons import Reason, Refusal
from watchword.vocabulary import Platform


@dataclass(frozen=True, slots=True)
class VerifiedBoot:
    """Require a root of trust from the secure hardware: boot loader locked, boot state VERIFIED.

    A system signed with the owner's own key (SELF_SIGNED, for example GrapheneOS) is refused.
    """

    def judge(self, claims: UnverifiedClaims, app: AppRegistration | None) -> Finding:  # noqa: ARG002
        """Compare the boot claims; iOS makes none."""
        if claims.platform is not Platform.ANDROID:
            return Finding()
        boot = claims.boot
        if boot is None:
            detail = "expected a root of trust in the hardware's list"
            return Finding((Refusal(Reason.POLICY_ROOT_OF_TRUST_MISSING, detail),))
        refusals = []
        if not boot.device_locked:
            refusals.append(
                Refusal(Reason.POLICY_BOOTLOADER_UNLOCKED, "got unlocked, expected locked")
            )
        if boot.state is BootState.SELF_SIGNED:
            refusals.append(
                Refusal(Reason.POLICY_BOOT_SELF_SIGNED, "got self_signed, expected verified")
            )
        elif boot.state is not BootState.VERIFIED:
            detail = f"got {boot.state.value}, expected verified"
            refusals.append(Refusal(Reason.POLICY_BOOT_UNVERIFIED, detail))
        return Finding(tuple(refusals))
