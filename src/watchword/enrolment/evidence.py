"""Judge evidence at enrolment, and go on judging it: renewals, receipts, withdrawn certificates, operators' codes.

At enrolment the registered formats verify and the policy appraises.  Whoever takes a leaked attestation key enrols as many
instances as he likes before the vendor notices.  When its certificate is REVOKED at last, every instance that it vouched
for goes; one that is merely SUSPENDED is for policy, which refuses renewals as long as that lasts.

App Attest receipts are refreshed when they are due: a newer one states how many keys the device had attested in 30 days.
No request waits for that, and whatever fails is tried again later.

An operator code is no evidence format of ``attestation/registry.py``.  A format reads bytes into claims of a device,
purely, and a policy judges those.  A code makes no claim: it is looked up in the store, and the operator decided what it
is worth.  As a format it would need a policy that accepts "no claims", which is the debug token that nobody wants, and
every offline verifier would have to refuse it.  So evidence that names a code never reaches formats or policy, and no
other evidence reaches the codes.
"""

import hashlib
import hmac
import math
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Protocol

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from watchword.attestation import play_tokens
from watchword.attestation.attestation_object import read_attestation_object
from watchword.attestation.certificates import is_p256_signature, load_p256
from watchword.attestation.claims import UnverifiedClaims, VerifiedClaims
from watchword.attestation.formats import android_key
from watchword.attestation.interface import (
    FORMAT,
    AppAttestAttestation,
    AppRegistration,
    Attestation,
    EvidenceFormat,
    Expected,
    IssuerCache,
    PlayIntegrityPayload,
    PlayIntegrityToken,
    ProofKeySignature,
    Trust,
    expect_members,
    read_bytes,
)
from watchword.attestation.proof_key_renewal import (
    examine_proof_key_signature,
    read_proof_key_signature,
)
from watchword.attestation.receipts import examine_refreshed, next_attempt, next_due, read_receipt
from watchword.attestation.registry import (
    examine,
    find_format,
    require_verified,
    verify,
    verify_renewal,
    with_formats,
)
from watchword.encoding import base64url
from watchword.encoding.phrases import moment
from watchword.enrolment.interface import (
    CHALLENGE_SECONDS,
    Appraisal,
    AppraisalLog,
    AppraisedEvidence,
    AppraisedRenewal,
    CountedInstances,
    DeviceHistory,
    EnrolmentPolicy,
    EvidenceVerifier,
    NotedStatus,
    OperatorCode,
    OperatorCodeStore,
    Statement,
    StatusNotes,
)
from watchword.enrolment.tickets import revision_of
from watchword.policy.interface import Circumstances, Policy, Standing, Verdict
from watchword.policy.service import (
    appraise,
    appraise_renewal,
    appraise_standing,
    standing_signals,
)
from watchword.ports import (
    AuditEntry,
    CountLimit,
    EnrolledCounts,
    Entropy,
    Instance,
    InstanceStore,
    PlayDecoder,
    ReceiptServer,
    RevocationEntry,
    RevocationStatus,
    StoredReceipt,
)
from watchword.reasons import (
    MalformedError,
    Reason,
    Refusal,
    RefusedError,
    UnavailableError,
    lasting_first,
)
from watchword.tokens.jose import jwk_from_public_key, public_info, public_key_from_jwk
from watchword.vocabulary import ApplePlatform, Distribution, Level, Platform, Vendor, Withdrawal

RECEIPTS_AT_ONCE: Final = 10
"""Most receipts of an app that Apple is asked for in one round, one after the other."""

LOOKED_AT: Final = 100
"""Most receipts of an app that one round chooses from."""

SERVER_FAILURES: Final = 3
"""A server that fails so often in a row is left alone for a while."""

OWN_FAILURES: Final = 5
"""So many receipts in a row that Apple refuses, or answers wrongly, look like a fault of the server."""

LEAST_PAUSE: Final = timedelta(hours=1)
"""A receipt is never asked for more often than this, whatever it says itself."""

LONGEST_PAUSE: Final = timedelta(hours=1)
"""Longest pause for a whole app while its receipts fail."""

FIRST_REFUSAL_PAUSE: Final = timedelta(days=1)
REFUSAL_PAUSE: Final = timedelta(days=7)
"""When a receipt that Apple refused is sent again: a wrong server or a fault of its network refuses too."""

