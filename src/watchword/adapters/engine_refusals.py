"""Keep engines' refusals in one private file: every one counted, the latest of each reason kept.

Strangers cause these lines.  So space is bounded, a flood of one kind can't push out the rare ones, and
nothing goes into the durable audit trail (protocol, section 7).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from sqlite3 import Connection
from typing import Any, Final

from watchword.adapters.written_behind import PrivateDatabase
from watchword.gate.tallies import CLAIMED
from watchword.reasons import Reason, WatchwordError


@dataclass(frozen=True, slots=True)
class EngineRefusal:
    """Hold one refusal as an engine's access log tells it; strangers chose some of the text.

    :param ref: the request's id, which the refused client was told; empty where the engine had none yet.
    :param route: name of the row that decided, or of the engine's own check; empty where none was found.
    :param reason: None where the engine's words fit none of ours.
    :param details: the engine's own words.
    :param instance: the instance's name at this API, empty where no token was read.
    :param client: the address that the connection came from.
    :param milliseconds: how long the request took, None where that isn't told.
    :param claimed: why the app sends no token, by its own word, where that is what is counted; nothing is refused by it.
    """

    at: datetime
    ref: str
    route: str
    status: int
    reason: Reason | None
    details: str = ""
    method: str = ""
    instance: str = ""
    client: str = ""
    milliseconds: int | None = None
    claimed: str = ""


@dataclass(frozen=True, slots=True)
class KeptRefusal:
    """Hold a refusal together with the engine that told it."""

    engine: str
    refusal: EngineRefusal


@dataclass(frozen=True, slots=True)
class Position:
    """Say how far a log was read.

    :param head: SHA-256 of its first line: a file that was rotated keeps it, and a new one has another.
    :param offset: bytes that were read, which end with a line.
    :param tail: SHA-256 of the last of these bytes, so that another file with the same first line shows.
    :param lines: how many lines these bytes are.
    """

    head: bytes
    offset: int = 0
    tail: bytes = b""
    lines: int = 0


KEPT_PER_REASON: Final = 5000
"""Latest refusals that are kept of each reason: what a reference is explained from."""

MAX_ROUTES: Final = 512
"""Most different routes that are counted apart; later ones are counted as ``other``."""

MAX_FILES: Final = 1000
"""Most logs whose position is known; the one that was read longest ago is forgotten first."""

MAX_BYTES: Final = 512 * 1024 * 1024
"""Most bytes of the file; what the bounds above allow takes less."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMNS: Final = (
    "engine, at, ref, route, status, reason, details, method, instance, client, milliseconds"
)
_REFUSED: Final = f"substr(reason, 1, {len(CLAIMED)}) != '{CLAIMED}'"
"""Rows that are refusals: what apps claimed stands among them, to be counted once for each line."""

_SCHEMA: Final = (
    (
        "CREATE TABLE files (head BLOB NOT NULL, engine TEXT NOT NULL, position INTEGER NOT NULL, "
        "tail BLOB NOT NULL, lines INTEGER NOT NULL, turn INTEGER NOT NULL, PRIMARY KEY (head, engine)) STRICT"
    ),
    (
        "CREATE TABLE refusals (id INTEGER PRIMARY KEY AUTOINCREMENT, line BLOB NOT NULL UNIQUE, "
        "engine TEXT NOT NULL, at INTEGER NOT NULL, ref TEXT NOT NULL, route TEXT NOT NULL, "
        "status INTEGER NOT NULL, reason TEXT NOT NULL, details TEXT NOT NULL, method TEXT NOT NULL, "
        "instance TEXT NOT NULL, client TEXT NOT NULL, milliseconds INTEGER) STRICT"
    ),
    "CREATE INDEX refusals_by_ref ON refusals (ref)",
    "CREATE INDEX refusals_by_reason ON refusals (reason, id)",
    (
        "CREATE TABLE counts (engine TEXT NOT NULL, reason TEXT NOT NULL, route TEXT NOT NULL, "
        "count INTEGER NOT NULL, PRIMARY KEY (engine, reason, route)) STRICT, WITHOUT ROWID"
    ),
)


