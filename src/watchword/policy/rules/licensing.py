"""Judge whether the user got the app from Google Play."""

from dataclasses import dataclass
from typing import ClassVar

from watchword.attestation.claims import UnverifiedClaims
from watchword.attestation.interface import AppRegistration
from watchword.policy.interface import (
    LICENSED,
    LICENSING,
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
class Licensing:
    """Require that the user's account got the app from Google Play."""

    accounts_for: ClassVar[frozenset[Claim]] = frozenset({Claim.LICENSING})

    when_stated: bool = parameter("judge only where Google gives this verdict", default=False)

    def judge(
        self, claims: UnverifiedClaims, app: AppRegistration | None, circumstances: Circumstances
    ) -> Finding:
        """Compare Google's verdict on the account."""
        if claims.play is None:
            return without_verdicts(Reason.POLICY_LICENSING)
        got = claims.play.licensing
        if got is None:
            return without_verdict(
                Reason.POLICY_LICENSING, "licensing", when_stated=self.when_stated
            )
        if got == LICENSED:
            return Finding()
        detail = f"got {listed([got], LICENSING)}, expected {LICENSED}"
        return Finding((Refusal(Reason.POLICY_LICENSING, detail),))
