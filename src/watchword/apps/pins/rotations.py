"""Take the next step of a rotation: what is live decides, never what somebody meant to do."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from watchword.apps.pins.checks import Probe
from watchword.apps.pins.session import (
    NotNowError,
    PinnedKey,
    PinnedKeys,
    PinsError,
    PinSession,
    day,
)
from watchword.pins.interface import PinMode, PinRole, PinSet
from watchword.pins.publication import swap_objections
from watchword.pins.rehearsal import SCENARIOS, Rehearsal, Scenario, Situation, rehearse

_STEP: Final = "watchword pins"


@dataclass(frozen=True, slots=True)
class RotationStep:
    """Hold a step of a rotation.

    :param keys: of the host after it; the same as before where there is nothing to do yet.
    :param moved: whether a key took another's place.
    :param said: what was found and done, one line each.
    :param then: what to do next, one line each.
    """

    keys: tuple[PinnedKey, ...]
    moved: bool
    said: tuple[str, ...]
    then: tuple[str, ...]


def rotation_step(session: PinSession, pinned: PinnedKeys, seen: Probe, now: float) -> RotationStep:
    """Return the next step for a host, by the one key that it shows at all places.

    A key takes over once it is seen live everywhere: a planned one (next), or the backup after the loss of the current key.
    The key before it isn't pinned any more then.

    :param now: seconds since 1970.
    :raises NotNowError: when places show different keys, a chain doesn't hold, or a key is live that isn't pinned.
    """
    host = seen.host
    live = _one_key(seen)
    keys = pinned.of(host)
    found = next((each for each in keys if each.pin.spki == live), None)
    authorities = [each for each in keys if each.pin.role is PinRole.CA]
    if found is None:
        chain = seen.results[0].chain[1:]
        if any(each.pin.spki in chain for each in authorities):
            said = f"{host} is pinned by its authority, and shows a chain of it: its own keys may change freely"
            return RotationStep(keys, moved=False, said=(said,), then=())
        raise NotNowError(
            f"{host}: got a live key that isn't pinned, expected one of: "
            f"{', '.join(f'{each.pin} ({each.pin.role})' for each in keys) or 'none is pinned'}. If it is yours, apps that enforce are "
            f"locked out now: {_STEP} add {host} --from-live --role next, then {_STEP} rotate {host}, then {_STEP} publish. "
            "If it isn't, somebody is in between"
        )
    if found.pin.role is PinRole.CURRENT:
        return _waiting(session, seen, keys, now)
    return _taking_over(host, keys, found)


def _one_key(seen: Probe) -> bytes:
    if seen.troubles or not seen.results:
        raise NotNowError(
            f"{seen.host}: not every place answered: {'; '.join(seen.troubles) or 'none'}; a rotation needs the live key seen "
            f"everywhere. Where this machine can't get there (IPv6), name all that it can: --resolve {seen.host}=ADDRESS"
        )
    bad = seen.bad
    if bad is not None:
        raise NotNowError(f"{seen.host} at {bad.place}: the chain doesn't hold: {bad.fault}")
    if len(seen.leaves) > 1:
        raise NotNowError(
            f"{seen.host}: got {len(seen.leaves)} different keys at {len(seen.results)} places, expected the new one everywhere: "
            "go on with the roll-out, nothing is changed until then"
        )
    return seen.leaves[0]


def _waiting(
    session: PinSession, seen: Probe, keys: tuple[PinnedKey, ...], now: float
) -> RotationStep:
    host = seen.host
    said = [f"{host} shows its current key at all places."]
    coming = next((each for each in keys if each.pin.role is PinRole.NEXT), None)
    then = list(_backup_missing(host, keys))
    if coming is None:
        then.append(
            f"To plan a swap: make a key, then {_STEP} add {host} --key next.pub --role next"
        )
        return RotationStep(keys, moved=False, said=tuple(said), then=tuple(then))
    unaware = []
    early: list[str] = []
    # The authority stays as it is, as far as anybody can tell.
    chain = (coming.pin.spki, *seen.results[0].chain[1:])
    for app in session.file.pins.hosts[host].apps:
        published = session.published(app)
        entry = published.entry(host) if published is not None else None
        if entry is None or coming.pin.spki not in {pin.spki for pin in entry.pins}:
            unaware.append(app)
        elif published is not None:
            held = [each for each in session.history(app) if now < each.hard_expiry]
            found = swap_objections(host, chain, held[::-1], session.fleet(app), now)
            early += [f"{app}: {each.text}" for each in found if each.blocks]
            until = max(published.issued_at, *_expiries(session, app, coming.pin.spki, host))
            said.append(
                f"{app} is published with the next key; every app that is in use has it by {day(until)}."
            )
    if unaware:
        said.append(f"The next key isn't published yet for {', '.join(unaware)}.")
        then.append(f"{_STEP} publish")
    elif early:
        said += [f"Not yet: {each}" for each in early]
        then.append(
            f"Wait until they have fetched it, or released with it; then deploy the certificate of the next key, and again: "
            f"{_STEP} rotate {host}"
        )
    else:
        then.append(f"Deploy the certificate of the next key, then again: {_STEP} rotate {host}")
    return RotationStep(keys, moved=False, said=tuple(said), then=tuple(then))


def _expiries(session: PinSession, app: str, spki: bytes, host: str) -> Iterator[int]:
    """Yield the soft expiry of the newest set without the key: from then on every app that is in use has looked for a newer one."""
    for each in session.history(app):
        entry = each.entry(host)
        if entry is None or spki not in {pin.spki for pin in entry.pins}:
            yield each.soft_expiry
            return


def _taking_over(host: str, keys: tuple[PinnedKey, ...], found: PinnedKey) -> RotationStep:
    was = found.pin.role
    current = replace(found, pin=replace(found.pin, role=PinRole.CURRENT))
    gone = [each for each in keys if each.pin.role is PinRole.CURRENT]
    kept = tuple(
        current if each is found else each for each in keys if each.pin.role is not PinRole.CURRENT
    )
    said = [f"{host} shows its {was} key at all places: it is the current one now."]
    said += [f"{each.pin} was, and isn't pinned any more." for each in gone]
    then = [*_backup_missing(host, kept), f"{_STEP} publish"]
    return RotationStep(kept, moved=True, said=tuple(said), then=tuple(then))


def _backup_missing(host: str, keys: tuple[PinnedKey, ...]) -> Iterator[str]:
    if not any(each.pin.role is PinRole.BACKUP for each in keys):
        yield f"A backup is missing: make a key, keep it offline, then {_STEP} add {host} --key backup.pub --role backup"


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """Hold how all scenarios went for one host of one app.

    :param assumed: whether the host wasn't looked at, and shows its current key by assumption.
    :param as_enforced: whether it is `report` still, and was rehearsed as if it were `enforce`.
    """

    app: str
    host: str
    rehearsals: tuple[Rehearsal, ...]
    assumed: bool
    as_enforced: bool


def scenarios_named(names: Sequence[str]) -> tuple[Scenario, ...]:
    """Return the scenarios of these names, all for none; raises PinsError for a name that there isn't."""
    known = {each.name: each for each in SCENARIOS}
    for name in names:
        if name not in known:
            raise PinsError(f"got scenario {name!r}, expected one of: {', '.join(known)}")
    return tuple(known[name] for name in names) or SCENARIOS


