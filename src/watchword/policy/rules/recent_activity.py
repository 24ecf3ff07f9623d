"""Judge how many tokens a device asked Google for."""

from dataclasses import dataclass
from typing import ClassVar

from watchword.attestation.claims import UnverifiedClaims
from watchword.attestation.interface import AppRegistration
from watchword.policy.interface import (
    ACTIVITY,
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
class RecentActivity:
    """Require at most this level of requests for tokens by the device within the last hour."""

    accounts_for: ClassVar[frozenset[Claim]] = frozenset({Claim.RECENT_ACTIVITY})

    most: int = parameter("highest level, 1 (few) to 4 (very many)", least=1, most=4)
    when_stated: bool = parameter("judge only where Google gives this verdict", default=False)

    def judge(
        self, claims: UnverifiedClaims, app: AppRegistration | None, circumstances: Circumstances
    ) -> Finding:
        """Compare the level; a word that is none, such as UNEVALUATED, is above all."""
        if claims.play is None:
            return without_verdicts(Reason.POLICY_RECENT_ACTIVITY)
        got = claims.play.recent_activity
        if got is None:
            return without_verdict(
                Reason.POLICY_RECENT_ACTIVITY, "recent_activity", when_stated=self.when_stated
            )
        if got in ACTIVITY[: self.most]:
            return Finding()
        detail = f"got {listed([got], ACTIVITY)}, expected at most LEVEL_{self.most}"
        return Finding((Refusal(Reason.POLICY_RECENT_ACTIVITY, detail),))