GATES_KEPT: Final = 64
"""Latest refusals of each reason that gates inside applications keep, of all APIs together."""


class PositionMovedError(WatchwordError):
    """Report that another process reads the same log at this moment."""


class EngineRefusals:
    """Hold the file; any number of processes may add to it and read it."""

    def __init__(
        self, path: Path, *, kept: int = KEPT_PER_REASON, routes: int = MAX_ROUTES
    ) -> None:
        """Keep the path; the file is made with the first refusals.

        :param kept: see :data:`KEPT_PER_REASON`; ``routes`` see :data:`MAX_ROUTES`.
        """
        self._database = PrivateDatabase(path, _SCHEMA, most_bytes=MAX_BYTES)
        self._kept = kept
        self._routes = routes

    def position(self, engine: str, head: bytes) -> Position:
        """Return how far the log that begins so was read.

        :raises PrivateFileError: when the file can't be trusted or read.
        """
        with self._database.reading() as connection:
            found = None if connection is None else _position(connection, engine, head)
        return found or Position(head)

    def add(
        self,
        engine: str,
        refusals: Sequence[tuple[bytes, EngineRefusal]],
        before: Position | None = None,
        after: Position | None = None,
        claims: Sequence[tuple[bytes, EngineRefusal]] = (),
    ) -> int:
        """Add refusals that aren't there yet, and keep how far their log was read, in one transaction.

        :param refusals: each with the SHA-256 of its line, by which it is told from others.
        :param before: what :meth:`position` said before, also where the log isn't what it was and was begun anew; None
            for what has no position.
        :param claims: what apps claimed, each as a refusal is; counted beside.
        :returns: how many refusals were new.
        :raises PositionMovedError: when the log was read by somebody else meanwhile; nothing was added.
        :raises PrivateFileError: when the file can't be written.
        """
        with self._database.writing() as connection:
            if before is not None and after is not None:
                _move(connection, engine, before, after)
            added = [each for each in refusals if _insert(connection, engine, *each)]
            claimed = [each for each in claims if _insert(connection, engine, *each)]
            counts = Counter((_code(each), each.route) for _, each in (*added, *claimed))
            _count(connection, engine, counts, self._routes)
            for code in {code for code, _ in counts}:
                _trim(connection, code, self._kept)
        return len(added)

    def add_counts(
        self,
        engine: str,
        counts: Mapping[tuple[str, str], int],
        latest: Sequence[tuple[bytes, EngineRefusal]],
    ) -> None:
        """Add what was counted elsewhere, and the latest of it, in one transaction.

        :param counts: by reason's code and route.
        :param latest: as ``refusals`` of :meth:`add`, and not counted once more.
        :raises PrivateFileError: when the file can't be written.
        """
        with self._database.writing() as connection:
            for line, refusal in latest:
                _insert(connection, engine, line, refusal)
            _count(connection, engine, counts, self._routes)
            for reason in {_code(refusal) for _, refusal in latest}:
                _trim(connection, reason, self._kept)

    def find(self, ref: str) -> KeptRefusal | None:
        """Return the latest refusal with this reference, None if none is kept.

        :raises PrivateFileError: when the file can't be trusted or read.
        """
        found = self._select(
            f"WHERE ref = ? AND ref != '' AND {_REFUSED} ORDER BY id DESC LIMIT 1", ref
        )
        return found[0] if found else None

    def latest(self, limit: int) -> Sequence[KeptRefusal]:
        """Return the latest refusals of each reason, newest first; raises as :meth:`find` does."""
        ranked = (
            "WHERE id IN (SELECT id FROM (SELECT id, row_number() OVER "  # noqa: S608 - our own text.
            f"(PARTITION BY reason ORDER BY id DESC) AS nth FROM refusals WHERE {_REFUSED}) WHERE nth <= ?) "
            "ORDER BY at DESC, id DESC"
        )
        return self._select(ranked, limit)

    def counts(self) -> Sequence[tuple[str, str, str, int]]:
        """Return (engine, reason's code or nothing, route, count), most frequent first; raises as :meth:`find`."""
        with self._database.reading() as connection:
            if connection is None:
                return ()
            return connection.execute(
                "SELECT engine, reason, route, count FROM counts ORDER BY count DESC, engine, reason, route"
            ).fetchall()

    def _select(self, condition: str, *values: str | int) -> list[KeptRefusal]:
        with self._database.reading() as connection:
            if connection is None:
                return []
            query = f"SELECT {_COLUMNS} FROM refusals {condition}"  # noqa: S608 - our own text.
            return [_from_row(row) for row in connection.execute(query, values)]


