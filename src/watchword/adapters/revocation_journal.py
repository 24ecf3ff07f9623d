"""Append each revocation of an operator's to a private file, durably, one JSON object a line."""

import os
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from watchword.adapters.keyring.private_file import (
    PrivateFileError,
    read_private,
    require_format,
    sync_directory,
    write_private,
)
from watchword.encoding import strict_json
from watchword.reasons import MalformedError, Reason, UnavailableError

MAX_BYTES: Final = 16 * 1024 * 1024
"""Most bytes that are read: a hundred thousand revocations.  Beyond the half of it the older half goes."""

_MAX_LINE: Final = 8192
_VERSION: Final = 1
_MAX_PENDING: Final = 10_000
_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """Hold one revocation: of which instance, when, by whom and why.

    :param deleted: whether it was deleted on request, too.
    """

    instance: str
    at: datetime
    actor: str
    because: str
    deleted: bool = False


class RevocationJournal:
    """Hold the file; nothing is opened before it is needed.  Any thread of one process may call it."""

    def __init__(self, path: Path) -> None:
        """Keep the path.

        :ivar unreadable: how many lines :meth:`entries` left out.
        """
        self.unreadable = 0
        self._path = path
        self._turn = threading.Lock()
        self._pending: deque[bytes] = deque(maxlen=_MAX_PENDING)

    def append(self, entry: JournalEntry) -> None:
        """Add an entry; it is on the disk when this returns.

        :raises UnavailableError: when it can't be written; :meth:`flush` tries again.
        """
        members = {
            "instance": entry.instance,
            "at": entry.at.timestamp(),
            "actor": entry.actor,
            "because": entry.because,
        }
        if entry.deleted:
            # An earlier Watchword passes over it, and revokes.
            members["deleted"] = True
        with self._turn:
            self._pending.append(strict_json.dumps(members))
            self._write()

    def flush(self) -> None:
        """Write what couldn't be written before; raises as :meth:`append` does."""
        with self._turn:
            if self._pending:
                self._write()

    def entries(self) -> list[JournalEntry]:
        """Return the revocations, oldest first; lines that were cut short are left out, and counted.

        :raises PrivateFileError: when the file can't be trusted, or a newer Watchword wrote into it.
        """
        lines = (read_private(self._path, MAX_BYTES) or b"").split(b"\n")
        found = [_read(line, self._path) for line in lines if line]
        self.unreadable = found.count(None)
        return [entry for entry in found if entry is not None]

    def _write(self) -> None:
        # A line that a full disk cut short ends here, so that it spoils no other.
        lines = b"".join(b"\n" + each + b"\n" for each in self._pending)
        try:
            handle = os.open(self._path, _FLAGS, 0o600)
            try:
                written = os.write(handle, lines)
                os.fsync(handle)
                size = os.fstat(handle).st_size
            finally:
                os.close(handle)
            if size == written:
                # It was made just now, and its name is data of the directory.
                sync_directory(self._path.parent)
        except OSError as error:
            raise self._trouble(error.strerror or "refused") from None
        if written != len(lines):
            raise self._trouble("no space left")
        self._pending.clear()
        if size > MAX_BYTES // 2:
            # Here, and not at the start: one that has become too large to be read would stop that.
            self._shorten()

    def _shorten(self) -> None:
        with suppress(PrivateFileError):
            data = read_private(self._path, MAX_BYTES) or b""
            write_private(self._path, data[data.index(b"\n", len(data) // 2) :])

    def _trouble(self, why: str) -> UnavailableError:
        return UnavailableError(Reason.STORE_UNAVAILABLE, f"{self._path}: can't be written: {why}")


def _read(line: bytes, path: Path) -> JournalEntry | None:
    """Return what a line says, None where it is no revocation."""
    with suppress(MalformedError, TypeError, ValueError, OverflowError, OSError):
        members = strict_json.loads(line, _MAX_LINE)
        # Version 0.2.0 wrote no number.
        require_format(path, members.get("v", _VERSION), _VERSION)
        names = ("instance", "actor", "because")
        if all(isinstance(members.get(name), str) for name in names):
            return JournalEntry(
                members["instance"],
                _instant(members.get("at")),
                members["actor"],
                members["because"],
                members.get("deleted") is True,
            )
    return None


def _instant(value: Any) -> datetime:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("expected a number")
    return datetime.fromtimestamp(value, UTC)
