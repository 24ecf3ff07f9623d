"""Judge whether both the attesting and the attested key live in secure hardware."""

from dataclasses import dataclass

from watchword.attestation.interface import AppRegistration, KeySecurity, UnverifiedClaims
from watchword.policy.interface import Finding
from watchword.reasons import Reason, Refusal


@dataclass(frozen=True, slots=True)
class HardwareSecurity:
    """Require hardware for both levels.

    A software attestation can say anything of the key, and a key in software under a hardware
    attestation can be copied off the device.
    """

    def judge(self, claims: UnverifiedClaims, app: AppRegistration | None) -> Finding:  # noqa: ARG002
        """Compare both security levels."""
        levels = (claims.attestation_security, claims.key_security)
        if KeySecurity.SOFTWARE not in levels:
            return Finding()
        detail = f"got attestation {levels[0].value}, key {levels[1].value}, expected hardware"
        return Finding((Refusal(Reason.POLICY_SECURITY_LEVEL, detail),))
