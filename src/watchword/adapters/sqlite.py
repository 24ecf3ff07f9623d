"""Keep the store in one SQLite file: write-ahead log, every commit flushed to the disk.

``synchronous=FULL`` makes a commit survive a loss of power, which ``NORMAL`` doesn't; an acknowledged enrolment must never
be forgotten, and a used challenge never be usable again.  All statements run on one thread, so that the event loop never
waits for a disk.  Several processes may share the file: ``BEGIN IMMEDIATE`` lets one write at a time.  ``PRAGMA
user_version`` tells which tables a file has; one of a newer Watchword isn't touched.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from watchword.adapters.challenge_log import newest_page
from watchword.adapters.host_database import write_ahead
from watchword.adapters.store import Connection, Dialect, EngineStore, QueuedDatabase
from watchword.encoding.phrases import other_format
from watchword.reasons import Reason, UnavailableError, WatchwordError

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
    attester_serial TEXT,
    renewed_days INTEGER NOT NULL DEFAULT 0
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
_UNRECORDED_USES: Final = """
CREATE TABLE unrecorded_uses (
    single INTEGER PRIMARY KEY CHECK (single = 1),
    number INTEGER NOT NULL
) STRICT;
INSERT INTO unrecorded_uses VALUES (1, 0);
CREATE TABLE challenge_pages (
    number INTEGER PRIMARY KEY,
    expires_at INTEGER NOT NULL,
    uses BLOB NOT NULL
) STRICT;
CREATE INDEX challenge_pages_by_expiry ON challenge_pages (expires_at);
"""
_DELETED: Final = """
CREATE INDEX instances_deleted ON instances (revoked_at) WHERE format = '-';
"""
_DAYS: Final = "ALTER TABLE instances ADD COLUMN renewed_days INTEGER NOT NULL DEFAULT 0;"
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


def open_schema(connection: sqlite3.Connection) -> bool:
    """Make the tables of a new file; tell whether all are there, which a file of 0.2.0 is given by :func:`make_schema`.

    :raises SchemaError: as :func:`make_schema`.
    """
    version = _version(connection)
    if version in {_WITHOUT_CUTS, SCHEMA_VERSION}:
        return _is_whole(connection)
    make_schema(connection)
    return True


def make_schema(connection: sqlite3.Connection) -> None:
    """Make the tables that are missing, in one transaction, safely beside other processes.

    A file of 0.2.0 gets what 0.2.0 passes over, and keeps its number until somebody makes a cut (:meth:`SqliteDatabase.add_cuts`):
    up to then one may go back to 0.2.0.

    :raises SchemaError: when another Watchword made the file: writing to it could lose what only
        that one knows.
    """
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
        raise _other(connection, version)
    if version == 0:
        for statement in (_SCHEMA + _CUTS + _UNRECORDED_USES + _DELETED).split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    _complete(connection)


def _complete(connection: Connection) -> None:
    """Give a file of 0.2.0 what this version adds to it, within a transaction."""
    columns = connection.execute("SELECT name FROM pragma_table_info('instances')")
    if ("renewed_days",) not in columns.fetchall():
        for statement in (_DAYS + _UNRECORDED_USES).split(";"):
            connection.execute(statement)
    if not _is_whole(connection):
        connection.execute(_DELETED)


def _is_whole(connection: Connection) -> bool:
    """Tell whether a file has what is added to one of 0.2.0 last, and so all of it."""
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'instances_deleted'")
    return found.fetchone() is not None


MOVED: Final = 0x4D4F5645
"""What ``PRAGMA user_version`` says of a file whose rows are in PostgreSQL now: every Watchword refuses it."""


def require_movable(connection: Connection) -> None:
    """Refuse to move a file that isn't one of this version; one of 0.2.0 gets what it lacks, within a transaction.

    :raises SchemaError: when another Watchword made it, or it was moved already.
    """
    version = _version(connection)
    if version not in {_WITHOUT_CUTS, SCHEMA_VERSION}:
        raise _other(connection, version)
    _complete(connection)


def mark_moved(connection: Connection) -> None:
    """Have no Watchword use the file any more: what it would write is seen by nobody."""
    connection.execute(f"PRAGMA user_version = {MOVED}")


def _other(connection: Connection, version: int) -> SchemaError:
    (_, _, file) = connection.execute("PRAGMA database_list").fetchone()
    if version == MOVED:
        return SchemaError(
            f"{file}: was moved into PostgreSQL: name that in service.store; the file is kept as it was, as a backup"
        )
    return SchemaError(f"{file}: {other_format(version, SCHEMA_VERSION)}")


def _version(connection: Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


BUSY_TIMEOUT_MS: Final = 2000
"""How long one statement waits for another process's transaction, in milliseconds."""

_Result = TypeVar("_Result")


DIALECT: Final = Dialect(
    row="rowid",
    serials=(
        "(SELECT json_group_array(serial) FROM (SELECT serial "
        "FROM instance_certificates WHERE instance_id = instances.id ORDER BY position))"
    ),
    texts="SELECT value FROM json_each(?)",
    locking="",
    passing="",
    revoked_after=(
        "SELECT seq, 0, instances.id, audiences, revoked_at FROM audit "
        "JOIN instances ON instances.id = audit.subject "
        "WHERE seq > ? AND revoked_at >= ? ORDER BY seq LIMIT ?"
    ),
)


