"""Choose defences by the objective of the papers: most attacks prevented within a budget, then least cost.

Kept for tests alone.  It numbers attacks and holds one for as bad as another: the planner doesn't.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from tests.unit.plan.coverage.semantics import Attack, attacker_wins
from tests.unit.plan.coverage.trees import Tree

from watchword.plan.cover import NODES, Costs, Row, _Programme, bits, cover_within


class Choice(NamedTuple):
    """Hold how many attacks are prevented, at what cost, and by which defences."""

    prevented: int
    cost: int
    defences: frozenset[str]


def by_solver(attacks: Sequence[Attack], costs: Mapping[str, int], budget: int) -> Choice:
    """Choose by the planner's own programme, and by HiGHS."""
    names = sorted(costs)
    if not names or not attacks:
        return Choice(0, 0, frozenset())
    efforts = {bit: costs[name] for bit, name in enumerate(names)}
    programme = _Programme(
        (1 << len(names)) - 1, Costs([costs[name] for name in names], [0] * len(names)), NODES
    )
    programme.hold(efforts, most=budget)
    barred: dict[int, int] = {}
    for attack in attacks:
        for way in attack.ways:
            mask = _mask(names, way)
            if mask not in barred:
                barred[mask] = programme.indicator(mask)
    goal = {
        programme.all_of([barred[_mask(names, way)] for way in attack.ways]): 1
        for attack in attacks
    }
    programme.maximise(goal)
    prevented = programme.value(goal)
    programme.hold(goal, least=prevented)
    chosen = frozenset(names[bit] for bit in bits(programme.minimise(efforts)))
    assert programme.exact
    return Choice(prevented, sum(costs[name] for name in chosen), chosen)


def by_planner(attacks: Sequence[Attack], costs: Mapping[str, int], budget: int) -> int:
    """Return how many attacks the planner's own budget rule prevents where each is an asset of one level.

    It cares for more once that number is settled, and may spend on it.
    """
    names = sorted(costs)
    rows = [
        Row(_mask(names, way), 0, 1, group)
        for group, attack in enumerate(attacks)
        for way in attack.ways
    ]
    efforts = Costs([costs[name] for name in names], [0] * len(names))
    every = (1 << len(names)) - 1
    chosen = cover_within(rows, efforts, available=every, have=0, budget=budget).mask
    return sum(all(_mask(names, way) & chosen for way in attack.ways) for attack in attacks)


def by_trying(
    tree: Tree, attacks: Sequence[Attack], costs: Mapping[str, int], budget: int
) -> Choice:
    """Choose by trying every set of defences on the drawing itself."""
    best = Choice(0, 0, frozenset())
    for size in range(len(costs) + 1):
        for names in combinations(sorted(costs), size):
            cost = sum(costs[name] for name in names)
            if cost > budget:
                continue
            have = frozenset(names)
            prevented = count_prevented(tree, attacks, have)
            if (-prevented, cost) < (-best.prevented, best.cost):
                best = Choice(prevented, cost, have)
    return best


def count_prevented(tree: Tree, attacks: Sequence[Attack], have: frozenset[str]) -> int:
    """Return how many attacks lose against some defences."""
    return sum(not attacker_wins(tree, attack.actions, have) for attack in attacks)


def _mask(names: Sequence[str], chosen: frozenset[str]) -> int:
    return sum(1 << bit for bit, name in enumerate(names) if name in chosen)
