"""Run what :mod:`watchword.apps.secrets.cli` declares."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Final
from urllib.parse import quote

import click

from watchword.adapters.system import SystemClock
from watchword.apps.service.client import operator_of
from watchword.apps.terminal.console import print_json
from watchword.apps.terminal.paragraphs import hanging, show, table
from watchword.broker.interface import MAX_VALUE_BYTES
from watchword.encoding.phrases import duration
from watchword.reasons import MalformedError, Reason


def path_of(name: str, *further: str) -> str:
    """Return the path of a secret: quoted, so that a name with a slash is no other path."""
    return "/".join(("/v1/secrets", quote(name, safe=""), *further))


_READ_BYTES: Final = MAX_VALUE_BYTES + 3
"""Most bytes that are read: a value, the end of its line, and one more, by which a longer one is known."""


def read_value(name: str, file: Path | None) -> str:
    """Return a value, without the end of its line.

    :param file: None for standard input; a person at a terminal is asked, and what they type isn't shown.
    :raises MalformedError: ``secret.value`` when it is too long or isn't text.
    :raises OSError: when the file can't be read.
    """
    if file is not None:
        with file.open("rb") as opened:
            return _text(opened)
    if sys.stdin is None:
        # A job whose standard input was closed.
        return ""
    if not sys.stdin.isatty():
        return _text(sys.stdin.buffer)
    try:
        typed: str = click.prompt(f"Value of {name} (not shown)", hide_input=True, err=True)
        typed.encode()
    except UnicodeError:
        raise _not_text() from None
    return typed


def _text(source: BinaryIO) -> str:
    data = source.read(_READ_BYTES)
    # What a shell's echo or an editor puts there; other line breaks are the service's to judge.
    data = data.removesuffix(b"\n").removesuffix(b"\r")
    if len(data) > MAX_VALUE_BYTES:
        raise MalformedError.because(
            Reason.SECRET_VALUE, f"got more than {MAX_VALUE_BYTES} bytes, expected one key"
        )
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise _not_text() from None


def _not_text() -> MalformedError:
    return MalformedError.because(Reason.SECRET_VALUE, "got bytes that aren't UTF-8, expected text")


_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def time_of(seconds: float) -> str:
    """Return a span in its largest unit, such as ``3d``."""
    whole = max(int(seconds), 0)
    for size, letter in _UNITS:
        if whole >= size:
            return f"{whole // size}{letter}"
    return "0s"


def ago(at: str | None, now: datetime) -> str:
    """Return how long ago something was."""
    return (
        "-" if at is None else f"{time_of((now - datetime.fromisoformat(at)).total_seconds())} ago"
    )


def until(at: str, now: datetime) -> str:
    """Return in how long something is."""
    return f"in {time_of((datetime.fromisoformat(at) - now).total_seconds())}"


def told(done: str, secret: Mapping[str, Any]) -> str:
    """Return what was done, and where the secret goes from now on."""
    return f"{done}: version {secret['version']}. {in_use(secret)}"


def in_use(secret: Mapping[str, Any]) -> str:
    """Return what is in use of a secret now."""
    counting = {each["state"]: each["version"] for each in secret["versions"]}
    if "current" not in counting:
        return "No version counts now."
    way = "Gates add" if secret["edge"] else "Instances get"
    return f"{way} version {counting['current']}."


def rows(found: Mapping[str, Any], now: datetime) -> Iterator[tuple[str, ...]]:
    """Yield the cells of each secret in a listing."""
    for each in found["secrets"]:
        current = [row for row in each["versions"] if row["state"] == "current"]
        made = ago(current[0]["made_at"], now) if current else "-"
        version = str(current[0]["version"]) if current else "-"
        state = each["state"] if each["configured"] else f"{each['state']}, not in the file"
        yield (each["name"], _way(each), state, version, made, _used_by(each))


def lines(secret: Mapping[str, Any], now: datetime) -> Iterator[str]:
    """Yield what there is of one secret."""
    yield f"{secret['name']}: {secret['state']}"
    if not secret["configured"]:
        yield "  watchword.yaml names it no more: nothing uses it; revoke it to erase it"
    if secret["edge"]:
        yield from _edge(secret["edge"])
    if secret["deliver"]:
        rule = secret["deliver"]
        apps = ", ".join(rule["apps"])
        lease = duration(rule["lease"])
        yield from hanging(f"  sealed to {apps} at level {rule['level']}, for {lease} at a time")
    for each in secret["routes"]:
        yield from hanging(f"  added by {each['api']} on {each['path']}")
    yield from version_lines(secret["versions"], now)


def version_lines(versions: Sequence[Mapping[str, Any]], now: datetime) -> Iterator[str]:
    """Yield a line for each version, the newest first."""
    if not versions:
        yield "  no version yet"
    for each in reversed(versions):
        line = f"  version {each['version']}  {each['state']:<8}  made {ago(each['made_at'], now)}"
        if each["revoked_at"] is not None:
            line += f", revoked {ago(each['revoked_at'], now)}"
        elif each["state"] == "overlap" and each["until"] is not None:
            line += f", ends {until(each['until'], now)}"
        elif each["state"] == "ended" and each["until"] is not None:
            line += f", ended {ago(each['until'], now)}"
        yield line


def use_lines(found: Mapping[str, Any], now: datetime) -> Iterator[str]:
    """Yield who uses which version."""
    if found["trouble"]:
        yield from hanging(f"What calls were made with isn't known now: {found['trouble']}")
    for version in reversed(found["versions"]):
        yield from version_lines([version], now)
        number, used = version["version"], False
        for use in _uses(found, number, now):
            used = True
            yield from hanging(f"    {use}", further=2)
        if not used and not found["trouble"]:
            yield "    nobody that we know of"
    for number in _forgotten(found):
        yield f"  version {number}  forgotten: so many newer ones came that it is kept no more"
        for use in _uses(found, number, now):
            yield from hanging(f"    {use}", further=2)
    if not found["versions"]:
        yield "  no version yet"


def _forgotten(found: Mapping[str, Any]) -> list[int]:
    """Return the versions that instances or gates still have, though the service keeps them no more."""
    had = {each["version"] for each in (*found["leases"], *found["gates"])}
    return sorted(had - {each["version"] for each in found["versions"]}, reverse=True)


def _uses(found: Mapping[str, Any], number: int, now: datetime) -> Iterator[str]:
    for gate in found["gates"]:
        if gate["version"] == number:
            yield f"gate of {gate['api']} adds it (told in generation {gate['generation']})"
    for call in found["calls"] or ():
        if call["version"] == number:
            yield f"last call with it {ago(call['last_at'], now)}"
    for lease in found["leases"]:
        if lease["version"] != number:
            continue
        who = f"{lease['app']} {lease['app_version'] or '(version unknown)'}"
        ends = until(lease["latest_expiry"], now)
        if lease["leases"]:
            yield f"{_instances(lease['leases'])} of {who}; the last lease ends {ends}"
        if lease["withdrawn"]:
            count = _instances(lease["withdrawn"])
            yield f"{count} of {who}, revoked meanwhile: it may be on the phone still, to be forgotten {ends}"


def _instances(count: int) -> str:
    return "1 instance" if count == 1 else f"{count} instances"


def _way(secret: Mapping[str, Any]) -> str:
    if secret["edge"]:
        return "edge"
    return "sealed" if secret["deliver"] else "nowhere"


def _used_by(secret: Mapping[str, Any]) -> str:
    if secret["deliver"]:
        return ", ".join(secret["deliver"]["apps"])
    places = [f"{each['api']} {each['path']}" for each in secret["routes"]]
    if not places:
        return "no route"
    return places[0] if len(places) == 1 else f"{places[0]} and {len(places) - 1} more"


def _edge(edge: Mapping[str, Any]) -> Iterator[str]:
    methods, paths = ", ".join(edge["methods"]), ", ".join(edge["paths"])
    yield from hanging(f"  sent to {edge['origin']} for {methods} {paths}")
    way = "in place of the placeholder" if edge["replaces"] else "overwriting what is"
    yield from hanging(f"  {way} in the {edge['place']} {edge['in']}")
    for each in edge["allowances"]:
        what = f"{each['calls']} calls" if each["calls"] is not None else f"{each['spend']} units"
        yield f"  at most {what} of one instance in {duration(each['seconds'])}"


def list_command(config: Path, *, as_json: bool) -> None:
    """List all secrets: how each goes, its state, its version, and where it is used; no value."""
    with operator_of(config) as service:
        found = service.get("/v1/secrets")
    trouble = found["store"]["trouble"]
    if trouble:
        click.echo(f"The secrets' backend: {trouble}", err=True)
    if as_json:
        for each in found["secrets"]:
            print_json(each)
        return
    if not found["secrets"]:
        click.echo("No secrets: watchword.yaml names none under secrets.keys.")
        return
    for line in table(
        ("name", "goes", "state", "version", "made", "used by"), rows(found, SystemClock().now())
    ):
        click.echo(line)


def add_command(config: Path, *, name: str, file: Path | None, as_json: bool) -> None:
    """Store the first value of a secret that watchword.yaml names under secrets.keys."""
    value = read_value(name, file)
    with operator_of(config) as service:
        added = service.post("/v1/secrets", {"name": name, "value": value})
    if as_json:
        print_json(added)
    else:
        click.echo(told(f"Kept {name}", added))


def rotate_command(
    config: Path,
    *,
    name: str,
    file: Path | None,
    overlap: int | None,
    expect: int | None,
    as_json: bool,
) -> None:
    """Let a new value take over within a second, without a failed call."""
    with operator_of(config) as service:
        # Before the value is asked for: whoever rotates meanwhile isn't overwritten.
        versions = service.get(path_of(name))["versions"]
    if expect is None and versions:
        expect = versions[-1]["version"]
    wanted: dict[str, Any] = {"value": read_value(name, file)}
    wanted |= {} if overlap is None else {"overlap": overlap}
    wanted |= {} if expect is None else {"expected": expect}
    # A connection of its own: while somebody looks for the value, the service may have closed the first.
    with operator_of(config) as service:
        rotated = service.post(path_of(name, "rotate"), wanted)
    if as_json:
        print_json(rotated)
    else:
        click.echo(told(f"Rotated {name}", rotated))


def revoke_command(
    config: Path, *, name: str, version: int | None, every: bool, because: str, as_json: bool
) -> None:
    """Erase a version's value: gates add it to nothing within a second, and no instance gets it any more."""
    if every is (version is not None):
        raise click.UsageError("say which: --version NUMBER, or --all")
    with operator_of(config) as service:
        revoked = service.post(path_of(name, "revoke"), {"version": version, "because": because})
    if as_json:
        print_json(revoked)
        return
    if not revoked["recorded"]:
        click.echo("The audit trail couldn't take it: write down who did this and why.", err=True)
    numbers = ", ".join(str(each) for each in revoked["revoked"])
    click.echo(f"Revoked {name}: version {numbers}." if numbers else f"{name} was revoked before.")
    click.echo(in_use(revoked))


