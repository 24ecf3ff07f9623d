"""Carry out the phase rule: the order of work, each phase exact.

For each impact level from the worst down, the least effort that cuts every path at an exploitation step: reconnaissance is
taken for done.  Only then, level by level again, the least effort that cuts where intelligence is gathered.
Last everything else that acts on some step, which slows down or stands behind something else.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from watchword.plan.cover import Chosen, Compiled, Row, bits, cover, cover_within, strength
from watchword.plan.interface import (
    CUT_THRESHOLD,
    IMPACT_LEVELS,
    AttackPath,
    Catalogue,
    Deadline,
    Model,
    Stage,
)
from watchword.plan.outcome import Cut, Exposure, Phase, Skipped, Tally


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


_WORST_FIRST: Final = (Exposure.OPEN, Exposure.DELAYED, Exposure.CLOSED)
_NO_PATH: Final = Exposure.UNREACHED


@dataclass(frozen=True, slots=True)
class Act:
    """Hold where one protection acts in the model.

    :param cuts: each step, how strongly, and the indexes of its paths.
    :param paths: indexes of all paths on which it acts, in order.
    """

    cuts: tuple[tuple[str, int, tuple[int, ...]], ...]
    paths: tuple[int, ...]


class Ledger:
    """Know how each path of a model stands under a set of protections."""

    def __init__(self, model: Model, catalogue: Catalogue, compiled: Compiled) -> None:
        """Find the paths of each step."""
        self.model = model
        self.compiled = compiled
        self._catalogue = catalogue
        self._steps: dict[str, list[int]] = {}
        for index, path in enumerate(model.paths):
            for step in path.steps:
                self._steps.setdefault(step, []).append(index)

    def acts(self, bit: int) -> Act:
        """Return where a protection acts."""
        protection = self._catalogue.protections[self.compiled.ids[bit]]
        cuts = tuple(
            (technique, strength, tuple(self._steps[technique]))
            for technique, strength in sorted(protection.cuts.items())
            if strength > 0 and technique in self._steps
        )
        paths = sorted({index for _, _, found in cuts for index in found})
        return Act(cuts, tuple(paths))

    def touched(self) -> dict[int, tuple[int, int, bool]]:
        """Return by protection the highest impact it acts for, on how many paths, and whether it acts where damage is done.

        What is proven for an asset has nothing left to do on the paths to it.
        """
        found: dict[int, tuple[int, int, bool]] = {}
        for bit in range(len(self.compiled.ids)):
            act = self.acts(bit)
            paths = [index for index in act.paths if not self.proven(index) >> bit & 1]
            there = set(paths)
            if paths:
                prevents = any(
                    self._catalogue.techniques[step].stage is Stage.EXPLOIT
                    and not there.isdisjoint(found_at)
                    for step, _, found_at in act.cuts
                )
                found[bit] = (max(self.impact(index) for index in paths), len(paths), prevents)
        return found

    def path(self, index: int) -> AttackPath:
        """Return a path."""
        return self.model.paths[index]

    def impact(self, index: int) -> int:
        """Return the impact of the asset that a path leads to."""
        return self.model.assets[self.model.paths[index].asset].impact

    def exposure(self, index: int, bought: int) -> Exposure:
        """Return how a path stands under what is proven for its asset and what is bought."""
        asset, place = self.compiled.path_ways[index]
        return self._stands(asset, place, bought)

    def assets(self, bought: int) -> dict[str, Exposure]:
        """Return how each asset stands: as its worst path."""
        found: dict[str, Exposure] = {}
        for asset, name in enumerate(self.compiled.assets):
            ways = self.compiled.ways[asset]
            states = {self._stands(asset, place, bought) for place in range(len(ways))}
            found[name] = next((state for state in _WORST_FIRST if state in states), _NO_PATH)
        return found

    def tallies(self, bought: int) -> tuple[Tally, ...]:
        """Count assets by exposure at each level that has any, the worst first."""
        counts: dict[int, dict[Exposure, int]] = {}
        for name, state in self.assets(bought).items():
            level = counts.setdefault(self.model.assets[name].impact, dict.fromkeys(Exposure, 0))
            level[state] += 1
        return tuple(
            Tally(
                level,
                counts[level][Exposure.OPEN],
                counts[level][Exposure.DELAYED],
                counts[level][Exposure.CLOSED],
                counts[level][Exposure.UNREACHED],
            )
            for level in IMPACT_LEVELS
            if level in counts
        )

    def closers(self, index: int) -> int:
        """Return the bits of what could close a path."""
        asset, place = self.compiled.path_ways[index]
        return self.compiled.ways[asset][place].close

    def delayers(self, index: int) -> int:
        """Return the bits of what could cut a path where intelligence is gathered."""
        asset, place = self.compiled.path_ways[index]
        return self.compiled.ways[asset][place].delay

    def proven(self, index: int) -> int:
        """Return the bits of what is proven for the asset of a path."""
        return self.compiled.proven[self.compiled.path_ways[index][0]]

    def cutters(self, index: int, mask: int) -> Iterator[tuple[str, str]]:
        """Yield the steps of a path that a set cuts, and by what."""
        for step in self.model.paths[index].steps:
            for bit in bits(mask):
                name = self.compiled.ids[bit]
                if self._catalogue.protections[name].cuts.get(step, 0) >= CUT_THRESHOLD:
                    yield step, name

    def named(self, cuts: tuple[tuple[str, int, tuple[int, ...]], ...]) -> tuple[Cut, ...]:
        """Return cuts with the ids of their paths."""
        return tuple(
            Cut(technique, strength, self.ids(paths)) for technique, strength, paths in cuts
        )

    def ids(self, indexes: tuple[int, ...]) -> tuple[str, ...]:
        """Return the ids of paths."""
        return tuple(self.model.paths[index].id for index in indexes)

    def _stands(self, asset: int, place: int, bought: int) -> Exposure:
        ways = self.compiled.ways[asset][place]
        there = self.compiled.proven[asset] | bought
        if ways.close & there:
            return Exposure.CLOSED
        return Exposure.DELAYED if ways.delay & there else Exposure.OPEN


_SHARE = 0.4
"""Of the time that may go into this; shaking the inputs needs some too."""


def skips(
    ledger: Ledger, found: Schedule, done: int, deadline: Deadline
) -> dict[int, tuple[Skipped, tuple[tuple[str, ...], ...]]]:
    """Return what follows without each item of the two phases, as far as the time reaches.

    :param done: bits of the whole list.

    Of phases that the solver couldn't prove to be the best nothing is said: a comparison with them means nothing.
    """
    answers: dict[int, tuple[Skipped, tuple[tuple[str, ...], ...]]] = {}
    for stretch in found.stretches:
        for bit in stretch.order:
            if not stretch.chosen.exact or deadline.is_over(_SHARE):
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
