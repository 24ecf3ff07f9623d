"""Declare what the core needs from the outside, and the records that go across.

Protocols and frozen records only; each port has one folder under ``watchword.adapters``.
Implementations raise :class:`watchword.reasons.UnavailableError` when they can't answer, and nothing
else that isn't a :class:`watchword.reasons.WatchwordError`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from watchword.reasons import Refusal
from watchword.vocabulary import Level


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
    key: EllipticCurvePublicKey
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
    """Know which attestation certificates the vendor withdrew."""

    def find(self, serial_hex: str) -> RevocationEntry | None:
        """Return the entry for a serial in lower-case hex without leading zeros."""


@dataclass(frozen=True, slots=True)
class Instance:
    """Hold one enrolled installation of an app.

    :param id: random, 22 characters of base64url.  The phone and the operator know it (answers,
        log, audit trail), APIs never do: they see pairwise subjects.  It isn't a secret, since a
        renewal needs the instance's key too.
    :param format: the evidence format that enrolled it; renewals must fit it.
    :param attested_key: SPKI DER of the key that the vendor attested.
    :param proof_jwk: public JWK that its tokens carry as ``cnf``.
    :param seal_jwk: public JWK to which secrets are sealed.
    :param audiences: the API audiences it may ask tokens for.
    :param counter: highest App Attest counter seen; 0 where the format has none.
    :param test: True for an instance of the lab, which is worth nothing outside of it.
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


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Hold one line of the durable audit trail: who did what to which instance, and why."""

    at: datetime
    actor: str
    action: str
    subject: str
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChallengeUse:
    """Hold the one use of a challenge: its nonce, and the instant after which it can be forgotten.

    After ``expires_at`` the challenge is refused for its age, so that the nonce needn't be kept.
    """

    nonce: bytes
    expires_at: datetime


class InstanceStore(Protocol):
    """Keep instances, used challenges and the audit trail, in transactions.

    Each writing method is one transaction, durable when it returns (also across a loss of
    power), and raises :class:`UnavailableError` with ``store.unavailable`` leaving nothing behind.
    """

    async def enrol(self, use: ChallengeUse, instance: Instance, audit: AuditEntry) -> None:
        """Consume the challenge and add the instance.

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
    ) -> Instance:
        """Consume the challenge, raise the counter (compare-and-set), return the new state.

        :param counter: must be greater than the stored one; None where the format has none.
        :param app_version: replaces the stored one; None leaves it.
        :raises RefusedError: ``challenge.used``, ``instance.unknown``, ``instance.revoked``,
            ``instance.counter``.
        """

    async def find(self, instance_id: str) -> Instance | None:
        """Return one instance, None if there is none."""

    async def revoke(
        self, instance_id: str, at: datetime, because: str, audit: AuditEntry
    ) -> Instance:
        """Mark an instance as revoked; a second time changes nothing.

        :raises RefusedError: ``instance.unknown``.
        """

    async def recently_revoked(self, since: datetime) -> Sequence[Instance]:
        """Return the instances that were revoked at or after ``since``."""

    async def list_instances(
        self, limit: int, app: str | None = None, before: str | None = None
    ) -> Sequence[Instance]:
        """Return at most ``limit`` instances, newest first.

        :param app: only instances of this app.
        :param before: the id of the last instance of an earlier listing, which is continued.
        :raises RefusedError: ``instance.unknown`` when there is no instance ``before``.
        """

    async def audit_entries(self, limit: int) -> Sequence[AuditEntry]:
        """Return at most ``limit`` audit entries, newest first."""

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
