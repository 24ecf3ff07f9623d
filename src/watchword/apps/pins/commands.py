"""Run what :mod:`watchword.apps.pins.cli` declares."""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click
from pydantic_core import PydanticCustomError

from watchword.adapters.clock import SystemClock
from watchword.adapters.keyring.private_file import private_directory, read_private
from watchword.adapters.live_chain import LiveChainError, Place, parse_resolve
from watchword.adapters.observations import ObservationsFile, read_observer_key
from watchword.adapters.pin_workspace import (
    PinWorkspace,
    new_key,
    read_key,
    read_public_key,
    who_runs,
    write_key,
    write_public_key,
)
from watchword.apps.observations import Observers, sign, verify
from watchword.apps.pins import root_lists
from watchword.apps.pins.checks import (
    METRICS_MARK,
    Check,
    Finding,
    Look,
    Vantage,
    Weight,
    check,
    look_at,
    metrics_of,
    observation_of,
    serving,
)
from watchword.apps.pins.publishing import (
    Judged,
    Order,
    Published,
    publish,
    release,
    withdraw_release,
)
from watchword.apps.pins.root_lists import (
    MARK,
    Changes,
    accept,
    begin,
    described,
    first_list,
    missing_signatures,
    named_from,
    next_list,
    read_list,
    require_offline,
    section,
)
from watchword.apps.pins.rotations import Rehearsed, Turn, rehearse_all, scenarios_named, turn
from watchword.apps.pins.session import (
    Bench,
    NotNowError,
    PinnedKeys,
    PinsError,
    Source,
    adding,
    apps_of,
    day,
    draft_of,
    edit,
    found_key,
    key_of_certificate,
    key_of_key,
    key_of_text,
    keys_of_bundle,
    moment,
    online_directories,
    open_bench,
    published_by,
    published_in,
    read_host,
    step,
    workspace_of,
)
from watchword.apps.service.client import OperatorClient
from watchword.apps.settings import load_settings
from watchword.apps.settings.pins import load_pins
from watchword.apps.settings.plans import PlanSettings, load_plan
from watchword.apps.settings.validated import Address
from watchword.apps.settings.written_types import seconds, split_address
from watchword.apps.terminal.console import EXIT_REFUSED, EXIT_UNAVAILABLE, fail, print_json
from watchword.apps.terminal.output import replace_file, write_new_file
from watchword.apps.terminal.paragraphs import printable, show, wrapped
from watchword.encoding.wording import counted
from watchword.observations import Vouched
from watchword.pins.interface import Pin, PinRole, PinSet, RootList
from watchword.pins.rehearsal import Outcome, Rehearsal
from watchword.pins.rendering import RenderError, render
from watchword.pins.roots import add_signature, read_unverified, sign_roots
from watchword.reasons import WatchwordError
from watchword.tokens.es256 import SigningKey


def show_newest(config: Path, *, as_json: bool) -> None:
    """Show the newest list of the workspace."""
    bench = open_bench(config)
    roots = bench.roots
    previous = bench.lists[-2] if len(bench.lists) > 1 else None
    show_list(bench.workspace.read_roots(roots.version), roots, previous, as_json=as_json)


def show_list(
    data: bytes, roots: RootList, previous: RootList | None = None, *, as_json: bool = False
) -> None:
    """Show one list."""
    said = described(data, roots, SystemClock().timestamp(), previous)
    if as_json:
        print_json(said)
    else:
        show(lines_of(said))


def lines_of(said: dict[str, Any]) -> Iterator[str]:
    """Yield the lines on a list."""
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
    yield f"  signatures {said['signed']} of {said['threshold']} of its own keys" + (
        ""
        if "previous" not in said
        else f", {said['previous']['signed']} of {said['previous']['threshold']} of list {said['previous']['version']}"
    )


def tell_what_is_missing(
    data: bytes, roots: RootList, previous: RootList | None, file: Path
) -> None:
    """Say who has to sign yet, or where to take the list."""
    missing = missing_signatures(data, roots, previous)
    for whose, count in missing:
        click.echo(
            f"Missing: {count} more of {whose}: watchword pins root sign {file} --key KEY.pem"
        )
    if not missing:
        click.echo(f"Signed. Take it to the workspace: watchword pins root accept {file}")


def root(ctx: click.Context, /, *, as_json: bool) -> None:
    """Make and change root lists: they say which keys may sign pin sets, and ship inside the app."""
    if ctx.invoked_subcommand is not None:
        return

    show_newest(ctx.obj, as_json=as_json)


def duration(text: str, hint: str) -> int:
    """Return the seconds of a duration such as 30d.

    :raises click.BadParameter: when it is none.
    """
    try:
        return seconds(text)
    except PydanticCustomError as error:
        raise click.BadParameter(
            f"got {text!r}, expected {error.message()}", param_hint=hint
        ) from None


