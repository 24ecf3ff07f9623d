"""Read and write leases within a transaction of the store's."""

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from watchword.adapters.store.rows import instant, microseconds
from watchword.enrolment.leases import Lease, LeaseCount

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
