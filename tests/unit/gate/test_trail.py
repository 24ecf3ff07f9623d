"""Show that the head of the audit trail stands for every entry, and that a gate sees where it isn't continued."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from tests.unit.gate.test_bundle import BUNDLE, KEY, SERVICE

from watchword.gate.chain import (
    ChainError,
    ChainReader,
    delta_to_line,
    read_snapshot,
    snapshot_to_line,
    tip_of,
)
from watchword.gate.trail import NOTHING_YET, AuditHead, extended, leaf_of, trail_key
from watchword.ports import AuditEntry

SEALING = trail_key(b"p" * 32)
AT = datetime(2026, 12, 3, 1, 2, 3, 4, UTC)
ENTRIES = [
    AuditEntry(AT, "operator", "instance.revoked", f"i{number}", {"because": "x"}, number=number)
    for number in range(1, 6)
]
FIRST = replace(BUNDLE, revoked=frozenset())


def head(size: int) -> AuditHead:
    """Return the head of the first entries."""
    return extended(NOTHING_YET, ENTRIES[:size], SEALING)


def test_a_head_doesnt_depend_on_how_often_it_was_taken() -> None:
    """At once, or one by one."""
    one_by_one = NOTHING_YET
    for entry in ENTRIES:
        one_by_one = extended(one_by_one, [entry], SEALING)
    assert one_by_one == head(5)
    assert one_by_one.size == 5


@pytest.mark.parametrize(
    "changed",
    [
        {"number": 9},
        {"at": datetime(2026, 12, 3, 1, 2, 3, 5, UTC)},
        {"actor": "nobody"},
        {"action": "instance.renewed"},
        {"subject": "i9"},
        {"detail": {}},
        {"detail": {"because": "y"}},
    ],
)
def test_each_part_of_an_entry_counts(changed: dict[str, object]) -> None:
    """A changed entry has another hash; so has one that is missing, and one under another key."""
    bent = [*ENTRIES[:2], replace(ENTRIES[2], **changed), *ENTRIES[3:]]  # type: ignore[arg-type]
    assert extended(NOTHING_YET, bent, SEALING) != head(5)
    assert extended(NOTHING_YET, ENTRIES[1:], SEALING).head != head(5).head
    assert leaf_of(ENTRIES[0], SEALING) != leaf_of(ENTRIES[0], trail_key(b"q" * 32))


def chain_of(*heads: AuditHead | None) -> list[bytes]:
    """Return a snapshot with the first head, and deltas with the others."""
    states = [
        replace(FIRST, generation=FIRST.generation + index, audit=each)
        for index, each in enumerate(heads)
    ]
    lines = [snapshot_to_line(states[0], b"d" * 12, b"", SERVICE)]
    for before, after in pairwise(states):
        lines.append(delta_to_line(before, after, tip_of(lines[-1]), [], SERVICE))
    return lines


def read(lines: list[bytes]) -> ChainReader:
    """Return a reader that took the lines."""
    reader = ChainReader(KEY)
    reader.take(lines)
    return reader


def test_a_trail_that_grows_raises_no_doubt() -> None:
    """Also where it stands still, and where a line says nothing of it, which changes nothing of what is known."""
    reader = read(chain_of(head(1), head(2), head(2), None, head(5)))
    assert reader.doubts == []
    assert reader.bundle is not None
    assert reader.bundle.audit == head(5)
    silent = read(chain_of(head(1), None))
    assert silent.bundle is not None
    assert silent.bundle.audit == head(1)


@pytest.mark.parametrize("after", [head(2), AuditHead(3, head(4).head)])
def test_a_trail_that_was_set_back_or_changed_is_seen(after: AuditHead) -> None:
    """Once, though later lines go on, and as well where a snapshot begins anew."""
    lines = chain_of(head(3), after, head(5))
    reader = read(lines)
    assert [(before.audit, now.audit) for before, now in reader.doubts] == [(head(3), after)]
    later = replace(FIRST, generation=FIRST.generation + 9, audit=head(4))
    reader.doubts.clear()
    reader.take([snapshot_to_line(later, b"e" * 12, b"", SERVICE)])
    assert [(before.audit, now.audit) for before, now in reader.doubts] == [(head(5), head(4))]


def test_what_was_told_before_counts_across_restarts() -> None:
    """A reader that begins anew with the same lines finds nothing new in them, and sees what contradicts."""
    lines = chain_of(head(1), head(5))
    told = read(lines).told
    again = ChainReader(KEY, told=told)
    again.take(lines)
    assert again.doubts == []
    back = replace(FIRST, generation=FIRST.generation + 2, audit=head(3))
    again.take([snapshot_to_line(back, b"e" * 12, b"", SERVICE)])
    assert [now.audit for _, now in again.doubts] == [head(3)]


@pytest.mark.parametrize("bent", [AuditHead(-1, head(1).head), AuditHead(1, "AAAA")])
def test_a_head_that_cant_be_one_is_refused(bent: AuditHead) -> None:
    """The line says nothing then."""
    with pytest.raises(ChainError):
        read_snapshot(chain_of(bent)[0], KEY)