def named_places(texts: Sequence[str]) -> Mapping[str, Sequence[Place]]:
    """Return by host where it is looked at.

    :raises click.BadParameter: when one isn't HOST=ADDRESS[:PORT].
    """
    found: dict[str, list[Place]] = {}
    for text in texts:
        try:
            place = parse_resolve(text)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--resolve") from None
        host = read_host(place.host)
        found.setdefault(host, []).append(replace(place, host=host))
    return found


def vantage_of(options: dict[str, Any]) -> Vantage:
    """Return from where servers are looked at, by the options above."""
    return Vantage(named_places(options["resolve"]), options["cafile"], options["timeout"])


class Recorder:
    """Hold an observer's key and the plan; both are read before anything is looked at."""

    def __init__(self, config: Path, key: Path, api: str) -> None:
        """Read them.

        :raises click.UsageError: for an API that the file doesn't name.
        """
        self._signer: Any = read_observer_key(key)
        self._plan: PlanSettings = load_plan(config)
        self._api = api
        if api not in self._plan.generations:
            known = ", ".join(self._plan.generations) or "none"
            raise click.UsageError(f"--api: got {api!r}, expected an API of {config}: {known}")

    def record(self, found: Check, at: datetime, within: int | None) -> int:
        """Append the observation, and return how many there are: 1, or 0 where nothing could be told.

        :raises WatchwordError: when it can't be written.
        """
        observation = observation_of(
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


def new_passphrase(file: Path | None, *, ask: bool) -> str | None:
    """Return the passphrase for a new key, None where none was asked for.

    :raises click.UsageError: when it is too short, or nobody is there to be asked.
    """
    if file is not None:
        phrase = _of_file(file)
    elif not ask:
        return None
    elif sys.stdin is None or not sys.stdin.isatty():
        raise click.UsageError("nobody is there to be asked; name a file with --passphrase-file")
    else:
        phrase = click.prompt("Passphrase", hide_input=True, confirmation_prompt=True, err=True)
    if len(phrase) < _LEAST:
        raise click.UsageError(
            f"got a passphrase of {len(phrase)} characters, expected {_LEAST} or more"
        )
    return phrase


def signing_key(key: Path, passphrase_file: Path | None) -> SigningKey:
    """Return the private key in a file; where it is encrypted, ask for its passphrase.

    :raises click.UsageError: when nobody is there to be asked.
    """
    found = read_key(key)
    if found is None and passphrase_file is not None:
        found = read_key(key, _of_file(passphrase_file))
    elif found is None:
        if sys.stdin is None or not sys.stdin.isatty():
            raise click.UsageError(
                f"{key} is encrypted and nobody is there to be asked; name a file with --passphrase-file"
            )
        found = read_key(key, click.prompt(f"Passphrase of {key}", hide_input=True, err=True))
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
    """Make the workspace: pinned keys, sets, a log, and the key that signs sets (mode 0600)."""
    named = workspace_of(config)
    place = directory.resolve() if directory is not None else named[0]
    workspace = PinWorkspace(place)
    now = SystemClock().timestamp()
    if new_pin_key:
        root_lists.new_pin_key(workspace, now, who_runs())
    else:
        state = online_directories(config)[:1]
        if place in state:
            raise click.UsageError(f"{place} is the service's state directory; name another one")
        begin(workspace, now, who_runs())
    kid = read_public_key(workspace.public_key).kid
    text = section(named_from(place, config), apps_of(config))
    if output is not None:
        write_new_file(output, text)
    if as_json:
        print_json(
            {"directory": place, "kid": kid, "public": workspace.public_key, "section": text}
        )
        return
    click.echo(f"{place}: the workspace" if not new_pin_key else f"{place}: a new key")
    click.echo(f"{workspace.key}: signs pin sets, for this user alone (mode 0600)")
    click.echo(f"{workspace.public_key}: its public half {kid}; a root list must name it:")
    if new_pin_key:
        click.echo(f"\n  {_rotation(workspace)}")
        return
    click.echo(f"\n  watchword pins root init -d ROOT-KEYS --pin-key {workspace.public_key.name}")
    click.echo(
        "\n(on a machine that is offline; bring back roots-1.json: watchword pins root accept)"
    )
    if not named[1]:
        click.echo(f"\nPut this into {config}:\n\n{text}", nl=False)


def _rotation(workspace: PinWorkspace) -> str:
    """Return the command that has the next root list name the new key: as written where there is no workspace."""
    published = published_in(workspace)
    floors = "".join(f" --floor {app}={version}" for app, version in published.items())
    return f"watchword pins root rotate roots-N.json --only-pin-key {workspace.public_key.name}{floors}"


_SOURCES = ("from_live", "cert", "key", "spki", "ca_bundle")


def add_command(
    config: Path, /, *, host: str, role: str | None, as_json: bool, **options: Any
) -> None:
    """Pin a key of HOST in the workspace; apps learn of it with the next `watchword pins publish`."""
    given = [name for name in _SOURCES if options[name]]
    if len(given) != 1:
        raise click.UsageError(
            f"got {len(given)} sources, expected one of --from-live, --cert, --key, --spki, --ca-bundle"
        )
    if options["ca_bundle"] is not None:
        role = role or "ca"
    if role is None or (options["ca_bundle"] is not None and role != "ca"):
        raise click.UsageError(
            "got no role that fits, expected --role current, next, backup or ca (of a bundle: ca)"
        )
    name = read_host(host)
    sources = _sources(name, role, options)
    bench = edit(
        config, lambda found, pinned: adding(pinned, found.host_named(name), PinRole(role), sources)
    )
    _tell(name, bench.pinned.of(name), as_json=as_json)


def _sources(host: str, role: str, options: dict[str, Any]) -> tuple[Source, ...]:

    if options["from_live"]:
        return (_live(host, role, options),)
    if options["cert"] is not None:
        return (key_of_certificate(options["cert"]),)
    if options["key"] is not None:
        return (key_of_key(options["key"]),)
    if options["spki"] is not None:
        return (key_of_text(options["spki"]),)
    return keys_of_bundle(options["ca_bundle"])


def _live(host: str, role: str, options: dict[str, Any]) -> Source:

    look = look_at([host], vantage_of(options))[host]
    _require_one_answer(look)
    sight = look.sights[0]
    which = len(sight.chain) - 1 if role == "ca" else 0
    if role == "ca" and not which:
        raise click.UsageError(
            f"{host}: got a chain of one certificate, expected an authority in it"
        )
    return sight.chain[which], f"live at {sight.place}: {sight.subjects[which]}"


def _require_one_answer(look: Look) -> None:
    """See to it that all places show one key, by a chain that holds: else what is pinned may be a stranger's.

    :raises NotNowError: when they don't.
    :raises LiveChainError: when none shows anything.
    """
    if not look.sights:
        raise LiveChainError("; ".join(look.troubles))
    bad = next((each for each in look.sights if each.fault is not None), None)
    if bad is not None:
        raise NotNowError(
            f"{look.host} at {bad.place}: got a chain that doesn't hold ({bad.fault}), expected one that does; "
            "an authority of your own: --cafile"
        )
    if len(look.leaves) > 1:
        raise NotNowError(
            f"{look.host}: got {len(look.leaves)} different keys at {len(look.sights)} places, expected one; name the place that is "
            "right with --resolve, and pin the others too"
        )


def _tell(host: str, keys: Any, *, as_json: bool) -> None:
    if as_json:
        members = [{"pin": str(k.pin), "role": k.pin.role.value, "note": k.note} for k in keys]
        print_json({"host": host, "keys": members})
        return
    for each in keys:
        click.echo(printable(f"{host}  {each.pin.role.value:<8} {each.pin}  {each.note}".rstrip()))
    roles = {each.pin.role.value for each in keys}
    if not roles & {"backup", "ca"}:
        click.echo(
            f"A backup is missing: make a key, keep it offline, then: watchword pins add {host} --key backup.pub --role backup"
        )
    else:
        click.echo("Apps learn of it with the next: watchword pins publish")


def remove_command(config: Path, /, *, host: str, key: str, as_json: bool) -> None:
    """Pin KEY of HOST no more: a pin, the beginning of one, or a role that one key has."""
    name = read_host(host)
    bench = edit(
        config,
        lambda _, pinned: pinned.with_keys(
            name, tuple(k for k in pinned.of(name) if k != found_key(pinned, name, key))
        ),
    )
    left = bench.pinned.of(name)
    if as_json:
        print_json(
            {"host": name, "keys": [{"pin": str(k.pin), "role": k.pin.role.value} for k in left]}
        )
        return
    click.echo(
        f"{name}: {counted(len(left), 'key')} left. Apps learn of it with the next: watchword pins publish"
    )


def show_command(config: Path, /, *, as_json: bool) -> None:
    """Show which keys are pinned, what is published for each app, and which app versions are out there."""
    bench = open_bench(config)
    if as_json:
        print_json(_show_members(bench))
        return
    show(_show_lines(bench))


def _show_members(bench: Bench) -> dict[str, Any]:
    published = {app: bench.published(app) for app in bench.file.pins.apps}
    return {
        "roots": bench.lists[-1].version if bench.lists else None,
        "hosts": {
            host: {
                "apps": list(each.apps),
                "mode": each.mode.value,
                "keys": [
                    {"pin": str(key.pin), "role": key.pin.role.value, "note": key.note}
                    for key in bench.pinned.of(host)
                ],
            }
            for host, each in bench.file.pins.hosts.items()
        },
        "published": {app: None if each is None else _set(each) for app, each in published.items()},
        "releases": [
            {
                "app": each.app,
                "version": each.app_version,
                "floor": each.floor,
                "roots": each.roots.version,
            }
            for each in bench.fleet()
        ],
    }


def _set(published: PinSet) -> dict[str, Any]:
    return {
        "version": published.version,
        "issued_at": published.issued_at,
        "soft_expiry": published.soft_expiry,
        "hard_expiry": published.hard_expiry,
        "hosts": {
            each.host: {"mode": each.mode.value, "pins": [str(pin) for pin in each.pins]}
            for each in published.hosts
        },
    }


def _show_lines(bench: Bench) -> Iterator[str]:

    for host, each in bench.file.pins.hosts.items():
        yield f"{host}  {each.mode.value}, {', '.join(each.apps)}"
        keys = bench.pinned.of(host)
        for key in keys:
            yield f"  {key.pin.role.value:<8} {key.pin}  {key.note}".rstrip()
        if not keys:
            yield f"  no key yet: watchword pins add {host} --from-live --role current"
    for host in bench.pinned.hosts:
        if host not in bench.file.pins.hosts:
            yield f"{host}  has keys, but isn't under pins.hosts: nothing of it is published"
    for app in bench.file.pins.apps:
        found = bench.published(app)
        if found is None:
            yield f"{app}: nothing published yet"
            continue
        yield (
            f"{app}: version {found.version}, {counted(len(found.hosts), 'host')}, apps look again from {day(found.soft_expiry)} on, "
            f"enforced until {day(found.hard_expiry)}"
        )
    for shipped in bench.fleet():
        yield f"{shipped.app} {shipped.app_version}: ships with list {shipped.roots.version}, floor {shipped.floor}"
    if bench.lists:
        roots = bench.lists[-1]
        yield f"root list {roots.version}: {roots.threshold} of {len(roots.keys)} sign, expires {day(roots.expires)}"
    else:
        yield "no root list yet: watchword pins root --help"


_MARKS: Final = {"bad": "BAD ", "warn": "warn", "note": "note"}


def check_command(ctx: click.Context, /, *, app: str | None, as_json: bool, **options: Any) -> None:
    """Shake hands with each pinned host, at every address of it, and hold its key against the published set and the draft."""
    if (options["sign"] is None) != (options["api"] is None):
        raise click.UsageError("--sign and --api go together: whose key, and what it is about")
    if options["offline"] and options["sign"] is not None:
        raise click.UsageError("--sign needs to look: leave out --offline")
    within = duration(options["fail_within"], "--fail-within") if options["fail_within"] else None
    # What is needed to record is read first: a check whose results are lost is one too many.
    recorder = Recorder(ctx.obj, options["sign"], options["api"]) if options["sign"] else None
    bench = open_bench(ctx.obj)
    apps = bench.file.pins.apps if app is None else (bench.app_named(app),)
    vantage = vantage_of(options)
    hosts = bench.file.pins.looked_at(apps, vantage.named)
    looks = {} if options["offline"] else look_at(hosts, vantage)
    found = check(bench, apps, looks, SystemClock().timestamp(), within)
    recorded = 0 if recorder is None else recorder.record(found, SystemClock().now(), within)
    if as_json:
        print_json({**members(found), "recorded": recorded})
    else:
        show(_check_lines(bench, found, options=options))
    ctx.exit(code_of(found))


def code_of(found: Check) -> int:
    """Return the exit code: what is bad goes before what couldn't be looked at."""
    bad = [each.code for each in found.of(Weight.BAD)]
    if not bad:
        return 0
    return EXIT_UNAVAILABLE if set(bad) == {"unreachable"} else EXIT_REFUSED


def members(found: Check) -> dict[str, Any]:
    """Return a check for scripts."""
    return {
        "findings": [asdict(each) for each in found.findings],
        "hosts": {
            host: [
                {
                    "place": sight.place,
                    "chain": [str(Pin(spki, PinRole.CURRENT)) for spki in sight.chain],
                    "not_after": int(sight.not_after),
                    "fault": sight.fault,
                }
                for sight in look.sights
            ]
            for host, look in found.looks.items()
        },
        "published": {
            app: None
            if each is None
            else {"version": each.version, "hard_expiry": each.hard_expiry}
            for app, each in found.published.items()
        },
    }


def _check_lines(bench: Bench, found: Check, *, options: dict[str, Any]) -> Iterator[str]:

    for host, look in found.looks.items():
        roles = {
            key.pin.spki: key.pin.role.value
            for key in bench.pinned.of(bench.file.pins.standing_for(host))
        }
        for sight in look.sights:
            role = next((roles[spki] for spki in sight.chain if spki in roles), "not pinned")
            holds = "holds" if sight.fault is None else "does not hold"
            yield f"{host} at {sight.place}: {role}, chain {holds}, certificate until {day(sight.not_after)}"
    for app, each in found.published.items():
        if each is not None:
            yield f"{app}: version {each.version}, enforced until {day(each.hard_expiry)}"
    for finding in found.findings:
        yield from wrapped(
            f"{finding.subject}: {finding.text}", first=_MARKS[finding.weight.value], indent=6
        )
        if finding.todo:
            yield from wrapped(f"-> {finding.todo}", indent=6)
    if not found.of(Weight.BAD, Weight.WARN):
        looked = "" if not options["offline"] else ", as far as can be told offline"
        yield f"All is as it should be{looked}."


_COLUMN: Final = 22


def rehearse_command(
    ctx: click.Context, /, *, host: str | None, as_json: bool, **options: Any
) -> None:
    """Play rotations and accidents with the draft as if it were published and enforced: which installed apps survive."""
    scenarios_named(options["fail_on"])
    scenarios = scenarios_named(
        [*options["names"], *(options["fail_on"] if options["names"] else ())]
    )
    bench = open_bench(ctx.obj)
    name = None if host is None else bench.host_named(read_host(host))
    apps = bench.file.pins.apps if options["app"] is None else (bench.app_named(options["app"]),)
    hosts = {
        app: [
            each
            for each in bench.file.pins.hosts_of(app)
            if (name is None and bench.pinned.of(each)) or each == name
        ]
        for app in apps
    }
    wanted = list(dict.fromkeys(each for found in hosts.values() for each in found))
    looks = {} if options["offline"] else look_at(wanted, vantage_of(options))
    now = SystemClock().timestamp()
    found = [
        each
        for app in apps
        if hosts[app]
        for each in rehearse_all(bench, app, hosts[app], looks, scenarios, now)
    ]
    if not found:
        raise PinsError("got no host with a pinned key, expected one: watchword pins add HOST")
    if as_json:
        print_json({"hosts": [_rehearse_members(each) for each in found]})
    else:
        show(line for each in found for line in _rehearse_lines(each, steps=bool(options["names"])))
    failed = [
        (each.host, rehearsal)
        for each in found
        for rehearsal in each.rehearsals
        if rehearsal.scenario.name in options["fail_on"] and rehearsal.locked_out
    ]
    for where, rehearsal in failed:
        click.echo(
            f"failed: {where}: {rehearsal.scenario.name} locks an installed app out", err=True
        )
    ctx.exit(EXIT_REFUSED if failed else 0)


def _rehearse_members(found: Rehearsed) -> dict[str, Any]:
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
                                "outcome": ending.outcome.value,
                                "withheld": ending.withheld,
                                "refused": None if ending.refused is None else ending.refused.code,
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
        yield from _steps(each) if steps else _summary(each)


def _summary(rehearsal: Rehearsal) -> Iterator[str]:

    scenario = rehearsal.scenario
    if rehearsal.played is None:
        said = "can't happen here"
    elif rehearsal.locked_out:
        said = f"LOCKED OUT: {' and '.join(rehearsal.locked_out)}"
    else:
        said = "all are served"
    if _intercepted(rehearsal):
        said += f"; INTERCEPTED: {' and '.join(_intercepted(rehearsal))}"
    yield from wrapped(f"{scenario.title}: {said}", first=f"  {scenario.name}", indent=_COLUMN)


def _intercepted(rehearsal: Rehearsal) -> list[str]:
    """Return the phones that an attacker's server got a connection of, secrets included."""
    found = [
        phone
        for played in rehearsal.played or ()
        if played.step.intercepts is not None
        for phone, ending in played.endings.items()
        if ending.outcome is not Outcome.REFUSED and not ending.withheld
    ]
    return list(dict.fromkeys(found))


def _steps(rehearsal: Rehearsal) -> Iterator[str]:

    yield from _summary(rehearsal)
    for number, played in enumerate(rehearsal.played or (), 1):
        attack = " [attack]" if played.step.intercepts is not None else ""
        yield from wrapped(f"{played.step.title}{attack}", first=f"    {number}.", indent=7)
        for phone, ending in played.endings.items():
            withheld = ", secrets withheld" if ending.withheld else ""
            why = f", took no set: {ending.refused.code}" if ending.refused is not None else ""
            yield from wrapped(
                f"{ending.outcome.value}{withheld}{why}", first=f"       {phone}", indent=34
            )


def rotate_command(config: Path, /, *, host: str, as_json: bool, **options: Any) -> None:
    """Look which key HOST shows, and take the next step of its rotation; say what comes after it."""
    name = read_host(host)
    open_bench(config).host_named(name)
    look = look_at([name], vantage_of(options))[name]
    turns: list[Turn] = []
    now = SystemClock().timestamp()

    def change(bench: Bench, pinned: PinnedKeys) -> PinnedKeys:
        taken = turn(bench, pinned, look, now)
        turns.append(taken)
        if taken.moved:
            keys = {str(each.pin): each.pin.role.value for each in taken.keys}
            bench.workspace.log.append(step(now, who_runs(), "rotate", name, detail={"keys": keys}))
        return pinned.with_keys(name, taken.keys)

    edit(config, change)
    (taken,) = turns
    if as_json:
        print_json(
            {
                "host": name,
                "moved": taken.moved,
                "said": list(taken.said),
                "then": list(taken.then),
                "keys": [{"pin": str(k.pin), "role": k.pin.role.value} for k in taken.keys],
            }
        )
        return
    for line in taken.said:
        show(wrapped(line))
    for line in taken.then:
        show(wrapped(line, first="next", indent=6))


def publish_command(ctx: click.Context, /, *, as_json: bool, **options: Any) -> None:
    """Look at the servers, make the set of each app, and publish it: the service hands it out from then on."""
    if options["force"] != bool((options["reason"] or "").strip()):
        raise click.UsageError("--force and --reason go together: what is forced is written down")
    order = Order(options["apps"], options["reason"], options["above"])
    published = publish(
        ctx.obj,
        order,
        vantage_of(options),
        SystemClock().timestamp(),
        options["actor"] or who_runs(),
        dry=options["dry_run"],
    )
    if as_json:
        print_json(_publish_members(published))
    else:
        show(_publish_lines(published, dry=options["dry_run"], forced=options["force"]))
    if any(each.permit is None for each in published.judged):
        ctx.exit(EXIT_REFUSED)


def _publish_members(published: Published) -> dict[str, Any]:
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
                    {
                        "reason": found.reason.code,
                        "host": found.host,
                        "text": found.text,
                        "blocks": found.blocks,
                        "forceable": found.forceable,
                    }
                    for found in each.against
                ],
            }
            for each in published.judged
        ],
    }