def rehearse_all(
    session: PinSession,
    app: str,
    hosts: Sequence[str],
    probes: Mapping[str, Probe],
    scenarios: Sequence[Scenario],
    now: float,
) -> tuple[Rehearsed, ...]:
    """Return how the scenarios go for each host of an app.

    :param probes: what hosts show now; one that isn't in it, or showed nothing, is taken to show its current key.
    :raises PinsError: when a host has no key.
    """
    draft = session.draft(app, now)
    found = []
    for host in hosts:
        entry = next((each for each in draft.hosts if each.host == host), None)
        if entry is None:
            raise PinsError(
                f"{host}: got no pinned key of {app}, expected one: watchword pins add {host}"
            )
        probe = probes.get(host)
        seen = probe.results[0].chain if probe is not None and probe.results else None
        situation = Situation(
            host=host,
            published=_enforced(draft, host),
            roots=session.roots,
            chain=seen or _assumed(draft, host),
            now=now,
            fleet=session.fleet(app),
        )
        found.append(
            Rehearsed(
                app,
                host,
                tuple(rehearse(each, situation) for each in scenarios),
                assumed=seen is None,
                as_enforced=entry.mode is PinMode.REPORT,
            )
        )
    return tuple(found)


def _enforced(draft: PinSet, host: str) -> PinSet:
    hosts = (
        replace(each, mode=PinMode.ENFORCE) if each.host == host else each for each in draft.hosts
    )
    return replace(draft, hosts=tuple(hosts))


def _assumed(draft: PinSet, host: str) -> tuple[bytes, ...]:
    """Return the chain of a server that shows its current key, or one of a CDN under a pinned authority."""
    entry = next(each for each in draft.hosts if each.host == host)
    own = [pin.spki for pin in entry.of(PinRole.CURRENT)]
    authorities = [pin.spki for pin in entry.of(PinRole.CA)]
    unknown = bytes(32)
    return (own[0] if own else unknown, unknown, *authorities[:1])
