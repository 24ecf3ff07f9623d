"""Enrol and renew: statement and evidence in, an instance and its tokens out.

Checks run from cheap to expensive, and nothing is written before all of them held, so that
a stranger's flood costs neither disk nor elliptic curves before it carries a challenge of ours.

Tokens are signed before the store commits and leave after it did.  Signed first, because a
signer that fails must not burn the challenge or leave an instance that got no answer; sent
last, because a token of an enrolment that was never committed could not be revoked.
"""

import hmac
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from watchword.attestation.interface import AppRegistration
from watchword.encoding import base64url, length_prefixed
from watchword.encoding.phrases import moment
from watchword.enrolment.evidence import NAME as OPERATOR_CODE
from watchword.enrolment.evidence import OperatorCodeVerifier, ReceiptSampling, Rejudgement
from watchword.enrolment.interface import (
    CHALLENGE_SECONDS,
    AppraisalLog,
    AppraisedEvidence,
    AppraisedRenewal,
    Enrolled,
    EnrolmentPolicy,
    EnrolmentRequest,
    EnrolmentRoom,
    EvidenceVerifier,
    IssuedToken,
    NextChallenge,
    OperatorCode,
    OperatorCodeStore,
    RenewalRequest,
    Statement,
)
from watchword.enrolment.refusals import Aside, RefusalSigner
from watchword.enrolment.statement import (
    ChallengeEpochs,
    StatementValidator,
    require_alive,
    require_app,
    require_higher,
    require_same,
)
from watchword.enrolment.tickets import Ticket, Tickets
from watchword.ports import (
    AuditEntry,
    ChallengeUse,
    EnrolledCounts,
    Entropy,
    Instance,
    InstanceStore,
    Signer,
    StoredReceipt,
)
from watchword.reasons import Reason, Refusal, RefusedError
from watchword.tokens.envelope import seal
from watchword.tokens.interface import TokenClaims
from watchword.tokens.jose import thumbprint
from watchword.tokens.proofs.interface import GateSecret
from watchword.tokens.proofs.session import derive_key
from watchword.tokens.service import OS_CLAIM, issue
from watchword.vocabulary import Environment, Level, Purpose

_LABEL = b"watchword/subject/v1"
_DEVICE_LABEL = b"watchword/device/v1"


def pairwise_subject(instance_id: str, audience: str, key: bytes) -> str:
    """Return the subject of an instance at one audience: 43 characters of base64url.

    Without the key nobody can tell which instance it is, nor whether two subjects of two
    audiences belong together.

    :param key: the service's pairwise key; another key makes strangers of all instances.
    """
    message = _LABEL + length_prefixed.join(instance_id.encode(), audience.encode())
    return base64url.encode(hmac.digest(key, message, "sha256"))


def pairwise_device(device_key: bytes, app: str, audience: str, key: bytes) -> str:
    """Return what the instances of one app on one device share at one audience: 43 characters of base64url.

    A gate counts by it and learns nothing else: not the device, not which device it is at another audience, and
    not whether another app is on it.

    :param device_key: what the evidence names the device by; it never leaves the service.
    """
    message = _DEVICE_LABEL + length_prefixed.join(device_key, app.encode(), audience.encode())
    return base64url.encode(hmac.digest(key, message, "sha256"))


_ID_BYTES = 16
"""Random bytes of instance, token and session ids: 128 bits, never met twice."""

_Result = TypeVar("_Result")


async def at_once(work: Callable[[], _Result]) -> _Result:
    """Sign right here: fit for a signer whose key is in this process."""
    return work()


@dataclass(frozen=True, slots=True)
class EnrolmentKeys:
    """Hold the secrets of the service that enrolment works with.

    :param signer: returns the signer of the active token key; asked once for each answer, so that
        a rotation can't come between the key id and the signature.
    :param gate_secret: returns the active gate secret of an audience, from which session keys come.
    :param aside: signs where that may block: a signer that asks another server must not hold up the event loop.
    """

    challenge: bytes
    pairwise: bytes
    signer: Callable[[], Signer]
    gate_secret: Callable[[str], GateSecret]
    aside: Aside = at_once

    def __repr__(self) -> str:
        """Show nothing: a key in a log is a key lost."""
        return "EnrolmentKeys(...)"


