"""Play random histories of publishing, rotating, expiring, rolling back and losing keys, and hold them to what pins promise.

    python -m scripts.pin_histories [COUNT] [FIRST SEED]

Each history has an operator who is careful most of the time, apps of several builds, and an attacker who owns the network whenever he
wants and steals what he can.  The core's own functions decide; only signatures are taken as verified.  After every step:

1. No supported app refuses the genuine server for its key, unless a step was forced, or it holds a set that a thief signed.
2. While a key that every set in use names survives, it can be deployed without force; and no set has but one, unless that was forced.
3. No app ever holds a genuine set that is older than one that it held before, or below the floor of its root list.
4. No pins count after their set's hard expiry, and no secrets flow where they'd count and don't.
5. No app believes a set or a root list that the attacker made, once the key that he stole for it is withdrawn.
6. An app that reaches the genuine service has the published set afterwards, as long as the root list lives.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from random import Random
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key

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
from watchword.pins.publication import (
    Live,
    Objection,
    ProbeResult,
    objections,
    permit,
    swap_objections,
)
from watchword.ports import VerificationKey
from watchword.reasons import RefusedError

OWN: Final = "api.example.com"
CDN: Final = "cdn.example.com"
APP: Final = "clinic-android"
START: Final = 1_795_000_000
STEPS: Final = 30
_SAMPLE: Final = derive_private_key(7, SECP256R1()).public_key()
_THIEF: Final = b"thief".ljust(32, b"!")
_FOREVER: Final = START + 10_000 * DAY


class BrokenPromiseError(Exception):
    """Report a history that broke one of the promises: which, and the steps up to there."""


@dataclass
class Phone:
    """Hold an installation, and the highest genuine version that it ever held."""

    installed: Installed
    best: int = 0


@dataclass
class History:
    """Hold everything that there is; each step changes it."""

    rng: Random
    reckless: bool
    now: int = START
    lists: list[RootList] = field(default_factory=list)
    published: list[PinSet] = field(default_factory=list)
    forged: list[PinSet] = field(default_factory=list)
    builds: list[Builtin] = field(default_factory=list)
    phones: list[Phone] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)
    live: bytes = b""
    authority: bytes = b"R1".ljust(32)
    root_keys: set[str] = field(default_factory=lambda: {"r1", "r2", "r3"})
    stolen_roots: set[str] = field(default_factory=set)
    pin_keys: set[str] = field(default_factory=lambda: {"p1", "p2"})
    stolen_pins: set[str] = field(default_factory=set)
    made: int = 2
    forced: int = 0
    steps: list[str] = field(default_factory=list)

    def begin(self) -> None:
        """Make the first root list, keys and set, and ship the first build."""
        self.lists.append(_roots(1, ["p1", "p2"], {}))
        self.live, _ = self.new_key(), self.new_key()
        self.publish(careful=True)
        if self.published:
            self.build()

    def new_key(self) -> bytes:
        """Return a key that the operator holds from now on."""
        self.made += 1
        self.keys.append(f"key {self.made}".encode().ljust(32))
        return self.keys[-1]

    @property
    def roots(self) -> RootList:
        """Return the newest root list."""
        return self.lists[-1]

    @property
    def held(self) -> list[PinSet]:
        """Return the published sets that an app may still hold, the newest last."""
        return [each for each in self.published if self.now < each.hard_expiry]

    def chain(self, host: str) -> tuple[bytes, ...]:
        """Return what the genuine server of a host shows."""
        leaf = self.live if host == OWN else b"the CDN's".ljust(32)
        return (leaf, b"middle".ljust(32), self.authority)

    def may_force(self) -> bool:
        """Tell whether the operator forces what is in the way."""
        return self.reckless and self.rng.random() < 0.3

    def publish(self, *, careful: bool | None = None) -> None:
        """Draft a set, and publish it if nothing is in the way."""
        careful = self.rng.random() < 0.7 if careful is None else careful
        draft = self._draft(careful=careful)
        if draft is None:
            return
        live: Live = {
            host: [ProbeResult(self.chain(host), self.now + 60 * DAY)] for host in (OWN, CDN)
        }
        previous = self.published[-1] if self.published else None
        against = objections(
            draft, previous, live, self.builds, self.roots, self.now, report_first=0, since={}
        )
        given = permit(against, "it must be" if self.may_force() else None)
        if given is None:
            return
        self.forced += bool(given.forced)
        self.published.append(draft)
        entry = draft.entry(OWN)
        if not given.forced and entry and not {pin.spki for pin in entry.pins} - {self.live}:
            self.broken(2, f"nothing survives the loss of the one key of set {draft.version}")
        self.steps.append(f"publish {draft.version}, forced {len(given.forced)}")

    def _draft(self, *, careful: bool) -> PinSet | None:
        rng, roots = self.rng, self.roots
        signing = sorted(self.pin_keys & set(roots.pin_keys))
        if not signing:
            return None
        last = self.published[-1].version if self.published else 0
        version = max(last + 1, roots.floors.get(APP, 1))
        life = rng.choice((30, 90, 120)) * DAY
        spare = [key for key in self.keys if key != self.live] or [self.new_key()]
        own = {self.live: PinRole.CURRENT, rng.choice(spare): PinRole.BACKUP}
        if rng.random() < 0.3:
            own.setdefault(rng.choice(spare), PinRole.NEXT)
        authorities = {self.authority, b"R1".ljust(32), b"R2".ljust(32)}
        if not careful:
            version -= rng.choice((0, 0, 0, 1, 2))
            life = rng.choice((0, 30, 500)) * DAY
            chosen = rng.sample([*self.keys, self.live], min(len(self.keys), rng.choice((1, 2))))
            own = {key: rng.choice((PinRole.CURRENT, PinRole.BACKUP)) for key in chosen}
            authorities = {rng.choice((b"R1", b"R2", b"R3")).ljust(32), b"R4".ljust(32)}
        after = rng.choice((AfterExpiry.OPEN, AfterExpiry.OPEN, AfterExpiry.CLOSED))
        mode = PinMode.ENFORCE if rng.random() < 0.9 else PinMode.REPORT
        return PinSet(
            app=APP,
            version=version,
            issued_at=self.now,
            soft_expiry=self.now + life // 2,
            hard_expiry=self.now + life,
            root_version=rng.choice((1, roots.version)),
            hosts=(
                HostPins(OWN, mode, tuple(Pin(*each) for each in own.items()), after_expiry=after),
                HostPins(
                    CDN, PinMode.ENFORCE, tuple(Pin(key, PinRole.CA) for key in sorted(authorities))
                ),
            ),
            key=rng.choice(signing),
        )

    def against_swap(self, host: str, chain: tuple[bytes, ...]) -> list[Objection]:
        """Return what blocks a server from showing a chain."""
        found = swap_objections(host, chain, self.held, self.builds, self.now)
        return [each for each in found if each.blocks]

    def swap(self, key: bytes | None = None, *, must: bool = False) -> bool:
        """Have the server show another of the operator's keys; return whether it does."""
        if not self.keys:
            return False
        key = key or self.rng.choice(self.keys)
        if self.against_swap(OWN, (key, *self.chain(OWN)[1:])):
            if not must and not self.may_force():
                return False
            self.forced += 1
        self.live = key
        self.steps.append(f"swap to {key!r}, forced {self.forced}")
        return True

    def change_authority(self) -> None:
        """Have the CDN and the server certified by another authority."""
        root = self.rng.choice((b"R1", b"R2", b"R3")).ljust(32)
        blocked = [
            each
            for host in (OWN, CDN)
            for each in self.against_swap(host, (*self.chain(host)[:2], root))
        ]
        if blocked and not self.may_force():
            return
        self.forced += bool(blocked)
        self.authority = root
        self.steps.append(f"authority {root!r}")

    def lose_key(self) -> None:
        """Lose a server's key; where it is the one in use, another has to take its place."""
        if len(self.keys) < 2:
            return
        lost = self.rng.choice(self.keys)
        self.keys.remove(lost)
        self.steps.append(f"lose {lost!r}")
        if lost != self.live:
            return
        shipped = [each.first for each in self.builds if each.first is not None]
        entries = [
            each.entry(OWN) for each in (*self.held, *shipped) if self.now < each.hard_expiry
        ]
        named = [{pin.spki for pin in each.pins} for each in entries if each is not None]
        surviving = [key for key in self.keys if all(key in pins for pins in named)]
        for key in surviving:
            if self.against_swap(OWN, (key, *self.chain(OWN)[1:])) and not self.forced:
                self.broken(2, f"{key!r} survives and can't be deployed")
        for key in surviving or self.keys:
            if self.swap(key):
                return
        self.swap(self.new_key(), must=True)

    def lose_pin_key(self) -> None:
        """Lose a pin key, mostly to a thief."""
        if self.pin_keys:
            lost = self.rng.choice(sorted(self.pin_keys))
            self.pin_keys.discard(lost)
            if self.rng.random() < 0.7:
                self.stolen_pins.add(lost)
            self.steps.append(f"lose pin key {lost}")

    def lose_root_key(self) -> None:
        """Lose a root key to a thief; he never gets as many as sign a list."""
        if len(self.root_keys) > 2 and not self.stolen_roots:
            lost = self.rng.choice(sorted(self.root_keys))
            self.root_keys.discard(lost)
            self.stolen_roots.add(lost)
            self.steps.append(f"lose root key {lost}")

    def rotate_pin_keys(self) -> None:
        """Sign a root list: without the keys that were lost, with a new one; floors rise where a key is taken out."""
        self.made += 1
        new = f"p{self.made}"
        kept = sorted(self.pin_keys & set(self.roots.pin_keys))[-3:]
        floors = dict(self.roots.floors)
        if self.published and set(self.roots.pin_keys) - set(kept):
            last = max(each.version for each in self.published)
            floors[APP] = max(floors.get(APP, 1), last)
        self.pin_keys.add(new)
        self.lists.append(_roots(self.roots.version + 1, [*kept, new], floors))
        self.steps.append(f"root list {self.roots.version}: {[*kept, new]}, {floors}")

    def build(self) -> None:
        """Ship a version of the app with what is published; support the last three."""
        if not self.held:
            return
        first = self.published[-1] if self.rng.random() < 0.8 else None
        if first is not None and self.now >= first.hard_expiry:
            first = None
        authorities = {CDN: frozenset({self.authority})} if self.rng.random() < 0.3 else {}
        floor = first.version if first is not None and self.rng.random() < 0.5 else 1
        if first is not None and first.key not in self.roots.pin_keys:
            return
        self.made += 1
        built = Builtin(APP, f"{self.made}.0", self.roots, floor, first, authorities)
        self.builds = [*self.builds[-2:], built]
        self.steps.append(f"build {built.app_version} with {first.version if first else None}")
        self.install()

    def install(self) -> None:
        """Install one of the supported builds on a phone."""
        if self.builds:
            installed = fresh(self.rng.choice(self.builds))
            self.phones = [*self.phones[-7:], Phone(installed, installed.seen)]

    def fetch(self) -> None:
        """Have a phone reach the genuine service."""
        if not self.phones or not self.published:
            return
        phone = self.rng.choice(self.phones)
        newest = self.published[-1]
        for roots in self.lists:
            self._offer_list(phone, roots, frozenset(roots.keys))
        self._offer(phone, newest)
        held = phone.installed.set
        floor = max(self.roots.floors.get(APP, 1), phone.installed.builtin.floor)
        takes = newest.key in self.roots.pin_keys and newest.version >= floor
        # Until a root list takes the stolen key out, a thief's set is as good as any.
        if held in self.forged and held.key in self.roots.pin_keys:
            takes = False
        if takes and self.now < newest.hard_expiry and held != newest and not self.forced:
            self.broken(6, f"has {held and held.version}, published is {newest.version}")

    def attack(self) -> None:
        """Have a phone reach the attacker: old sets, forged ones, lists held back, left out or forged."""
        if not self.phones or not self.published:
            return
        rng, phone = self.rng, self.rng.choice(self.phones)
        for roots in rng.sample(self.lists, rng.randint(0, len(self.lists))):
            self._offer_list(phone, roots, frozenset(roots.keys))
        forged_list = replace(_roots(phone.installed.roots.version + 1, ["evil"], {}), threshold=1)
        self._offer_list(phone, forged_list, frozenset({*self.stolen_roots, "p1"}))
        for _ in range(rng.randint(1, 3)):
            self._offer(phone, rng.choice(self.published))
        for key in rng.sample(["evil", *sorted(self.stolen_pins)], 1):
            template = rng.choice(self.published)
            pins = (Pin(_THIEF, PinRole.CURRENT),)
            forged = replace(
                template,
                version=rng.choice((template.version, template.version + 1, 2**53 - 1)),
                hosts=(HostPins(OWN, rng.choice(tuple(PinMode)), pins),),
                hard_expiry=rng.choice((template.hard_expiry, self.now + 90 * DAY, _FOREVER)),
                key=key,
            )
            if forged not in self.published:
                self.forged.append(forged)
                self._offer(phone, forged)
        self.steps.append("attack")

    def _offer_list(self, phone: Phone, roots: RootList, signers: frozenset[str]) -> None:
        try:
            phone.installed = take_roots(phone.installed, roots, signers)
        except RefusedError:
            return
        if roots not in self.lists:
            self.broken(5, f"took the attacker's root list {roots.version}")

    def _offer(self, phone: Phone, pin_set: PinSet) -> None:
        before = phone.installed
        try:
            phone.installed = take_set(before, pin_set, self.now)
        except RefusedError:
            return
        roots = phone.installed.roots
        if pin_set.key not in roots.pin_keys:
            self.broken(5, f"took set {pin_set.version} by a key that isn't named")
        if pin_set.version < max(roots.floors.get(APP, 1), before.builtin.floor):
            self.broken(3, f"took set {pin_set.version}, below a floor")
        if self.now >= pin_set.hard_expiry or pin_set.hard_expiry - pin_set.issued_at > 400 * DAY:
            self.broken(4, f"took set {pin_set.version}, which has expired or never would")
        kept = before.set
        if (
            kept is not None
            and before.seen == pin_set.version
            and kept != replace(pin_set, key=kept.key)
        ):
            self.broken(3, f"took another set {pin_set.version}")
        if pin_set in self.published:
            if pin_set.version < phone.best:
                self.broken(3, f"went from set {phone.best} back to {pin_set.version}")
            phone.best = pin_set.version

    def wait(self) -> None:
        """Let days pass."""
        self.now += self.rng.choice((1, 5, 20, 45)) * DAY
        self.steps.append(f"day {(self.now - START) // DAY}")

    def check(self) -> None:
        """Hold every phone of a supported build to the promises."""
        for phone in self.phones:
            installed = phone.installed
            if installed.builtin not in self.builds or installed.set is None:
                continue
            kept = installed.set
            named = kept.key in installed.roots.pin_keys
            thiefs = kept in self.forged and named
            for host in (OWN, CDN):
                found = judge(installed, host, self.chain(host), self.now)
                if found.mismatch and not found.passes and not self.forced and not thiefs:
                    self.broken(1, f"{host} refused under set {kept.version}")
                intercepted = judge(installed, host, (_THIEF, b"evil root"), self.now)
                for each in (found, intercepted):
                    if each.passes and each.basis is Basis.PINS and self.now >= kept.hard_expiry:
                        self.broken(4, f"set {kept.version} counts after its expiry")
                entry = kept.entry(host)
                enforced = entry is not None and entry.mode is PinMode.ENFORCE
                if enforced and intercepted.passes and not thiefs and not intercepted.withhold:
                    self.broken(4, f"secrets flow to a thief at {host} under set {kept.version}")
                counts = intercepted.passes and intercepted.basis is Basis.PINS
                if kept in self.forged and not named and counts:
                    self.broken(5, "a withdrawn set of a thief counts")

    def broken(self, promise: int, what: str) -> None:
        """Raise :class:`BrokenPromiseError` with the story so far."""
        raise BrokenPromiseError(f"promise {promise}: {what}\n  " + "\n  ".join(self.steps))


