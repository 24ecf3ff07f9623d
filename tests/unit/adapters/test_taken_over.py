"""Take cuts, and the marks of days, into a file of 0.2.0."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from tests.store_contract.cuts import MADE, cut_entry
from tests.store_contract.entries import audit, instance, run, use

from watchword.adapters.sqlite import SCHEMA_VERSION, SqliteStore
from watchword.adapters.store import INSTANCE_COLUMNS
from watchword.enrolment.renewal_days import days_of
from watchword.gate.cuts import Cut, merged
from watchword.ports import Instance


def file_of_020(path: Path, one: Instance) -> None:
    """Make a file as 0.2.0 did, with an instance."""
    with closing(SqliteStore(path)) as store:
        run(lambda: store.enrol(use(), one, audit()))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DROP TABLE cuts")
        connection.execute("DROP TABLE unrecorded_uses")
        connection.execute("DROP TABLE challenge_pages")
        connection.execute("DROP INDEX instances_deleted")
        connection.execute("ALTER TABLE instances DROP COLUMN renewed_days")
        connection.execute("PRAGMA user_version = 5")


def test_a_file_of_020_takes_marks_of_days_in(tmp_path: Path) -> None:
    """At once, in what 0.2.0 passes over: it goes on with the file, and so does this version after it."""
    path, one = tmp_path / "watchword.db", replace(instance(), test=False)
    file_of_020(path, one)
    with closing(SqliteStore(path)) as store:
        renewed = run(lambda: store.renew(use(b"b"), "one", None, None, audit(seconds=86_400)))
        assert len(days_of(renewed)) == 2
        assert run(store.extent)[0] == 2
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (5,)
        # As 0.2.0 writes: it names its columns.
        names = INSTANCE_COLUMNS.removesuffix(", renewed_days")
        connection.execute(
            f"INSERT INTO instances ({names}) SELECT {names.replace('id,', 'id || 2,', 1).replace('attested_key', 'zeroblob(9)')} "
            "FROM instances"
        )
    with closing(SqliteStore(path)) as store:
        second = run(lambda: store.find("one2"))
        assert second is not None
        assert days_of(second) == [second.renewed_at.date()]
        assert run(store.extent)[0] == 2


def test_a_file_of_020_takes_cuts_in(tmp_path: Path) -> None:
    """With the first cut, and not before: up to then 0.2.0 may read it."""
    path, one = tmp_path / "watchword.db", instance()
    file_of_020(path, one)
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


def test_a_file_of_020_stays_as_it_was_until_something_needs_more(tmp_path: Path) -> None:
    """A start that another file refuses has looked at how much there is, and changes nothing."""
    path, one = tmp_path / "watchword.db", replace(instance(), test=False)
    file_of_020(path, one)
    before = path.read_bytes()
    with closing(SqliteStore(path)) as store:
        assert run(store.extent)[0] == 1
    assert path.read_bytes() == before
    with closing(SqliteStore(path)) as store:
        assert run(lambda: store.find("one")) is not None
        assert run(store.extent)[0] == 1
    assert path.read_bytes() != before
