"""Read a file that people edit, and replace it as a whole: its mode, owner and links stay."""

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from watchword.adapters.keyring.private_file import sync_directory
from watchword.reasons import ExitCode, WatchwordError

_MOST_KEPT: Final = 10


class TextFileError(WatchwordError):
    """Report a file that can't be read or written; it is as it was."""

    exit_code = ExitCode.UNAVAILABLE


def read_text_file(file: Path, most: int) -> bytes:
    """Return the bytes of a file; none where it isn't there yet.

    :param most: bytes that are read; a larger file is refused.
    :raises TextFileError: when it is no file, can't be read, is larger, or isn't UTF-8.
    """
    try:
        # A pipe that somebody put there must not hold all who wait for this.
        handle = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise TextFileError(f"{file}: can't be read: {error.strerror}") from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise TextFileError(f"{file}: got no regular file, expected a file with YAML")
    with os.fdopen(handle, "rb") as stream:
        try:
            data = stream.read(most + 1)
        except OSError as error:
            raise TextFileError(f"{file}: can't be read: {error.strerror}") from None
    if len(data) > most:
        raise TextFileError(f"{file}: got more than {most} bytes, expected at most so many")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise TextFileError(
            f"{file}: got bytes that aren't UTF-8 at {error.start}, expected UTF-8 text"
        ) from None
    return data


def replace_text_file(file: Path, data: bytes, *, expected: bytes) -> Path | None:
    """Replace a file, or make one that isn't there.

    :param expected: what it must hold now; empty for no file.
    :returns: where that is kept which somebody wrote in the instant between the last look and the replacement: beside the
        file, with an ending such as ``.replaced``; None where nobody did.
    :raises TextFileError: when it holds something else, or the disk refuses; it is as it was.
    """
    real = Path(os.path.realpath(file))
    new = real.with_name(f".{real.name}.new")
    if read_text_file(real, max(len(expected), 1) + 1) != expected:
        raise TextFileError(
            f"{file}: was changed by somebody else in this moment; look at it again"
        )
    try:
        found = real.stat() if real.exists() else None
        new.unlink(missing_ok=True)
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        if found is not None:
            new.chmod(stat.S_IMODE(found.st_mode))
            with suppress(PermissionError):
                os.chown(new, found.st_uid, found.st_gid)
        kept = _swap(new, real, expected)
        sync_directory(real.parent)
    except OSError as error:
        with suppress(OSError):
            new.unlink()
        raise TextFileError(f"{file}: can't be written: {error.strerror}") from None
    return kept


def _swap(new: Path, real: Path, expected: bytes) -> Path | None:
    """Put the new file in place of the old one, which is kept for a moment to see what it said last."""
    if not expected:
        new.replace(real)
        return None
    kept = _second_name(real)
    new.replace(real)
    if kept is None or kept.read_bytes() != expected:
        return kept
    kept.unlink()
    return None


def _second_name(real: Path) -> Path | None:
    """Give what stands there now another name, whoever wrote it; None where the file system has one name a file.

    What was kept before stays: it is somebody's text.
    """
    for number in range(_MOST_KEPT):
        kept = real.with_name(f"{real.name}.replaced{number or ''}")
        if kept.exists() and kept.samefile(real):
            # A killed process came no further.
            kept.unlink()
        try:
            os.link(real, kept)
        except FileExistsError:
            continue
        except OSError:
            return None
        return kept
    raise FileExistsError(
        errno.EEXIST,
        f"there are {_MOST_KEPT} files {real.name}.replaced beside it, look at them first",
    )
