"""Show what a plan promises: what comes first, what it says of it, and how it moves."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.plan.builders import (
    NOTHING,
    NOW,
    asset,
    catalogue,
    model,
    protection,
    proven,
    some_model,
    technique,
)

from watchword.observations import State
from watchword.plan.interface import AttackPath, Catalogue, Model
from watchword.plan.outcome import Action, Evidence, Exposure, Phase, Plan, Standing
from watchword.plan.service import Question, make_plan
from watchword.vocabulary import Environment

SEEDS = st.integers(0, 100_000)


class LittlePatience:
    """Have the time to solve again without each item, and none to shake the inputs."""

    def is_over(self, share: float) -> bool:
        """Say that half of the time is gone."""
        return share > 0.5


def plan_of(
    found: Model, known: Catalogue, evidence: Evidence = NOTHING, question: Question | None = None
) -> Plan:
    """Return the plan without shaking it."""
    return make_plan(found, known, evidence, NOW, question, LittlePatience())


def order(plan: Plan, phase: Phase | None = None) -> list[str]:
    """Return the ids of the list, of one phase or of all."""
    return [each.protection.id for each in plan.items if phase in {None, each.phase}]


TOY = catalogue(
    technique("MT-A02", "recon", gives=["api_key"]),
    technique("MT-C07", "recon", gives=["api_key"]),
    technique("MT-B03", "exploit", needs=["api_key"]),
    technique("MT-A09", "exploit"),
    protection("PR-A01", {"MT-A02": 2}, effort=3),
    protection("PR-A05", {"MT-A09": 2}, effort=4),
    protection("PR-B01", {"MT-B03": 3}, effort=5),
    protection("PR-C03", {"MT-C07": 2, "MT-A02": 2}, effort=2),
)
TOY_MODEL = model(
    [asset("records", 5), asset("live-data", 2)],
    [
        ("records", ["MT-A02", "MT-B03"]),
        ("records", ["MT-C07", "MT-B03"]),
        ("live-data", ["MT-A09"]),
    ],
)


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (2, ["PR-C03"]),
        (3, ["PR-C03"]),
        (5, ["PR-B01"]),
        (7, ["PR-B01", "PR-C03"]),
        (9, ["PR-B01", "PR-A05"]),
        (11, ["PR-B01", "PR-A05", "PR-C03"]),
        (14, ["PR-B01", "PR-A05", "PR-C03", "PR-A01"]),
    ],
)
def test_each_budget_buys_the_shield_as_soon_as_it_can(budget: int, expected: list[str]) -> None:
    """The objective of the papers never buys the shield at all: it takes any cut for as good."""
    plan = plan_of(TOY_MODEL, TOY, question=Question(budget))
    assert order(plan) == expected
    assert plan.effort <= budget
    first = plan.items[0]
    assert first.interim is (budget < 5)
    if budget < 5:
        short = plan.shortfalls[0]
        assert (short.phase, short.level, short.needs) == (Phase.PREVENT, 5, 5)
        assert short.cheapest == ("PR-B01",)
        assert {each.asset.id: each.after for each in plan.assets}["records"] is Exposure.DELAYED


def test_an_item_says_what_it_does_and_what_follows_without_it() -> None:
    """The paths that it closes, the step where it cuts, and what nothing else would close."""
    plan = plan_of(TOY_MODEL, TOY)
    first = plan.items[0]
    assert first.closes == ("records:MT-A02>MT-B03", "records:MT-C07>MT-B03")
    assert [(each.technique, each.strength) for each in first.cuts] == [("MT-B03", 3)]
    assert first.skipped.stays_open == first.closes
    assert first.skipped.instead == ()
    assert [(each.level, each.open, each.closed) for each in first.exposure] == [
        (5, 0, 1),
        (2, 1, 0),
    ]
    pinning = next(each for each in plan.items if each.protection.id == "PR-C03")
    assert pinning.phase is Phase.GATHERING
    assert pinning.delays == first.closes
    assert not pinning.interim
    # The shield closes it by then: without pinning it stays closed, and its gathering gets easier.
    assert pinning.skipped.stays_open == ()
    assert pinning.skipped.uncut == ("records:MT-C07>MT-B03",)
    last = plan.items[-1]
    assert (last.protection.id, last.phase) == ("PR-A01", Phase.HARDENING)
    assert (last.closes, last.delays, last.slows) == ((), (), ("records:MT-A02>MT-B03",))


HALF = catalogue(
    technique("MT-R01", "recon"),
    technique("MT-X01", "exploit"),
    technique("MT-X02", "exploit"),
    protection("PR-A01", {"MT-R01": 2}, effort=1),
    protection("PR-B01", {"MT-X01": 2}, effort=1),
    protection("PR-B02", {"MT-X02": 2}, effort=50),
)
HALF_MODEL = model(
    [asset("cheap", 5), asset("dear", 4)],
    [("cheap", ["MT-R01", "MT-X01"]), ("dear", ["MT-R01", "MT-X02"])],
)


def test_what_is_closed_neither_stays_open_nor_is_held_for_the_time_being() -> None:
    """A budget closes one of two paths; what gathers on both is interim for the other alone."""
    plan = plan_of(HALF_MODEL, HALF, question=Question(budget=2))
    assert order(plan) == ["PR-B01", "PR-A01"]
    held = plan.items[1]
    cheap, dear = "cheap:MT-R01>MT-X01", "dear:MT-R01>MT-X02"
    assert held.delays == (cheap, dear)
    assert held.interim
    assert held.unclosed == (dear,)
    assert held.skipped.stays_open == (dear,)
    assert held.skipped.uncut == (cheap,)
    # What the sentence says of the time being names the open path's asset, and not the closed one's.
    assert "cheap" not in held.why.partition("Interim")[2]
    assert "dear" in held.why.partition("Interim")[2]
    whole = plan_of(HALF_MODEL, HALF)
    gathering = next(each for each in whole.items if each.protection.id == "PR-A01")
    assert not gathering.interim
    assert (gathering.unclosed, gathering.skipped.stays_open) == ((), ())
    assert gathering.skipped.uncut == (cheap, dear)


def test_a_plan_holds_for_the_world_that_its_evidence_was_judged_for() -> None:
    """So that every view can say it."""
    assert plan_of(TOY_MODEL, TOY).environment is Environment.PROD
    lab = replace(NOTHING, environment=Environment.LAB)
    assert plan_of(TOY_MODEL, TOY, lab).environment is Environment.LAB


def test_a_tie_is_shown_as_a_tie() -> None:
    """Two that do as much for as much: the smaller id stands, the other is named beside it."""
    known = catalogue(
        technique("MT-B04", "exploit"),
        protection("PR-B01", {"MT-B04": 2}, effort=6),
        protection("PR-B18", {"MT-B04": 2}, effort=6),
        protection("PR-B19", {"MT-B04": 3}, effort=7),
    )
    plan = plan_of(model([asset("records", 5)], [("records", ["MT-B04"])]), known)
    assert order(plan, Phase.PREVENT) == ["PR-B01"]
    assert plan.items[0].ties == (("PR-B18",),)
    assert plan.items[0].skipped.extra_effort == 0
    assert order(plan, Phase.HARDENING) == ["PR-B18", "PR-B19"]


def test_a_cheaper_set_for_all_levels_is_told() -> None:
    """Level by level costs 9 here; one measure would close both for 6."""
    known = catalogue(
        technique("MT-B05", "exploit"),
        technique("MT-B13", "exploit"),
        protection("PR-B13", {"MT-B05": 3, "MT-B13": 2}, effort=6),
        protection("PR-B19", {"MT-B13": 2}, effort=3),
    )
    found = model(
        [asset("value", 4), asset("accounts", 3)],
        [("value", ["MT-B05", "MT-B13"]), ("accounts", ["MT-B05"])],
    )
    plan = plan_of(found, known)
    assert order(plan, Phase.PREVENT) == ["PR-B19", "PR-B13"]
    assert plan.cheaper is not None
    assert (plan.cheaper.protections, plan.cheaper.effort) == (("PR-B13",), 6)
    assert plan.cheaper.phases_effort == 9


def test_what_nothing_closes_is_named() -> None:
    """A step that no protection stops isn't dropped in silence, and a recon cut on it is interim."""
    known = catalogue(
        technique("MT-A01", "recon"),
        technique("MT-A15", "exploit"),
        protection("PR-A01", {"MT-A01": 2}, effort=1),
        protection("PR-A10", {"MT-A15": 1}, effort=1),
    )
    plan = plan_of(model([asset("login", 4)], [("login", ["MT-A01", "MT-A15"])]), known)
    assert plan.unclosable == ("login:MT-A01>MT-A15",)
    assert [each.after for each in plan.assets] == [Exposure.DELAYED]
    assert [(each.protection.id, each.interim) for each in plan.items] == [
        ("PR-A01", True),
        ("PR-A10", False),
    ]


