"""Say what speaks against publishing a pin set, before an app has seen it.

A set that locks out apps can't be called back: they won't reach what would mend it, or only hours later.  So everything that can be known
beforehand is asked here: what servers show now, what the app versions in use were built with, what was published before.

Each objection says whether it can be forced.  Forcing needs a sentence of why, and gives a :class:`Permit` that the caller writes
down.  What no app would take (a version that doesn't grow, an unauthorised key) can't be forced: it would help nobody.

Publishing asks whether apps can bear a set with the servers as they are.  A swap (another key shown, or a root list that takes a
pin key out) asks whether the sets that apps hold can bear the servers as they are to be.  A set is held by whoever took it until
its hard expiry, however many newer ones there are.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from watchword.pins.installed import (
    DAY,
    MAX_LIFETIME,
    MAX_SKEW,
    floor_of,
    is_withdrawn,
    judge,
    matches,
)
from watchword.pins.interface import (
    AfterExpiry,
    Builtin,
    Installed,
    PinMode,
    PinRole,
    PinSet,
    RootList,
)
from watchword.pins.sets import payload_of, reports_to_itself
from watchword.reasons import MalformedError, Reason

MAX_WHY: Final = 500
"""Most characters of the sentence that says why something was forced."""

_OWN: Final = (PinRole.CURRENT, PinRole.NEXT, PinRole.BACKUP)


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """Hold what a server showed at one place.

    :param chain: pins of the verified chain, the leaf first; of the chain as sent where it doesn't hold.
    :param not_after: when the leaf ends, seconds since 1970.
    :param fault: why the chain doesn't hold for this host, None where it does.
    :param subjects: of each certificate of that chain, whose it is, for people.
    """

    chain: tuple[bytes, ...]
    not_after: float
    fault: str | None = None
    place: str = ""
    subjects: tuple[str, ...] = ()


Live = Mapping[str, Sequence[ProbeResult]]
"""By host, what it shows now at every place that answered; nothing where none did."""


@dataclass(frozen=True, slots=True)
class Objection:
    """State what speaks against publishing.

    :param host: that it is about, empty for the set as a whole.
    :param blocks: False for a notice: it is shown, and nothing has to be forced.
    :param forceable: whether an operator may publish all the same.
    """

    reason: Reason
    host: str
    text: str
    blocks: bool = True
    forceable: bool = True

    def __str__(self) -> str:
        """Render as ``code: host: text``."""
        return ": ".join(part for part in (self.reason.code, self.host, self.text) if part)


@dataclass(frozen=True, slots=True)
class Permit:
    """Hold that a set may be published, and what was overridden for it: the step that is written down.

    :param forced: the objections that were in the way; empty where nothing had to be forced.
    :param why: the operator's sentence; None where nothing had to be forced.
    """

    forced: tuple[Objection, ...] = ()
    why: str | None = None


def objections(
    draft: PinSet,
    previous: PinSet | None,
    live: Live,
    fleet: Sequence[Builtin],
    roots: RootList,
    now: float,
    *,
    report_first: float,
    since: Mapping[str, float],
) -> tuple[Objection, ...]:
    """Return everything that speaks against publishing a draft; those that can't be forced come first.

    :param draft: its ``key`` is the id of the key that is to sign it.
    :param previous: the published set, None before the first.
    :param live: by host, what it shows now; a host of the draft that isn't in it counts as unseen.  Names below a
        host that includes them may stand in it too.
    :param fleet: what the app versions that are still supported were built with.
    :param roots: the newest root list.
    :param report_first: seconds for which a host is only reported before it may be enforced.
    :param since: by host, since when its pins have been published in any mode; seconds since 1970.
    """
    try:
        payload_of(draft)
    except MalformedError as error:
        return (Objection(error.reason, "", error.detail, forceable=False),)
    found = [
        *_about_the_set(draft, previous, roots, now),
        *_about_servers(draft, live, now),
        *_about_backups(draft, live),
        *_about_the_fleet(draft, live, fleet, roots, now),
        *_untried(draft, previous, report_first, since, now),
        *_weaker(draft, previous),
    ]
    return tuple(sorted(found, key=lambda each: (each.forceable, not each.blocks)))


def permit(against: Sequence[Objection], why: str | None) -> Permit | None:
    """Return that a draft may be published; None where something is in the way that isn't forced.

    :param against: what :func:`objections` found.
    :param why: the operator's sentence for forcing, printable and of at most :data:`MAX_WHY` characters; None for not forcing.
    """
    blocking = tuple(each for each in against if each.blocks)
    if not blocking:
        return Permit()
    said = (why or "").strip()
    sound = said.isprintable() and 0 < len(said) <= MAX_WHY
    return Permit(blocking, said) if sound and all(each.forceable for each in blocking) else None


def refuses(installed: Installed, host: str, chain: Sequence[bytes], now: float) -> bool:
    """Tell whether an app refuses a server for its key; a host that was closed on purpose isn't meant."""
    found = judge(installed, host, chain, now)
    return not found.passes and found.mismatch