FURTHEST: Final = timedelta(days=30)
"""No receipt is due later than this; a due date that is further away comes from a clock that ran ahead."""


def receipt_to_keep(
    attestation: Attestation, claims: UnverifiedClaims, now: datetime
) -> tuple[bytes, datetime] | tuple[None, None]:
    """Return the receipt inside evidence that was verified, and when to have it refreshed.

    Only one that verified is kept: what nobody vouches for isn't sent to Apple under the team's name.
    """
    if claims.receipt is None or not isinstance(attestation, AppAttestAttestation):
        return None, None
    due_at = next_due(claims.receipt, now)
    if due_at is None:
        return None, None
    receipt = read_attestation_object(attestation.attestation).receipt
    return receipt, min(due_at, now + FURTHEST)


ALL_RECEIPTS: Final = 100
"""The share, in percent, with which each receipt is asked for as often as Apple allows it."""


@dataclass(frozen=True, slots=True)
class ReceiptSampling:
    """Spread receipts over days, so that Apple is asked for a share of them a day.

    Of each receipt it is drawn once, when it is kept, on which day it is asked for: with a share of 10 % on the first day in one
    case of ten, on the second in one of ten that are left, and so on.  So nothing is written for those that wait, and nobody can
    tell which instance is looked at.  It comes at the latest after :data:`FURTHEST`, before Apple would take it no more.

    :param shares: by app, in percent; an app that isn't here has :data:`ALL_RECEIPTS`.
    """

    shares: Mapping[str, int]
    entropy: Entropy

    def due_at(self, app: str, at: datetime, now: datetime) -> datetime:
        """Return when to ask for a receipt that Apple would exchange from ``at`` on."""
        share = self.shares.get(app, ALL_RECEIPTS)
        if share >= ALL_RECEIPTS:
            return at
        drawn = (int.from_bytes(self.entropy.token_bytes(_DRAWN_BYTES)) + 1) / 256**_DRAWN_BYTES
        days = min(int(math.log(drawn) / math.log1p(-share / ALL_RECEIPTS)), FURTHEST.days)
        return min(at + timedelta(days=days), max(at, now + FURTHEST))


_DRAWN_BYTES: Final = 6


class RefreshOutcome(StrEnum):
    """Say what came of one receipt.

    ``refreshed``: a newer one is kept.  ``unchanged``: Apple has none yet.  ``failed``: no answer, or one that
    can't be believed.  ``refused``: Apple won't have the receipt.  The last two are tried again.
    """

    REFRESHED = "refreshed"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class _Answer:
    """Hold what came of asking for one receipt.

    :param kept: what is to be stored.  ``metric``: the risk metric, if there is one.
    :param why: what went wrong, empty where nothing did.
    :param limit: how many such answers in a row end the round.
    :param wait: for how long the server asks to be left alone.
    """

    outcome: RefreshOutcome
    kept: StoredReceipt
    metric: int | None = None
    why: str = ""
    limit: int = OWN_FAILURES
    wait: timedelta = timedelta(0)


