"""Judge how many instances enrol under one attestation certificate."""

from dataclasses import dataclass
from typing import ClassVar

from watchword.attestation.claims import UnverifiedClaims
from watchword.attestation.interface import AppRegistration
from watchword.policy.interface import Circumstances, Claim, Finding, parameter
from watchword.ports import MOST_UNDER_SERIAL
from watchword.reasons import Reason, Refusal


@dataclass(frozen=True, slots=True)
class SerialFanOut:
    """Require that at most so many instances of the app enrol under one certificate within 24 hours.

    An attestation key that leaked is genuine in all else, until the vendor revokes it.  The phones of a
    factory's batch share one too, so that the ready-made policies only tell it.
    """

    accounts_for: ClassVar[frozenset[Claim]] = frozenset({Claim.SERIAL_FAN_OUT})

    most: int = parameter(
        "most new instances of the app under one attestation certificate in 24 hours",
        least=1,
        most=MOST_UNDER_SERIAL,
    )

    def judge(
        self, claims: UnverifiedClaims, app: AppRegistration | None, circumstances: Circumstances
    ) -> Finding:
        """Compare the count, this instance included; other formats have no such certificate."""
        if claims.attester_serial is None:
            return Finding()
        if circumstances.fan_out_today is None:
            return Finding(unchecked=(Claim.SERIAL_FAN_OUT.value,))
        count = circumstances.fan_out_today + 1
        if count <= self.most:
            return Finding()
        detail = f"got {count} new instances under one certificate in 24 hours, expected at most {self.most}"
        return Finding((Refusal(Reason.POLICY_SERIAL_FAN_OUT, detail),))
