"""Put measured strengths in place of estimated ones: how many ways to carry out a technique a protection stopped.

A measure can refute an estimate and never raise it: what got through got through, and that all was stopped that a drill
tries doesn't show that nothing else gets through (ADR 0020).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Final

from watchword.plan.interface import Catalogue, Protection
from watchword.plan.outcome import Measure, Standing

_ALL: Final = 3
_HALF: Final = 2
_SOME: Final = 1


def strength_of(stopped: int, tried: int) -> int:
    """Return the strength that a share comes to: all 3, at least half 2, some 1, none 0.

    :param tried: at least 1.
    """
    if stopped >= tried:
        return _ALL
    if 2 * stopped >= tried:
        return _HALF
    return _SOME if stopped > 0 else 0


def least(found: Iterable[Mapping[str, tuple[int, int]]]) -> dict[str, tuple[int, int]]:
    """Return by technique the least share of several measures; of equal ones that with fewer tried.

    What names a technique without having tried it measured nothing.
    """
    shares: dict[str, tuple[int, int]] = {}
    for measures in found:
        for technique, pair in measures.items():
            if pair[1] > 0:
                shares[technique] = min(shares.get(technique, pair), pair, key=_order)
    return dict(sorted(shares.items()))


def measured(
    catalogue: Catalogue, standings: Mapping[str, Sequence[Standing]]
) -> tuple[Catalogue, tuple[Measure, ...]]:
    """Return a catalogue whose cuts are the measured ones where there are some, and what was measured.

    Only a standing that counts measures anything.  Over several targets the least strength stands, for all assets: a
    strength isn't told apart by asset.

    A technique on which a protection has no cut gets none, however much was stopped: what it has to do with
    it is for the catalogue to say.
    """
    measures = tuple(
        measure
        for name, protection in sorted(catalogue.protections.items())
        for measure in _measures(protection, standings.get(name, ()))
    )
    cuts: dict[str, dict[str, int]] = {}
    for each in measures:
        cuts.setdefault(each.protection, {})[each.technique] = each.strength
    protections = {
        name: replace(each, cuts={**each.cuts, **cuts[name]}) if name in cuts else each
        for name, each in catalogue.protections.items()
    }
    return (replace(catalogue, protections=protections) if cuts else catalogue), measures


def _measures(protection: Protection, standings: Sequence[Standing]) -> Iterator[Measure]:
    counting = [each for each in standings if each.state.counts]
    for technique, estimate in sorted(protection.cuts.items()):
        found = [
            _measure(protection.id, technique, estimate, each)
            for each in counting
            if estimate > 0 and technique in each.measured
        ]
        if not found:
            continue
        yield min(
            found,
            key=lambda each: (each.strength, *_order((each.stopped, each.tried)), each.target),
        )


def _measure(protection: str, technique: str, estimate: int, seen: Standing) -> Measure:
    """Return what one target measured, as much as it is worth."""
    stopped, tried = seen.measured[technique]
    strength = min(strength_of(stopped, tried), estimate)
    return Measure(protection, technique, stopped, tried, estimate, strength, seen.target)


def _order(pair: tuple[int, int]) -> tuple[Fraction, int]:
    """Order measures: the least share first, of equal ones that with fewer tried."""
    return Fraction(*pair), pair[1]
