"""Be one of several nodes on a PostgreSQL: do chores by session locks, follow what changes, say how this node is.

All of it goes over one connection that no pooler may stand in, since its session holds the locks.  A node that says nothing
for :data:`IDLE_MS`, because it was stopped or is cut off, loses its session by the server's own doing, and so do its locks:
the next node takes over.  Whatever the one that was stopped still tries afterwards is of an old term.
"""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from hashlib import blake2b
from typing import Any, Final

import structlog

from watchword.adapters.nodes import (
    MOST_SKEW_SECONDS,
    Chore,
    ClusterView,
    NodeIdentity,
    OtherNode,
)
from watchword.adapters.postgres.address import PostgresAddress
from watchword.adapters.postgres.link import Link, connect, said, unavailable
from watchword.adapters.postgres.schema import require_readable
from watchword.adapters.terms import Term, within
from watchword.extras import needs
from watchword.reasons import UnavailableError

with needs("postgres"):
    import psycopg

POLL_SECONDS: Final = 0.25
"""How often a node looks by itself: notices may be lost."""

IDLE_MS: Final = 2000
"""After how long without a word the server ends a node's session, in milliseconds."""

BEAT_SECONDS: Final = 1.0
"""How often a node says how it is, and reads what others say."""

STUCK_SECONDS: Final = 5.0
"""After how long a connection that doesn't answer is given up."""

NAME_SECONDS: Final = 4.0
"""For so long a start waits for the session of a process of the same name to end: it may have been killed just now."""

DISK: Final = "disk"
"""The code of a node that can't write what gates read."""

_UNABLE: Final = frozenset({DISK, "store", "service", "configuration", "key-ring", "clock"})
"""With any of these a node takes no lead from another one."""

_GATHER_SECONDS: Final = 0.005
_LOCKS: Final = 0x57574C44
_NUMBERS: Final = {chore: number for number, chore in enumerate(Chore, 1)}

_LOOK: Final = b"""
SELECT store.revocations, p.revision, p.covers, p.lifted, p.epoch, p.forgotten, p.service, p.configuration, p.key_ring,
    extract(epoch FROM clock_timestamp())::float8
FROM watchword.store, watchword.publication AS p
"""
_SEEN: Final = (
    "changes",
    "revision",
    "covers",
    "lifted",
    "epoch",
    "forgotten",
    "service",
    "configuration",
    "key_ring",
)
_BEAT: Final = b"""
INSERT INTO watchword.nodes (name, run, started_at, seen_at, version, configuration, key_ring, ring_version, published,
    unready)
VALUES ($1, $2, clock_timestamp(), clock_timestamp(), $3, $4, $5, $6, $7, $8)
ON CONFLICT (name) DO UPDATE SET
    run = EXCLUDED.run,
    started_at = CASE WHEN nodes.run = EXCLUDED.run THEN nodes.started_at ELSE EXCLUDED.started_at END,
    seen_at = EXCLUDED.seen_at, version = EXCLUDED.version, configuration = EXCLUDED.configuration,
    key_ring = EXCLUDED.key_ring, ring_version = EXCLUDED.ring_version,
    published = EXCLUDED.published, unready = EXCLUDED.unready
"""
_NODES: Final = b"""
SELECT name, run, version, configuration, key_ring, ring_version, published, unready,
    greatest(0, extract(epoch FROM clock_timestamp() - seen_at))::float8
FROM watchword.nodes WHERE seen_at > clock_timestamp() - interval '1 day' ORDER BY name
"""

_log = structlog.get_logger()


