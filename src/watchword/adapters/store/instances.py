"""Read and write instances, used challenges and the audit trail within a transaction of the store's."""

import sqlite3
from datetime import datetime
from typing import Any

from watchword.adapters.store.leases import withdraw_leases
from watchword.adapters.store.rows import (
    INSTANCE_COLUMNS,
    INSTANCE_SELECTION,
    audit_row,
    certificate_rows,
    instance_from_row,
    instance_row,
    microseconds,
)
from watchword.ports import (
    MOST_UNDER_SERIAL,
    AuditEntry,
    ChallengeUse,
    EnrolledCounts,
    Instance,
)
from watchword.reasons import Reason, RefusedError


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
