"""Judge how old the device's Android is, by Google's word."""

from dataclasses import dataclass
from typing import ClassVar

from watchword.attestation.claims import UnverifiedClaims
from watchword.attestation.interface import AppRegistration
from watchword.policy.interface import (
    Circumstances,
    Claim,
    Finding,
    parameter,
    without_verdict,
    without_verdicts,
)
from watchword.reasons import Reason, Refusal


@dataclass(frozen=True, slots=True)
class SdkVersion:
    """Require an Android of at least this API level; 33 is Android 13.

    Below 33 the labels of a device don't stand on hardware.
    """

    accounts_for: ClassVar[frozenset[Claim]] = frozenset({Claim.SDK_VERSION})

    least: int = parameter("lowest API level, such as 33 for Android 13", least=1, most=1000)
    when_stated: bool = parameter("judge only where Google gives this verdict", default=False)

    def judge(
        self, claims: UnverifiedClaims, app: AppRegistration | None, circumstances: Circumstances
    ) -> Finding:
        """Compare the API level."""
        if claims.play is None:
            return without_verdicts(Reason.POLICY_SDK_VERSION)
        got = claims.play.sdk_version
        if got is None:
            return without_verdict(
                Reason.POLICY_SDK_VERSION, "sdk_version", when_stated=self.when_stated
            )
        if got >= self.least:
            return Finding()
        detail = f"got {got}, expected at least {self.least}"
        return Finding((Refusal(Reason.POLICY_SDK_VERSION, detail),))
