"""Judge what other apps on the device may see and do."""

from dataclasses import dataclass
from typing import ClassVar

from watchword.attestation.claims import UnverifiedClaims
from watchword.attestation.interface import AppRegistration
from watchword.policy.interface import (
    APP_ACCESS,
    CAPTURING_UNKNOWN,
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
class AppAccessRisk:
    """Require that no other app may do certain things, such as capture the screen.

    KNOWN apps come from Google Play or the maker, UNKNOWN ones from elsewhere.  Screen readers are
    left out by Google, so that people who need one aren't hit.
    """

    accounts_for: ClassVar[frozenset[Claim]] = frozenset({Claim.APP_ACCESS_RISK})

    none_of: frozenset[str] = parameter(
        "what no other app may do", default=CAPTURING_UNKNOWN, words=APP_ACCESS
    )
    when_stated: bool = parameter("judge only where Google gives this verdict", default=False)

    def judge(
        self, claims: UnverifiedClaims, app: AppRegistration | None, circumstances: Circumstances
    ) -> Finding:
        """Compare what Google found."""
        if claims.play is None:
            return without_verdicts(Reason.POLICY_APP_ACCESS_RISK)
        got = claims.play.app_access_risk
        if got is None:
            return without_verdict(
                Reason.POLICY_APP_ACCESS_RISK, "app_access_risk", when_stated=self.when_stated
            )
        if not got & self.none_of:
            return Finding()
        detail = f"got {listed(got & self.none_of, APP_ACCESS)}, expected none of them"
        return Finding((Refusal(Reason.POLICY_APP_ACCESS_RISK, detail),))
