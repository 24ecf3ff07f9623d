"""Build the model: the paths that are derived, less what the user strikes, with what he adds and pins.

A path is a set of steps in which each step's needs are given by the others, and from which no step can be taken away.  A set that
holds another one is left out: whoever can take the shorter way has no need of the longer, and
whatever closes the shorter at an exploitation step closes the longer too.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Final

from watchword.plan.catalogue import nearest_id
from watchword.plan.cover import bits
from watchword.plan.interface import (
    Actor,
    Asset,
    AttackPath,
    Catalogue,
    Intelligence,
    Model,
    ModelFault,
    Scenarios,
    Stage,
    Strike,
    Struck,
)

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
        self._oversized: set[Intelligence] = set()
        for _ in Intelligence:
            found = {each: self._givers(each) for each in Intelligence}
            self._known.clear()
            if found == self._to:
                break
            self._to = found

    @property
    def oversized(self) -> tuple[str, ...]:
        """Return the kinds of intelligence to which only some of the ways were looked at."""
        return tuple(sorted(self._oversized))

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
            self._oversized.add(kind)
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
                self._oversized.update(wanted)
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


MAX_PATHS: Final = 20_000
"""Most paths of a model; beyond it the assets of the least impact are left out, and said to be."""

MAX_STEPS: Final = 20
"""Most steps of one path."""

_OF_ATTACK: Final = re.compile(r"T[0-9]{4}(?:\.[0-9]{3})?")
"""Ids of MITRE ATT&CK, which the catalogue names beside its own."""

_NO_PATH: Final = "traits, lives_in and actors that some technique reaches, or a path of yours under scenarios.add"


def build_model(
    catalogue: Catalogue,
    assets: Mapping[str, Asset],
    scenarios: Scenarios,
    today: date | None = None,
) -> tuple[Model | None, list[ModelFault]]:
    """Build the model, or say everything that is wrong with it.

    :param today: in UTC; a risk that was accepted until an earlier day counts again.  None takes every acceptance as it is written.
    :returns: the model and no fault, or None and at least one.
    """
    faults = list(_written_faults(catalogue, assets, scenarios))
    if not assets:
        faults.append(ModelFault(("assets",), "no asset", "at least one asset: what may be lost"))
    if faults:
        return None, faults
    derived = _Derived(catalogue, assets) if scenarios.derive else None
    written = [*scenarios.pin, *scenarios.add]
    by_id = {path.id: path for path in reversed(written)}
    own = {path.asset for path in by_id.values()}
    strikes = _Strikes(scenarios.strike, today)
    paths: list[AttackPath] = []
    struck: list[Struck] = []
    planned: list[str] = []
    waiting = sorted(assets.values(), key=lambda asset: (-asset.impact, asset.id))
    for asset in waiting:
        found = [AttackPath(asset.id, steps) for steps in (derived.steps(asset) if derived else ())]
        kept, gone = strikes.sift(path for path in found if path.id not in by_id)
        if len(paths) + len(kept) > MAX_PATHS - len(by_id) and planned:
            break
        planned.append(asset.id)
        paths += kept
        struck += gone
        if not (kept or gone or asset.id in own):
            got = _reached_by_nothing(asset)
            faults.append(ModelFault(("assets", asset.id), got, _NO_PATH))
    left_out = waiting[len(planned) :]
    paths += [path for path in by_id.values() if path.asset in planned]
    if not left_out:
        faults += strikes.idle()
    if faults:
        return None, faults
    notes = [
        *strikes.ended(),
        *_left_out(waiting, left_out),
        *_oversized(derived.oversized if derived else []),
        *_unreached(planned, paths),
    ]
    return (
        Model(
            assets={each: assets[each] for each in sorted(planned)},
            paths=tuple(sorted(paths, key=lambda path: path.id)),
            struck=tuple(sorted(struck, key=lambda each: each.path.id)),
            cut=tuple(notes),
        ),
        [],
    )


class _Derived:
    """Derive the paths to assets, of each in the place of whoever calls it."""

    def __init__(self, catalogue: Catalogue, assets: Mapping[str, Asset]) -> None:
        callers = {actor for asset in assets.values() for actor in asset.actors}
        self._by_actor = {each: Derivation(catalogue, each) for each in sorted(callers)}
        self._known: dict[tuple[object, ...], list[tuple[str, ...]]] = {}
        self._oversized: list[str] = []

    def steps(self, asset: Asset) -> list[tuple[str, ...]]:
        """Return the steps of each path to an asset, sorted; what reaches it in anybody's place reaches it once."""
        alike = (asset.traits, asset.lives_in, asset.actors)
        if alike not in self._known:
            found = [self._by_actor[each].paths(asset) for each in sorted(asset.actors)]
            self._known[alike] = sorted({steps for paths, _ in found for steps in paths})
            if not all(whole for _, whole in found):
                self._oversized.append(asset.id)
        return self._known[alike]

    @property
    def oversized(self) -> list[str]:
        """Return the kinds of intelligence and the assets of which only some of the ways were looked at."""
        kinds = {kind for each in self._by_actor.values() for kind in each.oversized}
        return [*sorted(kinds), *self._oversized]