def _publish_lines(published: Published, *, dry: bool, forced: bool) -> Iterator[str]:
    for each in published.judged:
        yield from _of_app(each, done=published.done, dry=dry)
    if (
        published.done
        and forced
        and not any(each.permit and each.permit.forced for each in published.judged)
    ):
        yield "Nothing had to be forced."
    if published.done or all(each.permit is not None for each in published.judged):
        return
    final = any(
        found.blocks and not found.forceable for each in published.judged for found in each.against
    )
    if final:
        yield "Nothing is published. What no app would take can't be forced."
    else:
        yield 'Nothing is published. If it must be: watchword pins publish --force --reason "why"'


def _of_app(judged: Judged, *, done: bool, dry: bool) -> Iterator[str]:

    draft = judged.draft
    for found in judged.against:
        first = "note" if not found.blocks else "FORCED" if judged.permit else "refused"
        where = f"{found.host}: " if found.host else ""
        yield from wrapped(
            f"{draft.app}: {where}{found.text} ({found.reason.code})", first=first, indent=8
        )
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
    """Write what VERSION of APP ships with: the newest root list and set, and the floor below which it takes no set."""
    now, actor = SystemClock().timestamp(), who_runs()
    if withdraw:
        withdraw_release(config, app, version, now, actor)
        if as_json:
            print_json({"app": app, "version": version, "withdrawn": True})
        else:
            click.echo(f"{app} {version} isn't supported any more: sets may lock it out.")
        return
    if output is not None and output.exists():
        raise click.UsageError(f"{output} is there already, expected a new file")
    data, path, first = release(config, app, version, now, actor)
    if output is not None:
        write_new_file(output, data.decode())
    if as_json:
        print_json({"app": app, "version": version, "file": path, "set": first})
        return
    click.echo(f"{output or path}: put it into the package of {app} {version}")
    if first is None:
        click.echo(
            "It ships without a set: nothing is pinned before the first fetch. Better: publish first."
        )


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
    """Write the published set of an app in a platform's own format, for apps that don't fetch sets, or until they have."""
    bench = open_bench(config)
    name = bench.app_named(app)
    now = SystemClock().timestamp()
    chosen = draft_of(bench, name, now) if draft else bench.published(name)
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
    left_out = [{"host": each.host, "why": each.why} for each in made.left_out]
    if as_json:
        print_json(
            {"file": made.file, "text": made.text, "version": chosen.version, "left_out": left_out}
        )
        return
    if output is None:
        click.echo(made.text, nl=False)
    else:
        click.echo(f"{output}: version {chosen.version} of {name}, as {made.file}")
    for each in made.left_out:
        click.echo(printable(f"left out: {each}"), err=True)


