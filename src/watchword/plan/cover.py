"""Find the least set of protections that cuts every row, exactly: reductions first, HiGHS for the rest.

Protections are bits of an integer, in the order of their ids.  A row is what must be cut: the protections of which at least one must
be there.  The objectives hold one after the other: most rows (where a budget doesn't reach for all),
least effort, greatest strength, the smallest ids.  The last one makes the answer one, so that
neither the order of the input nor a solver's mood can show.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from watchword.plan.interface import (
    CUT_THRESHOLD,
    Asset,
    AttackPath,
    Catalogue,
    Protection,
    Stage,
)

_CHUNK: Final = 12
"""Ids that are compared in one solve: their weights are powers of two, and must stay exact."""

FEW: Final = 8
"""Up to so many columns every set is tried, which is over before the solver and numpy are loaded."""

NODES: Final = 2000
"""Most nodes of one solve; what isn't proven best by then is said to be not exact.

Never seconds: a busy machine must give the plan that an idle one gives.  Real models take one node, and the hardest cover
of the tests about 1,200.
"""

_TOLERANCE: Final = 1e-4
"""How far a solver's number may lie from the whole number that it stands for."""


class Row(NamedTuple):
    """Hold something to be cut.

    :param closers: bits of the protections that cut it.
    :param strong: bits of those that block it altogether (strength 3).
    :param weight: how many paths it stands for.
    :param group: number of the asset that the paths lead to.
    """

    closers: int
    strong: int
    weight: int
    group: int


@dataclass(frozen=True, slots=True)
class Chosen:
    """Hold an answer: bits of what is chosen, its cost and strength, and whether HiGHS proved it best."""

    mask: int
    cost: int
    strength: int
    exact: bool = True


class SolverError(Exception):
    """Say that the solver failed where a solution must be: a fault of ours, never of the input."""


@dataclass(frozen=True, slots=True)
class Costs:
    """Hold what protections cost and need, by bit.

    :param effort: whole numbers above 0.
    :param needs: bits of what each needs directly.
    """

    effort: Sequence[int]
    needs: Sequence[int]

    def closure(self, mask: int) -> int:
        """Return a set with everything that it needs, and what that needs."""
        waiting, found = mask, mask
        while waiting:
            bit = (waiting & -waiting).bit_length() - 1
            waiting &= waiting - 1
            more = self.needs[bit] & ~found
            found |= more
            waiting |= more
        return found

    def of(self, mask: int) -> int:
        """Return the effort of a set."""
        return sum(self.effort[bit] for bit in bits(mask))


def bits(mask: int) -> Iterator[int]:
    """Yield the numbers of the bits that are set, the smallest first."""
    while mask:
        yield (mask & -mask).bit_length() - 1
        mask &= mask - 1


def obtainable(wanted: int, available: int, have: int, costs: Costs) -> int:
    """Return what of a set can be chosen: available, with everything that it needs available or there."""
    out = ~(available | have)
    found = 0
    for bit in bits(wanted & available):
        if not costs.closure(1 << bit) & out:
            found |= 1 << bit
    return found


def _closers(rows: Iterable[Row]) -> int:
    """Return everything that cuts some row."""
    found = 0
    for row in rows:
        found |= row.closers
    return found


def minimal_rows(masks: Iterable[int]) -> list[int]:
    """Return the rows that hold no other one: whoever cuts those cuts the others too."""
    found: list[int] = []
    for mask in sorted(set(masks), key=lambda each: (each.bit_count(), each)):
        if not any(smaller & mask == smaller for smaller in found):
            found.append(mask)
    return found


