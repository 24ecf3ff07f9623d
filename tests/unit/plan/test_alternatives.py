"""Hold what is said of each item (what ties, what would do instead, what stays open) to trying everything.

Shares nothing with the planner: it walks over techniques, not over bits.
"""

import random  # noqa: TID251 - seeded: the same proofs each time.
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import pytest
from tests.unit.plan.builders import (
    NOW,
    asset,
    catalogue,
    model,
    protection,
    some_model,
    strongest,
    technique,
)

from watchword.plan.interface import CUT_THRESHOLD, AttackPath, Catalogue, Model, Stage
from watchword.plan.outcome import Evidence, Exposure, Item, Phase, Plan
from watchword.plan.service import Question, make_plan

SEEDS = range(120)
STAGES = {Phase.PREVENT: Stage.EXPLOIT, Phase.GATHERING: Stage.RECON}


class LittlePatience:
    """Have the time to solve again without each item, and none to shake the inputs."""

    def is_over(self, share: float) -> bool:
        """Say that half of the time is gone."""
        return share > 0.5


@dataclass(frozen=True)
class Case:
    """Hold a random model with some proofs, for some assets, and at times one protection out of reach."""

    found: Model
    known: Catalogue
    there: Mapping[str, frozenset[str]]
    removed: frozenset[str]
    plan: Plan

    def closure(self, name: str) -> frozenset[str]:
        """Return a protection and all that it needs."""
        needs = self.known.protections[name].depends_on
        return frozenset({name}).union(*(self.closure(each) for each in needs))

    def dependents(self, names: Iterable[str]) -> frozenset[str]:
        """Return protections and all that need one of them."""
        wanted = set(names)
        return frozenset(each for each in self.known.protections if wanted & self.closure(each))

    def strongest(self, path: AttackPath, stage: Stage, names: Iterable[str]) -> int:
        """Return how strongly a set cuts a path at one stage."""
        return strongest(self.known, path, stage, names)

    def cut(self, paths: Iterable[AttackPath], stage: Stage, names: Iterable[str]) -> list[int]:
        """Return the strengths of what a set cuts, path by path."""
        chosen = list(names)
        strengths = [self.strongest(path, stage, chosen) for path in paths]
        return [each if each >= CUT_THRESHOLD else 0 for each in strengths]

    def effort(self, names: Iterable[str]) -> int:
        """Return the effort of a set."""
        return sum(self.known.protections[each].effort for each in names)


@dataclass(frozen=True)
class Stretch:
    """Hold one phase at one level: its items, what it had to cut, and what was there before."""

    phase: Phase
    items: tuple[Item, ...]
    todo: tuple[AttackPath, ...]
    have: frozenset[str]

    @property
    def chosen(self) -> frozenset[str]:
        """Return the ids of its items."""
        return frozenset(each.protection.id for each in self.items)


def case(seed: int) -> Case:
    """Return a case: every second one with proofs, every fifth with something out of reach."""
    found, known = some_model(seed, most=8)
    draw = random.Random(seed)
    names = sorted(known.protections)
    there = {
        each: frozenset(name for name in names if seed % 2 and draw.random() < 0.25)
        for each in found.assets
    }
    asked = frozenset({draw.choice(names)}) if seed % 5 == 0 else frozenset[str]()
    plan = make_plan(
        found, known, Evidence({}, there), NOW, Question(removed=asked), LittlePatience()
    )
    bare = Case(found, known, there, frozenset(), plan)
    removed = bare.dependents(asked) if asked else asked
    left = {each: names - removed for each, names in there.items()}
    return Case(found, known, left, removed, plan)


