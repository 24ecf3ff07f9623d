"""Define enrolment: statement and evidence give an instance and its tokens, and an appraisal that can be recorded."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any, Protocol

from watchword.attestation.claims import UnverifiedClaims
from watchword.attestation.interface import AppRegistration, Attestation
from watchword.policy.interface import Circumstances, Policy, Verdict
from watchword.ports import (
    Anchor,
    AuditEntry,
    ChallengeUse,
    CountLimit,
    EnrolledCounts,
    Instance,
    RevocationEntry,
    RevocationStatus,
)
from watchword.reasons import Refusal
from watchword.vocabulary import Environment, Level, Purpose


@dataclass(frozen=True, slots=True)
class OperatorCode:
    """Hold what is kept of a code.

    :param id: names it; isn't secret.
    :param digest: of the code as a whole, see :func:`read_code`.
    :param app: the one app whose instance it enrols.
    :param level: what that instance gets, on the operator's word alone.
    :param instance_for: how long the instance lives from its enrolment on.
    :param made_by: the actor, as in the audit trail.
    :param expires_at: until when the code can be used.
    :param instance_id: what it enrolled; None while it is unused.
    """

    id: str
    digest: bytes = field(repr=False)
    app: str
    level: Level
    instance_for: timedelta
    made_at: datetime
    made_by: str
    because: str
    expires_at: datetime
    used_at: datetime | None = None
    instance_id: str | None = None
    revoked_at: datetime | None = None

    def held_against(self, now: datetime) -> str:
        """Return why it can't be used at ``now``, empty if it can."""
        if self.used_at is not None:
            return "it was used"
        if self.revoked_at is not None:
            return "it was cancelled"
        if now >= self.expires_at:
            return "it expired"
        return ""


class OperatorCodeStore(Protocol):
    """Keep operator codes beside the instances, in the same transactions.

    The instance store is one.  Each writing method is one transaction, durable when it returns; all
    raise :class:`watchword.reasons.UnavailableError` with ``store.unavailable``.
    """

    async def add_code(self, code: OperatorCode, audit: AuditEntry) -> None:
        """Keep a new code."""

    async def find_code(self, code_id: str) -> OperatorCode | None:
        """Return the code of this name, None if there is none."""

    async def list_codes(self, limit: int) -> Sequence[OperatorCode]:
        """Return at most ``limit`` codes, newest first, also those that can't be used any more."""

    async def cancel_code(self, code_id: str, audit: AuditEntry) -> OperatorCode | None:
        """Cancel a code as of the entry's time, unless it was used or cancelled; return its state.

        The entry is kept only where that changed something.  None if there is no such code.
        """

    async def enrol_by_code(
        self, code_id: str, use: ChallengeUse, instance: Instance, audit: AuditEntry
    ) -> None:
        """Use up code and challenge and add the instance, all of it or nothing.

        Of several that race for a code exactly one wins, whichever process it is in.

        :param instance: enrolled at the time at which the code must be good.
        :raises RefusedError: ``evidence.operator_code`` when the code was used, cancelled or expired
            by then; ``challenge.used``; ``instance.exists``.
        """


@dataclass(frozen=True, slots=True)
class NotedStatus:
    """Hold what a status list said while one piece of evidence was verified, and say it again.

    :param entries: by serial in hex; serials that were asked for in vain aren't here.
    """

    digest: str
    known: bool
    entries: Mapping[str, RevocationEntry]

    def find(self, serial_hex: str) -> RevocationEntry | None:
        """Return the entry that there was for a serial, None if there was none."""
        return self.entries.get(serial_hex)

    def is_known(self, now: datetime) -> bool:  # noqa: ARG002 - it was known, or not, at its own time.
        """Tell whether the list was recent enough to answer, then."""
        return self.known


@dataclass(slots=True)
class StatusNotes:
    """Pass questions on to a status list and note the answers.

    The list may be replaced by a newer one at any moment; whoever asks again later may get another
    answer than the one that decided.
    """

    inner: RevocationStatus
    _entries: dict[str, RevocationEntry] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Return the list's digest."""
        return self.inner.digest

    def find(self, serial_hex: str) -> RevocationEntry | None:
        """Return the list's entry for a serial, and note it."""
        entry = self.inner.find(serial_hex)
        if entry is not None:
            self._entries[serial_hex] = entry
        return entry

    def is_known(self, now: datetime) -> bool:
        """Tell whether the list is recent enough to answer."""
        return self.inner.is_known(now)

    def noted(self, now: datetime) -> NotedStatus:
        """Return what was answered so far."""
        return NotedStatus(self.inner.digest, self.inner.is_known(now), dict(self._entries))


