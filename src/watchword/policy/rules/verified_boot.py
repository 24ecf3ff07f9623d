"""Judge whether an Android device runs the system that its maker signed, or another one you trust."""

from dataclasses import dataclass
from typing import ClassVar

from watchword.attestation.claims import BootClaims, BootState, UnverifiedClaims
from watchword.attestation.interface import AppRegistration
from watchword.policy.interface import Circumstances, Claim, Finding, parameter
from watchword.reasons import Reason, Refusal
from watchword.vocabulary import Platform


@dataclass(frozen=True, slots=True)
class VerifiedBoot:
    """Require a root of trust from the secure hardware: boot loader locked, boot state VERIFIED.

    A system signed with another key than the maker's (SELF_SIGNED, for example GrapheneOS) is
    refused unless its key is listed, or every one is let pass.  An unlocked boot loader never is.
    """

    accounts_for: ClassVar[frozenset[Claim]] = frozenset({Claim.BOOT})

    boot_keys: frozenset[bytes] = parameter(
        "verifiedBootKey of other systems that you trust, in hex", default=frozenset()
    )
    any_boot_key: bool = parameter("let every self-signed system pass", default=False)

    def judge(
        self, claims: UnverifiedClaims, app: AppRegistration | None, circumstances: Circumstances
    ) -> Finding:
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
            refusals += self._self_signed(boot)
        elif boot.state is not BootState.VERIFIED:
            detail = f"got {boot.state.value}, expected verified"
            refusals.append(Refusal(Reason.POLICY_BOOT_UNVERIFIED, detail))
        return Finding(tuple(refusals))

    def _self_signed(self, boot: BootClaims) -> list[Refusal]:
        if self.any_boot_key or boot.verified_boot_key in self.boot_keys:
            return []
        if not self.boot_keys:
            return [Refusal(Reason.POLICY_BOOT_SELF_SIGNED, "got self_signed, expected verified")]
        # The key names a system and a model, not a device; whoever adds it to the list needs it.
        got = boot.verified_boot_key[:32].hex() or "no key"
        return [
            Refusal(Reason.POLICY_BOOT_KEY, f"got {got}, expected one of {len(self.boot_keys)}")
        ]
