"""Play a rotation through before it happens: which installed apps are served at each step, and which are refused.

It uses the very functions that apps decide with; only signatures are taken as verified.  Phones come in two kinds for
each app version: one that fetches at every step, and one that never did since it was installed.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from watchword.pins.installed import DAY, fresh, judge, take_roots, take_set
from watchword.pins.interface import (
    AfterExpiry,
    Basis,
    Builtin,
    HostPins,
    Installed,
    Pin,
    PinMode,
    PinRole,
    PinSet,
    RootList,
)
from watchword.pins.sets import MAX_VERSION
from watchword.ports import VerificationKey
from watchword.reasons import Reason, RefusedError

_Lists = tuple[RootList, frozenset[str]]
"""A root list, and the ids of the keys that signed it."""


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
    lists: _Lists | None = None
    waits: float = 0
    fetches: bool = True
    offered: PinSet | None = None
    intercepts: tuple[bytes, ...] | None = None
    clock: float = 0


Steps = Iterator[Step]


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

    :param steps: yields them for a situation in which it is possible.
    :param possible: tells whether it can happen there; a swap to a next key that isn't pinned can't.
    """

    name: str
    title: str
    steps: Callable[[Situation], Steps]
    possible: Callable[[Situation], bool] = lambda _: True


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
        return self._phones(lambda end: end.outcome is Outcome.REFUSED, attacked=False)

    @property
    def intercepted(self) -> tuple[str, ...]:
        """Return the phones that an attacker's server got a connection of, secrets included, each once."""
        return self._phones(
            lambda end: end.outcome is not Outcome.REFUSED and not end.withheld, attacked=True
        )

    def _phones(self, ended: Callable[[Ending], bool], *, attacked: bool) -> tuple[str, ...]:
        found = [
            phone
            for played in self.played or ()
            if (played.step.intercepts is not None) is attacked
            for phone, ending in played.endings.items()
            if ended(ending)
        ]
        return tuple(dict.fromkeys(found))


OFFLINE = ", never fetched"
"""Behind the version of an app, names the phone that never fetched anything."""


def rehearse(scenario: Scenario, situation: Situation) -> Rehearsal:
    """Play a scenario: before its first step, each phone that fetches has taken the set."""
    if situation.entry is None or not situation.chain or not scenario.possible(situation):
        return Rehearsal(scenario, None)
    now, chain, offered = situation.now, situation.chain, situation.published
    lists: list[_Lists] = []
    shipping = Builtin(offered.app, "any", situation.roots, 1, offered)
    phones = {
        f"{builtin.app_version}{kind}": fresh(builtin)
        for builtin in situation.fleet or (shipping,)
        for kind in ("", OFFLINE)
    }
    # A phone learns the root lists between its build's and the newest one without our playing each.
    for name, phone in phones.items():
        if not name.endswith(OFFLINE):
            known = Installed(phone.builtin, situation.roots, phone.set, phone.seen)
            phones[name], _ = _fetched(known, lists, offered, now)
    played = []
    for step in scenario.steps(situation):
        now += step.waits
        chain, offered = step.shows or chain, step.publishes or offered
        lists += [step.lists] if step.lists is not None else []
        clock, endings = now + step.clock, {}
        for name, phone in phones.items():
            reason = None
            if step.fetches and not name.endswith(OFFLINE):
                phones[name], reason = _fetched(phone, lists, step.offered or offered, clock)
            found = judge(phones[name], situation.host, step.intercepts or chain, clock)
            outcome = Outcome.SERVED if found.basis is Basis.PINS else Outcome.UNPINNED
            outcome = outcome if found.passes else Outcome.REFUSED
            endings[name] = Ending(outcome, found.passes and found.withhold, reason)
        played.append(Played(step, endings))
    return Rehearsal(scenario, tuple(played))


def _fetched(
    phone: Installed, lists: Sequence[_Lists], offered: PinSet, now: float
) -> tuple[Installed, Reason | None]:
    """Return the phone once it asked for root lists and a set, and why it took no set."""
    try:
        for roots, signers in lists:
            if roots.version > phone.roots.version:
                phone = take_roots(phone, roots, signers)
        return take_set(phone, offered, now), None
    except RefusedError as error:
        return phone, error.reason


