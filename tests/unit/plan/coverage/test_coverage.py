"""Reproduce the published answers of the coverage objective, and show what it does to the seed's case.

The objective counts the attacks that a set of defences prevents, and looks at cost only then.  The seven trees
come with ADTool, the other two with adtrees; all are drawn anew.  The numbers were taken with adtrees'
semantics and HiGHS; facts alone carry over, neither drawings nor code.
"""

import json
import time
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.plan.coverage import trees
from tests.unit.plan.coverage.choices import (
    Choice,
    by_planner,
    by_solver,
    by_trying,
    count_prevented,
)
from tests.unit.plan.coverage.semantics import attacker_wins, attacks, defences, published
from tests.unit.plan.coverage.trees import Actor, Gate, Node, Tree, do, every, one, row_of_answers
from tests.unit.plan.test_service import TOY, TOY_MODEL, order, plan_of

from watchword.plan.interface import CUT_THRESHOLD
from watchword.plan.service import Question

TABLE = Path(__file__).parents[5] / "shared" / "catalogue" / "adtool_examples_coverage.json"


class Published(NamedTuple):
    """Hold a row of the table.

    :param curve: attacks prevented with 1, 2, 3 ... defences, until no more can be.
    """

    tree: Tree
    attacker: int
    defender: int
    preventable: int
    strategies: int
    curve: tuple[int, ...]


ROWS = {
    "BankAccount": Published(trees.BANK_ACCOUNT, 9, 3, 3, 3, (2, 3)),
    "RFIDBlock": Published(trees.RFID_BLOCK, 8, 2, 3, 2, (3,)),
    "RFIDDos": Published(trees.RFID_DOS, 6, 0, 0, 0, ()),
    "RFIDWarehouse": Published(trees.RFID_WAREHOUSE, 39, 17, 42, 17, (39, 42)),
    "BreakingWarehouse": Published(trees.BREAKING_WAREHOUSE, 8, 4, 21, 4, (12, 16, 20, 21)),
    "DataConfidentiality": Published(trees.DATA_CONFIDENTIALITY, 14, 12, 1, 1, (0, 0, 0, 1)),
    "AuctionFraud": Published(trees.AUCTION_FRAUD, 15, 10, 1, 10, (1,)),
}
EACH_ROW = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)


def costs_of(tree: Tree, each: int = 1) -> dict[str, int]:
    """Return the same cost for each defence."""
    return dict.fromkeys(sorted(tree.actions(Actor.DEFENDER)), each)


@EACH_ROW
def test_a_tree_has_the_published_counts(row: Published) -> None:
    """Actions of both, attacks that can be prevented, and the least sets that prevent them."""
    found = published(row.tree)
    assert row.tree.counted(Actor.ATTACKER) == row.attacker
    assert row.tree.counted(Actor.DEFENDER) == row.defender
    assert len(found) == row.preventable
    assert len({each for attack in found for each in defences(attack)}) == row.strategies


@EACH_ROW
def test_each_number_of_defences_prevents_as_many_as_published(row: Published) -> None:
    """HiGHS, the planner's rule for budgets and trying every set agree with the table, and it ends where it says."""
    found = published(row.tree)
    costs = costs_of(row.tree)
    curve = (*row.curve, row.preventable)
    for budget, expected in enumerate(curve, start=1):
        choice = by_solver(found, costs, budget)
        tried = by_trying(row.tree, found, costs, budget)
        assert choice.prevented == expected
        assert choice[:2] == tried[:2]
        assert count_prevented(row.tree, found, choice.defences) == expected
        assert by_planner(found, costs, budget) == expected
    if row.curve:
        assert row.curve[-1] == row.preventable
        assert by_solver(found, costs, len(costs)).cost == len(row.curve)


