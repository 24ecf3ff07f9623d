"""Declare what the core needs from the outside, and the records that go across.

Protocols and frozen records only; each port has one folder under ``watchword.adapters``.
Implementations raise :class:`watchword.reasons.UnavailableError` when they can't answer, and nothing
else that isn't a :class:`watchword.reasons.WatchwordError`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from watchword.reasons import Refusal
from watchword.vocabulary import Level

if TYPE_CHECKING:
    # A type alone: those who hold no key load nothing of keys.
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey


class Clock(Protocol):
    """Tell the time."""

    def now(self) -> datetime:
        """Return the time as an aware datetime in UTC."""

    def timestamp(self) -> float:
        """Return the same time as seconds since 1970-01-01 UTC."""


class Entropy(Protocol):
    """Give unpredictable bytes."""

    def token_bytes(self, count: int) -> bytes:
        """Return ``count`` bytes that nobody can guess."""


class Signer(Protocol):
    """Sign with one private key that never leaves it."""

    @property
    def kid(self) -> str:
        """Return the key's id as it stands in the JWKS."""

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte r||s of ES256 (RFC 7518 section 3.4) over ``message``."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """Hold one public token key.

    :param verify_until: seconds since 1970 after which its tokens are refused as signed by a
        retired key; None while it isn't retired.
    """

    kid: str
    key: "EllipticCurvePublicKey"
    verify_until: float | None = None


class VerificationKeys(Protocol):
    """Find token keys by id; never fetches, never blocks."""

    def find(self, kid: str) -> VerificationKey | None:
        """Return the key with this id, None if there is none."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """Hold one trust anchor: a vendor root, known by its public key alone.

    Roots are re-issued with new dates under the same key, so that neither the certificate's
    bytes nor its validity mean anything (Android's 2016 root expired on 2026-05-24).

    :param vendor: ``apple-app-attest`` or ``android-key``.
    :param kind: ``production``; ``software`` (a root known to vouch for nothing but software);
        ``lab`` (a simulated vendor: only in a lab environment, only on loopback).
    :param spki: DER SubjectPublicKeyInfo.
    :param subject: DER Name of the root, for chains that omit the root; empty if unknown.
    """

    name: str
    vendor: str
    kind: str
    spki: bytes
    subject: bytes = b""


class TrustAnchors(Protocol):
    """Know the vendor roots that this deployment trusts; never a system store."""

    def for_vendor(self, vendor: str) -> Sequence[Anchor]:
        """Return the anchors of one vendor, possibly none."""


@dataclass(frozen=True, slots=True)
class RevocationEntry:
    """Hold what a vendor says of one certificate: ``REVOKED`` or ``SUSPENDED``, and why."""

    status: str
    reason: str


class RevocationStatus(Protocol):
    """Know which attestation certificates the vendor withdrew; never fetches, never blocks."""

    @property
    def digest(self) -> str:
        """Return a name of the entries as a whole (SHA-256 in hex), empty where there is no list."""

    def find(self, serial_hex: str) -> RevocationEntry | None:
        """Return the entry for a serial in lower-case hex without leading zeros."""

    def is_known(self, now: datetime) -> bool:
        """Tell whether there is a list, and it is recent enough to answer at ``now``."""


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """Hold one request to a vendor's server; the body and the headers may hold secrets."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class FetchResponse:
    """Hold a vendor's answer, whatever its status; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class Fetcher(Protocol):
    """Speak HTTPS with vendors: certificates checked, no redirects, bounded time and size."""

    async def fetch(self, request: FetchRequest) -> FetchResponse:
        """Return the answer.

        :raises UnavailableError: ``vendor.unavailable`` when there is none, or it is too large.
        """


class PlayDecoder(Protocol):
    """Have Google decode Play Integrity tokens of apps whose keys it keeps."""

    async def decode(self, package: str, token: bytes) -> bytes:
        """Return ``tokenPayloadExternal`` as JSON.

        :raises RefusedError: ``play.token`` when Google says that this isn't a token of the package.
        :raises UnavailableError: ``vendor.unavailable`` when Google can't answer now, or a quota is
            exhausted.
        """


class ReceiptServer(Protocol):
    """Have Apple refresh App Attest receipts."""

    async def refresh(self, app: str, receipt: bytes) -> bytes | None:
        """Return a newer receipt for an app (its name in the configuration), None if there is none yet.

        :raises RefusedError: ``app_attest.receipt`` when Apple won't have this receipt, ever.
        :raises UnavailableError: ``vendor.unavailable`` otherwise; ``retry_after`` says when to try.
        """


@dataclass(frozen=True, slots=True)
class Instance:
    """Hold one enrolled installation of an app.

    :param id: random, 22 characters of base64url.  The phone and the operator know it (answers,
        log, audit trail), APIs never do: they see pairwise subjects.  It isn't a secret, since a
        renewal needs the instance's key too.
    :param platform: its system, and the major version where its evidence stated one last, such as ``android-16``.
    :param format: the evidence format that enrolled it; renewals must fit it.
    :param attested_key: SPKI DER of the key that the vendor attested.
    :param proof_jwk: public JWK that its tokens carry as ``cnf``.
    :param seal_jwk: public JWK to which secrets are sealed.
    :param audiences: the API audiences it may ask tokens for.
    :param counter: highest App Attest counter seen; 0 where the format has none.
    :param test: True for one that no vendor vouched for: the lab's (worth nothing outside of it), or by operator code.
    :param attested_at: when the vendor last vouched for it; a renewal by its key alone doesn't count.
    :param serials: serials in hex of the certificates that vouched for it, for later revocations.
    :param device_key: SHA-256 shared by all instances of one device; None where that can't be told.
    :param attester_serial: serial in hex of the certificate of the key that attested it; None where there is none.
    :param risk_metric: Apple's count of attestations of the device in 30 days, once it is known.
    :param expires_at: when a test instance that came by an operator's code ends; None for all others.
    """

    id: str
    app: str
    app_version: str | None
    platform: str
    format: str
    level: Level
    attested_key: bytes
    proof_jwk: Mapping[str, str]
    seal_jwk: Mapping[str, str]
    audiences: tuple[str, ...]
    enrolled_at: datetime
    renewed_at: datetime
    counter: int = 0
    revoked_at: datetime | None = None
    revoked_because: str | None = None
    test: bool = False
    attested_at: datetime | None = None
    serials: tuple[str, ...] = ()
    device_key: bytes | None = None
    attester_serial: str | None = None
    risk_metric: int | None = None
    expires_at: datetime | None = None
    renewed_days: int = 0


@dataclass(frozen=True, slots=True)
class RevokedInstance:
    """Hold what gates need to know of an instance that was revoked."""

    id: str
    audiences: tuple[str, ...]
    revoked_at: datetime


@dataclass(frozen=True, slots=True)
class RevocationCursor:
    """Say how far revocations were read.

    :param sequence: of the last audit entry that was looked at, or was there when all of them were begun.
    :param row: time and row of the last instance while all of them are being read, None once they were.
    """

    sequence: int
    row: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class RevocationNews:
    """Hold a part of who was revoked since somebody asked last.

    :param cursor: what to ask with next time.
    :param instances: may name one twice, and one that was named before.
    :param anew: whether all are told from here on, since the store doesn't know what was told before.
    :param more: whether there are more by now.
    """

    cursor: RevocationCursor
    instances: Sequence[RevokedInstance]
    anew: bool
    more: bool


@dataclass(frozen=True, slots=True)
class StoredReceipt:
    """Hold the newest App Attest receipt of an instance.

    :param due_at: when to ask Apple for a newer one.
    :param failures: how often asking failed in a row.
    """

    instance_id: str
    app: str
    receipt: bytes = field(repr=False)
    due_at: datetime
    failures: int = 0


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Hold one line of the durable audit trail: who did what to which instance, and why.

    :param number: its place in the trail, greater than that of every earlier entry; 0 before it is there.
    """

    at: datetime
    actor: str
    action: str
    subject: str
    detail: Mapping[str, Any] = field(default_factory=dict)
    number: int = field(default=0, compare=False)


MOST_AUDIT_SCANNED: Final = 20_000
"""Entries of the audit trail that one query looks at: it has no index by subject, and others wait for the store."""


@dataclass(frozen=True, slots=True)
class ChallengeUse:
    """Hold the one use of a challenge: its nonce, and the instant after which it can be forgotten.

    After ``expires_at`` the challenge is refused for its age, so that the nonce needn't be kept.

    :param made_at: when the challenge was made, for one that came with an instance's tokens; None for
        one that was asked for.
    """

    nonce: bytes
    expires_at: datetime
    made_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class EnrolledCounts:
    """Count instances that enrolled: of one device, and of an app under one attestation certificate.

    :param device: None where that can't be told; ``serial`` likewise, and at most :data:`MOST_UNDER_SERIAL`.
    """

    device: int | None = None
    serial: int | None = None


@dataclass(frozen=True, slots=True)
class CountLimit:
    """Let one more instance enrol after at most so many since an instant; a count of None is no limit."""

    since: datetime
    most: EnrolledCounts

    def is_exceeded(self, by: EnrolledCounts) -> bool:
        """Tell whether there are more of either kind."""
        pairs = ((by.device, self.most.device), (by.serial, self.most.serial))
        return any(count is not None and most is not None and count > most for count, most in pairs)


MOST_UNDER_SERIAL: Final = 100_000
"""How far instances under one certificate are counted: so many phones share one of a factory's.

What an enrolment costs the store stays bounded, however many a leaked key has enrolled.
"""


class InstanceStore(Protocol):
    """Keep instances, used challenges and the audit trail, in transactions.

    Each writing method is one transaction, durable when it returns (also across a loss of
    power), and raises :class:`UnavailableError` with ``store.unavailable`` leaving nothing behind.
    """

    async def enrol(
        self,
        use: ChallengeUse,
        instance: Instance,
        audit: AuditEntry,
        receipt: StoredReceipt | None = None,
        limit: CountLimit | None = None,
    ) -> EnrolledCounts | None:
        """Consume the challenge, add the instance and its receipt, return None.

        :param limit: when there are more instances by now, nothing is written, and their counts returned.
        :raises RefusedError: ``challenge.used`` when the nonce was used before (of several racing
            for it exactly one wins), ``instance.exists`` when the attested key is enrolled.
        """

    async def renew(
        self,
        use: ChallengeUse,
        instance_id: str,
        counter: int | None,
        app_version: str | None,
        audit: AuditEntry,
        attested_at: datetime | None = None,
        platform: str | None = None,
        known: Instance | None = None,
    ) -> Instance:
        """Consume the challenge, raise the counter (compare-and-set), mark the day, return the new state.

        :param audit: of the instant at which it renews; the trail gets it where it says more than that the instance goes
            on (:func:`watchword.enrolment.renewal_days.is_told`).
        :param counter: must be greater than the stored one; None where the format has none.
        :param app_version: replaces the stored one; None leaves it.
        :param attested_at: when the vendor vouched for it anew; None leaves that as it was.
        :param platform: replaces the stored one; None leaves it.
        :param known: the instance as it was read moments ago, which saves a round trip where it is still so; else, and
            with None, it is read again.
        :raises RefusedError: ``challenge.used``, ``challenge.superseded`` for one that was made before the
            instance renewed last, ``instance.unknown``, ``instance.revoked``, ``instance.counter``.
        """

    async def use_challenge(self, use: ChallengeUse, now: datetime) -> None:
        """Consume the challenge of a next renewal and nothing else; many that come at the same time are one row.

        The transactions of this store know nothing of it, nor this of theirs: where it is asked of one such challenge, it is asked
        of all.

        :raises RefusedError: ``challenge.used``; ``challenge.superseded`` where no more can be remembered.
        """

    async def count_enrolled(
        self, app: str, device_key: bytes | None, attester_serial: str | None, since: datetime
    ) -> EnrolledCounts:
        """Return how many instances were enrolled at or after ``since``."""

    async def instances_with_serials(
        self, serials: Sequence[str], limit: int
    ) -> Sequence[Instance]:
        """Return at most ``limit`` instances that aren't revoked and that one of these certificates vouched for.

        :param serials: in lower-case hex without leading zeros; hundreds at a time.
        """

    async def revoke_all(self, at: datetime, because: str, audits: Sequence[AuditEntry]) -> int:
        """Mark the instances that the entries are about as revoked; return how many weren't before.

        An instance that is unknown or revoked already is passed over, and its entry isn't kept.
        """

    async def due_receipts(self, app: str, now: datetime, limit: int) -> Sequence[StoredReceipt]:
        """Return at most ``limit`` receipts of an app's instances that are due, the longest due first.

        One that is due in more than 40 days was planned by a clock that ran ahead, and is due too.
        A revocation drops the receipt of its instance.
        """

    async def put_receipt(
        self, receipt: StoredReceipt, risk_metric: int | None, audit: AuditEntry | None
    ) -> None:
        """Replace the receipt of an instance; a risk metric of None leaves the known one as it was.

        Nothing is kept where the instance has no receipt any more, since it was revoked meanwhile.
        """

    async def find(self, instance_id: str) -> Instance | None:
        """Return one instance, None if there is none."""

    async def revoke(
        self, instance_id: str, at: datetime, because: str, audit: AuditEntry
    ) -> Instance:
        """Mark an instance as revoked; a second time changes nothing.

        :raises RefusedError: ``instance.unknown``.
        """

    async def revocations(
        self, since: datetime, after: RevocationCursor | None, limit: int
    ) -> RevocationNews:
        """Return who was revoked; it costs what was written to the store meanwhile, and not what it holds.

        :param since: nobody who was revoked before is asked for.
        :param after: the cursor of the answer before; None asks for all.
        :param limit: most instances to return, besides those that couldn't be written yet.
        """

    async def list_instances(
        self, limit: int, app: str | None = None, before: str | None = None
    ) -> Sequence[Instance]:
        """Return at most ``limit`` instances, newest first.

        :param app: only instances of this app.
        :param before: the id of the last instance of an earlier listing, which is continued.
        :raises RefusedError: ``instance.unknown`` when there is no instance ``before``.
        """

    async def audit_entries(
        self, limit: int, subject: str | None = None, before: int | None = None
    ) -> Sequence[AuditEntry]:
        """Return at most ``limit`` audit entries, newest first, among :data:`MOST_AUDIT_SCANNED` of them.

        :param subject: only what was done to this instance, key, code or secret.
        :param before: only entries with a smaller number; None begins with the newest.
        """

    async def audit_from(self, number: int, limit: int) -> Sequence[AuditEntry]:
        """Return at most ``limit`` audit entries with this number or a greater one, oldest first."""

    async def add_audit(self, entry: AuditEntry) -> None:
        """Add an entry that belongs to no other write, such as a rotation of keys."""

    async def forget_expired(self, now: datetime) -> int:
        """Drop used challenges that expired before ``now``; return how many."""

    async def check_writable(self) -> None:
        """Return if the store could take a write now, and none failed a moment ago."""

    def close(self) -> None:
        """Wait for the running call and let go of the store; it can't be used afterwards."""


class RefusalLog(Protocol):
    """Count refusals in memory; a flood of them costs no disk and bounded memory."""

    def record(self, refusals: Sequence[Refusal], where: str) -> None:
        """Count the refusals under their codes and keep a sample for the operator."""


class RecordLog(Protocol):
    """Keep records of verifications for a while: bounded in age and in space."""

    def append(self, line: bytes, at: datetime, *, refused: bool) -> None:
        """Keep one record; of a process that is killed right afterwards too.

        :param line: one line, its newline included.
        :param refused: it is one of refused evidence, of which strangers can cause any number.
        :raises UnavailableError: ``store.unavailable`` when there is no room or the disk refuses.
        """

    def forget_expired(self, now: datetime) -> None:
        """Drop the records that are older than they may become.

        :raises UnavailableError: ``store.unavailable`` when the disk refuses.
        """