def reports_command(config: Path, /, *, app: str | None, host: str | None, as_json: bool) -> None:
    """Show what apps reported since the service started, grouped by host and by the key that they saw; times are UTC."""
    with OperatorClient(load_settings(config).service.operator_socket) as service:
        found = service.get("/v1/pins/reports")
    found["groups"] = [
        each
        for each in found["groups"]
        if app in {None, each["app"]} and host in {None, each["host"]}
    ]
    if as_json:
        print_json(found)
        return
    show(_reports_lines(found))


def _reports_lines(found: dict[str, Any]) -> Iterator[str]:
    if not found["groups"]:
        yield "No reports."
    for each in found["groups"]:
        leaf = each["leaf"] or ("other keys" if each["basis"] is None else "no key")
        known = f" (pinned as {each['pinned_as']})" if each["pinned_as"] else ""
        yield f"{each['host']}  {each['app']}  {leaf}{known}"
        what = "no pin matched" if each["mismatch"] else f"without pins ({each['basis']})"
        yield f"  {each['count']} reports, {each['refused']} refused: {what}; {_when(each['first'])} to {_when(each['last'])}"
        versions = ", ".join(each["app_versions"])
        sets = ", ".join(str(version) for version in each["set_versions"])
        yield f"  app {versions or '-'}; set {sets or '-'}"
    if found["unknown"]:
        yield f"{found['unknown']} of apps or hosts that nothing is published for."
    if found["dropped"]:
        yield f"{found['dropped']} not taken: too many at once."