@dataclass(slots=True)
class _Trouble:
    """Hold how often an app's receipts failed in a row, why, and until when it is left alone."""

    in_a_row: int = 0
    pauses: int = 0
    until: datetime | None = None
    why: str = ""

    def lasts(self, now: datetime) -> bool:
        """Tell whether to wait; a clock that was set back doesn't make that longer."""
        return self.until is not None and now < self.until <= now + LONGEST_PAUSE

    def note(self, answer: _Answer, now: datetime) -> None:
        """Take in what came of a receipt; any that went well ends the trouble."""
        if not answer.why:
            self.in_a_row, self.pauses, self.until = 0, 0, None
            return
        self.in_a_row += 1
        if self.in_a_row >= answer.limit:
            self.pause(now, answer.wait)

    def pause(self, now: datetime, wait: timedelta = timedelta(0)) -> None:
        """Leave the app alone: pauses double up to an hour, or are as long as the server asks."""
        self.pauses += 1
        self.until = min(max(next_attempt(self.pauses, now), now + wait), now + LONGEST_PAUSE)

    def place(self, count: int) -> int:
        """Return which of so many receipts to ask for: the first one, after a failure one elsewhere.

        Receipts that fail by themselves often stand together, and mustn't keep all others waiting.
        """
        return (0, count - 1, count // 2)[self.in_a_row % 3]


class ReceiptRefresh:
    """Refresh the receipts that are due; of each app one round runs at a time."""

    def __init__(
        self,
        store: InstanceStore,
        server: ReceiptServer,
        trust: Trust,
        sampling: ReceiptSampling | None = None,
    ) -> None:
        """Keep the ports; nothing is called yet.

        :param sampling: when newer receipts are due; None asks for each as often as Apple allows it.
        """
        self._store = store
        self._server = server
        self._sampling = sampling
        self._trust = trust
        self._troubles: dict[str, _Trouble] = {}
        self.outcomes: Counter[RefreshOutcome] = Counter()
        self.due: Counter[str] = Counter()
        """How many receipts of each app the last round found due, at most :data:`LOOKED_AT`."""

    def trouble(self, app: str) -> str:
        """Return why receipts of an app failed last, empty once a round went well; holds no secret."""
        trouble = self._troubles.get(app)
        return "" if trouble is None else trouble.why

    async def round(self, app: str, now: datetime) -> int:
        """Refresh some receipts of an app that are due; return how many were asked for.

        The round ends with the third failure of the server in a row (:data:`SERVER_FAILURES`), or the fifth
        receipt in a row that fails by itself, and the app is left alone for a while.

        :raises UnavailableError: when the store can't answer.  An answer of Apple's that couldn't be
            kept is asked for again.
        """
        trouble = self._troubles.setdefault(app, _Trouble())
        if trouble.lasts(now):
            return 0
        waiting = list(await self._store.due_receipts(app, now, LOOKED_AT))
        self.due[app] = len(waiting)
        asked, why = 0, ""
        while waiting and asked < RECEIPTS_AT_ONCE and not trouble.lasts(now):
            receipt = waiting.pop(trouble.place(len(waiting)))
            if _has_expired(receipt, now):
                # Apple takes it no more.  It is looked at again all the same: the clock may be wrong today.
                await self._store.put_receipt(replace(receipt, due_at=now + FURTHEST), None, None)
                continue
            asked += 1
            try:
                answer = await self._refresh(receipt, now)
            except UnavailableError:
                # The store can't keep the answer: Apple isn't asked for it again at once.
                trouble.pause(now)
                raise
            self.outcomes[answer.outcome] += 1
            trouble.note(answer, now)
            why = answer.why or why
        if asked:
            trouble.why = why
        return asked

    async def _refresh(self, old: StoredReceipt, now: datetime) -> _Answer:
        """Ask for one receipt and keep what came of it, in one transaction."""
        answer = await self._asked(old, now)
        metric = answer.metric
        audit = None if metric is None else await self._audit(old, metric, now)
        await self._store.put_receipt(answer.kept, metric, audit)
        return answer

    async def _asked(self, old: StoredReceipt, now: datetime) -> _Answer:
        """Return what came of asking, and what is to be kept."""
        try:
            newer = await self._server.refresh(old.app, old.receipt)
        except UnavailableError as error:
            return _failed_server(old, error, now)
        except RefusedError as error:
            pause = REFUSAL_PAUSE if old.failures else FIRST_REFUSAL_PAUSE
            kept = replace(old, due_at=now + pause, failures=old.failures + 1)
            return _Answer(RefreshOutcome.REFUSED, kept, why=str(error))
        if newer is None:
            waiting = replace(old, due_at=now + LEAST_PAUSE, failures=0)
            return _Answer(RefreshOutcome.UNCHANGED, waiting)
        try:
            claims = examine_refreshed(old.receipt, newer, self._trust, now)
        except RefusedError as error:
            # Somebody between Apple and us, or a fault of Apple's: the old receipt stays.
            why = f"Apple's server sent another receipt than the next one: {error}"
            return _Answer(RefreshOutcome.FAILED, _later(old, now), why=why)
        due_at = max(next_due(claims, now) or now, now + LEAST_PAUSE)
        if self._sampling is not None:
            due_at = self._sampling.due_at(old.app, due_at, now)
        kept = StoredReceipt(old.instance_id, old.app, newer, min(due_at, now + FURTHEST))
        return _Answer(RefreshOutcome.REFRESHED, kept, claims.risk_metric)

    async def _audit(self, old: StoredReceipt, metric: int, now: datetime) -> AuditEntry | None:
        """Return the entry that tells of a change of the risk metric."""
        instance = await self._store.find(old.instance_id)
        known = None if instance is None else instance.risk_metric
        if known == metric:
            return None
        detail = {"app": old.app, "before": known, "now": metric}
        return AuditEntry(now, "vendor", "instance.risk_metric", old.instance_id, detail)


def _has_expired(receipt: StoredReceipt, now: datetime) -> bool:
    try:
        expires_at = read_receipt(receipt.receipt).expires_at
    except MalformedError:
        return False
    return expires_at is not None and expires_at <= now


def _failed_server(old: StoredReceipt, error: UnavailableError, now: datetime) -> _Answer:
    wait = timedelta(seconds=error.retry_after)
    kept = _later(old, now, wait)
    return _Answer(RefreshOutcome.FAILED, kept, why=error.detail, limit=SERVER_FAILURES, wait=wait)


def _later(old: StoredReceipt, now: datetime, wait: timedelta = timedelta(0)) -> StoredReceipt:
    failures = old.failures + 1
    asked = now + min(wait, timedelta(days=1))
    return replace(old, due_at=max(next_attempt(failures, now), asked), failures=failures)


_FORMATS_WITH_LIST: Final = frozenset({android_key.NAME})
"""Formats whose every instance is vouched for by certificates that a status list covers."""


def standing_of(
    instance: Instance,
    evidence_format: EvidenceFormat,
    revocation: RevocationStatus | None,
    now: datetime,
    app: AppRegistration | None = None,
    distribution: Distribution | None = None,
) -> Standing:
    """Return what policy judges of an instance between two attestations.

    Where the certificates of an instance should be known and aren't, nobody can know whether one was revoked.
    """
    withdrawn: RevocationEntry | None = None
    known: bool | None = None
    if revocation is not None:
        found = [revocation.find(serial) for serial in instance.serials]
        entries = [entry for entry in found if entry is not None]
        # A policy may let suspended certificates pass; behind one there may be a revoked one.
        entries.sort(key=lambda entry: entry.status == Withdrawal.SUSPENDED)
        withdrawn = entries[0] if entries else None
        if instance.serials:
            known = revocation.is_known(now)
        elif instance.format in _FORMATS_WITH_LIST:
            known = False
    return Standing(
        format=instance.format,
        level=instance.level,
        attested_at=instance.attested_at or instance.enrolled_at,
        withdrawn=withdrawn,
        revocation_known=known,
        risk_metric=instance.risk_metric,
        key_attested=evidence_format.attested_key_proves or not _renews_by_proof_key(instance),
        app=app,
        distribution=distribution,
    )


def require_same_device(claims: UnverifiedClaims, instance: Instance) -> None:
    """Refuse evidence made anew that vouches for something else than the instance.

    Otherwise a genuine device could vouch, again and again, for instances on others.  A device key is
    compared where the instance has one: evidence that doesn't tell devices apart can't vouch for it.

    :raises RefusedError: ``attestation.binding``.
    """
    if claims.public_key is not None and claims.public_key != instance.attested_key:
        raise RefusedError.because(
            Reason.ATTESTATION_BINDING, "it attests another key than the instance's"
        )
    if instance.device_key is not None and claims.device_key != instance.device_key:
        raise RefusedError.because(
            Reason.ATTESTATION_BINDING, "it is of another device than the instance's"
        )


def _renews_by_proof_key(instance: Instance) -> bool:
    """Tell whether the key that renews is the one that its own statement brought along.

    That is so where the evidence attested none, whatever the format's classes are called.  A format that
    attests the very key that the statement holds is taken for one as well: it renews for
    a shorter time than it could.
    """
    return public_info(instance.proof_jwk) == instance.attested_key


BECAUSE: Final = "certificate revoked by vendor"
"""Why an instance was revoked, in the store and in the audit trail."""

ACTOR: Final = "vendor"

SERIALS_AT_ONCE: Final = 500
INSTANCES_AT_ONCE: Final = 100
"""Bounds of one call of the store, so that requests get their turn in between."""


class WithdrawnCertificates(Protocol):
    """Know the certificates that vendors withdrew, and all that they revoked."""

    @property
    def digest(self) -> str:
        """Return a name of the entries as a whole."""

    def find(self, serial_hex: str) -> RevocationEntry | None:
        """Return the entry for a serial, None if there is none."""

    def revoked(self) -> Sequence[str]:
        """Return the serials whose status is REVOKED."""


class Rejudgement:
    """Revoke the instances of revoked certificates; belongs to one event loop."""

    def __init__(
        self,
        store: InstanceStore,
        withdrawn: WithdrawnCertificates,
        issuers: IssuerCache | None = None,
    ) -> None:
        """Keep the ports; the first sweep looks at everything.

        :param issuers: is cleared when the list changes.
        """
        self._store = store
        self._withdrawn = withdrawn
        self._issuers = issuers
        self._swept: str | None = None
        self.revoked = 0
        """How many instances were revoked, since the start."""

    async def sweep(self, now: datetime) -> int:
        """Revoke what the list says by now, if it isn't done yet; return how many instances that were.

        What is done is remembered for the process alone and only after the last batch: after a
        kill or an error everything is looked at again, which changes nothing that was done.

        :raises UnavailableError: when the store can't answer; the next call begins anew.
        """
        digest = self._withdrawn.digest
        if digest == self._swept:
            return 0
        if self._issuers is not None:
            self._issuers.clear()
        # Set first: what calls for another sweep meanwhile must not be overwritten at the end.
        self._swept = digest
        before = self.revoked
        try:
            serials = self._withdrawn.revoked()
            for start in range(0, len(serials), SERIALS_AT_ONCE):
                await self._revoke(serials[start : start + SERIALS_AT_ONCE], now)
        except BaseException:
            self._swept = None
            raise
        return self.revoked - before

    def require_standing(self, instance: Instance) -> None:
        """Refuse an instance that was committed although one of its certificates is revoked.

        Evidence that was verified under the old list can be committed after the sweep for the new
        one.  Asked after the commit this finds it: a list that comes later has its sweep after the
        commit, and one that came before is asked here.  Nobody gets a token, and the next sweep
        revokes the instance.

        :raises RefusedError: ``attestation.revoked``.
        """
        found = (self._withdrawn.find(serial) for serial in instance.serials)
        if any(entry is not None and entry.status == Withdrawal.REVOKED for entry in found):
            self._swept = None
            raise RefusedError.because(
                Reason.ATTESTATION_REVOKED, "a certificate was revoked in these moments"
            )

    async def _revoke(self, serials: Sequence[str], now: datetime) -> None:
        while True:
            found = await self._store.instances_with_serials(serials, INSTANCES_AT_ONCE)
            if not found:
                return
            audits = [_audit(instance, now) for instance in found]
            self.revoked += await self._store.revoke_all(now, BECAUSE, audits)


def _audit(instance: Instance, now: datetime) -> AuditEntry:
    # Neither the serial nor the entry: a remotely provisioned certificate is one device's alone.
    detail = {"because": BECAUSE, "app": instance.app, "format": instance.format}
    return AuditEntry(now, ACTOR, "instance.revoked", instance.id, detail)


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

        :param challenge: one that was made here and lives; it is remembered for as long as one that was asked for
            can live.  One that came with tokens can live longer: then it buys a question each five minutes.
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


class FormatEvidenceVerifier:
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
        self._revisions: dict[str, tuple[Policy, AppRegistration, str, bytes]] = {}
        self._policy = policy
        self._history = history
        self._formats = with_formats(formats)
        self._play_decoders = play_decoders
        self._appraisals = appraisals
        self._vendor_limit = VendorRateLimiter()
        self.contradictions: Counter[str] = Counter()

    def go_by(self, policy: Policy) -> None:
        """Appraise by another policy from now on."""
        self._policy = policy

    def states_proof_key(self, evidence: Mapping[str, Any], app: AppRegistration) -> bool:
        """See :meth:`watchword.enrolment.interface.EvidenceVerifier.states_proof_key`."""
        return not self._format_for(evidence, app).attested_key_proves

    def revision(self, app: AppRegistration) -> bytes:
        """Return a digest of what a renewal of this app is judged by: policy, registration and status list."""
        status = self._trust.revocation
        digest = "" if status is None else status.digest
        known = self._revisions.get(app.id)
        if known is None or known[:3] != (self._policy, app, digest):
            found = revision_of(self._policy, app, digest)
            known = self._revisions[app.id] = (self._policy, app, digest, found)
        return known[3]

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
        version, platform = examined.app_version, None
        standing = standing_of(
            instance, evidence_format, self._trust.revocation, now, app, examined.distribution
        )
        anew = renewal.attestation if isinstance(renewal, ProofKeySignature) else None
        if anew is not None:
            attestation = await self._decoded(anew, statement, app, now)
            case = _Case(evidence, evidence_format, attestation, statement, app, now)
            claims = self._vouched_anew(case, instance)
            version, platform = _version(claims, app), stated_platform(claims)
            standing = replace(standing, attested_at=now)
        refusals = appraise_renewal(version, app)
        refusals += appraise_standing(standing, self._policy, Circumstances(now))
        if refusals:
            raise RefusedError(lasting_first(refusals))
        signals = standing_signals(standing, self._policy)
        return AppraisedRenewal(examined.counter, version, anew is not None, signals, platform)

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
            raise RefusedError(lasting_first(verdict.refusals))
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
            platform=stated_platform(claims),
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
            raise RefusedError(lasting_first(verdict.refusals))
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


_ANDROID_BY_API_LEVEL: Final = dict(
    zip(range(21, 37), (5, 5, 6, 7, 7, 8, 8, 9, 10, 11, 12, 12, 13, 14, 15, 16), strict=True)
)
"""Major versions of Android (https://stinger.io/mobile/android/App-Discovery/Android-API-Versions, read 2026-11-29)."""

_MAJOR_DIGITS: Final = 3


def stated_platform(claims: UnverifiedClaims) -> str:
    """Return the system that verified evidence is of, with its major version where that is stated: ``android-16``, ``ios``.

    An iPad's is ``ios``; a system of Apple's that is neither has its own name, such as ``macos``.
    """
    apple, play, patches = claims.apple, claims.play, claims.patches
    family, major = claims.platform.value, None
    if claims.platform is Platform.ANDROID:
        if patches is not None and patches.os_version is not None:
            major = patches.os_version // 10_000
        elif play is not None and play.sdk_version is not None:
            major = _ANDROID_BY_API_LEVEL.get(play.sdk_version)
    elif apple is not None:
        if apple.platform not in {None, ApplePlatform.IPADOS}:
            family = apple.platform.value
        # An own format may put any text there.
        stated = (apple.os_version or "").partition(".")[0]
        major = int(stated) if stated.isdecimal() and len(stated) <= _MAJOR_DIGITS else None
    return f"{family}-{major}" if major and 0 < major < 10**_MAJOR_DIGITS else family


def _version(claims: UnverifiedClaims, app: AppRegistration) -> str | None:
    return None if claims.app is None else claims.app.versions.get(app.app_id)


CODE_PREFIX: Final = "wwt_"
"""How every code begins: scanners for leaked secrets find it, and no shell takes it for an option."""

_ID_BYTES: Final = 9
_SECRET_BYTES: Final = 24
_ID_CHARACTERS: Final = 12
CODE_CHARACTERS: Final = len(CODE_PREFIX) + _ID_CHARACTERS + 32
"""Characters of a code, no more and no less."""

_DIGEST_LABEL: Final = b"watchword/operator-code/v1\0"


@dataclass(frozen=True, slots=True)
class PresentedCode:
    """Hold a code that somebody sent: its name, and the digest that the right one has."""

    id: str
    digest: bytes = field(repr=False)


def make_code(entropy: Entropy) -> tuple[str, PresentedCode]:
    """Return a new code as it is shown once, and what is kept of it."""
    name = base64url.encode(entropy.token_bytes(_ID_BYTES))
    text = CODE_PREFIX + name + base64url.encode(entropy.token_bytes(_SECRET_BYTES))
    return text, PresentedCode(name, _digest(text))


def read_code(value: Any) -> PresentedCode:
    """Return the code in a member of evidence; whether there is such a code is for the store.

    :raises MalformedError: ``evidence.malformed`` for what no code looks like.
    """
    if (
        not isinstance(value, str)
        or len(value) != CODE_CHARACTERS
        or not value.startswith(CODE_PREFIX)
    ):
        raise MalformedError.because(
            Reason.EVIDENCE_MALFORMED, f"code: expected {CODE_CHARACTERS} characters of a code"
        )
    try:
        base64url.decode(value.removeprefix(CODE_PREFIX))
    except MalformedError as error:
        raise error.as_reason(Reason.EVIDENCE_MALFORMED, "code") from None
    start = len(CODE_PREFIX)
    return PresentedCode(value[start : start + _ID_CHARACTERS], _digest(value))


def _digest(text: str) -> bytes:
    return hashlib.sha256(_DIGEST_LABEL + text.encode()).digest()


MIN_LIFE: Final = timedelta(minutes=1)
DEFAULT_CODE_LIFE: Final = timedelta(minutes=15)
MAX_CODE_LIFE: Final = timedelta(days=1)
"""How long a code waits for its use."""

DEFAULT_INSTANCE_LIFE: Final = timedelta(days=1)
MAX_INSTANCE_LIFE: Final = timedelta(days=30)
"""How long a test instance lives."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """Hold what an operator wants; whatever it is from was checked for its form alone.

    :param because: why, for the audit trail.
    :param actor: who asks, as in the audit trail.
    """

    app: str
    level: Level
    expires_in: timedelta
    instance_for: timedelta
    because: str
    actor: str


class Invitations:
    """Make, list and cancel codes; each change is audited with its actor."""

    def __init__(self, policy: EnrolmentPolicy, codes: OperatorCodeStore, entropy: Entropy) -> None:
        """Keep the ports; nothing is called yet."""
        self._policy = policy
        self._codes = codes
        self._entropy = entropy

    async def invite(self, wanted: Invitation, now: datetime) -> tuple[OperatorCode, str]:
        """Make a code; return what is kept of it, and the code, which is never seen again.

        :raises RefusedError: ``statement.app_unknown``; ``policy.level`` for a level that the deployment
            doesn't enrol; ``request.malformed`` for a life out of its bounds.
        :raises UnavailableError: when the store can't answer; there is no code then.
        """
        self._require_possible(wanted)
        text, kept = make_code(self._entropy)
        code = OperatorCode(
            id=kept.id,
            digest=kept.digest,
            app=wanted.app,
            level=wanted.level,
            instance_for=wanted.instance_for,
            made_at=now,
            made_by=wanted.actor,
            because=wanted.because,
            expires_at=now + wanted.expires_in,
        )
        detail = {
            "because": code.because,
            "app": code.app,
            "level": code.level.value,
            "expires_at": moment(code.expires_at),
            "instance_for": int(code.instance_for.total_seconds()),
        }
        await self._codes.add_code(
            code, AuditEntry(now, wanted.actor, "test_code.made", code.id, detail)
        )
        return code, text

    async def listed(self, limit: int) -> Sequence[OperatorCode]:
        """Return the newest codes, whatever became of them."""
        return await self._codes.list_codes(limit)

    async def cancel(self, code_id: str, actor: str, now: datetime) -> OperatorCode:
        """Cancel an unused code; a second time changes nothing.

        :raises RefusedError: ``request.not_found``; ``evidence.operator_code`` for one that was used: it is the
            instance that has to be revoked then.
        """
        entry = AuditEntry(now, actor, "test_code.cancelled", code_id)
        code = await self._codes.cancel_code(code_id, entry)
        if code is None:
            raise RefusedError.because(
                Reason.REQUEST_NOT_FOUND, "expected the id of an operator code"
            )
        if code.used_at is not None:
            raise RefusedError.because(
                Reason.EVIDENCE_OPERATOR_CODE,
                f"it was used, and enrolled {code.instance_id}: revoke that instance",
            )
        return code

    def _require_possible(self, wanted: Invitation) -> None:
        if wanted.app not in self._policy.apps:
            raise RefusedError.because(
                Reason.STATEMENT_APP_UNKNOWN,
                f"expected one of: {', '.join(sorted(self._policy.apps))}",
            )
        minimum = self._policy.minimum_level
        if wanted.level is Level.NONE or not wanted.level.satisfies(minimum):
            raise RefusedError.because(
                Reason.POLICY_LEVEL,
                f"got {wanted.level.value}, expected {minimum.value}, which is the least that enrols here",
            )
        _require_between("expires_in", wanted.expires_in, MAX_CODE_LIFE)
        _require_between("instance_for", wanted.instance_for, MAX_INSTANCE_LIFE)


def _require_between(name: str, life: timedelta, most: timedelta) -> None:
    if not MIN_LIFE <= life <= most:
        raise RefusedError.because(
            Reason.REQUEST_MALFORMED,
            f"expected {name} from {MIN_LIFE.total_seconds():.0f} to {most.total_seconds():.0f} seconds",
        )


NAME: Final = "operator_code"
"""The format's name on the wire; its instances are known by it."""

KEY_PREFIX: Final = b"watchword/test/v1\0"
"""What stands before the binding under the proof key's signature (protocol, section 3)."""

_NO_DIGEST: Final = bytes(32)
"""Compared with where there is no code, so that its absence takes as long as a wrong one."""


class OperatorCodeVerifier:
    """Implement :class:`watchword.enrolment.interface.EvidenceVerifier` in front of another one."""

    def __init__(self, inner: EvidenceVerifier, codes: OperatorCodeStore) -> None:
        """Keep who verifies everything else, and who knows the codes."""
        self._inner = inner
        self._codes = codes

    def states_proof_key(self, evidence: Mapping[str, Any], app: AppRegistration) -> bool:
        """See the port: nothing else than the statement brings the key."""
        return _is_code(evidence) or self._inner.states_proof_key(evidence, app)

    async def appraise(
        self,
        evidence: Mapping[str, Any],
        statement: Statement,
        app: AppRegistration,
        now: datetime,
    ) -> AppraisedEvidence:
        """Verify a code: ``{"code", "key_signature": base64url DER}``.

        1. Both members are there and have their form.
        2. The statement's proof key signed ``"watchword/test/v1" 0x00`` and the binding, so that a code
           can't be spent on somebody else's key.
        3. The code is the one that was made, for this app, unused, neither cancelled nor expired.  Whether
           it still is when it is used is for the transaction that enrols.

        Strangers can't tell the causes of step 3 apart; operators read them in the detail.

        :raises RefusedError: ``evidence.malformed``, ``evidence.signature``, ``evidence.operator_code``.
        :raises UnavailableError: when the store can't answer; it is asked in step 3 alone.
        """
        if not _is_code(evidence):
            return await self._inner.appraise(evidence, statement, app, now)
        expect_members(evidence, {"code", "key_signature"})
        presented = read_code(evidence["code"])
        signature = read_bytes("key_signature", evidence["key_signature"])
        assert statement.proof_jwk is not None  # Enrolment asked for it before.
        key = public_key_from_jwk(statement.proof_jwk)
        spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if not is_p256_signature(spki, signature, KEY_PREFIX + statement.binding):
            raise RefusedError.because(
                Reason.EVIDENCE_SIGNATURE, "key_signature: not signed by the proof key over this"
            )
        code = _require_good(await self._codes.find_code(presented.id), presented, app, now)
        return AppraisedEvidence(
            format=NAME,
            level=code.level,
            attested_key=spki,
            attested_jwk=statement.proof_jwk,
            app_version=None,
            code=code,
        )

    async def appraise_renewal(
        self,
        evidence: Mapping[str, Any],
        statement: Statement,
        instance: Instance,
        app: AppRegistration,
        now: datetime,
    ) -> AppraisedRenewal:
        """Verify a renewal by the proof key alone: ``{"signature": base64url DER}``.

        Nobody vouches anew; that the instance's time isn't over was checked before.

        :raises RefusedError: ``evidence.malformed``, ``evidence.platform``, ``evidence.signature``.
        """
        if not _is_code(evidence):
            return await self._inner.appraise_renewal(evidence, statement, instance, app, now)
        if instance.format != NAME:
            raise RefusedError.because(
                Reason.EVIDENCE_PLATFORM, f"got {NAME}, expected {instance.format} as at enrolment"
            )
        found = examine_proof_key_signature(
            read_proof_key_signature({k: v for k, v in evidence.items() if k != FORMAT}),
            statement.raw,
            instance.attested_key,
            app,
            app.platform,
        )
        if found.refusals:
            raise RefusedError(found.refusals)
        return AppraisedRenewal(counter=None)


def _is_code(evidence: Mapping[str, Any]) -> bool:
    return evidence.get(FORMAT) == NAME


def _require_good(
    found: OperatorCode | None, presented: PresentedCode, app: AppRegistration, now: datetime
) -> OperatorCode:
    """Return the code if it is the one that was made and can be used.

    Compared in constant time: the name in front of the secret can be known, from a log or an old listing.
    """
    digest = _NO_DIGEST if found is None else found.digest
    is_right = hmac.compare_digest(digest, presented.digest)
    if found is None or not is_right:
        why = "there is no such code"
    elif found.app != app.id:
        why = f"it is for {found.app}"
    else:
        why = found.held_against(now)
    if why or found is None:
        raise RefusedError.because(Reason.EVIDENCE_OPERATOR_CODE, why)
    return found