@pytest.mark.skipif(not TABLE.exists(), reason="the table isn't here")
@pytest.mark.parametrize("name", ROWS)
def test_the_rows_stand_as_they_were_measured(name: str) -> None:
    """The table itself, row by row; the defences that it names do what it says of them on our drawing."""
    table: dict[str, Any] = json.loads(TABLE.read_text())
    assert set(table) == set(ROWS)
    row, measured = ROWS[name], table[name]
    assert measured["attacker_actions"] == row.attacker
    assert measured["defender_actions"] == row.defender
    assert measured["attack_strategies"] == row.preventable
    assert measured["defence_strategies"] == row.strategies
    assert tuple(entry[1] for entry in measured["curve"]) == row.curve
    found = published(row.tree)
    for budget, prevented, tried, chosen, _ in measured["curve"]:
        assert tried in {prevented, None}
        choice = by_solver(found, costs_of(row.tree), budget)
        if isinstance(chosen, int):
            assert choice.cost == chosen
        else:
            assert choice.cost == len(chosen)
            assert set(chosen) <= row.tree.actions(Actor.DEFENDER)
            assert count_prevented(row.tree, found, frozenset(chosen)) == prevented


def test_the_largest_tree_is_quick() -> None:
    """Its strategies took 21 seconds in adtrees; the choice is a matter of milliseconds."""
    tree = trees.RFID_WAREHOUSE
    by_solver(published(trees.RFID_BLOCK), costs_of(trees.RFID_BLOCK), 1)  # Loads the solver.
    start = time.perf_counter()
    found = published(tree)
    understood = time.perf_counter()
    by_solver(found, costs_of(tree), 2)
    assert understood - start < 3
    assert time.perf_counter() - understood < 1


def test_who_attacks_a_defenders_goal_has_more_than_the_table_counts() -> None:
    """Break-ins and talking people round can be prevented too, but by no four defences."""
    tree = trees.DATA_CONFIDENTIALITY
    found = [attack for attack in attacks(tree) if attack.preventable]
    curve = [by_solver(found, costs_of(tree), budget).prevented for budget in range(1, 10)]
    assert curve == [0, 0, 0, 1, 9, 29, 30, 31, 32]
    assert len(found) == 32


def test_one_for_many_goes_before_one_for_one() -> None:
    """The optimiser's example in adtrees: 10 each and 15 to spend buy `x`, and with it four attacks of five."""
    tree = trees.OPTIMIZATION
    found = published(tree)
    assert len(found) == 5
    assert by_solver(found, costs_of(tree, 10), 15) == Choice(4, 10, frozenset({"x"}))
    assert by_trying(tree, found, costs_of(tree, 10), 15) == Choice(4, 10, frozenset({"x"}))
    assert by_solver(found, costs_of(tree, 10), 20).prevented == 5


@pytest.mark.parametrize(
    ("count", "times"),
    [(15, 1), (15, 2), (15, 3), (15, 14), (2, 1), (3, 2), (6, 4), (9, 5), (40, 1), (40, 20)],
)
def test_the_formula_of_adtrees_holds(count: int, times: int) -> None:
    """One common defence, and for the rest of the budget one of its own for each: n + (i - 1) of 2n."""
    tree = row_of_answers(count)
    found = published(tree)
    assert len(found) == 2 * count
    choice = by_solver(found, costs_of(tree, 10), 10 * times)
    assert (choice.prevented, choice.cost) == (count + times - 1, 10 * times)
    if times < count - 1:
        assert len(choice.defences & {"common 1", "common 2"}) == 1
    if count <= 9:
        assert choice[:2] == by_trying(tree, found, costs_of(tree, 10), 10 * times)[:2]


@pytest.mark.parametrize("count", [1, 2, 4, 15])
def test_the_formula_ends_where_own_defences_reach_for_all(count: int) -> None:
    """From a budget of n on, each attack's own defence prevents all 2n, one more than the formula says."""
    found = published(row_of_answers(count))
    costs = costs_of(row_of_answers(count), 10)
    assert by_solver(found, costs, 10 * count).prevented == 2 * count
    assert by_solver(found, costs, 10 * (count + 2)).prevented == 2 * count


