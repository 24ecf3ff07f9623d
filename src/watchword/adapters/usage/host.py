"""Count use in one SQLite file, for all processes of one machine.

Of all who race for the last call exactly one gets it, since SQLite lets one write at a time.  A call runs on the caller's
thread: it takes about 40 us, a hand-over to another thread and back twice that.  It never waits inside of
SQLite; the slow work (forgetting, carrying the log over to the file, which waits for the disk) is done on a thread of its own.
"""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar

from watchword.adapters import host_database
from watchword.adapters.host_database import (
    Tidying,
    is_damaged,
    is_private,
    make_private,
    shorten_log,
)
from watchword.adapters.host_database import connect as connect_private
from watchword.adapters.usage.counters import (
    Count,
    forgotten_at,
    given_back,
    lengths,
    tag_of,
    taken,
)
from watchword.broker.interface import Spent, Use
from watchword.encoding.phrases import other_format
from watchword.reasons import Reason, UnavailableError

BATCH: Final = 2000
"""Most counts that one transaction forgets; others wait for about 2 ms."""

_BYTES_PER_COUNT: Final = 128
_VERSION: Final = 1

_SCHEMA: Final = (
    (
        "CREATE TABLE counts (tag BLOB NOT NULL, seconds INTEGER NOT NULL, window INTEGER NOT NULL, "
        "calls INTEGER NOT NULL, spend INTEGER NOT NULL, forget INTEGER NOT NULL, "
        "PRIMARY KEY (tag, seconds)) WITHOUT ROWID"
    ),
    "CREATE INDEX counts_forget ON counts (forget)",
    (
        "CREATE TABLE used (secret TEXT NOT NULL, version INTEGER NOT NULL, at INTEGER NOT NULL, "
        "PRIMARY KEY (secret, version)) WITHOUT ROWID"
    ),
    f"PRAGMA user_version = {_VERSION}",
)


def connect(path: Path, capacity: int) -> sqlite3.Connection:
    """Open the file, made private where there is none, and bring it to its schema.

    ``synchronous=NORMAL`` in WAL mode: what was counted outlives every process; a loss of power takes at most what
    wasn't on the disk yet.

    :raises UnavailableError: ``secret.usage_unavailable``.
    """
    try:
        _make(path)
        return connect_private(
            path, capacity * _BYTES_PER_COUNT, lambda connection: _prepare(connection, path)
        )
    except sqlite3.DatabaseError as error:
        raise unavailable(path, _told(error)) from None
    except OSError as error:
        raise unavailable(path, error.strerror or "it can't be opened") from None


def tidy(connection: sqlite3.Connection, now: float) -> None:
    """Forget counts of windows that are over, and shorten the log."""
    forget = (
        "DELETE FROM counts WHERE (tag, seconds) IN "
        "(SELECT tag, seconds FROM counts WHERE forget <= ? LIMIT ?)"
    )
    while connection.execute(forget, (int(now), BATCH)).rowcount == BATCH:
        pass
    shorten_log(connection)


def unavailable(path: Path, what: str) -> UnavailableError:
    """Return the error of a file in which nothing can be counted now."""
    return UnavailableError(
        Reason.SECRET_USAGE_UNAVAILABLE, f"usage ledger {path}: {what}", retry_after=1
    )


def _told(error: sqlite3.DatabaseError) -> str:
    if is_damaged(error):
        return (
            "the file is damaged or isn't one of counts. No key with a quota is injected. Stop the gates, move the "
            "file and its -wal and -shm away, and start them again: what was used is forgotten then"
        )
    return str(error)


def _make(path: Path) -> None:
    make_private(path)
    if not is_private(path):
        raise unavailable(
            path, "expected a file of this user with mode 0600: who writes to it sets quotas back"
        )


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if version == 0 and tables == 0:
        for statement in _SCHEMA:
            connection.execute(statement)
    elif version != _VERSION:
        raise unavailable(path, other_format(version, _VERSION))


DEFAULT_CAPACITY: Final = 1_000_000
"""About how many counts the file has room for: 128 MB."""

DEADLINE_SECONDS: Final = 0.25
"""How long a call waits for other processes before nobody may call."""

PAUSE_SECONDS: Final = 0.0005
"""How long a call leaves the event loop to others before it tries again."""

TIDY_SECONDS: Final = 10.0
"""After how long the file is tidied, if it isn't sooner for the number of calls."""

_NO_FILE: Final = (-1, -1)

_READ: Final = "SELECT window, calls, spend FROM counts WHERE tag = ? AND seconds = ?"
_WRITE: Final = (
    "INSERT INTO counts VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (tag, seconds) DO UPDATE SET "
    "window = excluded.window, calls = excluded.calls, spend = excluded.spend, forget = excluded.forget"
)
_USED: Final = (
    "INSERT INTO used VALUES (?, ?, ?) ON CONFLICT (secret, version) DO UPDATE SET "
    "at = max(at, excluded.at)"
)

_Value = TypeVar("_Value")