def cover(
    rows: Sequence[Row],
    costs: Costs,
    *,
    available: int,
    have: int,
    refine: bool = True,
    nodes: int = NODES,
    few: int = FEW,
) -> Chosen:
    """Return the cheapest set that cuts every row which can be cut at all.

    :param available: what may be chosen.
    :param have: what is there already: it costs nothing, and cuts nothing that still is a row.
    :param refine: break ties by strength and by ids; without it any cheapest set will do.
    :param nodes: most of each solve; what is found by then cuts every row, but may not be the cheapest.
    :param few: up to so many columns every set is tried, beyond it HiGHS decides.
    """
    allowed = obtainable(_closers(rows), available, have, costs)
    left = minimal_rows(row.closers & allowed for row in rows if row.closers & allowed)
    forced = 0
    while singles := [mask for mask in left if mask.bit_count() == 1]:
        for mask in singles:
            forced |= costs.closure(mask) & ~have
        left = [mask for mask in left if not mask & forced]
    if not left:
        return Chosen(forced, costs.of(forced), strength(rows, forced))
    columns = 0
    for mask in left:
        columns |= mask
    columns = costs.closure(columns) & ~(have | forced)
    if columns.bit_count() <= few:
        mask = forced | _by_trying(left, rows, costs, columns, forced)
        return Chosen(mask, costs.of(mask), strength(rows, mask))
    mip = _Programme(columns, costs, nodes)
    for mask in left:
        mip.require(mask)
    best = mip.minimise({bit: costs.effort[bit] for bit in bits(columns)})
    if refine and mip.exact:
        best = _refined(mip, rows, costs, forced)
    mask = forced | best
    return Chosen(mask, costs.of(mask), strength(rows, mask), mip.exact)


def cover_within(
    rows: Sequence[Row],
    costs: Costs,
    *,
    available: int,
    have: int,
    budget: int,
    nodes: int = NODES,
) -> Chosen:
    """Return the set within a budget that cuts most.

    Assets closed altogether come first, then assets closed as far as anything closes them, then paths, then
    least effort.

    For budgets that don't reach for all; see :func:`cover` for the rest.
    """
    allowed = obtainable(_closers(rows), available, have, costs)
    cuttable = [row for row in rows if row.closers & allowed]
    if not cuttable or budget <= 0:
        return Chosen(0, 0, 0)
    columns = 0
    for row in cuttable:
        columns |= row.closers & allowed
    columns = costs.closure(columns) & ~have
    mip = _Programme(columns, costs, nodes)
    mip.hold({bit: costs.effort[bit] for bit in bits(columns)}, most=budget)
    done: dict[int, int] = {}
    groups: dict[int, list[int]] = {}
    for row in cuttable:
        column = mip.indicator(row.closers & allowed)
        done[column] = row.weight
        groups.setdefault(row.group, []).append(column)
    # An asset with a path that nothing cuts can't be closed, whatever is bought for its other paths.
    never = {row.group for row in rows if not row.closers & allowed}
    whole = {group: mip.all_of(members) for group, members in groups.items()}
    closed = [column for group, column in whole.items() if group not in never]
    for goal in (dict.fromkeys(closed, 1), dict.fromkeys(whole.values(), 1), done):
        mip.maximise(goal)
        mip.hold(goal, least=mip.value(goal))
    mask = mip.minimise({bit: costs.effort[bit] for bit in bits(columns)})
    if mip.exact:
        mask = _refined(mip, cuttable, costs, 0)
    return Chosen(mask, costs.of(mask), strength(cuttable, mask), mip.exact)


def strength(rows: Iterable[Row], mask: int) -> int:
    """Return how strongly a set cuts: 2 or 3 for each path of each row that it cuts."""
    return sum((3 if row.strong & mask else 2) * row.weight for row in rows if row.closers & mask)


def _by_trying(
    left: Sequence[int], rows: Sequence[Row], costs: Costs, columns: int, forced: int
) -> int:
    """Return the cheapest set of a few columns that cuts every row, ties broken as everywhere."""
    order = list(bits(columns))
    needs = [(1 << bit, costs.needs[bit] & columns) for bit in order if costs.needs[bit] & columns]
    best: tuple[int, int] | None = None
    found = 0
    # The smallest ids are the highest digits: counting down, of equal sets the one with the smallest ids comes first.
    sets = [0]
    for bit in reversed(order):
        sets += [each | 1 << bit for each in sets]
    for mask in sets[:0:-1]:
        if not all(mask & row for row in left):
            continue
        if any(mask & bit and needed & ~mask for bit, needed in needs):
            continue
        cost = costs.of(mask)
        if best is None or cost <= best[0]:
            key = (cost, -strength(rows, forced | mask))
            if best is None or key < best:
                best, found = key, mask
    return found


