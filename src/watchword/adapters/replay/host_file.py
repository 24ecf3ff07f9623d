"""Make, open and tidy the SQLite file of used proofs.

Rows are ordered by bucket, so that expiry drops a range from one end.  Before a bucket's rows go, the span
of time that it stood for is written down as forgotten: what falls into it is refused for good, whatever
the clock says (:mod:`watchword.gate.replay` has the same rule).
"""

import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Final

from watchword.adapters.host_database import connect as connect_private
from watchword.adapters.host_database import is_damaged, is_private, make_private, shorten_log
from watchword.adapters.replay.memory import MAX_SPANS
from watchword.gate.replay import BUCKET_SECONDS, window
from watchword.reasons import Reason, UnavailableError
from watchword.tokens.proofs.interface import PROOF_LIFE_SECONDS

BATCH: Final = 2000
"""Most claims that one transaction drops; others wait for about 2 ms."""

SPARE_BUCKETS: Final = 10
"""How far beyond the window a bucket may lie before it counts as a clock's that has gone back: the thread that
tidies may be behind with the time."""

_BYTES_PER_CLAIM: Final = 48
_VERSION: Final = 1
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")

_SCHEMA: Final = (
    (
        "CREATE TABLE claims (bucket INTEGER NOT NULL, tag BLOB NOT NULL, "
        "PRIMARY KEY (bucket, tag)) WITHOUT ROWID"
    ),
    "CREATE TABLE forgotten (start INTEGER PRIMARY KEY, stop INTEGER NOT NULL)",
    "CREATE TABLE boot (id TEXT NOT NULL)",
    f"PRAGMA user_version = {_VERSION}",
)


def insert_statement(buckets: int) -> str:
    """Return the one statement that is a claim: parameters bucket, tag, until, bucket of now.

    :param buckets: how many the window may touch.
    """
    live = ", ".join(f"?4 + {number}" for number in range(buckets))
    insert = (
        "INSERT OR IGNORE INTO claims SELECT ?1, ?2 "
        "WHERE NOT EXISTS (SELECT 1 FROM forgotten WHERE start <= ?3 AND ?3 < stop) "
        "AND NOT EXISTS (SELECT 1 FROM claims WHERE bucket IN (LIVE) AND tag = ?2)"
    )
    return insert.replace("LIVE", live)


def make(path: Path) -> None:
    """Make an empty private file if there is none.

    :raises UnavailableError: ``gate.replay_unavailable``.
    """
    try:
        make_private(path)
    except OSError as error:
        raise _unavailable(path, error.strerror or "it can't be made") from None


def connect(path: Path, capacity: int, leeway: int, now: float) -> sqlite3.Connection:
    """Open the file for claims, and bring it to its schema.

    * A new file refuses proofs that were created before it: they may have been used before.
    * After the machine started again it refuses what could have been accepted by then: a loss of power may
      have taken the last claims from the disk.

    :param now: seconds since 1970.
    :raises UnavailableError: ``gate.replay_unavailable``.
    """
    try:
        _check_private(path)
        return connect_private(
            path,
            capacity * _BYTES_PER_CLAIM,
            lambda connection: _prepare(connection, path, leeway, int(now)),
        )
    except sqlite3.DatabaseError as error:
        if is_damaged(error):
            raise damaged(path, window(leeway)) from None
        raise _unavailable(path, str(error)) from None
    except OSError as error:
        raise _unavailable(path, error.strerror or "it can't be opened") from None


def tidy(connection: sqlite3.Connection, now: float, ahead: int) -> None:
    """Forget the buckets that are over, and those further ahead than the window; shorten the log.

    :param ahead: the window in seconds.
    """
    earliest = int(now) // BUCKET_SECONDS
    latest = int(now + ahead) // BUCKET_SECONDS + SPARE_BUCKETS
    while True:
        (lowest, highest) = connection.execute(
            "SELECT (SELECT min(bucket) FROM claims), (SELECT max(bucket) FROM claims)"
        ).fetchone()
        if lowest is not None and lowest < earliest:
            _forget(connection, lowest)
        elif highest is not None and highest > latest:
            _forget(connection, highest)
        else:
            break
    shorten_log(connection)


def damaged(path: Path, ahead: int) -> UnavailableError:
    """Return the error of a file that isn't what it was; only a person may replace it."""
    return _unavailable(
        path,
        "the file is damaged or isn't one of used proofs. Nobody passes on routes with proofs. Stop the "
        f"gates, move the file and its -wal and -shm away, wait {ahead} s, and start the gates again",
    )


def _forget(connection: sqlite3.Connection, bucket: int) -> None:
    """Write down that a bucket is forgotten, then drop its claims in batches."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        add_span(connection, bucket * BUCKET_SECONDS, (bucket + 1) * BUCKET_SECONDS)
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    dropped = BATCH
    while dropped == BATCH:
        dropped = connection.execute(
            "DELETE FROM claims WHERE bucket = ?1 AND tag IN "
            "(SELECT tag FROM claims WHERE bucket = ?1 ORDER BY tag LIMIT ?2)",
            (bucket, BATCH),
        ).rowcount


def add_span(connection: sqlite3.Connection, start: int, stop: int) -> None:
    """Note that claims with ``start <= until < stop`` may be forgotten; inside of a transaction."""
    touching = "FROM forgotten WHERE start <= ?2 AND stop >= ?1"
    (least, most) = connection.execute(
        f"SELECT min(start), max(stop) {touching}",
        (start, stop),
    ).fetchone()
    connection.execute(f"DELETE {touching}", (start, stop))
    if least is not None:
        start, stop = min(start, least), max(stop, most)
    connection.execute("INSERT INTO forgotten VALUES (?, ?)", (start, stop))
    (count,) = connection.execute("SELECT count(*) FROM forgotten").fetchone()
    if count > MAX_SPANS:
        oldest = connection.execute(
            "SELECT start, stop FROM forgotten ORDER BY start LIMIT 2"
        ).fetchall()
        connection.execute("DELETE FROM forgotten WHERE start = ?", (oldest[1][0],))
        connection.execute(
            "UPDATE forgotten SET stop = ? WHERE start = ?", (oldest[1][1], oldest[0][0])
        )


def _prepare(connection: sqlite3.Connection, path: Path, leeway: int, now: int) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    boot = _boot_id()
    if version == 0 and tables == 0:
        for statement in _SCHEMA:
            connection.execute(statement)
        connection.execute("INSERT INTO boot VALUES (?)", (boot,))
        add_span(connection, 0, now + PROOF_LIFE_SECONDS + leeway)
    elif version != _VERSION:
        raise _unavailable(path, "it was made by another Watchword, or isn't a file of used proofs")
    elif connection.execute("SELECT id FROM boot").fetchone() != (boot,):
        connection.execute("UPDATE boot SET id = ?", (boot,))
        add_span(connection, 0, now + window(leeway))


def _boot_id() -> str:
    """Return what names this start of the machine, empty where the system doesn't say."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _check_private(path: Path) -> None:
    if not is_private(path):
        raise _unavailable(
            path,
            "expected a file of this user with mode 0600: who writes to it makes proofs pass again",
        )


def _unavailable(path: Path, what: str) -> UnavailableError:
    return UnavailableError(Reason.GATE_REPLAY_UNAVAILABLE, f"replay store {path}: {what}")
