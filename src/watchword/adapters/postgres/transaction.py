"""Send a transaction's statements together, and wait where an answer is looked at.

What libpq calls a pipeline.  psycopg's own cursors send each statement by itself and cost several times as much of the
processor; here each wait is bounded by the call's deadline, too.  Work that looks at no answer takes one round trip, commit
included: what must hold for it is checked by the server (:meth:`Transaction.expect`).

A statement is prepared once for each connection, under a name that has the hash of its text: whatever mixes up names, none
stands for another statement.
"""

import re
import select
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, TypeVar

from watchword.adapters.postgres.link import Link
from watchword.adapters.store import Connection, Rows
from watchword.extras import needs
from watchword.reasons import MalformedError, Reason

with needs("postgres"):
    from psycopg import OperationalError, pq

_Result = TypeVar("_Result")

_INT8: Final = 20
_BYTEA: Final = 17
_INTEGERS: Final = frozenset({20, 21, 23})
_BOOLEAN: Final = 16
_CANCELLED: Final = b"57014"
UNMET: Final = "WW001"
"""SQLSTATE of the server's function ``require`` where what it was given doesn't hold."""

_ANSWERS: Final = frozenset({pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK})


class ServerError(Exception):
    """Report what the server refused."""

    def __init__(self, code: str, said: str) -> None:
        """Keep the code of SQLSTATE, and the primary message: its detail has values of rows."""
        super().__init__(said)
        self.code = code


class BrokenLinkError(Exception):
    """Report a connection that ended, or on which no answer came in time: it is of no use any more."""


@lru_cache(maxsize=512)
def _checked(statement: str) -> str:
    """Return a statement that fails where the given one came to no row."""
    if statement.startswith("SELECT "):
        return f"SELECT watchword.require(EXISTS ({statement}))"
    return (
        f"WITH done AS ({statement} RETURNING 1) "  # noqa: S608 - our own text.
        "SELECT watchword.require(EXISTS (SELECT FROM done))"
    )


@dataclass(slots=True)
class PreparedStatements:
    """Hold what was prepared on a connection."""

    names: dict[bytes, bytes] = field(default_factory=dict)
    given: int = 0

    def name(self, statement: bytes, kinds: Sequence[int]) -> bytes:
        """Return a name for a statement, which this connection gives once.

        A pgbouncer keeps the name of one that the server passed over, behind a statement that failed.
        """
        self.given += 1
        digest = blake2b(statement, digest_size=12)
        digest.update(repr(tuple(kinds)).encode())
        return f"ww_{digest.hexdigest()}_{self.given}".encode()


@lru_cache(maxsize=512)
def _numbered(statement: str) -> bytes:
    """Return a statement with ``$1``, ``$2`` for its question marks; ours have none in a text."""
    count = iter(range(1, statement.count("?") + 1))
    return re.sub(r"\?", lambda _: f"${next(count)}", statement).encode()


def _value_of(data: bytes | None, kind: int) -> Any:
    if data is None:
        return None
    if kind in _INTEGERS:
        return int(data)
    if kind == _BYTEA:
        return bytes.fromhex(data[2:].decode("ascii"))
    if kind == _BOOLEAN:
        return data == b"t"
    return data.decode("utf-8")


class _Answer(Rows):
    """Hold what a statement comes to, once it is there."""

    def __init__(
        self,
        transaction: "Transaction",
        refusal: Callable[[], Exception] | None = None,
        prepares: tuple[bytes, bytes] | None = None,
    ) -> None:
        self._transaction = transaction
        self.refusal = refusal
        self.prepares = prepares
        self._left: Iterator[tuple[Any, ...]] = iter(())
        self._count = 0
        self.is_there = False
        self.tag = b""

    def take(self, result: Any) -> None:
        """Take the server's answer."""
        self.is_there = True
        self.tag = result.command_status or b""
        self._count = result.command_tuples or 0
        width = range(result.nfields)
        kinds = [result.ftype(each) for each in width]
        self._left = iter(
            [
                tuple(_value_of(result.get_value(row, each), kinds[each]) for each in width)
                for row in range(result.ntuples)
            ]
        )

    @property
    def rowcount(self) -> int:
        self._transaction.wait_for(self)
        return self._count

    def fetchone(self) -> Any:
        self._transaction.wait_for(self)
        return next(self._left, None)

    def fetchall(self) -> list[Any]:
        self._transaction.wait_for(self)
        return list(self._left)

    def __iter__(self) -> Iterator[Any]:
        self._transaction.wait_for(self)
        return self._left


