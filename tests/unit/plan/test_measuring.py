"""Measured strengths: what they come to, which of several stands, and what they may change."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.plan.builders import NOTHING, asset, catalogue, model, protection, technique

from watchword.observations import Claim, Observation, State, Vouched
from watchword.plan.evidence import Circumstances, judge, least, measured, strength_of
from watchword.plan.outcome import Exposure, Plan, Standing
from watchword.plan.service import make_plan
from watchword.vocabulary import Environment

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
KNOWN = catalogue(
    technique("MT-A02", "recon", gives=["api_key"]),
    technique("MT-B03", "exploit", needs=["api_key"]),
    protection("PR-B01", {"MT-B03": 3, "MT-A02": 1}, effort=5),
    protection("PR-B18", {"MT-B03": 2}, effort=6),
)
MODEL = model([asset("records", 5)], [("records", ["MT-A02", "MT-B03"])])
PAIRS = st.integers(1, 60).flatmap(lambda tried: st.tuples(st.integers(0, tried), st.just(tried)))


def standing(
    stopped: int, tried: int, target: str = "api:clinic", state: State = State.PROVEN
) -> Standing:
    """Return how PR-B01 stands, measured against MT-B03."""
    return Standing("PR-B01", state, target, measured={"MT-B03": (stopped, tried)})


def taken(standings: Sequence[Standing], estimate: int = 3) -> int:
    """Return the strength that is taken where this is how PR-B01 stands."""
    shield = replace(KNOWN.protections["PR-B01"], cuts={"MT-B03": estimate})
    known = replace(KNOWN, protections={**KNOWN.protections, "PR-B01": shield})
    found, _ = measured(known, {"PR-B01": standings})
    return found.protections["PR-B01"].cuts["MT-B03"]


@pytest.mark.parametrize(
    ("stopped", "tried", "strength"),
    [
        (1, 1, 3),
        (55, 55, 3),
        (54, 55, 2),
        (28, 55, 2),
        (1, 2, 2),
        (27, 55, 1),
        (1, 9, 1),
        (0, 1, 0),
    ],
)
def test_a_share_comes_to_a_strength(stopped: int, tried: int, strength: int) -> None:
    """All 3, at least half 2, some 1, none 0."""
    assert strength_of(stopped, tried) == strength


@given(PAIRS, st.integers(1, 3))
def test_a_measure_refutes_an_estimate_and_never_raises_it(
    pair: tuple[int, int], estimate: int
) -> None:
    """That all was stopped that a drill tries doesn't show that nothing else gets through."""
    assert taken([standing(*pair)], estimate) == min(estimate, strength_of(*pair))


@given(st.lists(PAIRS, min_size=1, max_size=5), st.integers(1, 3), st.randoms())
def test_over_targets_the_least_stands_in_any_order(
    pairs: list[tuple[int, int]], estimate: int, shuffler: object
) -> None:
    """No target helps another one: the protection is worth what it is worth where it is worth least."""
    found = [standing(*pair, f"api:{number}") for number, pair in enumerate(pairs)]
    assert taken(found, estimate) == min(taken([each], estimate) for each in found)
    mixed = list(found)
    shuffler.shuffle(mixed)  # type: ignore[attr-defined]
    assert measured(KNOWN, {"PR-B01": mixed}) == measured(KNOWN, {"PR-B01": found})


def test_a_target_that_counts_and_measured_nothing_keeps_the_estimate() -> None:
    """What was seen elsewhere may lower it all the same."""
    unmeasured = Standing("PR-B01", State.PROVEN, "api:billing")
    assert taken([standing(9, 9), unmeasured], 2) == 2
    assert taken([standing(1, 9), unmeasured], 2) == 1


@pytest.mark.parametrize("state", [each for each in State if not each.counts])
def test_only_what_counts_measures(state: State) -> None:
    """A claim, a stale proof, bad news: none of them moves a strength, up or down."""
    assert taken([standing(9, 9, state=state)], 2) == 2
    assert taken([standing(0, 9, state=state)], 2) == 2
    assert measured(KNOWN, {"PR-B01": [standing(0, 9, state=state)]}) == (KNOWN, ())