@dataclass(frozen=True, slots=True)
class Appraisal:
    """Hold one appraisal of evidence that enrols: what went in, and what came out.

    :param members: the evidence as it was sent.
    :param evidence: what was verified; not what was sent where a vendor decoded it.
    :param claims: None where the evidence couldn't be read far enough; true only where
        ``verification`` is empty.
    :param verification: what the format refused; policy wasn't asked then, and the verdict repeats it.
    :param anchors: all that the verifier could have believed.
    :param status: None where no status list is asked.
    """

    at: datetime
    members: Mapping[str, Any] = field(repr=False)
    evidence: Attestation = field(repr=False)
    binding: bytes
    app: AppRegistration
    claims: UnverifiedClaims | None
    verification: tuple[Refusal, ...]
    anchors: tuple[Anchor, ...]
    status: NotedStatus | None
    policy: Policy
    circumstances: Circumstances
    verdict: Verdict


class AppraisalLog(Protocol):
    """Keep appraisals for people who want to know later why an instance was let in or not."""

    def record(self, appraisal: Appraisal, instance_id: str | None) -> None:
        """Keep an appraisal, if there is room.  Never raises: an enrolment doesn't hang on it.

        :param instance_id: the instance that it enrolled, None if it enrolled none.
        """


MAX_STATEMENT_BYTES = 4096
"""Most bytes of a statement (protocol, section 1)."""

CHALLENGE_SECONDS = 300
"""Life of a challenge: long enough for a slow vendor call on a bad network."""


@dataclass(frozen=True, slots=True)
class Statement:
    """Hold a client statement that was read strictly; what it says is not yet verified.

    :param binding: SHA-256 of the bytes as received.
    :param proof_jwk: P-256 public key of the instance; None on Android, where the attested key
        itself is the proof key (docs/adr/0002).
    :param secret: name of the secret that is asked for; None for every other purpose.
    :param device_for_session: the instance asks to prove with its own key where routes want a session proof (``prf``).
    """

    purpose: Purpose
    issuer: str
    audiences: tuple[str, ...]
    app: str
    challenge: bytes
    proof_jwk: Mapping[str, str] | None
    seal_jwk: Mapping[str, str]
    bnd: str | None
    raw: bytes
    binding: bytes
    secret: str | None = None
    device_for_session: bool = False


@dataclass(slots=True)
class EnrolmentPolicy:
    """Hold what the service knows from ``watchword.yaml``: one object for all who go by it, so that a change reaches all at once.

    :param apps: by app id.
    :param audiences: by app id: the API audiences that this app may ask tokens for.
    :param minimum_level: instances below it are neither enrolled nor renewed.
    :param token_lifetime: seconds, 30 to 3600, for audiences without one of their own.
    :param device_for_session: the API audiences whose ``session`` routes take the instance's own key.
    :param lifetimes: by audience, in seconds, 30 to 3600.
    """

    issuer: str
    environment: Environment
    apps: Mapping[str, AppRegistration]
    audiences: Mapping[str, frozenset[str]]
    minimum_level: Level
    token_lifetime: int
    device_for_session: frozenset[str] = frozenset()
    lifetimes: Mapping[str, int] = field(default_factory=dict)

    def lifetime(self, audience: str) -> int:
        """Return how long a token for an audience lives, in seconds."""
        return self.lifetimes.get(audience, self.token_lifetime)

    @property
    def longest_lifetime(self) -> int:
        """Return how long the tokens live that live longest, in seconds."""
        return max((self.token_lifetime, *self.lifetimes.values()))

    def become(self, other: "EnrolmentPolicy") -> None:
        """Say what another one says from now on; requests that are under way go on by either."""
        for each in fields(self):
            setattr(self, each.name, getattr(other, each.name))


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """Hold one token for one audience; ``lifetime`` is in seconds from its issue.

    :param sealed_key: the session key, sealed to the instance's seal key
        (:mod:`watchword.tokens.envelope`); nobody else can read it.
    """

    audience: str
    token: str
    lifetime: int
    sealed_key: bytes


@dataclass(frozen=True, slots=True)
class NextChallenge:
    """Hold the challenge for the next renewal of one instance; ``lifetime`` is in seconds from its issue.

    :param ticket: to be sent along with it; None where the service gives none (:mod:`watchword.enrolment.tickets`).
    """

    challenge: bytes
    lifetime: int
    ticket: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Enrolled:
    """Hold the answer to an enrolment or a renewal."""

    instance: Instance
    tokens: tuple[IssuedToken, ...]
    next: NextChallenge


@dataclass(frozen=True, slots=True)
class EnrolmentRequest:
    """Hold what a client sent to enrol; nothing of it is verified.

    :param statement: the statement's bytes as received.
    :param evidence: the members of the evidence, ``format`` among them.
    :param address: the prefix of the address that it comes from, None where that tells no client from another.  It
        proves nothing, and is neither stored nor logged.
    """

    statement: bytes
    evidence: Mapping[str, Any]
    address: str | None = None


class EnrolmentRoom(Protocol):
    """Bound how many instances enrol."""

    def room(self, app: str, address: str | None, now: datetime) -> AbstractContextManager[None]:
        """Take room for one enrolment of an app; an exception in the block gives it back.

        :param address: as in :class:`EnrolmentRequest`.
        :raises UnavailableError: ``enrolment.limit``, with the seconds until there is room.
        """


