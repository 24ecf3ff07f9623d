"""Run what :mod:`watchword.apps.pins.cli` declares."""

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click
from click.exceptions import Exit
from pydantic_core import PydanticCustomError

from watchword.adapters import metrics, pin_workspace
from watchword.adapters.keyring.private_file import private_directory, read_private
from watchword.adapters.live_chain import LiveChainError, Place, parse_resolve
from watchword.adapters.observations import ObservationsFile, read_observer_key
from watchword.adapters.pin_workspace import (
    PinWorkspace,
    read_public_key,
    who_runs,
)
from watchword.adapters.system import SystemClock
from watchword.apps.observations.document import Observers, sign, verify
from watchword.apps.pins import checks, publication, root_lists, rotations, session
from watchword.apps.pins.checks import (
    Check,
    Finding,
    ProbeOptions,
    Weight,
    probe,
)
from watchword.apps.pins.session import (
    NotNowError,
    PinnedKey,
    PinnedKeys,
    PinsError,
    PinSession,
    Source,
    day,
    edit,
    open_session,
    read_host,
)
from watchword.apps.settings import schema
from watchword.apps.settings.load import load_pins
from watchword.apps.settings.plan import PlanSettings, load_plan
from watchword.apps.terminal.console import EXIT_REFUSED, EXIT_UNAVAILABLE, fail, print_json
from watchword.apps.terminal.output import replace_file, write_new_file
from watchword.apps.terminal.paragraphs import printable, wrapped
from watchword.apps.terminal.parameters import seconds_of
from watchword.encoding.phrases import counted
from watchword.observations import Vouched
from watchword.pins import roots as lists
from watchword.pins.formats import RenderError, render
from watchword.pins.interface import Pin, PinRole, PinSet, RootList
from watchword.pins.rehearsal import Rehearsal
from watchword.reasons import WatchwordError
from watchword.tokens.jose import SigningKey


def _say(as_json: bool, value: Any, lines: Iterable[str]) -> None:
    """Print a result for scripts or for people."""
    if as_json:
        print_json(value)
    else:
        for line in lines:
            click.echo(line)


def _now() -> float:
    return SystemClock().timestamp()


def _keys(keys: Iterable[PinnedKey]) -> list[dict[str, str]]:
    return [{"pin": str(each.pin), "role": each.pin.role.value} for each in keys]


def _noted(keys: Iterable[PinnedKey]) -> list[dict[str, str]]:
    return [{**said, "note": each.note} for each in keys for said in _keys([each])]


def _options(options: dict[str, Any]) -> ProbeOptions:
    """Return from where servers are looked at; raises click.BadParameter when a place isn't HOST=ADDRESS[:PORT]."""
    named: dict[str, list[Place]] = {}
    for text in options["resolve"]:
        try:
            place = parse_resolve(text)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--resolve") from None
        host = read_host(place.host)
        named.setdefault(host, []).append(replace(place, host=host))
    return ProbeOptions(named, options["cafile"], options["timeout"])


def _require_reason(force: bool, reason: str | None) -> None:
    if force != bool((reason or "").strip()):
        raise click.UsageError("--force and --reason go together: what is forced is written down")


def _show_list(
    data: bytes, roots: RootList, previous: RootList | None, as_json: bool, then: Iterable[str] = ()
) -> None:
    """Show a root list, and for people what to do then."""
    said = root_lists.described(data, roots, _now(), previous)
    _say(as_json, said, (*_list_lines(said), *then))


def _show_newest(config: Path, as_json: bool) -> None:
    opened = open_session(config)
    roots = opened.roots
    previous = opened.lists[-2] if len(opened.lists) > 1 else None
    _show_list(opened.workspace.read_roots(roots.version), roots, previous, as_json)


def _list_lines(said: dict[str, Any]) -> Iterator[str]:
    expired = ", EXPIRED: it authorises no new set" if said["expired"] else ""
    yield f"Root list {said['version']}, expires {said['expires'][:10]}{expired}"
    yield f"  root keys  {said['threshold']} of {len(said['keys'])} sign"
    new = dict.fromkeys(said.get("new", ()), "  NEW")
    for key in said["keys"]:
        signed = "signed" if key["signed"] else "has not signed"
        yield f"    {key['kid']}  {signed}{new.get(key['kid'], '')}"
    yield "  pin keys   sign pin sets"
    for kid in said["pin_keys"]:
        yield f"    {kid}{new.get(kid, '')}"
    for kid in said.get("gone", ()):
        yield f"  gone       {kid}"
    for app, floor in said["floors"].items():
        yield f"  floor      {app}: no set below version {floor} counts"
    own = f"  signatures {said['signed']} of {said['threshold']} of its own keys"
    before = said.get("previous")
    yield own + (
        f", {before['signed']} of {before['threshold']} of list {before['version']}"
        if before
        else ""
    )


