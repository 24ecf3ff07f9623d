"""Keep what gates are told in rows: one leader signs, and every node hands out the same lines.

A generation is drawn, and lines are added, in transactions that share the row of the leader's term.  The next leader can only
begin its term when they are over, and whoever lost the term meanwhile is refused.
"""

from collections.abc import Callable, Sequence
from typing import Final

from watchword.adapters.nodes import (
    Chore,
    PublishedLines,
    PublishedNews,
)
from watchword.adapters.postgres.database import PostgresDatabase
from watchword.adapters.postgres.node import NodeSession
from watchword.adapters.store import Connection
from watchword.adapters.terms import FencedError, within
from watchword.gate.chain import is_snapshot

_REVISION: Final = "UPDATE publication SET revision = revision + 1"


class PublicationRows:
    """Implement :class:`watchword.adapters.nodes.GateLog`."""

    def __init__(self, database: PostgresDatabase, session: NodeSession) -> None:
        """Take the store's database, and who knows the leader."""
        self._database = database
        self._session = session

    def leads(self) -> bool:
        """See :meth:`watchword.adapters.nodes.GateLog.leads`."""
        return self._session.leads(Chore.GATES)

    def covers(self) -> int:
        """See :meth:`watchword.adapters.nodes.GateLog.covers`."""
        return self._session.view.covers

    def leader(self) -> str:
        """See :meth:`watchword.adapters.nodes.GateLog.leader`."""
        view = self._session.view
        name = view.leaders.get(Chore.GATES, (0, ""))[1]
        return name if any(each.name == name and each.is_live for each in view.nodes) else ""

    def adopted(self, revision: int, trouble: str) -> None:
        """See :meth:`watchword.adapters.nodes.GateLog.adopted`."""
        self._session.adopted(revision, trouble)

    def hindered(self, why: str) -> None:
        """See :meth:`watchword.adapters.nodes.GateLog.hindered`."""
        self._session.hindered(why)

    def draw(self, steps: int, least: int) -> int:
        """See :meth:`watchword.adapters.nodes.GateLog.draw`."""

        def work(connection: Connection, _term: int) -> int:
            row = connection.execute(
                "UPDATE publication SET generation = greatest(generation + ?, lifted + ?, ?) RETURNING generation",
                (steps, steps, least),
            ).fetchone()
            return int(row[0])

        return self._fenced(work)

    def append(self, api: str, published: PublishedLines) -> int:
        """See :meth:`watchword.adapters.nodes.GateLog.append`."""

        def work(connection: Connection, term: int) -> int:
            revision = _taken(connection)
            if published.anew:
                connection.execute("DELETE FROM gate_lines WHERE api = ?", (api,))
            connection.executemany(
                "INSERT INTO gate_lines (api, revision, position, term, line) VALUES (?, ?, ?, ?, ?)",
                [(api, revision, at, term, line) for at, line in enumerate(published.lines)],
            )
            return revision

        return self._fenced(work)

    def put_first(self, api: str, bundle: bytes) -> int:
        """See :meth:`watchword.adapters.nodes.GateLog.put_first`."""

        def work(connection: Connection, _term: int) -> int:
            revision = _taken(connection)
            connection.execute(
                "INSERT INTO first_bundles (api, revision, bundle) VALUES (?, ?, ?) "
                "ON CONFLICT (api) DO UPDATE SET revision = EXCLUDED.revision, bundle = EXCLUDED.bundle",
                (api, revision, bundle),
            )
            return revision

        return self._fenced(work)

    def note(self, covers: int) -> int:
        """See :meth:`watchword.adapters.nodes.GateLog.note`."""

        def work(connection: Connection, _term: int) -> int:
            row = connection.execute(
                f"{_REVISION}, covers = ? RETURNING revision", (covers,)
            ).fetchone()
            return int(row[0])

        return self._fenced(work)

    def lift(self, generation: int) -> None:
        """See :meth:`watchword.adapters.nodes.GateLog.lift`."""

        def work(connection: Connection) -> None:
            connection.execute(
                "UPDATE publication SET lifted = ? WHERE lifted < ?", (generation, generation)
            )

        self._database.here(work, writes=True)

    def changes(self) -> int:
        """See :meth:`watchword.adapters.nodes.GateLog.changes`."""
        return self._database.here(self._database.newest_revocation, writes=False)

    def read(self, after: int) -> PublishedNews:
        """See :meth:`watchword.adapters.nodes.GateLog.read`."""

        def work(connection: Connection) -> PublishedNews:
            # First: what is added while the rest is read has a higher revision.
            revision, covers, lifted, changes = connection.execute(
                "SELECT revision, covers, lifted, revocations FROM publication, store"
            ).fetchone()
            start = after if after <= revision else 0
            lines = connection.execute(
                "SELECT api, revision, line FROM gate_lines WHERE revision > ? AND revision <= ? "
                "ORDER BY api, revision, position",
                (start, revision),
            )
            firsts = connection.execute(
                "SELECT api, bundle FROM first_bundles WHERE revision > ? AND revision <= ?",
                (start, revision),
            )
            return PublishedNews(
                revision,
                covers,
                changes,
                lifted,
                _by_api(lines.fetchall()),
                {api: bytes(bundle) for api, bundle in firsts.fetchall()},
            )

        return self._database.here(work, writes=False)

    def _fenced(self, work: Callable[[Connection, int], int]) -> int:
        """Carry work out in a transaction that the next leader waits for, unless it leads already."""
        term = self._session.term(Chore.GATES)
        if term is None:
            raise FencedError("this node doesn't tell gates any more")
        with within(term):
            return self._database.here(lambda each: work(each, term.number), writes=True)


def _taken(connection: Connection) -> int:
    return int(connection.execute(f"{_REVISION} RETURNING revision").fetchone()[0])


def _by_api(rows: Sequence[tuple[str, int, bytes]]) -> dict[str, PublishedLines]:
    """Return lines by API; who has read to the middle of what a snapshot replaced gets all of it."""
    found: dict[str, list[bytes]] = {}
    for api, _, line in rows:
        found.setdefault(api, []).append(bytes(line))
    return {api: PublishedLines(lines, is_snapshot(lines[0])) for api, lines in found.items()}
