"""Run the service's store on SQLite and on a real PostgreSQL, fill it with phones by the million, and have clients enrol side by side.

Phones are Android phones as the lab's enrol: an instance, two certificates and an entry of the audit trail, with an index each.  Rows
that fill the store are written by SQL in the same shape.  Every enrolment is flushed to the disk before it returns.
"""

import asyncio
import contextlib
import json
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from tests.system.adapters.postgres.servers import Postgres, postgres

from watchword.adapters.postgres.database import PostgresStore
from watchword.adapters.sqlite import SqliteStore
from watchword.adapters.store import EngineStore
from watchword.adapters.system import SystemClock
from watchword.encoding import base64url
from watchword.ports import (
    AuditEntry,
    ChallengeUse,
    CountLimit,
    EnrolledCounts,
    Instance,
)
from watchword.vocabulary import Level

MAJOR: Final = 15
CLIENTS: Final = 8
AUDIENCES: Final = ("https://api.clinic.example",)
APP: Final = "clinic-android"
_SPKI: Final = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")
_COORDINATE_BYTES: Final = 32
_ID_BYTES: Final = 16
_DAY: Final = timedelta(days=1)
_SYNCED: Final = (
    *("-c", "shared_buffers=2GB", "-c", "max_wal_size=16GB", "-c", "checkpoint_timeout=15min"),
    *("-c", "maintenance_work_mem=1GB", "-c", "wal_compression=on"),
)
"""A server as an operator would set it up for this machine: it flushes all that it says it has."""

_LOADING: Final = ("-c", "wal_level=minimal", "-c", "max_wal_senders=0", "-c", "autovacuum=off")
"""More for the time in which it is filled: rows of a table that is made in the same transaction need no log."""


@contextlib.contextmanager
def server() -> Iterator[Postgres]:
    """Run a PostgreSQL 15 that flushes."""
    with postgres(*_SYNCED, *_LOADING, major=MAJOR) as running:
        yield running


def serve(running: Postgres) -> None:
    """Start a filled server anew as it is used: with a log that standbys could follow."""
    running.send(signal.SIGINT)
    running.process.wait()
    running._options = _SYNCED  # noqa: SLF001 - the tests' server starts again with what it was given.
    running.start()


class Enrolments:
    """Make enrolments of Android phones of which no two share anything but the app."""

    def __init__(self, seed: int) -> None:
        """Draw all by a seed."""
        self._drawn = random.Random(seed)
        self.clock = SystemClock()

    def next(self) -> tuple[ChallengeUse, Instance, AuditEntry, CountLimit]:
        """Return what one enrolment asks of the store."""
        drawn, now = self._drawn, self.clock.now()
        name = base64url.encode(drawn.randbytes(_ID_BYTES))
        attester = drawn.randbytes(8).hex()
        instance = Instance(
            id=name,
            app=APP,
            app_version="120",
            platform="android-16",
            format="android-key",
            level=Level.HARDWARE,
            attested_key=_SPKI + drawn.randbytes(2 * _COORDINATE_BYTES),
            proof_jwk=self._jwk(),
            seal_jwk=self._jwk(),
            audiences=AUDIENCES,
            enrolled_at=now,
            renewed_at=now,
            renewed_days=1,
            counter=0,
            attested_at=now,
            serials=(attester, drawn.randbytes(16).hex()),
            attester_serial=attester,
            test=False,
            device_key=None,
            expires_at=None,
        )
        use = ChallengeUse(drawn.randbytes(16), now + timedelta(seconds=300))
        limit = CountLimit(now - _DAY, EnrolledCounts(None, 1000))
        return use, instance, _entry(name, now), limit

    def _jwk(self) -> dict[str, str]:
        x, y = (base64url.encode(self._drawn.randbytes(_COORDINATE_BYTES)) for _ in range(2))
        return {"kty": "EC", "crv": "P-256", "x": x, "y": y}


def _entry(name: str, now: datetime) -> AuditEntry:
    detail = {"app": APP, "app_version": "120", "format": "android-key", "level": "hardware"}
    return AuditEntry(now, "instance", "instance.enrolled", name, detail)


@dataclass(frozen=True)
class Load:
    """Hold what clients got done.

    :param rate: enrolments a second.
    :param longest: milliseconds of the slowest one; ``typical`` of the one in the middle.
    """

    rate: float
    longest: float
    typical: float


def enrol(store: EngineStore, seconds: float, seed: int, clients: int = CLIENTS) -> Load:
    """Have clients enrol one phone after another, each as soon as its last one is durable."""
    return asyncio.run(enrolling(store, seconds, seed, clients))


