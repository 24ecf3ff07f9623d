"""Show that what is told of an order's firmness is so: draws that repeat, and the smallest change done by hand."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.plan.builders import NOTHING, NOW, proven, some_model
from tests.unit.plan.test_service import TOY, TOY_MODEL

from watchword.apps.settings.plan import load_plan
from watchword.plan.cover import compile_model
from watchword.plan.interface import Catalogue, Model
from watchword.plan.outcome import Change, Estimate, Phase, Plan
from watchword.plan.phases import schedule
from watchword.plan.service import Question, make_plan
from watchword.plan.stability import DRAWS

SEED_CASE = Path(__file__).parents[3] / "examples" / "api-key-script.yaml"
CLASSES = (1, 3, 6)


class NoPatience:
    """Have no time at all."""

    def is_over(self, share: float) -> bool:
        """Say that the time is gone, whatever the share."""
        return share >= 0


def order(found: Model, known: Catalogue, there: frozenset[str]) -> tuple[str, ...]:
    """Return the order of prevention and gathering, some protections being proven."""
    proofs = dict.fromkeys(found.assets, there)
    compiled = compile_model(known, found.assets, found.paths, proofs)
    return tuple(compiled.ids[bit] for bit in schedule(compiled).order)


def with_impact(found: Model, name: str, impact: int) -> Model:
    """Return a model with another impact of one asset."""
    return replace(found, assets={**found.assets, name: replace(found.assets[name], impact=impact)})


def with_effort(known: Catalogue, name: str, effort: int) -> Catalogue:
    """Return a catalogue with another effort of one protection."""
    changed = replace(known.protections[name], effort=effort)
    return replace(known, protections={**known.protections, name: changed})


def with_strength(known: Catalogue, name: str, technique: str, strength: int) -> Catalogue:
    """Return a catalogue with another strength of one protection against one technique."""
    cuts = {**known.protections[name].cuts, technique: strength}
    changed = replace(known.protections[name], cuts=cuts)
    return replace(known, protections={**known.protections, name: changed})


def applied(found: Model, known: Catalogue, change: Change) -> tuple[Model, Catalogue]:
    """Carry a change out."""
    if change.estimate is Estimate.IMPACT:
        assert found.assets[change.subject].impact == change.before
        return with_impact(found, change.subject, change.after), known
    entry = known.protections[change.subject]
    if change.estimate is Estimate.EFFORT:
        assert entry.effort == change.before
        return found, with_effort(known, change.subject, change.after)
    assert entry.cuts[change.technique] == change.before
    return found, with_strength(known, change.subject, change.technique, change.after)


def every(found: Model, known: Catalogue, size: int) -> Iterator[tuple[Model, Catalogue]]:
    """Yield a model for each single change of a size, whatever it may be good for."""
    for name, asset in found.assets.items():
        for impact in (asset.impact - size, asset.impact + size):
            if 1 <= impact <= 5:
                yield with_impact(found, name, impact), known
    for name, entry in known.protections.items():
        at = CLASSES.index(entry.effort)
        for place in (at - size, at + size):
            if 0 <= place < len(CLASSES):
                yield found, with_effort(known, name, CLASSES[place])
        for technique, strength in entry.cuts.items():
            for other in (strength - size, strength + size):
                if strength and 0 <= other <= 3:
                    yield found, with_strength(known, name, technique, other)


@pytest.fixture(scope="module")
def seed_plan() -> Plan:
    """Make the plan of the case that the method starts from."""
    settings = load_plan(SEED_CASE)
    return make_plan(settings.model, settings.catalogue, NOTHING, NOW)


def test_the_seed_case_stands_firm(seed_plan: Plan) -> None:
    """Whatever impacts and efforts are shaken to, attestation at the API comes first."""
    first = seed_plan.items[0]
    assert first.protection.id == "PR-B01"
    assert first.stability is not None
    assert (first.stability.draws, first.stability.first) == (DRAWS, DRAWS)
    assert DRAWS == 200
    firsts = [each.stability.first for each in seed_plan.items if each.stability is not None]
    assert sum(firsts) == DRAWS


def test_the_draws_are_the_same_each_time(seed_plan: Plan) -> None:
    """A plan that says other numbers at each run can't be held against its last one."""
    settings = load_plan(SEED_CASE)
    again = make_plan(settings.model, settings.catalogue, NOTHING, NOW)
    assert again.items == seed_plan.items


@pytest.mark.parametrize("seed", range(40))
def test_the_smallest_change_moves_the_item_and_no_smaller_does(seed: int) -> None:
    """Carried out by hand it moves the item to the place that is told; every smaller one leaves it where it is."""
    found, known = some_model(seed, most=6)
    there = frozenset(sorted(known.protections)[: seed % 3])
    plan = make_plan(found, known, proven(found, *there), NOW)
    before = order(found, known, there)
    moved: dict[int, list[tuple[str, ...]]] = {
        size: [order(*each, there) for each in every(found, known, size)] for size in (1, 2, 3, 4)
    }
    for item in plan.items:
        name = item.protection.id
        if item.phase is Phase.HARDENING:
            assert item.stability is None
            continue
        assert item.stability is not None
        change = item.stability.smallest
        smaller = range(1, 5 if change is None else change.size)
        for size in smaller:
            assert all(_place(after, name) == item.place for after in moved[size])
        if change is not None:
            after = order(*applied(found, known, change), there)
            assert _place(after, name) == change.place
            assert change.place != _place(before, name) == item.place
            words = (change.subject, change.technique, str(change.before), str(change.after))
            assert all(each in change.what for each in words)


def _place(names: tuple[str, ...], name: str) -> int | None:
    return names.index(name) + 1 if name in names else None


def test_first_places_are_those_of_the_shaken_inputs() -> None:
    """Where two protections are worth the same, each leads at times; a share isn't only all or nothing."""
    known = with_effort(TOY, "PR-B01", 5)
    found = with_impact(TOY_MODEL, "live-data", 5)
    plan = make_plan(found, known, NOTHING, NOW)
    firsts: Mapping[str, int] = {
        each.protection.id: each.stability.first for each in plan.items if each.stability
    }
    assert sum(firsts.values()) == DRAWS
    assert firsts["PR-B01"] > firsts["PR-A05"] > 0


@pytest.mark.parametrize("budget", [None, 5])
def test_without_any_time_the_plan_is_whole_and_says_what_it_lacks(budget: int | None) -> None:
    """The order doesn't hang on patience: only what is told of its firmness does."""
    patient = make_plan(TOY_MODEL, TOY, NOTHING, NOW, Question(budget))
    hasty = make_plan(TOY_MODEL, TOY, NOTHING, NOW, Question(budget), NoPatience())
    assert [each.protection.id for each in hasty.items] == [
        each.protection.id for each in patient.items
    ]
    assert (hasty.paths, hasty.assets) == (patient.paths, patient.assets)
    assert patient.cut == ()
    assert len(hasty.cut) == 3
    for item in hasty.items:
        if item.phase is not Phase.HARDENING:
            assert not item.skipped.solved
            assert item.stability is not None
            assert (item.stability.draws, item.stability.smallest) == (0, None)