class _Strikes:
    """Take derived paths out, and remember which strike never did."""

    def __init__(self, strikes: tuple[Strike, ...], today: date | None) -> None:
        self._strikes = strikes
        self._ended = [today is not None and each.has_ended(today) for each in strikes]
        self._used: set[int] = set()

    def sift(self, paths: Iterable[AttackPath]) -> tuple[list[AttackPath], list[Struck]]:
        """Return the paths that stay, and those that are struck with the first reason for it."""
        kept: list[AttackPath] = []
        gone: list[Struck] = []
        for path in paths:
            hits = [i for i, strike in enumerate(self._strikes) if strikes(strike, path)]
            self._used.update(hits)
            counting = [i for i in hits if not self._ended[i]]
            if counting:
                gone.append(Struck(path, self._strikes[counting[0]].reason))
            else:
                kept.append(path)
        return kept, gone

    def ended(self) -> Iterator[str]:
        """Yield what is said of each acceptance that has ended: its ways in count again."""
        for strike, ended in zip(self._strikes, self._ended, strict=True):
            if ended and strike.until is not None:
                what = strike.technique or " > ".join(strike.steps or ()) or strike.asset
                yield (
                    f"{strike.owner} accepted {what} until {strike.until.isoformat()}: that has ended, so it counts again; "
                    "accept it anew, or close it"
                )

    def idle(self) -> Iterator[ModelFault]:
        """Yield a fault for each strike that strikes nothing: most likely it names the wrong thing."""
        for index in range(len(self._strikes)):
            if index not in self._used:
                expected = "a strike that some derived path fits"
                yield ModelFault(
                    ("scenarios", "strike", index), "a strike that fits no path", expected
                )


def strikes(strike: Strike, path: AttackPath) -> bool:
    """Tell whether a strike takes a path out."""
    return (
        (strike.asset is None or strike.asset == path.asset)
        and (strike.technique is None or strike.technique in path.steps)
        and (strike.steps is None or strike.steps == path.steps)
    )


def _written_faults(
    catalogue: Catalogue, assets: Mapping[str, Asset], scenarios: Scenarios
) -> Iterator[ModelFault]:
    """Yield what is wrong with what the user wrote of paths."""
    lists = {"add": scenarios.add, "pin": scenarios.pin}
    for name, paths in lists.items():
        for index, path in enumerate(paths):
            where = ("scenarios", name, index)
            yield from _path_faults(catalogue, assets, path, where)
            if name == "add" and any(strikes(strike, path) for strike in scenarios.strike):
                yield ModelFault(where, "a path that is also struck", "one of both; or pin it")
    for index, strike in enumerate(scenarios.strike):
        place = ("scenarios", "strike", index)
        if strike.asset is not None and strike.asset not in assets:
            yield ModelFault((*place, "asset"), repr(strike.asset), _nearest(strike.asset, assets))
        named = [("technique", strike.technique)] if strike.technique is not None else []
        named += [("steps", step) for step in strike.steps or ()]
        for member, step in named:
            if step not in catalogue.techniques:
                expected = _nearest(step, catalogue.techniques)
                yield ModelFault((*place, member), repr(step), expected)


