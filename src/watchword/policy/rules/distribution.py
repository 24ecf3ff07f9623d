"""Judge by which way an app came onto an Apple device."""

from dataclasses import dataclass
from typing import ClassVar, Final

from watchword.attestation.claims import UnverifiedClaims
from watchword.attestation.interface import AppleApp, AppRegistration
from watchword.policy.interface import Circumstances, Claim, Finding, Standing, parameter
from watchword.reasons import Reason, Refusal
from watchword.vocabulary import ApplePlatform, Distribution, Platform

_MACS: Final = frozenset({ApplePlatform.MACOS, ApplePlatform.MAC_CATALYST})


@dataclass(frozen=True, slots=True)
class ListedDistribution:
    """Require a way of distribution that the app lists, such as the App Store or TestFlight.

    Builds for testers are less guarded than those in the store, and reach people whom nobody reviewed.
    Before OS 27 the system states none; every Mac that attests can.
    """

    accounts_for: ClassVar[frozenset[Claim]] = frozenset({Claim.DISTRIBUTION})

    needed: bool = parameter("refuse attestations that state none", default=False)

    def judge(
        self, claims: UnverifiedClaims, app: AppRegistration | None, circumstances: Circumstances
    ) -> Finding:
        """Compare the way with the app's; Android has no such claim."""
        if claims.platform is not Platform.IOS:
            return Finding()
        apple = claims.apple
        if apple is None or apple.distribution is None:
            if self.needed or (apple is not None and apple.platform in _MACS):
                detail = "got none, expected the system to state one"
                return Finding((Refusal(Reason.POLICY_DISTRIBUTION, detail),))
            return Finding(unchecked=("distribution",))
        return Finding(_unlisted(apple.distribution, app), ("distribution",) if app is None else ())

    def judge_standing(self, standing: Standing) -> tuple[Refusal, ...]:
        """Compare what the renewal states: an update keeps its key, whichever way it came."""
        if standing.distribution is None:
            return ()
        return _unlisted(standing.distribution, standing.app)


def _unlisted(got: Distribution, app: AppRegistration | None) -> tuple[Refusal, ...]:
    identity = None if app is None else app.identity
    if not isinstance(identity, AppleApp) or got in identity.distributed_by:
        return ()
    listed = ", ".join(sorted(identity.distributed_by))
    detail = f"got {got.value}, expected one of {listed}"
    return (Refusal(Reason.POLICY_DISTRIBUTION, detail),)