def _when(at: str | None) -> str:
    return "-" if at is None else at[:16].replace("T", " ")


def watch_command(ctx: click.Context, /, **options: Any) -> None:
    """Check all pinned hosts again and again, and tell of each finding when it comes and when it's gone."""
    interval = duration(options["interval"], "--interval")
    watcher = _Watcher(ctx.obj, options, duration(options["alert_within"], "--alert-within"))
    with serving(_listen(options["listen"]), lambda: watcher.page):
        if options["once"]:
            ctx.exit(code_of(watcher.check()))
        while True:
            watcher.go_on()
            time.sleep(interval)


class _Watcher:
    """Hold what was told already, and the last metrics."""

    def __init__(self, config: Path, options: dict[str, Any], within: int) -> None:

        self._config = config
        self._options = options
        self._within = within
        self._vantage = vantage_of(options)
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
        # The library takes 90 ms to import, which no other command needs to wait for.
        from watchword.adapters.metrics import exposition  # noqa: PLC0415

        bench = open_bench(self._config)
        apps = bench.file.pins.apps
        looks = look_at(bench.file.pins.looked_at(apps, self._vantage.named), self._vantage)
        now = SystemClock().timestamp()
        found = check(bench, apps, looks, now, self._within)
        # Whoever reads a line finds its metrics; and a file that can't be written keeps no line back.
        self.page = exposition(metrics_of(bench, found, now))
        self._tell(found)
        self._keep()
        return found

    def _keep(self) -> None:

        if self._options["textfile"] is not None:
            replace_file(self._options["textfile"], self.page.decode(), METRICS_MARK)

    def _tell(self, found: Check) -> None:

        now = {(each.code, each.subject): each for each in found.of(Weight.BAD, Weight.WARN)}
        for key, finding in now.items():
            if key not in self._told:
                self._line(finding, "begins")
        for key, finding in self._told.items():
            if key not in now:
                self._line(finding, "ends")
        if not self._told and not now:
            self._line(None, "good")
        self._told = now

    def _line(self, finding: Finding | None, what: str) -> None:

        at = moment(SystemClock().timestamp())
        if self._options["as_json"]:
            said = {} if finding is None else {"code": finding.code, "subject": finding.subject}
            text = "" if finding is None else finding.text
            print_json({"at": at, "event": what, **said, "text": text})
            return
        if finding is None:
            line = f"{at} good: all is as it should be"
        elif what == "ends":
            line = f"{at} over: {finding.subject}: {finding.code}"
        else:
            todo = f" -> {finding.todo}" if finding.todo else ""
            line = f"{at} {finding.weight.value}: {finding.subject}: {finding.text}{todo}"
        click.echo(printable(line))


