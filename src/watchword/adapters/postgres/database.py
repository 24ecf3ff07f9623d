"""Carry the store's transactions out on a PostgreSQL: several at a time, each within bounded time.

What a transaction asks goes out together and is waited for where an answer is looked at (libpq's pipeline).  An enrolment,
and a renewal or a delivery of an instance that is as it was read, take one round: all that they ask, and the commit.  A
connection that broke before the commit was sent is replaced and the transaction run again.  After a commit was sent without
an answer nobody knows what became of it: the call fails, and whoever called asks anew with a fresh challenge, as for a lost
answer.  What reads alone takes a round for each time that it looks.
"""

import asyncio
import select
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b, sha256
from typing import Any, Final, TypeVar

from watchword.adapters.breaker import Breaker
from watchword.adapters.challenge_log import newest_page
from watchword.adapters.postgres.address import PostgresAddress
from watchword.adapters.postgres.link import (
    Link,
    Timelines,
    connect,
    look_at_all,
    said,
    timeline_of,
    unavailable,
)
from watchword.adapters.postgres.schema import SCHEMA, require_readable
from watchword.adapters.postgres.transaction import (
    BrokenLinkError,
    PreparedStatements,
    ServerError,
    Transaction,
)
from watchword.adapters.store import Connection, Dialect, EngineStore, QueuedDatabase
from watchword.adapters.terms import FencedError, present_term
from watchword.extras import needs
from watchword.reasons import Reason, UnavailableError

with needs("postgres"):
    import psycopg

CONNECTIONS: Final = 8
"""Connections of a node: eight that work at a time keep a primary's disk busy; more only wait there instead of here."""

CALL_SECONDS: Final = 4.0
"""How long a call may take in all, waiting for a connection included."""

STATEMENT_MS: Final = 3000
"""How long one statement may run, in milliseconds, locks that it waits for included."""

TRIES: Final = 3
"""How often a transaction is begun that the server takes back for another one's sake."""

SETTLE_SECONDS: Final = 1.0
"""How long a reader of the audit trail waits for transactions that may still add to what it wants."""

_SETTLE_PAUSE: Final = 0.01
_GRACE_SECONDS: Final = 1.0
_TAKEN_BACK: Final = frozenset({"40001", "40P01"})
"""SQLSTATEs of transactions that the server took back for another one's sake: serialization_failure, deadlock_detected."""

DIALECT: Final = Dialect(
    row="number",
    serials=(
        "(SELECT coalesce(json_agg(serial ORDER BY position), '[]')::text "
        "FROM instance_certificates WHERE instance_id = instances.id)"
    ),
    texts="SELECT json_array_elements_text(CAST(? AS json))",
    locking=" FOR UPDATE OF instances",
    passing=" SKIP LOCKED",
    revoked_after=(
        "SELECT revocations.number, 0, instances.id, audiences, revoked_at FROM revocations "
        "JOIN instances ON instances.id = revocations.instance_id "
        "WHERE revocations.number > ? AND revoked_at >= ? ORDER BY revocations.number LIMIT ?"
    ),
)

# A primary alone takes READ WRITE.
_BEGIN: Final = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
# For this transaction alone, since the connection may be another's next.
_BOUNDS: Final = (
    f"SELECT set_config('search_path', '{SCHEMA}, pg_temp', true), "
    f"set_config('statement_timeout', '{STATEMENT_MS}', true), "
    f"set_config('idle_in_transaction_session_timeout', '{STATEMENT_MS}', true), "
    "set_config('synchronous_commit', CASE WHEN current_setting('synchronous_commit') IN ('off', 'local') "
    "THEN 'on' ELSE current_setting('synchronous_commit') END, true), "
    "set_config('bytea_output', 'hex', true), "
    # A plan is kept: one that was made while a table was small must not read all of it when it has grown.
    "set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true)"
)
# A pgbouncer may have changed the server, or somebody the database, since the connection was looked at.  A table that was
# restored from a copy is another one.
_BOUNDS_OF_WRITES: Final = (
    f"{_BOUNDS}, watchword.require(left(pg_walfile_name(pg_current_wal_lsn()), 8) = ? "
    "AND EXISTS (SELECT FROM watchword.store WHERE identity = ? AND tableoid = ?))"
)
_EXCHANGED: Final = (
    "another primary or database has taken over: challenges from before end first, within seconds"
)
_FORGOTTEN: Final = frozenset({"26000", "42P05", "0A000"})
"""SQLSTATEs by which a pooler shows that it mixes up what was prepared, or a server that it means something else by now."""
_IDENTITY: Final = (
    "SELECT system_identifier, pg_walfile_name(pg_current_wal_lsn()), identity, CAST(store.tableoid AS bigint) "
    "FROM pg_control_system(), watchword.store"
)

