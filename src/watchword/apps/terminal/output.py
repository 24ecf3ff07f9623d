"""Write files that a user asked for, whole or not at all: a full disk leaves what was there.

What isn't ours is never written over.

They are for others to read too, so that they get the mode that the user's umask gives; what holds secrets is
written by :mod:`watchword.adapters.keyring.private_file`.
"""

import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from watchword.reasons import WatchwordError

_KINDS: Final[tuple[tuple[Callable[[int], bool], str], ...]] = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)

_EXPECTED: Final = (
    "a new file, an empty one or an earlier output of the same kind, which is written over; "
    "name another file, or remove this one first"
)


_LOOKED_AT: Final = 4096
"""Bytes from the start of a file in which its mark must stand."""


class OutputFileError(WatchwordError):
    """Report a file that a user named and that is never written over: what it is, and what to do."""


def replace_file(path: Path, text: str, mark: str) -> None:
    """Put a text in the place of what was written earlier, or where nothing is yet.

    Written over is only what is empty or has the mark near its start: a slip in a name must not cost a key or the file
    that everything hangs on.  A link stays one, and what it leads to is replaced, with its mode.

    :param text: written as UTF-8; has the mark near its start too, so that the next one can take its place.
    :param mark: what tells an output of this kind.
    :raises OutputFileError: naming the file, when something else is there: another file, a pipe, a device.
    :raises OSError: naming the file, when it can't be read or written; it is then as it was.
    :raises ValueError: when the text hasn't got the mark, which is a fault of ours.
    """
    data, wanted = text.encode("utf-8"), mark.encode("utf-8")
    if not wanted or wanted not in data[:_LOOKED_AT]:
        raise ValueError("a text without its mark could never be replaced")
    try:
        _replace(Path(os.path.realpath(path)), data, _mode_of_ours(path, wanted))
    except OSError as error:
        raise _named(error, path) from None


def _mode_of_ours(path: Path, mark: bytes) -> int | None:
    """Return the mode of what may be written over, None where nothing is there.

    :raises OutputFileError: when it may not.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(mode):
        kind = next((name for is_it, name in _KINDS if is_it(mode)), "no regular file")
        raise OutputFileError(f"{path}: got {kind}, expected {_EXPECTED}")
    # Between the two looks a pipe may come to stand there, and opening one waits for whoever writes to it.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        start = file.read(_LOOKED_AT)
    if start and mark not in start:
        raise OutputFileError(
            f"{path}: got a file that isn't an earlier output of this kind, expected {_EXPECTED}"
        )
    return mode


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


def _named(error: OSError, path: Path) -> OSError:
    """Return the error with the name that the user gave, and not that of a file beside it."""
    number = error.errno or errno.EIO
    return OSError(number, error.strerror or os.strerror(number), str(path))