def show_meta_command(config: Path, *, name: str, as_json: bool) -> None:
    """Show a secret's versions, where it is injected or who gets it, and the routes that use it; no value."""
    with operator_of(config) as service:
        shown = service.get(path_of(name))
    if as_json:
        print_json(shown)
        return
    for line in lines(shown, SystemClock().now()):
        click.echo(line)


def who_uses_command(config: Path, *, name: str, as_json: bool) -> None:
    """Say who still uses which version: gates, the last call that was made with it, leases of instances."""
    with operator_of(config) as service:
        found = service.get(path_of(name, "users"))
    if as_json:
        print_json(found)
        return
    for line in use_lines(found, SystemClock().now()):
        click.echo(line)


_WHERE: Final[Mapping[str, str]] = {
    "aws": "in a credentials file beside the build or in a constant AWS_ACCESS_KEY_ID of the app",
    "generic": "as a constant such as API_KEY or LEGACY_API_KEY in the app, or in an .env beside the build",
    "github": "in a script of the build or a GITHUB_TOKEN of an .env",
    "google": "in strings.xml or the Info.plist, as a second key beside the ones that are public anyway",
    "openai": "as a constant OPENAI_API_KEY in the app, or in an .env beside the build",
    "stripe": "as a constant STRIPE_SECRET_KEY in the app: none belongs there, which is why they look",
}


