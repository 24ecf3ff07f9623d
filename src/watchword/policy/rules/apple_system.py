"""Tell how old an Apple device's system is, by what Apple's certificate says without documenting it."""

from dataclasses import dataclass
from typing import ClassVar

from watchword.attestation.claims import UnverifiedClaims
from watchword.attestation.interface import AppRegistration
from watchword.policy.interface import (
    VERSION,
    Circumstances,
    Claim,
    Finding,
    is_at_least,
    parameter,
)
from watchword.reasons import Reason, Refusal
from watchword.vocabulary import Platform


@dataclass(frozen=True, slots=True)
class AppleSystem:
    """Tell, and never refuse, where an Apple device's system is older than this version.

    Apple doesn't document where the version stands, so that a system update could move it: it is a signal, which
    refuses at most together with another one.
    """

    accounts_for: ClassVar[frozenset[Claim]] = frozenset({Claim.APPLE_SYSTEM})

    least: str = parameter("lowest version that isn't told, such as 26.1", default="0")

    def __post_init__(self) -> None:
        """Refuse what is no version.

        :raises ValueError: on anything but dotted numbers.
        """
        if not VERSION.fullmatch(self.least):
            raise ValueError("least: expected dotted numbers, such as 26.1")

    def judge(
        self, claims: UnverifiedClaims, app: AppRegistration | None, circumstances: Circumstances
    ) -> Finding:
        """Compare the version; Android states others."""
        if claims.platform is not Platform.IOS:
            return Finding()
        version = None if claims.apple is None else claims.apple.os_version
        if version is None:
            return Finding(unchecked=("apple_system",))
        if is_at_least(version, self.least):
            return Finding()
        detail = f"got {version}, expected at least {self.least}"
        return Finding(signals=(Refusal(Reason.POLICY_APPLE_SYSTEM, detail),))