def shipped_refuses(builtin: Builtin, host: str, chain: Sequence[bytes], now: float) -> str | None:
    """Return when an app version refuses a server: now, by what it shipped with, or once its set has expired; None for never."""
    first = builtin.first
    if first is not None:
        shipped = Installed(builtin, builtin.roots, first, first.version)
        if refuses(shipped, host, chain, now):
            return "refuses the key that it shows until it has fetched a set"
        if refuses(shipped, host, chain, max(now, first.hard_expiry)):
            return "refuses the authority that it shows once its set has expired"
    authorities = builtin.authorities.get(host)
    if authorities and not authorities & set(chain[1:]):
        return "refuses the authority that it shows once its set has expired"
    return None


def _about_the_set(
    draft: PinSet, previous: PinSet | None, roots: RootList, now: float
) -> Iterator[Objection]:
    """Find what would make every app refuse it; nothing of it can be forced but the notice."""

    def final(reason: Reason, text: str) -> Objection:
        return Objection(reason, "", text, forceable=False)

    floor = max(roots.floors.get(draft.app, 1), previous.version + 1 if previous else 1)
    if draft.version < floor:
        yield final(Reason.PINS_SET_OLD, f"got version {draft.version}, expected {floor} or more")
    if draft.key not in roots.pin_keys:
        yield final(
            Reason.PINS_SET_KEY, f"root list {roots.version} doesn't name the key that signs"
        )
    if draft.root_version > roots.version:
        yield final(
            Reason.PINS_ROOTS_BEHIND,
            f"got root list {draft.root_version}, expected at most {roots.version}",
        )
    if now >= roots.expires:
        yield final(Reason.PINS_ROOTS_EXPIRED, f"root list {roots.version}")
    elif roots.expires < draft.hard_expiry:
        text = f"root list {roots.version} expires before the set: sign a newer list in time"
        yield Objection(Reason.PINS_ROOTS_EXPIRED, "", text, blocks=False)
    if draft.soft_expiry <= now:
        yield final(Reason.PINS_SET_EXPIRED, "got an expiry in the past")
    if draft.issued_at > now + MAX_SKEW:
        yield final(Reason.PINS_SET_EARLY, "got a time of issue in the future")
    if draft.hard_expiry - draft.issued_at > MAX_LIFETIME:
        days = (draft.hard_expiry - draft.issued_at) // DAY
        yield final(
            Reason.PINS_SET_LIFETIME, f"got {days} days, expected at most {MAX_LIFETIME // DAY}"
        )
    if reports_to_itself(draft):
        yield final(Reason.PINS_PUBLISH_REPORTS, f"got {draft.reports}")