def test_what_if_takes_for_proven_or_out_of_reach() -> None:
    """With +ID it isn't bought any more; with -ID neither it nor what hangs on it can be had."""
    assert (
        order(plan_of(TOY_MODEL, TOY, question=Question(added=frozenset({"PR-B01"}))))[0]
        == "PR-A05"
    )
    plan = plan_of(TOY_MODEL, TOY, question=Question(removed=frozenset({"PR-B01"})))
    assert "PR-B01" not in order(plan)
    assert plan.unclosable == ("records:MT-A02>MT-B03", "records:MT-C07>MT-B03")


def test_a_proof_that_breaks_moves_the_shield_back_to_the_top() -> None:
    """A shield in report-only mode: proven before, broken now, and the plan says repair."""
    before = plan_of(TOY_MODEL, TOY, proven(TOY_MODEL, "PR-B01"))
    assert order(before)[0] == "PR-A05"
    broken = Standing("PR-B01", State.BROKEN, "api:clinic", why="40 % of calls had no token")
    after = plan_of(TOY_MODEL, TOY, Evidence({"PR-B01": (broken,)}, {}))
    assert order(after)[0] == "PR-B01"
    assert after.items[0].action is Action.REPAIR
    assert after.items[0].evidence == (broken,)


@given(SEEDS)
def test_proven_evidence_never_adds_a_task(seed: int) -> None:
    """Whatever is proven, nothing new comes into the list, and no asset is worse off."""
    found, known = some_model(seed)
    names = sorted(known.protections)
    before = plan_of(found, known)
    one = names[seed % len(names)]
    after = plan_of(found, known, proven(found, one))
    assert set(order(after)) <= set(order(before)) - {one}
    rank = [Exposure.CLOSED, Exposure.DELAYED, Exposure.OPEN]
    for earlier, later in zip(before.assets, after.assets, strict=True):
        assert rank.index(later.now) <= rank.index(earlier.now)


