"""Keep in memory what was done though the store couldn't record it, until it can."""

import json
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from sqlite3 import Connection
from typing import Final

from watchword.adapters.store.database import SqliteDatabase
from watchword.adapters.store.instances import find_instance, insert_audit, revoke_instance
from watchword.ports import AuditEntry, Instance, RevokedInstance
from watchword.reasons import Reason, RefusedError, UnavailableError

MAX_OWED: Final = 10_000
"""Most audit entries that are owed; then the oldest are lost, which the log has too."""


@dataclass(frozen=True, slots=True)
class WithheldInstance:
    """Hold a revocation that isn't in the store yet."""

    at: datetime
    because: str
    audit: AuditEntry


@dataclass(slots=True)
class Owed:
    """Hold revoked instances and audit entries that aren't in the store yet."""

    instances: dict[str, WithheldInstance] = field(default_factory=dict)
    entries: deque[AuditEntry] = field(default_factory=lambda: deque(maxlen=MAX_OWED))

    def __len__(self) -> int:
        """Return how many audit entries are missing in the trail."""
        return len(self.instances) + len(self.entries)

    def require_standing(self, instance_id: str) -> None:
        """Refuse what is asked for an instance that was revoked.

        :raises RefusedError: ``instance.revoked``.
        """
        if instance_id in self.instances:
            raise RefusedError.because(Reason.INSTANCE_REVOKED, "it was revoked")

    def shown(self, instance: Instance) -> Instance:
        """Return an instance as it would be if the store had been able to write."""
        owed = self.instances.get(instance.id)
        if owed is None or instance.revoked_at is not None:
            return instance
        return replace(instance, revoked_at=owed.at, revoked_because=owed.because)

    def revoked(self, connection: Connection) -> Sequence[RevokedInstance]:
        """Return the revoked instances for the gates to be told of."""
        found = (find_instance(connection, each) for each in tuple(self.instances))
        return [RevokedInstance(each.id, each.audiences) for each in found if each is not None]

    def forget(self, instances: Sequence[str], entries: int) -> None:
        """Forget what was written: these instances, and so many of the oldest entries."""
        for instance_id in instances:
            self.instances.pop(instance_id, None)
        for _ in range(min(entries, len(self.entries))):
            self.entries.popleft()


class OwingStore:
    """Implement the part of the store that goes on without its disk, and what compares it with its mark."""

    _database: SqliteDatabase
    _owed: Owed

    @property
    def owed(self) -> int:
        """See :attr:`watchword.apps.service.safeguards.GuardedStore.owed`."""
        return len(self._owed)

    def withhold(self, instance_id: str, at: datetime, because: str, audit: AuditEntry) -> None:
        """See :meth:`watchword.apps.service.safeguards.GuardedStore.withhold`."""
        self._owed.instances.setdefault(instance_id, WithheldInstance(at, because, audit))

    def owe(self, entry: AuditEntry) -> None:
        """See :meth:`watchword.apps.service.safeguards.GuardedStore.owe`."""
        self._owed.entries.append(entry)

    async def settle(self) -> int:
        """See :meth:`watchword.apps.service.safeguards.GuardedStore.settle`."""
        instances, entries = dict(self._owed.instances), tuple(self._owed.entries)
        if not instances and not entries:
            return 0

        def work(connection: Connection) -> None:
            for instance_id, owed in instances.items():
                audit = _late(owed.audit)
                revoke_instance(connection, instance_id, owed.at, owed.because, audit)
            for entry in entries:
                insert_audit(connection, _late(entry))

        await self._database.write(work)
        self._owed.forget(tuple(instances), len(entries))
        return len(instances) + len(entries)

    async def revoke_again(self, revocations: Sequence[AuditEntry]) -> int:
        """See :meth:`watchword.apps.service.safeguards.GuardedStore.revoke_again`."""

        def standing(connection: Connection) -> list[AuditEntry]:
            wanted = json.dumps([each.subject for each in revocations])
            found = connection.execute(
                "SELECT instances.id FROM json_each(?) JOIN instances ON instances.id = json_each.value "
                "WHERE revoked_at IS NULL",
                (wanted,),
            )
            alive = {row[0] for row in found}
            return [each for each in revocations if each.subject in alive]

        again = await self._database.read(standing)
        for each in again:
            self.withhold(each.subject, each.at, str(each.detail["because"]), each)
        with suppress(UnavailableError):
            # On a full disk they hold in this process, and are written as soon as that is possible.
            await self.settle()
        return len({each.subject for each in again})

    async def extent(self) -> tuple[int, int]:
        """See :meth:`watchword.apps.service.safeguards.GuardedStore.extent`."""
        return await self._database.read(lambda each: (_sequence(each), self._database.file))


def _sequence(connection: Connection) -> int:
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'audit'").fetchone()
    return 0 if row is None else int(row[0])


def _late(entry: AuditEntry) -> AuditEntry:
    """Return an entry that says that it wasn't written when it happened."""
    return replace(entry, detail={**entry.detail, "recorded": "late"})
