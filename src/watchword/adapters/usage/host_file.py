"""Make, open and tidy the SQLite file in which the gates of a machine count use."""

import os
import sqlite3
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from watchword.reasons import Reason, UnavailableError

OPEN_TIMEOUT_SECONDS: Final = 5.0
"""How long opening waits for other processes that open the same file."""

BATCH: Final = 2000
"""Most counts that one transaction forgets; others wait for about 2 ms."""

MAX_LOG_BYTES: Final = 16 * 1024 * 1024
"""From which size on the write-ahead log is begun anew, for which writers wait a moment."""

_PAGE: Final = 4096
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


def identity(path: Path) -> tuple[int, int]:
    """Return which file stands at a path; raise FileNotFoundError if there is none."""
    status = os.stat(path)  # noqa: PTH116 - a microsecond quicker, at each call.
    return status.st_dev, status.st_ino


def connect(path: Path, capacity: int) -> sqlite3.Connection:
    """Open the file, made private where there is none, and bring it to its schema.

    ``synchronous=NORMAL`` in WAL mode: what was counted outlives every process; a loss of power takes at most what
    wasn't on the disk yet.

    :raises UnavailableError: ``secret.usage_unavailable``.
    """
    try:
        _make(path)
        connection = sqlite3.connect(
            path, timeout=OPEN_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA wal_autocheckpoint = 0")
            pages = max(capacity * _BYTES_PER_COUNT // _PAGE, 16)
            connection.execute(f"PRAGMA max_page_count = {pages}")
            connection.execute("BEGIN IMMEDIATE")
            _prepare(connection, path)
            connection.execute("COMMIT")
            connection.execute("PRAGMA busy_timeout = 0")
        except BaseException:
            connection.close()
            raise
    except sqlite3.DatabaseError as error:
        raise unavailable(path, _told(error)) from None
    except OSError as error:
        raise unavailable(path, error.strerror or "it can't be opened") from None
    return connection


def connect_again(path: Path) -> sqlite3.Connection:
    """Open a file that is in use for tidying it."""
    connection = sqlite3.connect(
        f"file:{path}?mode=rw", uri=True, timeout=0.05, isolation_level=None
    )
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def tidy(connection: sqlite3.Connection, now: float) -> None:
    """Forget counts of windows that are over, and shorten the log."""
    forget = (
        "DELETE FROM counts WHERE (tag, seconds) IN "
        "(SELECT tag, seconds FROM counts WHERE forget <= ? LIMIT ?)"
    )
    while connection.execute(forget, (int(now), BATCH)).rowcount == BATCH:
        pass
    _busy, log_pages, _carried = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    if log_pages * _PAGE > MAX_LOG_BYTES:
        connection.execute("PRAGMA wal_checkpoint(RESTART)")


def unavailable(path: Path, what: str) -> UnavailableError:
    """Return the error of a file in which nothing can be counted now."""
    return UnavailableError(
        Reason.SECRET_USAGE_UNAVAILABLE, f"usage ledger {path}: {what}", retry_after=1
    )


def _told(error: sqlite3.DatabaseError) -> str:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return (
            "the file is damaged or isn't one of counts. No key with a quota is lent. Stop the gates, move the "
            "file and its -wal and -shm away, and start them again: what was used is forgotten then"
        )
    return str(error)


def _make(path: Path) -> None:
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
    with suppress(FileExistsError):
        os.close(os.open(path, flags, 0o600))
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
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
        raise unavailable(path, "it was made by another Watchword, or isn't a file of counts")
