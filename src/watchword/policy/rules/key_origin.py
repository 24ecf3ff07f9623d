"""Judge whether the attested key was made inside the secure hardware."""

from dataclasses import dataclass
from typing import ClassVar

from watchword.attestation.claims import UnverifiedClaims
from watchword.attestation.interface import AppRegistration
from watchword.policy.interface import Circumstances, Claim, Finding
from watchword.reasons import Reason, Refusal


@dataclass(frozen=True, slots=True)
class KeyOrigin:
    """Require a generated key: an imported one has been known outside and may be known still."""

    accounts_for: ClassVar[frozenset[Claim]] = frozenset({Claim.KEY_ORIGIN})

    def judge(
        self, claims: UnverifiedClaims, app: AppRegistration | None, circumstances: Circumstances
    ) -> Finding:
        """Compare the key's origin as the secure hardware states it."""
        if claims.key_generated:
            return Finding()
        detail = "expected origin GENERATED in the hardware's list"
        return Finding((Refusal(Reason.POLICY_KEY_ORIGIN, detail),))