def _refined(mip: "_Programme", rows: Sequence[Row], costs: Costs, forced: int) -> int:
    """Among the cheapest sets return the strongest, among those the one with the smallest ids."""
    effort = {bit: costs.effort[bit] for bit in bits(mip.columns)}
    mip.hold(effort, most=mip.value(effort))
    strong: dict[int, int] = {}
    for row in rows:
        mask = row.strong & mip.columns
        if mask and not row.strong & forced:
            strong[mask] = strong.get(mask, 0) + row.weight
    if strong:
        goal = {mip.indicator(mask): weight for mask, weight in sorted(strong.items())}
        mip.maximise(goal)
        mip.hold(goal, least=mip.value(goal))
    if mip.alone():
        return mip.mask
    order = list(bits(mip.columns))
    for start in range(0, len(order), _CHUNK):
        chunk = order[start : start + _CHUNK]
        goal = {bit: 1 << (len(chunk) - 1 - place) for place, bit in enumerate(chunk)}
        mip.maximise(goal)
        mip.hold(goal, least=mip.value(goal))
    return mip.mask


@dataclass(slots=True)
class _Programme:
    """Hold a programme of yes-or-no columns; protections keep their bits, the rest follows behind."""

    columns: int
    costs: Costs
    nodes: int
    exact: bool = True
    _places: dict[int, int] = field(default_factory=dict)
    _rows: list[tuple[Mapping[int, int], float, float]] = field(default_factory=list)
    _answer: list[int] = field(default_factory=list)
    _next: int = 0

    def __post_init__(self) -> None:
        """Give each protection its column, and tie it to what it needs."""
        for bit in bits(self.columns):
            self._places[bit] = len(self._places)
        self._next = len(self.costs.effort)
        for bit in bits(self.columns):
            for needed in bits(self.costs.needs[bit] & self.columns):
                self._rows.append(({bit: 1, needed: -1}, -_infinite(), 0))

    @property
    def mask(self) -> int:
        """Return the bits of the protections that the last answer takes."""
        return sum(1 << bit for bit in bits(self.columns) if self._answer[self._places[bit]])

    def require(self, mask: int) -> None:
        """Ask that one of some protections be taken."""
        self._rows.append((dict.fromkeys(bits(mask), 1), 1, _infinite()))

    def hold(
        self, goal: Mapping[int, int], *, least: int | None = None, most: int | None = None
    ) -> None:
        """Bound a goal from here on."""
        low = -_infinite() if least is None else least
        high = _infinite() if most is None else most
        self._rows.append((goal, low, high))

    def indicator(self, mask: int) -> int:
        """Return a new column that can be 1 only where one of some protections is taken."""
        column = self._column()
        self._rows.append(({column: 1, **dict.fromkeys(bits(mask), -1)}, -_infinite(), 0))
        return column

    def all_of(self, columns: Sequence[int]) -> int:
        """Return a new column that can be 1 only where all of some columns are."""
        column = self._column()
        for each in columns:
            self._rows.append(({column: 1, each: -1}, -_infinite(), 0))
        return column

    def value(self, goal: Mapping[int, int]) -> int:
        """Return what the last answer makes of a goal."""
        return sum(weight * self._answer[self._places[column]] for column, weight in goal.items())

    def minimise(self, goal: Mapping[int, int]) -> int:
        """Solve for the least of a goal; return the protections that are taken."""
        return self._solve(goal, 1)

    def maximise(self, goal: Mapping[int, int]) -> int:
        """Solve for the most of a goal; return the protections that are taken."""
        return self._solve(goal, -1)

    def alone(self) -> bool:
        """Tell whether no other set of protections meets every row: then no tie is left to be broken."""
        taken = self.mask
        goal = {bit: 1 if taken >> bit & 1 else -1 for bit in bits(self.columns)}
        rows = [*self._rows, (goal, -_infinite(), taken.bit_count() - 1)]
        answer, certain = self._asked([0.0] * len(self._places), rows)
        return answer is None and certain

    def _asked(
        self, objective: list[float], rows: Iterable[tuple[Mapping[int, int], float, float]]
    ) -> tuple[list[float] | None, bool]:
        # The solver and numpy take longer to load than most plans to solve, and small plans need neither.
        from watchword.plan.highs import solve  # noqa: PLC0415

        placed = [
            ([(self._places[column], weight) for column, weight in row.items()], low, high)
            for row, low, high in rows
        ]
        return solve(objective, placed, self.nodes)

    def _column(self) -> int:
        column = self._next
        self._next += 1
        self._places[column] = len(self._places)
        return column

    def _solve(self, goal: Mapping[int, int], sign: int) -> int:
        objective = [0.0] * len(self._places)
        for column, weight in goal.items():
            objective[self._places[column]] = float(sign * weight)
        answer, optimal = self._asked(objective, self._rows)
        if answer is None:
            # There is a solution, whatever the solver says: see tests/unit/plan/test_highs.py.
            answer, optimal = self._unsolved(), False
        self._answer = [round(value) for value in answer]
        if any(
            abs(value - whole) > _TOLERANCE
            for value, whole in zip(answer, self._answer, strict=True)
        ):
            raise SolverError("a solution that isn't whole")
        self._check()
        self.exact = self.exact and optimal
        return self.mask

    def _unsolved(self) -> list[float]:
        """Return an answer where the solver stopped before it found any: the last one, everything, or nothing.

        The last one keeps every bound, since those were set by it; new columns may always be 0.
        """
        width = len(self._places)
        last = [*self._answer, *[0] * (width - len(self._answer))]
        most = self.columns.bit_count()
        everything = [1] * most + [0] * (width - most)
        for answer in (last, everything, [0] * width):
            self._answer = answer
            if self._broken() is None:
                return [float(value) for value in answer]
        raise SolverError("no solution where there must be one")

    def _check(self) -> None:
        """Hold the rounded answer to every row, in whole numbers."""
        if self._broken() is not None:
            raise SolverError("a solution that breaks a row")

    def _broken(self) -> Mapping[int, int] | None:
        """Return the first row that the answer breaks."""
        for row, low, high in self._rows:
            if not low <= self.value(row) <= high:
                return row
        return None