def _roots(version: int, pin_keys: list[str], floors: dict[str, int]) -> RootList:
    def keys(names: list[str]) -> dict[str, VerificationKey]:
        return {name: VerificationKey(name, _SAMPLE) for name in names}

    return RootList(version, _FOREVER, keys(["r1", "r2", "r3"]), 2, keys(pin_keys), floors)


_ACTIONS: Final = (
    (History.publish, 6),
    (History.swap, 4),
    (History.change_authority, 2),
    (History.lose_key, 1),
    (History.lose_pin_key, 1),
    (History.lose_root_key, 1),
    (History.rotate_pin_keys, 2),
    (History.build, 2),
    (History.install, 2),
    (History.fetch, 8),
    (History.attack, 6),
    (History.wait, 5),
    (History.new_key, 1),
)
_KINDS: Final = [action for action, _ in _ACTIONS]
_WEIGHTS: Final = [weight for _, weight in _ACTIONS]


def play(seed: int, steps: int = STEPS) -> History:
    """Return the history of a seed, always the same one.

    :raises BrokenPromiseError: when it breaks a promise.
    """
    rng = Random(seed)
    history = History(rng, reckless=seed % 4 == 0)
    history.begin()
    for action in rng.choices(_KINDS, _WEIGHTS, k=steps):
        action(history)
        history.check()
    return history


def play_many(count: int, first: int = 0) -> Iterator[History]:
    """Return the histories of so many seeds."""
    return (play(seed) for seed in range(first, first + count))


def main(count: int = 50_000, first: int = 0) -> None:
    """Play histories and say what they held."""
    total = forced = sets = lists = 0
    for history in play_many(count, first):
        total += 1
        forced += history.forced > 0
        sets += len(history.published)
        lists += len(history.lists)
    print(
        f"{total} histories of {STEPS} steps, {sets} sets and {lists} root lists published, "
        f"{forced} histories with a forced step: no promise broken"
    )


if __name__ == "__main__":
    main(*(int(each) for each in sys.argv[1:3]))