_OTHER_CA: Final = hashlib.sha256(b"another authority").digest()
_OTHER_MIDDLE: Final = hashlib.sha256(b"another intermediate").digest()
_OTHER_CHAIN: Final = (_OTHER_MIDDLE, _OTHER_CA)
_UNPLANNED: Final = hashlib.sha256(b"a key that nobody planned").digest()
_SPARE: Final = hashlib.sha256(b"a new backup key").digest()
_THIEF: Final = hashlib.sha256(b"a thief's key").digest()
_NEW_PIN_KEY: Final = "new pin key"
_TWO_YEARS: Final = 730 * DAY

# What a scenario needs to be possible.


def _own(at: Situation) -> bool:
    """Tell whether the server is known by its own key."""
    return at.chain[0] in {pin.spki for pin in _entry(at).pins if pin.role is not PinRole.CA}


def _by_authority(at: Situation) -> bool:
    return not _own(at) and bool(_entry(at).of(PinRole.CA))


def _with(role: PinRole) -> Callable[[Situation], bool]:
    return lambda at: _own(at) and _leaf(at, role) is not None


def _ends(after: AfterExpiry) -> Callable[[Situation], bool]:
    return lambda at: _entry(at).after_expiry is after


# What happens in it.


def _entry(at: Situation) -> HostPins:
    assert at.entry is not None, "nothing else is played"
    return at.entry


def _leaf(at: Situation, role: PinRole) -> bytes | None:
    """Return the first key of a role that the server doesn't show now."""
    return next((pin.spki for pin in _entry(at).of(role) if pin.spki != at.chain[0]), None)


def _planned(at: Situation, role: PinRole) -> bytes:
    return _leaf(at, role) or _SPARE


def _showing(at: Situation, leaf: bytes) -> tuple[bytes, ...]:
    return (leaf, *at.chain[1:])


def _swapped(at: Situation, current: bytes, backup: bytes = _SPARE) -> PinSet:
    """Return the set that follows once another key is the current one."""
    return _next(at, {current: PinRole.CURRENT, backup: PinRole.BACKUP})


def _next(at: Situation, keys: Mapping[bytes, PinRole]) -> PinSet:
    """Return the set that follows the published one: these own keys for the host, its authorities as before."""
    pins = (Pin(spki, role) for spki, role in keys.items())
    return _renewed(at, replace(_entry(at), pins=(*pins, *_entry(at).of(PinRole.CA))))


def _with_other_ca(at: Situation) -> PinSet:
    entry = _entry(at)
    return _renewed(at, replace(entry, pins=(*entry.pins, Pin(_OTHER_CA, PinRole.CA))))


def _renewed(at: Situation, entry: HostPins) -> PinSet:
    """Return the set that follows with another entry; it is issued at the start and lives as long as before."""
    published = at.published
    later = int(at.now) - published.issued_at
    return replace(
        published,
        version=published.version + 1,
        issued_at=published.issued_at + later,
        soft_expiry=published.soft_expiry + later,
        hard_expiry=published.hard_expiry + later,
        hosts=tuple(entry if each.host == entry.host else each for each in published.hosts),
    )


def _by_new_pin_key(at: Situation, roots: RootList) -> PinSet:
    return replace(_renewed(at, _entry(at)), key=_NEW_PIN_KEY, root_version=roots.version)


def _root_list(at: Situation, pin_keys: Sequence[str], floor: int | None = None) -> RootList:
    """Return the next list with these pin keys; what matters of a key here is its id."""
    sample = next(iter(at.roots.pin_keys.values())).key
    keys = {kid: at.roots.pin_keys.get(kid, VerificationKey(kid, sample)) for kid in pin_keys}
    floors = dict(at.roots.floors)
    if floor is not None:
        floors[at.published.app] = max(floor, floors.get(at.published.app, 1))
    return replace(at.roots, version=at.roots.version + 1, pin_keys=keys, floors=floors)


def _signed_by(at: Situation, count: int, roots: RootList | None = None) -> _Lists:
    """Return a list, the present one renewed if None, with the signatures of so many root keys."""
    renewed = roots or _root_list(at, list(at.roots.pin_keys))
    return renewed, frozenset(list(at.roots.keys)[:count])


def _until_expired(at: Situation) -> float:
    return at.published.hard_expiry - at.now


_SCENARIOS: Final[list[Scenario]] = []


