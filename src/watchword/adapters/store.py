"""Keep instances, used challenges and the audit trail in one SQLite file: write-ahead log, every commit flushed to the disk.

``synchronous=FULL`` makes a commit survive a loss of power, which ``NORMAL`` doesn't; an acknowledged enrolment must never
be forgotten, and a used challenge never be usable again.  All statements run on one thread, so that the event loop never
waits for a disk.  Several processes may share the file: ``BEGIN IMMEDIATE`` lets one write at a time.  ``PRAGMA
user_version`` tells which tables a file has; one of a newer Watchword isn't touched.  What was done though the store
couldn't record it is kept in memory until it can be written.

**Rollback.**  A private file beside the database keeps its mark: its last audit entry, and the epoch of challenges.  Every
use of a challenge adds an audit entry in the same transaction, and their numbers only grow.  A database whose last number
is below the mark is an older copy and doesn't know which challenges were used since; a database in another file may be
one, too.  Either begins another epoch.
"""

import asyncio
import json
import math
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from sqlite3 import Connection
from typing import Any, Final, TypeVar

from watchword.adapters.host_database import write_ahead
from watchword.adapters.keyring.private_file import (
    PrivateFileError,
    read_private,
    require_format,
    write_private,
)
from watchword.encoding import strict_json
from watchword.encoding.phrases import moment, other_format
from watchword.enrolment.delivery import Lease, LeaseCount
from watchword.enrolment.interface import OperatorCode
from watchword.gate.cuts import MOST_CUTS, Cut, ScheduledCut
from watchword.ports import (
    MOST_AUDIT_SCANNED,
    MOST_UNDER_SERIAL,
    AuditEntry,
    ChallengeUse,
    CountLimit,
    EnrolledCounts,
    Instance,
    RevocationCursor,
    RevocationNews,
    RevokedInstance,
    StoredReceipt,
)
from watchword.reasons import MalformedError, Reason, RefusedError, UnavailableError, WatchwordError
from watchword.vocabulary import Level

_SCHEMA: Final = """
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
    test INTEGER NOT NULL,
    attested_at INTEGER,
    device_key BLOB,
    risk_metric INTEGER,
    expires_at INTEGER,
    attester_serial TEXT
) STRICT;
CREATE INDEX instances_by_age ON instances (enrolled_at);
CREATE INDEX instances_revoked ON instances (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE INDEX instances_by_device ON instances (device_key, enrolled_at)
    WHERE device_key IS NOT NULL;
CREATE INDEX instances_by_attester ON instances (attester_serial, app, enrolled_at)
    WHERE attester_serial IS NOT NULL;
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
_CUTS: Final = """
CREATE TABLE cuts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    app TEXT,
    level TEXT,
    before INTEGER NOT NULL,
    share INTEGER NOT NULL,
    step INTEGER NOT NULL,
    pause INTEGER NOT NULL,
    because TEXT NOT NULL,
    made_by TEXT NOT NULL,
    made_at INTEGER NOT NULL,
    stopped_at INTEGER
) STRICT;
CREATE INDEX cuts_by_instant ON cuts (before);
"""
# Instants are whole microseconds since 1970, so that what is read equals what was written.
# Of a code only its digest is here: whoever reads a backup can't enrol with it.
# What was handed out stays on a phone whose instance is revoked: its lease is marked, and not dropped.

SCHEMA_VERSION: Final = 6
"""What ``PRAGMA user_version`` says of a file with these tables; a change of them takes the next number."""

_WITHOUT_CUTS: Final = 5
"""The version of a file of 0.2.0."""


class SchemaError(WatchwordError):
    """Report a database file that this version of Watchword must not touch."""


def make_schema(connection: sqlite3.Connection) -> None:
    """Make the tables of a new file, in one transaction, safely beside other processes.

    A file of 0.2.0 stays as it is until somebody makes a cut (:func:`add_cuts`): up to then one may go back to 0.2.0.

    :raises SchemaError: when another Watchword made the file: writing to it could lose what only
        that one knows.
    """
    if _version(connection) in {_WITHOUT_CUTS, SCHEMA_VERSION}:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        _create(connection)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _create(connection: sqlite3.Connection) -> None:
    version = _version(connection)  # Asked again: another process may have come first.
    if version not in {0, _WITHOUT_CUTS, SCHEMA_VERSION}:
        (_, _, file) = connection.execute("PRAGMA database_list").fetchone()
        raise SchemaError(f"{file}: {other_format(version, SCHEMA_VERSION)}")
    if version == 0:
        for statement in (_SCHEMA + _CUTS).split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def add_cuts(connection: sqlite3.Connection) -> None:
    """Make the table of cuts in a file of 0.2.0, within the transaction that needs it.

    An earlier Watchword then refuses the file, since its gates wouldn't keep a cut.
    """
    if not knows_cuts(connection):
        for statement in _CUTS.split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def knows_cuts(connection: sqlite3.Connection) -> bool:
    """Tell whether a file has the table of cuts."""
    return _version(connection) != _WITHOUT_CUTS


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


BUSY_TIMEOUT_MS: Final = 2000
"""How long one statement waits for another process's transaction, in milliseconds."""