def _missing(data: bytes, roots: RootList, previous: RootList | None, file: Path) -> Iterator[str]:
    """Yield who has to sign yet, or where to take the list."""
    missing = root_lists.missing_signatures(data, roots, previous)
    for whose, count in missing:
        yield f"Missing: {count} more of {whose}: watchword pins root sign {file} --key KEY.pem"
    if not missing:
        yield f"Signed. Take it to the workspace: watchword pins root accept {file}"


def root(config: Path, /, *, as_json: bool) -> None:
    """Show the newest root list, where no subcommand is named."""
    if click.get_current_context().invoked_subcommand is None:
        _show_newest(config, as_json)


class _Recorder:
    """Hold an observer's key and the plan; both are read before anything is looked at."""

    def __init__(self, config: Path, key: Path, api: str) -> None:
        self._signer: Any = read_observer_key(key)
        self._plan: PlanSettings = load_plan(config)
        self._api = api
        if api not in self._plan.generations:
            known = ", ".join(self._plan.generations) or "none"
            raise click.UsageError(f"--api: got {api!r}, expected an API of {config}: {known}")

    def record(self, found: Check, at: datetime, within: int | None) -> int:
        """Append the observation, and return how many there are: 1, or 0 where nothing could be told."""
        observation = checks.observation_of(
            found,
            api=self._api,
            at=at,
            environment=self._plan.environment,
            generation=self._plan.generations[self._api],
            within=within,
        )
        if observation is None:
            click.echo("Nothing is recorded: a host couldn't be reached.", err=True)
            return 0
        line = sign(observation, self._signer)
        ObservationsFile(self._plan.observations).append(line)
        if not isinstance(verify(line, Observers.of(self._plan.observers)), Vouched):
            click.echo(
                "warning: no observer under plan.observers has this key; what is good counts as a claim",
                err=True,
            )
        told = f"Recorded {observation.protection} as {observation.state} at api:{self._api}: {observation.detail}"
        click.echo(printable(told), err=True)
        return 1


_LEAST: Final = 12
"""Fewest characters of a passphrase: who finds the file tries all shorter ones."""


def _is_anybody_there() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _new_passphrase(file: Path | None, *, ask: bool) -> str | None:
    """Return the passphrase for a new key, None where none was asked for; raises click.UsageError for a short one."""
    if file is not None:
        phrase = _of_file(file)
    elif not ask:
        return None
    elif not _is_anybody_there():
        raise click.UsageError("nobody is there to be asked; name a file with --passphrase-file")
    else:
        phrase = click.prompt("Passphrase", hide_input=True, confirmation_prompt=True, err=True)
    if len(phrase) < _LEAST:
        raise click.UsageError(
            f"got a passphrase of {len(phrase)} characters, expected {_LEAST} or more"
        )
    return phrase


def _signing_key(key: Path, passphrase_file: Path | None) -> SigningKey:
    """Return the private key in a file; where it is encrypted, ask for its passphrase."""
    found = pin_workspace.read_key(key)
    if found is None and passphrase_file is not None:
        found = pin_workspace.read_key(key, _of_file(passphrase_file))
    elif found is None:
        if not _is_anybody_there():
            raise click.UsageError(
                f"{key} is encrypted and nobody is there to be asked; name a file with --passphrase-file"
            )
        phrase = click.prompt(f"Passphrase of {key}", hide_input=True, err=True)
        found = pin_workspace.read_key(key, phrase)
    if found is None:
        raise click.UsageError(f"{key} is encrypted, expected a passphrase")
    return found


def _of_file(file: Path) -> str:
    data = read_private(file, 1024)
    if data is None:
        raise click.UsageError(f"{file}: no such file, expected a passphrase in it")
    try:
        return data.decode().strip("\r\n")
    except UnicodeDecodeError:
        raise click.UsageError(f"{file}: got bytes that aren't UTF-8, expected text") from None


