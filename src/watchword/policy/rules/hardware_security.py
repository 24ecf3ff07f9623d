"""Judge whether both the attesting and the attested key live in secure hardware."""

from dataclasses import dataclass
from typing import ClassVar

from watchword.attestation.claims import KeySecurity, UnverifiedClaims
from watchword.attestation.interface import AppRegistration
from watchword.policy.interface import Circumstances, Claim, Finding, parameter
from watchword.reasons import Reason, Refusal

_OWN_CHIP = frozenset({KeySecurity.STRONGBOX, KeySecurity.SECURE_ENCLAVE})
"""A processor of its own; a TEE shares the main one."""

_HARDWARE = _OWN_CHIP | {KeySecurity.TEE}


@dataclass(frozen=True, slots=True)
class HardwareSecurity:
    """Require hardware for the attested key and for what attests it.

    A software attestation can say anything of the key, and a key in software under a hardware
    attestation can be copied off the device.  A verdict without a key (Play Integrity) is neither.

    A StrongBox is believed where the vendor's own certificate names one: whoever owns a leaked key of a TEE can
    write any level into what that key signs.
    """

    accounts_for: ClassVar[frozenset[Claim]] = frozenset({Claim.KEY_SECURITY})

    strongbox: bool = parameter("a chip of its own: StrongBox or Secure Enclave", default=False)

    def judge(
        self, claims: UnverifiedClaims, app: AppRegistration | None, circumstances: Circumstances
    ) -> Finding:
        """Compare both security levels, and a StrongBox with what the vendor certified."""
        levels = (claims.attestation_security, claims.key_security)
        if KeySecurity.UNATTESTED in levels:
            detail = "got evidence that attests no key, expected one in hardware"
            return Finding((Refusal(Reason.POLICY_SECURITY_LEVEL, detail),), foreign=True)
        if (_OWN_CHIP if self.strongbox else _HARDWARE).issuperset(levels):
            return Finding(self._only_claimed(claims) if self.strongbox else ())
        expected = "strongbox or secure_enclave" if self.strongbox else "hardware"
        detail = f"got attestation {levels[0].value}, key {levels[1].value}, expected {expected}"
        return Finding((Refusal(Reason.POLICY_SECURITY_LEVEL, detail),))

    @staticmethod
    def _only_claimed(claims: UnverifiedClaims) -> tuple[Refusal, ...]:
        certified = claims.certified_security
        levels = {claims.attestation_security, claims.key_security}
        if KeySecurity.STRONGBOX not in levels or certified is KeySecurity.STRONGBOX:
            return ()
        named = "none" if certified is None else certified.value
        detail = f"got {named} in the vendor's certificate, expected strongbox as the key says"
        return (Refusal(Reason.POLICY_SECURITY_LEVEL, detail),)