def _scenario(
    name: str, title: str, possible: Callable[[Situation], bool] = lambda _: True
) -> Callable[[Callable[[Situation], Steps]], Callable[[Situation], Steps]]:
    """Return a decorator that makes a scenario of its steps."""

    def add(steps: Callable[[Situation], Steps]) -> Callable[[Situation], Steps]:
        _SCENARIOS.append(Scenario(name, title, steps, possible))
        return steps

    return add


@_scenario("renewal", "Renewal with the same key")
def _renewal(at: Situation) -> Steps:
    yield Step("the certificate is renewed, with the same key", shows=at.chain)


@_scenario("swap-next", "Planned swap to the next key", _with(PinRole.NEXT))
def _swap_next(at: Situation) -> Steps:
    new = _planned(at, PinRole.NEXT)
    yield Step("the set with the next key is out")
    yield Step("the server shows the next key", shows=_showing(at, new))
    after = _swapped(at, new, _planned(at, PinRole.BACKUP))
    yield Step("a set without the old key is published", publishes=after)


@_scenario("swap-backup", "Planned swap to the backup key", _with(PinRole.BACKUP))
def _swap_backup(at: Situation) -> Steps:
    new = _planned(at, PinRole.BACKUP)
    yield Step("the server shows the backup key", shows=_showing(at, new))
    yield Step("a set with it and a new backup is published", publishes=_swapped(at, new))


@_scenario("swap-early", "Swap before apps fetched the set", _own)
def _swap_early(at: Situation) -> Steps:
    backup = _planned(at, PinRole.BACKUP)
    keys = {at.chain[0]: PinRole.CURRENT, _UNPLANNED: PinRole.NEXT, backup: PinRole.BACKUP}
    title = "a set with a new next key is published; nobody has fetched it yet"
    yield Step(title, publishes=_next(at, keys), fetches=False)
    yield Step("the server shows it at once", shows=_showing(at, _UNPLANNED), fetches=False)
    yield Step("apps fetch the set")


@_scenario("ca-change-own-key", "Another authority, pinned by own key", _own)
def _ca_change_own(at: Situation) -> Steps:
    shows = (at.chain[0], *_OTHER_CHAIN)
    yield Step("another authority signs, for the same key", shows=shows)


@_scenario("ca-change-planned", "Another authority, pinned by authority", _by_authority)
def _ca_change_planned(at: Situation) -> Steps:
    yield Step("a set with the new authority is published", publishes=_with_other_ca(at))
    yield Step("the new authority signs", shows=(_UNPLANNED, *_OTHER_CHAIN))


@_scenario("ca-change-sudden", "Another authority without notice", _by_authority)
def _ca_change_sudden(at: Situation) -> Steps:
    yield Step("the CDN changes the authority", shows=(_UNPLANNED, *_OTHER_CHAIN))
    yield Step("a set with the new authority is published", publishes=_with_other_ca(at))


@_scenario(
    "intermediate",
    "Another intermediate of a CDN",
    lambda at: _by_authority(at) and len(at.chain) >= 3,
)
def _middle_change(at: Situation) -> Steps:
    title = "the CDN takes another key and intermediate under the same root"
    yield Step(title, shows=(_UNPLANNED, _OTHER_MIDDLE, at.chain[-1]))


@_scenario("lost-key", "Current key stolen, backup there", _with(PinRole.BACKUP))
def _lost_with_backup(at: Situation) -> Steps:
    new = _planned(at, PinRole.BACKUP)
    yield Step("a thief uses the stolen current key", intercepts=at.chain)
    yield Step("the server shows the backup key", shows=_showing(at, new))
    yield Step("a set without the stolen key is published", publishes=_swapped(at, new))
    yield Step("the thief tries again", intercepts=at.chain)


@_scenario("lost-keys", "Current and backup lost", _own)
def _lost_without_backup(at: Situation) -> Steps:
    title = "current and backup are lost; the server shows a key that nobody planned"
    yield Step(title, shows=_showing(at, _UNPLANNED))
    yield Step("a set with it is published, forced", publishes=_swapped(at, _UNPLANNED))
    title = "the hard expiry of the old set passes"
    yield Step(title, waits=_until_expired(at), fetches=False)


