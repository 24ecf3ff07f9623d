"""Verify, then appraise: the registered formats and the policy behind enrolment's one port."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from watchword.attestation.certificates import load_p256
from watchword.attestation.interface import (
    AppRegistration,
    EvidenceFormat,
    Expected,
    Trust,
)
from watchword.attestation.members import FORMAT
from watchword.attestation.registry import find_format
from watchword.attestation.service import verify, verify_renewal
from watchword.enrolment.interface import AppraisedEvidence, AppraisedRenewal
from watchword.policy.service import appraise, appraise_renewal
from watchword.ports import Instance
from watchword.reasons import Reason, RefusedError
from watchword.tokens.jwk import jwk_from_public_key


class RegisteredFormats:
    """Implement :class:`watchword.enrolment.interface.EvidenceVerifier`."""

    def __init__(self, trust: Trust) -> None:
        """Keep the vendors' anchors and revocations."""
        self._trust = trust

    def appraise(
        self,
        evidence: Mapping[str, Any],
        binding: bytes,
        app: AppRegistration,
        now: datetime,
    ) -> AppraisedEvidence:
        """See :meth:`watchword.enrolment.interface.EvidenceVerifier.appraise`."""
        evidence_format = _format_for(evidence, app)
        attestation = evidence_format.read_attestation(evidence)
        verified = verify(attestation, Expected(binding, app), self._trust, now)
        verdict = appraise(verified, app)
        if verdict.refusals:
            raise RefusedError(verdict.refusals)
        claims = verified.claims
        key = load_p256(claims.public_key)
        assert key is not None  # Verification lets no other key pass.
        return AppraisedEvidence(
            format=evidence_format.name,
            level=verdict.level,
            attested_key=claims.public_key,
            attested_jwk=jwk_from_public_key(key),
            app_version=None if claims.app is None else claims.app.versions.get(app.app_id),
            counter=claims.counter or 0,
        )

    def appraise_renewal(
        self,
        evidence: Mapping[str, Any],
        statement: bytes,
        instance: Instance,
        app: AppRegistration,
    ) -> AppraisedRenewal:
        """See :meth:`watchword.enrolment.interface.EvidenceVerifier.appraise_renewal`."""
        evidence_format = _format_for(evidence, app)
        if evidence_format.name != instance.format:
            raise RefusedError.because(
                Reason.EVIDENCE_PLATFORM,
                f"got {evidence_format.name}, expected {instance.format} as at enrolment",
            )
        renewal = evidence_format.read_renewal(evidence)
        examined = verify_renewal(renewal, statement, instance.attested_key, app)
        refusals = appraise_renewal(examined.app_version, app)
        if refusals:
            raise RefusedError(refusals)
        return AppraisedRenewal(examined.counter, examined.app_version)


def _format_for(evidence: Mapping[str, Any], app: AppRegistration) -> EvidenceFormat:
    evidence_format = find_format(evidence.get(FORMAT))
    if evidence_format.platform is not app.platform:
        raise RefusedError.because(
            Reason.EVIDENCE_PLATFORM,
            f"got {evidence_format.name}, expected evidence of {app.platform.value}",
        )
    return evidence_format