class Transaction(Connection):
    """Hold one transaction on a connection that nobody else uses meanwhile."""

    def __init__(
        self,
        link: Link,
        until: float,
        monotonic: Callable[[], float] = time.monotonic,
        prepared: PreparedStatements | None = None,
    ) -> None:
        """Prepare.

        :param until: the deadline, by the monotonic clock.
        :param prepared: what was prepared on the connection; this one adds to it.  None prepares nothing.
        """
        self._pg = link.pgconn
        self._until = until
        self._monotonic = monotonic
        self._prepared = prepared
        self._preparing: dict[bytes, bytes] = {}
        self._asked: deque[_Answer] = deque()
        self._opening: Callable[[Transaction], None] | None = None
        self._poll = select.poll()
        self._socket = self._pg.socket
        self.is_committing = False

    def run(
        self,
        opening: Callable[["Transaction"], None],
        work: Callable[[Connection], _Result],
        *,
        writes: bool = True,
    ) -> _Result:
        """Return what the work comes to, once the commit is durable; whatever it raises takes the transaction back.

        :param opening: asks what begins it.
        :param writes: whether it changes anything: what doesn't ends each time that an answer is looked at, and begins anew
            where more is asked.
        :raises ServerError: when the server refuses a statement, or the commit.
        :raises BrokenLinkError: when the connection ends, or the deadline passes.
        """
        try:
            self._pg.enter_pipeline_mode()
            if writes:
                opening(self)
                result = work(self)
                self.is_committing = True
                self._commit()
            else:
                self._opening = opening
                result = work(self)
                if self._asked:
                    self._commit()
        except OperationalError as error:
            raise BrokenLinkError(str(error).strip()) from None
        except BaseException as error:
            if isinstance(error, BrokenLinkError):
                raise
            # What was expected before comes first.
            raise self._take_back() or error from None
        self._pg.exit_pipeline_mode()
        return result

    def _commit(self) -> None:
        ended = self._execute("COMMIT", ())
        self._settle()
        # In place of a commit the server may have taken the transaction back.
        if ended.tag != b"COMMIT":
            raise ServerError("25P02", "the transaction was rolled back")

    def execute(self, statement: str, values: Sequence[Any] = (), /) -> Rows:
        """See :meth:`watchword.adapters.store.Connection.execute`; what it comes to is waited for when somebody looks."""
        return self._execute(statement, values)

    def executemany(self, statement: str, rows: Iterable[Sequence[Any]], /) -> Rows:
        """See :meth:`watchword.adapters.store.Connection.executemany`."""
        done = _Answer(self)
        done.is_there = True
        for row in rows:
            done = self._execute(statement, row)
        return done

    def expect(
        self, statement: str, values: Sequence[Any], refusal: Callable[[], Exception]
    ) -> None:
        """See :meth:`watchword.adapters.store.Database.expect`: the server looks, and nobody waits."""
        self.require(_checked(statement), values, refusal)

    def require(
        self, statement: str, values: Sequence[Any], refusal: Callable[[], Exception]
    ) -> None:
        """Run a statement that calls the server's function ``require``; where that fails, the transaction ends with an error."""
        self._execute(statement, values, refusal)

    def _execute(
        self,
        statement: str,
        values: Sequence[Any],
        refusal: Callable[[], Exception] | None = None,
    ) -> _Answer:
        if self._opening is not None and not self._asked:
            # It begins, or begins anew: what is asked from here on sees what was committed meanwhile.
            opening, self._opening = self._opening, None
            opening(self)
            self._opening = opening
        data: list[bytes | None] = []
        kinds, formats = [0] * len(values), [0] * len(values)
        for at, value in enumerate(values):
            if isinstance(value, str):
                data.append(_text(value))
            elif isinstance(value, int):
                data.append(b"%d" % value)
                kinds[at] = _INT8
            elif isinstance(value, bytes):
                data.append(value)
                kinds[at], formats[at] = _BYTEA, 1
            else:
                assert value is None, type(value)
                data.append(None)
        self._send(_numbered(statement), data, kinds, formats)
        answer = _Answer(self, refusal)
        self._asked.append(answer)
        return answer

    def _send(
        self,
        statement: bytes,
        data: Sequence[bytes | None],
        kinds: Sequence[int],
        formats: Sequence[int],
    ) -> None:
        """Send a statement, by its name where it was prepared; the kinds of values are those of its first use."""
        if self._prepared is None:
            self._pg.send_query_params(statement, data, kinds, formats)
            return
        name = self._prepared.names.get(statement) or self._preparing.get(statement)
        if name is None:
            name = self._prepared.name(statement, kinds)
            self._pg.send_prepare(name, statement, kinds)
            self._asked.append(_Answer(self, prepares=(statement, name)))
            self._preparing[statement] = name
        self._pg.send_query_prepared(name, data, formats)

    def wait_for(self, answer: _Answer) -> None:
        """Read answers up to one of them."""
        if answer.is_there:
            return
        if self._opening is not None:
            self._commit()
            return
        self._pg.send_flush_request()
        self._flush()
        while not answer.is_there:
            self._read_one()

    def _settle(self) -> None:
        """Read all that is left, and end the pipeline's part; raise the first refusal of it."""
        self._pg.pipeline_sync()
        self._flush()
        first: Exception | None = None
        while self._asked:
            try:
                self._read_one()
            except (OperationalError, BrokenLinkError):
                raise
            except Exception as error:  # noqa: BLE001 - a refusal may be any of the caller's.
                first = first or error
        while (result := self._next()) is None or result.status != pq.ExecStatus.PIPELINE_SYNC:
            pass
        if first is not None:
            raise first

    def _take_back(self) -> Exception | None:
        """End the transaction without a trace; a connection on which that fails is broken.

        :return: the refusal of what was expected and not looked at yet.
        """
        refused, self._opening = None, None
        try:
            try:
                self._execute("ROLLBACK", ())
                self._settle()
            except (OperationalError, ServerError, BrokenLinkError):
                pass
            except Exception as error:  # noqa: BLE001 - a refusal may be any of the caller's.
                refused = error
            self._pg.exit_pipeline_mode()
            if self._pg.transaction_status != pq.TransactionStatus.IDLE:
                # A statement failed before: those behind it, ROLLBACK too, were passed over.
                self._pg.enter_pipeline_mode()
                self._execute("ROLLBACK", ())
                self._settle()
                self._pg.exit_pipeline_mode()
        except (OperationalError, ServerError, BrokenLinkError):
            self._pg.finish()
        return refused

    def _read_one(self) -> None:
        """Read the answer to the next statement; what was refused is passed over, and raised."""
        result = self._next()
        assert result is not None
        answer = self._asked.popleft()
        # One answer, and then nothing, belong to a statement.
        self._next()
        if result.status in _ANSWERS:
            answer.take(result)
            if answer.prepares is not None and self._prepared is not None:
                # Only now: behind a statement that failed nothing is prepared.
                self._prepared.names.update([answer.prepares])
            return
        answer.is_there = True
        code = result.error_field(pq.DiagnosticField.SQLSTATE) or b""
        said = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or result.error_message
        if code[:2] in (b"08", b"57") and code != _CANCELLED:
            raise BrokenLinkError(said.decode("utf-8", "replace"))
        if answer.refusal is not None and code == UNMET.encode():
            raise answer.refusal()
        raise ServerError(code.decode("ascii"), said.decode("utf-8", "replace"))

    def _next(self) -> Any:
        while self._pg.is_busy():
            self._await(select.POLLIN)
            self._pg.consume_input()
        return self._pg.get_result()

    def _flush(self) -> None:
        while self._pg.flush():
            # The server may wait for us to read before it reads on.
            self._await(select.POLLIN | select.POLLOUT)
            self._pg.consume_input()

    def _await(self, events: int) -> None:
        left = self._until - self._monotonic()
        self._poll.register(self._socket, events)
        if left <= 0 or not self._poll.poll(left * 1000):
            raise BrokenLinkError("no answer in time")


def _text(value: str) -> bytes:
    """Return a text for the server, which can't keep U+0000.

    :raises MalformedError: ``request.malformed``.
    """
    try:
        data = value.encode("utf-8")
    except UnicodeEncodeError:
        data = b"\0"
    if b"\0" in data:
        raise MalformedError.because(
            Reason.REQUEST_MALFORMED, "a text has a character that the store can't keep"
        )
    return data
