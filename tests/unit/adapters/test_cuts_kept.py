"""Take cuts into a file of 0.2.0."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from tests.store_contract.cuts import MADE, cut_entry
from tests.store_contract.entries import audit, instance, run, use

from watchword.adapters.sqlite import SCHEMA_VERSION, SqliteStore
from watchword.gate.cuts import Cut, merged


def test_a_file_of_020_takes_cuts_in(tmp_path: Path) -> None:
    """With the first cut, and not before: up to then 0.2.0 may read it."""
    path, one = tmp_path / "watchword.db", instance()
    with closing(SqliteStore(path)) as store:
        run(lambda: store.enrol(use(), one, audit()))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DROP TABLE cuts")
        connection.execute("PRAGMA user_version = 5")
    with closing(SqliteStore(path)) as store:
        assert run(lambda: store.find("one")) == one
        assert run(lambda: store.cuts(0)) == []
        assert run(lambda: store.stop_cut(1, audit())) is None
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (5,)
        assert run(lambda: store.add_cut(MADE, 0, cut_entry)).name == "cut-1"
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)


def test_what_was_cut_stays_cut() -> None:
    """Of two that differ in their share the larger holds: a store that was put back takes nothing back."""
    first, second = Cut("clinic", None, 5, 8), Cut("clinic", None, 6, 8)
    assert merged([first], [replace(first, share=16), second]) == (
        replace(first, share=16),
        second,
    )
    assert merged([replace(first, share=16)], [first]) == (replace(first, share=16),)