@dataclass(frozen=True, slots=True)
class RenewalRequest:
    """Hold what a client sent to renew, or to be handed a secret; nothing of it is verified.

    :param leave: is called before a renewal waits for others, with which it is written; all that costs much is done by then.
    """

    instance_id: str
    statement: bytes
    evidence: Mapping[str, Any]
    ticket: bytes | None = None
    leave: Callable[[], None] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class AppraisedEvidence:
    """Hold what enrolment needs of evidence that was verified and that policy accepted.

    :param attested_key: SPKI DER of a key on P-256; ``attested_jwk`` is the same key as a JWK.  Where the
        evidence attests no key, both are those of the statement's proof key.
    :param counter: App Attest's counter; 0 where the format has none.
    :param serials: serials in hex of the certificates that vouched for it.
    :param device_key: SHA-256 shared by all instances of one device; None where that can't be told.
    :param attester_serial: serial in hex of the certificate of the key that attested it; None where there is none.
    :param receipt: a vendor's receipt to keep, and when to ask for a newer one; None where there is none.
    :param appraisal: how this came about, to be recorded with the instance that it enrols.
    :param counted: how many other instances the verdict depends on; None where it depends on none.
    :param signals: what the policy holds against it without refusing it.
    :param platform: the system and its major version, as the evidence states them; None where it states none.
    :param code: the operator's code that stood in the place of evidence, to be used up with the enrolment;
        None for all evidence of devices.
    """

    format: str
    level: Level
    attested_key: bytes
    attested_jwk: Mapping[str, str]
    app_version: str | None
    counter: int = 0
    serials: tuple[str, ...] = ()
    device_key: bytes | None = None
    attester_serial: str | None = None
    receipt: bytes | None = None
    receipt_due_at: datetime | None = None
    appraisal: Appraisal | None = None
    counted: "CountedInstances | None" = field(default=None, compare=False, repr=False)
    code: OperatorCode | None = None
    signals: tuple[Refusal, ...] = ()
    platform: str | None = None


@dataclass(frozen=True, slots=True)
class CountedInstances:
    """Hold up to which counts of instances a verdict stands, and who judges beyond them.

    Other evidence of the same device, or under the same certificate, can enrol while this one is judged: the store counts again in
    the transaction that enrols.

    :param reappraise: returns what the evidence is worth after so many instances; raises
        :class:`RefusedError` where that is nothing, which is recorded.
    """

    limit: CountLimit
    reappraise: Callable[[EnrolledCounts], AppraisedEvidence]


@dataclass(frozen=True, slots=True)
class AppraisedRenewal:
    """Hold what a renewal needs of evidence that was verified and that policy accepted.

    :param counter: to be compared and set by the store; None where the format has none.
    :param app_version: as the evidence states it, None where it states none.
    :param vouched_anew: the vendor vouched for the instance again, not its key alone.
    :param signals: what the policy holds against it without refusing it.
    :param platform: the system and its major version, as evidence made anew states them; None where none does.
    """

    counter: int | None
    app_version: str | None = None
    vouched_anew: bool = False
    signals: tuple[Refusal, ...] = ()
    platform: str | None = None


class EvidenceVerifier(Protocol):
    """Verify and appraise evidence of every registered format.

    Waits only for what a format can't do without: a vendor that decodes, a store that counts.
    """

    def states_proof_key(self, evidence: Mapping[str, Any], app: AppRegistration) -> bool:
        """Tell whether the statement has to bring a proof key beside evidence of this format.

        It doesn't where the attested key itself signs requests (docs/adr/0002).

        :raises RefusedError: ``evidence.format_unknown`` or ``evidence.platform``.
        """

    async def appraise(
        self,
        evidence: Mapping[str, Any],
        statement: Statement,
        app: AppRegistration,
        now: datetime,
    ) -> AppraisedEvidence:
        """Verify evidence that enrols and is bound to the statement, and let policy judge it.

        :raises RefusedError: with what the format or the policy holds against it.
        :raises UnavailableError: when a vendor or the store can't answer.
        """

    async def appraise_renewal(
        self,
        evidence: Mapping[str, Any],
        statement: Statement,
        instance: Instance,
        app: AppRegistration,
        now: datetime,
    ) -> AppraisedRenewal:
        """Verify evidence that renews this instance; let policy judge what it states anew.

        Policy also judges what became known since the instance enrolled: withdrawn certificates, a risk
        metric, the age of a verdict.

        :raises RefusedError: with what the format or the policy holds against it.
        :raises UnavailableError: when a vendor or the store can't answer.
        """


class DeviceHistory(Protocol):
    """Know how many instances enrolled; the instance store is one."""

    async def count_enrolled(
        self, app: str, device_key: bytes | None, attester_serial: str | None, since: datetime
    ) -> EnrolledCounts:
        """See :meth:`watchword.ports.InstanceStore.count_enrolled`."""