def toy_tree() -> Tree:
    """Return the seed's toy as a tree: each path takes all its steps, and whatever cuts a step answers it."""

    def answered(step: str) -> Node:
        cutting = [
            each.id for each in TOY.protections.values() if each.cuts.get(step, 0) >= CUT_THRESHOLD
        ]
        return do(step, but=one(f"against {step}", *map(do, cutting)))

    paths = [every(path.id, *map(answered, path.steps)) for path in TOY_MODEL.paths]
    return Tree(one("any path", *paths))


@pytest.mark.parametrize("budget", range(2, 15))
def test_counting_attacks_never_buys_the_shield(budget: int) -> None:
    """It takes a cut at a reconnaissance step for as good; the planner's phases buy the shield as soon as they can."""
    tree = toy_tree()
    costs = {each.id: each.effort for each in TOY.protections.values()}
    found = published(tree)
    choice = by_solver(found, costs, budget)
    pinning, runtime = {"PR-C03"}, {"PR-A05"}
    assert len(found) == 3
    assert choice.defences == (pinning | runtime if budget >= 6 else pinning)
    assert choice == by_trying(tree, found, costs, budget)
    bought = order(plan_of(TOY_MODEL, TOY, question=Question(budget)))
    assert ("PR-B01" in bought) is (bought[0] == "PR-B01") is (budget >= 5)


def drawings(owner: Actor, depth: int = 3) -> st.SearchStrategy[Node]:
    """Return small trees at random, with labels that repeat."""
    name = st.sampled_from("abcd").map(lambda label: f"{owner} {label}")
    if not depth:
        return st.builds(Node, name)
    children = st.lists(st.deferred(lambda: drawings(owner, depth - 1)), max_size=3).map(tuple)
    answer = st.none() | st.deferred(lambda: drawings(owner.other, depth - 1))
    return st.builds(Node, name, children, st.sampled_from(Gate), answer)


def subsets(names: frozenset[str]) -> list[frozenset[str]]:
    """Return every subset, the smallest first."""
    return [
        frozenset(chosen)
        for size in range(len(names) + 1)
        for chosen in combinations(sorted(names), size)
    ]


def least(sets: list[frozenset[str]]) -> set[frozenset[str]]:
    """Return those that hold no other one."""
    return {each for each in sets if not any(other < each for other in sets)}


TREES = st.one_of([st.builds(Tree, drawings(owner), st.just(owner)) for owner in Actor])


@given(TREES)
def test_strategies_are_what_trying_everything_finds(tree: Tree) -> None:
    """Attacks least against some defences, and the least defences that each of them loses to."""
    done, have = subsets(tree.actions(Actor.ATTACKER)), subsets(tree.actions(Actor.DEFENDER))
    expected = {
        actions
        for chosen in have
        for actions in least([each for each in done if attacker_wins(tree, each, chosen)])
    }
    found = attacks(tree)
    assert {attack.actions for attack in found} == expected
    assert len(found) == len(expected)
    for attack in found:
        losing = [each for each in have if not attacker_wins(tree, attack.actions, each)]
        assert set(defences(attack)) == least(losing)
        assert attack.preventable is bool(losing)


@given(TREES, st.lists(st.integers(1, 6), min_size=4, max_size=4), st.integers(0, 12))
def test_the_solver_chooses_as_well_as_trying_everything(
    tree: Tree, prices: list[int], budget: int
) -> None:
    """As many attacks, for as little."""
    found = [attack for attack in attacks(tree) if attack.preventable]
    names = sorted(tree.actions(Actor.DEFENDER))
    costs = dict(zip(names, prices, strict=False))
    choice = by_solver(found, costs, budget)
    assert choice[:2] == by_trying(tree, found, costs, budget)[:2]
    assert choice.cost <= budget
