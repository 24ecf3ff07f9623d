"""Judge whether evidence contradicts itself, or the certificates above it."""

from dataclasses import dataclass
from typing import ClassVar, Final

from watchword.attestation.claims import UnverifiedClaims
from watchword.attestation.interface import AppRegistration
from watchword.policy.interface import Circumstances, Claim, Finding, parameter
from watchword.reasons import Reason, Refusal

INCOHERENCES: Final = ("security_name", "versions", "os_version", "patches")
"""What Android key attestation can be incoherent in (docs/formats/android_key.md)."""


@dataclass(frozen=True, slots=True)
class Coherence:
    """Require that evidence doesn't contradict itself in certain ways.

    The ready-made policies only tell it: each of these gives a forger away who signs with a leaked key, and each may
    be a genuine maker's mistake that nobody has recorded yet.
    """

    accounts_for: ClassVar[frozenset[Claim]] = frozenset({Claim.COHERENCE})

    none_of: frozenset[str] = parameter(
        "contradictions that must not be there",
        default=frozenset(INCOHERENCES),
        words=INCOHERENCES,
    )

    def judge(
        self, claims: UnverifiedClaims, app: AppRegistration | None, circumstances: Circumstances
    ) -> Finding:
        """Compare what was found; what isn't asked about is told as unchecked."""
        found = [name for name in claims.incoherent if name in self.none_of]
        if found:
            detail = f"got contradictions in {', '.join(found)}, expected none"
            return Finding((Refusal(Reason.POLICY_COHERENCE, detail),))
        return Finding(unchecked=(Claim.COHERENCE.value,) if claims.incoherent else ())
