"""Judge which labels Google gives a device."""

from dataclasses import dataclass
from typing import ClassVar

from watchword.attestation.claims import UnverifiedClaims
from watchword.attestation.interface import AppRegistration
from watchword.policy.interface import (
    DEVICE_LABELS,
    MEETS_DEVICE_INTEGRITY,
    Circumstances,
    Claim,
    Finding,
    listed,
    parameter,
    without_verdicts,
)
from watchword.reasons import Reason, Refusal


@dataclass(frozen=True, slots=True)
class DeviceIntegrity:
    """Require labels of Google's verdict on the device: all of some, and any of others.

    Since May 2025, on Android 13 and later, MEETS_DEVICE_INTEGRITY stands on hardware-backed verified
    boot, and MEETS_STRONG_INTEGRITY on security patches of the last year too.
    MEETS_BASIC_INTEGRITY is given to devices with an unlocked boot loader.
    """

    accounts_for: ClassVar[frozenset[Claim]] = frozenset({Claim.DEVICE_INTEGRITY})

    all_of: frozenset[str] = parameter(
        "labels that must all be there",
        default=frozenset({MEETS_DEVICE_INTEGRITY}),
        words=DEVICE_LABELS,
    )
    any_of: frozenset[str] = parameter(
        "labels one of which must be there; none for no such demand",
        default=frozenset(),
        words=DEVICE_LABELS,
    )

    def __post_init__(self) -> None:
        """Refuse to be made without a label, since every device would pass."""
        if not self.all_of and not self.any_of:
            raise ValueError("expected at least one label")

    def judge(
        self, claims: UnverifiedClaims, app: AppRegistration | None, circumstances: Circumstances
    ) -> Finding:
        """Compare the labels."""
        if claims.play is None:
            return without_verdicts(Reason.POLICY_DEVICE_INTEGRITY)
        got = claims.play.device_labels
        if self.all_of <= got and (not self.any_of or self.any_of & got):
            return Finding()
        wanted = [listed(self.all_of, DEVICE_LABELS)] if self.all_of else []
        wanted += [f"one of {listed(self.any_of, DEVICE_LABELS)}"] if self.any_of else []
        detail = f"got {listed(got, DEVICE_LABELS)}, expected {' and '.join(wanted)}"
        return Finding((Refusal(Reason.POLICY_DEVICE_INTEGRITY, detail),))