def _about_servers(draft: PinSet, live: Live, now: float) -> Iterator[Objection]:
    """Hold what servers show against the draft: a mismatch locks apps out the moment they take it."""
    for entry in draft.hosts:
        if not live.get(entry.host):
            yield Objection(
                Reason.PINS_PUBLISH_UNSEEN,
                entry.host,
                "got no answer from it, expected to see its key",
                blocks=entry.mode is PinMode.ENFORCE,
            )
    seen = ((host, draft.entry(host), shown) for host, found in live.items() for shown in found)
    for host, pinned, shown in seen:
        if pinned is None:
            continue
        at = f"at {shown.place} " if shown.place else ""
        if not matches(pinned, shown.chain):
            text = f"the key that it shows {at}now is none of its pins"
            enforced = pinned.mode is PinMode.ENFORCE
            yield Objection(Reason.PINS_PUBLISH_LOCKOUT, host, text, blocks=enforced)
        if shown.fault is not None:
            yield Objection(Reason.PINS_PUBLISH_CERTIFICATE, host, f"{at}{shown.fault}")
        elif shown.not_after <= now:
            text = f"its certificate {at}has expired"
            yield Objection(Reason.PINS_PUBLISH_CERTIFICATE, host, text)
        elif shown.not_after < draft.soft_expiry:
            text = (
                f"its certificate {at}ends before the set's soft expiry: renew it with the same key"
            )
            yield Objection(Reason.PINS_PUBLISH_CERTIFICATE, host, text, blocks=False)


def _about_backups(draft: PinSet, live: Live) -> Iterator[Objection]:
    """Find hosts that the loss of one key would lock out.

    A backup that some server shows, or that is current elsewhere, is lost together with that server.  Pins of authorities are
    a way out too, if there's more than one of them or an own key beside.
    """
    in_use = {shown.chain[0] for found in live.values() for shown in found if shown.chain}
    in_use |= {pin.spki for entry in draft.hosts for pin in entry.of(PinRole.CURRENT)}
    for entry in draft.hosts:
        authorities, own = entry.of(PinRole.CA), entry.of(*_OWN)
        spare = [pin for pin in entry.of(PinRole.NEXT, PinRole.BACKUP) if pin.spki not in in_use]
        if spare or len(authorities) > 1 or (authorities and own):
            continue
        text = "got one authority, expected two or more, or an own key beside"
        if not authorities:
            text = "got no next or backup key that isn't in use already"
        yield Objection(Reason.PINS_PUBLISH_BACKUP, entry.host, text)


def _about_the_fleet(
    draft: PinSet,
    live: Live,
    fleet: Sequence[Builtin],
    roots: RootList,
    now: float,
) -> Iterator[Objection]:
    for builtin in fleet:
        if builtin.app != draft.app:
            continue
        why = _cannot_take(builtin, draft, roots)
        if why is not None:
            yield Objection(Reason.PINS_PUBLISH_FLEET, "", f"version {builtin.app_version}: {why}")
        # Before it took the draft, and after that has expired.
        taken = Installed(builtin, roots, draft, draft.version)
        for host, chain in ((host, shown.chain) for host, found in live.items() for shown in found):
            why = shipped_refuses(builtin, host, chain, now)
            if not why and draft.entry(host) and refuses(taken, host, chain, draft.hard_expiry):
                why = "refuses the authority that it shows now once this set has expired"
            if why:
                text = f"version {builtin.app_version} {why}"
                yield Objection(Reason.PINS_PUBLISH_FLEET, host, text)
        yield from _no_common_key(builtin, draft, now)


def _cannot_take(builtin: Builtin, draft: PinSet, roots: RootList) -> str | None:
    """Return why an app version won't take the draft, once it walked to the newest root list."""
    known = builtin.roots
    if known.version > roots.version or (known.version == roots.version and known != roots):
        return "was built with a root list that isn't one of these"
    if draft.version < floor_of(builtin, roots):
        return f"takes no set below {floor_of(builtin, roots)}, got {draft.version}"
    first = builtin.first
    if first is not None and not is_withdrawn(first, roots) and draft.version <= first.version:
        return f"shipped with set {first.version}, got {draft.version}"
    return None


def _no_common_key(builtin: Builtin, draft: PinSet, now: float) -> Iterator[Objection]:
    """Find hosts where a build and the draft have no key in common: no server could please both."""
    first = builtin.first
    if first is None or now >= first.hard_expiry or is_withdrawn(first, builtin.roots):
        return
    for entry in first.hosts:
        drafted = draft.entry(entry.host)
        if entry.mode is PinMode.REPORT or drafted is None or drafted.mode is PinMode.REPORT:
            continue
        if not {pin.spki for pin in entry.pins} & {pin.spki for pin in drafted.pins}:
            text = f"version {builtin.app_version} shipped with other pins than these, none of them in common"
            yield Objection(Reason.PINS_PUBLISH_FLEET, entry.host, text)


