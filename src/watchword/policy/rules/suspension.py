"""Judge whether certificates that the vendor suspended are let pass."""

from dataclasses import dataclass
from typing import ClassVar

from watchword.attestation.claims import UnverifiedClaims
from watchword.attestation.interface import AppRegistration
from watchword.policy.interface import Circumstances, Claim, Finding, Standing, parameter
from watchword.reasons import Reason, Refusal
from watchword.vocabulary import Withdrawal


@dataclass(frozen=True, slots=True)
class Suspension:
    """Refuse certificates that the vendor suspended, unless they are allowed.

    A revoked one isn't for policy: the verification refuses it, and a renewal does.
    """

    accounts_for: ClassVar[frozenset[Claim]] = frozenset({Claim.SUSPENSION})

    allowed: bool = parameter("let suspended certificates pass", default=False)

    def judge(
        self, claims: UnverifiedClaims, app: AppRegistration | None, circumstances: Circumstances
    ) -> Finding:
        """Count the suspended certificates of the chain."""
        if self.allowed or claims.revocation is None or not claims.revocation.suspended:
            return Finding()
        detail = f"got {len(claims.revocation.suspended)} suspended certificates, expected none"
        return Finding((Refusal(Reason.POLICY_SUSPENDED, detail),))

    def judge_standing(self, standing: Standing) -> tuple[Refusal, ...]:
        """Look whether a certificate was suspended since."""
        entry = standing.withdrawn
        if self.allowed or entry is None or entry.status != Withdrawal.SUSPENDED:
            return ()
        return (Refusal(Reason.POLICY_SUSPENDED, "got a certificate that was suspended since"),)
