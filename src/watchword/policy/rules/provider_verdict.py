"""Judge what an evidence provider of your own says."""

from dataclasses import dataclass
from typing import ClassVar

from watchword.attestation.claims import UnverifiedClaims
from watchword.attestation.interface import AppRegistration
from watchword.policy.interface import Circumstances, Claim, Finding, parameter
from watchword.reasons import Reason, Refusal


@dataclass(frozen=True, slots=True)
class ProviderVerdict:
    """Require a member of an own format's claims to have one value, of the same type.

    Its value isn't told in the refusal, since nobody here knows whether it names a device.
    """

    accounts_for: ClassVar[frozenset[Claim]] = frozenset({Claim.PROVIDER_VERDICT})

    member: str = parameter("name of the member of the provider's claims")
    equals: str | int | bool = parameter("the value that it must have")

    def judge(
        self, claims: UnverifiedClaims, app: AppRegistration | None, circumstances: Circumstances
    ) -> Finding:
        """Compare the member."""
        if claims.provider is None:
            refusal = Refusal(Reason.POLICY_PROVIDER_VERDICT, "got no provider's verdict")
            return Finding((refusal,), foreign=True)
        got = claims.provider.get(self.member)
        # True equals 1 in Python, and doesn't in any provider's document.
        if type(got) is type(self.equals) and got == self.equals:
            return Finding()
        got_what = "another value" if self.member in claims.provider else "no such member"
        detail = f"{self.member}: got {got_what}, expected {self.equals!r}"
        return Finding((Refusal(Reason.POLICY_PROVIDER_VERDICT, detail),))