def _untried(
    draft: PinSet,
    previous: PinSet | None,
    report_first: float,
    since: Mapping[str, float],
    now: float,
) -> Iterator[Objection]:
    """Find hosts that would be enforced before apps had the time to report on them."""
    for entry in draft.hosts:
        before = previous.entry(entry.host) if previous is not None else None
        if entry.mode is PinMode.REPORT:
            continue
        if before is not None and before.mode is PinMode.ENFORCE:
            if entry.include_subdomains and not before.include_subdomains:
                yield Objection(
                    Reason.PINS_PUBLISH_UNTRIED, entry.host, "names below it weren't reported on"
                )
            continue
        waited = now - since.get(entry.host, now) if before is not None else 0
        if waited < report_first:
            yield Objection(
                Reason.PINS_PUBLISH_UNTRIED,
                entry.host,
                f"was reported on for {waited / DAY:.1f} days, expected {report_first / DAY:.1f}",
            )


def _weaker(draft: PinSet, previous: PinSet | None) -> Iterator[Objection]:
    """Tell where the draft protects less than what is published; nothing has to be forced for it."""
    for before in previous.hosts if previous is not None else ():
        entry = draft.entry(before.host)
        if entry is None:
            text = "isn't pinned any more"
        elif before.mode is PinMode.ENFORCE and entry.mode is PinMode.REPORT:
            text = "is only reported from now on"
        elif before.after_expiry is AfterExpiry.CLOSED and entry.after_expiry is AfterExpiry.OPEN:
            text = "opens after expiry from now on"
        elif before.include_subdomains and not entry.include_subdomains:
            text = "doesn't stand for the names below it any more"
        else:
            continue
        yield Objection(Reason.PINS_PUBLISH_WEAKER, before.host, text, blocks=False)


def swap_objections(
    host: str,
    chain: Sequence[bytes],
    held: Sequence[PinSet],
    fleet: Sequence[Builtin],
    now: float,
) -> tuple[Objection, ...]:
    """Return everything that speaks against a server showing a chain for a host.

    :param chain: pins of the chain that it is to show, the leaf first.
    :param held: every published set of the app that hasn't expired, the newest last.
    :param fleet: what the app versions that are still supported were built with.
    """
    found = []
    for pin_set in held:
        entry = pin_set.entry(host)
        if entry is None or now >= pin_set.hard_expiry or matches(entry, chain):
            continue
        newest = pin_set is held[-1]
        text = f"apps that hold version {pin_set.version} would refuse this key"
        text += "" if newest else " until they have fetched a newer one"
        reason = Reason.PINS_PUBLISH_LOCKOUT if newest else Reason.PINS_PUBLISH_FLEET
        found.append(Objection(reason, host, text, blocks=entry.mode is PinMode.ENFORCE))
    for builtin in fleet:
        why = shipped_refuses(builtin, host, chain, now)
        if why is not None:
            text = f"version {builtin.app_version} {why}"
            found.append(Objection(Reason.PINS_PUBLISH_FLEET, host, text))
    return tuple(found)


def list_objections(
    found: RootList, previous: RootList, published: Mapping[str, int]
) -> tuple[Objection, ...]:
    """Return what speaks against a root list: a pin key that is taken out without its floors.

    Apps that hold a set by that key forget which versions they have seen.  Unless the floor is the highest version that was published, an
    attacker can give them an older set that another key signed: a rollback that the list itself has opened.

    :param published: by app, the highest version that was published.
    """
    if not previous.pin_keys.keys() - found.pin_keys.keys():
        return ()
    return tuple(
        Objection(
            Reason.PINS_SET_OLD,
            "",
            f"{app}: a pin key is taken out; got a floor of {found.floors.get(app, 1)}, expected {version}",
        )
        for app, version in published.items()
        if found.floors.get(app, 1) < version
    )
