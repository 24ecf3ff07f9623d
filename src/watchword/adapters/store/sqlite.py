"""Keep instances in one SQLite file: write-ahead log, every commit flushed to the disk.

``synchronous=FULL`` makes a commit survive a loss of power, which ``NORMAL`` doesn't; an
acknowledged enrolment must never be forgotten, and a used challenge never be usable again.

What was done though the store couldn't record it is kept in memory until it can.
"""

import json
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from sqlite3 import Connection
from typing import Any, Final

from watchword.adapters.store.database import SqliteDatabase
from watchword.enrolment.delivery import Lease, LeaseCount
from watchword.enrolment.interface import OperatorCode
from watchword.ports import (
    MOST_UNDER_SERIAL,
    AuditEntry,
    ChallengeUse,
    CountLimit,
    EnrolledCounts,
    Instance,
    RevokedInstance,
    StoredReceipt,
)
from watchword.reasons import Reason, RefusedError, UnavailableError
from watchword.vocabulary import Level

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

INSTANCE_COLUMNS: Final = (
    "id, app, app_version, platform, format, level, attested_key, proof_jwk, seal_jwk, audiences, "
    "enrolled_at, renewed_at, counter, revoked_at, revoked_because, test, attested_at, device_key, "
    "risk_metric, expires_at, attester_serial"
)
"""Columns in the order of :func:`instance_row`."""

INSTANCE_SELECTION: Final = (
    f"{INSTANCE_COLUMNS}, (SELECT json_group_array(serial) FROM (SELECT serial "  # noqa: S608
    "FROM instance_certificates WHERE instance_id = instances.id ORDER BY position))"
)
"""Columns and the serials of an instance, in the order of :func:`instance_from_row`."""

OPERATOR_CODE_COLUMNS: Final = (
    "id, digest, app, level, instance_for, made_at, made_by, because, expires_at, used_at, "
    "instance_id, revoked_at"
)
"""Columns in the order of :func:`operator_code_row`."""

RECEIPT_COLUMNS: Final = "instance_id, app, receipt, due_at, failures"
"""Columns in the order of :func:`receipt_row`."""


def microseconds(at: datetime) -> int:
    """Return whole microseconds since 1970, without a float in between."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def instant(value: int) -> datetime:
    """Return the instant that :func:`microseconds` was given."""
    return _EPOCH + timedelta(microseconds=value)


def _microseconds_or_none(at: datetime | None) -> int | None:
    return None if at is None else microseconds(at)


def _instant_or_none(value: int | None) -> datetime | None:
    return None if value is None else instant(value)


def instance_row(instance: Instance) -> tuple[Any, ...]:
    """Return the values for :data:`INSTANCE_COLUMNS`."""
    return (
        instance.id,
        instance.app,
        instance.app_version,
        instance.platform,
        instance.format,
        instance.level.value,
        instance.attested_key,
        json.dumps(dict(instance.proof_jwk)),
        json.dumps(dict(instance.seal_jwk)),
        json.dumps(list(instance.audiences)),
        microseconds(instance.enrolled_at),
        microseconds(instance.renewed_at),
        instance.counter,
        _microseconds_or_none(instance.revoked_at),
        instance.revoked_because,
        int(instance.test),
        _microseconds_or_none(instance.attested_at),
        instance.device_key,
        instance.risk_metric,
        _microseconds_or_none(instance.expires_at),
        instance.attester_serial,
    )


def instance_from_row(row: tuple[Any, ...]) -> Instance:
    """Return the instance behind the values of :data:`INSTANCE_SELECTION`."""
    return Instance(
        id=row[0],
        app=row[1],
        app_version=row[2],
        platform=row[3],
        format=row[4],
        level=Level(row[5]),
        attested_key=row[6],
        proof_jwk=json.loads(row[7]),
        seal_jwk=json.loads(row[8]),
        audiences=tuple(json.loads(row[9])),
        enrolled_at=instant(row[10]),
        renewed_at=instant(row[11]),
        counter=row[12],
        revoked_at=_instant_or_none(row[13]),
        revoked_because=row[14],
        test=bool(row[15]),
        attested_at=_instant_or_none(row[16]),
        device_key=row[17],
        risk_metric=row[18],
        expires_at=_instant_or_none(row[19]),
        attester_serial=row[20],
        serials=tuple(json.loads(row[21])),
    )


def certificate_rows(instance: Instance) -> Sequence[tuple[str, int, str]]:
    """Return the rows of (instance_id, position, serial) for an instance's serials."""
    return [(instance.id, position, serial) for position, serial in enumerate(instance.serials)]


