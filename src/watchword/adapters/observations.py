"""Keep observations in a file that only grows."""

import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from watchword.adapters.keyring.private_file import sync_directory
from watchword.reasons import ExitCode, WatchwordError

MAX_FILE_BYTES: Final = 16 * 1024 * 1024
"""Most bytes of the file."""

MAX_LINES: Final = 50_000
"""Most lines of the file."""

_NEWLINE: Final = b"\n"


class ObservationsFileError(WatchwordError):
    """Report a file of observations that can't be read or written, and what to do about it."""

    exit_code = ExitCode.USAGE


class ObservationsFile:
    """Keep observations as lines of one file.

    What :meth:`append` returned from is on the disk, whole, whatever other processes append and
    whenever one of them is killed.
    """

    def __init__(self, path: Path) -> None:
        """Keep the path; the file is made by the first that is appended."""
        self.path = path

    def read(self) -> bytes:
        """Return all lines; none where there is no file.

        A larger file isn't read in part: its newest lines may be those that take trust away.

        :raises ObservationsFileError: when it can't be read, or holds more than we read.
        """
        try:
            handle = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise self._failure("read", error) from None
        try:
            # Asked before Python opens it: that leaves a directory open when it refuses it.
            self._require_regular(handle)
            with os.fdopen(handle, "rb", closefd=False) as file:
                data = file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise self._failure("read", error) from None
        finally:
            os.close(handle)
        self._require_room(len(data), data.count(_NEWLINE))
        return data

    def append(self, line: str) -> None:
        """Add one line; it is durable on return.

        :raises ObservationsFileError: when the disk refuses, or the file is full; it is then as it was.
        :raises ValueError: for anything but one line.
        """
        if not line or "\n" in line or "\r" in line:
            raise ValueError("expected one line")
        new = not self.path.exists()
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(
                self.path,
                os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK,
                0o600,
            )
        except OSError as error:
            raise self._failure("written", error) from None
        try:
            self._require_regular(handle)
            # Ends with the process that holds it, killed or not.
            fcntl.flock(handle, fcntl.LOCK_EX)
            self._append(handle, line.encode() + _NEWLINE)
            if new:
                sync_directory(self.path.parent)
        except OSError as error:
            raise self._failure("written", error) from None
        finally:
            os.close(handle)

    def _append(self, handle: int, data: bytes) -> None:
        """Write at the end, on a line of its own, while nobody else does."""
        before = os.fstat(handle).st_size
        if before and os.pread(handle, 1, before - 1) != _NEWLINE:
            # Somebody was killed while writing: what he left must not swallow this line.
            data = _NEWLINE + data
        self._require_room(before + len(data), _lines(handle) + 1)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(handle, rest) :]
            os.fsync(handle)
        except OSError:
            # The disk is full: half a line of our own is taken back, the rest was never touched.
            with suppress(OSError):
                os.ftruncate(handle, before)
            raise

    def _require_regular(self, handle: int) -> None:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise ObservationsFileError(f"{self.path}: got something else than a regular file")

    def _require_room(self, size: int, lines: int) -> None:
        for got, most, unit in ((size, MAX_FILE_BYTES, "bytes"), (lines, MAX_LINES, "lines")):
            if got > most:
                raise ObservationsFileError(
                    f"{self.path}: got more than {most} {unit}; move the file away and start "
                    "anew: proofs that were lost with it are made again by the next run"
                )

    def _failure(self, what: str, error: OSError) -> ObservationsFileError:
        return ObservationsFileError(f"{self.path}: can't be {what}: {error.strerror or error}")


def _lines(handle: int) -> int:
    """Count the newlines of a file."""
    found, place = 0, 0
    while block := os.pread(handle, 1 << 20, place):
        found += block.count(_NEWLINE)
        place += len(block)
    return found
