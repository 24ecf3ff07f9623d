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
from watchword.adapters.store.operator_codes import (
    insert_code,
    select_code,
    select_codes,
    use_code,
    withdraw_code,
)
from watchword.adapters.store.rows import (
    INSTANCE_COLUMNS,
    INSTANCE_SELECTION,
    RECEIPT_COLUMNS,
    audit_from_row,
    audit_row,
    certificate_rows,
    instance_from_row,
    instance_row,
    microseconds,
    receipt_from_row,
    receipt_row,
)
from watchword.enrolment.operator_codes import OperatorCode
from watchword.ports import (
    AuditEntry,
    ChallengeUse,
    DeviceLimit,
    Instance,
    RevokedInstance,
    StoredReceipt,
)
from watchword.reasons import Reason, RefusedError

RECEIPT_DUE_WITHIN: Final = timedelta(days=40)
"""No receipt is ever planned to be due later than this; what is, was planned by a clock that ran ahead."""


class SqliteStore:
    """Implement :class:`watchword.ports.InstanceStore` on one file (mode 0600).

    And :class:`watchword.enrolment.operator_codes.OperatorCodeStore`, in the same transactions.
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

    async def enrol(
        self,
        use: ChallengeUse,
        instance: Instance,
        audit: AuditEntry,
        receipt: StoredReceipt | None = None,
        limit: DeviceLimit | None = None,
    ) -> int | None:
        """See :meth:`watchword.ports.InstanceStore.enrol`."""

        def work(connection: sqlite3.Connection) -> int | None:
            if limit is not None and instance.device_key is not None:
                count = _count_enrolled(connection, instance.device_key, limit.since)
                if count > limit.most:
                    return count
            _use_challenge(connection, use)
            _add_instance(connection, instance)
            if receipt is not None:
                values = receipt_row(receipt)
                connection.execute(
                    f"INSERT INTO receipts ({RECEIPT_COLUMNS}) VALUES ({_marks(len(values))})",  # noqa: S608
                    values,
                )
            _add_audit(connection, audit)
            return None

        return await self._database.write(work)

    async def enrol_by_code(
        self, code_id: str, use: ChallengeUse, instance: Instance, audit: AuditEntry
    ) -> None:
        """See :meth:`watchword.enrolment.operator_codes.OperatorCodeStore.enrol_by_code`."""

        def work(connection: sqlite3.Connection) -> None:
            use_code(connection, code_id, instance.id, instance.enrolled_at)
            _use_challenge(connection, use)
            _add_instance(connection, instance)
            _add_audit(connection, audit)

        await self._database.write(work)

    async def add_code(self, code: OperatorCode, audit: AuditEntry) -> None:
        """See :meth:`watchword.enrolment.operator_codes.OperatorCodeStore.add_code`."""

        def work(connection: sqlite3.Connection) -> None:
            insert_code(connection, code)
            _add_audit(connection, audit)

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
                _add_audit(connection, audit)
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
        attested = None if attested_at is None else microseconds(attested_at)

        def work(connection: sqlite3.Connection) -> Instance:
            _use_challenge(connection, use)
            instance = _require(connection, instance_id)
            if instance.revoked_at is not None:
                raise RefusedError.because(Reason.INSTANCE_REVOKED, "it was revoked")
            if counter is not None and counter <= instance.counter:
                raise RefusedError.because(
                    Reason.INSTANCE_COUNTER, f"got {counter}, expected more than {instance.counter}"
                )
            connection.execute(
                "UPDATE instances SET counter = coalesce(?, counter), "
                "app_version = coalesce(?, app_version), attested_at = coalesce(?, attested_at), "
                "renewed_at = ? WHERE id = ?",
                (counter, app_version, attested, microseconds(audit.at), instance_id),
            )
            _add_audit(connection, audit)
            return _require(connection, instance_id)

        return await self._database.write(work)

    async def count_enrolled(self, device_key: bytes, since: datetime) -> int:
        """See :meth:`watchword.ports.InstanceStore.count_enrolled`."""
        return await self._database.read(
            lambda connection: _count_enrolled(connection, device_key, since)
        )

    async def instances_with_serials(
        self, serials: Sequence[str], limit: int
    ) -> Sequence[Instance]:
        """See :meth:`watchword.ports.InstanceStore.instances_with_serials`."""
        wanted = json.dumps(list(serials))
        return await self._database.read(
            lambda connection: _instances(
                connection,
                "WHERE revoked_at IS NULL AND id IN (SELECT instance_id FROM "
                "instance_certificates WHERE serial IN (SELECT value FROM json_each(?))) LIMIT ?",
                (wanted, limit),
            )
        )

    async def find(self, instance_id: str) -> Instance | None:
        """See :meth:`watchword.ports.InstanceStore.find`."""
        return await self._database.read(lambda connection: _find(connection, instance_id))

    async def revoke(
        self, instance_id: str, at: datetime, because: str, audit: AuditEntry
    ) -> Instance:
        """See :meth:`watchword.ports.InstanceStore.revoke`."""

        def work(connection: sqlite3.Connection) -> Instance:
            _require(connection, instance_id)
            _revoke(connection, instance_id, at, because, audit)
            return _require(connection, instance_id)

        return await self._database.write(work)

    async def revoke_all(self, at: datetime, because: str, audits: Sequence[AuditEntry]) -> int:
        """See :meth:`watchword.ports.InstanceStore.revoke_all`."""
        return await self._database.write(
            lambda connection: sum(
                _revoke(connection, audit.subject, at, because, audit) for audit in audits
            )
        )

    async def recently_revoked(self, since: datetime) -> Sequence[RevokedInstance]:
        """See :meth:`watchword.ports.InstanceStore.recently_revoked`."""

        def work(connection: sqlite3.Connection) -> Sequence[RevokedInstance]:
            rows = connection.execute(
                "SELECT id, audiences FROM instances WHERE revoked_at >= ? ORDER BY revoked_at",
                (microseconds(since),),
            )
            return [RevokedInstance(row[0], tuple(json.loads(row[1]))) for row in rows]

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
                _add_audit(connection, audit)

        await self._database.write(work)

    async def list_instances(
        self, limit: int, app: str | None = None, before: str | None = None
    ) -> Sequence[Instance]:
        """See :meth:`watchword.ports.InstanceStore.list_instances`."""

        def work(connection: sqlite3.Connection) -> Sequence[Instance]:
            wanted = "? IN (app, '')"
            values: list[str | int] = [app or ""]
            if before is not None:
                last = _require(connection, before)
                wanted += " AND (-enrolled_at, id) > (?, ?)"
                values += [-microseconds(last.enrolled_at), last.id]
            order = "ORDER BY enrolled_at DESC, id LIMIT ?"
            return _instances(connection, f"WHERE {wanted} {order}", (*values, limit))

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
        await self._database.write(lambda connection: _add_audit(connection, entry))

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


def _use_challenge(connection: sqlite3.Connection, use: ChallengeUse) -> None:
    """Insert the nonce if it is absent: of several that race for it, one finds it absent."""
    used = connection.execute(
        "INSERT INTO used_challenges (nonce, expires_at) VALUES (?, ?) ON CONFLICT DO NOTHING",
        (use.nonce, microseconds(use.expires_at)),
    )
    if used.rowcount != 1:
        raise RefusedError.because(Reason.CHALLENGE_USED, "expected one that wasn't used before")


def _add_instance(connection: sqlite3.Connection, instance: Instance) -> None:
    """Insert an instance and its certificates, unless its id or its key is enrolled."""
    row = instance_row(instance)
    added = connection.execute(
        f"INSERT INTO instances ({INSTANCE_COLUMNS}) VALUES ({_marks(len(row))}) "  # noqa: S608
        "ON CONFLICT DO NOTHING",
        row,
    )
    if added.rowcount != 1:
        raise RefusedError.because(Reason.INSTANCE_EXISTS, "expected a key that isn't enrolled yet")
    connection.executemany(
        "INSERT INTO instance_certificates (instance_id, position, serial) VALUES (?, ?, ?)",
        certificate_rows(instance),
    )


def _count_enrolled(connection: sqlite3.Connection, device_key: bytes, since: datetime) -> int:
    count: int = connection.execute(
        "SELECT count(*) FROM instances WHERE device_key = ? AND enrolled_at >= ?",
        (device_key, microseconds(since)),
    ).fetchone()[0]
    return count


def _revoke(
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
    _add_audit(connection, audit)
    return True


def _add_audit(connection: sqlite3.Connection, entry: AuditEntry) -> None:
    connection.execute(
        "INSERT INTO audit (at, actor, action, subject, detail) VALUES (?, ?, ?, ?, ?)",
        audit_row(entry),
    )


def _instances(
    connection: sqlite3.Connection, condition: str, values: tuple[Any, ...]
) -> list[Instance]:
    query = f"SELECT {INSTANCE_SELECTION} FROM instances {condition}"  # noqa: S608 - our own text.
    return [instance_from_row(row) for row in connection.execute(query, values)]


def _find(connection: sqlite3.Connection, instance_id: str) -> Instance | None:
    found = _instances(connection, "WHERE id = ?", (instance_id,))
    return found[0] if found else None


def _require(connection: sqlite3.Connection, instance_id: str) -> Instance:
    instance = _find(connection, instance_id)
    if instance is None:
        raise RefusedError.because(Reason.INSTANCE_UNKNOWN, "expected an enrolled instance")
    return instance


def _marks(count: int) -> str:
    return ", ".join("?" * count)