class Enrolment:
    """Carry out the three calls of an instance: challenge, enrol, renew."""

    def __init__(
        self,
        *,
        policy: EnrolmentPolicy,
        verifier: EvidenceVerifier,
        store: InstanceStore,
        keys: EnrolmentKeys,
        entropy: Entropy,
        appraisals: AppraisalLog | None = None,
        rejudgement: Rejudgement | None = None,
        codes: OperatorCodeStore | None = None,
        epochs: ChallengeEpochs | None = None,
        room: EnrolmentRoom | None = None,
        refusals: RefusalSigner | None = None,
        sampling: ReceiptSampling | None = None,
        tickets: Tickets | None = None,
    ) -> None:
        """Keep the ports; nothing is called yet.

        :param tickets: let instances renew without their rows; None gives none and takes none.
        :param sampling: when Apple is asked for newer receipts; None asks as soon as Apple allows it.
        :param refusals: signs those that are final; None signs none.
        :param room: bounds how many enrol; None bounds nothing.
        :param epochs: which challenges count; None where the store is never put back.
        :param codes: who knows the codes that enrol test instances; None lets nobody in without evidence.
        :param rejudgement: who revokes instances of revoked certificates; None leaves that out.
        :param appraisals: where appraisals are recorded with what became of them; None records nothing.
        """
        self._policy = policy
        self._verifier = verifier if codes is None else OperatorCodeVerifier(verifier, codes)
        self._validator = StatementValidator(
            policy, self._verifier, keys.challenge, epochs, logged=tickets is not None
        )
        self._codes = codes
        self._store = store
        self._keys = keys
        self._entropy = entropy
        self._appraisals = appraisals
        self._rejudgement = rejudgement
        self.signals: Counter[Reason] = Counter()
        """How often policy told something of an instance that it let in or renewed, since the start."""
        self._room = room
        self._refusals = refusals
        self._sampling = sampling
        self._tickets = tickets

    @property
    def tickets(self) -> Tickets | None:
        """Return who seals tickets for renewals, None where there are none."""
        return self._tickets

    def challenge(
        self, app: str, purpose: Purpose, now: datetime, nonce: bytes | None = None
    ) -> tuple[bytes, int]:
        """Return a challenge and its life in seconds; nothing is stored.

        :param nonce: see :meth:`watchword.enrolment.pace.Pace.admit`.
        :raises RefusedError: ``statement.app_unknown``.
        """
        require_app(self._policy, app)
        made = self._validator.challenges.make(app, purpose, now, self._entropy, nonce)
        return made, CHALLENGE_SECONDS

    async def enrol(self, request: EnrolmentRequest, now: datetime) -> Enrolled:
        """Enrol an instance and return its first tokens, after both are durable.

        1. The statement is read, and is for this issuer, a known app and audiences open to it.
        2. Its challenge was made here for that app, is fresh; its use is recorded in step 6.
        3. There is room for another instance of the app, from this address; the evidence verifies and is bound
           to the statement's bytes.
        4. Policy grants a level of at least the deployment's minimum.
        5. The proof key is the attested key, or is vouched for by the statement.
        6. Challenge, instance and audit entry are stored in one transaction, if device and certificate have
           enrolled no more instances by then than the verdict of step 4 allows; otherwise that step comes again.
        7. No certificate of the evidence was revoked while all this went on.

        :raises RefusedError: with the reason of the first step that failed.
        :raises UnavailableError: where there is no room, or when the store or the signer can't answer; nothing was
            stored.
        """
        statement, app, use = self._validator.validate(
            request.statement, request.evidence, Purpose.ENROL, now
        )
        # Before the evidence, which costs a hundred times more than the rest.
        room = (
            nullcontext() if self._room is None else self._room.room(app.id, request.address, now)
        )
        with room:
            async with self._signing(statement, now):
                appraised = await self._verifier.appraise(request.evidence, statement, app, now)
                done = await self._store_enrolled(statement, app, use, appraised, now)
                while isinstance(done, EnrolledCounts):
                    assert appraised.counted is not None  # Nothing else makes the store count.
                    appraised = appraised.counted.reappraise(done)
                    done = await self._store_enrolled(statement, app, use, appraised, now)
                return done

    def _signing(self, statement: Statement, now: datetime) -> AbstractAsyncContextManager[None]:
        """Return a block whose final refusals are signed, for a statement whose challenge is ours."""
        return nullcontext() if self._refusals is None else self._refusals.over(statement, now)

    async def _store_enrolled(
        self,
        statement: Statement,
        app: AppRegistration,
        use: ChallengeUse,
        appraised: AppraisedEvidence,
        now: datetime,
    ) -> Enrolled | EnrolledCounts:
        """Carry out the steps from 5 on; return how many instances there are if they are too many."""
        enrolled: str | None = None
        overtaken: EnrolledCounts | None = None
        limit = None if appraised.counted is None else appraised.counted.limit
        try:
            self._require_level(appraised.level)
            instance = self._instance(statement, app, appraised, now)
            tokens = await self._keys.aside(lambda: self._issue(instance, statement, now))
            receipt = self._receipt(instance, appraised, now)
            audit = _audit("instance.enrolled", instance, now, appraised.signals, appraised.code)
            if appraised.code is None:
                overtaken = await self._store.enrol(use, instance, audit, receipt, limit)
            else:
                assert self._codes is not None  # Nobody else hands out codes.
                await self._codes.enrol_by_code(appraised.code.id, use, instance, audit)
            if overtaken is not None:
                return overtaken
            if self._rejudgement is not None:
                self._rejudgement.require_standing(instance)
            enrolled = instance.id
            self._count(appraised.signals)
        finally:
            # Recorded as an enrolment only after it was one: the same evidence can be sent again and
            # again, and is accepted each time until its challenge turns out to have been used.
            # One that was overtaken is judged again; what comes of that is recorded.
            recorded = appraised.appraisal if overtaken is None else None
            if self._appraisals is not None and recorded is not None:
                self._appraisals.record(recorded, enrolled)
        return self._answer(instance, tokens, now, now)

    async def renew(self, request: RenewalRequest, now: datetime) -> Enrolled:
        """Return fresh tokens for an instance that proves to hold the key it enrolled with.

        1. and 2. as for :meth:`enrol`, with a challenge and a statement made for renewal.
        3. The instance exists, isn't revoked, hasn't ended, belongs to this environment, is of the
           statement's app, asks for no audience and no keys that it didn't enrol with (other keys are another
           enrolment).
        4. The evidence verifies under the attested key; policy judges anew what it states.
        5. The level still reaches the deployment's minimum, which may have been raised.
        6. Challenge, counter, version and audit entry are stored in one transaction; with tickets, the use of the challenge that
           came with tokens is recorded before that, and with a ticket that counts nothing else is.

        :raises RefusedError: with the reason of the first step that failed.
        :raises UnavailableError: when the store or the signer can't answer; nothing was stored but that the challenge was used.
        """
        statement, app, use = self._validator.validate(
            request.statement, request.evidence, Purpose.RENEW, now, request.instance_id
        )
        async with self._signing(statement, now):
            return await self._renew(request, statement, app, use, now)

    async def _renew(
        self,
        request: RenewalRequest,
        statement: Statement,
        app: AppRegistration,
        use: ChallengeUse,
        now: datetime,
    ) -> Enrolled:
        """Carry out the steps from 3 on."""
        ticket, came_with_tokens = self._opened(request, use, now), use.made_at is not None
        instance = await self._known(request.instance_id, ticket)
        require_alive(instance, self._policy.environment, now)
        require_same(instance, statement)
        renewal = await self._verifier.appraise_renewal(
            request.evidence, statement, instance, app, now
        )
        self._require_level(instance.level)
        stated = _as_stated(instance, renewal)
        tokens = await self._keys.aside(lambda: self._issue(stated, statement, now))
        is_told = renewal.vouched_anew or stated is not instance
        by_ticket = ticket is not None and ticket.counts and not is_told
        if by_ticket and renewal.counter is not None:
            require_higher(renewal.counter, instance.counter)
        if self._tickets is not None and came_with_tokens:
            if by_ticket and request.leave is not None:
                request.leave()
            # Whichever way it goes on: with its ticket, or without one, it counts once.
            await self._store.use_challenge(use, now)
        if ticket is not None and by_ticket:
            renewed = await self._renewed_by_ticket(instance, renewal.counter, now)
            read_at = ticket.read_at
        else:
            # The transaction looks at the instance again: of a revocation and a renewal at the same
            # time one comes first, and a renewal that comes second is refused there.
            if ticket is not None:
                # Its nonce alone decides: the row doesn't know of renewals that came by tickets.
                use = ChallengeUse(use.nonce, use.expires_at)
            renewed = await self._store.renew(
                use,
                instance.id,
                renewal.counter,
                stated.app_version,
                _audit("instance.renewed", stated, now, renewal.signals),
                now if renewal.vouched_anew else None,
                renewal.platform,
                known=None if ticket is not None and ticket.counts else instance,
            )
            read_at = now
        self._count(renewal.signals)
        return self._answer(renewed, tokens, now, read_at)

    def _opened(self, request: RenewalRequest, use: ChallengeUse, now: datetime) -> Ticket | None:
        """Return what the ticket says that came with the same tokens as the challenge, None where there is none."""
        if self._tickets is None or request.ticket is None:
            return None
        ticket = self._tickets.open(request.ticket, request.instance_id, now)
        if ticket is None or ticket.instance.renewed_at != use.made_at:
            return None
        return ticket

    async def _known(self, instance_id: str, ticket: Ticket | None) -> Instance:
        if ticket is not None and ticket.counts:
            return ticket.instance
        found = await self._store.find(instance_id)
        if found is None:
            raise RefusedError.because(Reason.INSTANCE_UNKNOWN, "expected an enrolled instance")
        return found

    async def _renewed_by_ticket(
        self, instance: Instance, counter: int | None, now: datetime
    ) -> Instance:
        """Return the instance as its next ticket has it; nothing is written."""
        assert self._tickets is not None  # Somebody opened one.
        if not self._tickets.stands(instance.id):
            # Somebody revoked it in these moments, or nobody knows: the row says it.
            require_alive(await self._known(instance.id, None), self._policy.environment, now)
        advanced = instance.counter if counter is None else counter
        return replace(instance, counter=advanced, renewed_at=now)

    def _answer(
        self,
        instance: Instance,
        tokens: tuple[IssuedToken, ...],
        now: datetime,
        read_at: datetime,
    ) -> Enrolled:
        """Return the answer with the challenge for the next renewal, which lives as long as a token of it."""
        life = max(token.lifetime for token in tokens)
        challenge = self._validator.challenges.make_next(
            instance.app, instance.id, life, now, self._entropy
        )
        ticket = None if self._tickets is None else self._tickets.seal(instance, read_at)
        return Enrolled(instance, tokens, NextChallenge(challenge, life, ticket))

    def _receipt(
        self, instance: Instance, appraised: AppraisedEvidence, now: datetime
    ) -> StoredReceipt | None:
        due_at = appraised.receipt_due_at
        if appraised.receipt is None or due_at is None:
            return None
        if self._sampling is not None:
            due_at = self._sampling.due_at(instance.app, due_at, now)
        return StoredReceipt(instance.id, instance.app, appraised.receipt, due_at)

    def _count(self, signals: tuple[Refusal, ...]) -> None:
        self.signals.update({signal.reason for signal in signals})

    def _instance(
        self,
        statement: Statement,
        app: AppRegistration,
        appraised: AppraisedEvidence,
        now: datetime,
    ) -> Instance:
        return Instance(
            id=self._random_id(),
            app=app.id,
            app_version=appraised.app_version,
            platform=appraised.platform or app.platform.value,
            format=appraised.format,
            level=appraised.level,
            attested_key=appraised.attested_key,
            proof_jwk=statement.proof_jwk or appraised.attested_jwk,
            seal_jwk=statement.seal_jwk,
            audiences=statement.audiences,
            enrolled_at=now,
            renewed_at=now,
            renewed_days=1,
            counter=appraised.counter,
            attested_at=now if appraised.code is None else None,
            serials=appraised.serials,
            device_key=appraised.device_key,
            attester_serial=appraised.attester_serial,
            test=self._policy.environment is Environment.LAB or appraised.code is not None,
            expires_at=None if appraised.code is None else _end(appraised.code, now),
        )

    def _require_level(self, level: Level) -> None:
        minimum = self._policy.minimum_level
        if not level.satisfies(minimum):
            raise RefusedError.because(
                Reason.POLICY_LEVEL, f"got {level.value}, expected {minimum.value}"
            )

    def _issue(
        self, instance: Instance, statement: Statement, now: datetime
    ) -> tuple[IssuedToken, ...]:
        """Sign one token for each audience; they share nothing that would link them but ``cnf``.

        Beside each goes its session key, sealed to the instance: whoever takes the token alone, on
        the way or out of a log, can't prove a request with it.

        :raises MalformedError: ``statement.key`` if nothing can be sealed to the instance's key.
        """
        signer = self._keys.signer()
        issued_at = int(now.timestamp())
        name = thumbprint(instance.proof_jwk)
        tokens = []
        for audience in statement.audiences:
            secret = self._keys.gate_secret(audience)
            lifetime = self._policy.lifetime(audience)
            if instance.expires_at is not None:
                # No token outlives its instance; at least a second is left, since the end is a whole one.
                lifetime = min(lifetime, int(instance.expires_at.timestamp()) - issued_at)
            claims = TokenClaims(
                issuer=self._policy.issuer,
                audience=audience,
                subject=pairwise_subject(instance.id, audience, self._keys.pairwise),
                issued_at=issued_at,
                expires_at=issued_at + lifetime,
                token_id=self._random_id(),
                environment=self._policy.environment,
                app_id=instance.app,
                app_version=instance.app_version,
                level=instance.level,
                key=instance.proof_jwk,
                session_id=self._random_id(),
                epoch=secret.epoch,
                binding=statement.bnd,
                device_for_session=statement.device_for_session
                and audience in self._policy.device_for_session,
                os=_counted_by(instance),
                device=None
                if instance.device_key is None
                else pairwise_device(
                    instance.device_key, instance.app, audience, self._keys.pairwise
                ),
            )
            key = derive_key(
                secret.secret,
                issuer=claims.issuer,
                audience=audience,
                session_id=claims.session_id,
                thumbprint=name,
            )
            sealed = seal(key, instance.seal_jwk, statement.binding, claims.session_id)
            token = issue(claims, signer)
            tokens.append(IssuedToken(audience, token, lifetime, sealed))
        return tuple(tokens)

    def _random_id(self) -> str:
        return base64url.encode(self._entropy.token_bytes(_ID_BYTES))


