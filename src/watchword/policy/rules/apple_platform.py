"""Judge which system of Apple's an instance runs on, and whether a Mac may be one."""

from dataclasses import dataclass
from typing import ClassVar, Final

from watchword.attestation.claims import AppleClaims, KeyAccess, UnverifiedClaims
from watchword.attestation.interface import AppleApp, AppRegistration
from watchword.policy.interface import Circumstances, Claim, Finding
from watchword.reasons import Reason, Refusal
from watchword.vocabulary import ApplePlatform, Platform

_UNPROTECTED: Final = frozenset(
    {ApplePlatform.MACOS, ApplePlatform.MAC_CATALYST, ApplePlatform.UNKNOWN}
)
"""Systems whose protection a user can switch off, or that may be one of these."""


@dataclass(frozen=True, slots=True)
class ListedPlatform:
    """Require a system of Apple's that the app lists; of a Mac also Full Security with its integrity protected.

    A Mac whose protection is switched off runs any code under the App ID, and its attestations differ
    by the key's access control list alone.  Before OS 27 a certificate needn't name its system, and no Mac
    attests: there the platform is unchecked.
    """

    accounts_for: ClassVar[frozenset[Claim]] = frozenset({Claim.APPLE_PLATFORM, Claim.KEY_ACCESS})

    def judge(
        self, claims: UnverifiedClaims, app: AppRegistration | None, circumstances: Circumstances
    ) -> Finding:
        """Compare the platform with the app's; Android has no such claim."""
        apple = claims.apple
        if claims.platform is not Platform.IOS or apple is None:
            return Finding()
        if apple.platform is None:
            return Finding(unchecked=("apple_platform",))
        refusals = [*_unlisted(apple.platform, app), *_unsealed(apple)]
        return Finding(tuple(refusals), ("apple_platform",) if app is None else ())


def _unlisted(platform: ApplePlatform, app: AppRegistration | None) -> tuple[Refusal, ...]:
    identity = None if app is None else app.identity
    if not isinstance(identity, AppleApp) or platform in identity.platforms:
        return ()
    listed = ", ".join(sorted(identity.platforms))
    detail = f"got {platform.value}, expected one of {listed}"
    return (Refusal(Reason.POLICY_APPLE_PLATFORM, detail),)


def _unsealed(apple: AppleClaims) -> tuple[Refusal, ...]:
    if apple.platform not in _UNPROTECTED or apple.key_access is KeyAccess.FULL_SECURITY:
        return ()
    got = "no access control list" if apple.key_access is None else "another access control list"
    detail = f"got {got} of the key, expected that of Full Security with SIP"
    return (Refusal(Reason.POLICY_KEY_ACCESS, detail),)
