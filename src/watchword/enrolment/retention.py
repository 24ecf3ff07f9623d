"""Say how long an instance is kept, and what is known of one: expiry, deletion on request, and export.

An instance that is dropped is a stranger: its app enrols anew by itself.  One that is deleted on request stays as a revoked
one without anything of its device (:data:`ERASED`), until no token and no ticket of it can count any more.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Protocol

from watchword.ports import AuditEntry, Instance, StoredReceipt

if TYPE_CHECKING:
    # Types alone: who reads the settings loads nothing that enrols.
    from watchword.enrolment.delivery import Lease
    from watchword.enrolment.interface import OperatorCode

ERASED: Final = "-"
"""The format of an instance that was deleted on request; no evidence format has this name."""

ERASED_BECAUSE: Final = "deleted"
"""Why such an instance is revoked."""

LEFT_FOR: Final = timedelta(days=2)
"""How long such an instance is known: longer than its tokens, at most an hour, and its tickets, at most a day."""

LEAST_KEPT: Final = timedelta(days=30)
"""The least time after which an unused or revoked instance may be dropped: beyond the 24 hours in which enrolments are counted."""


@dataclass(frozen=True, slots=True)
class RetentionTerms:
    """Say how long instances are kept; None keeps them.

    :param unused: since they were issued tokens last; ``revoked`` since they were revoked.
    """

    unused: timedelta | None = None
    revoked: timedelta | None = None

    def __post_init__(self) -> None:
        """Refuse times in which an instance may still count for something.

        :raises ValueError: for less than :data:`LEAST_KEPT`.
        """
        for each in (self.unused, self.revoked):
            if each is not None and each < LEAST_KEPT:
                raise ValueError(f"got {each}, expected at least {LEAST_KEPT}")

    def at(self, now: datetime) -> "ExpiryTerms":
        """Return what is over at an instant."""
        unused = None if self.unused is None else now - self.unused
        revoked = None if self.revoked is None else now - self.revoked
        return ExpiryTerms(unused, revoked)


KEPT_FOR_EVER: Final = RetentionTerms()


@dataclass(frozen=True, slots=True)
class ExpiryTerms:
    """Say what is over: what was used, or revoked, before an instant; None where nothing is."""

    used_before: datetime | None
    revoked_before: datetime | None


@dataclass(frozen=True, slots=True)
class Candidates:
    """Hold instances of one piece of the store whose time is over.

    :param after: where to go on; None at the end.
    """

    names: Sequence[str]
    after: int | None


@dataclass(frozen=True, slots=True)
class Dropped:
    """Count instances that were dropped in one transaction: unused ones, and revoked ones."""

    unused: int = 0
    revoked: int = 0

    @property
    def total(self) -> int:
        """Return how many they are."""
        return self.unused + self.revoked


@dataclass(frozen=True, slots=True)
class Dossier:
    """Hold all that the store keeps of an instance, but for the entries of the audit trail.

    :param leases: with the instant at which each was withdrawn, None for one that wasn't.
    :param code: the operator's code by which it enrolled, None for any other.
    """

    instance: Instance
    receipt: StoredReceipt | None
    leases: "Sequence[tuple[Lease, datetime | None]]"
    code: "OperatorCode | None"


def erased(instance: Instance, at: datetime) -> Instance:
    """Return what is left of an instance that is deleted: its name, its app and its APIs, which gates are told."""
    ended = at if instance.revoked_at is None else instance.revoked_at
    return replace(
        instance,
        app_version=None,
        platform=ERASED,
        format=ERASED,
        # No key has this form; the column asks for one that nobody else has.
        attested_key=ERASED.encode() + instance.id.encode(),
        proof_jwk={},
        seal_jwk={},
        enrolled_at=ended,
        renewed_at=ended,
        counter=0,
        revoked_at=ended,
        revoked_because=ERASED_BECAUSE,
        test=False,
        attested_at=None,
        serials=(),
        device_key=None,
        attester_serial=None,
        risk_metric=None,
        expires_at=None,
        renewed_days=0,
    )


class RetentionStore(Protocol):
    """Drop instances, and tell what is kept of one.

    Each writing method is one transaction, durable when it returns, and raises :class:`UnavailableError` with
    ``store.unavailable`` leaving nothing behind.
    """

    async def over(self, terms: ExpiryTerms, after: int, limit: int) -> Candidates:
        """Look through one piece of the store for instances whose time is over.

        One that holds a lease isn't among them: what was handed to it counts until the lease ends.

        :param after: what the answer before said; 0 begins.
        :param limit: most instances to return.
        """

    async def drop(
        self, names: Sequence[str], terms: ExpiryTerms, audit: Callable[[Dropped], AuditEntry]
    ) -> Dropped:
        """Drop those of the instances whose time is over still; an entry is written where any was dropped.

        One that another transaction holds is passed over.
        """

    async def drop_erased(self, before: datetime, limit: int) -> int:
        """Drop at most ``limit`` instances that were deleted on request and revoked before an instant; return how many."""

    async def erase(self, instance_id: str, at: datetime, audit: AuditEntry) -> Instance | None:
        """Revoke an instance and delete all that is kept of it but :func:`erased`; return that, None where it was deleted before.

        :raises RefusedError: ``instance.unknown``.
        """

    async def erase_again(self, erasures: Sequence[AuditEntry]) -> int:
        """Erase those of the subjects that are there and weren't; return how many."""

    async def dossier(self, instance_id: str) -> Dossier | None:
        """Return what is kept of an instance; None where there is none, or it was deleted."""

    async def instances_of_device(self, device_key: bytes, limit: int) -> Sequence[Instance]:
        """Return at most ``limit`` instances of a device, the first ones first."""

    async def names(
        self, after: int, limit: int
    ) -> tuple[Sequence[tuple[str, tuple[str, ...]]], int | None]:
        """Return ids and audiences of instances in one piece of the store, and where to go on; None at the end."""


@dataclass(slots=True)
class BatchSize:
    """Choose how many instances are dropped in one transaction, by how long the last one took.

    Others wait for as long as it takes: enrolments in SQLite, and on PostgreSQL those that want the disk.
    """

    size: int = 10

    def note(self, seconds: float) -> None:
        """Take in how long a transaction took, waiting for its turn included."""
        if seconds > _LONG:
            self.size = max(1, self.size // 2)
        elif seconds < _SHORT:
            self.size = min(MOST_AT_ONCE, self.size * 2)


MOST_AT_ONCE: Final = 30
"""Most instances that are dropped in one transaction."""

_LONG: Final = 0.02
_SHORT: Final = 0.008
