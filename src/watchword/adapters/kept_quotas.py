"""Keep counts of quotas in one SQLite file, which the gates of one machine share.

Counting itself happens in memory.  Within a second each count is added to the file, and what other processes
added comes back: an instance that goes from one to another gets no quota from each.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Final

import structlog

from watchword.adapters.keyring.private_file import PrivateFileError
from watchword.adapters.written_behind import PrivateDatabase, Writer
from watchword.gate.limits import QUOTA_CAPACITY, QuotaWindow

MAX_UNWRITTEN: Final = 200_000
"""Most counts that wait to be written; beyond, the oldest hold in memory alone."""

KEEP_SECONDS: Final = 3600
"""How long an ended window is kept, for a clock that is set back."""

_MOST_BYTES: Final = 1024**3
_SCHEMA: Final = (
    (
        "CREATE TABLE counts (quota TEXT NOT NULL, seconds INTEGER NOT NULL, number INTEGER NOT NULL, "
        "who TEXT NOT NULL, count INTEGER NOT NULL, "
        "PRIMARY KEY (quota, seconds, number, who)) WITHOUT ROWID"
    ),
    (
        "CREATE TABLE windows (quota TEXT NOT NULL, seconds INTEGER NOT NULL, number INTEGER NOT NULL, "
        "PRIMARY KEY (quota, seconds, number)) WITHOUT ROWID"
    ),
)
_ADD: Final = (
    "INSERT INTO counts VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT DO UPDATE SET count = count + excluded.count RETURNING count"
)
_READ: Final = (
    "SELECT who, count FROM counts WHERE quota = ? AND seconds = ? AND number = ? LIMIT ?"
)
_ENDED: Final = "SELECT quota, seconds, number FROM windows WHERE (number + 1) * seconds < ?"
_DROP: Final = (
    "DELETE FROM counts WHERE quota = ? AND seconds = ? AND number = ?",
    "DELETE FROM windows WHERE quota = ? AND seconds = ? AND number = ?",
)

_log = structlog.get_logger()


class QuotaFile:
    """Implement :class:`watchword.gate.limits.QuotaKeeper` over a private file.

    A process that is killed loses at most the last second of its counts.
    """

    def __init__(
        self, path: Path, *, timestamp: Callable[[], float] = time.time, seconds: float = 1.0
    ) -> None:
        """See whether the file can be read, where it is there.

        :param seconds: after how long counts are written.
        :raises PrivateFileError: when it can't be read or trusted: a gate that started all the same would
            give everybody a new quota.
        """
        self._database = PrivateDatabase(path, _SCHEMA, most_bytes=_MOST_BYTES)
        self._timestamp = timestamp
        self._holding = threading.Lock()
        self._held: dict[QuotaWindow, MutableMapping[str, int]] = {}
        self._unwritten: deque[tuple[QuotaWindow, str]] = deque(maxlen=MAX_UNWRITTEN)
        self._fault: str | None = None
        self._writer = Writer(self._write, self._forget, name="watchword-quotas", seconds=seconds)
        with self._database.reading() as connection:
            if connection is not None:
                connection.execute("SELECT count(*) FROM windows")

    def counts(self, window: QuotaWindow) -> MutableMapping[str, int]:
        """See :meth:`watchword.gate.limits.QuotaKeeper.counts`; a file that can't be read is told in the log."""
        with self._holding:
            held = self._held.get(window)
            if held is None:
                held = self._read(window)
                others = [each for each in self._held if each[:2] == window[:2]]
                for each in sorted(others)[:-1]:
                    del self._held[each]
                self._held[window] = held
            return held

    def spent(self, window: QuotaWindow, subject: str) -> None:
        """See :meth:`watchword.gate.limits.QuotaKeeper.spent`."""
        self._unwritten.append((window, subject))
        self._writer.wake()

    def close(self) -> None:
        """Write what is left; what is counted later holds in memory alone."""
        self._writer.close()

    def _forget(self) -> None:
        """Begin a child's life: what the parent didn't write yet it writes itself."""
        self._holding = threading.Lock()
        self._unwritten.clear()

    def _read(self, window: QuotaWindow) -> dict[str, int]:
        try:
            with self._database.reading() as connection:
                if connection is None:
                    return {}
                return dict(connection.execute(_READ, (*window, QUOTA_CAPACITY)).fetchall())
        except PrivateFileError as error:
            self._notify(str(error))
            return {}

    def _write(self) -> None:
        """Add what was counted to the file, and take over what others added."""
        added: Counter[tuple[QuotaWindow, str]] = Counter()
        for _ in range(len(self._unwritten)):
            added[self._unwritten.popleft()] += 1
        if not added:
            return
        try:
            with self._database.writing() as connection:
                totals = [
                    (key, connection.execute(_ADD, (*key[0], key[1], count)).fetchone()[0])
                    for key, count in added.items()
                ]
                for window in {window for window, _ in added}:
                    connection.execute("INSERT OR IGNORE INTO windows VALUES (?, ?, ?)", window)
                until = self._timestamp() - KEEP_SECONDS
                for window in connection.execute(_ENDED, (until,)).fetchall():
                    for statement in _DROP:
                        connection.execute(statement, window)
        except PrivateFileError as error:
            # Nothing was written, so that nothing counts twice when it is tried again.
            for key, count in added.items():
                self._unwritten.extend([key] * count)
            self._notify(str(error))
            return
        self._fault = None
        self._take_over(totals)

    def _take_over(self, totals: list[tuple[tuple[QuotaWindow, str], int]]) -> None:
        for (window, subject), total in totals:
            counts = self._held.get(window)
            # Never lowered: a request may have been counted since.
            if counts is not None and counts.get(subject, 0) < total:
                counts[subject] = total

    def _notify(self, fault: str) -> None:
        if fault != self._fault:
            self._fault = fault
            _log.error("quotas not kept", detail=fault)
