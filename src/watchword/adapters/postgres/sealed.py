"""Keep sealed rows in PostgreSQL."""

from collections.abc import Mapping
from typing import Any, Final

from watchword.adapters.postgres.database import PostgresDatabase
from watchword.adapters.sealed_rows import RowName, SealedRow
from watchword.adapters.store import Connection

_COLUMNS: Final = "purpose, name, version, deployment, key_id, wrapped, sealed"


class PostgresRowTable:
    """Implement :class:`watchword.adapters.sealed_rows.RowTable`; whoever opened the database closes it."""

    def __init__(self, database: PostgresDatabase) -> None:
        """Keep the database."""
        self._database = database

    @property
    def where(self) -> str:
        """See :attr:`watchword.adapters.sealed_rows.RowTable.where`."""
        return f"PostgreSQL at {self._database.where}"

    def look(self) -> tuple[int, Mapping[RowName, tuple[int, int]]]:
        """See :meth:`watchword.adapters.sealed_rows.RowTable.look`."""

        def work(connection: Connection) -> tuple[int, Mapping[RowName, tuple[int, int]]]:
            found = connection.execute("SELECT identity FROM store")
            # Whatever changes a row, also by hand, is another transaction.
            rows = connection.execute(
                "SELECT purpose, name, version, CAST(CAST(xmin AS text) AS bigint) FROM sealed_documents"
            )
            return found.fetchone()[0], {
                RowName(purpose, name): (version, change) for purpose, name, version, change in rows
            }

        return self._database.here(work, writes=False)

    def row(self, at: RowName) -> SealedRow | None:
        """See :meth:`watchword.adapters.sealed_rows.RowTable.row`."""

        def work(connection: Connection) -> Any:
            return connection.execute(
                f"SELECT {_COLUMNS} FROM sealed_documents WHERE purpose = ? AND name = ?",  # noqa: S608 - our own text.
                tuple(at),
            ).fetchone()

        found = self._database.here(work, writes=False)
        return None if found is None else SealedRow(at, *found[2:])

    def put(self, row: SealedRow, before: int | None) -> bool:
        """See :meth:`watchword.adapters.sealed_rows.RowTable.put`."""
        values = (row.version, row.deployment, row.key_id, row.wrapped, row.sealed)

        def work(connection: Connection) -> int:
            if before is None:
                return connection.execute(
                    f"INSERT INTO sealed_documents ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",  # noqa: S608
                    (*row.at, *values),
                ).rowcount
            return connection.execute(
                "UPDATE sealed_documents SET version = ?, deployment = ?, key_id = ?, wrapped = ?, sealed = ? "
                "WHERE purpose = ? AND name = ? AND version = ?",
                (*values, *row.at, before),
            ).rowcount

        return self._database.here(work, writes=True) == 1
