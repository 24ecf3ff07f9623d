"""Notice a clock that jumps: the wall clock against one that nobody sets."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol, TypeVar

import structlog

from watchword.adapters.keyring.private_file import PrivateFileError
from watchword.adapters.reserve import RoomReserve
from watchword.adapters.revocation_journal import JournalEntry, RevocationJournal
from watchword.adapters.store import RollbackDetector
from watchword.ports import AuditEntry
from watchword.reasons import Reason, UnavailableError
from watchword.tokens.interface import LEEWAY_SECONDS

FORGIVEN: Final = LEEWAY_SECONDS / 3600
"""Seconds of jumps that each second takes away while they are few: a clock that is set now and then by what it is
off (by an hourly job, after the backup of a virtual machine) must not come to its measure in a week."""

CLOCK_RETRY_SECONDS: Final = 30
"""After how long to ask again for a token."""


def _nobody() -> bool:
    return False


@dataclass(slots=True)
class ClockWatch:
    """Add up the jumps of the wall clock since the start.

    What the clock said at the start is taken for right, and so is what sets it slowly, or is vouched for.  Jumps that
    take each other back count for nothing.

    :param wall: seconds since 1970.
    :param steady: seconds that nobody sets, which also run while the machine sleeps.
    :param vouched: tells whether the system itself knows its time to be right, since it follows a time server.
    :param most: how far a clock may have jumped, in seconds, before nothing is issued by it.
    """

    wall: Callable[[], float]
    steady: Callable[[], float]
    vouched: Callable[[], bool] = _nobody
    most: float = LEEWAY_SECONDS
    _last: float = field(init=False)
    _read_at: float = field(init=False)
    _jumped: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        """Read both clocks for the first time."""
        self._read_at = self.steady()
        self._last = self.wall() - self._read_at

    def look(self) -> float:
        """Read both clocks; return by how many seconds the wall clock is ahead (or, below 0, behind) by jumps."""
        now = self.steady()
        offset = self.wall() - now
        if not self.trouble:
            # Not in trouble: what is set back by as much as it jumped has to come out as nothing.
            forgiven = FORGIVEN * max(0.0, now - self._read_at)
            self._jumped -= max(-forgiven, min(forgiven, self._jumped))
        self._jumped += offset - self._last
        self._last, self._read_at = offset, now
        if self.trouble and self.vouched():
            # It was set by a time server, as after the pause of a virtual machine: it is right now.
            self._jumped = 0.0
        return self._jumped

    @property
    def trouble(self) -> str:
        """Return what is wrong as of the last look, empty for nothing."""
        if abs(self._jumped) <= self.most:
            return ""
        way = "ahead" if self._jumped > 0 else "back"
        return (
            f"the clock jumped {abs(self._jumped):.0f} s {way}, expected at most {self.most:.0f} s: "
            "set it right, or start the service again to take it for right"
        )

    def require_steady(self) -> None:
        """Refuse to issue anything by a clock that jumped.

        :raises UnavailableError: ``service.clock``.
        """
        self.look()
        self.require_untroubled()

    def require_untroubled(self) -> None:
        """Refuse to issue anything where the last look found that the clock jumped.

        :raises UnavailableError: ``service.clock``.
        """
        if self.trouble:
            raise UnavailableError(Reason.SERVICE_CLOCK, self.trouble, CLOCK_RETRY_SECONDS)


_Result = TypeVar("_Result")
_log = structlog.get_logger()


class GuardedStore(Protocol):
    """Do the part of a store that goes on without its disk, and tell what it is compared by."""

    @property
    def pending(self) -> int:
        """Return how many audit entries are missing of what was done all the same."""

    def withhold(self, instance_id: str, at: datetime, because: str, audit: AuditEntry) -> None:
        """Revoke an instance in this process alone, where the store can't write it, until :meth:`flush` can."""

    def enqueue(self, entry: AuditEntry) -> None:
        """Keep an audit entry of what was done though it couldn't be written, until :meth:`flush` can."""

    async def flush(self) -> int:
        """Write what is pending; return how many entries that were.

        :raises UnavailableError: while it can't be written; it stays pending.
        """

    async def revoke_again(self, revocations: Sequence[AuditEntry]) -> int:
        """Revoke those instances that are there and aren't revoked; return how many.

        Where that can't be written they are withheld.

        :param revocations: with the instance as subject and ``because`` in the detail; the first of an instance counts.
        """

    async def erase_again(self, erasures: Sequence[AuditEntry]) -> int:
        """See :meth:`watchword.enrolment.retention.RetentionStore.erase_again`."""

    async def extent(self) -> tuple[int, int]:
        """Return how much was written, and the number of the database's file, or of its server and timeline.

        Audit entries count, and uses of challenges that left none: of an older copy the number is smaller.
        """

    async def newest_audit(self) -> int:
        """Return the number of the last audit entry that there ever was, 0 before the first."""

    def accept(self, file: int) -> None:
        """Take writes where the database has this number: challenges of before have ended."""