def _infinite() -> float:
    return float("inf")


_BLOCKS = 3


@dataclass(frozen=True, slots=True)
class Ways:
    """Hold paths to one asset that the same protections cut at the same stages.

    :param close: bits of what cuts an exploitation step, :param block: of what blocks one.
    :param delay: bits of what cuts a step that gathers intelligence; :param stall: of what blocks one.
    :param gathers: there is such a step at all.
    :param count: how many paths.
    """

    close: int
    block: int
    delay: int
    stall: int
    gathers: bool
    count: int


@dataclass(frozen=True, slots=True)
class Compiled:
    """Hold a model as bits; protections are numbered in the order of their ids.

    :param ids: protections by bit.
    :param assets: ids in order; the lists below go by their index.
    :param proven: bits of what counts for each asset.
    :param everywhere: bits of what counts for all of them.
    :param available: bits of what may be chosen.
    :param path_ways: for each path of the model, the ways that it is among: (asset, index in ``ways``).
    """

    ids: tuple[str, ...]
    bit: Mapping[str, int]
    costs: Costs
    assets: tuple[str, ...]
    impacts: tuple[int, ...]
    ways: tuple[tuple[Ways, ...], ...]
    path_ways: tuple[tuple[int, int], ...]
    proven: tuple[int, ...]
    everywhere: int
    available: int

    def mask(self, protections: frozenset[str]) -> int:
        """Return the bits of protections; ids that the catalogue lacks are passed over."""
        return sum(1 << self.bit[each] for each in sorted(protections & self.bit.keys()))

    def names(self, mask: int) -> tuple[str, ...]:
        """Return the ids of bits, in order."""
        return tuple(self.ids[each] for each in bits(mask))

    def with_impact(self, asset: int, impact: int) -> "Compiled":
        """Return the same with another impact of one asset."""
        impacts = (*self.impacts[:asset], impact, *self.impacts[asset + 1 :])
        return replace(self, impacts=impacts)

    def with_effort(self, bit: int, effort: int) -> "Compiled":
        """Return the same with another effort of one protection."""
        effort_by_bit = [*self.costs.effort[:bit], effort, *self.costs.effort[bit + 1 :]]
        return replace(self, costs=Costs(effort_by_bit, self.costs.needs))


