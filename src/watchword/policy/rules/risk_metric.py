"""Judge how many attestations Apple counts on a device."""

from dataclasses import dataclass
from typing import ClassVar

from watchword.attestation.claims import UnverifiedClaims
from watchword.attestation.interface import AppRegistration
from watchword.policy.interface import Circumstances, Claim, Finding, Standing, parameter
from watchword.reasons import Reason, Refusal
from watchword.vocabulary import Platform


@dataclass(frozen=True, slots=True)
class RiskMetric:
    """Require that Apple counts at most so many attestations of the device in 30 days.

    One phone that serves many instances stands out by it.  Apple gives it with a newer receipt
    only, so that it is judged at renewals; at an enrolment it is unchecked.
    """

    accounts_for: ClassVar[frozenset[Claim]] = frozenset({Claim.RISK_METRIC})

    most: int = parameter("most attestations of the device in 30 days", least=1, most=1_000_000)

    def judge(
        self, claims: UnverifiedClaims, app: AppRegistration | None, circumstances: Circumstances
    ) -> Finding:
        """Compare the metric of the receipt; Android has none."""
        if claims.platform is not Platform.IOS:
            return Finding()
        metric = None if claims.receipt is None else claims.receipt.risk_metric
        if metric is None:
            return Finding(unchecked=("risk_metric",))
        return Finding(self._over(metric))

    def judge_standing(self, standing: Standing) -> tuple[Refusal, ...]:
        """Compare the latest metric, once there is one."""
        return () if standing.risk_metric is None else self._over(standing.risk_metric)

    def _over(self, metric: int) -> tuple[Refusal, ...]:
        if metric <= self.most:
            return ()
        detail = f"got {metric} attestations in 30 days, expected at most {self.most}"
        return (Refusal(Reason.POLICY_RISK_METRIC, detail),)