def receipt_row(receipt: StoredReceipt) -> tuple[Any, ...]:
    """Return the values for :data:`RECEIPT_COLUMNS`."""
    return (
        receipt.instance_id,
        receipt.app,
        receipt.receipt,
        microseconds(receipt.due_at),
        receipt.failures,
    )


def receipt_from_row(row: tuple[Any, ...]) -> StoredReceipt:
    """Return the receipt behind the values of :data:`RECEIPT_COLUMNS`."""
    return StoredReceipt(row[0], row[1], row[2], instant(row[3]), row[4])


def audit_row(entry: AuditEntry) -> tuple[Any, ...]:
    """Return the values for (at, actor, action, subject, detail)."""
    detail = json.dumps(dict(entry.detail), default=str)
    return microseconds(entry.at), entry.actor, entry.action, entry.subject, detail


def audit_from_row(row: tuple[Any, ...]) -> AuditEntry:
    """Return the entry behind the values of :func:`audit_row`."""
    return AuditEntry(instant(row[0]), row[1], row[2], row[3], json.loads(row[4]))


def operator_code_row(code: OperatorCode) -> tuple[Any, ...]:
    """Return the values for :data:`OPERATOR_CODE_COLUMNS`; the life of the instance in microseconds."""
    return (
        code.id,
        code.digest,
        code.app,
        code.level.value,
        code.instance_for // timedelta(microseconds=1),
        microseconds(code.made_at),
        code.made_by,
        code.because,
        microseconds(code.expires_at),
        _microseconds_or_none(code.used_at),
        code.instance_id,
        _microseconds_or_none(code.revoked_at),
    )


def operator_code_from_row(row: tuple[Any, ...]) -> OperatorCode:
    """Return the code behind the values of :data:`OPERATOR_CODE_COLUMNS`."""
    return OperatorCode(
        id=row[0],
        digest=row[1],
        app=row[2],
        level=Level(row[3]),
        instance_for=timedelta(microseconds=row[4]),
        made_at=instant(row[5]),
        made_by=row[6],
        because=row[7],
        expires_at=instant(row[8]),
        used_at=_instant_or_none(row[9]),
        instance_id=row[10],
        revoked_at=_instant_or_none(row[11]),
    )


_COLUMNS: Final = (
    "instance_id, secret, id, version, app, app_version, issued_at, delivered_at, expires_at, "
    "deliveries"
)


def keep_lease(connection: sqlite3.Connection, lease: Lease) -> Lease:
    """Keep a lease, as a continuation where the instance has one of this secret that lives; return it as kept."""
    living = connection.execute(
        "SELECT id, issued_at, deliveries FROM leases WHERE instance_id = ? AND secret = ? "
        "AND expires_at > ? AND withdrawn_at IS NULL",
        (lease.instance_id, lease.secret, microseconds(lease.delivered_at)),
    ).fetchone()
    if living is not None:
        lease = replace(lease, id=living[0], issued_at=instant(living[1]), deliveries=living[2] + 1)
    # In place of the one that it continues, or of one that ended and wasn't forgotten yet.
    connection.execute(
        "DELETE FROM leases WHERE instance_id = ? AND secret = ?",
        (lease.instance_id, lease.secret),
    )
    connection.execute(
        f"INSERT INTO leases ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - our own text.
        (
            lease.instance_id,
            lease.secret,
            lease.id,
            lease.version,
            lease.app,
            lease.app_version,
            microseconds(lease.issued_at),
            microseconds(lease.delivered_at),
            microseconds(lease.expires_at),
            lease.deliveries,
        ),
    )
    return lease