def init_command(
    config: Path,
    /,
    *,
    directory: Path | None,
    output: Path | None,
    new_pin_key: bool,
    as_json: bool,
) -> None:
    """Make the workspace, or only another key that signs sets."""
    named = session.named_in(config)
    place = directory.resolve() if directory is not None else named.workspace
    workspace = PinWorkspace(place)
    if new_pin_key:
        root_lists.new_pin_key(workspace, _now(), who_runs())
    else:
        if place in named.online[:1]:
            raise click.UsageError(f"{place} is the service's state directory; name another one")
        root_lists.begin(workspace, _now(), who_runs())
    public = workspace.public_key
    kid = read_public_key(public).kid
    text = root_lists.section(root_lists.named_from(place, config), named.apps)
    if output is not None:
        write_new_file(output, text)
    if as_json:
        print_json({"directory": place, "kid": kid, "public": public, "section": text})
        return
    click.echo(f"{place}: the workspace" if not new_pin_key else f"{place}: a new key")
    click.echo(f"{workspace.key}: signs pin sets, for this user alone (mode 0600)")
    click.echo(f"{public}: its public half {kid}; a root list must name it:")
    if new_pin_key:
        # The command as it is written where there is no workspace.
        published = session.published_in(workspace)
        floors = "".join(f" --floor {app}={version}" for app, version in published.items())
        click.echo(
            f"\n  watchword pins root rotate roots-N.json --only-pin-key {public.name}{floors}"
        )
        return
    click.echo(f"\n  watchword pins root init -d ROOT-KEYS --pin-key {public.name}")
    click.echo(
        "\n(on a machine that is offline; bring back roots-1.json: watchword pins root accept)"
    )
    if not named.has_section:
        click.echo(f"\nPut this into {config}:\n\n{text}", nl=False)


_SOURCES: Final = {
    "from_live": "--from-live",
    "cert": "--cert",
    "key": "--key",
    "spki": "--spki",
    "ca_bundle": "--ca-bundle",
}


def add_command(
    config: Path, /, *, host: str, role: str | None, as_json: bool, **options: Any
) -> None:
    """Pin a key of a host in the workspace."""
    given = [name for name in _SOURCES if options[name]]
    if len(given) != 1:
        raise click.UsageError(
            f"got {len(given)} sources, expected one of {', '.join(_SOURCES.values())}"
        )
    if given == ["ca_bundle"]:
        role = role or "ca"
    if role is None or (given == ["ca_bundle"] and role != "ca"):
        raise click.UsageError(
            "got no role that fits, expected --role current, next, backup or ca (of a bundle: ca)"
        )
    name = read_host(host)
    sources = _sources(name, role, options)
    changed = edit(
        config, lambda found, pinned: pinned.adding(found.host_named(name), PinRole(role), sources)
    )
    _say(as_json, {"host": name, "keys": _noted(changed.of(name))}, _added(name, changed.of(name)))


def _sources(host: str, role: str, options: dict[str, Any]) -> tuple[Source, ...]:
    if options["from_live"]:
        return (_live(host, role, options),)
    if options["cert"] is not None:
        return (session.key_of_certificate(options["cert"]),)
    if options["key"] is not None:
        return (session.key_of_key(options["key"]),)
    if options["spki"] is not None:
        return (session.key_of_text(options["spki"]),)
    return session.keys_of_bundle(options["ca_bundle"])


def _live(host: str, role: str, options: dict[str, Any]) -> Source:
    """Return the key that all places show, by a chain that holds: else what is pinned may be a stranger's."""
    seen = probe([host], _options(options))[host]
    if not seen.results:
        raise LiveChainError("; ".join(seen.troubles))
    bad = seen.bad
    if bad is not None:
        raise NotNowError(
            f"{host} at {bad.place}: got a chain that doesn't hold ({bad.fault}), expected one that does; "
            "an authority of your own: --cafile"
        )
    if len(seen.leaves) > 1:
        raise NotNowError(
            f"{host}: got {len(seen.leaves)} different keys at {len(seen.results)} places, expected one; name the place that is "
            "right with --resolve, and pin the others too"
        )
    result = seen.results[0]
    which = len(result.chain) - 1 if role == "ca" else 0
    if role == "ca" and not which:
        raise click.UsageError(
            f"{host}: got a chain of one certificate, expected an authority in it"
        )
    return result.chain[which], f"live at {result.place}: {result.subjects[which]}"


def _added(host: str, keys: Sequence[PinnedKey]) -> Iterator[str]:
    for each in keys:
        yield printable(f"{host}  {each.pin.role.value:<8} {each.pin}  {each.note}".rstrip())
    if not {each.pin.role for each in keys} & {PinRole.BACKUP, PinRole.CA}:
        yield f"A backup is missing: make a key, keep it offline, then: watchword pins add {host} --key backup.pub --role backup"
    else:
        yield "Apps learn of it with the next: watchword pins publish"


def remove_command(config: Path, /, *, host: str, key: str, as_json: bool) -> None:
    """Pin a key of a host no more."""
    name = read_host(host)
    left = edit(config, lambda _, pinned: pinned.without(name, key)).of(name)
    text = f"{name}: {counted(len(left), 'key')} left. Apps learn of it with the next: watchword pins publish"
    _say(as_json, {"host": name, "keys": _keys(left)}, [text])