class SqliteDatabase(QueuedDatabase):
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
        super().__init__(1, monotonic)
        self._path = path
        self._max_pages = max_pages
        self._opened: tuple[int, int] | None = None
        self._connection: sqlite3.Connection | None = None
        self._is_whole = False
        try:
            self._threads.submit(self._make).result()
            newest = self._threads.submit(self._run, self.newest_audit, writes=False).result()
            self.had_entries = newest > 0
        except BaseException:
            self.close()
            raise

    @property
    def dialect(self) -> Dialect:
        """See :attr:`watchword.adapters.store.Database.dialect`."""
        return DIALECT

    def identity(self, connection: Connection) -> int:  # noqa: ARG002 - the other engine asks it.
        """Return the number of the file (inode), 0 before it was opened."""
        return 0 if self._opened is None else self._opened[1]

    def accept(self, identity: int) -> None:
        """See :meth:`watchword.adapters.store.Database.accept`: another file is never written to."""

    def take_turns(self, connection: Connection, *about: str | bytes) -> None:
        """See :meth:`watchword.adapters.store.Database.take_turns`: ``BEGIN IMMEDIATE`` has done it."""

    def expect(
        self,
        connection: Connection,
        statement: str,
        values: Sequence[Any],
        refusal: Callable[[], Exception],
    ) -> None:
        """See :meth:`watchword.adapters.store.Database.expect`."""
        asked = connection.execute(statement, values)
        if not (asked.fetchone() if statement.startswith("SELECT ") else asked.rowcount):
            raise refusal()

    def newest_revocation(self, connection: Connection) -> int:
        """Return the number of the last audit entry that there ever was.

        Every revocation adds an audit entry in its transaction, and of two transactions the later one has the higher
        numbers: what was revoked since is found by the entries since.
        """
        return self.newest_audit(connection)

    def newest_audit(self, connection: Connection) -> int:
        """See :meth:`watchword.adapters.store.Database.newest_audit`; entries that were removed count."""
        row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'audit'").fetchone()
        return 0 if row is None else int(row[0])

    def count_use(self, connection: Connection) -> None:
        """See :meth:`watchword.adapters.store.Database.count_use`."""
        connection.execute("UPDATE unrecorded_uses SET number = number + 1")

    def unrecorded_uses(self, connection: Connection) -> int:
        """See :meth:`watchword.adapters.store.Database.unrecorded_uses`."""
        if not (self._is_whole or _is_whole(connection)):
            return 0
        row = connection.execute("SELECT number FROM unrecorded_uses").fetchone()
        return int(row[0]) + newest_page(connection)

    def settled_audit(self, connection: Connection, number: int) -> int | None:
        """See :meth:`watchword.adapters.store.Database.settled_audit`: one transaction writes at a time."""

    def knows_cuts(self, connection: Connection) -> bool:
        """See :meth:`watchword.adapters.store.Database.knows_cuts`."""
        return _version(connection) != _WITHOUT_CUTS

    def add_cuts(self, connection: Connection) -> None:
        """Make the table of cuts in a file of 0.2.0, within the transaction that needs it.

        An earlier Watchword then refuses the file, since its gates wouldn't keep a cut.
        """
        if not self.knows_cuts(connection):
            for statement in _CUTS.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _probe(self, connection: Connection) -> None:
        """Write a page that stays as it was, which a disk that is full can still have room for."""
        # The file's own version: a newer Watchword may have raised it meanwhile.
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute(f"PRAGMA user_version = {version:d}")

    def _run(self, work: Callable[[Connection], _Result], *, writes: bool) -> _Result:
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
            return self._carried(self._connection, work, writes=writes)
        except (sqlite3.Error, OSError) as error:
            # A connection that met an I/O error can stay broken after the disk is well again.
            self._disconnect()
            text = error.strerror if isinstance(error, OSError) else None
            name = getattr(error, "sqlite_errorname", text or type(error).__name__)
            raise _unavailable(self._path, name) from None

    def _carried(
        self, connection: sqlite3.Connection, work: Callable[[Connection], _Result], *, writes: bool
    ) -> _Result:
        """Carry a call out; a file of 0.2.0 is given what it lacks by the first that writes, or that reads any of it.

        Up to then it stays as it was, for a start that something else refuses.
        """
        if not self._is_whole:
            if not writes:
                with suppress(sqlite3.OperationalError):
                    return work(connection)
            make_schema(connection)
            self._is_whole = True
        return self._transacted(work) if writes else work(connection)

    def _transacted(self, work: Callable[[Connection], _Result]) -> _Result:
        connection = self._connection
        assert connection is not None
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
            # What is deleted is overwritten in the pages that are written anyway.
            connection.execute("PRAGMA secure_delete = FAST")
            if self._max_pages is not None:
                connection.execute(f"PRAGMA max_page_count = {self._max_pages}")
            self._is_whole = open_schema(connection)
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


class SqliteStore(EngineStore):
    """Keep the store in one file (mode 0600)."""

    def __init__(
        self,
        path: Path,
        *,
        max_pages: int | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open or make the file, as :class:`SqliteDatabase` does."""
        super().__init__(SqliteDatabase(path, max_pages=max_pages, monotonic=monotonic))
