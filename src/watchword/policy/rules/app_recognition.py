"""Judge whether Google Play recognises the app."""

from dataclasses import dataclass
from typing import ClassVar

from watchword.attestation.claims import UnverifiedClaims
from watchword.attestation.interface import AppRegistration
from watchword.policy.interface import (
    APP_RECOGNITION,
    PLAY_RECOGNIZED,
    UNRECOGNIZED_VERSION,
    Circumstances,
    Claim,
    Finding,
    listed,
    parameter,
    without_verdicts,
)
from watchword.reasons import Reason, Refusal


@dataclass(frozen=True, slots=True)
class AppRecognition:
    """Require that Google Play knows the app as one that it distributes, byte by byte.

    An app that you also distribute elsewhere isn't known; sideloaded, it is told by its signing
    certificate alone, for which ``app_identity`` must stand beside this rule.  Responses for testers say
    whatever was written into the Play Console.
    """

    accounts_for: ClassVar[frozenset[Claim]] = frozenset(
        {Claim.APP_RECOGNITION, Claim.TESTING_RESPONSE}
    )

    sideloaded: bool = parameter(
        "let versions pass that Play doesn't know (UNRECOGNIZED_VERSION)", default=False
    )
    testing: bool = parameter(
        "let responses pass that you wrote for testers in the Play Console", default=False
    )

    def judge(
        self, claims: UnverifiedClaims, app: AppRegistration | None, circumstances: Circumstances
    ) -> Finding:
        """Compare Google's verdict on the app."""
        if claims.play is None:
            return without_verdicts(Reason.POLICY_APP_RECOGNITION)
        if claims.play.testing and not self.testing:
            # A tester's account on any device, an attacker's script on it included, gets these words.
            detail = "got a response written for testers, expected Google's own verdict"
            return Finding((Refusal(Reason.POLICY_APP_RECOGNITION, detail),))
        got = claims.play.app_recognition
        if got == PLAY_RECOGNIZED or (self.sideloaded and got == UNRECOGNIZED_VERSION):
            return Finding()
        detail = f"got {listed([got], APP_RECOGNITION)}, expected {PLAY_RECOGNIZED}"
        return Finding((Refusal(Reason.POLICY_APP_RECOGNITION, detail),))