def canary(ctx: click.Context, /, *, as_json: bool) -> None:
    """Plant keys that open nothing, where only a thief looks, and see who uses one."""
    if ctx.invoked_subcommand is None:
        _list(ctx.obj, as_json=as_json)


def canary_add(
    config: Path,
    *,
    name: str,
    like: str,
    note: str,
    headers: tuple[str, ...],
    parameters: tuple[str, ...],
    as_json: bool,
) -> None:
    """Make a canary key. It alone goes to stdout, and is shown this once: nothing keeps it."""
    wanted: dict[str, Any] = {"name": name, "like": like}
    wanted |= {"headers": list(headers), "parameters": list(parameters)}
    wanted |= {"note": note} if note else {}
    with operator_of(config) as service:
        made = service.post("/v1/canaries", wanted)
    if as_json:
        print_json(made)
        return
    click.echo(f"Canary {name}: gates know it within a second. Plant it {_WHERE[like]}.", err=True)
    click.echo("See who used it: watchword secrets canary alarms", err=True)
    click.echo(made["key"])
    if made["beside"] is not None:
        click.echo("What belongs beside such a key, and isn't looked at:", err=True)
        click.echo(made["beside"])


def canary_list(config: Path, *, as_json: bool) -> None:
    """List the canaries, how often each was used, and where they are planted; their keys are kept nowhere."""
    _list(config, as_json=as_json)


