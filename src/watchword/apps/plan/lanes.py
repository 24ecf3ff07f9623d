"""Choose what of a plan's paths is drawn: one lane a path, or one for many that end alike."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from watchword.apps.plan.words import technique_name
from watchword.plan.interface import Component, Stage
from watchword.plan.outcome import AssetState, Exposure, PathState, Plan

MAX_LANES: Final = 12
"""Most lanes of a picture; more can't be taken in."""

_WORST_FIRST: Final = tuple(Exposure)


@dataclass(frozen=True, slots=True)
class Stop:
    """Hold one step of a lane.

    :param cut_by: protections that cut it, in this state of things.
    """

    technique: str
    name: str
    component: Component
    stage: Stage
    cut_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lane:
    """Hold one path that is drawn.

    :param more: how many other paths it stands for, that differ only in how intelligence is gathered.
    """

    asset: AssetState
    exposure: Exposure
    asset_exposure: Exposure
    stops: tuple[Stop, ...]
    more: int


@dataclass(frozen=True, slots=True)
class Drawn:
    """Hold the lanes of a picture, and how many paths none of them stands for."""

    lanes: tuple[Lane, ...]
    left_out: int


def lanes(plan: Plan, *, after: bool) -> Drawn:
    """Return the lanes now, or once the plan is done; the worst assets first, the same in both.

    Each asset has its worst path before any has a second one, and so on, as far as there is room.
    """
    assets = {each.asset.id: each for each in plan.assets}
    known = [each for each in plan.paths if each.path.asset in assets]
    known.sort(key=_worst_first)
    groups = _together(known, plan) if len(known) > MAX_LANES else [[each] for each in known]
    groups.sort(key=lambda found: -found[0].impact)
    drawn = _gathered(_chosen(groups))
    shown = sum(len(each) for each in drawn)
    return Drawn(
        tuple(_lane(each, assets[each[0].path.asset], plan, after=after) for each in drawn),
        len(plan.paths) - shown,
    )


def _worst_first(state: PathState) -> tuple[int, int, int, str, str]:
    """Order paths: the worst impact first, then what is worse now, then what stays worse."""
    path = state.path
    return -state.impact, _place(state.now), _place(state.after), path.asset, path.id


def _place(exposure: Exposure) -> int:
    return _WORST_FIRST.index(exposure)


def _together(paths: Iterable[PathState], plan: Plan) -> list[list[PathState]]:
    """Put paths together that reach the same asset by the same steps of exploitation, and stand alike."""
    found: dict[object, list[PathState]] = {}
    for each in paths:
        key = (each.path.asset, _ending(each, plan), each.now, each.after)
        found.setdefault(key, []).append(each)
    return list(found.values())


def _ending(state: PathState, plan: Plan) -> tuple[str, ...]:
    steps = state.path.steps
    for number, step in enumerate(steps):
        technique = plan.catalogue.techniques.get(step)
        if technique is not None and technique.stage is Stage.EXPLOIT:
            return steps[number:]
    return steps[-1:]


def _chosen(groups: Sequence[list[PathState]]) -> list[list[PathState]]:
    """Return as many groups as there is room for, in their order: the first of each asset, then the second."""
    taken: Counter[str] = Counter()
    turns: list[tuple[int, int]] = []
    for number, each in enumerate(groups):
        asset = each[0].path.asset
        turns.append((taken[asset], number))
        taken[asset] += 1
    return [groups[number] for number in sorted(number for _, number in sorted(turns)[:MAX_LANES])]


def _gathered(groups: Sequence[list[PathState]]) -> list[list[PathState]]:
    """Return the groups with those of one asset beside each other, in the order of the first of each."""
    by_asset: dict[str, list[list[PathState]]] = {}
    for each in groups:
        by_asset.setdefault(each[0].path.asset, []).append(each)
    return [group for found in by_asset.values() for group in found]


def _lane(paths: Sequence[PathState], asset: AssetState, plan: Plan, *, after: bool) -> Lane:
    state = paths[0]
    cuts = state.cut_after if after else state.cut_now
    return Lane(
        asset,
        state.after if after else state.now,
        asset.after if after else asset.now,
        tuple(_stop(step, cuts, plan) for step in state.path.steps),
        len(paths) - 1,
    )


def _stop(technique: str, cuts: Iterable[tuple[str, str]], plan: Plan) -> Stop:
    found = plan.catalogue.techniques.get(technique)
    return Stop(
        technique,
        technique_name(plan, technique),
        Component.BACKEND if found is None else found.component,
        Stage.EXPLOIT if found is None else found.stage,
        tuple(dict.fromkeys(by for step, by in cuts if step == technique)),
    )
