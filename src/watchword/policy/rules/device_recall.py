"""Judge the marks that you set on a device earlier, through Google."""

from dataclasses import dataclass
from typing import ClassVar

from watchword.attestation.claims import UnverifiedClaims
from watchword.attestation.interface import AppRegistration
from watchword.policy.interface import (
    RECALL_BITS,
    Circumstances,
    Claim,
    Finding,
    listed,
    parameter,
    without_verdict,
    without_verdicts,
)
from watchword.reasons import Reason, Refusal


@dataclass(frozen=True, slots=True)
class DeviceRecall:
    """Require that certain marks aren't set; they outlive a reset of the device.

    What each mark means is yours: "abused a trial", "banned for fraud".
    """

    accounts_for: ClassVar[frozenset[Claim]] = frozenset({Claim.DEVICE_RECALL})

    none_of: frozenset[str] = parameter(
        "marks that must not be set", default=frozenset(RECALL_BITS), words=RECALL_BITS
    )
    when_stated: bool = parameter("judge only where Google gives this verdict", default=False)

    def judge(
        self, claims: UnverifiedClaims, app: AppRegistration | None, circumstances: Circumstances
    ) -> Finding:
        """Compare the marks."""
        if claims.play is None:
            return without_verdicts(Reason.POLICY_DEVICE_RECALL)
        got = claims.play.recalled
        if got is None:
            return without_verdict(
                Reason.POLICY_DEVICE_RECALL, "device_recall", when_stated=self.when_stated
            )
        if not got & self.none_of:
            return Finding()
        detail = f"got {listed(got & self.none_of, RECALL_BITS)}, expected none of them set"
        return Finding((Refusal(Reason.POLICY_DEVICE_RECALL, detail),))
