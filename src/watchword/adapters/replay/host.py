"""Keep used proofs in one SQLite file, for all processes of one machine.

Of all processes that claim a proof exactly one wins, since SQLite lets one write at a time; a process that
is killed leaves either a claim or none.  ``synchronous=NORMAL`` in WAL mode: what was written outlives every
process, and a loss of power takes at most what wasn't on the disk yet, for which the file is closed to proofs
that are older than the machine's start.

A claim runs on the caller's thread: it takes about 15 us, a hand-over to another thread and back twice
that.  It never waits inside of SQLite, and the slow work (expiry, carrying the log over to the file, which
waits for the disk) is done on a thread of its own.

Rows are ordered by bucket, so that expiry drops a range from one end.  Before a bucket's rows go, the span
of time that it stood for is written down as forgotten: what falls into it is refused for good, whatever
the clock says (:mod:`watchword.gate.replay` has the same rule).
"""

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from watchword.adapters import host_database
from watchword.adapters.host_database import (
    Tidying,
    is_damaged,
    is_private,
    make_private,
    shorten_log,
)
from watchword.adapters.host_database import connect as connect_private
from watchword.adapters.replay.memory import MAX_SPANS
from watchword.encoding.phrases import other_format
from watchword.gate.interface import ReplayClaim
from watchword.gate.replay import BUCKET_SECONDS, window
from watchword.reasons import Reason, UnavailableError
from watchword.tokens.interface import LEEWAY_SECONDS
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
        raise _unavailable(path, other_format(version, _VERSION))
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


DEFAULT_CAPACITY: Final = 1_000_000
"""About how many claims the file has room for: 48 MB."""

DEADLINE_SECONDS: Final = 0.1
"""How long a claim waits for other processes before nobody passes."""

PAUSE_SECONDS: Final = 0.0005
"""How long a claim leaves the event loop to others before it tries again."""

TIDY_SECONDS: Final = 1.0
"""After how long the file is tidied, if it isn't sooner for the number of claims."""


class HostReplayStore:
    """Implement :class:`watchword.gate.replay.ImmediateReplayStore` over a private file (mode 0600).

    May be used by several threads, and go on in a child after a fork.
    """

    def __init__(
        self,
        path: Path,
        *,
        leeway: int = LEEWAY_SECONDS,
        capacity: int = DEFAULT_CAPACITY,
        timestamp: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open the file, or make it if it isn't there.

        :param leeway: the gate's, in seconds; the same for all who share the file.
        :raises UnavailableError: ``gate.replay_unavailable`` when it is damaged, not private, or can't be
            opened.
        """
        self._path = path
        self._leeway = leeway
        self._window = window(leeway)
        self._capacity = capacity
        self._timestamp = timestamp
        self._monotonic = monotonic
        self._insert = insert_statement(self._window // BUCKET_SECONDS + 2)
        self._lock = threading.Lock()
        self._closed = False
        self._now = timestamp()
        make(path)
        self._begin()

    def claim_now(self, claim: ReplayClaim, now: float) -> bool:
        """See :meth:`watchword.gate.replay.ImmediateReplayStore.claim_now`; waits at most 0.1 s."""
        deadline = self._monotonic() + DEADLINE_SECONDS
        while True:
            first = self._attempt(claim, now)
            if first is not None:
                return first
            self._check_deadline(deadline)
            time.sleep(PAUSE_SECONDS)

    async def claim(self, claim: ReplayClaim, now: float) -> bool:
        """See :meth:`watchword.gate.interface.ReplayStore.claim`."""
        first = self._attempt(claim, now)
        if first is not None:
            return first
        deadline = self._monotonic() + DEADLINE_SECONDS
        while first is None:
            self._check_deadline(deadline)
            await asyncio.sleep(PAUSE_SECONDS)
            first = self._attempt(claim, now)
        return first

    async def close(self) -> None:
        """Wait for the tidying, and let go of the file; claims are refused from then on."""
        await asyncio.get_running_loop().run_in_executor(None, self.close_now)

    def close_now(self) -> None:
        """Do what :meth:`close` does, without an event loop; a second time does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._tidying.end()
        if self._pid == os.getpid():
            self._connection.close()

    def _attempt(self, claim: ReplayClaim, now: float) -> bool | None:
        """Return whether a claim was the first; None while another process writes."""
        tag, until = claim
        if not now < until <= now + self._window:
            return False
        with self._lock:
            try:
                if self._closed:
                    raise self._unavailable("it was closed")
                self._follow()
                cursor = self._connection.execute(
                    self._insert,
                    (
                        int(until) // BUCKET_SECONDS,
                        tag,
                        int(until),
                        int(now) // BUCKET_SECONDS,
                    ),
                )
            except sqlite3.Error as error:
                self._give_up_unless_busy(error)
                return None
            except OSError as error:
                raise self._unavailable(error.strerror or "it can't be read") from None
            self._now = now
            self._tidying.count_call()
            return cursor.rowcount == 1

    def _give_up_unless_busy(self, error: sqlite3.Error) -> None:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return
        if code == sqlite3.SQLITE_FULL:
            self._tidying.begin()
            raise UnavailableError(
                Reason.GATE_REPLAY_FULL,
                f"{self._path}: room for about {self._capacity} used proofs, and none of them may be "
                "forgotten yet; or the disk is full",
                retry_after=BUCKET_SECONDS,
            ) from None
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise damaged(self._path, self._window) from None
        raise self._unavailable(str(error)) from None

    def _check_deadline(self, deadline: float) -> None:
        if self._monotonic() >= deadline:
            raise self._unavailable(f"another process wrote for {DEADLINE_SECONDS} s")

    def _begin(self) -> None:
        """Open a connection for this process."""
        self._pid = os.getpid()
        self._tidying = Tidying(
            self._path,
            lambda link: tidy(link, self._now, self._window),
            seconds=TIDY_SECONDS,
            monotonic=self._monotonic,
        )
        self._connect()

    def _connect(self) -> None:
        self._identity = host_database.identity(self._path)
        self._connection = connect(self._path, self._capacity, self._leeway, self._timestamp())

    def _follow(self) -> None:
        """Follow the file where it was replaced, and open it anew after a fork.

        Of a file that was removed another process may make a new one: two that hold different
        proofs would let each pass twice.  A parent's connection must neither be used nor closed.
        """
        if self._pid != os.getpid():
            self._parents_connection = self._connection
            self._begin()
        elif host_database.identity(self._path) != self._identity:
            self._connection.close()
            self._connect()

    def _unavailable(self, what: str) -> UnavailableError:
        return UnavailableError(
            Reason.GATE_REPLAY_UNAVAILABLE, f"replay store {self._path}: {what}", retry_after=1
        )