def _position(connection: Connection, engine: str, head: bytes) -> Position | None:
    row = connection.execute(
        "SELECT head, position, tail, lines FROM files WHERE head = ? AND engine = ?",
        (head, engine),
    ).fetchone()
    return None if row is None else Position(*row)


def _move(connection: Connection, engine: str, before: Position, after: Position) -> None:
    kept = _position(connection, engine, after.head)
    if (kept or Position(after.head)) != before:
        raise PositionMovedError("another process reads the same log at this moment; let one do it")
    (turn,) = connection.execute("SELECT coalesce(max(turn), 0) + 1 FROM files").fetchone()
    connection.execute(
        "INSERT INTO files (head, engine, position, tail, lines, turn) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET position = excluded.position, tail = excluded.tail, "
        "lines = excluded.lines, turn = excluded.turn",
        (after.head, engine, after.offset, after.tail, after.lines, turn),
    )
    connection.execute(
        "DELETE FROM files WHERE turn <= (SELECT turn FROM files ORDER BY turn DESC LIMIT 1 OFFSET ?)",
        (MAX_FILES,),
    )


def _insert(connection: Connection, engine: str, line: bytes, refusal: EngineRefusal) -> bool:
    values = (
        engine,
        (refusal.at - _EPOCH) // timedelta(microseconds=1),
        refusal.ref,
        refusal.route,
        refusal.status,
        _code(refusal),
        refusal.details,
        refusal.method,
        refusal.instance,
        refusal.client,
        refusal.milliseconds,
    )
    marks = ", ".join("?" * (len(values) + 1))
    added = connection.execute(
        f"INSERT INTO refusals (line, {_COLUMNS}) VALUES ({marks}) ON CONFLICT DO NOTHING",  # noqa: S608
        (line, *values),
    )
    return added.rowcount == 1


def _count(
    connection: Connection, engine: str, counts: Mapping[tuple[str, str], int], most: int
) -> None:
    routes = {row[0] for row in connection.execute("SELECT DISTINCT route FROM counts")}
    for (code, route), count in counts.items():
        if route not in routes and len(routes) < most:
            routes.add(route)
        connection.execute(
            "INSERT INTO counts (engine, reason, route, count) VALUES (?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET count = count + excluded.count",
            (engine, code, route if route in routes else "other", count),
        )


def _trim(connection: Connection, reason: str, kept: int) -> None:
    connection.execute(
        "DELETE FROM refusals WHERE reason = ? AND id <= (SELECT id FROM refusals WHERE reason = ? "
        "ORDER BY id DESC LIMIT 1 OFFSET ?)",
        (reason, reason, kept),
    )


def _code(refusal: EngineRefusal) -> str:
    if refusal.claimed:
        return CLAIMED + refusal.claimed
    return "" if refusal.reason is None else refusal.reason.code


def _from_row(row: tuple[Any, ...]) -> KeptRefusal:
    engine, at, ref, route, status, code, *rest = row
    try:
        reason = Reason.from_code(code) if code else None
    except KeyError:
        # A newer Watchword wrote it.
        reason = None
    moment = _EPOCH + timedelta(microseconds=at)
    return KeptRefusal(engine, EngineRefusal(moment, ref, route, status, reason, *rest))


def gate_refusals(path: Path) -> EngineRefusals:
    """Return what gates inside applications kept: the API stands in an engine's place."""
    return EngineRefusals(path, kept=GATES_KEPT)