def _listen(text: str | None) -> tuple[str, int] | None:
    """Return host and port on loopback.

    :raises click.BadParameter: for any other.
    """
    if text is None:
        return None

    try:
        address = Address(*split_address(text))
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
        if as_json:
            print_json(asdict(entry))
            continue
        line = f"{entry.at}  {entry.actor:<20} {entry.action:<8} {entry.subject}"
        version = entry.detail.get("version")
        line += f" {version}" if version is not None else ""
        line += f"  FORCED: {entry.reason}" if entry.reason is not None else ""
        click.echo(printable(line))


def root_init(config: Path, /, *, directory: Path, as_json: bool, **options: Any) -> None:
    """Make root keys and the first root list, signed by each key that is made here."""
    require_offline(directory, online_directories(config))
    expires = int(SystemClock().timestamp()) + duration(options["expires"], "--expires")
    phrase = new_passphrase(options["passphrase_file"], ask=options["passphrase"])
    made: list[SigningKey] = [new_key() for _ in range(options["keys"])]
    keys = [*(each.verification_key() for each in made), *map(read_public_key, options["public"])]
    pin_keys = list(map(read_public_key, options["pin_keys"]))
    data = sign_roots(first_list(keys, pin_keys, options["threshold"], expires), made)
    private_directory(directory)
    file = directory / "roots-1.json"
    places = [directory / f"root-{number}.pem" for number in range(1, len(made) + 1)]
    there = next((each for each in (file, *places) if each.exists()), None)
    if there is not None:
        raise click.UsageError(f"{there} is there already; root keys are never overwritten")
    for place, key in zip(places, made, strict=True):
        write_key(place, key, phrase)
        write_public_key(place.with_suffix(".jwk"), key)
    write_new_file(file, data.decode("ascii") + "\n")
    _, roots = read_list(file)
    if as_json:
        print_json(
            {"file": file, "keys": [str(each) for each in places], "kids": [k.kid for k in keys]}
        )
        return
    for place in places:
        locked = "encrypted" if phrase else "not encrypted: keep it where nobody else gets"
        click.echo(f"{place}: a root key (mode 0600, {locked})")
    show_list(data, roots)
    tell_what_is_missing(data, roots, None, file)