def _path_faults(
    catalogue: Catalogue,
    assets: Mapping[str, Asset],
    path: AttackPath,
    where: tuple[str | int, ...],
) -> Iterator[ModelFault]:
    """Yield what makes a written path impossible."""
    if path.asset not in assets:
        yield ModelFault((*where, "asset"), repr(path.asset), _nearest(path.asset, assets))
    steps = (*where, "steps")
    if not 0 < len(path.steps) <= MAX_STEPS:
        yield ModelFault(steps, f"{len(path.steps)} steps", f"1 to {MAX_STEPS} steps")
        return
    unknown = [i for i, step in enumerate(path.steps) if step not in catalogue.techniques]
    for index in unknown:
        step = path.steps[index]
        yield ModelFault((*steps, index), repr(step), _nearest(step, catalogue.techniques))
    if unknown:
        return
    if len(set(path.steps)) < len(path.steps):
        yield ModelFault(steps, "a step that stands twice", "each step once")
    stages = [catalogue.techniques[step].stage for step in path.steps]
    if stages[-1] is not Stage.EXPLOIT:
        got = f"{path.steps[-1]} at the end, which gathers intelligence"
        yield ModelFault(steps, got, "a last step that does the damage")
    elif sorted(stages, key=lambda stage: stage is Stage.EXPLOIT) != stages:
        expected = "every step that gathers intelligence before the first that exploits it"
        yield ModelFault(steps, "an order that can't be", expected)
    for index, lacking in unmet(catalogue, path.steps, path.assumes):
        needs = " and ".join(sorted(lacking))
        got = f"{path.steps[index]}, which needs {needs}, and no step before it gives that"
        expected = "an earlier step that gives it, or `assumes` with what the attacker has"
        yield ModelFault((*steps, index), got, expected)


def _nearest(name: str, known: Iterable[str]) -> str:
    """Say which names are known, the nearest first."""
    names = sorted(known)
    near = None if _OF_ATTACK.fullmatch(name) else nearest_id(name, names)
    listed = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    if near:
        return f"{near}? Known: {listed}"
    if _OF_ATTACK.fullmatch(name):
        return "a technique's id of this catalogue, not ATT&CK's: `watchword plan catalogue` lists them"
    return f"one of {listed}"


def _reached_by_nothing(asset: Asset) -> str:
    traits = ", ".join(sorted(asset.traits)) or "no traits"
    lives = ", ".join(sorted(asset.lives_in)) or "nowhere"
    actors = ", ".join(sorted(asset.actors))
    return f"an asset that nobody reaches ({traits}; lives in {lives}; called by {actors})"


def _left_out(waiting: list[Asset], left_out: list[Asset]) -> Iterator[str]:
    if left_out:
        yield (
            f"{len(left_out)} of {len(waiting)} assets aren't planned for, of impact "
            f"{left_out[0].impact} and below: the model would hold more than {MAX_PATHS} paths"
        )


def _oversized(names: list[str]) -> Iterator[str]:
    if names:
        listed = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
        yield f"only the shortest of the ways to {listed} were looked at: there are too many"


def _unreached(planned: list[str], paths: list[AttackPath]) -> Iterator[str]:
    reached = {path.asset for path in paths}
    for each in sorted(set(planned) - reached):
        yield f"nothing reaches {each} any more: all its paths are struck"
