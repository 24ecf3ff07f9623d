"""Files that several processes open at once."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from watchword.adapters.host_database import write_ahead


def connected(path: Path, timeout: float) -> sqlite3.Connection:
    """Open the file; it has one table."""
    connection = sqlite3.connect(path, timeout=timeout, isolation_level=None)
    connection.execute("CREATE TABLE IF NOT EXISTS t (a)")
    return connection


def test_who_opens_a_file_waits_for_those_who_do_so_too(tmp_path: Path) -> None:
    """The log is begun once nobody else holds the file."""
    path = tmp_path / "file"
    with closing(connected(path, 60)) as other, closing(connected(path, 60)) as ours:
        other.execute("BEGIN IMMEDIATE")
        said: list[str] = []

        def let_go(statement: str) -> None:
            """End what the other one does when ours was refused and begins to wait."""
            said.append(statement)
            if statement == "BEGIN EXCLUSIVE":
                other.execute("COMMIT")

        ours.set_trace_callback(let_go)
        write_ahead(ours)
        assert "BEGIN EXCLUSIVE" in said
        assert ours.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_file_that_others_keep(tmp_path: Path) -> None:
    """After the connection's timeout it is the caller's to say so."""
    path = tmp_path / "file"
    with closing(connected(path, 60)) as other, closing(connected(path, 0)) as ours:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            write_ahead(ours)