@_scenario("lost-pin-key", "Pin key lost")
def _pin_key_lost(at: Situation) -> Steps:
    roots = _root_list(at, [*at.roots.pin_keys, _NEW_PIN_KEY])
    lists = _signed_by(at, at.roots.threshold, roots)
    yield Step("the pin key is lost, nobody has it")
    yield Step("a root list names a second one", lists=lists)
    yield Step("a set signed by it is published", publishes=_by_new_pin_key(at, roots))


@_scenario("stolen-pin-key", "Pin key stolen", _own)
def _pin_key_stolen(at: Situation) -> Steps:
    thief = _showing(at, _THIEF)
    stolen = replace(_next(at, {_THIEF: PinRole.CURRENT}), key=at.published.key)
    forged = replace(stolen, version=MAX_VERSION)
    others = [kid for kid in at.roots.pin_keys if kid != at.published.key]
    roots = _root_list(at, [*others, _NEW_PIN_KEY], at.published.version + 1)
    lists = _signed_by(at, at.roots.threshold, roots)
    new = _by_new_pin_key(at, roots)
    yield Step("a thief serves a set of his own, with the highest version", offered=forged)
    yield Step("he shows his own key", offered=forged, intercepts=thief)
    yield Step("a root list takes the stolen key out", lists=lists)
    yield Step("a set signed by a new pin key is published", publishes=new)
    yield Step("the thief tries again", offered=forged, intercepts=thief)


@_scenario("lost-root-key", "One root key lost", lambda at: len(at.roots.keys) > at.roots.threshold)
def _root_key_lost(at: Situation) -> Steps:
    title = "a root key is lost; the others sign a list without it"
    yield Step(title, lists=_signed_by(at, at.roots.threshold))


@_scenario("lost-root-keys", "Too many root keys lost")
def _root_keys_lost(at: Situation) -> Steps:
    title = "too few root keys are left to sign a list"
    yield Step(title, lists=_signed_by(at, at.roots.threshold - 1))
    late = max(at.roots.expires - at.now, _until_expired(at))
    yield Step("the root list and the last set expire", waits=late)


@_scenario("expired-closed", "Nothing published, closed after expiry", _ends(AfterExpiry.CLOSED))
@_scenario("expired", "Nothing published, open after expiry", _ends(AfterExpiry.OPEN))
def _expired(at: Situation) -> Steps:
    soft, hard = max(0, at.published.soft_expiry - at.now), _until_expired(at)
    yield Step("nothing is published until the soft expiry", waits=soft)
    yield Step("nothing is published until the hard expiry", waits=hard - soft)
    yield Step("an interceptor comes", intercepts=(_THIEF, _OTHER_CA))


@_scenario("rollback", "Rollback by an attacker")
def _rollback(at: Situation) -> Steps:
    version = max(1, at.published.version - 1)
    old = replace(_next(at, {_THIEF: PinRole.CURRENT}), version=version)
    yield Step("an attacker serves an older set, genuine once", offered=old)
    yield Step("he shows a key of it", offered=old, intercepts=(_THIEF, _OTHER_CA))


@_scenario("freeze", "Freeze by an attacker", _with(PinRole.BACKUP))
def _freeze(at: Situation) -> Steps:
    new, kept = _planned(at, PinRole.BACKUP), at.published
    title = "the current key is stolen; the server shows the backup, and a set without the stolen key is out"
    yield Step(title, shows=_showing(at, new), publishes=_swapped(at, new), offered=kept)
    title = "the thief keeps the old set alive, and uses the key"
    yield Step(title, offered=kept, intercepts=at.chain)
    wait, title = _until_expired(at), "until the old set's hard expiry"
    yield Step(title, offered=kept, intercepts=at.chain, waits=wait)


@_scenario("clock", "Wrong clock")
def _clock(at: Situation) -> Steps:
    new = _renewed(at, _entry(at))
    yield Step("a phone's clock is two years behind", publishes=new, clock=-_TWO_YEARS)
    interceptor = (_THIEF, _OTHER_CA)
    yield Step("an interceptor comes", clock=-_TWO_YEARS, intercepts=interceptor)
    yield Step("it is two years ahead", clock=_TWO_YEARS)
    yield Step("it is right again")


SCENARIOS: Final = tuple(_SCENARIOS)
"""Every scenario; :func:`watchword.pins.rehearsal.rehearse` plays one."""