def show_command(config: Path, /, *, as_json: bool) -> None:
    """Show which keys are pinned, what is published for each app, and which app versions are out there."""
    opened = open_session(config)
    if not as_json:
        _say(as_json, None, _show_lines(opened))
        return
    pins = opened.file.pins
    published = {app: opened.published(app) for app in pins.apps}
    value = {
        "roots": opened.lists[-1].version if opened.lists else None,
        "hosts": {
            host: {
                "apps": list(each.apps),
                "mode": each.mode.value,
                "keys": _noted(opened.pinned.of(host)),
            }
            for host, each in pins.hosts.items()
        },
        "published": {app: each and _set(each) for app, each in published.items()},
        "releases": [
            {
                "app": each.app,
                "version": each.app_version,
                "floor": each.floor,
                "roots": each.roots.version,
            }
            for each in opened.fleet()
        ],
    }
    print_json(value)


_TIMES: Final = ("version", "issued_at", "soft_expiry", "hard_expiry")


def _set(published: PinSet) -> dict[str, Any]:
    return {
        **{name: getattr(published, name) for name in _TIMES},
        "hosts": {
            each.host: {"mode": each.mode.value, "pins": [str(pin) for pin in each.pins]}
            for each in published.hosts
        },
    }


def _show_lines(opened: PinSession) -> Iterator[str]:
    hosts = opened.file.pins.hosts
    for host, each in hosts.items():
        yield f"{host}  {each.mode.value}, {', '.join(each.apps)}"
        keys = opened.pinned.of(host)
        for key in keys:
            yield f"  {key.pin.role.value:<8} {key.pin}  {key.note}".rstrip()
        if not keys:
            yield f"  no key yet: watchword pins add {host} --from-live --role current"
    for host in opened.pinned.hosts:
        if host not in hosts:
            yield f"{host}  has keys, but isn't under pins.hosts: nothing of it is published"
    for app in opened.file.pins.apps:
        found = opened.published(app)
        if found is None:
            yield f"{app}: nothing published yet"
            continue
        yield (
            f"{app}: version {found.version}, {counted(len(found.hosts), 'host')}, apps look again from {day(found.soft_expiry)} on, "
            f"enforced until {day(found.hard_expiry)}"
        )
    for shipped in opened.fleet():
        yield f"{shipped.app} {shipped.app_version}: ships with list {shipped.roots.version}, floor {shipped.floor}"
    if opened.lists:
        roots = opened.lists[-1]
        yield f"root list {roots.version}: {roots.threshold} of {len(roots.keys)} sign, expires {day(roots.expires)}"
    else:
        yield "no root list yet: watchword pins root --help"


_MARKS: Final = {"bad": "BAD ", "warn": "warn", "note": "note"}


def check_command(
    config: Path, /, *, app: str | None, offline: bool, as_json: bool, **options: Any
) -> None:
    """Hold what is live against the published set and the draft."""
    if (options["sign"] is None) != (options["api"] is None):
        raise click.UsageError("--sign and --api go together: whose key, and what it is about")
    if offline and options["sign"] is not None:
        raise click.UsageError("--sign needs to look: leave out --offline")
    within = seconds_of(options["fail_within"], "--fail-within") if options["fail_within"] else None
    # What is needed to record is read first: a check whose results are lost is one too many.
    recorder = _Recorder(config, options["sign"], options["api"]) if options["sign"] else None
    opened = open_session(config)
    apps = opened.file.pins.apps if app is None else (opened.app_named(app),)
    seen_from = _options(options)
    hosts = opened.file.pins.looked_at(apps, seen_from.named)
    probes = {} if offline else probe(hosts, seen_from)
    found = checks.check(opened, apps, probes, _now(), within)
    recorded = 0 if recorder is None else recorder.record(found, SystemClock().now(), within)
    value = {**_check_members(found), "recorded": recorded}
    _say(as_json, value, _check_lines(opened, found, offline=offline))
    raise Exit(_code_of(found))


def _code_of(found: Check) -> int:
    """Return the exit code: what is bad goes before what couldn't be looked at."""
    bad = {each.code for each in found.of(Weight.BAD)}
    if not bad:
        return 0
    return EXIT_UNAVAILABLE if bad == {"unreachable"} else EXIT_REFUSED


def _check_members(found: Check) -> dict[str, Any]:
    return {
        "findings": [asdict(each) for each in found.findings],
        "hosts": {
            host: [
                {
                    "place": result.place,
                    "chain": [str(Pin(spki, PinRole.CURRENT)) for spki in result.chain],
                    "not_after": int(result.not_after),
                    "fault": result.fault,
                }
                for result in seen.results
            ]
            for host, seen in found.probes.items()
        },
        "published": {
            app: each and {"version": each.version, "hard_expiry": each.hard_expiry}
            for app, each in found.published.items()
        },
    }


