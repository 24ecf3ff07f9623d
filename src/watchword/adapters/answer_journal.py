"""Keep what was answered in a workshop and isn't in its file yet, beside that file.

One line of JSON for each step, on the disk before anybody is told that it counts.  A process that is killed loses at most
the line that it was writing; that line is cut off by the next one.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final

from watchword.adapters.keyring.private_file import (
    PrivateFileError,
    private_directory,
    read_private,
    write_private,
)
from watchword.encoding import strict_json
from watchword.reasons import ExitCode, RefusedError, WatchwordError

MAX_BYTES: Final = 64 * 1024 * 1024
"""Most bytes of a journal: some hundred thousand answers."""

MAX_LINE: Final = 8 * 1024 * 1024
"""Most bytes of one line; the first one holds a whole section, which a file of 4 MB has at most."""

_MAX_ADDRESS: Final = 200


class BusyError(WatchwordError):
    """Report that another process has the workshop of this file open, and where."""

    exit_code = ExitCode.USAGE


class JournalError(WatchwordError):
    """Report a journal that can't be read or written; what was answered before is still in it."""


class AnswerJournal:
    """Append steps to one file's journal, and hold it for one process."""

    def __init__(self, directory: Path, file: Path) -> None:
        """Open or make the journal of a file.

        :param directory: private to this user, made where it is missing.
        :param file: whose answers are kept; named by its real path.
        :raises BusyError: when another process holds it.
        :raises JournalError: when the directory can't be used.
        """
        name = hashlib.sha256(os.fsencode(os.path.realpath(file))).hexdigest()[:16]
        self.path = directory / f"{name}.jsonl"
        self._address = directory / f"{name}.address"
        try:
            private_directory(directory)
            self._lock: IO[bytes] = (directory / f"{name}.lock").open("ab")
        except (PrivateFileError, OSError) as error:
            raise JournalError(f"answers can't be kept: {error}") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise BusyError(
                f"{file}: a workshop of this file is open already{self._where()}; take part there, or end it with Ctrl-C"
            ) from None

    def _where(self) -> str:
        try:
            data = read_private(self._address, _MAX_ADDRESS)
        except PrivateFileError:
            return ""
        return f" at {data.decode('ascii', 'replace').strip()}" if data else ""

    def announce(self, address: str) -> None:
        """Note where this workshop is, for whoever opens a second one.

        :param address: without the key that lets somebody in.
        """
        write_private(self._address, f"{address}\n".encode())

    def steps(self) -> Iterator[Mapping[str, Any]]:
        """Yield each step in order; a line that a killed process was writing is cut off.

        :raises JournalError: when another line can't be read: what comes behind it would count for something else.
        """
        try:
            data = read_private(self.path, MAX_BYTES)
        except PrivateFileError as error:
            raise JournalError(str(error)) from None
        if data is None:
            return
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.truncate(self.path, whole)
        for number, line in enumerate(data[:whole].splitlines(), start=1):
            try:
                yield strict_json.loads(line, MAX_LINE)
            except RefusedError as error:
                raise JournalError(
                    f"{self.path}:{number}: {error}; move this file away to start without the answers in it"
                ) from None

    def begin(self, *steps: Mapping[str, Any]) -> None:
        """Replace the journal by these steps.

        :raises JournalError: when a step can't be kept, or the disk refuses; the journal is as it was.
        """
        data = b"".join(map(_line, steps))
        try:
            write_private(self.path, data)
        except PrivateFileError as error:
            raise JournalError(str(error)) from None

    def append(self, step: Mapping[str, Any]) -> None:
        """Add one step; it survives a loss of power when this returns.

        :raises JournalError: when the step can't be kept, or the disk refuses; the step isn't in it then.
        """
        line, size = _line(step), None
        try:
            with self.path.open("ab") as stream:
                size = stream.tell()
                if size + len(line) > MAX_BYTES:
                    raise JournalError(
                        f"{self.path}: got {MAX_BYTES} bytes of answers; save, end the workshop, and move this file away"
                    )
                stream.write(line)
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            if size is not None:
                # Half a line would make the next one unreadable.
                os.truncate(self.path, size)
            raise JournalError(
                f"{self.path}: the answer can't be kept: {error.strerror}; nothing was changed"
            ) from None

    def close(self) -> None:
        """Let another process open it; closed once, it is that process's."""
        if self._lock.closed:
            return
        self._address.unlink(missing_ok=True)
        self._lock.close()


def _line(step: Mapping[str, Any]) -> bytes:
    """Return a step as a line that can be read again.

    :raises JournalError: when it can't: too long, too deep, or a number that JSON doesn't have.
    """
    try:
        line = strict_json.dumps(dict(step))
        # What the next start couldn't read would take all answers behind it along.
        strict_json.loads(line, MAX_LINE)
    except (RefusedError, ValueError, TypeError) as error:
        raise JournalError(f"this can't be kept: {error}; nothing was changed") from None
    return line + b"\n"
