"""Define the tables of the SQLite store, and how an older file becomes the present one.

``PRAGMA user_version`` counts the migrations that a file has seen.  A migration is never edited
after a release; a change of the schema is a new entry at the end.
"""

import sqlite3
from typing import Final

from watchword.reasons import WatchwordError

_FIRST = """
CREATE TABLE instances (
    id TEXT PRIMARY KEY,
    app TEXT NOT NULL,
    app_version TEXT,
    platform TEXT NOT NULL,
    format TEXT NOT NULL,
    level TEXT NOT NULL,
    attested_key BLOB NOT NULL UNIQUE,
    proof_jwk TEXT NOT NULL,
    seal_jwk TEXT NOT NULL,
    audiences TEXT NOT NULL,
    enrolled_at INTEGER NOT NULL,
    renewed_at INTEGER NOT NULL,
    counter INTEGER NOT NULL,
    revoked_at INTEGER,
    revoked_because TEXT,
    test INTEGER NOT NULL
) STRICT;
CREATE INDEX instances_by_age ON instances (enrolled_at);
CREATE INDEX instances_revoked ON instances (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE TABLE used_challenges (
    nonce BLOB PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX used_challenges_by_expiry ON used_challenges (expires_at);
CREATE TABLE audit (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
"""
# Instants are whole microseconds since 1970, so that what is read equals what was written.

_SECOND = """
ALTER TABLE instances ADD COLUMN attested_at INTEGER;
ALTER TABLE instances ADD COLUMN device_key BLOB;
ALTER TABLE instances ADD COLUMN risk_metric INTEGER;
UPDATE instances SET attested_at = enrolled_at;
CREATE INDEX instances_by_device ON instances (device_key, enrolled_at)
    WHERE device_key IS NOT NULL;
CREATE TABLE instance_certificates (
    instance_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    serial TEXT NOT NULL,
    PRIMARY KEY (instance_id, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX instance_certificates_by_serial ON instance_certificates (serial, instance_id);
CREATE TABLE receipts (
    instance_id TEXT PRIMARY KEY,
    app TEXT NOT NULL,
    receipt BLOB NOT NULL,
    due_at INTEGER NOT NULL,
    failures INTEGER NOT NULL
) STRICT;
CREATE INDEX receipts_by_due ON receipts (app, due_at);
"""
# Instances of the first schema keep no serials: a certificate that is revoked later finds them
# when they enrol again.

_THIRD = """
ALTER TABLE instances ADD COLUMN expires_at INTEGER;
CREATE TABLE operator_codes (
    id TEXT PRIMARY KEY,
    digest BLOB NOT NULL,
    app TEXT NOT NULL,
    level TEXT NOT NULL,
    instance_for INTEGER NOT NULL,
    made_at INTEGER NOT NULL,
    made_by TEXT NOT NULL,
    because TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at INTEGER,
    instance_id TEXT,
    revoked_at INTEGER
) STRICT;
CREATE INDEX operator_codes_by_age ON operator_codes (made_at);
"""
# Of a code only its digest is here: whoever reads a backup can't enrol with it.

_FOURTH = """
CREATE TABLE leases (
    instance_id TEXT NOT NULL,
    secret TEXT NOT NULL,
    id TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL,
    app TEXT NOT NULL,
    app_version TEXT,
    issued_at INTEGER NOT NULL,
    delivered_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    deliveries INTEGER NOT NULL,
    withdrawn_at INTEGER,
    PRIMARY KEY (instance_id, secret)
) STRICT;
CREATE INDEX leases_by_expiry ON leases (expires_at);
"""
# What was handed out stays on a phone whose instance is revoked: its lease is marked, and not dropped.

_FIFTH = """
ALTER TABLE instances ADD COLUMN attester_serial TEXT;
CREATE INDEX instances_by_attester ON instances (attester_serial, app, enrolled_at)
    WHERE attester_serial IS NOT NULL;
"""

MIGRATIONS: Final[tuple[str, ...]] = (_FIRST, _SECOND, _THIRD, _FOURTH, _FIFTH)
"""Statements that lead from one version to the next, oldest first."""


class SchemaError(WatchwordError):
    """Report a database file that this version of Watchword must not touch."""


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a file to the present schema, in one transaction, safely beside other processes.

    :raises SchemaError: when a newer Watchword made the file: writing to it could lose what only
        the newer one knows.
    """
    if _version(connection) == len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        _upgrade(connection)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _upgrade(connection: sqlite3.Connection) -> None:
    version = _version(connection)  # Asked again: another process may have come first.
    if version > len(MIGRATIONS):
        raise SchemaError(
            f"the database has schema {version}, expected at most {len(MIGRATIONS)}: "
            "it was made by a newer Watchword; start that one, or restore a backup"
        )
    for migration in MIGRATIONS[version:]:
        for statement in migration.split(";"):
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version
