"""Carry out the phase rule: the order of work, each phase exact.

For each impact level from the worst down, the least effort that cuts every path at an exploitation step: reconnaissance is
taken for done.  Only then, level by level again, the least effort that cuts where intelligence is gathered.
Last everything else that acts on some step, which slows down or stands behind something else.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from watchword.plan.compiled import Compiled
from watchword.plan.cover import Chosen, Row, bits, cover, cover_within
from watchword.plan.interface import IMPACT_LEVELS
from watchword.plan.outcome import Phase


@dataclass(frozen=True, slots=True)
class Stretch:
    """Hold what one phase does for one level.

    :param rows: what had to be cut when it began.
    :param have: bits of what was there for everybody when it began.
    :param chosen: its answer; :param order: the bits of it in the order of work.
    :param left: budget when it began, None without one.
    :param whole: the cheapest answer without a budget, where the budget doesn't reach for that.
    """

    phase: Phase
    level: int
    rows: tuple[Row, ...]
    have: int
    chosen: Chosen
    order: tuple[int, ...]
    left: int | None = None
    whole: Chosen | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """Hold all stretches in order, and what was bought altogether."""

    stretches: tuple[Stretch, ...]
    bought: int

    @property
    def order(self) -> tuple[int, ...]:
        """Return all bits in the order of work."""
        return tuple(bit for stretch in self.stretches for bit in stretch.order)

    @property
    def exact(self) -> bool:
        """Tell whether every stretch was proven to be the best."""
        return all(stretch.chosen.exact for stretch in self.stretches)


def schedule(
    model: Compiled,
    *,
    budget: int | None = None,
    refine: bool = True,
    kept: dict[object, Chosen] | None = None,
) -> Schedule:
    """Return the phases of prevention and of gathering.

    :param refine: break ties by strength and ids; needed where the answer is shown.
    :param kept: answers of earlier runs of the same model, which are used and added to; only those
        with the same budget, and the same ``refine``.
    """
    stretches: list[Stretch] = []
    bought = 0
    left = budget
    for phase in (Phase.PREVENT, Phase.GATHERING):
        for level in IMPACT_LEVELS:
            rows = _rows(model, phase, level, bought)
            if not rows:
                continue
            stretch = _stretch(model, phase, level, rows, bought, left, refine=refine, kept=kept)
            stretches.append(stretch)
            bought |= stretch.chosen.mask
            left = None if left is None else left - stretch.chosen.cost
    return Schedule(tuple(stretches), bought)


def _stretch(
    model: Compiled,
    phase: Phase,
    level: int,
    rows: tuple[Row, ...],
    bought: int,
    left: int | None,
    *,
    refine: bool,
    kept: dict[object, Chosen] | None,
) -> Stretch:
    have = model.everywhere | bought
    available = model.available & ~bought
    key = (rows, available, have, tuple(model.costs.effort), refine)
    if kept is not None and key in kept:
        chosen = kept[key]
    else:
        chosen = cover(rows, model.costs, available=available, have=have, refine=refine)
        if kept is not None:
            kept[key] = chosen
    whole = None
    if left is not None and chosen.cost > left:
        whole = chosen
        chosen = cover_within(rows, model.costs, available=available, have=have, budget=left)
    order = tuple(_in_order(model, rows, chosen.mask, have))
    return Stretch(phase, level, rows, have, chosen, order, left, whole)


def _rows(model: Compiled, phase: Phase, level: int, bought: int) -> tuple[Row, ...]:
    """Return what a phase has to cut at a level: what neither a proof nor an earlier phase cuts."""
    found: dict[tuple[int, int, int], int] = {}
    for asset, impact in enumerate(model.impacts):
        if impact != level:
            continue
        there = model.proven[asset] | bought
        for ways in model.ways[asset]:
            if phase is Phase.PREVENT:
                closers, strong = ways.close, ways.block
            elif ways.gathers:
                closers, strong = ways.delay, ways.stall
            else:
                continue
            if not closers & there:
                key = (closers, strong, asset)
                found[key] = found.get(key, 0) + ways.count
    return tuple(
        Row(closers, strong, found[closers, strong, asset], asset)
        for closers, strong, asset in sorted(found)
    )


def _in_order(model: Compiled, rows: Sequence[Row], mask: int, have: int) -> Iterable[int]:
    """Yield what was chosen: most paths newly cut first, then least effort, then by id; needs before."""
    still: dict[int, int] = {}
    for row in rows:
        if cut := row.closers & mask:
            still[cut] = still.get(cut, 0) + row.weight
    gains = dict.fromkeys(bits(mask), 0)
    for cut, weight in still.items():
        for bit in bits(cut):
            gains[bit] += weight
    waiting = mask
    while waiting:
        bundles = {bit: model.costs.closure(1 << bit) & waiting & ~have for bit in bits(waiting)}
        best = min(
            bundles,
            key=lambda bit: (
                -_gain(bundles[bit], gains, still),
                model.costs.of(bundles[bit]),
                bit,
            ),
        )
        waiting &= ~bundles[best]
        left = bundles[best]
        while left:
            # Nor does an id decide within a bundle: a key store isn't worth more than attestation for being needed as well.
            ready = [bit for bit in bits(left) if not model.costs.needs[bit] & left]
            first = min(ready, key=lambda bit: (-gains[bit], model.costs.effort[bit], bit))
            yield first
            left &= ~(1 << first)
            for cut in [cut for cut in still if cut & 1 << first]:
                weight = still.pop(cut)
                for bit in bits(cut):
                    gains[bit] -= weight


def _gain(bundle: int, gains: Mapping[int, int], still: Mapping[int, int]) -> int:
    """Return how many paths a bundle cuts; most are a single protection, counted already."""
    if not bundle & (bundle - 1):
        return gains[bundle.bit_length() - 1]
    return sum(weight for cut, weight in still.items() if cut & bundle)


def _needs_first(model: Compiled, mask: int) -> Iterable[int]:
    """Yield the bits of a set so that what is needed comes before what needs it."""
    left = mask
    while left:
        ready = next(bit for bit in bits(left) if not model.costs.needs[bit] & left)
        yield ready
        left &= ~(1 << ready)


def hardening(
    model: Compiled, touched: Mapping[int, tuple[int, int, bool]], bought: int, left: int | None
) -> tuple[tuple[int, int], ...]:
    """Return what is left that acts on some step, as (bit, impact level), in the order of work.

    What acts where the damage is done comes first, as everywhere, before what hinders the gathering of intelligence
    alone: pinning never stands before attestation at the API.

    :param touched: by bit of each protection that acts on some step of the model: the highest
        impact it acts for, on how many paths, and whether it acts on a step that does damage.
    :param left: budget that is left, None without one; what doesn't fit is passed over.
    """
    have = model.everywhere | bought
    waiting = [bit for bit in touched if model.available & ~bought & (1 << bit)]
    waiting.sort(
        key=lambda bit: (
            not touched[bit][2],
            -touched[bit][0],
            -touched[bit][1],
            model.costs.effort[bit],
            bit,
        )
    )
    order: list[tuple[int, int]] = []
    for bit in waiting:
        bundle = model.costs.closure(1 << bit) & ~have
        if not bundle or bundle & ~model.available:
            continue
        cost = model.costs.of(bundle)
        if left is not None:
            if cost > left:
                continue
            left -= cost
        order += [(each, touched[bit][0]) for each in _needs_first(model, bundle)]
        have |= bundle
    return tuple(order)
