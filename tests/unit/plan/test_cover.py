"""Hold the solver to known optima, and to an answer where it may not look."""

from itertools import combinations, product

import pytest

from watchword.plan.cover import NODES, Costs, Row, SolverError, _Programme, cover, cover_within


def lines() -> list[int]:
    """Return the lines of the affine space of three dimensions over three elements, as bits of its 27 points."""
    points = list(product(range(3), repeat=3))
    found = set()
    for one, other in combinations(points, 2):
        third = tuple((-a - b) % 3 for a, b in zip(one, other, strict=True))
        found.add(sum(1 << points.index(point) for point in (one, other, third)))
    return sorted(found)


ROWS = [Row(line, 0, 1, 0) for line in lines()]
ALL = (1 << 27) - 1


def test_a_known_optimum_is_reached_and_proven() -> None:
    """At most nine points of that space hold no line (Pellegrino 1970), so that 18 cut all 117 lines and 17 don't."""
    assert len(ROWS) == 117
    chosen = cover(ROWS, Costs([1] * 27, [0] * 27), available=ALL, have=0, refine=False)
    assert (chosen.cost, chosen.exact) == (18, True)
    assert all(row.closers & chosen.mask for row in ROWS)


def test_without_a_node_there_is_an_answer_that_is_not_called_exact() -> None:
    """Every row is cut, or the budget kept; only that it is the best isn't said."""
    costs = Costs([1] * 27, [0] * 27)
    chosen = cover(ROWS, costs, available=ALL, have=0, nodes=0)
    assert not chosen.exact
    assert all(row.closers & chosen.mask for row in ROWS)
    within = cover_within(ROWS, costs, available=ALL, have=0, budget=9, nodes=0)
    assert not within.exact
    assert within.cost <= 9


def test_what_cannot_be_is_a_fault_of_ours() -> None:
    """A programme without any solution raises, and never gives an answer that breaks a row."""
    programme = _Programme(0b11, Costs([1, 1], [0, 0]), NODES)
    programme.require(0b11)
    programme.hold({0: 1, 1: 1}, most=0)
    with pytest.raises(SolverError):
        programme.minimise({0: 1, 1: 1})
