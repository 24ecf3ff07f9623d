"""Map a package into memory: a regular file, and nothing else."""

import hashlib
import mmap
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from watchword.reasons import WatchwordError
from watchword.scan.archive.pace import Pace

EXPECTED = "expected a built app: an APK, an AAB, a split set (XAPK, APKS) or an IPA"

_PIECE = 4 * 1024 * 1024
_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class PackageError(WatchwordError):
    """Report a file that isn't a package: which file, what was got, what was expected."""

    def __init__(self, path: Path, got: str, advice: str = EXPECTED) -> None:
        """Keep the file's path."""
        self.path = path
        super().__init__(f"{path}: got {got}; {advice}")


@dataclass(frozen=True, slots=True)
class MappedFile:
    """Hold a package's bytes; they are pages of the file, not a copy."""

    path: Path
    data: memoryview
    mapping: mmap.mmap

    def release(self) -> None:
        """Hand the pages back to the system; they are read again when they are looked at again."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self.mapping.madvise(mmap.MADV_DONTNEED)

    def digest(self, pace: Pace) -> str:
        """Return the SHA-256 of the file in hex.

        :raises PackageError: when the time is over.
        """
        digest = hashlib.sha256()
        for at in range(0, len(self.data), _PIECE):
            if pace.over:
                got = f"a file of {len(self.data)} bytes that the time isn't enough for"
                raise PackageError(self.path, got, "allow more time")
            piece = self.data[at : at + _PIECE]
            digest.update(piece)
            pace.looked_at(len(piece))
        return digest.hexdigest()


@contextmanager
def mapped(path: Path, most: int) -> Iterator[MappedFile]:
    """Map a file for as long as the context lasts.

    :param most: bytes that a file may have.
    :raises PackageError: if it isn't a regular file, is empty, too large, can't be read, or changed meanwhile.
    """
    handle = _opened(path)
    try:
        before = os.fstat(handle)
        _check(path, before, most)
        try:
            mapping = mmap.mmap(handle, 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise PackageError(path, f"a file that can't be mapped ({error})") from None
        # The mapping ends when its last view does: readers may still hold some when an error leaves here.
        yield MappedFile(path, memoryview(mapping), mapping)
        after = os.fstat(handle)
        if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            got = "a file that changed while it was read"
            raise PackageError(path, got, "scan it once its build is done")
    finally:
        os.close(handle)


def _opened(path: Path) -> int:
    """Open a file without following a link and without waiting for the other end of a pipe."""
    try:
        if stat.S_ISLNK(path.lstat().st_mode):
            got = f"a symbolic link to {str(path.readlink())!a}"
            raise PackageError(path, got, "name the file itself")
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise PackageError(path, f"a file that can't be opened ({why})") from None


def _check(path: Path, found: os.stat_result, most: int) -> None:
    """Refuse what isn't a regular file, and what is empty or too large."""
    if not stat.S_ISREG(found.st_mode):
        kinds = (name for is_kind, name in _KINDS if is_kind(found.st_mode))
        raise PackageError(path, next(kinds, "something else than a file"))
    if not found.st_size:
        raise PackageError(path, "an empty file")
    if found.st_size > most:
        raise PackageError(path, f"a file of {found.st_size} bytes, more than {most}")
