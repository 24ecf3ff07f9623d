"""Keep records as lines of JSON: two files a day, private, bounded in age and in space.

Enrolments stand in ``YYYY-MM-DD.jsonl`` and refused evidence in ``YYYY-MM-DD.refused.jsonl`` (days of UTC),
since anybody can cause refusals: a quarter of the space is theirs and the rest is the enrolments', and neither
makes room for the other.  However many refusals come, they push out no record of an enrolment.

Nothing is synced to the disk.  A record explains a verdict, it doesn't make it: what must survive a loss
of power (the instance, the used challenge) is in the store.  A process that is killed loses nothing, as each
line is with the kernel before :meth:`RecordDirectory.append` returns.
"""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

from watchword.adapters.keyring.private_file import PrivateFileError, private_directory
from watchword.reasons import Reason, UnavailableError

REFUSED_SHARE: Final = 4
"""Refused evidence has one part in so many of the space, enrolments have the others."""

LOOK_AGAIN: Final = timedelta(seconds=10)
"""How often the files of other processes are counted; they may overshoot the space for that long."""

_NAME: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(\.refused)?\.jsonl")


@dataclass(frozen=True, slots=True)
class _Day:
    """Hold one file of records."""

    day: date
    refused: bool
    path: Path
    size: int


@dataclass(slots=True)
class RecordDirectory:
    """Implement :class:`watchword.ports.RecordLog`; any number of processes may share a directory.

    :param keep: how long a record is kept; a day's file goes when its last record is older.
    :param max_bytes: most space of all files together.
    """

    directory: Path
    keep: timedelta
    max_bytes: int
    _looked_at: datetime | None = None
    _sizes: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})

    def append(self, line: bytes, at: datetime, *, refused: bool) -> None:
        """See :meth:`watchword.ports.RecordLog.append`."""
        try:
            if not self._has_room(len(line), at, refused=refused):
                what = "refused evidence" if refused else "records"
                raise UnavailableError(
                    Reason.STORE_UNAVAILABLE, f"{self.directory}: no room for more {what} today"
                )
            private_directory(self.directory)
            _append(self.directory / _file_name(at, refused=refused), line)
        except OSError as error:
            raise self._trouble(error) from None
        except PrivateFileError as error:
            raise UnavailableError(Reason.STORE_UNAVAILABLE, str(error)) from None
        self._sizes[refused] += len(line)

    def forget_expired(self, now: datetime) -> None:
        """See :meth:`watchword.ports.RecordLog.forget_expired`."""
        try:
            self._tidy(now)
        except OSError as error:
            raise self._trouble(error) from None

    def _trouble(self, error: OSError) -> UnavailableError:
        """Return the error that names the file, so that whoever reads the log finds it."""
        where = error.filename if isinstance(error.filename, str) else str(self.directory)
        detail = f"{where}: {error.strerror or 'the disk refuses'}"
        return UnavailableError(Reason.STORE_UNAVAILABLE, detail)

    def _has_room(self, size: int, at: datetime, *, refused: bool) -> bool:
        """Tell whether a line fits, after the oldest days went if it doesn't."""
        if self._looked_at is None or not timedelta(0) <= at - self._looked_at < LOOK_AGAIN:
            self._tidy(at)
        if self._fits(size, refused=refused):
            return True
        today = _file_name(at, refused=refused)
        for day in self._files():
            if day.path.name != today and day.refused is refused:
                self._remove(day)
                if self._fits(size, refused=refused):
                    return True
        return False

    def _fits(self, size: int, *, refused: bool) -> bool:
        share = self.max_bytes // REFUSED_SHARE
        return self._sizes[refused] + size <= (share if refused else self.max_bytes - share)

    def _tidy(self, now: datetime) -> None:
        """Remove the days that are too old, and count what is there."""
        self._looked_at = now
        files = self._files()
        self._sizes = {
            refused: sum(day.size for day in files if day.refused is refused)
            for refused in (True, False)
        }
        oldest = (now.astimezone(UTC) - self.keep).date()
        for day in files:
            if day.day < oldest:
                self._remove(day)

    def _remove(self, day: _Day) -> None:
        day.path.unlink(missing_ok=True)
        self._sizes[day.refused] -= day.size

    def _files(self) -> Sequence[_Day]:
        """Return the files of records, the oldest first; what else has such a name isn't ours."""
        found = []
        for path in record_files(self.directory):
            name = _NAME.fullmatch(path.name)
            assert name is not None
            try:
                entry = path.lstat()
            except FileNotFoundError:
                continue  # Another process removed it a moment ago.
            if stat.S_ISREG(entry.st_mode):
                day = date.fromisoformat(name[1])
                found.append(_Day(day, name[2] is not None, path, entry.st_size))
        return sorted(found, key=lambda day: day.day)


def record_files(directory: Path) -> Iterator[Path]:
    """Yield the files of records in a directory by name, so by day; none where there is no directory."""
    if not directory.is_dir():
        return
    for path in sorted(directory.iterdir()):
        name = _NAME.fullmatch(path.name)
        if name is not None and _is_date(name[1]) and path.is_file():
            yield path


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _file_name(at: datetime, *, refused: bool) -> str:
    day = at.astimezone(UTC).date().isoformat()
    return f"{day}.refused.jsonl" if refused else f"{day}.jsonl"


def _append(path: Path, line: bytes) -> None:
    """Add a line in one write; behind half a line of a killed process it begins a new one."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    handle = os.open(path, flags, 0o600)
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            raise PrivateFileError(f"{path}: expected a regular file of ours")
        if found.st_mode & 0o077:
            raise PrivateFileError(f"{path}: others may read it; expected mode 0600")
        # Another process may be in the middle of its line: then an empty line comes in between.
        if found.st_size and os.pread(handle, 1, found.st_size - 1) != b"\n":
            line = b"\n" + line
        if os.write(handle, line) != len(line):
            raise PrivateFileError(f"{path}: the disk took half a record")
    finally:
        os.close(handle)
