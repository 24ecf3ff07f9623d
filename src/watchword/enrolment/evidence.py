"""Verify, then appraise: the registered formats and the policy behind enrolment's one port."""

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from watchword.attestation import play_tokens
from watchword.attestation.certificates import load_p256
from watchword.attestation.claims import UnverifiedClaims, VerifiedClaims
from watchword.attestation.interface import (
    FORMAT,
    AppRegistration,
    Attestation,
    EvidenceFormat,
    Expected,
    PlayIntegrityPayload,
    PlayIntegrityToken,
    ProofKeySignature,
    Trust,
)
from watchword.attestation.registry import (
    examine,
    find_format,
    require_verified,
    verify,
    verify_renewal,
    with_formats,
)
from watchword.enrolment.interface import (
    CHALLENGE_SECONDS,
    Appraisal,
    AppraisalLog,
    AppraisedEvidence,
    AppraisedRenewal,
    CountedInstances,
    DeviceHistory,
    NotedStatus,
    Statement,
    StatusNotes,
)
from watchword.enrolment.receipts import receipt_to_keep
from watchword.enrolment.standing import require_same_device, standing_of
from watchword.policy.interface import Circumstances, Policy, Verdict
from watchword.policy.service import (
    appraise,
    appraise_renewal,
    appraise_standing,
    standing_signals,
)
from watchword.ports import CountLimit, EnrolledCounts, Instance, PlayDecoder
from watchword.reasons import Reason, Refusal, RefusedError, UnavailableError
from watchword.tokens.jose import jwk_from_public_key, public_key_from_jwk
from watchword.vocabulary import Level, Vendor

QUESTIONS_A_MINUTE: Final = 120
"""Most questions about one package within a minute; Google's quota by default is 10,000 a day."""

MAX_REMEMBERED: Final = 10_000
"""Most challenges that are remembered, of all packages: about 2 MB.  No more questions are asked then."""

_MINUTE: Final = timedelta(minutes=1)
_LIFE: Final = timedelta(seconds=CHALLENGE_SECONDS)


class VendorRateLimiter:
    """Bound the questions that strangers can make us ask a vendor, who counts them against a quota.

    A challenge costs nothing, and evidence of the right form is easily made up: whoever asks for challenges
    in a loop has Google decode as many forged tokens as he likes, until the app's quota for the day is
    used up and nobody enrols any more.  Two bounds hold in each process: a challenge buys one question, and a
    package has so many a minute.

    Know which questions were asked lately; belongs to one event loop and one process.
    """

    def __init__(
        self, a_minute: int = QUESTIONS_A_MINUTE, remembered: int = MAX_REMEMBERED
    ) -> None:
        """Remember nothing yet.

        :param a_minute: most questions about one package within a minute.
        :param remembered: most challenges that are remembered.
        """
        self._a_minute = a_minute
        self._remembered = remembered
        self._spent: dict[bytes, datetime] = {}
        self._asked: dict[str, deque[datetime]] = {}

    def spend(self, challenge: bytes, package: str, now: datetime) -> None:
        """Return if a question may be asked now, and count it.

        :param challenge: one that was made here and lives; it is remembered for as long as any can live.
        :param package: one that is configured: each has its count kept.
        :raises RefusedError: ``challenge.used`` when it bought its question already.
        :raises UnavailableError: ``service.overloaded`` when too much was asked; the challenge stays good.
        """
        self._forget(now)
        if challenge in self._spent:
            raise RefusedError.because(
                Reason.CHALLENGE_USED, "a token that came with it was sent to Google already"
            )
        asked = self._asked.setdefault(package, deque())
        # One that lies in the future is of before the clock was set back.
        while asked and abs(now - asked[0]) >= _MINUTE:
            asked.popleft()
        if len(asked) >= self._a_minute:
            raise UnavailableError(
                Reason.SERVICE_OVERLOADED,
                f"asked Google to decode {len(asked)} tokens of {package} within a minute, the most "
                "that are sent: a flood of forged tokens, or an app that needs keys of its own",
                _seconds_until(asked[0] + _MINUTE, now),
            )
        if len(self._spent) >= self._remembered:
            raise UnavailableError(
                Reason.SERVICE_OVERLOADED,
                f"remembers {len(self._spent)} challenges that came with tokens, the most there can be",
                _seconds_until(next(iter(self._spent.values())), now),
            )
        asked.append(now)
        self._spent[challenge] = now + _LIFE

    def give_back(self, challenge: bytes) -> None:
        """Let a challenge buy another question, after one that nobody answered.

        The question itself stays counted, so that an outage at Google's opens no flood.
        """
        self._spent.pop(challenge, None)

    def _forget(self, now: datetime) -> None:
        """Drop the challenges that are dead by now; they stand in the order of their age."""
        while self._spent:
            challenge, until = next(iter(self._spent.items()))
            if now < until:
                return
            del self._spent[challenge]


