"""Judge whether the attested key may sign."""

from dataclasses import dataclass
from typing import ClassVar

from watchword.attestation.claims import UnverifiedClaims
from watchword.attestation.interface import AppRegistration
from watchword.policy.interface import Circumstances, Claim, Finding
from watchword.reasons import Reason, Refusal


@dataclass(frozen=True, slots=True)
class KeyPurpose:
    """Require a key that signs: an instance proves possession by signatures, and by nothing else.

    A key for attestation alone could still be made to vouch for a further certificate.
    """

    accounts_for: ClassVar[frozenset[Claim]] = frozenset({Claim.KEY_PURPOSE})

    def judge(
        self, claims: UnverifiedClaims, app: AppRegistration | None, circumstances: Circumstances
    ) -> Finding:
        """Look for the purpose as the secure hardware states it."""
        if claims.key_signs:
            return Finding()
        detail = "expected purpose SIGN in the hardware's list"
        return Finding((Refusal(Reason.POLICY_KEY_PURPOSE, detail),))