def root_key(
    config: Path,
    /,
    *,
    output: Path,
    passphrase: bool,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Make one key pair, on its holder's own machine: the private key stays there, the .jwk beside it goes into the next list."""
    require_offline(output.parent, online_directories(config))
    public = output.with_suffix(".jwk")
    if public == output or public.exists():
        raise click.UsageError(f"{public}: expected a name that is free, for the public key")
    key = new_key()
    write_key(output, key, new_passphrase(passphrase_file, ask=passphrase))
    write_public_key(public, key)
    if as_json:
        print_json({"kid": key.kid, "private": output, "public": public})
        return
    click.echo(f"{output}: the private key, for its holder alone (mode 0600)")
    click.echo(f"{public}: the public key {key.kid}; whoever makes the next list names it:")
    click.echo(f"\n  watchword pins root rotate roots-1.json --add-key {public}")


def root_sign(
    *, file: Path, key: Path, previous: Path | None, passphrase_file: Path | None, as_json: bool
) -> None:
    """Show what a root list says and add your signature to it, in place."""
    data, roots = read_list(file)
    before = None if previous is None else read_list(previous)[1]
    if before is not None and before.version + 1 != roots.version:
        raise click.UsageError(
            f"--previous: got list {before.version}, expected list {roots.version - 1}, the one before {file}"
        )
    signer = signing_key(key, passphrase_file)
    known = set(roots.keys) | set(before.keys if before is not None else ())
    if signer.kid not in known and (before is not None or roots.version == 1):
        raise click.UsageError(
            f"{key}: got the key {signer.kid}, expected one of the list"
            f"{'' if before is None else ' or of the one before it'}: {', '.join(sorted(known))}"
        )
    signed = add_signature(data, signer)
    replace_file(file, signed.decode("ascii") + "\n", MARK)
    show_list(signed, roots, before, as_json=as_json)
    if not as_json:
        tell_what_is_missing(signed, roots, before, file)


def root_rotate(
    config: Path, /, *, file: Path, output: Path | None, as_json: bool, **options: Any
) -> None:
    """Write the list after FILE: the same, renewed, with the changes that you name.  Do it offline."""
    _, last = read_list(file)
    changes = Changes(
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
        changes = replace(
            changes,
            add_pin_keys=(read_public_key(options["only_pin_key"]),),
            remove_pin_keys=tuple(last.pin_keys),
        )
    expires = int(SystemClock().timestamp()) + duration(options["expires"], "--expires")
    unsigned = next_list(last, changes, expires, published_by(config))
    signers = [signing_key(each, options["passphrase_file"]) for each in options["keys"]]
    roots = read_unverified(unsigned)
    strangers = [each.kid for each in signers if each.kid not in {*roots.keys, *last.keys}]
    if strangers:
        raise click.UsageError(
            f"--key: got {', '.join(strangers)}, expected keys of {file} or of the next list"
        )
    data = sign_roots(unsigned, signers)
    output = output or file.with_name(f"roots-{roots.version}.json")
    write_new_file(output, data.decode("ascii") + "\n")
    show_list(data, roots, last, as_json=as_json)
    if not as_json:
        tell_what_is_missing(data, roots, last, output)


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
    """Say what a root list says and who signed it; without FILE, the workspace's newest."""
    if file is None:
        show_newest(config, as_json=as_json)
        return
    data, roots = read_list(file)
    before = None if previous is None else read_list(previous)[1]
    show_list(data, roots, before, as_json=as_json)


def root_accept(
    config: Path, /, *, file: Path, force: bool, reason: str | None, as_json: bool
) -> None:
    """Bring a root list that is wholly signed into the workspace, from where the service hands it out."""
    if force != bool((reason or "").strip()):
        raise click.UsageError("--force and --reason go together: what is forced is written down")
    now = SystemClock().timestamp()
    data, roots, previous = accept(config, file, now, who_runs(), reason)
    show_list(data, roots, previous, as_json=as_json)
    if not as_json:
        click.echo("Next: watchword pins check, then watchword pins publish.")