def effort_until_closed(plan: Plan, name: str) -> int | None:
    """Return the effort at the end of the phase that closes an asset, None where none does.

    Seen by phases, since the order inside one serves all assets of its level.
    """
    paths = {each.path.id for each in plan.paths if each.path.asset == name}
    still = {
        each.path.id
        for each in plan.paths
        if each.path.asset == name and each.now is not Exposure.CLOSED
    }
    assert still <= paths
    if not still:
        return 0
    level = None
    for item in plan.items:
        still -= set(item.closes)
        if not still:
            level = (item.phase, item.level)
            break
    if level is None:
        return None
    return max(each.spent for each in plan.items if (each.phase, each.level) == level)


@given(SEEDS)
def test_raising_an_impact_never_closes_an_asset_later(seed: int) -> None:
    """What closes an asset is done for no more effort than before, once the asset counts for more."""
    found, known = some_model(seed)
    name = sorted(found.assets)[seed % len(found.assets)]
    before = effort_until_closed(plan_of(found, known), name)
    for impact in range(found.assets[name].impact + 1, 6):
        raised = {**found.assets, name: replace(found.assets[name], impact=impact)}
        after = effort_until_closed(plan_of(replace(found, assets=raised), known), name)
        assert (before is None) is (after is None)
        if before is not None and after is not None:
            assert after <= before