class HostUsageLedger:
    """Implement :class:`watchword.broker.interface.UsageLedger` over a private file (mode 0600)."""

    def __init__(
        self,
        path: Path,
        *,
        capacity: int = DEFAULT_CAPACITY,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open the file, or make it if it isn't there.

        :raises UnavailableError: ``secret.usage_unavailable`` when it is damaged, not private, or can't be opened.
        """
        self._path = path
        self._capacity = capacity
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._closed = False
        self._now = 0.0
        self._noted: dict[tuple[str, int], int] = {}
        self._tidying = Tidying(
            path,
            lambda link: tidy(link, self._now),
            seconds=TIDY_SECONDS,
            monotonic=monotonic,
        )
        self._connect()

    async def take(self, use: Use, now: float) -> Spent | None:
        """See :meth:`watchword.broker.interface.UsageLedger.take`; waits at most 0.25 s."""
        return await self._done(lambda link: self._taken(link, use, now), now)

    async def give_back(self, use: Use, now: float) -> None:
        """See :meth:`watchword.broker.interface.UsageLedger.give_back`."""
        tag = tag_of(use.secret, use.who)

        def change(link: sqlite3.Connection) -> None:
            for seconds in lengths(use):
                count = given_back(use, seconds, now, _read(link, tag, seconds))
                if count is not None:
                    _write(link, tag, seconds, count)

        await self._done(change, now)

    async def versions_used(self, secret: str) -> Mapping[int, int]:
        """See :meth:`watchword.broker.interface.UsageLedger.versions_used`."""
        return await self._done(
            lambda link: dict(
                link.execute("SELECT version, at FROM used WHERE secret = ?", (secret,)).fetchall()
            ),
            self._now,
        )

    async def aclose(self) -> None:
        """Wait for the tidying, and let go of the file; nobody may call from then on."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        await asyncio.get_running_loop().run_in_executor(None, self._tidying.end)
        self._connection.close()

    def _taken(self, link: sqlite3.Connection, use: Use, now: float) -> Spent | None:
        tag = tag_of(use.secret, use.who)
        found = taken(use, now, lambda seconds: _read(link, tag, seconds))
        for seconds, count in found.counts.items():
            _write(link, tag, seconds, count)
        if found.spent is not None:
            return found.spent
        # Once a second is enough to tell who still uses an old version.
        if self._noted.get((use.secret, use.version)) != int(now):
            link.execute(_USED, (use.secret, use.version, int(now)))
            self._noted[use.secret, use.version] = int(now)
        return None

    async def _done(self, change: Callable[[sqlite3.Connection], _Value], now: float) -> _Value:
        """Carry out a change as one transaction, once no other process writes."""
        deadline = self._monotonic() + DEADLINE_SECONDS
        while True:
            done = self._attempt(change, now)
            if done is not None:
                return done[0]
            if self._monotonic() >= deadline:
                raise self._unavailable(f"another process wrote for {DEADLINE_SECONDS} s")
            await asyncio.sleep(PAUSE_SECONDS)

    def _attempt(
        self, change: Callable[[sqlite3.Connection], _Value], now: float
    ) -> tuple[_Value] | None:
        """Return what a change came to; None while another process writes."""
        with self._lock:
            self._now = now
            try:
                if self._closed:
                    raise self._unavailable("it was closed")
                self._follow()
                link = self._connection
                link.execute("BEGIN IMMEDIATE")
                try:
                    value = change(link)
                    link.execute("COMMIT")
                except BaseException:
                    self._noted.clear()
                    if link.in_transaction:
                        link.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                self._give_up_unless_busy(error)
                return None
            except OSError as error:
                raise self._unavailable(error.strerror or "it can't be read") from None
            self._tidying.count_call()
            return (value,)

    def _give_up_unless_busy(self, error: sqlite3.Error) -> None:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return
        if code == sqlite3.SQLITE_FULL:
            self._tidying.begin()
            raise self._unavailable(f"room for about {self._capacity} counts; or the disk is full")
        raise self._unavailable(str(error)) from None

    def _connect(self) -> None:
        self._connection = connect(self._path, self._capacity)
        self._identity = host_database.identity(self._path)

    def _follow(self) -> None:
        """Follow the file where it was replaced: two files would give each instance its quota twice."""
        try:
            same = host_database.identity(self._path) == self._identity
        except FileNotFoundError:
            same = False
        if not same:
            self._connection.close()
            # Should opening fail now, the next file may get the number of the one that was let go of.
            self._identity = _NO_FILE
            self._noted.clear()
            self._connect()

    def _unavailable(self, what: str) -> Exception:
        return unavailable(self._path, what)


def _read(link: sqlite3.Connection, tag: bytes, seconds: int) -> Count | None:
    row = link.execute(_READ, (tag, seconds)).fetchone()
    return None if row is None else Count(*row)


def _write(link: sqlite3.Connection, tag: bytes, seconds: int, count: Count) -> None:
    forget = forgotten_at(seconds, count.window)
    link.execute(_WRITE, (tag, seconds, count.window, count.calls, count.spend, forget))