class NodeSession:
    """Implement :class:`watchword.adapters.nodes.Nodes`; any thread may ask it."""

    def __init__(
        self,
        address: PostgresAddress,
        identity: Callable[[], NodeIdentity],
        *,
        wall: Callable[[], float],
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """Connect and look, so that what is wrong shows at the start; nothing is led yet.

        :param identity: returns what this node is, each time it is to be told.
        :param wall: seconds since 1970.
        :param steady: seconds that never go back.
        :raises UnavailableError: ``store.unavailable`` when the server can't be reached, a pooler stands in between, a node of this name
            runs, or this node's keys aren't those of the nodes that run.
        """
        self._address = address
        self._identity = identity
        self._wall = wall
        self._steady = steady
        self._terms: dict[Chore, int] = {}
        self._view = ClusterView()
        self._seen_at = float("-inf")
        self._beaten_at = float("-inf")
        self._asked_at: float | None = None
        self._published, self._behind, self._hindrance = 0, "", ""
        self._ring_version = 0
        self._wanted_epoch = (0, 0)
        self._trouble = ""
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._on_news: Callable[[], None] = lambda: None
        self._link: Link | None = self._connected(steady() + NAME_SECONDS)
        try:
            self._read_nodes(self._link)
            self._look(self._link)
            self._require_same_keys()
        except psycopg.Error as error:
            self._link.close()
            raise unavailable(address, said(error)) from None
        except BaseException:
            self._link.close()
            raise

    @property
    def view(self) -> ClusterView:
        """See :attr:`watchword.adapters.nodes.Nodes.view`."""
        return self._view

    def term(self, chore: Chore) -> Term | None:
        """Return the term in which this node does a chore, None where it doesn't, as far as it knows."""
        if self._steady() - self._seen_at > IDLE_MS / 1000:
            # Stopped, or cut off: the server may have ended the session by now.
            return None
        number = self._terms.get(chore)
        return None if number is None else Term(chore.value, number, self._identity().name)

    def leads(self, chore: Chore) -> bool:
        """See :meth:`watchword.adapters.nodes.Nodes.leads`."""
        return self.term(chore) is not None

    @contextmanager
    def within(self, chore: Chore) -> Iterator[bool]:
        """See :meth:`watchword.adapters.nodes.Nodes.within`."""
        term = self.term(chore)
        if term is None:
            yield False
            return
        with within(term):
            yield True

    def others(self) -> Sequence[OtherNode]:
        """See :meth:`watchword.adapters.nodes.Nodes.others`."""
        run = self._identity().run
        return [each for each in self._view.nodes if each.run != run and each.is_live]

    def unready(self) -> Sequence[str]:
        """See :meth:`watchword.adapters.nodes.Nodes.unready`."""
        view, mine = self._view, self._identity()
        if self._steady() - self._seen_at > IDLE_MS / 1000:
            return ["store"]
        found = []
        if view.service not in {"", mine.service}:
            found.append("service")
        if view.configuration not in {"", mine.configuration}:
            found.append("configuration")
        if view.key_ring not in {"", mine.key_ring}:
            found.append("key-ring")
        if abs(view.skew) > MOST_SKEW_SECONDS:
            found.append("clock")
        leader = view.leaders.get(Chore.GATES, (0, ""))[1]
        if not self.leads(Chore.GATES) and not any(
            each.name == leader and each.is_live for each in view.nodes
        ):
            found.append("leader")
        if self._behind:
            found.append("gates")
        if self._hindrance:
            found.append(DISK)
        return found

    def adopted(self, revision: int, trouble: str) -> None:
        """See :meth:`watchword.adapters.nodes.GateLog.adopted`."""
        self._published, self._behind = revision, trouble

    def hindered(self, why: str) -> None:
        """See :meth:`watchword.adapters.nodes.GateLog.hindered`."""
        if bool(why) != bool(self._hindrance):
            # The others must know before they may have to take over.
            self._beaten_at = float("-inf")
        self._hindrance = why

    def know_ring(self, version: int) -> None:
        """Say which version of a shared key ring this node's gates know; the next look tells the others."""
        if version != self._ring_version:
            self._ring_version = version
            self._beaten_at = float("-inf")

    def behind(self, version: int) -> Sequence[str]:
        """Return the live nodes whose gates don't know a version of the key ring yet; waits for the server.

        :raises UnavailableError: ``store.unavailable``.
        """
        nodes = look_at_nodes(self._address).nodes
        return [each.name for each in nodes if each.is_live and each.ring_version < version]

    def raise_epoch(self, epoch: int, forgotten: int) -> None:
        """See :meth:`watchword.adapters.nodes.Nodes.raise_epoch`; the next look tells the others."""
        self._wanted_epoch = max(self._wanted_epoch, (epoch, forgotten))

    def begin(self, on_news: Callable[[], None]) -> None:
        """See :meth:`watchword.adapters.nodes.Nodes.begin`."""
        self._on_news = on_news
        self._thread = threading.Thread(target=self._run, name="watchword-node", daemon=True)
        self._thread.start()

    def watch(self) -> None:
        """See :meth:`watchword.adapters.nodes.Nodes.watch`."""
        asked, link = self._asked_at, self._link
        if asked is None or link is None or self._steady() - asked < STUCK_SECONDS:
            return
        with (
            suppress(OSError, psycopg.Error),
            socket.socket(fileno=os.dup(link.pgconn.socket)) as way,
        ):
            way.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """See :meth:`watchword.adapters.nodes.Nodes.close`."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=STUCK_SECONDS)
        link, self._link, self._terms = self._link, None, {}
        if link is not None:
            with suppress(psycopg.Error):
                mine = self._identity()
                link.execute(
                    b"DELETE FROM watchword.nodes WHERE name = $1 AND run = $2",
                    (mine.name, mine.run),
                )
            link.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                if self._link is None:
                    self._link = self._connected(self._steady())
                self._turn(self._link)
                self._tell("")
            except UnavailableError as error:
                self._lose(error.detail)
            except psycopg.Error as error:
                self._lose(said(error))

    def _turn(self, link: Link) -> None:
        """Wait for a notice, for a while at most, and look."""
        self._asked_at = None
        for _ in link.notifies(timeout=POLL_SECONDS, stop_after=1):
            # Many come at once where many are revoked: one look is enough for them.
            time.sleep(_GATHER_SECONDS)
        for _ in link.notifies(timeout=0):
            pass
        self._asked_at = self._steady()
        before = self._view
        self._look(link)
        if (term := self._terms.get(Chore.GATES)) is not None:
            # At once: nodes that go by another configuration are unready.
            self._state(link, term, self._identity())
        if self._steady() - self._beaten_at >= BEAT_SECONDS:
            self._beaten_at = self._steady()
            self._beat(link)
        gained = self._contend(link)
        after = self._view
        self._asked_at = None
        if gained or (after.changes, after.revision, after.lifted) != (
            before.changes,
            before.revision,
            before.lifted,
        ):
            self._on_news()

    def _lose(self, why: str) -> None:
        """Lead nothing any more, and connect anew after a pause."""
        self._terms, self._asked_at, self._seen_at = {}, None, float("-inf")
        link, self._link = self._link, None
        if link is not None:
            link.close()
        self._tell(why)
        self._stopping.wait(POLL_SECONDS)

    def _tell(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            event = "node has lost its session" if trouble else "node has its session again"
            _log.warning(event, detail=trouble)

    def _connected(self, until: float) -> Link:
        """Return a connection whose session is this node's alone.

        :param until: how long to wait for another session of this name to end, by the steady clock.
        """
        mine = self._identity()
        link = connect(self._address, name=f"watchword node {mine.name}")
        try:
            require_readable(link, self._address)
            self._require_direct(link)
            link.execute(
                "SELECT set_config('idle_session_timeout', $1, false), set_config('idle_in_transaction_session_timeout', $1, false), "
                "set_config('statement_timeout', $1, false), set_config('synchronous_commit', 'on', false)",
                (str(IDLE_MS),),
            )
            self._take_name(link, mine.name, until)
            link.execute(b"LISTEN watchword")
        except psycopg.Error as error:
            link.close()
            raise unavailable(self._address, said(error)) from None
        except BaseException:
            link.close()
            raise
        return link

    def _take_name(self, link: Link, name: str, until: float) -> None:
        while not _scalar(link, b"SELECT pg_try_advisory_lock($1)", _key_of(name)):
            if self._steady() >= until:
                raise unavailable(
                    self._address,
                    f"a node named {name!r} runs already: give each node a name of its own in service.postgres.node",
                )
            time.sleep(POLL_SECONDS)

    def _require_direct(self, link: Link) -> None:
        """Refuse a pooler in between: its sessions are now ours and now another's.  It makes process numbers up."""
        if _scalar(link, b"SELECT pg_backend_pid()") != link.pgconn.backend_pid:
            raise unavailable(
                self._address,
                "a pooler stands in between, but a node's session holds locks: name the server itself in service.postgres.direct",
            )

    def _require_same_keys(self) -> None:
        """Refuse to run beside nodes with other keys: what this one issues, their gates would refuse."""
        view, mine = self._view, self._identity()
        if view.service not in {"", mine.service}:
            raise unavailable(
                self._address,
                "this database is of a service with another key ring: copy keyring.json from one of its nodes, "
                "or name an empty database",
            )
        for other in self.others():
            if other.key_ring != mine.key_ring:
                raise unavailable(
                    self._address,
                    f"node {other.name!r} runs with another key ring: all nodes need the same keyring.json; copy it from there",
                )

    def _look(self, link: Link) -> None:
        row = link.execute(_LOOK).fetchone()
        if row is None:
            raise unavailable(
                self._address,
                "its table `publication` is empty: restore the database from a backup",
            )
        seen = dict(zip(_SEEN, row[:-1], strict=True))
        self._view = replace(self._view, **seen, skew=self._wall() - row[-1])
        self._seen_at = self._steady()
        epoch, forgotten = self._wanted_epoch
        if (epoch, forgotten) > (self._view.epoch, self._view.forgotten):
            link.execute(
                b"UPDATE watchword.publication SET epoch = $1, forgotten = $2 WHERE (epoch, forgotten) < ($1, $2)",
                (epoch, forgotten),
            )

    def _read_nodes(self, link: Link) -> None:
        nodes = tuple(OtherNode(*row) for row in link.execute(_NODES))
        self._view = replace(self._view, nodes=nodes, leaders=_leaders(link))

    def _beat(self, link: Link) -> None:
        """Say how this node is, and read what the others say."""
        mine = self._identity()
        link.execute(
            _BEAT,
            (
                mine.name,
                mine.run,
                mine.version,
                mine.configuration,
                mine.key_ring,
                self._ring_version,
                self._published,
                " ".join(self.unready()),
            ),
        )
        self._read_nodes(link)
        term = self._terms.get(Chore.GATES)
        if term is not None:
            self._state(link, term, mine)

    def _state(self, link: Link, term: int, mine: NodeIdentity) -> None:
        """Say by what configuration and keys gates are told: a node that differs is unready."""
        view = self._view
        stated = (mine.service, mine.configuration, mine.key_ring)
        if (view.service, view.configuration, view.key_ring) != stated:
            link.execute(
                b"UPDATE watchword.publication SET service = $1, configuration = $2, key_ring = $3 "
                b"WHERE $4 = (SELECT term FROM watchword.leaders WHERE chore = 'gates' FOR SHARE)",
                (*stated, term),
            )

    def _may_lead(self) -> bool:
        """Tell whether this node may take chores over: not while nodes run that are as the last leader was, and it isn't."""
        view, mine = self._view, self._identity()
        if abs(view.skew) > MOST_SKEW_SECONDS or view.service not in {"", mine.service}:
            return False
        led = (view.configuration, view.key_ring)
        # Who does a chore goes on with it: what makes it differ was applied while it runs, and the others follow.
        if self._terms or led in {("", ""), (mine.configuration, mine.key_ring)}:
            return True
        return not any((each.configuration, each.key_ring) == led for each in self.others())

    def _is_another_able(self) -> bool:
        """Tell whether a node could take over what this one can't do now."""
        return any(not _UNABLE & set(each.unready.split()) for each in self.others())

    def _give_up(self, link: Link, chore: Chore) -> None:
        self._terms = {each: term for each, term in self._terms.items() if each is not chore}
        values = (_LOCKS, _NUMBERS[chore])
        link.execute(b"SELECT pg_advisory_unlock($1::int, $2::int)", values)

    def _contend(self, link: Link) -> bool:
        """Take the chores that nobody does; tell whether any was taken."""
        if not self._may_lead():
            for chore in tuple(self._terms):
                self._give_up(link, chore)
            return False
        wanted = list(Chore)
        if self._hindrance and self._is_another_able():
            wanted.remove(Chore.GATES)
            if Chore.GATES in self._terms:
                self._give_up(link, Chore.GATES)
                link.execute(b"NOTIFY watchword")
                _log.warning("node gives its lead up", chore="gates", detail=self._hindrance)
        missing = [chore for chore in wanted if chore not in self._terms]
        if not missing:
            return False
        locks = ", ".join(f"pg_try_advisory_lock({_LOCKS}, {_NUMBERS[chore]})" for chore in missing)
        row = link.execute(f"SELECT {locks}".encode()).fetchone()
        assert row is not None
        mine = self._identity()
        for chore in (each for each, has in zip(missing, row, strict=True) if has):
            term = _scalar(
                link,
                b"UPDATE watchword.leaders SET term = term + 1, node = $1, since = clock_timestamp() "
                b"WHERE chore = $2 RETURNING term",
                mine.name,
                chore.value,
            )
            if chore is Chore.GATES:
                self._state(link, term, mine)
            self._terms = {**self._terms, chore: term}
            _log.info("node leads", chore=chore.value, term=term)
        if any(row):
            self._read_nodes(link)
        return any(row)


def _key_of(name: str) -> int:
    """Return the number of the lock that a node's name is."""
    digest = blake2b(b"watchword/node/" + name.encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)


def _scalar(link: Link, query: bytes, *values: Any) -> Any:
    row = link.execute(query, values or None).fetchone()
    return None if row is None else row[0]


def look_at_nodes(address: PostgresAddress) -> ClusterView:
    """Return what nodes say of themselves, as anybody sees it who may read the tables.

    :raises UnavailableError: when the server can't be reached, or its tables can't be read.
    """
    with connect(address, name="watchword nodes") as link:
        require_readable(link, address)
        try:
            nodes = tuple(OtherNode(*row) for row in link.execute(_NODES))
            leaders = _leaders(link)
            row = link.execute(_LOOK).fetchone()
        except psycopg.Error as error:
            raise unavailable(address, said(error)) from None
    view = ClusterView(nodes=nodes, leaders=leaders)
    return view if row is None else replace(view, **dict(zip(_SEEN, row[:-1], strict=True)))


def _leaders(link: Link) -> dict[str, tuple[int, str]]:
    rows = link.execute(b"SELECT chore, term, node FROM watchword.leaders ORDER BY chore")
    return {chore: (term, node) for chore, term, node in rows}
