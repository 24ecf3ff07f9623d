"""Move the store from a SQLite file into PostgreSQL: all of it in one transaction, read back and compared before it counts."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from watchword.adapters.postgres.address import PostgresAddress
from watchword.adapters.postgres.link import Link, connect, said, unavailable
from watchword.adapters.postgres.schema import SCHEMA, SchemaError, lock_schema, require_readable
from watchword.adapters.sqlite import mark_moved, require_movable
from watchword.adapters.store import (
    CUT_COLUMNS,
    INSTANCE_COLUMNS,
    LEASE_COLUMNS,
    OPERATOR_CODE_COLUMNS,
    RECEIPT_COLUMNS,
)
from watchword.extras import needs

with needs("postgres"):
    from psycopg import Error, sql

BATCH: Final = 5000
"""Rows that are read back at a time."""


@dataclass(frozen=True, slots=True)
class Table:
    """Hold what is moved of a table, and by which columns its rows have an order.

    :param row: the number of a row where it has one: its name in SQLite, and in PostgreSQL.
    """

    name: str
    columns: str
    order: str
    row: tuple[str, str] | None = None

    def selection(self, *, target: bool) -> str:
        """Return the query for all rows in their order."""
        number, order = "", self.order
        if self.row is not None:
            number = f"{self.row[target]}, "
            order = self.row[target]
        return f"SELECT {number}{self.columns} FROM {self.name} ORDER BY {order}"  # noqa: S608 - our own text.


TABLES: Final = (
    Table("instances", INSTANCE_COLUMNS, "", ("rowid", "number")),
    Table("instance_certificates", "instance_id, position, serial", "instance_id, position"),
    Table("used_challenges", "nonce, expires_at", "nonce"),
    Table("receipts", RECEIPT_COLUMNS, "instance_id"),
    Table("operator_codes", OPERATOR_CODE_COLUMNS, "id"),
    Table("leases", f"{LEASE_COLUMNS}, withdrawn_at", "instance_id, secret"),
    Table("audit", "seq, at, actor, action, subject, detail", "seq"),
    Table("cuts", CUT_COLUMNS, "id"),
)
"""All tables of the store, in the order in which they are moved."""

_NUMBERS: Final = (
    "SELECT setval(pg_get_serial_sequence('watchword.instances', 'number'), max(number)) FROM instances",
    "SELECT setval(pg_get_serial_sequence('watchword.cuts', 'id'), max(id)) FROM cuts",
    "SELECT setval('watchword.audit_numbers', max(seq)) FROM audit",
    (
        "INSERT INTO revocations SELECT row_number() OVER (ORDER BY revoked_at, number), id FROM instances "
        "WHERE revoked_at IS NOT NULL"
    ),
    "UPDATE store SET revocations = (SELECT count(*) FROM revocations)",
)


@dataclass(frozen=True, slots=True)
class Moved:
    """Hold what was moved of a table, as it was read back.

    :param digest: SHA-256 over all rows, the same on both sides, in hex.
    """

    table: str
    rows: int
    digest: str


def migrate(
    source: Path,
    address: PostgresAddress,
    *,
    rehearse: bool,
    told: Callable[[Moved], None] = lambda _: None,
) -> Sequence[Moved]:
    """Move all rows; nobody writes to the file meanwhile, and none will afterwards: it says that it was moved.

    :param address: as the owner of the tables, which must be empty.
    :param rehearse: do all of it, and take it back at the end; the file may be in use before and afterwards.
    :param told: is given each table when it was compared.
    :raises SchemaError: when the file isn't one of this version, the tables aren't empty, or what was read back is different.
    :raises UnavailableError: when the server can't be reached or refuses.
    """
    with (
        closing(_opened(source)) as file,
        closing(connect(address, name="watchword store migrate")) as link,
    ):
        require_readable(link, address)
        try:
            with link.transaction(force_rollback=rehearse):
                moved = _moved(file, link, told)
                if not rehearse:
                    # Both last: where one fails, the other's transaction goes with it, or the file is still whole.
                    mark_moved(file)
        except Error as error:
            raise unavailable(address, said(error)) from None
        file.execute("ROLLBACK" if rehearse else "COMMIT")
        return moved


def _opened(source: Path) -> sqlite3.Connection:
    """Open the file and keep all others from writing to it."""
    if not source.is_file():
        raise SchemaError(f"{source}: isn't there")
    file = sqlite3.connect(f"{source.resolve().as_uri()}?mode=rw", uri=True, isolation_level=None)
    try:
        file.execute("BEGIN IMMEDIATE")
        require_movable(file)
    except sqlite3.Error as error:
        file.close()
        raise SchemaError(
            f"{source}: {error}; stop the service that uses it, and try again"
        ) from None
    except BaseException:
        file.close()
        raise
    return file


def _moved(file: sqlite3.Connection, link: Link, told: Callable[[Moved], None]) -> Sequence[Moved]:
    lock_schema(link)
    # Those of the role may be meant for requests.
    link.execute("SET LOCAL statement_timeout = 0")
    link.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
    names = ", ".join(table.name for table in TABLES)
    link.execute(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE".encode())
    for table in TABLES:
        if link.execute(f"SELECT 1 FROM {table.name} LIMIT 1".encode()).fetchone() is not None:  # noqa: S608
            raise SchemaError(
                f"table {SCHEMA}.{table.name} has rows already: a store is moved into an empty one alone"
            )
    # It would number each by itself: they are numbered at once below.
    link.execute("ALTER TABLE instances DISABLE TRIGGER revocations_noted")
    found = [_copied(file, link, table) for table in TABLES]
    for statement in _NUMBERS:
        link.execute(statement.encode())
    # A store that counts fewer uses than its mark says would be taken for an older copy.
    (uses,) = file.execute(
        "SELECT number + (SELECT coalesce(max(number), 0) FROM challenge_pages) FROM unrecorded_uses"
    ).fetchone()
    if uses:
        link.execute("SELECT setval('watchword.unrecorded_uses', $1)", (uses,))
    link.execute("ALTER TABLE instances ENABLE TRIGGER revocations_noted")
    for before in found:
        table = next(each for each in TABLES if each.name == before.table)
        after = _read_back(link, table)
        if after != before:
            raise SchemaError(
                f"table {table.name}: moved {before.rows} rows with hash {before.digest[:16]}, read back {after.rows} with "
                f"{after.digest[:16]}; nothing was moved"
            )
        told(after)
    return found


class _Tally:
    """Count rows and hash them."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._hash = sha256()
        self._rows = 0

    def passing(self, rows: Iterable[Sequence[Any]]) -> Iterator[Sequence[Any]]:
        """Yield the rows again."""
        for row in rows:
            self._rows += 1
            # Numbers, texts, bytes and nothing: each is written in one way alone.
            self._hash.update(repr(tuple(row)).encode("utf-8", "surrogatepass") + b"\n")
            yield row

    @property
    def moved(self) -> Moved:
        return Moved(self._table.name, self._rows, self._hash.hexdigest())


def _copied(file: sqlite3.Connection, link: Link, table: Table) -> Moved:
    tally = _Tally(table)
    if table.name == "cuts" and not _has(file, table.name):
        return tally.moved
    number = [] if table.row is None else [table.row[True]]
    columns = [*number, *table.columns.split(", ")]
    into = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table.name), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    rows = file.execute(table.selection(target=False))
    with link.cursor() as cursor, cursor.copy(into) as copy:
        for row in tally.passing(rows):
            if any(isinstance(each, str) and "\0" in each for each in row):
                raise SchemaError(
                    f"table {table.name}, row {row[0]!r}: has a text with U+0000, which PostgreSQL can't keep; nothing was moved"
                )
            copy.write_row(row)
    return tally.moved


def _has(file: sqlite3.Connection, name: str) -> bool:
    found = file.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (name,))
    return found.fetchone() is not None


def _read_back(link: Link, table: Table) -> Moved:
    tally = _Tally(table)
    with link.cursor(name="moved") as cursor:
        cursor.itersize = BATCH
        cursor.execute(table.selection(target=True).encode())
        for _ in tally.passing(cursor):
            pass
    return tally.moved
