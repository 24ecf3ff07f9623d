"""Derive the paths to an asset from what techniques need and give.

A path is a set of steps in which each step's needs are given by the others, and from which no step can be taken away.  A set that
holds another one is left out: whoever can take the shorter way has no need of the longer, and
whatever closes the shorter at an exploitation step closes the longer too.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from watchword.plan.cover import bits
from watchword.plan.interface import Actor, Asset, Catalogue, Intelligence, Stage

MAX_WAYS: Final = 128
"""Most ways to one kind of intelligence that are kept, the shortest first: a catalogue of one's own can make
them explode.  The shipped one has 26 at most."""

MAX_PATHS_TO_ASSET: Final = 2_000
"""Most paths to one asset, the shortest first."""


def minimal(sets: Iterable[int], most: int) -> tuple[list[int], bool]:
    """Return the sets of bits that hold no other one, the smallest first, in a fixed order.

    :param most: how many at most.
    :returns: them, and whether there may be more.
    """
    found: list[int] = []
    # Whatever holds a set holds its smallest bit, so that few have to be compared.
    by_first: dict[int, list[int]] = {}
    for each in sorted(set(sets), key=lambda mask: (mask.bit_count(), mask)):
        if any(
            smaller & each == smaller for bit in bits(each) for smaller in by_first.get(bit, ())
        ):
            continue
        if len(found) == most:
            return found, True
        found.append(each)
        if each:
            by_first.setdefault(next(bits(each)), []).append(each)
        else:
            return found, False
    return found, False


class Derivation:
    """Find the ways to techniques of one catalogue; a way is the bits of its steps, in the order of their ids."""

    def __init__(self, catalogue: Catalogue, actor: Actor = Actor.USER) -> None:
        """Take the techniques that are done in the place of one actor: what one gathers there is of no use in another's.

        Then find the ways to each kind of intelligence, round by round: in the first round those that need nothing, then
        those that need what earlier rounds give.  A shortest way comes by each kind once, so that there are no more
        rounds than kinds.
        """
        self._techniques = {
            each.id: each for each in catalogue.techniques.values() if actor in each.actors
        }
        self._ids = tuple(sorted(self._techniques))
        self._bit = {each: 1 << bit for bit, each in enumerate(self._ids)}
        self._to: dict[Intelligence, list[int]] = {each: [] for each in Intelligence}
        self._known: dict[tuple[Intelligence, ...], list[int]] = {}
        self._crowded: set[Intelligence] = set()
        for _ in Intelligence:
            found = {each: self._givers(each) for each in Intelligence}
            self._known.clear()
            if found == self._to:
                break
            self._to = found

    @property
    def crowded(self) -> tuple[str, ...]:
        """Return the kinds of intelligence to which only some of the ways were looked at."""
        return tuple(sorted(self._crowded))

    def paths(self, asset: Asset) -> tuple[list[tuple[str, ...]], bool]:
        """Return the steps of the paths to an asset, each in order, sorted; and whether these are all."""
        ends = [
            technique
            for technique in self._techniques.values()
            if technique.stage is Stage.EXPLOIT
            and technique.harms & asset.traits
            and technique.component in asset.lives_in
        ]
        # Two techniques that reach the same asset by one another make one way, not two.
        sets, more = minimal(
            (way | self._bit[end.id] for end in ends for way in self._ways(end.needs)),
            MAX_PATHS_TO_ASSET,
        )
        last = {end.id for end in ends}
        return sorted(self._ordered(steps, last) for steps in sets), not more

    def _givers(self, kind: Intelligence) -> list[int]:
        """Return the ways to a kind of intelligence, by whoever gives it."""
        givers = [each for each in self._techniques.values() if kind in each.gives]
        ways, more = minimal(
            (way | self._bit[giver.id] for giver in givers for way in self._ways(giver.needs)),
            MAX_WAYS,
        )
        if more:
            self._crowded.add(kind)
        return ways

    def _ways(self, needs: Iterable[Intelligence]) -> list[int]:
        """Return the ways to have all of some kinds of intelligence."""
        wanted = tuple(sorted(needs))
        if not wanted:
            return [0]
        if wanted not in self._known:
            *others, last = wanted
            ways, more = minimal(
                (one | other for one in self._ways(others) for other in self._to[last]), MAX_WAYS
            )
            if more:
                self._crowded.update(wanted)
            self._known[wanted] = ways
        return self._known[wanted]

    def _ordered(self, steps: int, ends: set[str]) -> tuple[str, ...]:
        """Return steps in an order in which each finds what it needs: reconnaissance first, the end last."""
        waiting = sorted(
            (self._techniques[self._ids[bit]] for bit in bits(steps)),
            key=lambda t: (t.stage is Stage.EXPLOIT, t.id in ends, t.id),
        )
        given: set[Intelligence] = set()
        order: list[str] = []
        while waiting:
            ready = next(each for each in waiting if each.needs <= given)
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