@dataclass(frozen=True, slots=True)
class Safeguards:
    """Hold the parts; each may be missing.

    :param mark: how far the store was, and the epoch of challenges.
    :param journal: the operator's revocations, beside the store.
    :param reserve: space that is given free on a full disk, for what takes trust away.
    :param watch: the wall clock against a steady one.
    """

    mark: RollbackDetector | None = None
    journal: RevocationJournal | None = None
    reserve: RoomReserve | None = None
    watch: ClockWatch | None = None

    async def begin(self, store: GuardedStore, now: datetime) -> None:
        """Compare the store with what is known of it, and revoke again what it doesn't know to be revoked.

        :raises UnavailableError: when the store can't be read.
        :raises WatchwordError: when a file can't be trusted.
        """
        if self.reserve is not None:
            self.reserve.fill()
        if self.mark is not None:
            sequence, file = await store.extent()
            self._compare(self.mark, store, (sequence, file), now)
        await self._revoke_again(store)

    @staticmethod
    def _compare(
        mark: RollbackDetector, store: GuardedStore, extent: tuple[int, int], now: datetime
    ) -> None:
        exchange = mark.compare(*extent, now)
        if exchange is not None:
            _log.warning(
                "store may be an older copy",
                detail=exchange.why,
                then="challenges from before are refused",
            )
        store.accept(extent[1])

    async def _revoke_again(self, store: GuardedStore) -> None:
        """Revoke what the journal knows and the store doesn't, or no longer."""
        if self.journal is not None:
            entries = self.journal.entries()
            again = await store.revoke_again([_again(each) for each in entries])
            if again:
                _log.warning("revoked again what the store didn't know of", instances=again)
            deleted = [_again(each) for each in entries if each.deleted]
            if deleted and (again := await store.erase_again(deleted)):
                _log.warning("deleted again what an older copy brought back", instances=again)
            if self.journal.unreadable:
                _log.warning(
                    "revocation journal has lines that are none",
                    lines=self.journal.unreadable,
                    detail="cut short or changed: whom they revoked, the store alone knows",
                )

    async def follow(self, store: GuardedStore, now: datetime) -> None:
        """Note how far the store is, write what is pending, and set space aside again.

        Where another database has taken its place (a standby that was promoted), it is compared as at a start.

        :raises UnavailableError: while something of it can't be written.
        """
        if self.mark is not None:
            sequence, file = await store.extent()
            if file == self.mark.file:
                # It waits for the disk, which the event loop must not.
                await asyncio.to_thread(self.mark.advance, sequence)
            else:
                self._compare(self.mark, store, (sequence, file), now)
                await self._revoke_again(store)
        else:
            store.accept((await store.extent())[1])
        settled = await store.flush()
        if settled:
            _log.info("wrote what was pending", entries=settled)
        if self.journal is not None:
            await asyncio.to_thread(self.journal.flush)

    async def forget(self, before: datetime) -> None:
        """Note that uses of challenges are about to be forgotten.

        :raises UnavailableError: when that can't be written; then they mustn't be.
        """
        if self.mark is not None:
            await asyncio.to_thread(self.mark.forget, before)

    def refill(self) -> None:
        """Set space aside again, where there is some."""
        if self.reserve is not None:
            self.reserve.fill()

    def watch_clock(self) -> None:
        """Look at the clocks, and log once when one jumped."""
        if self.watch is None:
            return
        before = self.watch.trouble
        self.watch.look()
        if bool(self.watch.trouble) != bool(before):
            event = "clock jumped" if self.watch.trouble else "clock is right again"
            _log.error(event, detail=self.watch.trouble)

    def require_steady_clock(self) -> None:
        """Refuse to issue anything by a clock that jumped.

        :raises UnavailableError: ``service.clock``.
        """
        if self.watch is not None:
            self.watch_clock()
            self.watch.require_untroubled()

    def note_revocation(self, entry: JournalEntry) -> None:
        """Remember a revocation beside the store; what can't be written is told in the log and goes on."""
        if self.journal is None:
            return
        try:
            self.journal.append(entry)
        except UnavailableError as error:
            _log.error(
                "revocation isn't in the journal", instance=entry.instance, detail=error.detail
            )

    async def with_room(self, work: Callable[[], Awaitable[_Result]]) -> _Result:
        """Do what takes trust away; where that fails, once more with the space that is set aside for it.

        :raises WatchwordError: what the work raises, when there is no space, or it doesn't help.
        """
        try:
            return await work()
        except (UnavailableError, PrivateFileError):
            if self.reserve is None or not self.reserve.release():
                raise
            _log.warning("space that was set aside is given free")
            return await work()


def _again(entry: JournalEntry) -> AuditEntry:
    because = {"because": entry.because}
    action = "instance.deleted" if entry.deleted else "instance.revoked"
    return AuditEntry(entry.at, entry.actor, action, entry.instance, because)


NO_SAFEGUARDS: Final = Safeguards()
"""None of them: for parts of a service that stand alone."""
