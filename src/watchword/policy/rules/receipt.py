"""Judge whether an App Attest attestation carries a receipt that verifies."""

from dataclasses import dataclass
from typing import ClassVar

from watchword.attestation.claims import UnverifiedClaims
from watchword.attestation.interface import AppRegistration
from watchword.policy.interface import Circumstances, Claim, Finding, parameter
from watchword.reasons import Reason, Refusal
from watchword.vocabulary import Platform


@dataclass(frozen=True, slots=True)
class Receipt:
    """Require a receipt that verifies up to Apple's root; Android has none.

    Apple puts one into each attestation.  Who strips it escapes the risk metric, since a newer
    receipt is asked for with the one before.
    """

    accounts_for: ClassVar[frozenset[Claim]] = frozenset({Claim.RECEIPT})

    needed: bool = parameter("refuse attestations without a good receipt", default=True)

    def judge(
        self, claims: UnverifiedClaims, app: AppRegistration | None, circumstances: Circumstances
    ) -> Finding:
        """Look for a receipt, and for what is wrong with it."""
        if claims.platform is not Platform.IOS or claims.receipt is not None:
            return Finding()
        if not self.needed:
            return Finding(unchecked=("receipt",))
        detail = claims.receipt_fault or "got none"
        return Finding((Refusal(Reason.POLICY_RECEIPT, f"{detail}, expected a good receipt"),))