def _list(config: Path, *, as_json: bool) -> None:
    with operator_of(config) as service:
        planted = service.get("/v1/canaries")["canaries"]
        totals = service.get("/v1/canaries/alarms", limit=1)["totals"]
    if as_json:
        for each in planted:
            print_json({**each, "uses": totals.get(each["name"], 0)})
        return
    if not planted:
        click.echo("No canaries.")
        return
    now = SystemClock().now()
    heads = ("name", "like", "made", "uses", "planted")
    rows = [
        (
            each["name"],
            each["like"],
            ago(each["made_at"], now),
            str(totals.get(each["name"], 0)),
            each["note"] or "-",
        )
        for each in planted
    ]
    show(table(heads, rows))


def canary_remove(config: Path, *, name: str, as_json: bool) -> None:
    """Forget a canary: from then on nobody notices its use. The alarms that it raised stay."""
    with operator_of(config) as service:
        gone = service.post(f"/v1/canaries/{quote(name, safe='')}/remove")
    if as_json:
        print_json(gone)
    else:
        click.echo(f"Removed {gone['name']}.")


def canary_alarms(config: Path, *, canary: str | None, limit: int, as_json: bool) -> None:
    """Show who used canaries at the gates of this machine, newest first."""
    query: dict[str, str | int] = {"limit": limit}
    query |= {} if canary is None else {"canary": canary}
    with operator_of(config) as service:
        found = service.get("/v1/canaries/alarms", **query)["alarms"]
    if as_json:
        for each in found:
            print_json(each)
    elif found:
        show(alarm_lines(found, SystemClock().now()))
    else:
        click.echo("No alarms.")


def alarm_lines(found: Sequence[Mapping[str, Any]], now: datetime) -> Iterator[str]:
    """Yield what is known of each caller; what he chose himself is shown without what a terminal obeys."""
    for each in found:
        uses = "1 use" if each["uses"] == 1 else f"{each['uses']} uses"
        when = ago(each["last"], now)
        if each["uses"] > 1:
            when = f"the last {when}, the first {ago(each['first'], now)}"
        yield from hanging(f"{each['canary']}: {uses}, {when}")
        what = "refused" if each["refused"] else "let through: the route doesn't enforce"
        yield from hanging(f"  {each['method']} {each['path']} at {each['api']}, {what}")
        sender = f"  from {each['address'] or 'an address that is not known'}"
        if each["forwarded"]:
            sender += f", forwarded for {each['forwarded']}"
        yield from hanging(sender)
        yield from hanging(f"  user agent {each['user_agent'] or 'none'}")
        if each["app"] is not None:
            yield from hanging(
                f"  with a token of {each['app']} {each['version'] or ''}, subject {each['subject']}"
            )
        yield from hanging(f"  headers {', '.join(each['header_names']) or 'none'}")
