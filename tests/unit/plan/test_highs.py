"""Hold the solver to whole numbers, and keep a release out that misses solutions."""

import pytest
from tests.unit.plan.builders import cover_by_trying, some_cover

from watchword.plan.cover import NODES, Costs, Row, cover, cover_within
from watchword.plan.highs import solve

NEVER = float("inf")


def test_a_release_that_finds_nothing_where_there_is_something_is_noticed() -> None:
    """HiGHS 1.16.0 calls this infeasible; its presolve is wrong there. All but its columns is fulfilled by this set."""
    cuts = [
        [1, 3], [0, 4], [1, 5], [2, 6], [1, 7], [5, 7], [2, 8, 9, 10], [8, 9, 10, 11],
    ]  # fmt: skip
    efforts = [3, 6, 6, 1, 3, 6, 3, 3, 1, 1, 3, 6]
    strong = {12: 2, 13: 4, 14: 5, 15: 6}
    rows = [([(column, 1) for column in cut], 1.0, NEVER) for cut in cuts]
    rows.append((list(enumerate(efforts)), -NEVER, 16.0))
    rows += [([(column, 1), (by, -1)], -NEVER, 0.0) for column, by in strong.items()]
    rows.append(([(12, 9), (13, 1), (14, 16), (15, 9)], 10.0, NEVER))
    objective = [-(2.0 ** (11 - column)) for column in range(12)] + [0.0] * 4
    values, best = solve(objective, rows, NODES)
    assert best
    assert values is not None
    assert round(sum(c * v for c, v in zip(objective, values, strict=True))) == -1208


def test_what_can_not_be_is_said_to_be_so() -> None:
    """No values, and the proof that there are none."""
    assert solve([1.0], [([(0, 1)], 2.0, NEVER)], NODES) == (None, True)


@pytest.mark.parametrize("seed", range(300))
def test_the_solver_and_trying_every_set_agree(seed: int) -> None:
    """On contested rows HiGHS finds the set that trying finds, ties by strength and ids included."""
    rows, costs, have = some_cover(seed)
    available = ((1 << len(costs.effort)) - 1) & ~have
    expected = cover_by_trying(rows, costs, available, have)
    by_highs = cover(rows, costs, available=available, have=have, few=0)
    assert by_highs.exact
    assert by_highs.mask == expected
    assert cover(rows, costs, available=available, have=have, few=12).mask == expected


def test_a_budget_closes_no_asset_that_can_not_be_closed() -> None:
    """What has a path that nothing cuts stays open, however many of its other paths are cut."""
    seed = next(
        seed
        for seed in range(100)
        if len({row.group for row in some_cover(seed)[0] if not row.closers}) == 1
    )
    rows, costs, have = some_cover(seed)
    hopeless = {row.group for row in rows if not row.closers}
    available = ((1 << len(costs.effort)) - 1) & ~have
    for budget in range(1, sum(costs.effort)):
        chosen = cover_within(rows, costs, available=available, have=have, budget=budget)
        assert chosen.cost <= budget
        closable = {row.group for row in rows} - hopeless
        closed = {
            group
            for group in closable
            if all(row.closers & chosen.mask for row in rows if row.group == group)
        }
        best = most_assets(rows, costs, closable, available, have, budget)
        assert len(closed) == best


def most_assets(
    rows: list[Row], costs: Costs, closable: set[int], available: int, have: int, budget: int
) -> int:
    """Return how many assets a budget can close at most, by trying every set."""
    most = 0
    for mask in range(1 << len(costs.effort)):
        if mask & ~available or costs.closure(mask) & ~(mask | have) or costs.of(mask) > budget:
            continue
        closed = sum(
            all(row.closers & mask for row in rows if row.group == group) for group in closable
        )
        most = max(most, closed)
    return most
