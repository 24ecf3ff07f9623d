"""Write files that a user asked for, whole or not at all: a full disk leaves what was there.

They are for others to read too, so that they get the mode that the user's umask gives; what holds secrets is
written by :mod:`watchword.adapters.keyring.private_file`.
"""

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path


def replace_file(path: Path, text: str) -> None:
    """Put a text in the place of whatever the file held.

    A link stays one, and what it leads to is replaced, with its mode.  What is no regular file, such as a pipe, is written
    into: nothing can be put in its place.

    :param text: written as UTF-8.
    :raises OSError: naming the file, when it can't be written; it is then as it was.
    """
    data = text.encode("utf-8")
    try:
        mode = _mode(path)
        if mode is not None and not stat.S_ISREG(mode):
            path.write_bytes(data)
            return
        _replace(Path(os.path.realpath(path)), data, mode)
    except OSError as error:
        raise _named(error, path) from None


def write_new_file(path: Path, text: str) -> None:
    """Write a file where nothing is yet.

    :param text: written as UTF-8.
    :raises FileExistsError: when something is there, a link to nowhere included.
    :raises OSError: naming the file, when it can't be written; nothing is there then.
    """
    try:
        _write(path, text.encode("utf-8"))
    except OSError as error:
        raise _named(error, path) from None


def _replace(path: Path, data: bytes, mode: int | None) -> None:
    """Write beside the file and rename onto it; within a directory that is one step."""
    new = path.with_name(f".watchword-{os.getpid()}.new")
    # Left by a killed process of the same number.
    new.unlink(missing_ok=True)
    _write(new, data)
    try:
        if mode is not None:
            new.chmod(stat.S_IMODE(mode))
        new.replace(path)
    except BaseException:
        with suppress(OSError):
            new.unlink()
        raise


def _write(path: Path, data: bytes) -> None:
    """Write a file that isn't there, and leave none behind where that fails or is interrupted."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            # Some file systems tell of a full disk only now.
            os.fsync(handle)
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise


def _mode(path: Path) -> int | None:
    """Return the type and mode of what a path leads to, None where nothing is there."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None


def _named(error: OSError, path: Path) -> OSError:
    """Return the error with the name that the user gave, and not that of a file beside it."""
    number = error.errno or errno.EIO
    return OSError(number, error.strerror or os.strerror(number), str(path))