def stretches(given: Case) -> Iterator[Stretch]:
    """Yield the phases that buy something, in order."""
    have = frozenset.intersection(*given.there.values())
    groups: dict[tuple[Phase, int], list[Item]] = {}
    for item in given.plan.items:
        if item.phase in STAGES:
            groups.setdefault((item.phase, item.level), []).append(item)
    for (phase, level), items in groups.items():
        stage = STAGES[phase]
        todo = tuple(
            path
            for path in given.found.paths
            if given.found.assets[path.asset].impact == level
            and any(given.known.techniques[step].stage is stage for step in path.steps)
            and not given.cut([path], stage, given.there[path.asset] | have)[0]
        )
        stretch = Stretch(phase, tuple(items), todo, have)
        yield stretch
        have |= stretch.chosen


def sets(given: Case, stretch: Stretch, banned: frozenset[str]) -> Iterator[frozenset[str]]:
    """Yield every set that could be bought in a phase without what is banned."""
    others = sorted(given.known.protections.keys() - stretch.have - banned - given.removed)
    for size in range(len(others) + 1):
        for names in combinations(others, size):
            chosen = frozenset(names)
            if all(given.closure(each) <= chosen | stretch.have for each in chosen):
                yield chosen


@pytest.mark.parametrize("seed", SEEDS)
def test_without_an_item_it_costs_what_is_said(seed: int) -> None:
    """The cheapest set without it that cuts as much takes the told extra effort; where none does, nothing is named."""
    given = case(seed)
    for stretch in stretches(given):
        stage = STAGES[stretch.phase]
        full = sum(map(bool, given.cut(stretch.todo, stage, stretch.chosen)))
        for item in stretch.items:
            banned = given.dependents({item.protection.id})
            doing = [
                chosen
                for chosen in sets(given, stretch, banned)
                if sum(map(bool, given.cut(stretch.todo, stage, chosen))) >= full
            ]
            skipped = item.skipped
            if not doing:
                assert (skipped.instead, skipped.extra_effort, item.ties) == ((), 0, ())
                continue
            least = min(map(given.effort, doing))
            assert least == given.effort(stretch.chosen) + skipped.extra_effort
            told = frozenset(skipped.instead)
            assert any(
                chosen - stretch.chosen == told for chosen in doing if given.effort(chosen) == least
            )


@pytest.mark.parametrize("seed", SEEDS)
def test_a_tie_can_be_put_in_place_and_nothing_changes(seed: int) -> None:
    """All else being kept, as much is cut, as strongly, for as much effort; no single one that could is left out."""
    given = case(seed)
    for stretch in stretches(given):
        stage = STAGES[stretch.phase]
        strengths = given.cut(stretch.todo, stage, stretch.chosen)
        for item in stretch.items:
            banned = given.dependents({item.protection.id})
            rest = stretch.chosen - banned

            def ties(
                other: frozenset[str],
                stretch: Stretch = stretch,
                stage: Stage = stage,
                strengths: list[int] = strengths,
            ) -> bool:
                cut = given.cut(stretch.todo, stage, other)
                return (
                    given.effort(other) == given.effort(stretch.chosen)
                    and sum(map(bool, cut)) == sum(map(bool, strengths))
                    and sum(cut) == sum(strengths)
                )

            assert all(ties(rest | frozenset(each)) for each in item.ties)
            assert len(set(item.ties)) == len(item.ties)
            others = given.known.protections.keys() - stretch.have - banned - given.removed - rest
            for name in others:
                swap = given.closure(name) - stretch.have
                if ties(rest | swap):
                    assert tuple(sorted(swap - rest)) in item.ties


@pytest.mark.parametrize("seed", SEEDS)
def test_what_stays_open_is_what_nothing_else_reaches(seed: int) -> None:
    """Neither what can be had nor what is proven cuts it there; what the rest of the list closes is told apart."""
    given = case(seed)
    everything = frozenset(given.known.protections) - given.removed
    for path, state in zip(given.found.paths, given.plan.paths, strict=True):
        proven = given.there[path.asset]
        closable = bool(given.cut([path], Stage.EXPLOIT, everything | proven)[0])
        assert bool(state.closers) is closable is (path.id not in given.plan.unclosable)
    for stretch in stretches(given):
        stage = STAGES[stretch.phase]
        for item in stretch.items:
            name = item.protection.id
            others = everything - given.dependents({name})
            alone = [
                path
                for path in given.found.paths
                if given.cut([path], stage, {name})[0]
                and not given.cut([path], stage, others | given.there[path.asset])[0]
            ]
            rest = {each.protection.id for each in given.plan.items} - given.dependents({name})
            closed = {
                path.id
                for path in alone
                if given.cut([path], Stage.EXPLOIT, rest | given.there[path.asset])[0]
            }
            assert set(item.skipped.stays_open) == {path.id for path in alone} - closed
            assert set(item.skipped.uncut) == closed


