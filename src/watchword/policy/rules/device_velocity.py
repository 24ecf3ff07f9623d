"""Judge how many instances one device enrols."""

from dataclasses import dataclass
from typing import ClassVar

from watchword.attestation.claims import UnverifiedClaims
from watchword.attestation.interface import AppRegistration
from watchword.policy.interface import Circumstances, Claim, Finding, parameter
from watchword.reasons import Reason, Refusal


@dataclass(frozen=True, slots=True)
class DeviceVelocity:
    """Require that a device enrols at most so many new instances within 24 hours.

    A phone that brokers attestations for scripts is genuine in all else.  Where devices can't be
    told apart, nothing is counted and the verdict lists it as unchecked.
    """

    accounts_for: ClassVar[frozenset[Claim]] = frozenset({Claim.DEVICE_VELOCITY})

    most: int = parameter("most new instances of a device in 24 hours", least=1, most=1_000_000)

    def judge(
        self, claims: UnverifiedClaims, app: AppRegistration | None, circumstances: Circumstances
    ) -> Finding:
        """Compare the count, this instance included."""
        if circumstances.enrolled_today is None:
            return Finding(unchecked=("device_velocity",))
        count = circumstances.enrolled_today + 1
        if count <= self.most:
            return Finding()
        detail = f"got {count} new instances in 24 hours, expected at most {self.most}"
        return Finding((Refusal(Reason.POLICY_DEVICE_VELOCITY, detail),))
