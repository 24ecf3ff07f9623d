"""Build small models and catalogues, by hand and at random, and solve them by trying everything."""

import random  # noqa: TID251 - seeded: the same models each time.
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import combinations

from watchword.plan.cover import Costs, Row
from watchword.plan.interface import (
    Actor,
    Asset,
    AssetKind,
    AttackPath,
    Catalogue,
    Component,
    EnforcedAt,
    Intelligence,
    Model,
    Protection,
    ProtectionKind,
    Stage,
    Technique,
    Trait,
)
from watchword.plan.outcome import Evidence

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
NOTHING = Evidence({}, {})


def technique(
    name: str,
    stage: str,
    *,
    needs: Iterable[str] = (),
    gives: Iterable[str] = (),
    harms: Iterable[str] = (),
    component: str = "backend",
    actors: Iterable[str] = ("user",),
) -> Technique:
    """Return a technique of a made-up catalogue."""
    return Technique(
        id=name,
        name=f"do {name}",
        about="",
        component=Component(component),
        stage=Stage(stage),
        needs=frozenset(map(Intelligence, needs)),
        gives=frozenset(map(Intelligence, gives)),
        harms=frozenset(map(Trait, harms)),
        actors=frozenset(map(Actor, actors)),
    )


def protection(
    name: str, cuts: Mapping[str, int], effort: int = 3, depends_on: Sequence[str] = ()
) -> Protection:
    """Return a protection of a made-up catalogue."""
    return Protection(
        id=name,
        name=f"have {name}",
        about="",
        component=Component.BACKEND,
        enforced_at=EnforcedAt.SERVER,
        kind=ProtectionKind.PREVENT,
        cuts=dict(cuts),
        effort=effort,
        does_not=("Nothing else.",),
        evidence=(f"live:{name}",),
        depends_on=tuple(depends_on),
    )


def catalogue(*entries: Technique | Protection) -> Catalogue:
    """Return a catalogue of some entries."""
    ordered = sorted(entries, key=lambda entry: entry.id)
    return Catalogue(
        {each.id: each for each in ordered if isinstance(each, Technique)},
        {each.id: each for each in ordered if isinstance(each, Protection)},
    )


def asset(
    name: str,
    impact: int,
    *,
    traits: Iterable[str] = ("records",),
    lives_in: Iterable[str] = ("app", "channel", "backend"),
    places: Iterable[str] = (),
    actors: Iterable[str] = ("user",),
) -> Asset:
    """Return an asset."""
    return Asset(
        id=name,
        kind=AssetKind.DATA,
        impact=impact,
        because="it says so",
        lives_in=frozenset(map(Component, lives_in)),
        traits=frozenset(map(Trait, traits)),
        places=frozenset(places),
        actors=frozenset(map(Actor, actors)),
    )


def model(assets: Iterable[Asset], paths: Iterable[tuple[str, Sequence[str]]]) -> Model:
    """Return a model with exactly these paths."""
    return Model(
        {each.id: each for each in sorted(assets, key=lambda each: each.id)},
        tuple(
            sorted((AttackPath(to, tuple(steps)) for to, steps in paths), key=lambda path: path.id)
        ),
    )


def proven(found: Model, *protections: str) -> Evidence:
    """Return evidence that proves some protections for every asset."""
    return Evidence({}, {each: frozenset(protections) for each in found.assets})


def some_model(seed: int, *, most: int = 9) -> tuple[Model, Catalogue]:
    """Return a random model with dependencies, unclosable paths, ties and shared steps.

    :param most: most protections.
    """
    draw = random.Random(seed)
    recon = [technique(f"MT-R{n:02}", "recon") for n in range(draw.randint(1, 4))]
    exploit = [technique(f"MT-X{n:02}", "exploit") for n in range(draw.randint(1, 5))]
    names = [f"PR-P{n:02}" for n in range(draw.randint(1, most))]
    protections = []
    for place, name in enumerate(names):
        steps = draw.sample([*recon, *exploit], k=draw.randint(1, min(3, len(recon + exploit))))
        needs = draw.sample(names[:place], k=1) if place and draw.random() < 0.25 else []
        protections.append(
            protection(
                name,
                {step.id: draw.randint(1, 3) for step in steps},
                draw.choice((1, 3, 6)),
                needs,
            )
        )
    assets = [asset(f"a{n}", draw.randint(1, 5)) for n in range(draw.randint(1, 4))]
    paths = set()
    for _ in range(draw.randint(1, 7)):
        before = draw.sample(recon, k=draw.randint(0, len(recon)))
        damage = draw.sample(exploit, k=draw.randint(1, min(2, len(exploit))))
        paths.add((draw.choice(assets).id, tuple(each.id for each in [*before, *damage])))
    reached = {to for to, _ in paths}
    return (
        model([each for each in assets if each.id in reached], paths),
        catalogue(*recon, *exploit, *protections),
    )


