"""Say how firmly the order stands: shaken inputs, and the smallest change that moves an item.

Impacts and efforts are estimates.  An order that falls over at the first doubt isn't worth much, and the reader must see it.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from watchword.plan.cover import Chosen, Compiled, Costs, bits
from watchword.plan.interface import IMPACT_LEVELS, Catalogue, Deadline, Effort
from watchword.plan.outcome import Change, Estimate, Phase, Stability
from watchword.plan.phases import Schedule, schedule

DRAWS: Final = 200
"""How often the inputs are shaken."""

_FINE: Final = 100
"""Efforts are shaken in hundredths, so that they stay whole numbers."""

_SIZES: Final = (1, 2, 3, 4)
_MAX_STRENGTH: Final = 3
_DRAWS_SHARE: Final = 0.8


@dataclass(frozen=True, slots=True)
class Shaken:
    """Hold how each item stood, by bit, and what was left out when the time was over."""

    by_item: Mapping[int, Stability]
    notes: tuple[str, ...]


Recompile = Callable[[Mapping[tuple[int, str], int]], Compiled]
"""Compile the same model with other strengths, by (bit, technique)."""


def shake(
    compiled: Compiled,
    base: Schedule,
    catalogue: Catalogue,
    steps: frozenset[str],
    recompile: Recompile,
    deadline: Deadline,
) -> Shaken:
    """Shake the inputs of a schedule without a budget, and look for the smallest changes.

    :param steps: techniques that stand in the model.
    """
    first, kept, draws = _draw(compiled, base, deadline)
    search = _Search(compiled, base, catalogue, steps, recompile)
    smallest, looked = search.run(deadline)
    notes: list[str] = []
    if draws < DRAWS:
        notes.append(f"inputs were shaken {draws} times instead of {DRAWS}: the time was over")
    if not looked:
        notes.append(
            "how firm each place is was tried in part only: a smaller change than the one that is told may move an item"
        )
    return Shaken(
        {
            bit: Stability(draws, first.get(bit, 0), kept.get(bit, 0), smallest.get(bit))
            for bit in base.order
        },
        tuple(notes),
    )


def _draw(
    compiled: Compiled, base: Schedule, deadline: Deadline
) -> tuple[dict[int, int], dict[int, int], int]:
    """Count in how many draws each item came first, and stayed in its phase."""
    phase_of = _phases(base)
    first: dict[int, int] = {}
    kept: dict[int, int] = {}
    draws = 0
    for number in range(DRAWS):
        if deadline.is_over(_DRAWS_SHARE):
            break
        shaken = schedule(_shaken(compiled, number), refine=False)
        draws += 1
        order = shaken.order
        if order:
            first[order[0]] = first.get(order[0], 0) + 1
        for bit, phase in _phases(shaken).items():
            if phase_of.get(bit) is phase:
                kept[bit] = kept.get(bit, 0) + 1
    return first, kept, draws


def _phases(found: Schedule) -> dict[int, Phase]:
    return {bit: stretch.phase for stretch in found.stretches for bit in stretch.order}


def _shaken(compiled: Compiled, number: int) -> Compiled:
    """Return a model with each impact changed by -1, 0 or 1, and each effort by half to double."""
    draws = _uniform(number)
    worst, least = IMPACT_LEVELS[0], IMPACT_LEVELS[-1]
    impacts = tuple(
        min(worst, max(least, impact + int(next(draws) * 3) - 1)) for impact in compiled.impacts
    )
    effort = [
        max(1, round(each * _FINE * 2 ** (2 * next(draws) - 1))) for each in compiled.costs.effort
    ]
    return replace(compiled, impacts=impacts, costs=Costs(effort, compiled.costs.needs))


def _uniform(number: int) -> Iterator[float]:
    """Yield numbers from 0 to 1, the same for the same draw: a plan must not change from run to run."""
    block = 0
    while True:
        digest = hashlib.sha256(f"watchword plan {number} {block}".encode()).digest()
        for start in range(0, len(digest), 4):
            yield int.from_bytes(digest[start : start + 4]) / 2**32
        block += 1


@dataclass(frozen=True, slots=True)
class _Trial:
    """Hold one change, and what makes the changed model."""

    make: Callable[[], Compiled]
    estimate: Estimate
    subject: str
    technique: str
    before: int
    after: int

    def change(self, place: int | None, size: int) -> Change:
        """Return the change with where it moves an item."""
        against = f" on {self.technique}" if self.technique else ""
        what = f"{self.estimate} of {self.subject}{against} from {self.before} to {self.after}"
        return Change(
            what,
            place,
            size,
            self.estimate,
            self.subject,
            self.technique,
            self.before,
            self.after,
        )


class _Search:
    """Try single changes from the smallest on, until each item has moved or all are tried."""

    def __init__(
        self,
        compiled: Compiled,
        base: Schedule,
        catalogue: Catalogue,
        steps: frozenset[str],
        recompile: Recompile,
    ) -> None:
        self._compiled = compiled
        self._places = {bit: place for place, bit in enumerate(base.order, 1)}
        self._catalogue = catalogue
        self._steps = steps
        self._recompile = recompile
        self._kept: dict[object, Chosen] = {}

    def run(self, deadline: Deadline) -> tuple[dict[int, Change], bool]:
        """Return the smallest change by item, and whether everything was tried that had to be."""
        found: dict[int, Change] = {}
        for size in _SIZES:
            for trial in self._trials(size):
                if len(found) == len(self._places):
                    return found, True
                if deadline.is_over(1.0):
                    return found, False
                order = schedule(trial.make(), kept=self._kept).order
                now = {bit: place for place, bit in enumerate(order, 1)}
                for bit, place in self._places.items():
                    if bit not in found and now.get(bit) != place:
                        found[bit] = trial.change(now.get(bit), size)
        return found, True

    def _trials(self, size: int) -> Iterator["_Trial"]:
        """Yield every change of a size."""
        yield from self._impacts(size)
        yield from self._efforts(size)
        yield from self._strengths(size)

    def _impacts(self, size: int) -> Iterator["_Trial"]:
        model = self._compiled
        for asset, impact in enumerate(model.impacts):
            for to in (impact - size, impact + size):
                if to in IMPACT_LEVELS:
                    make = _bound(model.with_impact, asset, to)
                    yield _Trial(make, Estimate.IMPACT, model.assets[asset], "", impact, to)

    def _efforts(self, size: int) -> Iterator["_Trial"]:
        model = self._compiled
        for bit in self._acting():
            effort = model.costs.effort[bit]
            for to in _other_efforts(effort, size):
                make = _bound(model.with_effort, bit, to)
                yield _Trial(make, Estimate.EFFORT, model.ids[bit], "", effort, to)

    def _strengths(self, size: int) -> Iterator["_Trial"]:
        model = self._compiled
        # That of what is proven is an estimate too.
        for bit in bits(model.available | model.everywhere):
            name = model.ids[bit]
            cuts = self._catalogue.protections[name].cuts
            for technique in sorted(self._steps & cuts.keys()):
                strength = cuts[technique]
                for to in (strength - size, strength + size):
                    if strength > 0 and 0 <= to <= _MAX_STRENGTH:
                        make = _bound(self._recompile, {(bit, technique): to})
                        yield _Trial(make, Estimate.STRENGTH, name, technique, strength, to)

    def _acting(self) -> list[int]:
        """Return what can cut something: no other effort moves the order of the two phases."""
        mask = 0
        for ways in self._compiled.ways:
            for each in ways:
                mask |= each.close | each.delay
        return list(bits(self._compiled.costs.closure(mask) & self._compiled.available))


def _other_efforts(effort: int, size: int) -> Sequence[int]:
    """Return the efforts that lie some classes away; what lies between counts as the class below."""
    classes = sorted(Effort)
    at = max((n for n, each in enumerate(classes) if each <= effort), default=0)
    places = [at - size, at + size]
    return [int(classes[n]) for n in places if 0 <= n < len(classes) and classes[n] != effort]


def _bound(make: Callable[..., Compiled], *arguments: object) -> Callable[[], Compiled]:
    return lambda: make(*arguments)