def _as_stated(instance: Instance, renewal: AppraisedRenewal) -> Instance:
    """Return the instance itself where its evidence states nothing new, as it does nearly always."""
    version = renewal.app_version or instance.app_version
    platform = renewal.platform or instance.platform
    if (version, platform) == (instance.app_version, instance.platform):
        return instance
    return replace(instance, app_version=version, platform=platform)


def _counted_by(instance: Instance) -> str | None:
    """Return the system that gates count the instance by, None where no evidence states one of those that they know.

    Nothing finer than a major version goes into tokens: no API learns a phone's build, model or key from it.
    """
    if instance.format == OPERATOR_CODE or not OS_CLAIM.fullmatch(instance.platform):
        return None
    return instance.platform


def _end(code: OperatorCode, now: datetime) -> datetime:
    """Return when the instance of a code ends, as the whole second that its last token can name."""
    return (now + code.instance_for).replace(microsecond=0)


def _audit(
    action: str,
    instance: Instance,
    now: datetime,
    signals: tuple[Refusal, ...],
    code: OperatorCode | None = None,
) -> AuditEntry:
    detail: dict[str, Any] = {
        "app": instance.app,
        "app_version": instance.app_version,
        "format": instance.format,
        "level": instance.level.value,
    }
    if signals:
        detail["signals"] = [str(signal) for signal in signals]
    if instance.expires_at is not None:
        detail |= {"test": True, "expires_at": moment(instance.expires_at)}
    if code is not None:
        # No policy saw it and no record of an appraisal is kept: there was nothing to appraise.
        detail |= {"code": code.id, "appraised": False, "because": code.because}
    return AuditEntry(now, "instance", action, instance.id, detail)