async def enrolling(store: EngineStore, seconds: float, seed: int, clients: int = CLIENTS) -> Load:
    """Do so within a loop that does something else, too."""
    phones = Enrolments(seed)
    took: list[float] = []
    began = time.perf_counter()

    async def client() -> None:
        while (begun := time.perf_counter()) < began + seconds:
            use, instance, audit, limit = phones.next()
            await store.enrol(use, instance, audit, limit=limit)
            took.append((time.perf_counter() - begun) * 1000)

    await asyncio.gather(*(client() for _ in range(clients)))
    passed = time.perf_counter() - began
    return Load(len(took) / passed, max(took), sorted(took)[len(took) // 2])


@contextlib.contextmanager
def sqlite(directory: Path) -> Iterator[SqliteStore]:
    """Open a new file."""
    store = SqliteStore(directory / "watchword.db")
    try:
        yield store
    finally:
        store.close()


@contextlib.contextmanager
def postgresql(address: Any) -> Iterator[PostgresStore]:
    """Connect to a database as a node does."""
    store = PostgresStore(address, connections=CLIENTS, call_seconds=30)
    try:
        yield store
    finally:
        store.close()


_HASH: Final = "sha256(convert_to({salt} || {n}, 'UTF8'))"
_FILL: Final = {
    "instances": (
        "INSERT INTO watchword.instances (number, id, app, app_version, platform, format, level, attested_key, proof_jwk, "
        "seal_jwk, audiences, enrolled_at, renewed_at, counter, test, attested_at, attester_serial, renewed_days) "
        "SELECT n, {id}, '{app}', '120', 'android-16', 'android-key', 'hardware', "
        "decode('{spki}', 'hex') || {x} || {y}, '{jwk}', '{jwk}', '{audiences}', {at} + n, {at} + n, 0, 0, {at} + n, "
        "{serial}, 1 FROM generate_series(1, {count}) AS n"
    ),
    "instance_certificates": (
        "INSERT INTO watchword.instance_certificates SELECT {id}, p, CASE p WHEN 0 THEN {serial} "
        "ELSE encode(substr({x}, 1, 16), 'hex') END FROM generate_series(1, {count}) AS n, generate_series(0, 1) AS p"
    ),
    "audit": (
        "INSERT INTO watchword.audit SELECT n, {at} + n, 'instance', 'instance.enrolled', {id}, '{detail}' "
        "FROM generate_series(1, {count}) AS n"
    ),
}


def _statements(count: int) -> dict[str, str]:
    """Return what fills each table with so many phones."""
    _, example, audit, _ = Enrolments(0).next()
    hashed = {name: _HASH.format(salt=f"'{name}'", n="n::text") for name in ("i", "x", "y", "s")}
    words = {
        # 22 characters of base64url: the last one says two bits of the last byte alone.
        "id": f"rtrim(translate(encode(substr({hashed['i']}, 1, 16), 'base64'), '+/', '-_'), '=')",
        "x": hashed["x"],
        "y": hashed["y"],
        "serial": f"encode(substr({hashed['s']}, 1, 8), 'hex')",
        "spki": _SPKI.hex(),
        "app": APP,
        "jwk": json.dumps(dict(example.proof_jwk)),
        "audiences": json.dumps(list(AUDIENCES)),
        "detail": json.dumps(dict(audit.detail)),
        "count": str(count),
        # A year ago: none of them counts in what a certificate enrolled today.
        "at": str(int((time.time() - 365 * 86400) * 1e6)),
    }
    return {table: text.format(**words) for table, text in _FILL.items()}


def fill(running: Postgres, database: str, count: int) -> float:
    """Write so many phones into an empty store's tables; return how many seconds that took.

    Indexes are made afterwards, as they stand in the schema: an index that grows in random order would take hours.
    """
    begun = time.perf_counter()
    failed: list[BaseException] = []
    statements = _statements(count)
    groups = (("instances",), ("instance_certificates", "audit"))
    threads = [
        threading.Thread(
            target=_guarded, args=(failed, _fill, running, database, group, statements)
        )
        for group in groups
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    if failed:
        raise failed[0]
    with running.admin(database) as link:
        link.execute(f"SELECT setval('watchword.audit_numbers', {count})".encode())
        link.execute(
            b"SELECT setval(pg_get_serial_sequence('watchword.instances', 'number'), "
            + f"{count})".encode()
        )
        link.execute(b"ANALYZE")
        link.execute(b"CHECKPOINT")
    return time.perf_counter() - begun


def _guarded(failed: list[BaseException], work: Callable[..., None], *arguments: Any) -> None:
    try:
        work(*arguments)
    except BaseException as error:  # noqa: BLE001 - told by who started the thread.
        failed.append(error)


def _fill(
    running: Postgres, database: str, tables: Sequence[str], statements: dict[str, str]
) -> None:
    with running.admin(database) as link:
        for table in tables:
            keys = link.execute(
                "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint "
                "WHERE conrelid = CAST(%s AS regclass) AND contype IN ('p', 'u') ORDER BY contype",
                (f"watchword.{table}",),
            ).fetchall()
            indexes = link.execute(
                "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'watchword' "
                "AND tablename = %s AND indexname <> ALL (%s)",
                (table, [name for name, _ in keys]),
            ).fetchall()
            with link.transaction():
                link.execute(f"TRUNCATE watchword.{table}".encode())
                link.execute(f"ALTER TABLE watchword.{table} DISABLE TRIGGER USER".encode())
                for name, _ in keys:
                    link.execute(f"ALTER TABLE watchword.{table} DROP CONSTRAINT {name}".encode())
                for name, _ in indexes:
                    link.execute(f"DROP INDEX watchword.{name}".encode())
                link.execute(statements[table].encode())
                for name, text in keys:
                    link.execute(
                        f"ALTER TABLE watchword.{table} ADD CONSTRAINT {name} {text}".encode()
                    )
                for _, text in indexes:
                    link.execute(text.encode())
                link.execute(f"ALTER TABLE watchword.{table} ENABLE TRIGGER USER".encode())


def size(running: Postgres, database: str) -> int:
    """Return the bytes of a database's tables and indexes."""
    with running.admin(database) as link:
        row = link.execute("SELECT pg_database_size(current_database())").fetchone()
        assert row is not None
        return int(row[0])
