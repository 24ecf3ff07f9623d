"""Say what follows if one item is left out: solved again without it."""

from collections.abc import Iterator, Sequence

from watchword.plan.compiled import Compiled
from watchword.plan.cover import Row, bits, cover, cover_within, strength
from watchword.plan.ledger import Ledger
from watchword.plan.outcome import Exposure, Phase, Skipped
from watchword.plan.patience import Patience
from watchword.plan.phases import Schedule, Stretch

_SHARE = 0.4
"""Of the time that may go into this; shaking the inputs needs some too."""


def skips(
    ledger: Ledger, found: Schedule, done: int, patience: Patience
) -> dict[int, tuple[Skipped, tuple[tuple[str, ...], ...]]]:
    """Return what follows without each item of the two phases, as far as the time reaches.

    :param done: bits of the whole list.

    Of phases that the solver couldn't prove to be the best nothing is said: a comparison with them means nothing.
    """
    answers: dict[int, tuple[Skipped, tuple[tuple[str, ...], ...]]] = {}
    for stretch in found.stretches:
        for bit in stretch.order:
            if not stretch.chosen.exact or patience.is_over(_SHARE):
                continue
            answers[bit] = skip(ledger, stretch, bit, ledger.acts(bit).paths, done)
    return answers


def skip(
    ledger: Ledger, stretch: Stretch, bit: int, paths: Sequence[int], done: int
) -> tuple[Skipped, tuple[tuple[str, ...], ...]]:
    """Return what stays open without an item, what would do in its place, and what would do as well.

    :param paths: indexes of the paths that the item acts on.
    :param done: bits of the whole list, by which a path may be closed all the same.
    :returns: the answer, and the sets that tie with the item: as much cut, as strongly, for as much
        effort, with everything else of its phase as it is.
    """
    model = ledger.compiled
    banned = _with_dependents(model, bit)
    available = model.available & ~stretch.have & ~banned
    if stretch.whole is None:
        other = cover(
            stretch.rows, model.costs, available=available, have=stretch.have, refine=False
        )
        # Strength and ids tell ties apart, and there is none where it costs more.
        if other.cost <= stretch.chosen.cost:
            other = cover(stretch.rows, model.costs, available=available, have=stretch.have)
    else:
        assert stretch.left is not None
        other = cover_within(
            stretch.rows, model.costs, available=available, have=stretch.have, budget=stretch.left
        )
    instead: tuple[str, ...] = ()
    extra = 0
    ties: set[int] = set()
    rows = stretch.rows
    reach = model.available
    if _cut(rows, other.mask, reach) >= _cut(rows, stretch.chosen.mask, reach):
        instead = model.names(other.mask & ~stretch.chosen.mask)
        extra = other.cost - stretch.chosen.cost
        if extra == 0:
            ties = _ties(model, stretch, banned, other.mask)
    alone = [
        index
        for index in paths
        if (mask := _what_cuts(ledger, stretch.phase, index)) & 1 << bit
        and not mask & (model.available & ~banned | ledger.proven(index))
    ]
    # What the rest of the list closes doesn't stay open for want of what makes gathering harder.
    closed = {index for index in alone if ledger.exposure(index, done & ~banned) is Exposure.CLOSED}
    stays_open = ledger.ids(tuple(index for index in alone if index not in closed))
    uncut = ledger.ids(tuple(index for index in alone if index in closed))
    answer = Skipped(stays_open, instead, extra, uncut=uncut)
    return answer, tuple(sorted(model.names(each) for each in ties))


def _swaps(model: Compiled, stretch: Stretch, banned: int) -> Iterator[int]:
    """Yield the answer with each single other protection, and what that needs, in an item's place."""
    rest = stretch.chosen.mask & ~banned
    for each in bits(model.available & ~stretch.have & ~banned & ~rest):
        yield rest | model.costs.closure(1 << each) & ~stretch.have


def _ties(model: Compiled, stretch: Stretch, banned: int, found: int) -> set[int]:
    """Return what can stand in an item's place, all else of the answer being kept.

    Tried are the answer that was found without it, and each single other protection.
    """
    chosen, rows = stretch.chosen, stretch.rows
    rest = chosen.mask & ~banned
    reach = model.available
    return {
        other & ~rest
        for other in (found, *_swaps(model, stretch, banned))
        if not rest & ~other
        and model.costs.of(other) == chosen.cost
        and strength(rows, other) == chosen.strength
        and _cut(rows, other, reach) == _cut(rows, chosen.mask, reach)
    }


def _what_cuts(ledger: Ledger, phase: Phase, index: int) -> int:
    return ledger.closers(index) if phase is Phase.PREVENT else ledger.delayers(index)


def _cut(rows: Sequence[Row], mask: int, available: int) -> tuple[int, int, int]:
    """Return how many assets a set closes, how many as far as anything does, and how many paths."""
    open_rows = [row for row in rows if not row.closers & mask]
    groups = {row.group for row in rows}
    closed = groups - {row.group for row in open_rows}
    nearly = groups - {row.group for row in open_rows if row.closers & available}
    return len(closed), len(nearly), sum(row.weight for row in rows if row.closers & mask)


def _with_dependents(model: Compiled, bit: int) -> int:
    """Return a protection with everything that can't be there without it."""
    return sum(
        1 << each for each in range(len(model.ids)) if model.costs.closure(1 << each) & (1 << bit)
    )
