"""Judge whether a key of the app may have made the attestation."""

from dataclasses import dataclass
from typing import ClassVar

from watchword.attestation.claims import UnverifiedClaims
from watchword.attestation.interface import AppRegistration
from watchword.policy.interface import Circumstances, Claim, Finding, parameter
from watchword.reasons import Reason, Refusal


@dataclass(frozen=True, slots=True)
class AttestKey:
    """Refuse attestations by a key of the app (Android's ATTEST_KEY), unless they are allowed.

    One such key vouches for as many further keys as it is asked for, on the device's word alone.
    """

    accounts_for: ClassVar[frozenset[Claim]] = frozenset({Claim.ATTEST_KEY})

    allowed: bool = parameter("let attestations by a key of the app pass", default=False)

    def judge(
        self, claims: UnverifiedClaims, app: AppRegistration | None, circumstances: Circumstances
    ) -> Finding:
        """Look whether such a key made the attestation."""
        if self.allowed or not claims.attest_key:
            return Finding()
        detail = "got an attestation by a key of the app, expected one by the device's own"
        return Finding((Refusal(Reason.POLICY_ATTEST_KEY, detail),))