@pytest.mark.parametrize("seed", SEEDS)
def test_together_names_what_an_asset_needs_besides(seed: int) -> None:
    """Each one named leaves a path to an asset of the item's open if it alone is missing; no other one does."""
    given = case(seed)
    for stretch in stretches(given):
        if stretch.phase is not Phase.PREVENT:
            continue
        for item in stretch.items:
            assets = {path.split(":")[0] for path in item.closes}
            paths = [path for path in stretch.todo if path.asset in assets]
            whole = given.cut(paths, Stage.EXPLOIT, stretch.chosen)
            assert set(item.together) == {
                other
                for other in stretch.chosen - {item.protection.id}
                if sum(map(bool, given.cut(paths, Stage.EXPLOIT, stretch.chosen - {other})))
                < sum(map(bool, whole))
            }


@pytest.mark.parametrize("seed", SEEDS)
def test_each_path_stands_as_its_steps_say(seed: int) -> None:
    """Closed where an exploitation step is cut by what is proven there or done; item by item, and at the end."""
    given = case(seed)

    def rigs(path: AttackPath, done: frozenset[str]) -> Exposure:
        names = given.there[path.asset] | done
        if given.cut([path], Stage.EXPLOIT, names)[0]:
            return Exposure.CLOSED
        return Exposure.DELAYED if given.cut([path], Stage.RECON, names)[0] else Exposure.OPEN

    done: frozenset[str] = frozenset()
    everything = frozenset(each.protection.id for each in given.plan.items)
    for item in given.plan.items:
        name = item.protection.id
        after = done | {name}
        moved = [(path.id, rigs(path, done), rigs(path, after)) for path in given.found.paths]
        assert set(item.closes) == {
            path for path, was, now in moved if was is not now and now is Exposure.CLOSED
        }
        # A recon step may be cut of what is closed already: that delays nobody who is shut out.
        assert {path for path, was, now in moved if was is not now} - set(item.closes) <= set(
            item.delays
        )
        final = {path.id: rigs(path, everything) for path in given.found.paths}
        unclosed = any(final[path] is not Exposure.CLOSED for path in item.delays)
        assert item.interim is (unclosed and not item.closes)
        assert set(item.unclosed) == {
            path for path in item.delays if item.interim and final[path] is not Exposure.CLOSED
        }
        for path in item.slows:
            assert name not in given.there[path.split(":")[0]]
        if item.phase is Phase.HARDENING and not item.needed_for:
            assert item.slows or item.delays
        worst = {
            each: [rigs(path, after) for path in given.found.paths if path.asset == each]
            for each in given.found.assets
        }
        for tally in item.exposure:
            states = [
                next(e for e in Exposure if e in worst[each])
                for each, entry in given.found.assets.items()
                if entry.impact == tally.level
            ]
            counted = [states.count(each) for each in Exposure]
            assert counted == [tally.open, tally.delayed, tally.closed, tally.unreached]
        done = after
    for state in given.plan.paths:
        assert state.now is rigs(state.path, frozenset())
        assert state.after is rigs(state.path, everything)
        names = given.there[state.path.asset]
        for told, there in ((state.cut_now, names), (state.cut_after, names | everything)):
            assert set(told) == {
                (step, name)
                for step in state.path.steps
                for name in there
                if given.known.protections[name].cuts.get(step, 0) >= CUT_THRESHOLD
            }