def withdraw_leases(connection: sqlite3.Connection, instance_id: str, at: datetime) -> None:
    """Mark the leases of an instance that is revoked."""
    connection.execute(
        "UPDATE leases SET withdrawn_at = ? WHERE instance_id = ? AND withdrawn_at IS NULL",
        (microseconds(at), instance_id),
    )


def count_leases(
    connection: sqlite3.Connection, now: datetime, secret: str | None
) -> Sequence[LeaseCount]:
    """Return how many instances hold secrets at an instant, by secret, version, app and app version."""
    rows = connection.execute(
        "SELECT secret, version, app, app_version, sum(withdrawn_at IS NULL), "
        "sum(withdrawn_at IS NOT NULL), max(expires_at), max(delivered_at) FROM leases "
        "WHERE expires_at > ?1 AND secret = coalesce(?2, secret) "
        "GROUP BY secret, version, app, app_version ORDER BY secret, version, app, app_version",
        (microseconds(now), secret),
    )
    return [
        LeaseCount(row[0], row[1], row[2], row[3], row[4], row[5], instant(row[6]), instant(row[7]))
        for row in rows
    ]


def drop_leases(connection: sqlite3.Connection, now: datetime) -> int:
    """Drop leases that expired before an instant; return how many."""
    return connection.execute(
        "DELETE FROM leases WHERE expires_at < ?", (microseconds(now),)
    ).rowcount


def consume_challenge(connection: sqlite3.Connection, use: ChallengeUse) -> None:
    """Insert the nonce if it is absent: of several that race for it, one finds it absent."""
    used = connection.execute(
        "INSERT INTO used_challenges (nonce, expires_at) VALUES (?, ?) ON CONFLICT DO NOTHING",
        (use.nonce, microseconds(use.expires_at)),
    )
    if used.rowcount != 1:
        raise RefusedError.because(Reason.CHALLENGE_USED, "expected one that wasn't used before")


def insert_instance(connection: sqlite3.Connection, instance: Instance) -> None:
    """Insert an instance and its certificates, unless its id or its key is enrolled."""
    row = instance_row(instance)
    added = connection.execute(
        f"INSERT INTO instances ({INSTANCE_COLUMNS}) VALUES ({marks(len(row))}) "  # noqa: S608
        "ON CONFLICT DO NOTHING",
        row,
    )
    if added.rowcount != 1:
        raise RefusedError.because(Reason.INSTANCE_EXISTS, "expected a key that isn't enrolled yet")
    connection.executemany(
        "INSERT INTO instance_certificates (instance_id, position, serial) VALUES (?, ?, ?)",
        certificate_rows(instance),
    )


def count_enrolled(
    connection: sqlite3.Connection,
    app: str,
    device_key: bytes | None,
    attester_serial: str | None,
    since: datetime,
) -> EnrolledCounts:
    """Return how many instances of a device, and of an app under a certificate, enrolled since an instant."""
    at = microseconds(since)
    device = serial = None
    if device_key is not None:
        (device,) = connection.execute(
            "SELECT count(*) FROM instances WHERE device_key = ? AND enrolled_at >= ?",
            (device_key, at),
        ).fetchone()
    if attester_serial is not None:
        (serial,) = connection.execute(
            "SELECT count(*) FROM (SELECT 1 FROM instances WHERE attester_serial = ? AND app = ? "
            "AND enrolled_at >= ? LIMIT ?)",
            (attester_serial, app, at, MOST_UNDER_SERIAL),
        ).fetchone()
    return EnrolledCounts(device, serial)


def revoke_instance(
    connection: sqlite3.Connection, instance_id: str, at: datetime, because: str, audit: AuditEntry
) -> bool:
    """Revoke an instance unless it is; tell whether that changed anything."""
    revoked = connection.execute(
        "UPDATE instances SET revoked_at = ?, revoked_because = ? "
        "WHERE id = ? AND revoked_at IS NULL",
        (microseconds(at), because, instance_id),
    )
    if revoked.rowcount != 1:
        return False
    connection.execute("DELETE FROM receipts WHERE instance_id = ?", (instance_id,))
    withdraw_leases(connection, instance_id, at)
    insert_audit(connection, audit)
    return True


