"""Plant canary keys, list them, take one out, and see who used one."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click

from watchword.adapters.clock import SystemClock
from watchword.apps.cli.console import encodable, print_json
from watchword.apps.cli.paragraphs import hanging, show
from watchword.apps.cli.secrets.asking import operator
from watchword.apps.cli.secrets.view import ago, table
from watchword.broker.canaries import KINDS

_WHERE: Final[Mapping[str, str]] = {
    "aws": "in a credentials file beside the build or in a constant AWS_ACCESS_KEY_ID of the app",
    "generic": "as a constant such as API_KEY or LEGACY_API_KEY in the app, or in an .env beside the build",
    "github": "in a script of the build or a GITHUB_TOKEN of an .env",
    "google": "in strings.xml or the Info.plist, as a second key beside the ones that are public anyway",
    "openai": "as a constant OPENAI_API_KEY in the app, or in an .env beside the build",
    "stripe": "as a constant STRIPE_SECRET_KEY in the app: none belongs there, which is why they look",
}


@click.group(
    invoke_without_command=True,
    epilog="Example: watchword secrets canary add old-api-key --like generic",
)
@click.option("--json", "as_json", is_flag=True, help="List the canaries as JSON.")
@click.pass_context
def command(ctx: click.Context, /, *, as_json: bool) -> None:
    """Plant keys that open nothing, where only a thief looks, and see who uses one.

    A gate that gets one refuses it like any wrong key, in the same words and the same time, and raises an
    alarm with the caller's traits. It is noticed where it is sent to an API behind a gate of yours. Without a
    subcommand the canaries are listed.
    """
    if ctx.invoked_subcommand is None:
        _list(ctx.obj, as_json=as_json)


@command.command("add", epilog="Example: watchword secrets canary add old-api-key --like generic")
@click.argument("name")
@click.option("--like", type=click.Choice(KINDS), required=True, help="Whose key it looks like.")
@click.option("--note", default="", callback=encodable, help="Where you plant it, for later.")
@click.option(
    "--header",
    "headers",
    multiple=True,
    metavar="NAME",
    help="Look into this header too; more than one is fine.",
)
@click.option(
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME",
    help="Look into this query parameter too; more than one is fine.",
)
@click.option("--json", "as_json", is_flag=True, help="Print key and terms as JSON.")
@click.pass_obj
def add(
    config: Path,
    *,
    name: str,
    like: str,
    note: str,
    headers: tuple[str, ...],
    parameters: tuple[str, ...],
    as_json: bool,
) -> None:
    """Make a canary key. It alone goes to stdout, and is shown this once: nothing keeps it.

    Plant it where a thief looks and your code doesn't. No genuine request may carry it.
    """
    wanted: dict[str, Any] = {"name": name, "like": like}
    wanted |= {"headers": list(headers), "parameters": list(parameters)}
    wanted |= {"note": note} if note else {}
    with operator(config) as service:
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


@command.command(
    "list",
    short_help="List the canaries; no key.",
    epilog="Example: watchword secrets canary list --json",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_obj
def list_(config: Path, *, as_json: bool) -> None:
    """List the canaries, how often each was used, and where they are planted; their keys are kept nowhere."""
    _list(config, as_json=as_json)


def _list(config: Path, *, as_json: bool) -> None:
    with operator(config) as service:
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


@command.command(
    "remove",
    short_help="Forget a canary.",
    epilog="Example: watchword secrets canary remove old-api-key",
)
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print what was removed as JSON.")
@click.pass_obj
def remove(config: Path, *, name: str, as_json: bool) -> None:
    """Forget a canary: from then on nobody notices its use. The alarms that it raised stay."""
    from urllib.parse import quote

    with operator(config) as service:
        gone = service.post(f"/v1/canaries/{quote(name, safe='')}/remove")
    if as_json:
        print_json(gone)
    else:
        click.echo(f"Removed {gone['name']}.")


@command.command(
    "alarms",
    short_help="Show who used canaries, newest first.",
    epilog="Example: watchword secrets canary alarms --canary old-api-key",
)
@click.option("--canary", metavar="NAME", help="Only of this one; also one that was removed.")
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=100,
    show_default=True,
    help="Most alarms, newest first; uses with the same traits are one.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_obj
def alarms(config: Path, *, canary: str | None, limit: int, as_json: bool) -> None:
    """Show who used canaries at the gates of this machine, newest first.

    Whoever sends one has read the app, or the place where it lies. What he says of himself (the headers) is a
    claim; `forwarded` too, unless a proxy of yours writes it.
    """
    query: dict[str, str | int] = {"limit": limit}
    query |= {} if canary is None else {"canary": canary}
    with operator(config) as service:
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
