"""Say which tokens count no more though they haven't ended, whoever holds them: an operator cut them off.

A cut is how a whole fleet is made to renew: genuine instances get another token, and those that the service refuses by now
don't.  A renewal for every instance at once would be a storm, so a cut goes in steps.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from watchword.ports import AuditEntry
from watchword.tokens.interface import TokenClaims
from watchword.vocabulary import Level

BUCKETS: Final = 64
"""Into so many parts instances fall by the first character of their subject, which is an HMAC in base64url."""

MOST_CUTS: Final = 64
"""Most cuts in force at once."""

ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
"""First characters of subjects, in the order in which a cut takes them."""

_BUCKET_OF: Final = {character: index for index, character in enumerate(ALPHABET)}


def bucket_of(subject: str) -> int:
    """Return in which of :data:`BUCKETS` parts an instance falls; 0 for what is no base64url."""
    return _BUCKET_OF.get(subject[:1], 0)


@dataclass(frozen=True, slots=True)
class Cut:
    """Let no token count that was issued before an instant.

    :param app: of which app, by its id in tokens; None means all.
    :param level: of which level, exactly; None means all.
    :param before: seconds since 1970; tokens issued in or after this second hold.
    :param share: how many of :data:`BUCKETS` parts are cut so far, 1 or more, in the order of :func:`bucket_of`.
    """

    app: str | None
    level: Level | None
    before: int
    share: int = BUCKETS

    def covers(self, claims: TokenClaims) -> bool:
        """Tell whether a token is cut."""
        return (
            claims.issued_at < self.before
            and (self.app is None or claims.app_id == self.app)
            and (self.level is None or claims.level is self.level)
            and bucket_of(claims.subject) < self.share
        )


@dataclass(frozen=True, slots=True)
class ScheduledCut:
    """Hold a cut as an operator made it, and how far it is.

    :param cut: what gates are told now.
    :param step: how many parts are cut at a time, 1 to :data:`BUCKETS`.
    :param pause: seconds between two steps, 0 for none.
    :param id: its number, 0 before it is stored.
    :param stopped_at: when an operator ended its steps; what was cut by then stays so.
    """

    cut: Cut
    step: int
    pause: int
    because: str
    made_by: str
    made_at: datetime
    id: int = 0
    stopped_at: datetime | None = None

    @property
    def name(self) -> str:
        """Return how commands and the audit trail call it."""
        return f"cut-{self.id}"

    @property
    def goes_on(self) -> bool:
        """Tell whether another step is to come."""
        return self.stopped_at is None and self.cut.share < BUCKETS

    @property
    def next_share(self) -> int:
        """Return how many parts are cut after the next step."""
        return min(BUCKETS, self.cut.share + self.step)


def merged(known: Sequence[Cut], more: Sequence[Cut]) -> tuple[Cut, ...]:
    """Return all of both; of two that differ in their share alone the larger, since what was cut stays cut."""
    shares: dict[tuple[str | None, Level | None, int], int] = {}
    for each in (*known, *more):
        scope = each.app, each.level, each.before
        shares[scope] = max(each.share, shares.get(scope, 0))
    return tuple(Cut(*scope, share) for scope, share in shares.items())


class CutStore(Protocol):
    """Keep cuts, so that a service that starts anew goes on with them."""

    async def add_cut(
        self, cut: ScheduledCut, since: int, audit: Callable[[ScheduledCut], AuditEntry]
    ) -> ScheduledCut:
        """Add a cut with its audit entry; return it with its number.

        :param since: cuts of an earlier instant are over.
        :raises RefusedError: ``request.malformed`` when :data:`MOST_CUTS` are in force.
        """

    async def cuts(self, since: int) -> Sequence[ScheduledCut]:
        """Return those whose instant is ``since`` or later, in seconds since 1970, in the order in which they were made."""

    async def advance_cut(self, cut: ScheduledCut) -> bool:
        """Take a cut's next step, unless it was taken or stopped meanwhile; tell whether it was taken here."""

    async def stop_cut(self, cut_id: int, audit: AuditEntry) -> ScheduledCut | None:
        """End a cut's steps at the time of the audit entry, which is added where that changes anything.

        :returns: the cut as it is now, None if there is none of this number.
        """

    async def count_holders(
        self, app: str, level: Level | None, since: datetime, before: datetime, after: int
    ) -> tuple[int, int | None]:
        """Count instances that aren't revoked and were issued their last tokens from ``since`` on and before ``before``.

        A part of the store is looked at in one call.

        :param after: 0, or the second number of the answer before.
        :returns: how many, and where to go on; None at the end.
        """

    async def holders(
        self, app: str, level: Level | None, since: datetime, before: datetime, after: int
    ) -> tuple[Sequence[tuple[str, tuple[str, ...]]], int | None]:
        """Return them, each with its audiences, as :meth:`count_holders` counts them."""