def insert_audit(connection: sqlite3.Connection, entry: AuditEntry) -> None:
    """Add an entry to the audit trail."""
    connection.execute(
        "INSERT INTO audit (at, actor, action, subject, detail) VALUES (?, ?, ?, ?, ?)",
        audit_row(entry),
    )


def select_instances(
    connection: sqlite3.Connection, condition: str, values: tuple[Any, ...]
) -> list[Instance]:
    """Return the instances that a condition, which is our own text, selects."""
    query = f"SELECT {INSTANCE_SELECTION} FROM instances {condition}"  # noqa: S608 - our own text.
    return [instance_from_row(row) for row in connection.execute(query, values)]


def find_instance(connection: sqlite3.Connection, instance_id: str) -> Instance | None:
    """Return one instance, None if there is none."""
    found = select_instances(connection, "WHERE id = ?", (instance_id,))
    return found[0] if found else None


def advance_instance(
    connection: sqlite3.Connection,
    instance_id: str,
    counter: int | None,
    app_version: str | None,
    attested_at: datetime | None,
) -> None:
    """Raise the counter of an instance that isn't revoked, and keep what its evidence stated anew."""
    instance = require_instance(connection, instance_id)
    if instance.revoked_at is not None:
        raise RefusedError.because(Reason.INSTANCE_REVOKED, "it was revoked")
    if counter is not None and counter <= instance.counter:
        raise RefusedError.because(
            Reason.INSTANCE_COUNTER, f"got {counter}, expected more than {instance.counter}"
        )
    connection.execute(
        "UPDATE instances SET counter = coalesce(?, counter), "
        "app_version = coalesce(?, app_version), attested_at = coalesce(?, attested_at) "
        "WHERE id = ?",
        (
            counter,
            app_version,
            None if attested_at is None else microseconds(attested_at),
            instance_id,
        ),
    )


def require_instance(connection: sqlite3.Connection, instance_id: str) -> Instance:
    """Return one instance.

    :raises RefusedError: ``instance.unknown``.
    """
    instance = find_instance(connection, instance_id)
    if instance is None:
        raise RefusedError.because(Reason.INSTANCE_UNKNOWN, "expected an enrolled instance")
    return instance


def marks(count: int) -> str:
    """Return so many question marks, for the values of a statement."""
    return ", ".join("?" * count)


def insert_code(connection: sqlite3.Connection, code: OperatorCode) -> None:
    """Insert a new code; its name is random and isn't met twice."""
    row = operator_code_row(code)
    connection.execute(
        f"INSERT INTO operator_codes ({OPERATOR_CODE_COLUMNS}) "  # noqa: S608 - our own text.
        f"VALUES ({marks(len(row))})",
        row,
    )


def select_code(connection: sqlite3.Connection, code_id: str) -> OperatorCode | None:
    """Return one code, None if there is none of this name."""
    row = connection.execute(
        f"SELECT {OPERATOR_CODE_COLUMNS} FROM operator_codes WHERE id = ?",  # noqa: S608
        (code_id,),
    ).fetchone()
    return None if row is None else operator_code_from_row(row)


def select_codes(connection: sqlite3.Connection, limit: int) -> Sequence[OperatorCode]:
    """Return at most so many codes, newest first."""
    rows = connection.execute(
        f"SELECT {OPERATOR_CODE_COLUMNS} FROM operator_codes "  # noqa: S608 - our own text.
        "ORDER BY made_at DESC, id LIMIT ?",
        (limit,),
    )
    return [operator_code_from_row(row) for row in rows]


def use_code(connection: sqlite3.Connection, code_id: str, instance_id: str, at: datetime) -> None:
    """Use a code up, if it can be used: of several that race for it, one finds it unused.

    :raises RefusedError: ``evidence.operator_code``.
    """
    spent = connection.execute(
        "UPDATE operator_codes SET used_at = ?, instance_id = ? WHERE id = ? "
        "AND used_at IS NULL AND revoked_at IS NULL AND expires_at > ?",
        (microseconds(at), instance_id, code_id, microseconds(at)),
    )
    if spent.rowcount != 1:
        raise RefusedError.because(
            Reason.EVIDENCE_OPERATOR_CODE, "it was used, cancelled or expired in these moments"
        )


