"""Say what follows if one item is left out: solved again without it."""

from collections.abc import Sequence

from watchword.plan.compiled import Compiled
from watchword.plan.cover import Row, cover, cover_within
from watchword.plan.ledger import Ledger
from watchword.plan.outcome import Phase, Skipped
from watchword.plan.patience import Patience
from watchword.plan.phases import Schedule, Stretch

_SHARE = 0.4
"""Of the time that may go into this; shaking the inputs needs some too."""


def skips(
    ledger: Ledger, found: Schedule, patience: Patience
) -> dict[int, tuple[Skipped, tuple[tuple[str, ...], ...]]]:
    """Return what follows without each item of the two phases, as far as the time reaches.

    Of phases that the solver couldn't prove to be the best nothing is said: a comparison with them means nothing.
    """
    answers: dict[int, tuple[Skipped, tuple[tuple[str, ...], ...]]] = {}
    for stretch in found.stretches:
        for bit in stretch.order:
            if not stretch.chosen.exact or patience.is_over(_SHARE):
                continue
            answers[bit] = skip(ledger, stretch, bit, ledger.acts(bit).paths)
    return answers


def skip(
    ledger: Ledger, stretch: Stretch, bit: int, paths: Sequence[int]
) -> tuple[Skipped, tuple[tuple[str, ...], ...]]:
    """Return what stays open without an item, what would do in its place, and what would do as well.

    :param paths: indexes of the paths that the item acts on.
    :returns: the answer, and the sets that tie with the item: as much cut, as strongly, for as much effort.
    """
    model = ledger.compiled
    banned = _with_dependents(model, bit)
    available = model.available & ~stretch.have & ~banned
    if stretch.whole is None:
        other = cover(stretch.rows, model.costs, available=available, have=stretch.have)
    else:
        assert stretch.left is not None
        other = cover_within(
            stretch.rows, model.costs, available=available, have=stretch.have, budget=stretch.left
        )
    instead = model.names(other.mask & ~stretch.chosen.mask)
    does_as_much = _cut(stretch.rows, other.mask) >= _cut(stretch.rows, stretch.chosen.mask)
    extra = other.cost - stretch.chosen.cost if does_as_much else 0
    tie = does_as_much and extra == 0 and other.strength == stretch.chosen.strength
    stays_open = tuple(
        index
        for index in paths
        if (mask := _what_cuts(ledger, stretch.phase, index)) & 1 << bit
        and not mask & ~banned & (model.available | ledger.proven(index))
    )
    answer = Skipped(ledger.ids(stays_open), instead, extra)
    return answer, ((instead,) if tie and instead else ())


def _what_cuts(ledger: Ledger, phase: Phase, index: int) -> int:
    return ledger.closers(index) if phase is Phase.PREVENT else ledger.delayers(index)


def _cut(rows: Sequence[Row], mask: int) -> int:
    return sum(row.weight for row in rows if row.closers & mask)


def _with_dependents(model: Compiled, bit: int) -> int:
    """Return a protection with everything that can't be there without it."""
    return sum(
        1 << each for each in range(len(model.ids)) if model.costs.closure(1 << each) & (1 << bit)
    )
