"""Keep cuts in the store: each step is taken once, and a file of 0.2.0 takes them in."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.unit.adapters.test_sqlite_store import audit, instance, run, use
from tests.unit.enrolment.simulators import NOW

from watchword.adapters.sqlite import SCHEMA_VERSION, SqliteStore
from watchword.gate.cuts import BUCKETS, MOST_CUTS, Cut, ScheduledCut, merged
from watchword.ports import AuditEntry
from watchword.reasons import RefusedError
from watchword.vocabulary import Level

SECOND = int(NOW.timestamp())
MADE = ScheduledCut(
    Cut("clinic", Level.HARDWARE, SECOND, 24), 24, 30, "leaked keys", "somebody", NOW
)


def entry(cut: ScheduledCut) -> AuditEntry:
    """Return the audit entry of a new cut."""
    return audit("instances.cut", subject=cut.name)


def stopped(cut: ScheduledCut) -> AuditEntry:
    """Return the audit entry of a cut that an operator stopped."""
    return audit("instances.cut-stopped", 9, cut.name)


def test_a_cut_goes_on_over_a_restart(tmp_path: Path) -> None:
    """Each step is taken once, whoever takes it, up to all parts; who made it stands in the trail."""
    path = tmp_path / "watchword.db"
    with closing(SqliteStore(path)) as store:
        made = run(lambda: store.add_cut(MADE, 0, entry))
        assert made == replace(MADE, id=1)
        assert run(lambda: store.advance_cut(made))
        assert not run(lambda: store.advance_cut(made))
    with closing(SqliteStore(path)) as store:
        (found,) = run(lambda: store.cuts(SECOND))
        assert (found.cut.share, found.goes_on) == (48, True)
        assert run(lambda: store.advance_cut(found))
        (last,) = run(lambda: store.cuts(SECOND))
        assert (last.cut.share, last.goes_on) == (BUCKETS, False)
        assert run(lambda: store.cuts(SECOND + 1)) == []
        assert run(lambda: store.audit_entries(9)) == [entry(made)]


def test_a_cut_that_is_stopped_keeps_what_it_cut(tmp_path: Path) -> None:
    """No further step is taken; a second stop changes nothing and isn't recorded."""
    with closing(SqliteStore(tmp_path / "watchword.db")) as store:
        made = run(lambda: store.add_cut(MADE, 0, entry))
        wanted = replace(made, stopped_at=NOW + timedelta(seconds=9))
        for _ in range(2):
            assert run(lambda: store.stop_cut(1, stopped(made))) == wanted
        assert not run(lambda: store.advance_cut(made))
        assert not wanted.goes_on
        assert len(run(lambda: store.audit_entries(9))) == 2
        assert run(lambda: store.stop_cut(2, stopped(made))) is None


def test_no_more_cuts_than_gates_take(tmp_path: Path) -> None:
    """Those that are over don't count; one that is refused leaves no audit entry."""
    with closing(SqliteStore(tmp_path / "watchword.db")) as store:
        for _ in range(MOST_CUTS):
            run(lambda: store.add_cut(MADE, SECOND, entry))
        with pytest.raises(RefusedError, match="expected at most 64"):
            run(lambda: store.add_cut(MADE, SECOND, entry))
        assert len(run(lambda: store.audit_entries(100))) == MOST_CUTS
        assert run(lambda: store.add_cut(MADE, SECOND + 1, entry)).id == MOST_CUTS + 1


def test_who_would_be_cut_is_counted(tmp_path: Path) -> None:
    """By app, level and the time of the last token; whoever is revoked has none."""
    with closing(SqliteStore(tmp_path / "watchword.db")) as store:
        for number, level in enumerate((Level.HARDWARE, Level.HARDWARE, Level.SOFTWARE)):
            one = replace(instance(f"i{number}"), level=level, attested_key=b"%d" % number)
            run(lambda n=number, one=one: store.enrol(use(b"%d" % n), one, audit()))  # type: ignore[misc]
        run(lambda: store.revoke("i0", NOW, "stolen", audit(subject="i0")))

        def count(app: str, level: Level | None, since: int, before: int) -> tuple[int, int | None]:
            times = NOW + timedelta(seconds=since), NOW + timedelta(seconds=before)
            return run(lambda: store.count_holders(app, level, *times, 0))

        assert count("clinic", None, 0, 1) == (2, None)
        assert count("clinic", Level.HARDWARE, 0, 1) == (1, None)
        assert count("ledger", None, 0, 1) == (0, None)
        assert count("clinic", None, 1, 2) == (0, None)
        assert count("clinic", None, -1, 0) == (0, None)


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
        assert run(lambda: store.add_cut(MADE, 0, entry)).name == "cut-1"
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
