"""Verify, then appraise: the registered formats and the policy behind enrolment's one port."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from watchword.attestation.certificates import load_p256
from watchword.attestation.claims import UnverifiedClaims
from watchword.attestation.interface import (
    AppRegistration,
    Attestation,
    EvidenceFormat,
    Expected,
    PlayIntegrityPayload,
    PlayIntegrityToken,
    ProofKeySignature,
    Trust,
)
from watchword.attestation.members import FORMAT
from watchword.attestation.registry import find_format, with_formats
from watchword.attestation.service import examine, require_verified, verify, verify_renewal
from watchword.enrolment.appraisals import Appraisal, AppraisalLog, NotedStatus, StatusNotes
from watchword.enrolment.interface import (
    AppraisedEvidence,
    AppraisedRenewal,
    DeviceHistory,
    Statement,
)
from watchword.enrolment.receipts import receipt_to_keep
from watchword.policy.interface import Circumstances, Policy, Standing, Verdict
from watchword.policy.rules.suspension import SUSPENDED
from watchword.policy.service import appraise, appraise_renewal, appraise_standing
from watchword.ports import Instance, PlayDecoder, RevocationEntry
from watchword.reasons import Reason, Refusal, RefusedError, UnavailableError
from watchword.tokens.jwk import jwk_from_public_key, public_key_from_jwk
from watchword.vocabulary import Level, Vendor

VELOCITY_WINDOW: Final = timedelta(days=1)
"""How far back new instances of a device are counted."""

UNCONFIGURED_RETRY_SECONDS: Final = 300
"""When to try again what an operator must configure first."""

_NO_DECODERS: Final[Mapping[str, PlayDecoder]] = {}


@dataclass(frozen=True, slots=True)
class _Case:
    """Hold what one appraisal is about."""

    members: Mapping[str, Any]
    evidence_format: EvidenceFormat
    attestation: Attestation
    statement: Statement
    app: AppRegistration
    now: datetime

    @property
    def expected(self) -> Expected:
        """Return what the evidence must be bound to."""
        return Expected(self.statement.binding, self.app)


@dataclass(frozen=True, slots=True)
class _Known:
    """Hold what the verification found, and what else the policy was told."""

    claims: UnverifiedClaims | None
    verification: tuple[Refusal, ...]
    status: NotedStatus | None
    circumstances: Circumstances


class RegisteredFormats:
    """Implement :class:`watchword.enrolment.interface.EvidenceVerifier`."""

    def __init__(
        self,
        trust: Trust,
        policy: Policy,
        history: DeviceHistory,
        *,
        formats: Iterable[EvidenceFormat] = (),
        play_decoders: Mapping[str, PlayDecoder] = _NO_DECODERS,
        appraisals: AppraisalLog | None = None,
    ) -> None:
        """Keep the vendors' anchors and revocations, the policy, and who counts instances.

        :param formats: those that the operator added to the built-in ones.
        :param play_decoders: by package, who decodes Play Integrity tokens that ``trust`` has no keys for.
        :param appraisals: where refusals are recorded; acceptances are handed to enrolment, which knows
            what became of them.
        :raises FormatNameError: when an added format has a name that is taken.
        """
        self._trust = trust
        self._policy = policy
        self._history = history
        self._formats = with_formats(formats)
        self._play_decoders = play_decoders
        self._appraisals = appraisals

    def states_proof_key(self, evidence: Mapping[str, Any], app: AppRegistration) -> bool:
        """See :meth:`watchword.enrolment.interface.EvidenceVerifier.states_proof_key`."""
        return not self._format_for(evidence, app).attested_key_proves

    async def appraise(
        self,
        evidence: Mapping[str, Any],
        statement: Statement,
        app: AppRegistration,
        now: datetime,
    ) -> AppraisedEvidence:
        """See :meth:`watchword.enrolment.interface.EvidenceVerifier.appraise`."""
        evidence_format = self._format_for(evidence, app)
        attestation = await self._decoded(evidence_format.read_attestation(evidence), app)
        case = _Case(evidence, evidence_format, attestation, statement, app, now)
        claims, verdict, appraisal = await self._judge(case)
        attested_key, attested_jwk = _keys(claims, statement)
        receipt, receipt_due_at = receipt_to_keep(attestation, claims, now)
        return AppraisedEvidence(
            format=evidence_format.name,
            level=verdict.level,
            attested_key=attested_key,
            attested_jwk=attested_jwk,
            app_version=_version(claims, app),
            counter=claims.counter or 0,
            serials=claims.serials,
            device_key=claims.device_key,
            receipt=receipt,
            receipt_due_at=receipt_due_at,
            appraisal=appraisal,
        )

    async def appraise_renewal(
        self,
        evidence: Mapping[str, Any],
        statement: Statement,
        instance: Instance,
        app: AppRegistration,
        now: datetime,
    ) -> AppraisedRenewal:
        """See :meth:`watchword.enrolment.interface.EvidenceVerifier.appraise_renewal`.

        The instance's own signature comes first: whoever lacks its key has no token decoded.
        """
        evidence_format = self._format_for(evidence, app)
        if evidence_format.name != instance.format:
            raise RefusedError.because(
                Reason.EVIDENCE_PLATFORM,
                f"got {evidence_format.name}, expected {instance.format} as at enrolment",
            )
        renewal = evidence_format.read_renewal(evidence)
        examined = verify_renewal(
            renewal, statement.raw, instance.attested_key, app, evidence_format
        )
        version, standing = examined.app_version, self._standing(instance, evidence_format, now)
        anew = renewal.attestation if isinstance(renewal, ProofKeySignature) else None
        if anew is not None:
            attestation = await self._decoded(anew, app)
            case = _Case(evidence, evidence_format, attestation, statement, app, now)
            claims = self._vouched_anew(case, instance)
            version, standing = _version(claims, app), replace(standing, attested_at=now)
        refusals = appraise_renewal(version, app)
        refusals += appraise_standing(standing, self._policy, Circumstances(now))
        if refusals:
            raise RefusedError(refusals)
        return AppraisedRenewal(examined.counter, version, vouched_anew=anew is not None)

    async def _judge(self, case: _Case) -> tuple[UnverifiedClaims, Verdict, Appraisal | None]:
        """Verify and appraise evidence that enrols.

        :raises RefusedError: with what the format or the policy holds against it; that is recorded.
        """
        trust, notes = self._trust, None
        if self._appraisals is not None and trust.revocation is not None:
            notes = StatusNotes(trust.revocation)
            trust = replace(trust, revocation=notes)
        found = examine(case.attestation, case.expected, trust, case.now, case.evidence_format)
        # Noted before anything is waited for: meanwhile a newer list may take the place of this one.
        status = None if notes is None else notes.noted(case.now)
        circumstances = Circumstances(case.now)
        verification: tuple[Refusal, ...] = ()
        try:
            verified = require_verified(found)
        except RefusedError as error:
            verification = error.refusals
            verdict = Verdict(Level.NONE, verification)
        else:
            circumstances = await self._circumstances(verified.claims, case.now)
            verdict = appraise(verified, case.app, self._policy, circumstances)
        appraisal = None
        if self._appraisals is not None:
            known = _Known(found.claims, verification, status, circumstances)
            appraisal = self._appraisal(case, known, verdict)
        if verdict.refusals or found.claims is None:
            if self._appraisals is not None and appraisal is not None:
                self._appraisals.record(appraisal, None)
            raise RefusedError(verdict.refusals)
        return found.claims, verdict, appraisal

    def _appraisal(
        self,
        case: _Case,
        known: _Known,
        verdict: Verdict,
    ) -> Appraisal:
        anchors = (self._trust.anchors.for_vendor(vendor) for vendor in Vendor)
        return Appraisal(
            at=case.now,
            members=case.members,
            evidence=case.attestation,
            binding=case.statement.binding,
            app=case.app,
            claims=known.claims,
            verification=known.verification,
            anchors=tuple(anchor for group in anchors for anchor in group),
            status=known.status,
            policy=self._policy,
            circumstances=known.circumstances,
            verdict=verdict,
        )

    def _vouched_anew(self, case: _Case, instance: Instance) -> UnverifiedClaims:
        """Appraise evidence made anew; it must still grant the level that the instance has."""
        verified = verify(
            case.attestation, case.expected, self._trust, case.now, case.evidence_format
        )
        # The instance itself is among the device's, so that none is counted.
        verdict = appraise(verified, case.app, self._policy, Circumstances(case.now))
        if verdict.refusals:
            raise RefusedError(verdict.refusals)
        if not verdict.level.satisfies(instance.level):
            raise RefusedError.because(
                Reason.POLICY_LEVEL,
                f"got {verdict.level.value}, expected {instance.level.value} as at enrolment",
            )
        return verified.claims

    async def _decoded(self, attestation: Attestation, app: AppRegistration) -> Attestation:
        """Return a token that we have no keys for as Google decodes it; all other evidence as it is.

        Comes after challenge, statement and form were checked: each call counts against a quota.
        """
        if not isinstance(attestation, PlayIntegrityToken) or app.app_id in self._trust.play_keys:
            return attestation
        decoder = self._play_decoders.get(app.app_id)
        if decoder is None:
            raise UnavailableError(
                Reason.PLAY_UNCONFIGURED,
                f"got a Play Integrity token of {app.id}, which has no play_integrity section",
                UNCONFIGURED_RETRY_SECONDS,
            )
        return PlayIntegrityPayload(await decoder.decode(app.app_id, attestation.token))

    def _format_for(self, evidence: Mapping[str, Any], app: AppRegistration) -> EvidenceFormat:
        evidence_format = find_format(evidence.get(FORMAT), self._formats)
        if evidence_format.platform is not app.platform:
            raise RefusedError.because(
                Reason.EVIDENCE_PLATFORM,
                f"got {evidence_format.name}, expected evidence of {app.platform.value}",
            )
        return evidence_format

    async def _circumstances(self, claims: UnverifiedClaims, now: datetime) -> Circumstances:
        if claims.device_key is None:
            return Circumstances(now)
        since = now - VELOCITY_WINDOW
        return Circumstances(now, await self._history.count_enrolled(claims.device_key, since))

    def _standing(
        self, instance: Instance, evidence_format: EvidenceFormat, now: datetime
    ) -> Standing:
        revocation = self._trust.revocation
        withdrawn: RevocationEntry | None = None
        if revocation is not None:
            found = [revocation.find(serial) for serial in instance.serials]
            entries = [entry for entry in found if entry is not None]
            # A policy may let suspended certificates pass; behind one there may be a revoked one.
            entries.sort(key=lambda entry: entry.status == SUSPENDED)
            withdrawn = entries[0] if entries else None
        return Standing(
            format=instance.format,
            level=instance.level,
            attested_at=instance.attested_at or instance.enrolled_at,
            withdrawn=withdrawn,
            revocation_known=revocation.is_known(now)
            if revocation is not None and instance.serials
            else None,
            risk_metric=instance.risk_metric,
            key_attested=ProofKeySignature not in evidence_format.evidence_types,
        )


def _keys(claims: UnverifiedClaims, statement: Statement) -> tuple[bytes, Mapping[str, str]]:
    """Return the attested key, or the proof key that the evidence vouches for, as SPKI and JWK."""
    if claims.public_key is not None:
        key = load_p256(claims.public_key)
        assert key is not None  # Verification lets no other key pass.
        return claims.public_key, jwk_from_public_key(key)
    assert statement.proof_jwk is not None  # Enrolment asked for it before.
    proof_key = public_key_from_jwk(statement.proof_jwk)
    spki = proof_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return spki, statement.proof_jwk


def _version(claims: UnverifiedClaims, app: AppRegistration) -> str | None:
    return None if claims.app is None else claims.app.versions.get(app.app_id)