def test_no_cut_comes_of_a_measure_alone() -> None:
    """A technique that the catalogue doesn't name at the protection, or names with 0, stays uncut."""
    seen = Standing("PR-B18", State.PROVEN, "api:x", measured={"MT-A02": (9, 9), "MT-B03": (5, 9)})
    found, measures = measured(KNOWN, {"PR-B18": [seen]})
    assert found.protections["PR-B18"].cuts == {"MT-B03": 2}
    assert [(each.technique, each.estimate, each.strength) for each in measures] == [
        ("MT-B03", 2, 2)
    ]
    assert taken([standing(9, 9)], 0) == 0


@given(st.lists(st.dictionaries(st.sampled_from(["MT-1", "MT-2"]), PAIRS), max_size=5))
def test_the_least_share_of_several_keys(found: list[dict[str, tuple[int, int]]]) -> None:
    """By technique, whatever else the same statement measured."""
    shares = least(found)
    assert shares.keys() == {name for each in found for name in each}
    for name, (stopped, tried) in shares.items():
        assert all(
            stopped * each[name][1] <= each[name][0] * tried for each in found if name in each
        )
    assert least([{"MT-1": (0, 0)}]) == {}


def seen(state: State, hours: int, key: str, *pair: int, **more: object) -> Observation:
    """Return an observation some hours ago."""
    found = Observation(
        "PR-B01",
        key,
        state,
        NOW - timedelta(hours=hours),
        "api:clinic",
        "drill",
        Environment.PROD,
        measured={"MT-B03": (pair[0], pair[1])} if pair else {},
    )
    return replace(found, **more)  # type: ignore[arg-type]


def plan_of(*vouched: Observation, claims: Sequence[Observation] = ()) -> Plan:
    """Return the plan by what was observed."""
    shield = replace(KNOWN.protections["PR-B01"], evidence=("live:one", "live:two"))
    known = replace(KNOWN, protections={**KNOWN.protections, "PR-B01": shield})
    evidence = judge(
        [Vouched(each, "ci") for each in vouched],
        [Claim(each, "unsigned") for each in claims],
        known,
        MODEL.assets,
        Circumstances(NOW, timedelta(days=30), Environment.PROD, {}, {}),
    )
    return make_plan(MODEL, known, evidence, NOW)


def test_a_proof_that_stopped_too_little_closes_nothing() -> None:
    """The same proof with and without numbers: by the estimate it closes, by what was measured it doesn't."""
    assert plan_of(seen(State.PROVEN, 1, "live:one")).paths[0].now is Exposure.CLOSED
    weak = plan_of(seen(State.PROVEN, 1, "live:one", 2, 6))
    assert weak.paths[0].now is Exposure.OPEN
    # Something else is to be done: the shield stands, and isn't enough.
    assert [each.protection.id for each in weak.items][:1] == ["PR-B18"]
    (measure,) = weak.measures
    assert (measure.strength, measure.estimate, measure.target) == (1, 3, "api:clinic")


def test_over_keys_of_a_target_the_least_of_those_that_count_stands() -> None:
    """A newer key that measured nothing hides no older numbers, and a stale one has none."""
    older = seen(State.PROVEN, 9, "live:one", 2, 6)
    newer = seen(State.PROVEN, 1, "live:two")
    assert [each.stopped for each in plan_of(older, newer).measures] == [2]
    stale = seen(State.PROVEN, 24 * 31, "live:one", 2, 6)
    assert plan_of(stale, newer).measures == ()
    # Where bad news decides, what counts by another key measures nothing.
    broken = plan_of(older, seen(State.BROKEN, 1, "live:two"))
    assert [dict(each.measured) for item in broken.items for each in item.evidence] == [{}]
    repeated = seen(State.PROVEN, 1, "live:one", 6, 6)
    assert [each.stopped for each in plan_of(older, repeated).measures] == [6]


@pytest.mark.parametrize("pair", [(0, 9), (9, 9)])
def test_no_claim_moves_a_strength(pair: tuple[int, int]) -> None:
    """Anybody may write numbers; without an observer's word they are air."""
    proof = seen(State.PROVEN, 5, "live:one", 6, 6)
    alone, beside = (
        plan_of(proof),
        plan_of(proof, claims=[seen(State.PROVEN, 1, "live:two", *pair)]),
    )
    assert beside.measures == alone.measures
    assert beside.items == alone.items


def test_without_evidence_nothing_is_measured() -> None:
    """The catalogue stays the very same."""
    assert measured(KNOWN, NOTHING.standings) == (KNOWN, ())
