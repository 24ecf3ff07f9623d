"""Make the models that the planner is measured on: as large as is promised, and contested.

A model whose steps have one protection each would be solved by reductions alone.  Here each step meets two
to six protections, of which some only slow it down; protections need one another; and the same step leads to many assets.  What
is drawn at random has none of the structure that would help a solver.
"""

import random
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from watchword.plan.interface import (
    IMPACT_LEVELS,
    Asset,
    AssetKind,
    AttackPath,
    Catalogue,
    Component,
    Effort,
    EnforcedAt,
    Model,
    Protection,
    ProtectionKind,
    Stage,
    Technique,
    Trait,
)

STEPS: Final = 300
PROTECTIONS: Final = 80
PATHS: Final = 5_000
ASSETS: Final = 200

_RECON: Final = STEPS // 3
_NEEDS_ANOTHER: Final = 0.15
_COMPONENTS: Final = tuple(Component)


class Kind(StrEnum):
    """Say how much choice there is.

    ``mixed``: strengths of 1 to 3 as they fall, so that of some steps one protection alone is strong enough.
    ``contested``: at least two are strong enough for every step, so that nothing is decided beforehand.
    """

    MIXED = "mixed"
    CONTESTED = "contested"


def large(kind: Kind, seed: int) -> tuple[Model, Catalogue]:
    """Return a model of full size with its catalogue, the same for the same seed."""
    draw = random.Random(seed)
    rivals = 2 if kind is Kind.CONTESTED else 0
    techniques = [_technique(number) for number in range(STEPS)]
    cuts: list[dict[str, int]] = [{} for _ in range(PROTECTIONS)]
    for each in techniques:
        for place, number in enumerate(draw.sample(range(PROTECTIONS), k=draw.randint(2, 6))):
            cuts[number][each.id] = draw.randint(2 if place < rivals else 1, 3)
    protections = [_protection(draw, number, cuts[number]) for number in range(PROTECTIONS)]
    assets = [_asset(number) for number in range(ASSETS)]
    model = Model({each.id: each for each in assets}, _paths(draw, techniques, assets))
    known = Catalogue(
        {each.id: each for each in techniques}, {each.id: each for each in protections}
    )
    return model, known


def _technique(number: int) -> Technique:
    stage, letter = (Stage.RECON, "R") if number < _RECON else (Stage.EXPLOIT, "X")
    name = f"MT-{letter}{number:03}"
    return Technique(name, f"do {name}", "", _COMPONENTS[number % len(_COMPONENTS)], stage)


def _protection(draw: random.Random, number: int, cuts: dict[str, int]) -> Protection:
    needs: tuple[str, ...] = ()
    if number and draw.random() < _NEEDS_ANOTHER:
        needs = (f"PR-P{draw.randrange(number):03}",)
    name = f"PR-P{number:03}"
    return Protection(
        id=name,
        name=f"have {name}",
        about="",
        component=_COMPONENTS[number % len(_COMPONENTS)],
        enforced_at=EnforcedAt.SERVER,
        kind=ProtectionKind.PREVENT,
        cuts=dict(sorted(cuts.items())),
        effort=draw.choice(tuple(Effort)),
        does_not=("Nothing else.",),
        evidence=(f"live:{name}",),
        depends_on=needs,
    )


def _asset(number: int) -> Asset:
    return Asset(
        id=f"asset-{number:03}",
        kind=AssetKind.DATA,
        impact=IMPACT_LEVELS[number % len(IMPACT_LEVELS)],
        because="it is measured",
        lives_in=frozenset(Component),
        traits=frozenset({Trait.RECORDS}),
    )


def _paths(
    draw: random.Random, techniques: Sequence[Technique], assets: Sequence[Asset]
) -> tuple[AttackPath, ...]:
    """Return paths of one to three steps that gather intelligence and one or two that exploit it."""
    names = [each.id for each in techniques]
    recon, exploit = names[:_RECON], names[_RECON:]
    found: dict[str, AttackPath] = {}
    while len(found) < PATHS:
        asset = assets[len(found) % len(assets)]
        steps = (
            *sorted(draw.sample(recon, k=draw.randint(1, 3))),
            *sorted(draw.sample(exploit, k=draw.randint(1, 2))),
        )
        path = AttackPath(asset.id, steps)
        found[path.id] = path
    return tuple(found[each] for each in sorted(found))
