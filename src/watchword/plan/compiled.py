"""Turn a model into rows of bits, so that it can be solved hundreds of times with this or that changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from watchword.plan.cover import Costs, bits
from watchword.plan.interface import (
    CUT_THRESHOLD,
    Asset,
    AttackPath,
    Catalogue,
    Protection,
    Stage,
)

_BLOCKS = 3


@dataclass(frozen=True, slots=True)
class Ways:
    """Hold paths to one asset that the same protections cut at the same stages.

    :param close: bits of what cuts an exploitation step, :param block: of what blocks one.
    :param delay: bits of what cuts a step that gathers intelligence; :param stall: of what blocks one.
    :param gathers: there is such a step at all.
    :param count: how many paths.
    """

    close: int
    block: int
    delay: int
    stall: int
    gathers: bool
    count: int


@dataclass(frozen=True, slots=True)
class Compiled:
    """Hold a model as bits; protections are numbered in the order of their ids.

    :param ids: protections by bit.
    :param assets: ids in order; the lists below go by their index.
    :param proven: bits of what counts for each asset.
    :param everywhere: bits of what counts for all of them.
    :param available: bits of what may be chosen.
    :param path_ways: for each path of the model, the ways that it is among: (asset, index in ``ways``).
    """

    ids: tuple[str, ...]
    bit: Mapping[str, int]
    costs: Costs
    assets: tuple[str, ...]
    impacts: tuple[int, ...]
    ways: tuple[tuple[Ways, ...], ...]
    path_ways: tuple[tuple[int, int], ...]
    proven: tuple[int, ...]
    everywhere: int
    available: int

    def mask(self, protections: frozenset[str]) -> int:
        """Return the bits of protections; ids that the catalogue lacks are passed over."""
        return sum(1 << self.bit[each] for each in sorted(protections & self.bit.keys()))

    def names(self, mask: int) -> tuple[str, ...]:
        """Return the ids of bits, in order."""
        return tuple(self.ids[each] for each in bits(mask))

    def with_impact(self, asset: int, impact: int) -> "Compiled":
        """Return the same with another impact of one asset."""
        impacts = (*self.impacts[:asset], impact, *self.impacts[asset + 1 :])
        return replace(self, impacts=impacts)

    def with_effort(self, bit: int, effort: int) -> "Compiled":
        """Return the same with another effort of one protection."""
        effort_by_bit = [*self.costs.effort[:bit], effort, *self.costs.effort[bit + 1 :]]
        return replace(self, costs=Costs(effort_by_bit, self.costs.needs))


class Strengths:
    """Know which protections act on which step, and how strongly; changes make another one."""

    def __init__(self, catalogue: Catalogue, bit: Mapping[str, int]) -> None:
        """Look the cuts up by technique."""
        self.by_technique: dict[str, list[tuple[int, int]]] = {}
        for protection in catalogue.protections.values():
            for technique, strength in protection.cuts.items():
                if strength > 0:
                    entry = (bit[protection.id], strength)
                    self.by_technique.setdefault(technique, []).append(entry)

    def masks(self, technique: str, change: Mapping[tuple[int, str], int]) -> tuple[int, int]:
        """Return the bits of what cuts a step, and of what blocks it."""
        cut = block = 0
        for bit, written in self.by_technique.get(technique, ()):
            strength = change.get((bit, technique), written)
            if strength >= CUT_THRESHOLD:
                cut |= 1 << bit
                if strength >= _BLOCKS:
                    block |= 1 << bit
        return cut, block


def compile_model(
    catalogue: Catalogue,
    assets: Mapping[str, Asset],
    paths: Sequence[AttackPath],
    proven: Mapping[str, frozenset[str]],
    *,
    without: frozenset[str] = frozenset(),
    change: Mapping[tuple[int, str], int] | None = None,
) -> Compiled:
    """Compile a model.

    :param proven: by asset, what counts there.
    :param without: protections that are taken to be neither there nor to be had, with all that need them.
    :param change: other strengths, by (bit of the protection, technique), for what stands in the catalogue already.
    """
    ids = tuple(sorted(catalogue.protections))
    bit = {each: index for index, each in enumerate(ids)}
    ordered = tuple(sorted(assets))
    masks = tuple(
        sum(1 << bit[each] for each in proven.get(asset, frozenset()) - without if each in bit)
        for asset in ordered
    )
    everywhere = (1 << len(ids)) - 1 if ordered else 0
    for mask in masks:
        everywhere &= mask
    ways, path_ways = _ways(catalogue, ordered, paths, Strengths(catalogue, bit), change or {})
    banned = sum(1 << bit[each] for each in without & bit.keys())
    return Compiled(
        ids=ids,
        bit=bit,
        costs=Costs(
            [catalogue.protections[each].effort for each in ids],
            [_needs(catalogue.protections[each], bit) for each in ids],
        ),
        assets=ordered,
        impacts=tuple(assets[each].impact for each in ordered),
        ways=ways,
        path_ways=path_ways,
        proven=masks,
        everywhere=everywhere,
        available=((1 << len(ids)) - 1) & ~everywhere & ~banned,
    )


def _needs(protection: Protection, bit: Mapping[str, int]) -> int:
    return sum(1 << bit[each] for each in set(protection.depends_on))


def _ways(
    catalogue: Catalogue,
    ordered: Sequence[str],
    paths: Sequence[AttackPath],
    strengths: Strengths,
    change: Mapping[tuple[int, str], int],
) -> tuple[tuple[tuple[Ways, ...], ...], tuple[tuple[int, int], ...]]:
    """Group the paths of each asset by what cuts them."""
    index = {asset: number for number, asset in enumerate(ordered)}
    known: dict[str, tuple[int, int]] = {}
    counts: list[dict[tuple[int, int, int, int, bool], int]] = [{} for _ in ordered]
    keys: list[tuple[int, tuple[int, int, int, int, bool]]] = []
    for path in paths:
        close = block = delay = stall = 0
        gathers = False
        for step in path.steps:
            if step not in known:
                known[step] = strengths.masks(step, change)
            cut, blocked = known[step]
            if catalogue.techniques[step].stage is Stage.EXPLOIT:
                close |= cut
                block |= blocked
            else:
                gathers = True
                delay |= cut
                stall |= blocked
        key = (close, block, delay, stall, gathers)
        asset = index[path.asset]
        counts[asset][key] = counts[asset].get(key, 0) + 1
        keys.append((asset, key))
    places = [{key: place for place, key in enumerate(sorted(count))} for count in counts]
    ways = tuple(tuple(Ways(*key, count=count[key]) for key in sorted(count)) for count in counts)
    return ways, tuple((asset, places[asset][key]) for asset, key in keys)
