"""Keep instances in one SQLite file: write-ahead log, every commit flushed to the disk.

``synchronous=FULL`` makes a commit survive a loss of power, which ``NORMAL`` doesn't; an
acknowledged enrolment must never be forgotten, and a used challenge never be usable again.
All statements run on one thread, so that the event loop never waits for a disk.  Several
processes may share the file: ``BEGIN IMMEDIATE`` lets one write at a time.
"""

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from watchword.adapters.store.rows import (
    INSTANCE_COLUMNS,
    audit_from_row,
    audit_row,
    instance_from_row,
    instance_row,
    microseconds,
)
from watchword.adapters.store.schema import MIGRATIONS, migrate
from watchword.ports import AuditEntry, ChallengeUse, Instance
from watchword.reasons import Reason, RefusedError, UnavailableError

BUSY_TIMEOUT_MS: Final = 2000
"""How long one statement waits for another process's transaction, in milliseconds."""

MAX_WAITING: Final = 256
"""Most calls that wait for the thread; on a stalled disk more would only eat memory."""

PROBE_SECONDS: Final = 1.0
"""How long the answer of :meth:`SqliteStore.check_writable` holds: anyone can ask for it."""

TROUBLE_SECONDS: Final = 30.0
"""How long a write that failed shows in :meth:`SqliteStore.check_writable`, unless one succeeds."""

_Result = TypeVar("_Result")
_Work = Callable[[sqlite3.Connection], _Result]


class SqliteStore:
    """Implement :class:`watchword.ports.InstanceStore` on one file (mode 0600)."""

    def __init__(
        self,
        path: Path,
        *,
        max_pages: int | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open the file, make it if it isn't there, bring it to the present schema.

        Only here is a file made: one that goes away later is missed, and not replaced by an empty
        one that knows neither revocations nor used challenges.

        :param max_pages: most pages of 4096 bytes that the file may have; None leaves that to the
            disk.
        :raises SchemaError: when a newer Watchword made the file.
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

    async def enrol(self, use: ChallengeUse, instance: Instance, audit: AuditEntry) -> None:
        """See :meth:`watchword.ports.InstanceStore.enrol`."""

        def work(connection: sqlite3.Connection) -> None:
            _use_challenge(connection, use)
            added = connection.execute(
                f"INSERT INTO instances ({INSTANCE_COLUMNS}) VALUES ({_marks(16)}) "  # noqa: S608
                "ON CONFLICT DO NOTHING",
                instance_row(instance),
            )
            if added.rowcount != 1:
                raise RefusedError.because(
                    Reason.INSTANCE_EXISTS, "expected a key that isn't enrolled yet"
                )
            _add_audit(connection, audit)

        await self._write(work)

    async def renew(
        self,
        use: ChallengeUse,
        instance_id: str,
        counter: int | None,
        app_version: str | None,
        audit: AuditEntry,
    ) -> Instance:
        """See :meth:`watchword.ports.InstanceStore.renew`."""

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
                "app_version = coalesce(?, app_version), renewed_at = ? WHERE id = ?",
                (counter, app_version, microseconds(audit.at), instance_id),
            )
            _add_audit(connection, audit)
            return _require(connection, instance_id)

        return await self._write(work)

    async def find(self, instance_id: str) -> Instance | None:
        """See :meth:`watchword.ports.InstanceStore.find`."""
        return await self._read(lambda connection: _find(connection, instance_id))

    async def revoke(
        self, instance_id: str, at: datetime, because: str, audit: AuditEntry
    ) -> Instance:
        """See :meth:`watchword.ports.InstanceStore.revoke`."""

        def work(connection: sqlite3.Connection) -> Instance:
            instance = _require(connection, instance_id)
            if instance.revoked_at is not None:
                return instance
            connection.execute(
                "UPDATE instances SET revoked_at = ?, revoked_because = ? WHERE id = ?",
                (microseconds(at), because, instance_id),
            )
            _add_audit(connection, audit)
            return _require(connection, instance_id)

        return await self._write(work)

    async def recently_revoked(self, since: datetime) -> Sequence[Instance]:
        """See :meth:`watchword.ports.InstanceStore.recently_revoked`."""
        return await self._read(
            lambda connection: _instances(
                connection, "WHERE revoked_at >= ? ORDER BY revoked_at", (microseconds(since),)
            )
        )

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

        return await self._read(work)

    async def audit_entries(self, limit: int) -> Sequence[AuditEntry]:
        """See :meth:`watchword.ports.InstanceStore.audit_entries`."""

        def work(connection: sqlite3.Connection) -> Sequence[AuditEntry]:
            rows = connection.execute(
                "SELECT at, actor, action, subject, detail FROM audit ORDER BY seq DESC LIMIT ?",
                (limit,),
            )
            return [audit_from_row(row) for row in rows]

        return await self._read(work)

    async def add_audit(self, entry: AuditEntry) -> None:
        """See :meth:`watchword.ports.InstanceStore.add_audit`."""
        await self._write(lambda connection: _add_audit(connection, entry))

    async def forget_expired(self, now: datetime) -> int:
        """See :meth:`watchword.ports.InstanceStore.forget_expired`."""

        def work(connection: sqlite3.Connection) -> int:
            return connection.execute(
                "DELETE FROM used_challenges WHERE expires_at < ?", (microseconds(now),)
            ).rowcount

        return await self._write(work)

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
            connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")

        await self._transact(work)
        self._probed_until = self._monotonic() + PROBE_SECONDS

    def close(self) -> None:
        """See :meth:`watchword.ports.InstanceStore.close`; a second time does nothing."""
        if self._closed:
            return
        self._closed = True
        self._thread.submit(self._disconnect)
        self._thread.shutdown(wait=True)

    async def _write(self, work: _Work[_Result]) -> _Result:
        """Carry out a write, and remember whether the disk took it."""
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

        return await self._read(transaction)

    async def _read(self, work: _Work[_Result]) -> _Result:
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
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA trusted_schema = OFF")
            if self._max_pages is not None:
                connection.execute(f"PRAGMA max_page_count = {self._max_pages}")
            migrate(connection)
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


def _use_challenge(connection: sqlite3.Connection, use: ChallengeUse) -> None:
    """Insert the nonce if it is absent: of several that race for it, one finds it absent."""
    used = connection.execute(
        "INSERT INTO used_challenges (nonce, expires_at) VALUES (?, ?) ON CONFLICT DO NOTHING",
        (use.nonce, microseconds(use.expires_at)),
    )
    if used.rowcount != 1:
        raise RefusedError.because(Reason.CHALLENGE_USED, "expected one that wasn't used before")


def _add_audit(connection: sqlite3.Connection, entry: AuditEntry) -> None:
    connection.execute(
        "INSERT INTO audit (at, actor, action, subject, detail) VALUES (?, ?, ?, ?, ?)",
        audit_row(entry),
    )


def _instances(
    connection: sqlite3.Connection, condition: str, values: tuple[Any, ...]
) -> list[Instance]:
    query = f"SELECT {INSTANCE_COLUMNS} FROM instances {condition}"  # noqa: S608 - our own text.
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
