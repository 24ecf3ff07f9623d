"""Hold a package's bytes: of a regular file, and of nothing else.

The system ends a process that looks at a mapped page of a file which somebody cut off meanwhile, and no language can catch that.  So
what is small is copied, and of what is mapped the size is looked at again and again: a file that gets shorter is told in time, unless
it does within the moment between a look at its size and one at its bytes.
"""

import hashlib
import io
import mmap
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from watchword.reasons import WatchwordError
from watchword.scan.archive.interface import Pace

EXPECTED = "expected a built app: an APK, an AAB, a split set (XAPK, APKS) or an IPA"

MOST_COPIED = 64 * 1024 * 1024
"""Bytes of a file up to which it is copied into memory; a larger one is mapped."""

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
        # A name may hold line ends, which would make lines of their own of what it says.
        named = str(path)
        super().__init__(f"{named if named.isprintable() else ascii(named)}: got {got}; {advice}")


@dataclass(frozen=True, slots=True)
class MappedFile:
    """Hold a package's bytes; they are pages of the file where there is a mapping, else a copy."""

    path: Path
    data: memoryview
    handle: int
    mapping: mmap.mmap | None

    def release(self) -> None:
        """Hand the pages back to the system; they are read again when they are looked at again."""
        if self.mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
            self.mapping.madvise(mmap.MADV_DONTNEED)

    def check(self) -> None:
        """Make sure that all mapped pages are still there.

        :raises PackageError: if the file is shorter than it was.
        """
        if self.mapping is not None and os.fstat(self.handle).st_size < len(self.data):
            raise _changed(self.path)

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
def mapped(path: Path, most: int, copied: int = MOST_COPIED) -> Iterator[MappedFile]:
    """Hold a file's bytes for as long as the context lasts.

    :param most: bytes that a file may have.
    :param copied: bytes up to which a file is copied instead of mapped.
    :raises PackageError: if it isn't a regular file, is empty, too large, can't be read, or changed meanwhile.
    """
    handle = _opened(path)
    try:
        before = os.fstat(handle)
        _check(path, before, most)
        if before.st_size <= copied:
            yield MappedFile(path, _copied(path, handle, before.st_size), handle, None)
        else:
            mapping = _mapped(path, handle)
            # The mapping ends when its last view does: readers may still hold some when an error leaves here.
            yield MappedFile(path, memoryview(mapping), handle, mapping)
        after = os.fstat(handle)
        if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            raise _changed(path)
    finally:
        os.close(handle)


def _copied(path: Path, handle: int, size: int) -> memoryview:
    """Return a file's bytes, read once."""
    content = memoryview(bytearray(size))
    at = 0
    try:
        with io.FileIO(handle, closefd=False) as file:
            while at < size:
                count = file.readinto(content[at:])
                if not count:
                    raise _changed(path)
                at += count
    except OSError as error:
        raise PackageError(path, f"a file that can't be read ({error.strerror})") from None
    return content.toreadonly()


def _mapped(path: Path, handle: int) -> mmap.mmap:
    """Map a file."""
    try:
        return mmap.mmap(handle, 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise PackageError(path, f"a file that can't be mapped ({error})") from None


def _changed(path: Path) -> PackageError:
    return PackageError(
        path, "a file that changed while it was read", "scan it once its build is done"
    )


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
