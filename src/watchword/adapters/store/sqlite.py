"""Keep instances in one SQLite file: write-ahead log, every commit flushed to the disk.

``synchronous=FULL`` makes a commit survive a loss of power, which ``NORMAL`` doesn't; an
acknowledged enrolment must never be forgotten, and a used challenge never be usable again.
"""

import json
import sqlite3
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from watchword.adapters.store.database import SqliteDatabase
from watchword.adapters.store.instances import (
    advance_instance,
    consume_challenge,
    count_enrolled,
    find_instance,
    insert_audit,
    insert_instance,
    marks,
    require_instance,
    revoke_instance,
    select_instances,
)
from watchword.adapters.store.leases import count_leases, drop_leases, keep_lease
from watchword.adapters.store.operator_codes import (
    insert_code,
    select_code,
    select_codes,
    use_code,
    withdraw_code,
)
from watchword.adapters.store.owed import Owed, OwingStore
from watchword.adapters.store.rows import (
    RECEIPT_COLUMNS,
    audit_from_row,
    microseconds,
    receipt_from_row,
    receipt_row,
)
from watchword.enrolment.leases import Lease, LeaseCount
from watchword.enrolment.operator_codes import OperatorCode
from watchword.ports import (
    AuditEntry,
    ChallengeUse,
    CountLimit,
    EnrolledCounts,
    Instance,
    RevokedInstance,
    StoredReceipt,
)

RECEIPT_DUE_WITHIN: Final = timedelta(days=40)
"""No receipt is ever planned to be due later than this; what is, was planned by a clock that ran ahead."""


class SqliteStore(OwingStore):
    """Implement :class:`watchword.ports.InstanceStore` on one file (mode 0600).

    And :class:`watchword.enrolment.operator_codes.OperatorCodeStore` and
    :class:`watchword.enrolment.leases.LeaseStore`, in the same transactions.
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
        """See :meth:`watchword.enrolment.leases.LeaseStore.deliver`."""

        def work(connection: sqlite3.Connection) -> Lease:
            self._owed.require_standing(lease.instance_id)
            consume_challenge(connection, use)
            advance_instance(connection, lease.instance_id, counter, lease.app_version, attested_at)
            kept = keep_lease(connection, lease)
            insert_audit(connection, audit(kept))
            return kept

        return await self._database.write(work)

    async def leases(self, now: datetime, secret: str | None = None) -> Sequence[LeaseCount]:
        """See :meth:`watchword.enrolment.leases.LeaseStore.leases`."""
        return await self._database.read(lambda connection: count_leases(connection, now, secret))

    async def forget_leases(self, now: datetime) -> int:
        """See :meth:`watchword.enrolment.leases.LeaseStore.forget_leases`."""
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
