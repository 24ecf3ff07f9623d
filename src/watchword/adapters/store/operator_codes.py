"""Read and write operator codes within a transaction of the store's."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from watchword.adapters.store.rows import (
    OPERATOR_CODE_COLUMNS,
    microseconds,
    operator_code_from_row,
    operator_code_row,
)
from watchword.enrolment.operator_codes import OperatorCode
from watchword.reasons import Reason, RefusedError


def insert_code(connection: sqlite3.Connection, code: OperatorCode) -> None:
    """Insert a new code; its name is random and isn't met twice."""
    row = operator_code_row(code)
    connection.execute(
        f"INSERT INTO operator_codes ({OPERATOR_CODE_COLUMNS}) "  # noqa: S608 - our own text.
        f"VALUES ({', '.join('?' * len(row))})",
        row,
    )


def select_code(connection: sqlite3.Connection, code_id: str) -> OperatorCode | None:
    """Return one code, None if there is none of this name."""
    row = connection.execute(
        f"SELECT {OPERATOR_CODE_COLUMNS} FROM operator_codes WHERE id = ?",  # noqa: S608
        (code_id,),
    ).fetchone()
    return None if row is None else operator_code_from_row(row)


def select_codes(connection: sqlite3.Connection, limit: int) -> Sequence[OperatorCode]:
    """Return at most so many codes, newest first."""
    rows = connection.execute(
        f"SELECT {OPERATOR_CODE_COLUMNS} FROM operator_codes "  # noqa: S608 - our own text.
        "ORDER BY made_at DESC, id LIMIT ?",
        (limit,),
    )
    return [operator_code_from_row(row) for row in rows]


def use_code(connection: sqlite3.Connection, code_id: str, instance_id: str, at: datetime) -> None:
    """Use a code up, if it can be used: of several that race for it, one finds it unused.

    :raises RefusedError: ``evidence.operator_code``.
    """
    used = connection.execute(
        "UPDATE operator_codes SET used_at = ?, instance_id = ? WHERE id = ? "
        "AND used_at IS NULL AND revoked_at IS NULL AND expires_at > ?",
        (microseconds(at), instance_id, code_id, microseconds(at)),
    )
    if used.rowcount != 1:
        raise RefusedError.because(
            Reason.EVIDENCE_OPERATOR_CODE, "it was used, cancelled or expired in these moments"
        )


def withdraw_code(connection: sqlite3.Connection, code_id: str, at: datetime) -> bool:
    """Cancel a code that is unused; tell whether that changed anything."""
    withdrawn = connection.execute(
        "UPDATE operator_codes SET revoked_at = ? "
        "WHERE id = ? AND used_at IS NULL AND revoked_at IS NULL",
        (microseconds(at), code_id),
    )
    return withdrawn.rowcount == 1