@given(SEEDS)
def test_where_each_step_has_one_cure_a_higher_impact_never_lowers_it(seed: int) -> None:
    """Without alternatives the place of a measure never falls behind another one's that it led."""
    steps = [technique(f"MT-X{n:02}", "exploit") for n in range(5)]
    known = catalogue(*steps, *(protection(f"PR-P{n:02}", {f"MT-X{n:02}": 3}) for n in range(5)))
    impacts = [1 + (seed // 7**n) % 5 for n in range(5)]
    found = model(
        [asset(f"a{n}", impacts[n]) for n in range(5)],
        [(f"a{n}", [f"MT-X{n:02}"]) for n in range(5)],
    )
    one = seed % 5
    before = order(plan_of(found, known)).index(f"PR-P{one:02}")
    raised = {**found.assets, f"a{one}": replace(found.assets[f"a{one}"], impact=5)}
    after = order(plan_of(replace(found, assets=raised), known)).index(f"PR-P{one:02}")
    assert after <= before


@given(SEEDS, st.randoms(use_true_random=False))
def test_the_order_of_the_input_changes_nothing(seed: int, shuffler: object) -> None:
    """Assets, techniques and protections may stand in any order."""
    found, known = some_model(seed)

    def turned(entries: dict[str, object]) -> dict[str, object]:
        names = list(entries)
        shuffler.shuffle(names)  # type: ignore[attr-defined]
        return {name: entries[name] for name in names}

    other = Catalogue(
        turned(dict(known.techniques)),  # type: ignore[arg-type]
        turned(dict(known.protections)),  # type: ignore[arg-type]
    )
    shuffled = replace(found, assets=turned(dict(found.assets)))  # type: ignore[arg-type]
    one, two = plan_of(found, known), plan_of(shuffled, other)
    assert (one.items, one.paths, one.assets) == (two.items, two.paths, two.assets)


@given(SEEDS)
def test_the_account_adds_up(seed: int) -> None:
    """Each path is closed once at most, efforts add up, and what is closed at the end is told by the items."""
    found, known = some_model(seed)
    plan = plan_of(found, known)
    closed = [path for item in plan.items for path in item.closes]
    assert len(closed) == len(set(closed))
    assert set(closed) == {
        each.path.id
        for each in plan.paths
        if each.after is Exposure.CLOSED and each.now is not Exposure.CLOSED
    }
    assert [item.place for item in plan.items] == list(range(1, len(plan.items) + 1))
    assert plan.effort == sum(item.effort for item in plan.items)
    spent = [item.spent for item in plan.items]
    assert spent == sorted(spent)
    phases = [list(Phase).index(item.phase) for item in plan.items]
    assert phases == sorted(phases)
    seen: set[str] = set()
    for item in plan.items:
        assert set(item.protection.depends_on) <= seen
        seen.add(item.protection.id)
    assert set(plan.unclosable) == {each.path.id for each in plan.paths if not each.closers}


def test_a_path_of_its_own_keeps_its_words() -> None:
    """What the user wrote of a path comes back with it."""
    path = AttackPath("records", ("MT-B03",), because="seen last year")
    plan = plan_of(replace(TOY_MODEL, paths=(path,)), TOY)
    assert [each.path for each in plan.paths] == [path]