def _seconds_until(at: datetime, now: datetime) -> int:
    return max(1, min(int((at - now).total_seconds()) + 1, CHALLENGE_SECONDS))


VELOCITY_WINDOW: Final = timedelta(days=1)
"""How far back new instances of a device, and under a certificate, are counted."""

_BEYOND_ANY_LIMIT: Final = 2**20
"""More instances than any policy can allow."""

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
        self._vendor_limit = VendorRateLimiter()
        self.contradictions: Counter[str] = Counter()

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
        read = evidence_format.read_attestation(evidence)
        attestation = await self._decoded(read, statement, app, now)
        case = _Case(evidence, evidence_format, attestation, statement, app, now)
        verified, status = self._verified(case)
        device_key, serial = verified.claims.device_key, verified.claims.attester_serial
        counts = EnrolledCounts()
        if (device_key, serial) != (None, None):
            since = now - VELOCITY_WINDOW
            counts = await self._history.count_enrolled(app.id, device_key, serial, since)
        return self._judged(case, verified, status, counts)

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
        version = examined.app_version
        standing = standing_of(instance, evidence_format, self._trust.revocation, now)
        standing = replace(standing, app=app, distribution=examined.distribution)
        anew = renewal.attestation if isinstance(renewal, ProofKeySignature) else None
        if anew is not None:
            attestation = await self._decoded(anew, statement, app, now)
            case = _Case(evidence, evidence_format, attestation, statement, app, now)
            claims = self._vouched_anew(case, instance)
            version, standing = _version(claims, app), replace(standing, attested_at=now)
        refusals = appraise_renewal(version, app)
        refusals += appraise_standing(standing, self._policy, Circumstances(now))
        if refusals:
            raise RefusedError(refusals)
        signals = standing_signals(standing, self._policy)
        return AppraisedRenewal(examined.counter, version, anew is not None, signals)

    def _verified(self, case: _Case) -> tuple[VerifiedClaims, NotedStatus | None]:
        """Verify evidence that enrols; return what the status list said too, where that is noted.

        :raises RefusedError: with what the format holds against it; that is recorded.
        """
        trust, notes = self._trust, None
        if self._appraisals is not None and trust.revocation is not None:
            notes = StatusNotes(trust.revocation)
            trust = replace(trust, revocation=notes)
        found = examine(case.attestation, case.expected, trust, case.now, case.evidence_format)
        # Noted before anything is waited for: meanwhile a newer list may take the place of this one.
        status = None if notes is None else notes.noted(case.now)
        try:
            return require_verified(found), status
        except RefusedError as error:
            if self._appraisals is not None:
                known = _Known(found.claims, error.refusals, status, Circumstances(case.now))
                verdict = Verdict(Level.NONE, error.refusals)
                self._appraisals.record(self._appraisal(case, known, verdict), None)
            raise

    def _judged(
        self,
        case: _Case,
        verified: VerifiedClaims,
        status: NotedStatus | None,
        counts: EnrolledCounts,
        *,
        overtaken: bool = False,
    ) -> AppraisedEvidence:
        """Let policy judge verified evidence, after so many instances.

        :param overtaken: others enrolled meanwhile, and more may: the verdict then
            holds for as many as it can, so that it is judged again for another level alone.
        :raises RefusedError: with what the policy holds against it; that is recorded.
        """
        claims, now = verified.claims, case.now
        if not overtaken:
            self.contradictions.update(claims.incoherent)
        circumstances = Circumstances(now, counts.device, counts.serial)
        verdict = appraise(verified, case.app, self._policy, circumstances)
        appraisal = None
        if self._appraisals is not None:
            known = _Known(claims, (), status, circumstances)
            appraisal = self._appraisal(case, known, verdict)
        if verdict.refusals:
            if self._appraisals is not None and appraisal is not None:
                self._appraisals.record(appraisal, None)
            raise RefusedError(verdict.refusals)
        counted = None
        most = self._most_enrolled(case, verified, counts, verdict.level, overtaken=overtaken)
        if most != EnrolledCounts():
            counted = CountedInstances(
                CountLimit(now - VELOCITY_WINDOW, most),
                lambda enrolled: self._judged(case, verified, status, enrolled, overtaken=True),
            )
        attested_key, attested_jwk = _keys(claims, case.statement)
        receipt, receipt_due_at = receipt_to_keep(case.attestation, claims, now)
        return AppraisedEvidence(
            format=case.evidence_format.name,
            level=verdict.level,
            attested_key=attested_key,
            attested_jwk=attested_jwk,
            app_version=_version(claims, case.app),
            counter=claims.counter or 0,
            serials=claims.serials,
            device_key=claims.device_key,
            attester_serial=claims.attester_serial,
            receipt=receipt,
            receipt_due_at=receipt_due_at,
            appraisal=appraisal,
            counted=counted,
            signals=verdict.signals,
        )

    def _most_enrolled(
        self,
        case: _Case,
        verified: VerifiedClaims,
        counts: EnrolledCounts,
        level: Level,
        *,
        overtaken: bool,
    ) -> EnrolledCounts:
        """Return up to which counts the level is granted, None for what doesn't matter.

        No rule likes evidence better for more instances: what is granted at both limits is granted below them.
        So that of the certificate is searched for with the device already at its own.
        """

        def differs(device: int | None, serial: int | None) -> bool:
            circumstances = Circumstances(case.now, device, serial)
            return appraise(verified, case.app, self._policy, circumstances).level is not level

        device, serial = counts.device, None
        if device is not None and overtaken:
            # Few are: nobody else pays for the search.
            device = _last_alike(device, lambda count: differs(count, counts.serial))
        if counts.serial is not None:
            # Thousands of phones share a certificate: by any newer one, each of them would be overtaken.
            unlimited = device is None and counts.device is not None
            reached = _BEYOND_ANY_LIMIT if unlimited else device
            serial = _last_alike(counts.serial, lambda count: differs(reached, count))
        return EnrolledCounts(device, serial)

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
        require_same_device(verified.claims, instance)
        return verified.claims

    async def _decoded(
        self, attestation: Attestation, statement: Statement, app: AppRegistration, now: datetime
    ) -> Attestation:
        """Return a token that we have no keys for as Google decodes it; all other evidence as it is.

        Comes after challenge and statement were checked: each call counts against a quota.  What isn't
        in the form of a token, header and lengths included, isn't sent to anybody.
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
        play_tokens.read_token(attestation.token)
        self._vendor_limit.spend(statement.challenge, app.app_id, now)
        try:
            return PlayIntegrityPayload(await decoder.decode(app.app_id, attestation.token))
        except UnavailableError:
            self._vendor_limit.give_back(statement.challenge)
            raise

    def _format_for(self, evidence: Mapping[str, Any], app: AppRegistration) -> EvidenceFormat:
        evidence_format = find_format(evidence.get(FORMAT), self._formats)
        if evidence_format.platform is not app.platform:
            raise RefusedError.because(
                Reason.EVIDENCE_PLATFORM,
                f"got {evidence_format.name}, expected evidence of {app.platform.value}",
            )
        return evidence_format


def _last_alike(count: int, differs: Callable[[int], bool]) -> int | None:
    """Return the last count before the verdict differs, None if it never does."""
    if not differs(_BEYOND_ANY_LIMIT):
        return None
    above = count + 1
    while above < _BEYOND_ANY_LIMIT and not differs(above):
        above *= 2
    counts = range(max(count, above // 2) + 1, above)
    return counts.start + bisect_left(counts, x=True, key=differs) - 1


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
