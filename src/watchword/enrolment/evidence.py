"""Verify, then appraise: the registered formats and the policy behind enrolment's one port."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from watchword.attestation.interface import (
    AppleApp,
    AppRegistration,
    EvidenceFormat,
    Expected,
    RenewalExamination,
    Trust,
    UnverifiedClaims,
)
from watchword.attestation.members import FORMAT
from watchword.attestation.registry import find_format
from watchword.attestation.service import verify, verify_renewal
from watchword.enrolment.interface import AppraisedEvidence
from watchword.policy.rules.minimum_app_version import is_at_least
from watchword.policy.service import appraise
from watchword.ports import Instance
from watchword.reasons import Reason, RefusedError


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
        return AppraisedEvidence(
            format=evidence_format.name,
            level=verdict.level,
            attested_key=claims.public_key,
            app_version=_version(claims, app),
            counter=claims.counter or 0,
        )

    def examine_renewal(
        self,
        evidence: Mapping[str, Any],
        statement: bytes,
        instance: Instance,
        app: AppRegistration,
    ) -> RenewalExamination:
        """See :meth:`watchword.enrolment.interface.EvidenceVerifier.examine_renewal`.

        Only a version that the evidence states is judged anew: an app that was updated keeps its
        key, so that the version of its enrolment says nothing about today.
        """
        evidence_format = _format_for(evidence, app)
        if evidence_format.name != instance.format:
            raise RefusedError.because(
                Reason.EVIDENCE_PLATFORM,
                f"got {evidence_format.name}, expected {instance.format} as at enrolment",
            )
        renewal = evidence_format.read_renewal(evidence)
        examined = verify_renewal(renewal, statement, instance.attested_key, app)
        stated, minimum = examined.app_version, app.minimum_version
        if stated is not None and minimum is not None and not is_at_least(stated, minimum):
            raise RefusedError.because(
                Reason.POLICY_APP_VERSION, f"got an older version, expected at least {minimum}"
            )
        return examined


def _format_for(evidence: Mapping[str, Any], app: AppRegistration) -> EvidenceFormat:
    evidence_format = find_format(evidence.get(FORMAT))
    if evidence_format.platform is not app.platform:
        raise RefusedError.because(
            Reason.EVIDENCE_PLATFORM,
            f"got {evidence_format.name}, expected evidence of {app.platform.value}",
        )
    return evidence_format


def _version(claims: UnverifiedClaims, app: AppRegistration) -> str | None:
    """Return the version that the evidence states for the registered app."""
    identity = app.identity
    name = identity.app_id if isinstance(identity, AppleApp) else identity.package
    return None if claims.app is None else claims.app.versions.get(name)
