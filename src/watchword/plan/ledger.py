"""Keep account of what is cut, path by path and asset by asset, as the list is worked down."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from watchword.plan.compiled import Compiled
from watchword.plan.cover import bits
from watchword.plan.interface import (
    CUT_THRESHOLD,
    IMPACT_LEVELS,
    AttackPath,
    Catalogue,
    Model,
    Stage,
)
from watchword.plan.outcome import Cut, Exposure, Tally

_WORST_FIRST: Final = (Exposure.OPEN, Exposure.DELAYED, Exposure.CLOSED)
_NO_PATH: Final = Exposure.UNREACHED


@dataclass(frozen=True, slots=True)
class Act:
    """Hold where one protection acts in the model.

    :param cuts: each step, how strongly, and the indexes of its paths.
    :param paths: indexes of all paths on which it acts, in order.
    """

    cuts: tuple[tuple[str, int, tuple[int, ...]], ...]
    paths: tuple[int, ...]


class Ledger:
    """Know how each path of a model stands under a set of protections."""

    def __init__(self, model: Model, catalogue: Catalogue, compiled: Compiled) -> None:
        """Find the paths of each step."""
        self.model = model
        self.compiled = compiled
        self._catalogue = catalogue
        self._steps: dict[str, list[int]] = {}
        for index, path in enumerate(model.paths):
            for step in path.steps:
                self._steps.setdefault(step, []).append(index)

    def acts(self, bit: int) -> Act:
        """Return where a protection acts."""
        protection = self._catalogue.protections[self.compiled.ids[bit]]
        cuts = tuple(
            (technique, strength, tuple(self._steps[technique]))
            for technique, strength in sorted(protection.cuts.items())
            if strength > 0 and technique in self._steps
        )
        paths = sorted({index for _, _, found in cuts for index in found})
        return Act(cuts, tuple(paths))

    def touched(self) -> dict[int, tuple[int, int, bool]]:
        """Return by protection the highest impact it acts for, on how many paths, and whether it acts where damage is done.

        What is proven for an asset has nothing left to do on the paths to it.
        """
        found: dict[int, tuple[int, int, bool]] = {}
        for bit in range(len(self.compiled.ids)):
            act = self.acts(bit)
            paths = [index for index in act.paths if not self.proven(index) >> bit & 1]
            there = set(paths)
            if paths:
                prevents = any(
                    self._catalogue.techniques[step].stage is Stage.EXPLOIT
                    and not there.isdisjoint(found_at)
                    for step, _, found_at in act.cuts
                )
                found[bit] = (max(self.impact(index) for index in paths), len(paths), prevents)
        return found

    def path(self, index: int) -> AttackPath:
        """Return a path."""
        return self.model.paths[index]

    def impact(self, index: int) -> int:
        """Return the impact of the asset that a path leads to."""
        return self.model.assets[self.model.paths[index].asset].impact

    def exposure(self, index: int, bought: int) -> Exposure:
        """Return how a path stands under what is proven for its asset and what is bought."""
        asset, place = self.compiled.path_ways[index]
        return self._stands(asset, place, bought)

    def assets(self, bought: int) -> dict[str, Exposure]:
        """Return how each asset stands: as its worst path."""
        found: dict[str, Exposure] = {}
        for asset, name in enumerate(self.compiled.assets):
            ways = self.compiled.ways[asset]
            states = {self._stands(asset, place, bought) for place in range(len(ways))}
            found[name] = next((state for state in _WORST_FIRST if state in states), _NO_PATH)
        return found

    def tallies(self, bought: int) -> tuple[Tally, ...]:
        """Count assets by exposure at each level that has any, the worst first."""
        counts: dict[int, dict[Exposure, int]] = {}
        for name, state in self.assets(bought).items():
            level = counts.setdefault(self.model.assets[name].impact, dict.fromkeys(Exposure, 0))
            level[state] += 1
        return tuple(
            Tally(
                level,
                counts[level][Exposure.OPEN],
                counts[level][Exposure.DELAYED],
                counts[level][Exposure.CLOSED],
                counts[level][Exposure.UNREACHED],
            )
            for level in IMPACT_LEVELS
            if level in counts
        )

    def closers(self, index: int) -> int:
        """Return the bits of what could close a path."""
        asset, place = self.compiled.path_ways[index]
        return self.compiled.ways[asset][place].close

    def delayers(self, index: int) -> int:
        """Return the bits of what could cut a path where intelligence is gathered."""
        asset, place = self.compiled.path_ways[index]
        return self.compiled.ways[asset][place].delay

    def proven(self, index: int) -> int:
        """Return the bits of what is proven for the asset of a path."""
        return self.compiled.proven[self.compiled.path_ways[index][0]]

    def cutters(self, index: int, mask: int) -> Iterator[tuple[str, str]]:
        """Yield the steps of a path that a set cuts, and by what."""
        for step in self.model.paths[index].steps:
            for bit in bits(mask):
                name = self.compiled.ids[bit]
                if self._catalogue.protections[name].cuts.get(step, 0) >= CUT_THRESHOLD:
                    yield step, name

    def named(self, cuts: tuple[tuple[str, int, tuple[int, ...]], ...]) -> tuple[Cut, ...]:
        """Return cuts with the ids of their paths."""
        return tuple(
            Cut(technique, strength, self.ids(paths)) for technique, strength, paths in cuts
        )

    def ids(self, indexes: tuple[int, ...]) -> tuple[str, ...]:
        """Return the ids of paths."""
        return tuple(self.model.paths[index].id for index in indexes)

    def _stands(self, asset: int, place: int, bought: int) -> Exposure:
        ways = self.compiled.ways[asset][place]
        there = self.compiled.proven[asset] | bought
        if ways.close & there:
            return Exposure.CLOSED
        return Exposure.DELAYED if ways.delay & there else Exposure.OPEN
