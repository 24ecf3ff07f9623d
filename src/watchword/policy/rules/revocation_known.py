"""Judge whether the vendor's status list must have been there."""

from dataclasses import dataclass
from typing import ClassVar

from watchword.attestation.claims import UnverifiedClaims
from watchword.attestation.interface import AppRegistration
from watchword.policy.interface import Circumstances, Claim, Finding, Standing, parameter
from watchword.reasons import Reason, Refusal
from watchword.vocabulary import Platform


@dataclass(frozen=True, slots=True)
class RevocationKnown:
    """Require that Google's status list was there and recent when an Android chain was judged.

    Needed, an outage of the list locks everybody out (fail closed); otherwise a key that was
    revoked meanwhile passes as long as it lasts (fail open), and the verdict lists it as unchecked.
    Apple and Play Integrity have no such list.
    """

    accounts_for: ClassVar[frozenset[Claim]] = frozenset({Claim.REVOCATION})

    needed: bool = parameter("refuse while the list is missing or too old", default=True)

    def judge(
        self, claims: UnverifiedClaims, app: AppRegistration | None, circumstances: Circumstances
    ) -> Finding:
        """Look whether the list was asked, where there is a chain to ask about."""
        if claims.revocation is not None and claims.revocation.known:
            return Finding()
        if claims.revocation is None and not _has_google_chain(claims):
            return Finding()
        if not self.needed:
            return Finding(unchecked=("revocation",))
        detail = "got no status list that is recent enough"
        return Finding((Refusal(Reason.POLICY_REVOCATION_UNKNOWN, detail),))

    def judge_standing(self, standing: Standing) -> tuple[Refusal, ...]:
        """Look whether the list is there at a renewal."""
        if not self.needed or standing.revocation_known is not False:
            return ()
        detail = "got no status list that is recent enough"
        return (Refusal(Reason.POLICY_REVOCATION_UNKNOWN, detail),)


def _has_google_chain(claims: UnverifiedClaims) -> bool:
    """Tell whether certificates of Google's vouch for a key; a verdict without a key has none."""
    return claims.platform is Platform.ANDROID and claims.public_key is not None
