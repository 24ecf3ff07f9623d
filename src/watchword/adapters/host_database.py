"""Open a private SQLite file that every process of this machine writes to on the path of its requests, and tidy it."""

import os
import sqlite3
import stat
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

CALLS: Final = 1000
"""After how many calls of this process the file is tidied, if it wasn't sooner."""

_MOST_OPENED_AT_ONCE: Final = 100


class Tidying:
    """Tidy a file now and then, on a thread of its own: it holds when that was done; belongs to one process, and to whoever holds its file's lock."""

    def __init__(
        self,
        path: Path,
        work: Callable[[sqlite3.Connection], None],
        *,
        seconds: float,
        monotonic: Callable[[], float],
    ) -> None:
        """Prepare; the first call begins it.

        :param work: tidies, on a connection of its own; what it raises is done the next time.
        :param seconds: after which the file is tidied with the next call.
        """
        self._path = path
        self._work = work
        self._seconds = seconds
        self._monotonic = monotonic
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="watchword-tidying")
        self._running: Future[None] | None = None
        self._due = 0.0
        self._calls = 0

    def count_call(self) -> None:
        """Count a call, and begin when it is time."""
        self._calls += 1
        if self._calls >= CALLS or self._monotonic() >= self._due:
            self.begin()

    def begin(self) -> None:
        """Have the thread tidy the file, unless it does so already."""
        if self._running is not None and not self._running.done():
            return
        self._calls = 0
        self._due = self._monotonic() + self._seconds
        self._running = self._worker.submit(self._tidy)

    def wait(self) -> None:
        """Return when nothing is being tidied."""
        if self._running is not None:
            self._running.result()

    def end(self) -> None:
        """Return when the thread has ended; nothing is tidied any more."""
        self._worker.shutdown(wait=True)

    def _tidy(self) -> None:
        # Whatever fails here shows in the calls, or is done the next time.
        with suppress(sqlite3.Error, OSError):
            if not is_private(self._path):
                # Somebody put another file there: opening an empty one would throw the log of the right one away.
                return
            with closing(connect_again(self._path)) as link:
                self._work(link)


OPEN_TIMEOUT_SECONDS: Final = 5.0
"""How long opening waits for other processes that open the same file."""

MAX_LOG_BYTES: Final = 16 * 1024 * 1024
"""From which size on the write-ahead log is begun anew, for which writers wait a moment."""

_PAGE: Final = 4096
_FEWEST_PAGES: Final = 16


def make_private(path: Path) -> None:
    """Make an empty file of mode 0600 if there is none; raise OSError when it can't be made."""
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
    with suppress(FileExistsError):
        os.close(os.open(path, flags, 0o600))


def is_private(path: Path) -> bool:
    """Tell whether a file is this user's alone; raise OSError when it can't be looked at."""
    status = path.lstat()
    own = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
    return own and not status.st_mode & 0o077


def identity(path: Path) -> tuple[int, int]:
    """Return which file stands at a path; raise FileNotFoundError if there is none."""
    status = os.stat(path)  # noqa: PTH116 - a microsecond quicker, at each call.
    return status.st_dev, status.st_ino


def write_ahead(connection: sqlite3.Connection) -> None:
    """Have a file keep a write-ahead log, as one that was opened before does already.

    Of those who open a new file at once all but one would fail: SQLite doesn't wait for a lock that it needs for this.

    :raises sqlite3.OperationalError: when others keep the file longer than the connection's timeout.
    """
    for left in range(_MOST_OPENED_AT_ONCE, -1, -1):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or not left:
                raise
            # This does wait.
            connection.execute("BEGIN EXCLUSIVE")
            connection.execute("COMMIT")
        else:
            return


def connect(
    path: Path, most_bytes: int, prepare: Callable[[sqlite3.Connection], None]
) -> sqlite3.Connection:
    """Open the file for writing, and bring it to its schema.

    ``synchronous=NORMAL`` in WAL mode: what was written outlives every process; a loss of power takes at most what
    wasn't on the disk yet.

    :param most_bytes: how large it may become; then writes fail.
    :param prepare: makes or checks the tables, inside of a transaction; what it raises goes on.
    """
    connection = sqlite3.connect(
        path, timeout=OPEN_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        write_ahead(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute(f"PRAGMA max_page_count = {max(most_bytes // _PAGE, _FEWEST_PAGES)}")
        connection.execute("BEGIN IMMEDIATE")
        prepare(connection)
        connection.execute("COMMIT")
        connection.execute("PRAGMA busy_timeout = 0")
    except BaseException:
        connection.close()
        raise
    return connection


def connect_again(path: Path) -> sqlite3.Connection:
    """Open a file that is in use for tidying it."""
    connection = sqlite3.connect(
        f"file:{path}?mode=rw", uri=True, timeout=0.05, isolation_level=None
    )
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def shorten_log(connection: sqlite3.Connection) -> None:
    """Carry the write-ahead log over into the file, and begin it anew where it has become long."""
    _busy, log_pages, _carried = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    if log_pages * _PAGE > MAX_LOG_BYTES:
        connection.execute("PRAGMA wal_checkpoint(RESTART)")


def is_damaged(error: sqlite3.DatabaseError) -> bool:
    """Tell whether a file isn't what it was, or never was a database."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
