"""Open a private SQLite file that several processes write to now and then."""

import os
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from watchword.adapters.keyring.private_file import PrivateFileError, private_directory

_WRITE_SECONDS: Final = 5.0
_READ_SECONDS: Final = 0.2
"""How long a lock of another process is waited for; reading is done on the path of requests too."""

_PAGE: Final = 4096


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
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute(f"PRAGMA max_page_count = {self._most_bytes // _PAGE}")
                connection.execute("BEGIN IMMEDIATE")
                try:
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
                (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
                yield connection if tables else None
        except (sqlite3.Error, OSError) as error:
            raise self._fault(error) from None

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
