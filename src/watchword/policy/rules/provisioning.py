"""Judge how an Android device came by the key that attests."""

from dataclasses import dataclass
from typing import ClassVar

from watchword.attestation.claims import Provisioning, UnverifiedClaims
from watchword.attestation.interface import AppRegistration
from watchword.policy.interface import Circumstances, Claim, Finding
from watchword.reasons import Reason, Refusal
from watchword.vocabulary import Platform


@dataclass(frozen=True, slots=True)
class RemoteProvisioning:
    """Require an attestation key that is renewed remotely every few weeks.

    A key from the factory serves as long as the phone; once it leaked (as sold "keyboxes" did),
    forgeries pass until its revocation.  Apple's certificates live for days, so that iOS holds.
    """

    accounts_for: ClassVar[frozenset[Claim]] = frozenset({Claim.PROVISIONING})

    def judge(
        self, claims: UnverifiedClaims, app: AppRegistration | None, circumstances: Circumstances
    ) -> Finding:
        """Compare the provisioning; an Android chain that doesn't show it is refused."""
        if claims.platform is not Platform.ANDROID or claims.provisioning is Provisioning.REMOTE:
            return Finding()
        got = "none" if claims.provisioning is None else claims.provisioning.value
        detail = f"got {got}, expected {Provisioning.REMOTE.value}"
        return Finding((Refusal(Reason.POLICY_PROVISIONING, detail),))
