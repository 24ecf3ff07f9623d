"""Take the next step of a rotation: what is live decides, never what somebody meant to do."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

import click
from click.exceptions import Exit

from watchword.adapters.pin_workspace import who_runs
from watchword.apps.pins.session import (
    NotNowError,
    PinnedKey,
    PinnedKeys,
    PinsError,
    PinSession,
    Probe,
    day,
    edit,
    keys_of,
    open_session,
    options_of,
    present,
    probe,
    read_host,
    say,
)
from watchword.apps.terminal.console import EXIT_REFUSED
from watchword.apps.terminal.paragraphs import wrapped
from watchword.pins.interface import HostPins, PinMode, PinRole, PinSet
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
        if published is None or not _has(published, host, coming.pin.spki):
            unaware.append(app)
        else:
            held = [each for each in session.history(app) if now < each.hard_expiry]
            found = swap_objections(host, chain, held[::-1], session.fleet(app), now)
            early += [f"{app}: {each.text}" for each in found if each.blocks]
            # By the soft expiry of the newest set without the key every app that is in use has looked for a newer one.
            without = (e for e in session.history(app) if not _has(e, host, coming.pin.spki))
            until = max(published.issued_at, *(each.soft_expiry for each in islice(without, 1)))
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


def _has(pin_set: PinSet, host: str, spki: bytes) -> bool:
    entry = pin_set.entry(host)
    return entry is not None and spki in {pin.spki for pin in entry.pins}


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


def rehearse_at(
    session: PinSession,
    draft: PinSet,
    host: str,
    seen: Probe | None,
    scenarios: Sequence[Scenario],
    now: float,
) -> Rehearsed:
    """Return how the scenarios go for a host, with the draft as if it were published and enforced there.

    :param seen: what the host shows now; where it showed nothing, it is taken to show its current key.
    :raises PinsError: when the host has no key.
    """
    entry = next((each for each in draft.hosts if each.host == host), None)
    if entry is None:
        raise PinsError(
            f"{host}: got no pinned key of {draft.app}, expected one: watchword pins add {host}"
        )
    chain = seen.results[0].chain if seen is not None and seen.results else None
    enforced = replace(entry, mode=PinMode.ENFORCE)
    hosts = tuple(enforced if each is entry else each for each in draft.hosts)
    situation = Situation(
        host=host,
        published=replace(draft, hosts=hosts),
        roots=session.roots,
        chain=chain or _assumed(entry),
        now=now,
        fleet=session.fleet(draft.app),
    )
    played = tuple(rehearse(each, situation) for each in scenarios)
    return Rehearsed(draft.app, host, played, chain is None, entry.mode is PinMode.REPORT)


def _assumed(entry: HostPins) -> tuple[bytes, ...]:
    """Return the chain of a server that shows its current key, or one of a CDN under a pinned authority."""
    own, authorities, unknown = entry.of(PinRole.CURRENT), entry.of(PinRole.CA), bytes(32)
    return (own[0].spki if own else unknown, unknown, *(pin.spki for pin in authorities[:1]))


def rehearse_command(
    config: Path, /, *, host: str | None, as_json: bool, offline: bool, **options: Any
) -> None:
    """Play rotations and accidents with the draft as if it were published and enforced."""
    fail_on = options["fail_on"]
    scenarios_named(fail_on)
    scenarios = scenarios_named([*options["names"], *(fail_on if options["names"] else ())])
    opened = open_session(config)
    name = None if host is None else opened.host_named(read_host(host))
    pins = opened.file.pins
    apps = pins.apps if options["app"] is None else (opened.app_named(options["app"]),)
    hosts = {
        app: [
            each
            for each in pins.hosts_of(app)
            if (name is None and opened.pinned.of(each)) or each == name
        ]
        for app in apps
    }
    wanted = dict.fromkeys(each for found in hosts.values() for each in found)
    probes = {} if offline else probe(wanted, options_of(options))
    now = present()
    drafts = [opened.draft(app, now) for app in apps if hosts[app]]
    found = [
        rehearse_at(opened, draft, each, probes.get(each), scenarios, now)
        for draft in drafts
        for each in hosts[draft.app]
    ]
    if not found:
        raise PinsError("got no host with a pinned key, expected one: watchword pins add HOST")
    say(
        as_json,
        {"hosts": [_rehearsed(each) for each in found]},
        (line for each in found for line in _rehearse_lines(each, steps=bool(options["names"]))),
    )
    failed = [
        f"failed: {each.host}: {played.scenario.name} locks an installed app out"
        for each in found
        for played in each.rehearsals
        if played.scenario.name in fail_on and played.locked_out
    ]
    for line in failed:
        click.echo(line, err=True)
    raise Exit(EXIT_REFUSED if failed else 0)


def _rehearsed(found: Rehearsed) -> dict[str, Any]:
    return {
        "app": found.app,
        "host": found.host,
        "assumed": found.assumed,
        "as_enforced": found.as_enforced,
        "scenarios": [
            {
                "name": each.scenario.name,
                "title": each.scenario.title,
                "possible": each.played is not None,
                "locked_out": list(each.locked_out),
                "steps": [
                    {
                        "title": played.step.title,
                        "attack": played.step.intercepts is not None,
                        "endings": {
                            phone: {
                                **asdict(ending),
                                "refused": ending.refused and ending.refused.code,
                            }
                            for phone, ending in played.endings.items()
                        },
                    }
                    for played in each.played or ()
                ],
            }
            for each in found.rehearsals
        ],
    }


def _rehearse_lines(found: Rehearsed, *, steps: bool) -> Iterator[str]:
    notes = [
        "it wasn't seen, and is taken to show its current key" if found.assumed else "",
        "it only reports yet, and is rehearsed as if it were enforced" if found.as_enforced else "",
    ]
    told = "; ".join(filter(None, notes))
    yield f"{found.host}, {found.app}" + (f" ({told})" if told else "")
    for each in found.rehearsals:
        yield from _summary(each)
        yield from _steps(each) if steps else ()


def _summary(rehearsal: Rehearsal) -> Iterator[str]:
    if rehearsal.played is None:
        said = "can't happen here"
    elif rehearsal.locked_out:
        said = f"LOCKED OUT: {' and '.join(rehearsal.locked_out)}"
    else:
        said = "all are served"
    if rehearsal.intercepted:
        said += f"; INTERCEPTED: {' and '.join(rehearsal.intercepted)}"
    scenario = rehearsal.scenario
    yield from wrapped(f"{scenario.title}: {said}", first=f"  {scenario.name}", indent=22)


def _steps(rehearsal: Rehearsal) -> Iterator[str]:
    for number, played in enumerate(rehearsal.played or (), 1):
        attack = " [attack]" if played.step.intercepts is not None else ""
        yield from wrapped(f"{played.step.title}{attack}", first=f"    {number}.", indent=7)
        for phone, ending in played.endings.items():
            said = ending.outcome.value + (", secrets withheld" if ending.withheld else "")
            said += f", took no set: {ending.refused.code}" if ending.refused is not None else ""
            yield from wrapped(said, first=f"       {phone}", indent=34)


def rotate_command(config: Path, /, *, host: str, as_json: bool, **options: Any) -> None:
    """Look which key a host shows, and take the next step of its rotation."""
    name = read_host(host)
    open_session(config).host_named(name)
    seen = probe([name], options_of(options))[name]
    steps: list[RotationStep] = []
    now = present()

    def change(opened: PinSession, pinned: PinnedKeys) -> PinnedKeys:
        taken = rotation_step(opened, pinned, seen, now)
        steps.append(taken)
        if taken.moved:
            keys = {str(each.pin): each.pin.role.value for each in taken.keys}
            opened.workspace.note(now, who_runs(), "rotate", name, detail={"keys": keys})
        return pinned.with_keys(name, taken.keys)

    edit(config, change)
    (taken,) = steps
    said, then = list(taken.said), list(taken.then)
    value = {"host": name, "moved": taken.moved, "said": said, "then": then}
    lines = [line for each in said for line in wrapped(each)]
    lines += [line for each in then for line in wrapped(each, first="next", indent=6)]
    say(as_json, {**value, "keys": keys_of(taken.keys)}, lines)