_Result = TypeVar("_Result")


@dataclass(slots=True)
class _Settled:
    """Hold up to which number the audit trail is whole; any thread may ask.

    A transaction has its id before it is given a number.  So once the transactions are over that have lower ids than one
    that began after the last number was looked at, no number up to that one can come any more.
    """

    until: int = 0
    _asked: tuple[int, int] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, connection: Connection) -> Callable[[], bool]:
        """Look at the last number; what is returned tells whether the trail is whole up to there by now."""
        # In this order: a number that is given out after our id must not count.
        last, called = connection.execute(
            "SELECT last_value, is_called FROM audit_numbers"
        ).fetchone()
        (own,) = connection.execute(
            "SELECT CAST(CAST(pg_current_xact_id() AS text) AS bigint)"
        ).fetchone()
        newest = (own, last if called else 0)
        with self._lock:
            if newest[1] < self.until:
                # Another database, or an older copy.
                self.until, self._asked = 0, None
            self._asked = self._asked or newest

        def is_whole() -> bool:
            (oldest,) = connection.execute(
                "SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint)"
            ).fetchone()
            with self._lock:
                if self._asked is not None and oldest >= self._asked[0]:
                    self.until, self._asked = max(self.until, self._asked[1]), None
                if oldest >= own:
                    self.until = max(self.until, newest[1])
            return bool(oldest >= own)

        return is_whole


class _ExchangedError(Exception):
    """Take back what was begun on another server or database than the one that is known."""


@dataclass(frozen=True, slots=True)
class _Identity:
    """Hold which server, timeline and database a connection is to; ``number`` is all of it."""

    number: int
    timeline: str
    database: int
    table: int


@dataclass(frozen=True, slots=True)
class _Held:
    """Hold a connection that nobody uses, and where it leads."""

    link: Link
    identity: _Identity
    prepared: PreparedStatements = field(default_factory=PreparedStatements)
    unsure: list[str] = field(default_factory=list)
    """What the server said when it gave up to wait for a standby: it says COMMIT all the same."""

    def __post_init__(self) -> None:
        """Listen to the server."""
        self.link.add_notice_handler(self._hear)

    def _hear(self, notice: psycopg.errors.Diagnostic) -> None:
        # Its words are in the server's language.
        if notice.source_function == "SyncRepWaitForLSN":
            self.unsure.append(notice.message_primary or "")

    @property
    def is_alive(self) -> bool:
        """Tell whether the server hasn't ended it while it lay idle, as far as its last words have come."""
        if self.link.closed:
            return False
        ready = select.poll()
        ready.register(self.link.pgconn.socket, select.POLLIN)
        try:
            # Its last words come before the end; what else it says by itself is passed over.
            while ready.poll(0):
                self.link.pgconn.consume_input()
        except psycopg.Error:
            return False
        return True


