"""Write to small private databases beside the requests, about once a second."""

import atexit
import os
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from weakref import WeakSet

from watchword.adapters.host_database import write_ahead
from watchword.adapters.keyring.private_file import (
    PrivateFileError,
    private_directory,
    require_format,
)

_WRITE_SECONDS: Final = 5.0
_READ_SECONDS: Final = 0.2
"""How long a lock of another process is waited for; reading is done on the path of requests too."""

_PAGE: Final = 4096
_FORMAT: Final = 0
"""What ``PRAGMA user_version`` says of all these files; a file whose tables change takes the next number."""


class PrivateDatabase:
    """Hand out connections to one file (mode 0600), made with its tables where it is missing."""

    def __init__(self, path: Path, schema: Sequence[str], *, most_bytes: int) -> None:
        """Keep the path; nothing is opened yet.

        :param schema: the statements that make the tables.
        :param most_bytes: how large the file may become; then writes fail.
        """
        self.path = path
        self._schema = schema
        self._most_bytes = most_bytes

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Give a connection inside of a transaction, which is undone when the block fails.

        :raises PrivateFileError: when the file can't be made, trusted or written.
        """
        try:
            self._make()
            with self._connected(_WRITE_SECONDS) as connection:
                write_ahead(connection)
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute(f"PRAGMA max_page_count = {self._most_bytes // _PAGE}")
                connection.execute("BEGIN IMMEDIATE")
                try:
                    self._require_format(connection)
                    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
                    for statement in () if tables else self._schema:
                        connection.execute(statement)
                    yield connection
                    connection.execute("COMMIT")
                except BaseException:
                    with suppress(sqlite3.Error):
                        connection.execute("ROLLBACK")
                    raise
        except (sqlite3.Error, OSError) as error:
            raise self._fault(error) from None

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection | None]:
        """Give a connection, None where there is no file yet.

        :raises PrivateFileError: when the file can't be trusted or read.
        """
        try:
            if not self._is_there():
                yield None
                return
            with self._connected(_READ_SECONDS) as connection:
                self._require_format(connection)
                (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
                yield connection if tables else None
        except (sqlite3.Error, OSError) as error:
            raise self._fault(error) from None

    def _require_format(self, connection: sqlite3.Connection) -> None:
        """See to it that the tables are those of this version.

        :raises OtherFormatError: when they aren't.
        """
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        require_format(self.path, version, _FORMAT)

    @contextmanager
    def _connected(self, patience: float) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.path, timeout=patience, isolation_level=None)
        try:
            yield connection
        finally:
            connection.close()

    def _make(self) -> None:
        if self._is_there():
            return
        private_directory(self.path.parent)
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
        with suppress(FileExistsError):
            os.close(os.open(self.path, flags, 0o600))

    def _is_there(self) -> bool:
        try:
            found = self.path.lstat()
        except FileNotFoundError:
            return False
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise PrivateFileError(f"{self.path}: expected a file of this user with mode 0600")
        return True

    def _fault(self, error: sqlite3.Error | OSError) -> PrivateFileError:
        what = error.strerror if isinstance(error, OSError) else str(error)
        return PrivateFileError(
            f"{self.path}: can't be used: {what}; if it is damaged, move it away with its -wal and -shm"
        )


SECONDS: Final = 1.0
"""After how long what was told is written: what a process that is killed loses at most."""

_JOIN_SECONDS: Final = 10.0


class Writer:
    """Call a piece of work within a second after it was woken, and once more at the end of the process.

    May be woken by any thread, and goes on in a child after a fork.
    """

    def __init__(
        self,
        work: Callable[[], None],
        forget: Callable[[], None],
        *,
        name: str,
        seconds: float = SECONDS,
    ) -> None:
        """Start no thread yet.

        :param work: writes what is to be written; raises nothing.
        :param forget: lets go of what is to be written, in a child: its parent writes that.
        """
        self._work = work
        self._forget = forget
        self._name = name
        self._seconds = seconds
        self._begin()
        _WRITERS.add(self)

    def _begin(self) -> None:
        self._due = threading.Event()
        self._ended = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """Say that there is something to write; takes no time where that was said already."""
        if not self._due.is_set():
            self._due.set()
            if self._thread is None:
                self._start()

    def close(self) -> None:
        """Write what is left, and end the thread; later wakes do nothing."""
        with self._starting:
            thread, ended = self._thread, self._ended.is_set()
            self._ended.set()
        if ended:
            return
        atexit.unregister(self.close)
        self._due.set()
        if thread is not None:
            thread.join(_JOIN_SECONDS)
        self._work()

    def _start(self) -> None:
        with self._starting:
            if self._thread is not None or self._ended.is_set():
                return
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        atexit.register(self.close)

    def _run(self) -> None:
        due, ended = self._due, self._ended
        while True:
            due.wait()
            if ended.wait(self._seconds):
                return
            # Before the work: what is told meanwhile is due again.
            due.clear()
            self._work()

    def _begin_anew(self) -> None:
        """Begin again in a child, which has none of its parent's threads."""
        if not self._ended.is_set():
            self._forget()
            self._begin()


_WRITERS: WeakSet[Writer] = WeakSet()


def _after_fork() -> None:
    for writer in list(_WRITERS):
        writer._begin_anew()  # noqa: SLF001 - its own module's.


os.register_at_fork(after_in_child=_after_fork)
