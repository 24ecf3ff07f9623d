"""Judge what Play Protect says of the device."""

from dataclasses import dataclass
from typing import ClassVar

from watchword.attestation.claims import UnverifiedClaims
from watchword.attestation.interface import AppRegistration
from watchword.policy.interface import (
    PLAY_PROTECT,
    PROTECTED,
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
class PlayProtect:
    """Require that Play Protect is on and found no dangerous app."""

    accounts_for: ClassVar[frozenset[Claim]] = frozenset({Claim.PLAY_PROTECT})

    accepted: frozenset[str] = parameter(
        "verdicts that are accepted", default=PROTECTED, words=PLAY_PROTECT
    )
    when_stated: bool = parameter("judge only where Google gives this verdict", default=False)

    def judge(
        self, claims: UnverifiedClaims, app: AppRegistration | None, circumstances: Circumstances
    ) -> Finding:
        """Compare the verdict."""
        if claims.play is None:
            return without_verdicts(Reason.POLICY_PLAY_PROTECT)
        got = claims.play.play_protect
        if got is None:
            return without_verdict(
                Reason.POLICY_PLAY_PROTECT, "play_protect", when_stated=self.when_stated
            )
        if got in self.accepted:
            return Finding()
        wanted = listed(self.accepted, PLAY_PROTECT)
        detail = f"got {listed([got], PLAY_PROTECT)}, expected one of {wanted}"
        return Finding((Refusal(Reason.POLICY_PLAY_PROTECT, detail),))
