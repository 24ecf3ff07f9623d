"""Make, open and tidy the SQLite file in which the gates of a machine count use."""

import sqlite3
from pathlib import Path
from typing import Final

from watchword.adapters.host_database import connect as connect_private
from watchword.adapters.host_database import is_damaged, is_private, make_private, shorten_log
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
            "the file is damaged or isn't one of counts. No key with a quota is lent. Stop the gates, move the "
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
        raise unavailable(path, "it was made by another Watchword, or isn't a file of counts")