KNOWN = catalogue(
    technique("MT-X01", "exploit"),
    technique("MT-X02", "exploit"),
    protection("PR-A01", {"MT-X01": 2}, effort=3),
    protection("PR-A02", {"MT-X01": 3}, effort=1, depends_on=["PR-A01"]),
    protection("PR-B02", {"MT-X02": 2}, effort=3),
)


def planned(evidence: Mapping[str, frozenset[str]], question: Question | None = None) -> Plan:
    """Return the plan for two assets with a way to each."""
    found = model([asset("one", 5), asset("two", 5)], [("one", ["MT-X01"]), ("two", ["MT-X02"])])
    return make_plan(found, KNOWN, Evidence({}, evidence), NOW, question, LittlePatience())


def test_what_is_proven_wherever_it_acts_is_no_task() -> None:
    """A proof for the one asset that it acts for is enough: the other has nothing of it."""
    plan = planned({"one": frozenset({"PR-A01", "PR-A02"}), "two": frozenset()})
    assert [each.protection.id for each in plan.items] == ["PR-B02"]


def test_without_its_ground_a_proof_falls_too() -> None:
    """What if it weren't there: what needs it isn't there either, whatever proves it, and can't be had."""
    proofs = {"one": frozenset({"PR-A02"}), "two": frozenset[str]()}
    assert planned(proofs).assets[0].now is Exposure.CLOSED
    plan = planned(proofs, Question(removed=frozenset({"PR-A01"})))
    assert plan.assets[0].now is plan.assets[0].after is Exposure.OPEN
    assert plan.unclosable == ("one:MT-X01",)
    assert [each.protection.id for each in plan.items] == ["PR-B02"]
    added = Question(added=frozenset({"PR-A02"}), removed=frozenset({"PR-A01"}))
    assert planned({}, added).assets[0].now is Exposure.OPEN


@pytest.mark.parametrize("more", [[], [("one", ["MT-X04"])]])
def test_what_does_as_well_by_fewer_assets_is_no_tie(more: list[tuple[str, list[str]]]) -> None:
    """Within a budget whole assets count before paths: more paths, as strongly, to no whole asset aren't as good."""
    known = catalogue(
        *(technique(f"MT-X{n:02}", "exploit") for n in range(1, 5)),
        protection("PR-A01", {"MT-X01": 3}, effort=3),
        protection("PR-B01", {"MT-X02": 2}, effort=3),
        protection("PR-B02", {"MT-X03": 2}, effort=3),
    )
    found = model(
        [asset("one", 5), asset("two", 5)],
        [
            ("one", ["MT-X01"]),
            ("one", ["MT-X04", "MT-X01"]),
            ("two", ["MT-X02"]),
            ("two", ["MT-X04", "MT-X02"]),
            ("two", ["MT-X02", "MT-X04"]),
            ("two", ["MT-X03"]),
            # A path that nothing closes doesn't make the rest of the asset worth less.
            *more,
        ],
    )
    plan = make_plan(found, known, Evidence({}, {}), NOW, Question(budget=3), LittlePatience())
    (item,) = plan.items
    assert item.protection.id == "PR-A01"
    assert (item.ties, item.skipped.instead) == ((), ())


def test_what_a_budget_does_not_reach_is_passed_over() -> None:
    """A cheaper measure behind one that is too dear still hardens."""
    known = catalogue(
        technique("MT-X01", "exploit"),
        technique("MT-X02", "exploit"),
        protection("PR-A01", {"MT-X01": 2}, effort=1),
        protection("PR-A02", {"MT-X01": 1}, effort=6),
        protection("PR-A03", {"MT-X02": 1}, effort=1),
    )
    found = model([asset("one", 5), asset("two", 1)], [("one", ["MT-X01"]), ("two", ["MT-X02"])])
    plan = make_plan(found, known, Evidence({}, {}), NOW, Question(budget=3), LittlePatience())
    assert [each.protection.id for each in plan.items] == ["PR-A01", "PR-A03"]
    assert plan.effort == 2
