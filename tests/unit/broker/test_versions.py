"""Show what a secret's versions become: for any history of rotations and revocations."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.broker.interface import (
    MAX_OVERLAP_SECONDS,
    MAX_VERSIONS,
    SecretRecord,
    SecretValue,
    added,
    newly_revoked,
    revoked,
    rotated,
)
from watchword.reasons import Reason, RefusedError

NOW = 1_800_000_000.75
AT = int(NOW)


@dataclass(frozen=True)
class Step:
    """One thing that an operator does, so many seconds after the last one."""

    after: float
    overlap: int | None
    version: int | None


STEPS = st.lists(
    st.builds(
        Step,
        st.floats(0, 10_000),
        st.none() | st.integers(0, 10_000),
        st.none() | st.integers(1, 40),
    ),
    max_size=40,
)


def value(number: int) -> SecretValue:
    """Return a value that is told from every other one."""
    return SecretValue(f"value-{number:04}-end")


def history(steps: list[Step]) -> list[tuple[SecretRecord, Step | None, float]]:
    """Return the record after each step, with the step and its instant."""
    now, record = NOW, added("maps", value(0), NOW)
    found: list[tuple[SecretRecord, Step | None, float]] = [(record, None, now)]
    for at, step in enumerate(steps, 1):
        now += step.after
        if step.overlap is not None:
            record = rotated(record, value(at), step.overlap, now)
        elif step.version is None or any(each.number == step.version for each in record.versions):
            record = revoked(record, step.version, now)
        found.append((record, step, now))
    return found


@given(STEPS)
def test_numbers_grow_and_are_never_used_twice(steps: list[Step]) -> None:
    """A number names one value for good, also when its version was forgotten."""
    named: dict[int, int] = {}
    highest = 0
    for record, _, _ in history(steps):
        numbers = [each.number for each in record.versions]
        assert numbers == sorted(set(numbers))
        assert len(numbers) <= MAX_VERSIONS
        for each in record.versions:
            assert named.setdefault(each.number, each.made_at) == each.made_at
        assert numbers[-1] >= highest
        highest = numbers[-1]


@given(STEPS)
def test_after_a_rotation_the_newest_is_current(steps: list[Step]) -> None:
    """Whatever was before: exactly the value that was just given, and for good."""
    for at, (record, step, now) in enumerate(history(steps)):
        if step is None or step.overlap is not None:
            newest = record.versions[-1]
            assert record.current(now) == newest
            assert newest.value == value(at)
            assert newest.until is None
            assert record.current(now + 10**9) == newest


@given(STEPS)
def test_a_revoked_value_is_nowhere(steps: list[Step]) -> None:
    """It isn't in any member of the record from then on, and nothing brings it back."""
    gone: set[str] = set()
    before: SecretRecord | None = None
    for record, step, _ in history(steps):
        if before is not None and step is not None and step.overlap is None:
            for each in before.versions:
                if each.value is not None and step.version in {None, each.number}:
                    gone.add(each.value.text)
        held = {each.value.text for each in record.versions if each.value is not None}
        assert not gone & held
        assert all(each.value is None for each in record.versions if each.revoked_at is not None)
        before = record


@given(STEPS, st.floats(0, 20_000))
def test_older_versions_end_when_they_were_told_to(steps: list[Step], later: float) -> None:
    """No rotation lengthens the life of a version that is to end already."""
    ends: dict[int, int] = {}
    for record, _, now in history(steps):
        for each in record.versions:
            if each.until is not None:
                assert each.until <= ends.setdefault(each.number, each.until)
                ends[each.number] = each.until
                assert each.counts(now + later) <= (now + later < each.until)


def test_an_overlap_keeps_the_older_one_until_its_end() -> None:
    """It counts to the last second of the overlap, and loses its value at the change after that."""
    record = rotated(added("maps", value(1), NOW), value(2), 60, NOW)
    old, new = record.versions
    assert (old.until, new.until) == (AT + 60, None)
    assert old.counts(AT + 59.9)
    assert not old.counts(AT + 60)
    third = rotated(record, value(3), 0, NOW + 100)
    assert [each.value for each in third.versions] == [None, None, value(3)]
    assert [each.until for each in third.versions] == [AT + 60, int(NOW + 100), None]


def test_without_an_overlap_the_older_one_ends_at_once() -> None:
    """At the very instant of the rotation it doesn't count, and its value is gone."""
    old = rotated(added("maps", value(1), NOW), value(2), 0, NOW).versions[0]
    assert not old.counts(NOW)
    assert old.value is None
    assert old.revoked_at is None


def test_a_second_rotation_shortens_what_overlaps() -> None:
    """An older one that had a day has an hour once a rotation says so."""
    record = rotated(added("maps", value(1), NOW), value(2), 86400, NOW)
    record = rotated(record, value(3), 3600, NOW)
    assert [each.until for each in record.versions] == [AT + 3600, AT + 3600, None]


@pytest.mark.parametrize(
    ("overlap", "seconds"), [(-5, 0), (MAX_OVERLAP_SECONDS + 1, MAX_OVERLAP_SECONDS)]
)
def test_an_overlap_is_within_bounds(overlap: int, seconds: int) -> None:
    """What a caller left unchecked can't leave an old key in use for ever."""
    record = rotated(added("maps", value(1), NOW), value(2), overlap, NOW)
    assert record.versions[0].until == AT + seconds


def test_the_oldest_that_counts_no_more_is_forgotten_first() -> None:
    """A version that still overlaps outlives an ended one that is younger."""
    record = added("maps", value(1), NOW)
    for number in range(2, MAX_VERSIONS + 1):
        record = rotated(record, value(number), 1000, NOW)
    record = revoked(record, 3, NOW)
    record = rotated(record, value(99), 1000, NOW)
    assert [each.number for each in record.versions] == [1, 2, *range(4, MAX_VERSIONS + 2)]
    record = rotated(record, value(100), 1000, NOW)
    assert [each.number for each in record.versions] == [2, *range(4, MAX_VERSIONS + 3)]


def test_when_the_newest_is_revoked_an_overlapping_one_takes_over() -> None:
    """Only for as long as its overlap lasts: nobody revives what was to end."""
    record = revoked(rotated(added("maps", value(1), NOW), value(2), 60, NOW), 2, NOW)
    assert record.current(NOW) == record.versions[0]
    assert record.current(NOW + 60) is None


def test_revoking_tells_what_is_new() -> None:
    """What was revoked before keeps its time; a second call has nothing to do."""
    record = rotated(added("maps", value(1), NOW), value(2), 60, NOW)
    once = revoked(record, 1, NOW)
    all_of_it = revoked(once, None, NOW + 5)
    assert newly_revoked(record, once) == (1,)
    assert newly_revoked(once, all_of_it) == (2,)
    assert [each.revoked_at for each in all_of_it.versions] == [AT, int(NOW + 5)]
    assert revoked(all_of_it, None, NOW + 9) == all_of_it
    assert all_of_it.current(NOW) is None


def test_a_version_that_is_not_there_is_unknown() -> None:
    """Nothing is revoked in the place of another one."""
    with pytest.raises(RefusedError) as caught:
        revoked(added("maps", value(1), NOW), 2, NOW)
    assert caught.value.reason is Reason.SECRET_UNKNOWN