def withdraw_code(connection: sqlite3.Connection, code_id: str, at: datetime) -> bool:
    """Cancel a code that is unused; tell whether that changed anything."""
    withdrawn = connection.execute(
        "UPDATE operator_codes SET revoked_at = ? "
        "WHERE id = ? AND used_at IS NULL AND revoked_at IS NULL",
        (microseconds(at), code_id),
    )
    return withdrawn.rowcount == 1


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


RECEIPT_DUE_WITHIN: Final = timedelta(days=40)
"""No receipt is ever planned to be due later than this; what is, was planned by a clock that ran ahead."""


class SqliteStore(OwingStore):
    """Implement :class:`watchword.ports.InstanceStore` on one file (mode 0600).

    And :class:`watchword.enrolment.operator_codes.OperatorCodeStore` and
    :class:`watchword.enrolment.delivery.LeaseStore`, in the same transactions.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_pages: int | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open or make the file, as :class:`watchword.adapters.store.database.SqliteDatabase` does."""
        self._database = SqliteDatabase(path, max_pages=max_pages, monotonic=monotonic)
        self._owed = Owed()

    async def enrol(
        self,
        use: ChallengeUse,
        instance: Instance,
        audit: AuditEntry,
        receipt: StoredReceipt | None = None,
        limit: CountLimit | None = None,
    ) -> EnrolledCounts | None:
        """See :meth:`watchword.ports.InstanceStore.enrol`."""

        def work(connection: sqlite3.Connection) -> EnrolledCounts | None:
            if limit is not None:
                counts = count_enrolled(
                    connection,
                    instance.app,
                    instance.device_key,
                    instance.attester_serial,
                    limit.since,
                )
                if limit.is_exceeded(counts):
                    return counts
            consume_challenge(connection, use)
            insert_instance(connection, instance)
            if receipt is not None:
                values = receipt_row(receipt)
                connection.execute(
                    f"INSERT INTO receipts ({RECEIPT_COLUMNS}) VALUES ({marks(len(values))})",  # noqa: S608
                    values,
                )
            insert_audit(connection, audit)
            return None

        return await self._database.write(work)

    async def enrol_by_code(
        self, code_id: str, use: ChallengeUse, instance: Instance, audit: AuditEntry
    ) -> None:
        """See :meth:`watchword.enrolment.operator_codes.OperatorCodeStore.enrol_by_code`."""

        def work(connection: sqlite3.Connection) -> None:
            use_code(connection, code_id, instance.id, instance.enrolled_at)
            consume_challenge(connection, use)
            insert_instance(connection, instance)
            insert_audit(connection, audit)

        await self._database.write(work)

    async def add_code(self, code: OperatorCode, audit: AuditEntry) -> None:
        """See :meth:`watchword.enrolment.operator_codes.OperatorCodeStore.add_code`."""

        def work(connection: sqlite3.Connection) -> None:
            insert_code(connection, code)
            insert_audit(connection, audit)

        await self._database.write(work)

    async def find_code(self, code_id: str) -> OperatorCode | None:
        """See :meth:`watchword.enrolment.operator_codes.OperatorCodeStore.find_code`."""
        return await self._database.read(lambda connection: select_code(connection, code_id))

    async def list_codes(self, limit: int) -> Sequence[OperatorCode]:
        """See :meth:`watchword.enrolment.operator_codes.OperatorCodeStore.list_codes`."""
        return await self._database.read(lambda connection: select_codes(connection, limit))

    async def cancel_code(self, code_id: str, audit: AuditEntry) -> OperatorCode | None:
        """See :meth:`watchword.enrolment.operator_codes.OperatorCodeStore.cancel_code`."""

        def work(connection: sqlite3.Connection) -> OperatorCode | None:
            if withdraw_code(connection, code_id, audit.at):
                insert_audit(connection, audit)
            return select_code(connection, code_id)

        return await self._database.write(work)

    async def renew(
        self,
        use: ChallengeUse,
        instance_id: str,
        counter: int | None,
        app_version: str | None,
        audit: AuditEntry,
        attested_at: datetime | None = None,
    ) -> Instance:
        """See :meth:`watchword.ports.InstanceStore.renew`."""

        def work(connection: sqlite3.Connection) -> Instance:
            self._owed.require_standing(instance_id)
            consume_challenge(connection, use)
            advance_instance(connection, instance_id, counter, app_version, attested_at)
            connection.execute(
                "UPDATE instances SET renewed_at = ? WHERE id = ?",
                (microseconds(audit.at), instance_id),
            )
            insert_audit(connection, audit)
            return require_instance(connection, instance_id)

        return await self._database.write(work)

    async def deliver(
        self,
        use: ChallengeUse,
        lease: Lease,
        counter: int | None,
        audit: Callable[[Lease], AuditEntry],
        attested_at: datetime | None = None,
    ) -> Lease:
        """See :meth:`watchword.enrolment.delivery.LeaseStore.deliver`."""

        def work(connection: sqlite3.Connection) -> Lease:
            self._owed.require_standing(lease.instance_id)
            consume_challenge(connection, use)
            advance_instance(connection, lease.instance_id, counter, lease.app_version, attested_at)
            kept = keep_lease(connection, lease)
            insert_audit(connection, audit(kept))
            return kept

        return await self._database.write(work)

    async def leases(self, now: datetime, secret: str | None = None) -> Sequence[LeaseCount]:
        """See :meth:`watchword.enrolment.delivery.LeaseStore.leases`."""
        return await self._database.read(lambda connection: count_leases(connection, now, secret))

    async def forget_leases(self, now: datetime) -> int:
        """See :meth:`watchword.enrolment.delivery.LeaseStore.forget_leases`."""
        return await self._database.write(lambda connection: drop_leases(connection, now))

    async def count_enrolled(
        self, app: str, device_key: bytes | None, attester_serial: str | None, since: datetime
    ) -> EnrolledCounts:
        """See :meth:`watchword.ports.InstanceStore.count_enrolled`."""
        return await self._database.read(
            lambda connection: count_enrolled(connection, app, device_key, attester_serial, since)
        )

    async def instances_with_serials(
        self, serials: Sequence[str], limit: int
    ) -> Sequence[Instance]:
        """See :meth:`watchword.ports.InstanceStore.instances_with_serials`."""
        wanted = json.dumps(list(serials))
        return await self._database.read(
            lambda connection: select_instances(
                connection,
                "WHERE revoked_at IS NULL AND id IN (SELECT instance_id FROM "
                "instance_certificates WHERE serial IN (SELECT value FROM json_each(?))) LIMIT ?",
                (wanted, limit),
            )
        )

    async def find(self, instance_id: str) -> Instance | None:
        """See :meth:`watchword.ports.InstanceStore.find`."""
        found = await self._database.read(lambda each: find_instance(each, instance_id))
        return None if found is None else self._owed.shown(found)

    async def revoke(
        self, instance_id: str, at: datetime, because: str, audit: AuditEntry
    ) -> Instance:
        """See :meth:`watchword.ports.InstanceStore.revoke`."""

        def work(connection: sqlite3.Connection) -> Instance:
            require_instance(connection, instance_id)
            revoke_instance(connection, instance_id, at, because, audit)
            return require_instance(connection, instance_id)

        return await self._database.write(work)

    async def revoke_all(self, at: datetime, because: str, audits: Sequence[AuditEntry]) -> int:
        """See :meth:`watchword.ports.InstanceStore.revoke_all`."""
        return await self._database.write(
            lambda connection: sum(
                revoke_instance(connection, audit.subject, at, because, audit) for audit in audits
            )
        )

    async def recently_revoked(self, since: datetime) -> Sequence[RevokedInstance]:
        """See :meth:`watchword.ports.InstanceStore.recently_revoked`."""

        def work(connection: sqlite3.Connection) -> Sequence[RevokedInstance]:
            rows = connection.execute(
                "SELECT id, audiences FROM instances WHERE revoked_at >= ? ORDER BY revoked_at",
                (microseconds(since),),
            )
            found = [RevokedInstance(row[0], tuple(json.loads(row[1]))) for row in rows]
            return [*found, *self._owed.revoked(connection)]

        return await self._database.read(work)

    async def due_receipts(self, app: str, now: datetime, limit: int) -> Sequence[StoredReceipt]:
        """See :meth:`watchword.ports.InstanceStore.due_receipts`."""

        def work(connection: sqlite3.Connection) -> Sequence[StoredReceipt]:
            # Two ranges of one index, each read no further than is wanted.
            ranges = (("<=", now), (">", now + RECEIPT_DUE_WITHIN))
            rows: list[tuple[Any, ...]] = []
            for relation, at in ranges:
                rows += connection.execute(
                    f"SELECT {RECEIPT_COLUMNS} FROM receipts "  # noqa: S608 - our own text.
                    f"WHERE app = ? AND due_at {relation} ? ORDER BY due_at LIMIT ?",
                    (app, microseconds(at), limit - len(rows)),
                )
            return [receipt_from_row(row) for row in rows]

        return await self._database.read(work)

    async def put_receipt(
        self, receipt: StoredReceipt, risk_metric: int | None, audit: AuditEntry | None
    ) -> None:
        """See :meth:`watchword.ports.InstanceStore.put_receipt`."""

        def work(connection: sqlite3.Connection) -> None:
            kept = connection.execute(
                "UPDATE receipts SET receipt = ?, due_at = ?, failures = ? WHERE instance_id = ?",
                (
                    receipt.receipt,
                    microseconds(receipt.due_at),
                    receipt.failures,
                    receipt.instance_id,
                ),
            )
            if kept.rowcount != 1:
                return
            connection.execute(
                "UPDATE instances SET risk_metric = coalesce(?, risk_metric) WHERE id = ?",
                (risk_metric, receipt.instance_id),
            )
            if audit is not None:
                insert_audit(connection, audit)

        await self._database.write(work)

    async def list_instances(
        self, limit: int, app: str | None = None, before: str | None = None
    ) -> Sequence[Instance]:
        """See :meth:`watchword.ports.InstanceStore.list_instances`."""

        def work(connection: sqlite3.Connection) -> Sequence[Instance]:
            wanted = "? IN (app, '')"
            values: list[str | int] = [app or ""]
            if before is not None:
                last = require_instance(connection, before)
                wanted += " AND (-enrolled_at, id) > (?, ?)"
                values += [-microseconds(last.enrolled_at), last.id]
            order = "ORDER BY enrolled_at DESC, id LIMIT ?"
            found = select_instances(connection, f"WHERE {wanted} {order}", (*values, limit))
            return [self._owed.shown(each) for each in found]

        return await self._database.read(work)

    async def audit_entries(self, limit: int) -> Sequence[AuditEntry]:
        """See :meth:`watchword.ports.InstanceStore.audit_entries`."""

        def work(connection: sqlite3.Connection) -> Sequence[AuditEntry]:
            rows = connection.execute(
                "SELECT at, actor, action, subject, detail FROM audit ORDER BY seq DESC LIMIT ?",
                (limit,),
            )
            return [audit_from_row(row) for row in rows]

        return await self._database.read(work)

    async def add_audit(self, entry: AuditEntry) -> None:
        """See :meth:`watchword.ports.InstanceStore.add_audit`."""
        await self._database.write(lambda connection: insert_audit(connection, entry))

    async def forget_expired(self, now: datetime) -> int:
        """See :meth:`watchword.ports.InstanceStore.forget_expired`."""

        def work(connection: sqlite3.Connection) -> int:
            return connection.execute(
                "DELETE FROM used_challenges WHERE expires_at < ?", (microseconds(now),)
            ).rowcount

        return await self._database.write(work)

    async def check_writable(self) -> None:
        """See :meth:`watchword.ports.InstanceStore.check_writable`."""
        await self._database.check_writable()

    def close(self) -> None:
        """See :meth:`watchword.ports.InstanceStore.close`; a second time does nothing."""
        self._database.close()
