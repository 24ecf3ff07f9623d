"""Be an evidence format of an operator's own, as small as one can be: it believes what it is told."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from watchword.attestation.claims import KeySecurity, UnverifiedClaims
from watchword.attestation.interface import (
    AppRegistration,
    Attestation,
    Examination,
    Expected,
    ProofKeySignature,
    Renewal,
    RenewalExamination,
    Step,
    Trust,
    age_refusals,
    expect_members,
    read_bytes,
)
from watchword.attestation.proof_key_renewal import (
    examine_proof_key_signature,
    read_proof_key_signature,
)
from watchword.reasons import MalformedError, Reason, Refusal
from watchword.vocabulary import Platform

UNREADABLE = "?"


@dataclass(frozen=True, slots=True)
class Echo(Attestation):
    """Hold a word, and what it is bound to."""

    word: str
    binding: bytes
    said_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class EchoFormat:
    """Believe a word that comes with the right binding."""

    name: str = "echo"
    platform: Platform = Platform.ANDROID
    evidence_types: tuple[type, ...] = (Echo, ProofKeySignature)
    attested_key_proves: bool = False

    def read_attestation(self, members: Mapping[str, Any]) -> Echo:
        """Read ``{"word", "binding"}``."""
        expect_members(members, {"word", "binding"})
        return Echo(str(members["word"]), read_bytes("binding", members["binding"]))

    def read_renewal(self, members: Mapping[str, Any]) -> ProofKeySignature:
        """Read ``{"signature"}``."""
        return read_proof_key_signature(members)

    def examine(
        self, evidence: Attestation, expected: Expected, trust: Trust, now: datetime
    ) -> Examination:
        """Compare the binding, and the age where there is one."""
        assert isinstance(evidence, Echo)
        if evidence.word == UNREADABLE:
            raise MalformedError.because(Reason.EVIDENCE_MALFORMED, "this word can't be read")
        refusals = []
        if evidence.binding != expected.binding:
            refusals.append(Refusal(Reason.ATTESTATION_BINDING))
        if evidence.said_at is not None:
            refusals += age_refusals(evidence.said_at, now)
        step = Step("1", "binding", "ours", evidence.word, tuple(refusals))
        claims = UnverifiedClaims(
            format=self.name,
            platform=self.platform,
            public_key=None,
            attestation_security=KeySecurity.UNATTESTED,
            key_security=KeySecurity.UNATTESTED,
            anchor=None,
            provider={"word": evidence.word},
        )
        return Examination(claims, (step,))

    def examine_renewal(
        self, evidence: Renewal, statement: bytes, public_key: bytes, app: AppRegistration
    ) -> RenewalExamination:
        """Check the signature by the proof key."""
        return examine_proof_key_signature(evidence, statement, public_key, app, self.platform)