class PostgresDatabase(QueuedDatabase):
    """Hold the connections to one PostgreSQL, and a thread for each."""

    def __init__(
        self,
        address: PostgresAddress,
        *,
        connections: int = CONNECTIONS,
        call_seconds: float = CALL_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Connect once, so that what is wrong shows at the start.

        :param connections: most at a time.
        :param call_seconds: how long a call may take in all.
        :raises UnavailableError: ``store.unavailable`` when the server can't be reached or isn't a primary, or when the
            tables aren't there or aren't of this version.
        """
        super().__init__(connections, monotonic)
        self._address = address
        self._call_seconds = call_seconds
        self._breaker = Breaker(monotonic)
        self._idle: list[_Held] = []
        self._accepted: _Identity | None = None
        self._known: dict[int, _Identity] = {}
        self._prepares = True
        self._settled = _Settled()
        self.timelines = Timelines()
        try:
            look_at_all(address, self.timelines)
            newest = self._threads.submit(self._run, self.newest_audit, writes=False).result()
            self.had_entries = newest > 0
            self._accepted = self._idle[-1].identity
        except BaseException:
            self.close()
            raise

    @property
    def dialect(self) -> Dialect:
        """See :attr:`watchword.adapters.store.Database.dialect`."""
        return DIALECT

    def identity(self, connection: Connection) -> int:
        """Return a number of the server's cluster, its timeline and the database: each promotion begins a timeline.

        :raises UnavailableError: for a primary that another one has replaced meanwhile.
        """
        return self._seen(connection.execute(_IDENTITY).fetchone()).number

    def _seen(self, row: tuple[int, str, int, int]) -> _Identity:
        """Return what a row of the query says; refuse an old primary."""
        system, file, database, table = row
        timeline = timeline_of(file)
        self.timelines.require_newest(self._address, system, timeline)
        digest = sha256(f"{system}:{timeline}:{database}:{table}".encode("ascii")).digest()
        number = int.from_bytes(digest[:6])
        return self._known.setdefault(number, _Identity(number, file[:8], database, table))

    def accept(self, identity: int) -> None:
        """See :meth:`watchword.adapters.store.Database.accept`."""
        self._accepted = self._known[identity]

    def _opened(self, transaction: Transaction, found: _Identity, *, writes: bool) -> None:
        """Begin a transaction; one that writes fails on another server, timeline or database than the one that is known.

        It may lack uses of challenges, so that these challenges end first.
        """
        if writes and self._accepted not in {None, found}:
            raise _ExchangedError
        transaction.execute(_BEGIN)
        if writes:
            values = (found.timeline, found.database, found.table)
            transaction.require(_BOUNDS_OF_WRITES, values, _ExchangedError)
        else:
            transaction.execute(_BOUNDS)

    def expect(
        self,
        connection: Connection,
        statement: str,
        values: Sequence[Any],
        refusal: Callable[[], Exception],
    ) -> None:
        """See :meth:`watchword.adapters.store.Database.expect`."""
        assert isinstance(connection, Transaction)
        connection.expect(statement, values, refusal)

    def take_turns(self, connection: Connection, *about: str | bytes) -> None:
        """See :meth:`watchword.adapters.store.Database.take_turns`: by an advisory lock of the transaction."""
        hashed = blake2b(digest_size=8)
        for part in about:
            data = part.encode() if isinstance(part, str) else part
            hashed.update(len(data).to_bytes(4) + data)
        key = int.from_bytes(hashed.digest(), signed=True)
        connection.execute("SELECT pg_advisory_xact_lock(?)", (key,))

    def newest_revocation(self, connection: Connection) -> int:
        """See :meth:`watchword.adapters.store.Database.newest_revocation`."""
        return int(connection.execute("SELECT revocations FROM store").fetchone()[0])

    def newest_audit(self, connection: Connection) -> int:
        """See :meth:`watchword.adapters.store.Database.newest_audit`."""
        return int(connection.execute("SELECT coalesce(max(seq), 0) FROM audit").fetchone()[0])

    def count_use(self, connection: Connection) -> None:
        """See :meth:`watchword.adapters.store.Database.count_use`: by a sequence, which grows though a transaction is taken back."""
        connection.execute("SELECT nextval('unrecorded_uses')")

    def unrecorded_uses(self, connection: Connection) -> int:
        """See :meth:`watchword.adapters.store.Database.unrecorded_uses`."""
        asked = connection.execute("SELECT last_value, is_called FROM unrecorded_uses")
        last, is_called = asked.fetchone()
        return (int(last) if is_called else 0) + newest_page(connection)

    def settled_audit(self, connection: Connection, number: int) -> int | None:
        """See :meth:`watchword.adapters.store.Database.settled_audit`."""
        end = self._monotonic() + SETTLE_SECONDS
        is_whole = self._settled.ask(connection)
        while not is_whole() and self._settled.until < number and self._monotonic() < end:
            time.sleep(_SETTLE_PAUSE)
        return self._settled.until

    def knows_cuts(self, connection: Connection) -> bool:  # noqa: ARG002 - the other engine asks it.
        """See :meth:`watchword.adapters.store.Database.knows_cuts`: always."""
        return True

    def add_cuts(self, connection: Connection) -> None:
        """See :meth:`watchword.adapters.store.Database.add_cuts`: they are there."""

    async def _carried_out(self, work: Callable[[Connection], _Result], *, writes: bool) -> _Result:
        # Here: the threads know nothing of the caller's term.
        work = _fenced(work) if writes else work
        if (why := self._breaker.resting()) is not None:
            raise UnavailableError(Reason.STORE_UNAVAILABLE, why)
        until = self._monotonic() + self._call_seconds
        future = self._threads.submit(partial(self._run, work, writes=writes, until=until))
        try:
            # A thread that has begun keeps the deadline by itself: this is for calls that wait for one.
            async with asyncio.timeout(self._call_seconds + _GRACE_SECONDS):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise self._late() from None

    @property
    def where(self) -> str:
        """Return where the server is, for messages."""
        return self._address.where

    def here(self, work: Callable[[Connection], _Result], *, writes: bool) -> _Result:
        """Carry work out as one transaction on the calling thread, which waits for no other call.

        :raises UnavailableError: ``store.unavailable``.
        """
        if self._closed:
            raise unavailable(self._address, "the store is closed")
        if (why := self._breaker.resting()) is not None:
            raise UnavailableError(Reason.STORE_UNAVAILABLE, why)
        return self._run(_fenced(work) if writes else work, writes=writes)

    def _late(self) -> UnavailableError:
        return unavailable(self._address, f"no answer within {self._call_seconds:g} s")

    def _run(
        self,
        work: Callable[[Connection], _Result],
        *,
        writes: bool,
        until: float | None = None,
    ) -> _Result:
        """Carry a call out on this thread; turn every error of the server into one of ours."""
        tries, end = 0, self._monotonic() + self._call_seconds if until is None else until
        while True:
            if self._monotonic() >= end:
                raise self._late()
            tries += 1
            held, is_fresh = self._taken()
            prepared = held.prepared if self._prepares else None
            transaction = Transaction(held.link, end, self._monotonic, prepared)
            opening = partial(self._opened, found=held.identity, writes=writes)
            try:
                result = transaction.run(opening, work, writes=writes)
            except ServerError as error:
                if prepared is not None and error.code in _FORGOTTEN:
                    # A pooler that knows nothing of names: nothing was done.
                    self._prepares = False
                elif tries >= TRIES or error.code not in _TAKEN_BACK:
                    raise unavailable(self._address, str(error)) from None
            except _ExchangedError:
                # What is known of the connection is of before.
                held.link.pgconn.finish()
                if is_fresh:
                    raise unavailable(self._address, _EXCHANGED) from None
            except BrokenLinkError as error:
                held.link.pgconn.finish()
                # All others like it have gone, too: of eight on which nobody answers each would cost a call its time.
                self._drop_idle()
                if is_fresh or transaction.is_committing or self._monotonic() >= end:
                    found = unavailable(self._address, str(error))
                    self._breaker.failed(found.detail)
                    raise found from None
            else:
                self._breaker.worked()
                self._require_sure(held)
                return result
            finally:
                if not held.link.closed:
                    self._idle.append(held)

    def _require_sure(self, held: _Held) -> None:
        """Refuse to acknowledge what the next primary may lack: somebody made the server give up to wait for its standby."""
        if held.unsure:
            said_so, *_ = held.unsure
            held.unsure.clear()
            raise unavailable(self._address, f"{said_so}: it may be lost with this server")

    def _probe(self, connection: Connection) -> None:
        """Write a message into the log: the disk has it, and the standbys that are waited for, on return."""
        connection.execute("SELECT pg_logical_emit_message(true, 'watchword', '')")

    def _taken(self) -> tuple[_Held, bool]:
        """Return a connection, and whether it was made just now."""
        with suppress(IndexError):
            while True:
                held = self._idle.pop()
                if held.is_alive:
                    return held, False
                held.link.close()
        try:
            link = connect(self._address, timelines=self.timelines)
        except UnavailableError as error:
            self._breaker.failed(error.detail)
            raise
        try:
            require_readable(link, self._address)
            row = link.execute(_IDENTITY).fetchone()
            assert row is not None
            return _Held(link, self._seen((row[0], row[1], row[2], row[3]))), True
        except psycopg.Error as error:
            link.close()
            raise unavailable(self._address, said(error)) from None
        except BaseException:
            link.close()
            raise

    def _drop_idle(self) -> None:
        while self._idle:
            with suppress(IndexError):
                self._idle.pop().link.close()

    def _disconnect(self) -> None:
        self._drop_idle()


def _fenced(work: Callable[[Connection], _Result]) -> Callable[[Connection], _Result]:
    """Return work that belongs to the caller's term, if any: the next term begins after it, or it is taken back."""
    term = present_term()
    if term is None:
        return work

    def fenced(connection: Connection) -> _Result:
        row = connection.execute(
            "SELECT term, node FROM leaders WHERE chore = ? FOR SHARE", (term.chore,)
        )
        result = work(connection)
        if row.fetchone() != (term.number, term.node):
            raise FencedError(f"another node does this by now ({term.chore})")
        return result

    return fenced


class PostgresStore(EngineStore):
    """Keep the store in a PostgreSQL that :mod:`watchword.adapters.postgres.schema` has made ready."""

    def __init__(
        self,
        address: PostgresAddress,
        *,
        connections: int = CONNECTIONS,
        call_seconds: float = CALL_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Connect, as :class:`PostgresDatabase` does."""
        self._server = PostgresDatabase(
            address, connections=connections, call_seconds=call_seconds, monotonic=monotonic
        )
        super().__init__(self._server)

    @property
    def database(self) -> PostgresDatabase:
        """See :attr:`watchword.adapters.store.EngineStore.database`."""
        return self._server
