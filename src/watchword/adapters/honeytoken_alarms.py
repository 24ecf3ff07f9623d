"""Keep the alarms of canary keys in one SQLite file, for all gates of one machine.

Alarms can be caused by anyone who found a canary, as often as he likes.  Those with the same traits are one
entry with a count, of each canary so many entries are kept, and the log tells of each at most once a minute.
"""

import hashlib
import json
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from watchword.adapters.keyring.private_file import PrivateFileError
from watchword.adapters.written_behind import PrivateDatabase, Writer
from watchword.gate.alarms import HoneytokenAlarm, Sighting, alarm_of
from watchword.reasons import UnavailableError

MAX_WAITING: Final = 512
"""Most requests that wait to be worked up, about 12 MB of the largest; beyond, only their number is kept."""

MAX_ENTRIES: Final = 200
"""Most entries of each canary; those that were seen longest ago go first."""

WRITE_SECONDS: Final = 0.2
"""After how long alarms are written: whoever watches is told at once, and a flood costs few writes."""

LOG_SECONDS: Final = 60.0
"""How long the log is silent of a canary after a line about it."""

_MOST_BYTES: Final = 512 * 1024**2
_SCHEMA: Final = (
    (
        "CREATE TABLE alarms (traits BLOB PRIMARY KEY, canary TEXT NOT NULL, first REAL NOT NULL, "
        "last REAL NOT NULL, count INTEGER NOT NULL, document TEXT NOT NULL) WITHOUT ROWID"
    ),
    "CREATE INDEX by_canary ON alarms (canary, last)",
    "CREATE TABLE totals (canary TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID",
)
_ADD: Final = (
    "INSERT INTO alarms VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
    "first = min(first, excluded.first), last = max(last, excluded.last), count = count + excluded.count"
)
_COUNT: Final = (
    "INSERT INTO totals VALUES (?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count"
)
_TRIM: Final = (
    "DELETE FROM alarms WHERE canary = ?1 AND traits NOT IN "
    "(SELECT traits FROM alarms WHERE canary = ?1 ORDER BY last DESC LIMIT ?2)"
)

_log = structlog.get_logger()


class KeptAlarm(NamedTuple):
    """Hold alarms with the same traits.

    :param alarm: the first of them that this entry was made for.
    :param first: seconds since 1970 of the first one, ``last`` of the newest.
    """

    alarm: HoneytokenAlarm
    first: float
    last: float
    uses: int


class HoneytokenAlarmFile:
    """Implement :class:`watchword.gate.alarms.HoneytokenAlarms` over a private file; an operator reads it here too."""

    def __init__(
        self,
        path: Path,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        seconds: float = WRITE_SECONDS,
    ) -> None:
        """Keep the path; the file is made by the first alarm.

        :param seconds: after how long alarms are written.
        """
        self._database = PrivateDatabase(path, _SCHEMA, most_bytes=_MOST_BYTES)
        self._monotonic = monotonic
        self._waiting: deque[Sighting] = deque(maxlen=MAX_WAITING)
        self._uncounted: deque[str] = deque(maxlen=1_000_000)
        self._unlogged: dict[str, int] = {}
        self._logged_at: dict[str, float] = {}
        self._writer = Writer(self._write, self._forget, name="watchword-alarms", seconds=seconds)

    def raised(self, sighting: Sighting) -> None:
        """See :meth:`watchword.gate.alarms.HoneytokenAlarms.raised`."""
        canary = sighting.decision.canary
        if canary is not None:
            self._waiting.append(sighting)
            self._uncounted.append(canary)
            self._writer.wake()

    def recent(self, most: int = 100) -> Sequence[KeptAlarm]:
        """Return what was kept, newest first.

        :raises PrivateFileError: when the file can't be read or trusted.
        """
        with self._database.reading() as connection:
            if connection is None:
                return []
            rows = connection.execute(
                "SELECT document, first, last, count FROM alarms ORDER BY last DESC LIMIT ?",
                (most,),
            ).fetchall()
        return [
            KeptAlarm(_alarm_from(document), first, last, count)
            for document, first, last, count in rows
        ]

    def totals(self) -> Mapping[str, int]:
        """Return by canary how often it was used; dropped entries count too.

        :raises PrivateFileError: when the file can't be read or trusted.
        """
        with self._database.reading() as connection:
            if connection is None:
                return {}
            return dict(connection.execute("SELECT canary, count FROM totals").fetchall())

    def close(self) -> None:
        """Write what is left; later alarms go nowhere."""
        self._writer.close()

    def _forget(self) -> None:
        self._waiting.clear()
        self._uncounted.clear()

    def _write(self) -> None:
        """Work the waiting requests up, tell the log, and keep them."""
        counts: dict[str, int] = {}
        for _ in range(len(self._uncounted)):
            canary = self._uncounted.popleft()
            counts[canary] = counts.get(canary, 0) + 1
        entries: dict[bytes, KeptAlarm] = {}
        for _ in range(len(self._waiting)):
            _gather(entries, self._waiting.popleft())
        if not counts:
            return
        for canary, count in counts.items():
            self._notify(canary, count, entries.values())
        try:
            with self._database.writing() as connection:
                _keep(connection, entries, counts)
        except PrivateFileError as error:
            # They stand in the log at least.
            _log.error("canary alarms not kept", count=sum(counts.values()), detail=str(error))

    def _notify(self, canary: str, count: int, entries: Iterable[KeptAlarm]) -> None:
        """Write one line about a canary, unless there was one within a minute."""
        count += self._unlogged.pop(canary, 0)
        now = self._monotonic()
        if now - self._logged_at.get(canary, -LOG_SECONDS) < LOG_SECONDS:
            self._unlogged[canary] = count
            return
        self._logged_at[canary] = now
        newest = max(
            (each for each in entries if each.alarm.canary == canary),
            key=lambda each: each.last,
            default=None,
        )
        told = {} if newest is None else newest.alarm._asdict()
        _log.error("canary key used", **{**told, "canary": canary, "uses": count})


def _gather(entries: dict[bytes, KeptAlarm], sighting: Sighting) -> None:
    """Add one request to the entries, to that of its traits."""
    try:
        alarm = alarm_of(sighting)
    except UnavailableError:
        alarm = None
    if alarm is None:
        return
    # What a program that repeats itself changes is no trait: when, and which of many paths.
    traits = json.dumps(alarm._replace(at=0, path="", route=""), sort_keys=True).encode()
    key = hashlib.sha256(traits).digest()[:16]
    before = entries.get(key)
    if before is None:
        entries[key] = KeptAlarm(alarm, alarm.at, alarm.at, 1)
    else:
        entries[key] = before._replace(
            first=min(before.first, alarm.at),
            last=max(before.last, alarm.at),
            uses=before.uses + 1,
        )


def _keep(
    connection: sqlite3.Connection, entries: Mapping[bytes, KeptAlarm], counts: Mapping[str, int]
) -> None:
    for key, entry in entries.items():
        document = json.dumps(entry.alarm._asdict())
        row = (key, entry.alarm.canary, entry.first, entry.last, entry.uses, document)
        connection.execute(_ADD, row)
    for canary, count in counts.items():
        connection.execute(_COUNT, (canary, count))
        connection.execute(_TRIM, (canary, MAX_ENTRIES))


def _alarm_from(document: str) -> HoneytokenAlarm:
    members = json.loads(document)
    return HoneytokenAlarm(**{**members, "header_names": tuple(members["header_names"])})
