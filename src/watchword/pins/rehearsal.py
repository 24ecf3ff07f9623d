"""Play a rotation through before it happens: which installed apps are served at each step, and which are refused.

It uses the very functions that apps decide with; only signatures are taken as verified.  Phones come in two kinds for
each app version: one that fetches at every step, and one that never did since it was installed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from watchword.pins.installed import fresh, judge, take_roots, take_set
from watchword.pins.interface import (
    Basis,
    Builtin,
    HostPins,
    Installed,
    PinMode,
    PinSet,
    RootList,
)
from watchword.reasons import Reason, RefusedError


class Outcome(StrEnum):
    """Say how a connection of a phone ends."""

    SERVED = "served"
    REFUSED = "refused"
    UNPINNED = "unpinned"
    """It is used, and rests on less than pins: the platform's authorities, or those of the build."""


@dataclass(frozen=True, slots=True)
class Situation:
    """Hold what a rehearsal starts from.

    :param published: the set that apps have, or are to have: a draft.
    :param chain: what the server shows now, the leaf first.
    :param fleet: what the app versions that are supported were built with; empty for one that ships with the set.
    """

    host: str
    published: PinSet
    roots: RootList
    chain: tuple[bytes, ...]
    now: float
    fleet: tuple[Builtin, ...] = ()

    @property
    def entry(self) -> HostPins | None:
        """Return what the set says of the host, None where it isn't enforced: nothing can go wrong then."""
        found = self.published.entry(self.host)
        return found if found is not None and found.mode is PinMode.ENFORCE else None


@dataclass(frozen=True, slots=True)
class Step:
    """Hold one step; what is None stays as it was.

    :param shows: the chain that the server shows from now on.
    :param publishes: the set that is served from now on.
    :param lists: a root list that is served from now on, and the ids of the keys that signed it.
    :param waits: seconds that pass before.
    :param fetches: whether phones that fetch do so before they connect.
    :param offered: the set that an attacker on the way serves in this step, instead of the published one.
    :param intercepts: the chain that an attacker on the way shows in this step; "served" is his success then.
    :param clock: seconds that the phones' clocks are wrong by in this step.
    """

    title: str
    shows: tuple[bytes, ...] | None = None
    publishes: PinSet | None = None
    lists: tuple[RootList, frozenset[str]] | None = None
    waits: float = 0
    fetches: bool = True
    offered: PinSet | None = None
    intercepts: tuple[bytes, ...] | None = None
    clock: float = 0


@dataclass(frozen=True, slots=True)
class Ending:
    """Say how a phone's connection ended.

    :param withheld: whether it would send no secrets over it.
    :param refused: why it took no set in this step, None where it took one or had it.
    """

    outcome: Outcome
    withheld: bool = False
    refused: Reason | None = None


@dataclass(frozen=True, slots=True)
class Played:
    """Hold a step and how it ended, by phone."""

    step: Step
    endings: Mapping[str, Ending]


@dataclass(frozen=True, slots=True)
class Scenario:
    """Name a rotation or an accident.

    :param steps: returns them for a situation; None where it can't happen there, such as a swap to a next key that
        isn't pinned.
    """

    name: str
    title: str
    steps: Callable[[Situation], Sequence[Step] | None]


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Hold how a scenario went.

    :param played: its steps, None where it can't happen in the situation.
    """

    scenario: Scenario
    played: tuple[Played, ...] | None

    @property
    def locked_out(self) -> tuple[str, ...]:
        """Return the phones that were refused by the genuine server in some step, each once."""
        found = [
            phone
            for played in self.played or ()
            if played.step.intercepts is None
            for phone, ending in played.endings.items()
            if ending.outcome is Outcome.REFUSED
        ]
        return tuple(dict.fromkeys(found))


@dataclass(slots=True)
class _World:
    now: float
    chain: tuple[bytes, ...]
    offered: PinSet
    lists: list[tuple[RootList, frozenset[str]]] = field(default_factory=list)


OFFLINE = ", never fetched"
"""Behind the version of an app, names the phone that never fetched anything."""


def rehearse(scenario: Scenario, situation: Situation) -> Rehearsal:
    """Play a scenario: before its first step, each phone that fetches has taken the set."""
    playable = situation.entry is not None and situation.chain
    steps = scenario.steps(situation) if playable else None
    if steps is None:
        return Rehearsal(scenario, None)
    world = _World(situation.now, situation.chain, situation.published)
    phones = {
        f"{builtin.app_version}{kind}": fresh(builtin)
        for builtin in situation.fleet or (_shipping(situation),)
        for kind in ("", OFFLINE)
    }
    # A phone learns the root lists between its build's and the newest one without our playing each.
    for name, phone in phones.items():
        if not name.endswith(OFFLINE):
            known = Installed(phone.builtin, situation.roots, phone.set, phone.seen)
            phones[name], _ = _fetched(known, world, world.offered, world.now)
    return Rehearsal(scenario, tuple(_play(step, world, phones, situation.host) for step in steps))


def _shipping(situation: Situation) -> Builtin:
    published = situation.published
    return Builtin(published.app, "any", situation.roots, 1, published)


def _play(step: Step, world: _World, phones: dict[str, Installed], host: str) -> Played:
    world.now += step.waits
    world.chain = step.shows or world.chain
    world.offered = step.publishes or world.offered
    if step.lists is not None:
        world.lists.append(step.lists)
    now = world.now + step.clock
    endings = {}
    for name, phone in phones.items():
        reason = None
        if step.fetches and not name.endswith(OFFLINE):
            phones[name], reason = _fetched(phone, world, step.offered or world.offered, now)
        found = judge(phones[name], host, step.intercepts or world.chain, now)
        outcome = Outcome.SERVED if found.basis is Basis.PINS else Outcome.UNPINNED
        endings[name] = Ending(
            outcome if found.passes else Outcome.REFUSED, found.passes and found.withhold, reason
        )
    return Played(step, endings)


def _fetched(
    phone: Installed, world: _World, offered: PinSet, now: float
) -> tuple[Installed, Reason | None]:
    """Return the phone once it asked for root lists and a set, and why it took no set."""
    try:
        for roots, signers in world.lists:
            if roots.version > phone.roots.version:
                phone = take_roots(phone, roots, signers)
        return take_set(phone, offered, now), None
    except RefusedError as error:
        return phone, error.reason
