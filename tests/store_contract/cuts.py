"""Cuts: each step is taken once."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.store_contract.entries import audit, instance, run, use
from tests.unit.enrolment.simulators import NOW

from watchword.adapters.store import EngineStore
from watchword.gate.cuts import BUCKETS, MOST_CUTS, Cut, ScheduledCut
from watchword.ports import AuditEntry
from watchword.reasons import RefusedError
from watchword.vocabulary import Level

Reopened = Callable[[], EngineStore]

SECOND = int(NOW.timestamp())
MADE = ScheduledCut(
    Cut("clinic", Level.HARDWARE, SECOND, 24), 24, 30, "leaked keys", "somebody", NOW
)


def cut_entry(cut: ScheduledCut) -> AuditEntry:
    """Return the audit entry of a new cut."""
    return audit("instances.cut", subject=cut.name)


def stopped(cut: ScheduledCut) -> AuditEntry:
    """Return the audit entry of a cut that an operator stopped."""
    return audit("instances.cut-stopped", 9, cut.name)


def test_a_cut_goes_on_over_a_restart(store: EngineStore, reopened: Reopened) -> None:
    """Each step is taken once, whoever takes it, up to all parts; who made it stands in the trail."""
    with closing(store):
        made = run(lambda: store.add_cut(MADE, 0, cut_entry))
        assert made == replace(MADE, id=1)
        assert run(lambda: store.advance_cut(made))
        assert not run(lambda: store.advance_cut(made))
    with closing(reopened()) as again:
        (found,) = run(lambda: again.cuts(SECOND))
        assert (found.cut.share, found.goes_on) == (48, True)
        assert run(lambda: again.advance_cut(found))
        (last,) = run(lambda: again.cuts(SECOND))
        assert (last.cut.share, last.goes_on) == (BUCKETS, False)
        assert run(lambda: again.cuts(SECOND + 1)) == []
        assert run(lambda: again.audit_entries(9)) == [cut_entry(made)]


def test_a_cut_that_is_stopped_keeps_what_it_cut(store: EngineStore) -> None:
    """No further step is taken; a second stop changes nothing and isn't recorded."""
    made = run(lambda: store.add_cut(MADE, 0, cut_entry))
    wanted = replace(made, stopped_at=NOW + timedelta(seconds=9))
    for _ in range(2):
        assert run(lambda: store.stop_cut(1, stopped(made))) == wanted
    assert not run(lambda: store.advance_cut(made))
    assert not wanted.goes_on
    assert len(run(lambda: store.audit_entries(9))) == 2
    assert run(lambda: store.stop_cut(2, stopped(made))) is None


def test_no_more_cuts_than_gates_take(store: EngineStore) -> None:
    """Those that are over don't count; one that is refused leaves no audit entry."""
    for _ in range(MOST_CUTS):
        run(lambda: store.add_cut(MADE, SECOND, cut_entry))
    with pytest.raises(RefusedError, match="expected at most 64"):
        run(lambda: store.add_cut(MADE, SECOND, cut_entry))
    assert len(run(lambda: store.audit_entries(100))) == MOST_CUTS
    assert run(lambda: store.add_cut(MADE, SECOND + 1, cut_entry)).id == MOST_CUTS + 1


def test_who_would_be_cut_is_counted(store: EngineStore) -> None:
    """By app, level and the time of the last token; whoever is revoked has none."""
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
    window = NOW, NOW + timedelta(seconds=1)
    found = run(lambda: store.holders("clinic", None, *window, 0))
    assert found == ([("i1", instance().audiences), ("i2", instance().audiences)], None)
