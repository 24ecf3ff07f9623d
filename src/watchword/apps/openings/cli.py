"""Open routes for a while: ``watchword openings`` and its subcommands."""

import click

from watchword.apps.terminal.lazy import LazyGroup, body_in
from watchword.apps.terminal.parameters import encodable, life, reason

_body = body_in("watchword.apps.openings.commands")


@click.group(cls=LazyGroup, epilog="Example: watchword openings list")
def command() -> None:
    """Have a route refuse nobody for an hour at most, and see what is open.

    For an emergency in which genuine users are refused. It ends by itself, also at a gate that hears nothing any more.
    """


@command.command(
    "add",
    short_help="Open a route for a while.",
    epilog="Example: watchword openings add --route '/records/**' --mode monitor --for 20m --because 'bad release'",
)
@click.option(
    "--route",
    required=True,
    callback=encodable,
    help="Its path in watchword.yaml, or its whole name where that path stands there twice.",
)
@click.option(
    "--mode",
    required=True,
    type=click.Choice(["monitor", "off"]),
    help="monitor: count what would be refused, and let it pass; off: check nothing.",
)
@click.option(
    "--for",
    "lasts",
    required=True,
    callback=life("1h"),
    metavar="DURATION",
    help="How long it stays open; at most 1h.",
)
@click.option("--because", required=True, callback=reason, help="Why, for the audit trail.")
@click.option("--json", "as_json", is_flag=True, help="Print the opening as JSON.")
@click.pass_obj
@_body
def add_command() -> None:
    """Open a route within a second: its mode is monitor or off until the time is over.

    Another one of the same route takes its place. A restart of the service keeps it, and a reboot of its machine ends it.

    Python gates keep it: the proxy, middleware, and /authz with the engines that ask it (nginx-authz, Caddy, Traefik). Engines with
    rules of their own (nginx, HAProxy, Envoy) can't count down: they stay closed, and so do gates of 0.2.0. A gate that starts
    meanwhile stays closed for up to a minute.
    """


@command.command("list", short_help="List what is open.", epilog="Example: watchword openings list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_obj
@_body
def list_command() -> None:
    """List what is open now, until when, and who opened it; times are UTC."""


@command.command(
    "end",
    short_help="Close a route before its time.",
    epilog="Example: watchword openings end --route '/records/**'",
)
@click.option(
    "--route",
    required=True,
    callback=encodable,
    help="Its path in watchword.yaml, or its whole name where that path stands there twice.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what became of it as JSON.")
@click.pass_obj
@_body
def end_command() -> None:
    """Close a route before its time, within a second; one that isn't open stays as it is."""