def _check_lines(opened: PinSession, found: Check, *, offline: bool) -> Iterator[str]:
    for host, seen in found.probes.items():
        keys = opened.pinned.of(opened.file.pins.standing_for(host))
        roles = {key.pin.spki: key.pin.role.value for key in keys}
        for result in seen.results:
            role = next((roles[spki] for spki in result.chain if spki in roles), "not pinned")
            holds = "holds" if result.fault is None else "does not hold"
            yield f"{host} at {result.place}: {role}, chain {holds}, certificate until {day(result.not_after)}"
    for app, each in found.published.items():
        if each is not None:
            yield f"{app}: version {each.version}, enforced until {day(each.hard_expiry)}"
    for finding in found.findings:
        mark = _MARKS[finding.weight.value]
        yield from wrapped(f"{finding.subject}: {finding.text}", first=mark, indent=6)
        if finding.todo:
            yield from wrapped(f"-> {finding.todo}", indent=6)
    if not found.of(Weight.BAD, Weight.WARN):
        yield f"All is as it should be{', as far as can be told offline' if offline else ''}."


def rehearse_command(
    config: Path, /, *, host: str | None, as_json: bool, offline: bool, **options: Any
) -> None:
    """Play rotations and accidents with the draft as if it were published and enforced."""
    fail_on = options["fail_on"]
    rotations.scenarios_named(fail_on)
    scenarios = rotations.scenarios_named(
        [*options["names"], *(fail_on if options["names"] else ())]
    )
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
    probes = {} if offline else probe(wanted, _options(options))
    now = _now()
    found = [
        each
        for app in apps
        if hosts[app]
        for each in rotations.rehearse_all(opened, app, hosts[app], probes, scenarios, now)
    ]
    if not found:
        raise PinsError("got no host with a pinned key, expected one: watchword pins add HOST")
    _say(
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


def _rehearsed(found: rotations.Rehearsed) -> dict[str, Any]:
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


def _rehearse_lines(found: rotations.Rehearsed, *, steps: bool) -> Iterator[str]:
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
    seen = probe([name], _options(options))[name]
    steps: list[rotations.RotationStep] = []
    now = _now()

    def change(opened: PinSession, pinned: PinnedKeys) -> PinnedKeys:
        taken = rotations.rotation_step(opened, pinned, seen, now)
        steps.append(taken)
        if taken.moved:
            keys = {str(each.pin): each.pin.role.value for each in taken.keys}
            logged = session.step(now, who_runs(), "rotate", name, detail={"keys": keys})
            opened.workspace.log.append(logged)
        return pinned.with_keys(name, taken.keys)

    edit(config, change)
    (taken,) = steps
    said, then = list(taken.said), list(taken.then)
    value = {"host": name, "moved": taken.moved, "said": said, "then": then}
    lines = [line for each in said for line in wrapped(each)]
    lines += [line for each in then for line in wrapped(each, first="next", indent=6)]
    _say(as_json, {**value, "keys": _keys(taken.keys)}, lines)


def publish_command(
    config: Path,
    /,
    *,
    force: bool,
    reason: str | None,
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Look at the servers, make the set of each app, and publish it."""
    _require_reason(force, reason)
    published = publication.publish(
        config,
        publication.Order(options["apps"], reason, options["above"]),
        _options(options),
        _now(),
        options["actor"] or who_runs(),
        dry=dry_run,
    )
    lines = _publish_lines(published, dry=dry_run, forced=force)
    _say(as_json, _published_members(published), lines)
    if not published.permitted:
        raise Exit(EXIT_REFUSED)


def _published_members(published: publication.Published) -> dict[str, Any]:
    return {
        "published": published.done,
        "sets": [
            {
                "app": each.draft.app,
                "version": each.draft.version,
                "hard_expiry": each.draft.hard_expiry,
                "changes": list(each.changes),
                "permitted": each.permit is not None,
                "forced": each.permit is not None and bool(each.permit.forced),
                "objections": [
                    {**asdict(found), "reason": found.reason.code} for found in each.against
                ],
            }
            for each in published.judged
        ],
    }


def _publish_lines(published: publication.Published, *, dry: bool, forced: bool) -> Iterator[str]:
    for each in published.judged:
        yield from _of_app(each, done=published.done, dry=dry)
    if published.done:
        if forced and not any(each.permit and each.permit.forced for each in published.judged):
            yield "Nothing had to be forced."
    elif any(
        found.blocks and not found.forceable for each in published.judged for found in each.against
    ):
        yield "Nothing is published. What no app would take can't be forced."
    elif not published.permitted:
        yield 'Nothing is published. If it must be: watchword pins publish --force --reason "why"'


def _of_app(judged: publication.Judged, *, done: bool, dry: bool) -> Iterator[str]:
    draft = judged.draft
    for found in judged.against:
        first = "note" if not found.blocks else "FORCED" if judged.permit else "refused"
        where = f"{found.host}: " if found.host else ""
        text = f"{draft.app}: {where}{found.text} ({found.reason.code})"
        yield from wrapped(text, first=first, indent=8)
    changes = "; ".join(judged.changes) or "nothing but its times"
    verb = (
        "published" if done else "would be published" if dry and judged.permit else "not published"
    )
    yield from wrapped(f"{draft.app}: version {draft.version} {verb}. Changed: {changes}.")
    if done:
        hosts = ", ".join(f"{each.host} ({each.mode})" for each in draft.hosts)
        yield from wrapped(
            f"Apps look again from {day(draft.soft_expiry)} on and enforce until {day(draft.hard_expiry)}: {hosts}.",
            indent=2,
        )


def release_command(
    config: Path, /, *, app: str, version: str, output: Path | None, withdraw: bool, as_json: bool
) -> None:
    """Write what a version of an app ships with, or forget the version."""
    if withdraw:
        publication.withdraw_release(config, app, version, _now(), who_runs())
        text = f"{app} {version} isn't supported any more: sets may lock it out."
        _say(as_json, {"app": app, "version": version, "withdrawn": True}, [text])
        return
    if output is not None and output.exists():
        raise click.UsageError(f"{output} is there already, expected a new file")
    data, path, first = publication.release(config, app, version, _now(), who_runs())
    if output is not None:
        write_new_file(output, data.decode())
    lines = [f"{output or path}: put it into the package of {app} {version}"]
    if first is None:
        lines.append(
            "It ships without a set: nothing is pinned before the first fetch. Better: publish first."
        )
    _say(as_json, {"app": app, "version": version, "file": path, "set": first}, lines)


_MARK: Final = "Generated by `watchword pins render`"
"""What tells a file of these from another, near its start."""


def render_command(
    config: Path,
    /,
    *,
    platform: str,
    app: str | None,
    draft: bool,
    output: Path | None,
    as_json: bool,
) -> None:
    """Write the published set of an app in a platform's own format."""
    opened = open_session(config)
    name = opened.app_named(app)
    now = _now()
    chosen = opened.draft(name, now) if draft else opened.published(name)
    if chosen is None:
        raise PinsError(
            f"{name}: nothing is published, expected a set: watchword pins publish, or --draft"
        )
    if now >= chosen.hard_expiry:
        raise PinsError(
            f"{name}: version {chosen.version} has expired, expected one that counts: watchword pins publish"
        )
    try:
        made = render(platform, chosen)
    except RenderError as error:
        raise PinsError(f"{name}: {error}") from None
    if output is not None:
        replace_file(output, made.text, _MARK)
    if as_json:
        value = {"file": made.file, "text": made.text, "version": chosen.version}
        print_json({**value, "left_out": [asdict(each) for each in made.left_out]})
        return
    if output is None:
        click.echo(made.text, nl=False)
    else:
        click.echo(f"{output}: version {chosen.version} of {name}, as {made.file}")
    for each in made.left_out:
        click.echo(printable(f"left out: {each}"), err=True)


def watch_command(config: Path, /, **options: Any) -> None:
    """Check all pinned hosts again and again, and tell of each finding when it comes and when it's gone."""
    interval = seconds_of(options["interval"], "--interval")
    watcher = _Watcher(config, options, seconds_of(options["alert_within"], "--alert-within"))
    with checks.serving(_listen(options["listen"]), lambda: watcher.page):
        if options["once"]:
            raise Exit(_code_of(watcher.check()))
        while True:
            watcher.go_on()
            time.sleep(interval)


class _Watcher:
    """Hold what was told already, and the last metrics."""

    def __init__(self, config: Path, options: dict[str, Any], within: int) -> None:
        self._config = config
        self._textfile: Path | None = options["textfile"]
        self._as_json: bool = options["as_json"]
        self._within = within
        self._seen_from = _options(options)
        self._told: dict[tuple[str, str], Finding] = {}
        self._fault = ""
        self.page = b""

    def go_on(self) -> None:
        """Check, and tell of a fault once: a file that is being edited ends no watch; the time of the last check stays as it was."""
        try:
            self.check()
            self._fault = ""
        except (OSError, WatchwordError) as error:
            if str(error) != self._fault:
                fail(error)
            self._fault = str(error)

    def check(self) -> Check:
        """Check once: the file and the workspace are read anew, so that edits count."""
        opened = open_session(self._config)
        apps = opened.file.pins.apps
        probes = probe(opened.file.pins.looked_at(apps, self._seen_from.named), self._seen_from)
        now = _now()
        found = checks.check(opened, apps, probes, now, self._within)
        # Whoever reads a line finds its metrics; and a file that can't be written keeps no line back.
        self.page = metrics.exposition(checks.metrics_of(opened, found, now))
        self._notify(
            {(each.code, each.subject): each for each in found.of(Weight.BAD, Weight.WARN)}
        )
        if self._textfile is not None:
            replace_file(self._textfile, self.page.decode(), checks.METRICS_MARK)
        return found

    def _notify(self, now: dict[tuple[str, str], Finding]) -> None:
        for key, finding in now.items():
            if key not in self._told:
                todo = f" -> {finding.todo}" if finding.todo else ""
                said = f"{finding.weight.value}: {finding.subject}: {finding.text}{todo}"
                self._line(finding, "begins", said)
        for key, finding in self._told.items():
            if key not in now:
                self._line(finding, "ends", f"over: {finding.subject}: {finding.code}")
        if not self._told and not now:
            self._line(None, "good", "good: all is as it should be")
        self._told = now

    def _line(self, finding: Finding | None, event: str, text: str) -> None:
        at = session.moment(_now())
        if self._as_json:
            said = {} if finding is None else {"code": finding.code, "subject": finding.subject}
            text = "" if finding is None else finding.text
            print_json({"at": at, "event": event, **said, "text": text})
        else:
            click.echo(printable(f"{at} {text}"))


def _listen(text: str | None) -> tuple[str, int] | None:
    """Return host and port on loopback; raises click.BadParameter for any other."""
    if text is None:
        return None
    try:
        address = schema.address(text)
    except PydanticCustomError as error:
        raise click.BadParameter(
            f"got {text!r}, expected {error.message()}", param_hint="--listen"
        ) from None
    if not address.is_loopback:
        raise click.BadParameter(
            f"got {text}, expected an address of this machine alone, such as 127.0.0.1:9464",
            param_hint="--listen",
        )
    return address.host, address.port


def log_command(config: Path, /, *, forced: bool, as_json: bool) -> None:
    """Show each step, the oldest first: who did what, when, and why where it was forced."""
    workspace = PinWorkspace(load_pins(config).pins.directory)
    workspace.require()
    for entry in workspace.log.read():
        if forced and entry.reason is None:
            continue
        version = entry.detail.get("version")
        line = f"{entry.at}  {entry.actor:<20} {entry.action:<8} {entry.subject}"
        line += f" {version}" if version is not None else ""
        line += f"  FORCED: {entry.reason}" if entry.reason is not None else ""
        _say(as_json, asdict(entry), [printable(line)])


def root_init(config: Path, /, *, directory: Path, as_json: bool, **options: Any) -> None:
    """Make root keys and the first root list, signed by each key that is made here."""
    root_lists.require_offline(directory, session.named_in(config).online)
    expires = int(_now()) + seconds_of(options["expires"], "--expires")
    phrase = _new_passphrase(options["passphrase_file"], ask=options["passphrase"])
    made: list[SigningKey] = [pin_workspace.new_key() for _ in range(options["keys"])]
    keys = [*(each.verification_key() for each in made), *map(read_public_key, options["public"])]
    pin_keys = list(map(read_public_key, options["pin_keys"]))
    first = root_lists.first_list(keys, pin_keys, options["threshold"], expires)
    data = lists.sign_roots(first, made)
    private_directory(directory)
    file = directory / "roots-1.json"
    places = [directory / f"root-{number}.pem" for number in range(1, len(made) + 1)]
    there = next((each for each in (file, *places) if each.exists()), None)
    if there is not None:
        raise click.UsageError(f"{there} is there already; root keys are never overwritten")
    for place, key in zip(places, made, strict=True):
        pin_workspace.write_key(place, key, phrase)
        pin_workspace.write_public_key(place.with_suffix(".jwk"), key)
    write_new_file(file, data.decode("ascii") + "\n")
    _, roots = root_lists.read_list(file)
    if as_json:
        value = {"file": file, "keys": [str(each) for each in places]}
        print_json({**value, "kids": [each.kid for each in keys]})
        return
    for place in places:
        locked = "encrypted" if phrase else "not encrypted: keep it where nobody else gets"
        click.echo(f"{place}: a root key (mode 0600, {locked})")
    _show_list(data, roots, None, as_json, _missing(data, roots, None, file))


def root_key(
    config: Path,
    /,
    *,
    output: Path,
    passphrase: bool,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Make one key pair, on its holder's own machine."""
    root_lists.require_offline(output.parent, session.named_in(config).online)
    public = output.with_suffix(".jwk")
    if public == output or public.exists():
        raise click.UsageError(f"{public}: expected a name that is free, for the public key")
    key = pin_workspace.new_key()
    pin_workspace.write_key(output, key, _new_passphrase(passphrase_file, ask=passphrase))
    pin_workspace.write_public_key(public, key)
    lines = [
        f"{output}: the private key, for its holder alone (mode 0600)",
        f"{public}: the public key {key.kid}; whoever makes the next list names it:",
        f"\n  watchword pins root rotate roots-1.json --add-key {public}",
    ]
    _say(as_json, {"kid": key.kid, "private": output, "public": public}, lines)


def root_sign(
    _config: Path,
    /,
    *,
    file: Path,
    key: Path,
    previous: Path | None,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Show what a root list says and add a signature to it, in place."""
    data, roots = root_lists.read_list(file)
    before = None if previous is None else root_lists.read_list(previous)[1]
    if before is not None and before.version + 1 != roots.version:
        raise click.UsageError(
            f"--previous: got list {before.version}, expected list {roots.version - 1}, the one before {file}"
        )
    signer = _signing_key(key, passphrase_file)
    known = set(roots.keys) | set(before.keys if before is not None else ())
    if signer.kid not in known and (before is not None or roots.version == 1):
        raise click.UsageError(
            f"{key}: got the key {signer.kid}, expected one of the list"
            f"{'' if before is None else ' or of the one before it'}: {', '.join(sorted(known))}"
        )
    signed = lists.add_signature(data, signer)
    replace_file(file, signed.decode("ascii") + "\n", root_lists.MARK)
    _show_list(signed, roots, before, as_json, _missing(signed, roots, before, file))


def root_rotate(
    config: Path, /, *, file: Path, output: Path | None, as_json: bool, **options: Any
) -> None:
    """Write the list after a file's: the same, renewed, with the changes that are named."""
    _, last = root_lists.read_list(file)
    changes = root_lists.Changes(
        add_keys=tuple(map(read_public_key, options["add_key"])),
        remove_keys=tuple(map(_kid, options["remove_key"])),
        add_pin_keys=tuple(map(read_public_key, options["add_pin_key"])),
        remove_pin_keys=tuple(map(_kid, options["remove_pin_key"])),
        floors=dict(map(_floor, options["floor"])),
        threshold=options["threshold"],
    )
    if options["only_pin_key"] is not None:
        if changes.add_pin_keys or changes.remove_pin_keys:
            raise click.UsageError(
                "--only-pin-key says all: leave out --add-pin-key, --remove-pin-key"
            )
        only = (read_public_key(options["only_pin_key"]),)
        changes = replace(changes, add_pin_keys=only, remove_pin_keys=tuple(last.pin_keys))
    expires = int(_now()) + seconds_of(options["expires"], "--expires")
    unsigned = root_lists.next_list(last, changes, expires, session.published_by(config))
    signers = [_signing_key(each, options["passphrase_file"]) for each in options["keys"]]
    roots = lists.read_unverified(unsigned)
    strangers = [each.kid for each in signers if each.kid not in {*roots.keys, *last.keys}]
    if strangers:
        raise click.UsageError(
            f"--key: got {', '.join(strangers)}, expected keys of {file} or of the next list"
        )
    data = lists.sign_roots(unsigned, signers)
    output = output or file.with_name(f"roots-{roots.version}.json")
    write_new_file(output, data.decode("ascii") + "\n")
    _show_list(data, roots, last, as_json, _missing(data, roots, last, output))


def _kid(text: str) -> str:
    """Return a key's id, of its file where it is one."""
    return read_public_key(Path(text)).kid if text.endswith(".jwk") else text


def _floor(text: str) -> tuple[str, int]:
    app, _, version = text.rpartition("=")
    if not app or not version.isascii() or not version.isdigit() or len(version) > 15:
        raise click.BadParameter(
            f"got {text[:80]!r}, expected APP=VERSION such as clinic-android=20261127031500",
            param_hint="--floor",
        )
    return app, int(version)


def root_show(config: Path, /, *, file: Path | None, previous: Path | None, as_json: bool) -> None:
    """Say what a root list says and who signed it; without a file, the workspace's newest."""
    if file is None:
        _show_newest(config, as_json)
        return
    data, roots = root_lists.read_list(file)
    before = None if previous is None else root_lists.read_list(previous)[1]
    _show_list(data, roots, before, as_json)


def root_accept(
    config: Path, /, *, file: Path, force: bool, reason: str | None, as_json: bool
) -> None:
    """Bring a root list that is wholly signed into the workspace."""
    _require_reason(force, reason)
    data, roots, previous = root_lists.accept(config, file, _now(), who_runs(), reason)
    then = ["Next: watchword pins check, then watchword pins publish."]
    _show_list(data, roots, previous, as_json, then)
