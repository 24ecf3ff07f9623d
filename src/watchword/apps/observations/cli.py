"""Record what proves protections: ``watchword observe`` and each of its subcommands."""

from pathlib import Path

import click

from watchword.apps.terminal.lazy import LazyGroup, body_in
from watchword.apps.terminal.parameters import encodable

# What may not be read is told when it is read: that is no wrong usage.
_FILE = click.Path(dir_okay=False, readable=False, path_type=Path)
_STATES = ("proven", "reviewed", "claimed", "absent", "broken")
_body = body_in("watchword.apps.observations.commands")


@click.group(
    cls=LazyGroup,
    epilog="Example: watchword observe record PR-B01 --target api:clinic "
    "--key live:shield.enforced_ratio --source 'drill 1.0' --sign observer.pem",
)
def command() -> None:
    """Record, list and export what was observed of the protections in the plan.

    A protection counts in the plan only while an observation proves it that a configured observer signed.
    """


@command.command(
    "keygen",
    short_help="Make an observer's key.",
    epilog="Example: watchword observe keygen -o ci.pem",
)
@click.option("-o", "--output", required=True, type=_FILE, help="File for the private key.")
@click.option(
    "--public", type=_FILE, help="File for the public key; beside the other, as .jwk, if left out."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
@_body
def keygen_command() -> None:
    """Make a key pair: a private key to sign with, a public one to name under `plan: observers:`.

    The private key is for the observer alone, such as a secret of your CI. No file is overwritten.
    """


@command.command(
    "record",
    short_help="Record one observation.",
    epilog="Example: watchword observe record PR-B07 --state reviewed --target api:clinic "
    "--key scan:api.bola_test --source 'review of 2026-11' --reviewer Ada --author Bob "
    "--artifact orders.py --expires 90d --sign ci.pem",
)
@click.argument("protection", callback=encodable)
@click.option(
    "--state",
    type=click.Choice(_STATES),
    default="proven",
    show_default=True,
    help="What was seen. Nobody states `stale`: that is what time makes of it.",
)
@click.option("--target", required=True, callback=encodable, help="api:NAME or app:NAME.")
@click.option("--key", required=True, callback=encodable, help="What was looked at.")
@click.option(
    "--route",
    metavar="'METHOD PATH'",
    callback=encodable,
    help="On which route of the API, where a route decides it: 'POST /v2/payments/**'.",
)
@click.option("--source", required=True, callback=encodable, help="What saw it, and its version.")
@click.option("--sign", type=_FILE, help="Private key of an observer; without it: a claim.")
@click.option("--reviewer", callback=encodable, help="Who looked, with --state reviewed.")
@click.option("--author", callback=encodable, help="Who made what was looked at.")
@click.option("--artifact", type=_FILE, help="What was looked at; its SHA-256 is recorded.")
@click.option(
    "--expires",
    metavar="DURATION",
    default="90d",
    show_default=True,
    help="How long the review counts; at most 180d.",
)
@click.option("--build", metavar="FILE|SHA-256", help="The build of the app that was looked at.")
@click.option("--detail", default="", callback=encodable, help="One line for people.")
@click.option("--environment", type=click.Choice(["prod", "lab"]), help="If not as in the file.")
@click.option("--loopback", is_flag=True, help="It was reached on this machine.")
@click.option("--json", "as_json", is_flag=True, help="Print what was recorded as JSON.")
@click.pass_context
@_body
def record_command() -> None:
    """Record one observation, seen now, in the plan's file, and say what it is worth.

    What an observer signed can prove a protection; without a signature it is a claim, and only
    `absent` and `broken` have an effect.
    """


@command.command(
    "list",
    short_help="List observations and what they are worth.",
    epilog="Example: watchword observe list --protection PR-B01",
)
@click.option("--protection", metavar="ID", help="Only those of this protection.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_context
@_body
def list_command() -> None:
    """List observations, the newest first: what each is worth now, and why.

    A star marks the one that decides how its protection stands at its target. Ends with 1 where a
    line of the file can't be read.
    """


@command.command(
    "export",
    short_help="Write all observations as JSON.",
    epilog="Example: watchword observe export > observations.json",
)
@click.option("--json", "as_json", is_flag=True, help="Print it on one line.")
@click.pass_context
@_body
def export_command() -> None:
    """Write every observation with who vouches for it and what it is worth now, as one JSON object.

    Lines that can't be read stand under `unreadable`, and the command then ends with 1.
    """
