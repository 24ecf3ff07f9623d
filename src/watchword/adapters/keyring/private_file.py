"""Read and write files that hold secrets: mode 0600, ours, whole or not at all."""

import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from watchword.encoding import strict_json
from watchword.encoding.phrases import other_format
from watchword.reasons import MalformedError, WatchwordError

MAX_FILE_BYTES: Final = 256 * 1024
"""Most bytes that are read; a key ring has about 2 kB."""

_LOCK_PAUSE: Final = 0.01


class PrivateFileError(WatchwordError):
    """Report a file of secrets that can't be trusted or used, and what to do about it."""


def require_private(path: Path) -> None:
    """See to it that a file may be read as :func:`read_private` does, where there is one.

    :raises PrivateFileError: when it may not.
    """
    try:
        found = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return
    except OSError as error:
        raise PrivateFileError(f"{path}: can't be read: {error.strerror}") from None
    _require_ours(path, found)


def _require_ours(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise PrivateFileError(f"{path}: got something else than a regular file")
    if found.st_uid != os.geteuid():
        raise PrivateFileError(f"{path}: belongs to user {found.st_uid}, expected {os.geteuid()}")
    if found.st_mode & 0o077:
        raise PrivateFileError(
            f"{path}: got mode {stat.S_IMODE(found.st_mode):04o}, expected 0600; "
            f"if nobody else read it: chmod 600 {path}, otherwise make new keys"
        )


class OtherFormatError(PrivateFileError):
    """Report a file of another format than this version's, most likely a newer one's: it stays as it is."""


def require_format(path: Path, got: object, expected: int) -> None:
    """See to it that a file is of this version's format.

    :param got: the number that the file states.
    :raises OtherFormatError: when it is another one.
    """
    if type(got) is not int or got != expected:
        raise OtherFormatError(f"{path}: {other_format(got, expected)}")


def open_private(path: Path, flags: int) -> int | None:
    """Return a descriptor of a private file, None if it doesn't exist.

    :param flags: of ``os.open``, for reading or writing; none that make a file.
    :raises PrivateFileError: as :func:`read_private`.
    """
    try:
        handle = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        verb = "read" if flags & os.O_ACCMODE == os.O_RDONLY else "written"
        raise PrivateFileError(f"{path}: can't be {verb}: {error.strerror}") from None
    try:
        _require_ours(path, os.fstat(handle))
    except PrivateFileError:
        os.close(handle)
        raise
    return handle


def read_private(path: Path, limit: int = MAX_FILE_BYTES) -> bytes | None:
    """Return the file's bytes, None if it doesn't exist.

    :param limit: most bytes that are accepted.
    :raises PrivateFileError: when it isn't a regular file of ours with mode 0600 or stricter:
        whoever else can read it can sign tokens, whoever else owns it can replace the keys.
    """
    handle = open_private(path, os.O_RDONLY)
    if handle is None:
        return None
    with os.fdopen(handle, "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise PrivateFileError(f"{path}: got more than {limit} bytes")
    return data


def require_known_format(path: Path, expected: int, limit: int = MAX_FILE_BYTES) -> None:
    """See to it that no newer Watchword wrote a private file of JSON; what else may be wrong with it, its reader tells.

    :raises OtherFormatError: when one did.
    :raises PrivateFileError: as :func:`read_private` does.
    """
    data = read_private(path, limit)
    with suppress(MalformedError):
        got = None if data is None else strict_json.loads(data, limit).get("v")
        if type(got) is int and got > expected:
            require_format(path, got, expected)


class Stamp(NamedTuple):
    """What tells one state of a file from the next.

    Both times are read from a clock that ticks every few milliseconds; of two writes within one tick the size tells.
    """

    written: int
    inode: int
    size: int
    changed: int


def stamp_of(path: Path) -> Stamp | None:
    """Return the stamp of a file as it stands now, None where there is none; a link is looked at itself.

    Whoever keeps what he read asks before he reads: of a file that is replaced in between, the next look reads the new one.
    """
    try:
        found = path.stat(follow_symlinks=False)
    except OSError:
        return None
    return stamp_from(found)


def stamp_from(found: os.stat_result) -> Stamp:
    """Return the stamp of a file that was asked for already."""
    return Stamp(found.st_mtime_ns, found.st_ino, found.st_size, found.st_ctime_ns)


def write_private(path: Path, *parts: bytes) -> Stamp:
    """Replace the file as a whole; it survives a loss of power right afterwards.

    :param parts: what is to stand in it, one behind the other.
    :returns: the stamp of what was written, also where somebody put another file in its place right afterwards.
    :raises PrivateFileError: when the disk refuses; the file is then as it was.
    """
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        # What is there already was left by a killed process, or put there by somebody who would
        # read what is written into it: a file keeps its mode and its owner.
        new.unlink(missing_ok=True)
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            _fill(file, *parts)
            new.replace(path)
            sync_directory(path.parent)
            return stamp_from(os.fstat(handle))
    except OSError as error:
        with suppress(OSError):
            new.unlink()
        raise PrivateFileError(f"{path}: can't be written: {error.strerror}") from None


def remove_leftovers(path: Path) -> None:
    """Remove what processes left that were killed while they wrote a file; whoever writes it now must begin again."""
    with suppress(OSError):
        for left in path.parent.glob(f".{path.name}.*.new"):
            left.unlink(missing_ok=True)


def write_new(
    path: Path,
    data: bytes,
    mode: int = 0o600,
    fault: type[PrivateFileError] = PrivateFileError,
) -> None:
    """Write a file that isn't there yet; it survives a loss of power right afterwards.

    :param fault: is raised in place of its base.
    :raises PrivateFileError: when something is there already, or the disk refuses; then nothing is left.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except FileExistsError:
        raise fault(
            f"{path}: is there already; a key is never overwritten, name another file"
        ) from None
    except OSError as error:
        raise fault(f"{path}: can't be written: {error.strerror}") from error
    try:
        with os.fdopen(handle, "wb") as file:
            _fill(file, data)
        sync_directory(path.parent)
    except OSError as error:
        with suppress(OSError):
            path.unlink()
        raise fault(f"{path}: can't be written: {error.strerror}") from error


def _fill(file: BinaryIO, *parts: bytes) -> None:
    """Write a new file whole, onto the disk."""
    file.writelines(parts)
    file.flush()
    os.fsync(file.fileno())


def private_directory(directory: Path) -> None:
    """Make a directory that only we can enter (0700), or see to it that it is one.

    Whoever may enter reads what is made there with a wider mode for a moment, and whoever may
    write can put other keys in the place of ours.

    :raises PrivateFileError: when it can't be made, isn't ours, others may enter it, or anybody may put another one in
        its place.
    """
    require_parents(directory)
    try:
        for parent in reversed(directory.parents):
            # Made with the mode of the umask, which may be none, they would be open to all.
            if not parent.exists():
                parent.mkdir(mode=0o755, exist_ok=True)
        directory.mkdir(mode=0o700, exist_ok=True)
        found = directory.stat()
    except OSError as error:
        raise PrivateFileError(
            f"{directory}: can't be used: {error.strerror}; let this user write there, or name another directory"
        ) from None
    if found.st_uid != os.geteuid():
        raise PrivateFileError(
            f"{directory}: belongs to user {found.st_uid}, expected {os.geteuid()}"
        )
    if found.st_mode & 0o077:
        raise PrivateFileError(
            f"{directory}: got mode {stat.S_IMODE(found.st_mode):04o}, expected 0700; "
            f"if it holds nothing for others: chmod 700 {directory}"
        )


def require_parents(directory: Path) -> None:
    """See to it that only we, or whoever we trust anyway, can rename what leads to a directory.

    :raises PrivateFileError: when anybody can.

    In a sticky directory such as /tmp nobody renames what is another's, and Linux follows no stranger's link there
    (``fs.protected_symlinks``).  A group that may write is left alone: most systems give each user one of its own.
    """
    for parent in directory.absolute().parents:
        try:
            mode = parent.stat().st_mode
        except OSError:
            # It is made below, with our mode, or what is wrong with it is told then.
            continue
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise PrivateFileError(
                f"{parent}: got mode {stat.S_IMODE(mode):04o}, with which anybody on this machine can put another "
                f"directory in the place of {directory}; run chmod o-w {parent}, or name a place elsewhere"
            )


@contextmanager
def locked_directory(directory: Path, patience: float | None = None) -> Iterator[None]:
    """Let one process at a time change the files in a private directory, made where it is missing.

    The lock is advisory, on the directory itself, and ends with the process that holds it.

    :param patience: seconds after which to give up; None waits as long as it takes.
    :raises PrivateFileError: as :func:`private_directory` does, or when it can't be opened, or when another
        process holds the lock for too long.
    """
    private_directory(directory)
    try:
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise PrivateFileError(f"{directory}: can't be used: {error.strerror}") from None
    try:
        _lock(handle, directory, patience)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, directory: Path, patience: float | None) -> None:
    if patience is None:
        fcntl.flock(handle, fcntl.LOCK_EX)
        return
    give_up = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= give_up:
                raise PrivateFileError(
                    f"{directory}: another process has held its lock for {patience:g} s"
                ) from None
            time.sleep(_LOCK_PAUSE)
        else:
            return


def sync_directory(directory: Path) -> None:
    """Make a rename durable: the directory entry is data of the directory."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
