"""Keep a document that is read and replaced as a whole: in a private file here, or in a sealed row of a database."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from watchword.adapters.keyring.private_file import (
    MAX_FILE_BYTES,
    Stamp,
    locked_directory,
    read_private,
    remove_leftovers,
    stamp_of,
    write_private,
)


class KeptDocument(Protocol):
    """Read and replace one document; any thread may, and each method blocks for a bounded time.

    What can't be trusted is never replaced.  Each method but :meth:`stamp` raises
    :class:`watchword.adapters.keyring.private_file.PrivateFileError` for it, and
    :class:`watchword.reasons.UnavailableError` with ``store.unavailable`` where a database doesn't answer.
    """

    @property
    def where(self) -> str:
        """Return where it is, for messages."""

    @property
    def home(self) -> str:
        """Return what it is in, for messages: a directory or a database."""

    @property
    def version(self) -> int:
        """Return the number of what was read or written last; 0 where versions aren't counted."""

    def follow(self) -> None:
        """Look whether others replaced it; :meth:`stamp` and :meth:`read` know by then."""

    def stamp(self) -> object | None:
        """Return what tells its present state from the next, None where there is none yet; asks no server."""

    def read(self) -> bytes | None:
        """Return its bytes, None where there is none yet."""

    def change(self, work: Callable[[bytes | None], bytes | None]) -> None:
        """Replace it by what ``work`` makes of it; nobody else replaces it in between.

        :param work: is given its bytes, None where there is none yet; what it raises leaves the document as it is, as
            does None.  May be asked again.
        """

    def replace(self, expected: bytes | None, data: bytes) -> bool:
        """Put data in its place if it is still as expected; tell whether it was.

        :param expected: None where there was none yet.
        """


class FileDocument:
    """Implement :class:`KeptDocument` with a private file, safe beside other processes."""

    def __init__(
        self, path: Path, limit: int = MAX_FILE_BYTES, patience: float | None = None
    ) -> None:
        """Read nothing yet.

        :param limit: most bytes that are read.
        :param patience: seconds to wait for others that hold the directory's lock; None waits as long as it takes.
        """
        self._path = path
        self._limit = limit
        self._patience = patience

    @property
    def where(self) -> str:
        """See :attr:`KeptDocument.where`."""
        return str(self._path)

    @property
    def home(self) -> str:
        """See :attr:`KeptDocument.home`."""
        return str(self._path.parent)

    @property
    def version(self) -> int:
        """See :attr:`KeptDocument.version`: always 0."""
        return 0

    def follow(self) -> None:
        """See :meth:`KeptDocument.follow`: each look is at the file itself."""

    def stamp(self) -> Stamp | None:
        """See :meth:`KeptDocument.stamp`."""
        return stamp_of(self._path)

    def read(self) -> bytes | None:
        """See :meth:`KeptDocument.read`."""
        return read_private(self._path, self._limit)

    def change(self, work: Callable[[bytes | None], bytes | None]) -> None:
        """See :meth:`KeptDocument.change`."""
        with locked_directory(self._path.parent, self._patience):
            if (data := work(self.read())) is not None:
                self._write(data)

    def replace(self, expected: bytes | None, data: bytes) -> bool:
        """See :meth:`KeptDocument.replace`."""
        with locked_directory(self._path.parent, self._patience):
            if self.read() != expected:
                return False
            self._write(data)
        return True

    def _write(self, data: bytes) -> None:
        # Nobody writes but who holds the lock: what is there was left by killed processes.
        remove_leftovers(self._path)
        write_private(self._path, data)
