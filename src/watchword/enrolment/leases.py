"""Define leases: which instance holds which version of a secret, and until when."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from watchword.ports import AuditEntry, ChallengeUse


@dataclass(frozen=True, slots=True)
class Lease:
    """Hold that an instance was handed a secret; of the secret itself only name and version are here.

    There is one for each instance and secret at most: whoever asks again while it lives continues it.

    :param id: random, 22 characters of base64url; the same for as long as the lease is continued.
    :param issued_at: of its first delivery; ``delivered_at`` of its last one.
    :param expires_at: until when the instance may keep what it was handed last.
    :param deliveries: how often it was handed out under this lease, from 1.
    """

    id: str
    instance_id: str
    secret: str
    version: int
    app: str
    app_version: str | None
    issued_at: datetime
    delivered_at: datetime
    expires_at: datetime
    deliveries: int = 1


@dataclass(frozen=True, slots=True)
class LeaseCount:
    """Hold how many instances of one app version hold one version of a secret.

    :param leases: those that live; ``withdrawn`` beside them, those whose instance was revoked before their time:
        nobody gets the secret under them again, and what was handed out before stays on the phone.
    :param latest_expiry: when the last of them all ends.
    :param latest_delivery: when one of them was handed out last.
    """

    secret: str
    version: int
    app: str
    app_version: str | None
    leases: int
    withdrawn: int
    latest_expiry: datetime
    latest_delivery: datetime


class LeaseStore(Protocol):
    """Keep leases beside the instances, in the same transactions.

    Each writing method is one transaction, durable when it returns, and raises :class:`UnavailableError`
    with ``store.unavailable`` leaving nothing behind.
    """

    async def deliver(
        self,
        use: ChallengeUse,
        lease: Lease,
        counter: int | None,
        audit: Callable[[Lease], AuditEntry],
        attested_at: datetime | None = None,
    ) -> Lease:
        """Consume the challenge, raise the counter as a renewal does, keep the lease; return it as it is kept.

        Where the instance has a lease of this secret that lives, that one is continued: it keeps its id and
        the time of its first delivery, and takes all else of ``lease``.

        :param lease: as it is if there is none that lives.
        :param counter: must be greater than the stored one; None where the format has none.
        :param audit: makes the entry from the lease as it is kept.
        :param attested_at: when the vendor vouched for the instance anew; None leaves that as it was.
        :raises RefusedError: ``challenge.used``, ``instance.unknown``, ``instance.revoked``, ``instance.counter``.
        """

    async def leases(self, now: datetime, secret: str | None = None) -> Sequence[LeaseCount]:
        """Return who holds secrets at an instant: by secret, version, app and app version, in this order.

        :param secret: only this one's.
        """

    async def forget_leases(self, now: datetime) -> int:
        """Drop leases that expired before ``now``; return how many."""