class Strengths:
    """Know which protections act on which step, and how strongly; changes make another one."""

    def __init__(self, catalogue: Catalogue, bit: Mapping[str, int]) -> None:
        """Look the cuts up by technique."""
        self.by_technique: dict[str, list[tuple[int, int]]] = {}
        for protection in catalogue.protections.values():
            for technique, strength in protection.cuts.items():
                if strength > 0:
                    entry = (bit[protection.id], strength)
                    self.by_technique.setdefault(technique, []).append(entry)

    def masks(self, technique: str, change: Mapping[tuple[int, str], int]) -> tuple[int, int]:
        """Return the bits of what cuts a step, and of what blocks it."""
        cut = block = 0
        for bit, written in self.by_technique.get(technique, ()):
            strength = change.get((bit, technique), written)
            if strength >= CUT_THRESHOLD:
                cut |= 1 << bit
                if strength >= _BLOCKS:
                    block |= 1 << bit
        return cut, block


def compile_model(
    catalogue: Catalogue,
    assets: Mapping[str, Asset],
    paths: Sequence[AttackPath],
    proven: Mapping[str, frozenset[str]],
    *,
    without: frozenset[str] = frozenset(),
    change: Mapping[tuple[int, str], int] | None = None,
) -> Compiled:
    """Compile a model.

    :param proven: by asset, what counts there.
    :param without: protections that are taken to be neither there nor to be had, with all that need them.
    :param change: other strengths, by (bit of the protection, technique), for what stands in the catalogue already.
    """
    ids = tuple(sorted(catalogue.protections))
    bit = {each: index for index, each in enumerate(ids)}
    ordered = tuple(sorted(assets))
    masks = tuple(
        sum(1 << bit[each] for each in proven.get(asset, frozenset()) - without if each in bit)
        for asset in ordered
    )
    everywhere = (1 << len(ids)) - 1 if ordered else 0
    for mask in masks:
        everywhere &= mask
    ways, path_ways = _ways(catalogue, ordered, paths, Strengths(catalogue, bit), change or {})
    banned = sum(1 << bit[each] for each in without & bit.keys())
    return Compiled(
        ids=ids,
        bit=bit,
        costs=Costs(
            [catalogue.protections[each].effort for each in ids],
            [_needs(catalogue.protections[each], bit) for each in ids],
        ),
        assets=ordered,
        impacts=tuple(assets[each].impact for each in ordered),
        ways=ways,
        path_ways=path_ways,
        proven=masks,
        everywhere=everywhere,
        available=((1 << len(ids)) - 1) & ~everywhere & ~banned,
    )


def _needs(protection: Protection, bit: Mapping[str, int]) -> int:
    return sum(1 << bit[each] for each in set(protection.depends_on))


def _ways(
    catalogue: Catalogue,
    ordered: Sequence[str],
    paths: Sequence[AttackPath],
    strengths: Strengths,
    change: Mapping[tuple[int, str], int],
) -> tuple[tuple[tuple[Ways, ...], ...], tuple[tuple[int, int], ...]]:
    """Group the paths of each asset by what cuts them."""
    index = {asset: number for number, asset in enumerate(ordered)}
    known: dict[str, tuple[int, int]] = {}
    counts: list[dict[tuple[int, int, int, int, bool], int]] = [{} for _ in ordered]
    keys: list[tuple[int, tuple[int, int, int, int, bool]]] = []
    for path in paths:
        close = block = delay = stall = 0
        gathers = False
        for step in path.steps:
            if step not in known:
                known[step] = strengths.masks(step, change)
            cut, blocked = known[step]
            if catalogue.techniques[step].stage is Stage.EXPLOIT:
                close |= cut
                block |= blocked
            else:
                gathers = True
                delay |= cut
                stall |= blocked
        key = (close, block, delay, stall, gathers)
        asset = index[path.asset]
        counts[asset][key] = counts[asset].get(key, 0) + 1
        keys.append((asset, key))
    places = [{key: place for place, key in enumerate(sorted(count))} for count in counts]
    ways = tuple(tuple(Ways(*key, count=count[key]) for key in sorted(count)) for count in counts)
    return ways, tuple((asset, places[asset][key]) for asset, key in keys)