MAX_WAITING: Final = 256
"""Most calls that wait for the thread; on a stalled disk more would only eat memory."""

PROBE_SECONDS: Final = 1.0
"""How long the answer of :meth:`SqliteDatabase.check_writable` holds: anyone can ask for it."""

TROUBLE_SECONDS: Final = 30.0
"""How long a write that failed shows in :meth:`SqliteDatabase.check_writable`, unless one succeeds."""

_Result = TypeVar("_Result")
_Work = Callable[[sqlite3.Connection], _Result]


class SqliteDatabase:
    """Hold one file (mode 0600) and the thread that works on it."""

    def __init__(
        self,
        path: Path,
        *,
        max_pages: int | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open the file, make it with its tables if it isn't there.

        Only here is a file made: one that goes away later is missed, and not replaced by an empty
        one that knows neither revocations nor used challenges.

        :param max_pages: most pages of 4096 bytes that the file may have; None leaves that to the
            disk.
        :raises SchemaError: when another Watchword made the file.
        :raises UnavailableError: ``store.unavailable`` when it can't be opened.
        """
        self._path = path
        self._max_pages = max_pages
        self._monotonic = monotonic
        self._probed_until = 0.0
        self._trouble: tuple[float, UnavailableError] | None = None
        self._opened: tuple[int, int] | None = None
        self._connection: sqlite3.Connection | None = None
        self._waiting = 0
        self._closed = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="watchword-store")
        try:
            self._thread.submit(self._make).result()
            self._thread.submit(self._guarded, lambda _connection: None).result()
        except BaseException:
            self.close()
            raise

    @property
    def file(self) -> int:
        """Return the number of the file (inode), 0 before it was opened."""
        return 0 if self._opened is None else self._opened[1]

    async def check_writable(self) -> None:
        """See :meth:`watchword.ports.InstanceStore.check_writable`.

        Writes a page that stays as it was, which a disk that is full can still have room for: a
        write of somebody's that failed a moment ago tells more.
        """
        if self._trouble is not None and self._monotonic() < self._trouble[0]:
            raise self._trouble[1]
        if not self._closed and self._monotonic() < self._probed_until:
            return

        def work(connection: sqlite3.Connection) -> None:
            # The file's own version: a newer Watchword may have raised it meanwhile.
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            connection.execute(f"PRAGMA user_version = {version:d}")

        await self._transact(work)
        self._probed_until = self._monotonic() + PROBE_SECONDS

    def close(self) -> None:
        """See :meth:`watchword.ports.InstanceStore.close`; a second time does nothing."""
        if self._closed:
            return
        self._closed = True
        self._thread.submit(self._disconnect)
        self._thread.shutdown(wait=True)

    async def write(self, work: _Work[_Result]) -> _Result:
        """Carry out a write as one transaction, and remember whether the disk took it.

        :raises UnavailableError: as :meth:`read` does; nothing was written.
        """
        try:
            result = await self._transact(work)
        except UnavailableError as error:
            if error.reason is Reason.STORE_UNAVAILABLE:
                self._trouble = (self._monotonic() + TROUBLE_SECONDS, error)
            raise
        self._trouble = None
        return result

    async def _transact(self, work: _Work[_Result]) -> _Result:
        def transaction(connection: sqlite3.Connection) -> _Result:
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = work(connection)
                connection.execute("COMMIT")
            except BaseException:
                # SQLite itself has rolled back already after some errors (disk full).
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise
            return result

        return await self.read(transaction)

    async def read(self, work: _Work[_Result]) -> _Result:
        """Carry out work that changes nothing.

        :raises UnavailableError: ``store.unavailable``, or ``service.overloaded`` at once when too
            many calls wait already.
        """
        if self._closed:
            raise UnavailableError(Reason.STORE_UNAVAILABLE, "the store is closed")
        if self._waiting >= MAX_WAITING:
            raise UnavailableError(Reason.SERVICE_OVERLOADED, "the store is behind with its work")
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, self._guarded, work)
        finally:
            self._waiting -= 1

    def _guarded(self, work: _Work[_Result]) -> _Result:
        """Run on the store's thread; turn every error of SQLite into one of ours."""
        try:
            found = self._path.stat()
            identity = (found.st_dev, found.st_ino)
            self._opened = self._opened or identity
            if identity != self._opened:
                # What goes into a file that was removed is lost, and another file in its place
                # would be mixed with the write-ahead log of the first.
                self._disconnect()
                raise _unavailable(self._path, "was replaced; stop the service and start it again")
            if self._connection is None:
                self._connection = self._connect()
            return work(self._connection)
        except (sqlite3.Error, OSError) as error:
            # A connection that met an I/O error can stay broken after the disk is well again.
            self._disconnect()
            text = error.strerror if isinstance(error, OSError) else None
            name = getattr(error, "sqlite_errorname", text or type(error).__name__)
            raise _unavailable(self._path, name) from None

    def _make(self) -> None:
        # Made here so that it never exists with a wider mode; SQLite gives the -wal and -shm files
        # the mode of the database.
        try:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise _unavailable(self._path, error.strerror or "can't be made") from None

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None
        )
        try:
            write_ahead(connection)
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA trusted_schema = OFF")
            if self._max_pages is not None:
                connection.execute(f"PRAGMA max_page_count = {self._max_pages}")
            make_schema(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _unavailable(path: Path, why: str) -> UnavailableError:
    return UnavailableError(Reason.STORE_UNAVAILABLE, f"{path.name}: {why}")


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
    """Return the entry behind the values of :func:`audit_row`, with its number behind them."""
    return AuditEntry(instant(row[0]), row[1], row[2], row[3], json.loads(row[4]), row[5])


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


def require_newest(connection: sqlite3.Connection, use: ChallengeUse, instance_id: str) -> None:
    """Refuse a challenge that came with other tokens than the instance's newest, whose row has its instant.

    Here, since of two renewals at the same time one comes first, and makes the other's challenge an old one.  Compared as
    a whole: after a clock was set back, an older one is of a later instant.

    :raises RefusedError: ``challenge.superseded``; ``instance.unknown``.
    """
    if use.made_at is None:
        return
    renewed_at = require_instance(connection, instance_id).renewed_at
    if use.made_at != renewed_at:
        raise RefusedError.because(
            Reason.CHALLENGE_SUPERSEDED,
            f"it came with older tokens: the instance renewed at {moment(renewed_at)}",
        )


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
    platform: str | None = None,
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
        "app_version = coalesce(?, app_version), attested_at = coalesce(?, attested_at), "
        "platform = coalesce(?, platform) "
        "WHERE id = ?",
        (
            counter,
            app_version,
            None if attested_at is None else microseconds(attested_at),
            platform,
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


CUT_COLUMNS: Final = (
    "app, level, before, share, step, pause, because, made_by, made_at, stopped_at, id"
)


def cut_from_row(row: Sequence[Any]) -> ScheduledCut:
    """Return the cut in a row of :data:`CUT_COLUMNS`."""
    app, level, before, share, step, pause, because, made_by, made_at, stopped_at, number = row
    return ScheduledCut(
        Cut(app, None if level is None else Level(level), before, share),
        step,
        pause,
        because,
        made_by,
        instant(made_at),
        number,
        None if stopped_at is None else instant(stopped_at),
    )


def insert_cut(connection: sqlite3.Connection, made: ScheduledCut, since: int) -> ScheduledCut:
    """Insert a cut and return it with its number.

    :param since: those with an earlier instant are over.
    :raises RefusedError: ``request.malformed``.
    """
    (count,) = connection.execute(
        "SELECT count(*) FROM cuts WHERE before >= ?", (since,)
    ).fetchone()
    if count >= MOST_CUTS:
        raise RefusedError.because(
            Reason.REQUEST_MALFORMED,
            f"got {count} cuts in force, expected at most {MOST_CUTS}; each ends by itself once the tokens of before have",
        )
    cut, level = made.cut, made.cut.level
    row = (
        cut.app,
        None if level is None else level.value,
        cut.before,
        cut.share,
        made.step,
        made.pause,
        made.because,
        made.made_by,
        microseconds(made.made_at),
    )
    inserted = connection.execute(
        "INSERT INTO cuts (app, level, before, share, step, pause, because, made_by, made_at) "  # noqa: S608 - our own text.
        f"VALUES ({marks(len(row))})",
        row,
    )
    assert inserted.lastrowid is not None
    return replace(made, id=inserted.lastrowid)


def select_cut(connection: sqlite3.Connection, number: int) -> ScheduledCut | None:
    """Return one cut, None if there is none of this number."""
    row = connection.execute(
        f"SELECT {CUT_COLUMNS} FROM cuts WHERE id = ?",  # noqa: S608 - our own text.
        (number,),
    ).fetchone()
    return None if row is None else cut_from_row(row)


_HOLDERS_AT_ONCE: Final = 20_000
"""Rows of instances that are looked at in one piece, in about 10 ms, so that renewals come in between."""


_HOLDERS: Final = (
    "FROM instances WHERE rowid > ? AND rowid <= ? AND app = ? AND level = coalesce(?, level) "
    "AND revoked_at IS NULL AND renewed_at >= ? AND renewed_at < ?"
)


def holders_from(
    connection: sqlite3.Connection,
    columns: str,
    wanted: tuple[str, Level | None, datetime, datetime],
    after: int,
) -> tuple[list[Any], int | None]:
    """Return rows of who was issued tokens in a span of time, in one piece of the table, and where to go on."""
    app, level, *times = wanted
    until = after + _HOLDERS_AT_ONCE
    rows = connection.execute(
        f"SELECT {columns} {_HOLDERS}",
        (after, until, app, None if level is None else level.value, *map(microseconds, times)),
    ).fetchall()
    (last,) = connection.execute("SELECT coalesce(max(rowid), 0) FROM instances").fetchone()
    return rows, until if until < last else None


MAX_PENDING: Final = 10_000
"""The most audit entries that may be pending; beyond that the oldest are lost, which the log has too."""


@dataclass(frozen=True, slots=True)
class WithheldInstance:
    """Hold a revocation that isn't in the store yet."""

    at: datetime
    because: str
    audit: AuditEntry


@dataclass(slots=True)
class PendingWrites:
    """Hold revoked instances and audit entries that aren't in the store yet."""

    instances: dict[str, WithheldInstance] = field(default_factory=dict)
    entries: deque[AuditEntry] = field(default_factory=lambda: deque(maxlen=MAX_PENDING))

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
        pending = self.instances.get(instance.id)
        if pending is None or instance.revoked_at is not None:
            return instance
        return replace(instance, revoked_at=pending.at, revoked_because=pending.because)

    def revoked(self, connection: Connection) -> Sequence[RevokedInstance]:
        """Return the revoked instances for the gates to be told of."""
        pending = tuple(self.instances.items())
        found = ((find_instance(connection, name), each.at) for name, each in pending)
        return [
            RevokedInstance(each.id, each.audiences, at) for each, at in found if each is not None
        ]

    def forget(self, instances: Sequence[str], entries: int) -> None:
        """Forget what was written: these instances, and so many of the oldest entries."""
        for instance_id in instances:
            self.instances.pop(instance_id, None)
        for _ in range(min(entries, len(self.entries))):
            self.entries.popleft()


class WriteBehindStore:
    """Implement the part of the store that goes on without its disk, and what compares it with its mark."""

    _database: SqliteDatabase
    _pending: PendingWrites

    @property
    def pending(self) -> int:
        """See :attr:`watchword.apps.service.safeguards.GuardedStore.pending`."""
        return len(self._pending)

    def withhold(self, instance_id: str, at: datetime, because: str, audit: AuditEntry) -> None:
        """See :meth:`watchword.apps.service.safeguards.GuardedStore.withhold`."""
        self._pending.instances.setdefault(instance_id, WithheldInstance(at, because, audit))

    def enqueue(self, entry: AuditEntry) -> None:
        """See :meth:`watchword.apps.service.safeguards.GuardedStore.enqueue`."""
        self._pending.entries.append(entry)

    async def flush(self) -> int:
        """See :meth:`watchword.apps.service.safeguards.GuardedStore.flush`."""
        instances, entries = dict(self._pending.instances), tuple(self._pending.entries)
        if not instances and not entries:
            return 0

        def work(connection: Connection) -> None:
            for instance_id, pending in instances.items():
                audit = _late(pending.audit)
                revoke_instance(connection, instance_id, pending.at, pending.because, audit)
            for entry in entries:
                insert_audit(connection, _late(entry))

        await self._database.write(work)
        self._pending.forget(tuple(instances), len(entries))
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
            await self.flush()
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


# Two questions, since SQLite finds no place in the middle of one instant by a comparison of pairs.
_REVOKED_AT: Final = (
    "SELECT revoked_at, rowid, id, audiences, revoked_at FROM instances "
    "WHERE revoked_at = ? AND rowid > ? ORDER BY rowid LIMIT ?"
)
_REVOKED_SINCE: Final = (
    "SELECT revoked_at, rowid, id, audiences, revoked_at FROM instances "
    "WHERE revoked_at >= ? ORDER BY revoked_at, rowid LIMIT ?"
)
_REVOKED_AFTER: Final = (
    "SELECT seq, 0, instances.id, audiences, revoked_at FROM audit "
    "JOIN instances ON instances.id = audit.subject "
    "WHERE seq > ? AND revoked_at >= ? ORDER BY seq LIMIT ?"
)


@lru_cache(maxsize=256)
def _audiences(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


def _revoked_behind(
    connection: Connection, since: int, row: tuple[int, int], limit: int
) -> list[tuple[Any, ...]]:
    """Return the next revoked instances by time and row."""
    at, number = row
    found = []
    if at >= since:
        found = connection.execute(_REVOKED_AT, (at, number, limit)).fetchall()
        since = at + 1
    return found + connection.execute(_REVOKED_SINCE, (since, limit - len(found))).fetchall()


class SqliteStore(WriteBehindStore):
    """Implement :class:`watchword.ports.InstanceStore` on one file (mode 0600).

    And :class:`watchword.enrolment.interface.OperatorCodeStore` and
    :class:`watchword.enrolment.delivery.LeaseStore`, in the same transactions.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_pages: int | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open or make the file, as :class:`watchword.adapters.store.SqliteDatabase` does."""
        self._database = SqliteDatabase(path, max_pages=max_pages, monotonic=monotonic)
        self._pending = PendingWrites()

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
        """See :meth:`watchword.enrolment.interface.OperatorCodeStore.enrol_by_code`."""

        def work(connection: sqlite3.Connection) -> None:
            use_code(connection, code_id, instance.id, instance.enrolled_at)
            consume_challenge(connection, use)
            insert_instance(connection, instance)
            insert_audit(connection, audit)

        await self._database.write(work)

    async def add_code(self, code: OperatorCode, audit: AuditEntry) -> None:
        """See :meth:`watchword.enrolment.interface.OperatorCodeStore.add_code`."""

        def work(connection: sqlite3.Connection) -> None:
            insert_code(connection, code)
            insert_audit(connection, audit)

        await self._database.write(work)

    async def find_code(self, code_id: str) -> OperatorCode | None:
        """See :meth:`watchword.enrolment.interface.OperatorCodeStore.find_code`."""
        return await self._database.read(lambda connection: select_code(connection, code_id))

    async def list_codes(self, limit: int) -> Sequence[OperatorCode]:
        """See :meth:`watchword.enrolment.interface.OperatorCodeStore.list_codes`."""
        return await self._database.read(lambda connection: select_codes(connection, limit))

    async def cancel_code(self, code_id: str, audit: AuditEntry) -> OperatorCode | None:
        """See :meth:`watchword.enrolment.interface.OperatorCodeStore.cancel_code`."""

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
        platform: str | None = None,
    ) -> Instance:
        """See :meth:`watchword.ports.InstanceStore.renew`."""

        def work(connection: sqlite3.Connection) -> Instance:
            self._pending.require_standing(instance_id)
            require_newest(connection, use, instance_id)
            consume_challenge(connection, use)
            advance_instance(connection, instance_id, counter, app_version, attested_at, platform)
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
            self._pending.require_standing(lease.instance_id)
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
        return None if found is None else self._pending.shown(found)

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

    async def revocations(
        self, since: datetime, after: RevocationCursor | None, limit: int
    ) -> RevocationNews:
        """See :meth:`watchword.ports.InstanceStore.revocations`.

        Every revocation adds an audit entry in its transaction, and of two transactions the later one has the higher
        numbers: what was revoked since is found by the entries since.
        """

        def work(connection: sqlite3.Connection) -> RevocationNews:
            last = _sequence(connection)
            # A trail that ends before is an older copy, which may lack what was told.
            anew = after is None or after.sequence > last
            cursor = RevocationCursor(last, (-1, -1)) if after is None or anew else after
            if cursor.row is None:
                asked = (cursor.sequence, microseconds(since), limit)
                rows = connection.execute(_REVOKED_AFTER, asked).fetchall()
            else:
                rows = _revoked_behind(connection, microseconds(since), cursor.row, limit)
            found = [
                RevokedInstance(each[2], _audiences(each[3]), instant(each[4])) for each in rows
            ]
            more = len(rows) == limit
            if not more:
                found += self._pending.revoked(connection)
                cursor = RevocationCursor(cursor.sequence if cursor.row else last)
            elif cursor.row is None:
                cursor = RevocationCursor(rows[-1][0])
            else:
                cursor = RevocationCursor(cursor.sequence, rows[-1][:2])
            # What was revoked while all were read stands in the trail.
            return RevocationNews(cursor, found, anew, more or cursor.sequence < last)

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
            return [self._pending.shown(each) for each in found]

        return await self._database.read(work)

    async def add_cut(
        self, cut: ScheduledCut, since: int, audit: Callable[[ScheduledCut], AuditEntry]
    ) -> ScheduledCut:
        """See :meth:`watchword.gate.cuts.CutStore.add_cut`."""

        def work(connection: sqlite3.Connection) -> ScheduledCut:
            add_cuts(connection)
            made = insert_cut(connection, cut, since)
            insert_audit(connection, audit(made))
            return made

        return await self._database.write(work)

    async def cuts(self, since: int) -> Sequence[ScheduledCut]:
        """See :meth:`watchword.gate.cuts.CutStore.cuts`."""

        def work(connection: sqlite3.Connection) -> Sequence[ScheduledCut]:
            if not knows_cuts(connection):
                return []
            rows = connection.execute(
                f"SELECT {CUT_COLUMNS} FROM cuts WHERE before >= ? ORDER BY id",  # noqa: S608
                (since,),
            )
            return [cut_from_row(row) for row in rows]

        return await self._database.read(work)

    async def advance_cut(self, cut: ScheduledCut) -> bool:
        """See :meth:`watchword.gate.cuts.CutStore.advance_cut`."""
        return await self._database.write(
            lambda connection: (
                connection.execute(
                    "UPDATE cuts SET share = ? WHERE id = ? AND share = ? AND stopped_at IS NULL",
                    (cut.next_share, cut.id, cut.cut.share),
                ).rowcount
                == 1
            )
        )

    async def stop_cut(self, cut_id: int, audit: AuditEntry) -> ScheduledCut | None:
        """See :meth:`watchword.gate.cuts.CutStore.stop_cut`."""

        def work(connection: sqlite3.Connection) -> ScheduledCut | None:
            if not knows_cuts(connection):
                return None
            stopped = connection.execute(
                "UPDATE cuts SET stopped_at = ? WHERE id = ? AND stopped_at IS NULL",
                (microseconds(audit.at), cut_id),
            )
            if stopped.rowcount == 1:
                insert_audit(connection, audit)
            return select_cut(connection, cut_id)

        return await self._database.write(work)

    async def count_holders(
        self, app: str, level: Level | None, since: datetime, before: datetime, after: int
    ) -> tuple[int, int | None]:
        """See :meth:`watchword.gate.cuts.CutStore.count_holders`."""
        rows, more = await self._database.read(
            lambda connection: holders_from(
                connection, "count(*)", (app, level, since, before), after
            )
        )
        return rows[0][0], more

    async def holders(
        self, app: str, level: Level | None, since: datetime, before: datetime, after: int
    ) -> tuple[Sequence[tuple[str, tuple[str, ...]]], int | None]:
        """See :meth:`watchword.gate.cuts.CutStore.holders`."""
        rows, more = await self._database.read(
            lambda connection: holders_from(
                connection, "id, audiences", (app, level, since, before), after
            )
        )
        return [(name, _audiences(told)) for name, told in rows], more

    async def audit_entries(
        self, limit: int, subject: str | None = None, before: int | None = None
    ) -> Sequence[AuditEntry]:
        """See :meth:`watchword.ports.InstanceStore.audit_entries`."""

        def work(connection: sqlite3.Connection) -> Sequence[AuditEntry]:
            end = _sequence(connection) + 1 if before is None else before
            rows = connection.execute(
                "SELECT at, actor, action, subject, detail, seq FROM audit WHERE seq < ? AND seq >= ? "
                "AND (? IS NULL OR subject = ?) ORDER BY seq DESC LIMIT ?",
                (end, end - MOST_AUDIT_SCANNED, subject, subject, limit),
            )
            return [audit_from_row(row) for row in rows]

        return await self._database.read(work)

    async def audit_from(self, number: int, limit: int) -> Sequence[AuditEntry]:
        """See :meth:`watchword.ports.InstanceStore.audit_from`."""

        def work(connection: sqlite3.Connection) -> Sequence[AuditEntry]:
            rows = connection.execute(
                "SELECT at, actor, action, subject, detail, seq FROM audit WHERE seq >= ? ORDER BY seq LIMIT ?",
                (number, limit),
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


_MAX_BYTES: Final = 1024


_MARK_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class _State:
    epoch: int = 0
    sequence: int = 0
    file: int = 0
    forgotten: int = 0


@dataclass(frozen=True, slots=True)
class Exchange:
    """Say why the database isn't taken for the one that was here.

    :param missing: how many audit entries it lacks, as far as that is known; 0 where it isn't.
    :param why: for the log.
    """

    missing: int
    why: str


class RollbackDetector:
    """Implement :class:`watchword.enrolment.statement.ChallengeEpochs`; any thread may call it.

    What can't be written is kept in memory, which is as good while the process lives: the next one finds
    an older mark and begins another epoch rather than one too few.
    """

    def __init__(self, path: Path) -> None:
        """Read the file; it is made by :meth:`compare`.

        :raises PrivateFileError: when it can't be trusted: others could have written it.
        """
        self._path = path
        self._turn = threading.Lock()
        read = _read(path)
        self._is_known = read is not None
        self._state = read or _State()

    @property
    def number(self) -> int:
        """See :attr:`watchword.enrolment.statement.ChallengeEpochs.number`."""
        return self._state.epoch

    @property
    def forgotten(self) -> int:
        """See :attr:`watchword.enrolment.statement.ChallengeEpochs.forgotten`."""
        return self._state.forgotten

    def begin(self, now: datetime) -> None:
        """See :meth:`watchword.enrolment.statement.ChallengeEpochs.begin`.

        The number is at least the time, so that it grows also where the file was lost.
        """
        with self._turn:
            number = max(self._state.epoch + 1, int(now.timestamp()))
            self._state = replace(self._state, epoch=number, forgotten=0)
            self._write_if_possible()

    def compare(self, sequence: int, file: int, now: datetime) -> Exchange | None:
        """Look at the database that the service starts with; return what is wrong with it, None for nothing.

        :param sequence: number of its last audit entry, 0 where it never had one.
        :param file: the number of its file (inode).
        """
        seen, found = self._state, None
        if not self._is_known:
            found = Exchange(0, "nothing is known of the database that was here before")
        elif sequence < seen.sequence:
            missing = seen.sequence - sequence
            found = Exchange(missing, f"{missing} entries of the audit trail are missing")
        elif file != seen.file:
            found = Exchange(0, "it is in another file than the one that was here before")
        self._state = replace(seen, sequence=sequence, file=file)
        if found is not None:
            self.begin(now)
        elif self._state != seen:
            self._write_if_possible()
        fresh = not self._is_known and sequence == 0
        self._is_known = True
        return None if fresh else found

    def advance(self, sequence: int) -> None:
        """Note how far the database is.

        :raises UnavailableError: when that can't be written.
        """
        with self._turn:
            if sequence > self._state.sequence:
                self._put(replace(self._state, sequence=sequence))

    def forget(self, before: datetime) -> None:
        """Note that uses of challenges are about to be forgotten that expired before an instant.

        :raises UnavailableError: when that can't be written; then they mustn't be.
        """
        forgotten = math.ceil(before.timestamp())
        with self._turn:
            if forgotten > self._state.forgotten:
                self._put(replace(self._state, forgotten=forgotten))

    def _put(self, state: _State) -> None:
        try:
            write_private(self._path, strict_json.dumps(asdict(state)))
        except PrivateFileError as error:
            raise UnavailableError(Reason.STORE_UNAVAILABLE, str(error)) from None
        self._state = state

    def _write_if_possible(self) -> None:
        try:
            self._put(self._state)
        except UnavailableError:
            return


def _read(path: Path) -> _State | None:
    """Return what the file says, None where it says nothing that can be read: then nothing is known."""
    data = read_private(path, _MAX_BYTES)
    if data is None:
        return None
    try:
        members = strict_json.loads(data, _MAX_BYTES)
    except MalformedError:
        return None
    # Version 0.2.0 wrote no number.
    require_format(path, members.get("v", _MARK_VERSION), _MARK_VERSION)
    values = [_number(members.get(name)) for name in ("epoch", "sequence", "file", "forgotten")]
    return None if -1 in values else _State(*values)


def _number(value: Any) -> int:
    return value if type(value) is int and value >= 0 else -1