def by_trying(
    found: Model, known: Catalogue, there: Mapping[str, frozenset[str]]
) -> list[tuple[str, int, list[str]]]:
    """Return each phase as (phase, level, sorted ids) by trying every set of protections.

    Shares nothing with the planner: it walks over techniques, not over bits.
    """
    everywhere = frozenset.intersection(*(there.get(each, frozenset()) for each in found.assets))
    bought: set[str] = set()
    answer: list[tuple[str, int, list[str]]] = []
    for phase, stage in (("prevent", Stage.EXPLOIT), ("gathering", Stage.RECON)):
        for level in (5, 4, 3, 2, 1):
            todo = [
                path
                for path in found.paths
                if found.assets[path.asset].impact == level
                and any(known.techniques[step].stage is stage for step in path.steps)
                and strongest(known, path, stage, there.get(path.asset, frozenset()) | bought) < 2
            ]
            best = _best(known, todo, stage, bought | everywhere)
            if todo:
                answer.append((phase, level, sorted(best)))
            bought |= best
    return answer


def _best(
    known: Catalogue, todo: Sequence[AttackPath], stage: Stage, have: set[str] | frozenset[str]
) -> set[str]:
    """Return the set that cuts most paths, for least effort, most strongly, with the smallest ids."""
    if not todo:
        return set()
    others = [name for name in known.protections if name not in have]
    tried: list[tuple[tuple[int, int, int, list[str]], set[str]]] = []
    for size in range(len(others) + 1):
        for names in combinations(others, size):
            chosen = set(names)
            if any(not set(known.protections[each].depends_on) <= chosen | have for each in chosen):
                continue
            cuts = [strongest(known, path, stage, chosen) for path in todo]
            missed = sum(cut < 2 for cut in cuts)
            effort = sum(known.protections[each].effort for each in chosen)
            strength = sum(cut for cut in cuts if cut >= 2)
            tried.append(((missed, effort, -strength, sorted(chosen)), chosen))
    return min(tried, key=lambda each: each[0])[1]


def strongest(known: Catalogue, path: AttackPath, stage: Stage, names: Iterable[str]) -> int:
    """Return how strongly a set cuts a path at one stage."""
    return max(
        (
            known.protections[name].cuts.get(step, 0)
            for name in names
            for step in path.steps
            if known.techniques[step].stage is stage
        ),
        default=0,
    )


def some_cover(seed: int) -> tuple[list[Row], Costs, int]:
    """Return contested rows, the costs of what cuts them, and what is there already.

    Few rows have a single closer, so that reductions decide little; some rows can't be cut at all.
    """
    draw = random.Random(seed)
    count = draw.randint(4, 9)
    costs = Costs(
        [draw.choice((1, 3, 6)) for _ in range(count)],
        [1 << draw.randrange(n) if n and draw.random() < 0.15 else 0 for n in range(count)],
    )
    have = sum(1 << bit for bit in range(count) if draw.random() < 0.1)
    rows = []
    for _ in range(draw.randint(2, 12)):
        others = [bit for bit in range(count) if not have >> bit & 1]
        most = min(4, len(others))
        closers = sum(1 << bit for bit in draw.sample(others, k=draw.randint(min(2, most), most)))
        if draw.random() < 0.05:
            closers = 0
        rows.append(
            Row(closers, closers & draw.getrandbits(count), draw.randint(1, 9), draw.randrange(3))
        )
    return rows, costs, have


def cover_by_trying(rows: Sequence[Row], costs: Costs, available: int, have: int) -> int:
    """Return the cheapest set that cuts what can be cut; the strongest of those, with the smallest ids."""
    count = len(costs.effort)
    sets = [
        mask
        for mask in range(1 << count)
        if not mask & ~available and not costs.closure(mask) & ~(mask | have)
    ]
    everything = 0
    for mask in sets:
        everything |= mask
    todo = [row for row in rows if row.closers & everything]

    def worth(mask: int) -> tuple[int, int, list[int]]:
        chosen = [bit for bit in range(count) if mask >> bit & 1]
        strength = sum(
            (3 if row.strong & mask else 2) * row.weight for row in todo if row.closers & mask
        )
        return sum(costs.effort[bit] for bit in chosen), -strength, chosen

    return min((mask for mask in sets if all(mask & row.closers for row in todo)), key=worth)
