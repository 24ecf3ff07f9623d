"""Derive the paths to an asset from what techniques need and give.

A path is a set of steps in which each step's needs are given by the others, and from which no step can be taken away.  A set that
holds another one is left out: whoever can take the shorter way has no need of the longer, and
whatever closes the shorter at an exploitation step closes the longer too.
"""

from collections.abc import Iterable, Sequence
from itertools import product
from typing import Final

from watchword.plan.interface import Asset, Catalogue, Intelligence, Stage, Technique

MAX_WAYS: Final = 400
"""Most ways to one technique that are kept: a catalogue of one's own can make them explode."""

_Steps = frozenset[str]


def minimal(sets: Iterable[_Steps]) -> list[_Steps]:
    """Return the sets that hold no other one, in a fixed order."""
    found: list[_Steps] = []
    for each in sorted(set(sets), key=lambda steps: (len(steps), sorted(steps))):
        if not any(smaller <= each for smaller in found):
            found.append(each)
    return found


class Derivation:
    """Find the ways to techniques of one catalogue; what was found once is kept."""

    def __init__(self, catalogue: Catalogue) -> None:
        """Look up who gives what."""
        self._catalogue = catalogue
        self._ways: dict[str, list[_Steps]] = {}
        self.crowded: set[str] = set()
        self._givers: dict[Intelligence, list[Technique]] = {
            each: [t for t in catalogue.techniques.values() if each in t.gives]
            for each in Intelligence
        }

    def paths(self, asset: Asset) -> list[tuple[str, ...]]:
        """Return the steps of every path to an asset, each in order, sorted."""
        ends = [
            technique
            for technique in self._catalogue.techniques.values()
            if technique.stage is Stage.EXPLOIT
            and technique.harms & asset.traits
            and technique.component in asset.lives_in
        ]
        # Two techniques that reach the same asset by one another make one way, not two.
        sets = minimal(way | {end.id} for end in ends for way in self.ways(end))
        last = {end.id for end in ends}
        return sorted(self.ordered(steps, last) for steps in sets)

    def ways(self, technique: Technique) -> list[_Steps]:
        """Return the sets of steps that make a technique possible, itself not among them."""
        if technique.id not in self._ways:
            self._ways[technique.id] = self._search(technique, frozenset())
        return self._ways[technique.id]

    def _search(self, technique: Technique, sought: frozenset[Intelligence]) -> list[_Steps]:
        """Return the ways to a technique in which nobody needs what is ``sought`` already.

        Whoever gives what he needs himself is no way to it: it was there before him.
        """
        alternatives: list[list[_Steps]] = []
        for need in sorted(technique.needs):
            found: list[_Steps] = []
            now_sought = sought | {need}
            for giver in self._givers[need]:
                if giver is technique or giver.needs & now_sought:
                    continue
                found += [way | {giver.id} for way in self._search(giver, now_sought)]
            alternatives.append(self._bounded(technique, minimal(found)))
        combined = (frozenset[str]().union(*parts) for parts in product(*alternatives))
        return self._bounded(technique, minimal(combined))

    def _bounded(self, technique: Technique, ways: list[_Steps]) -> list[_Steps]:
        if len(ways) > MAX_WAYS:
            self.crowded.add(technique.id)
        return ways[:MAX_WAYS]

    def ordered(self, steps: _Steps, ends: set[str]) -> tuple[str, ...]:
        """Return steps in an order in which each finds what it needs: reconnaissance first, the end last."""
        waiting = sorted(
            (self._catalogue.techniques[each] for each in steps),
            key=lambda t: (t.stage is Stage.EXPLOIT, t.id in ends, t.id),
        )
        given: set[Intelligence] = set()
        order: list[str] = []
        while waiting:
            ready = next((t for t in waiting if t.needs <= given), waiting[0])
            waiting.remove(ready)
            given |= ready.gives
            order.append(ready.id)
        return tuple(order)


def unmet(
    catalogue: Catalogue, steps: Sequence[str], assumes: Iterable[Intelligence]
) -> list[tuple[int, frozenset[Intelligence]]]:
    """Return which steps lack what, by their index: what neither an earlier step gives nor is assumed."""
    given = set(assumes)
    lacking: list[tuple[int, frozenset[Intelligence]]] = []
    for index, step in enumerate(steps):
        technique = catalogue.techniques[step]
        if missing := technique.needs - given:
            lacking.append((index, frozenset(missing)))
        given |= technique.gives
    return lacking
