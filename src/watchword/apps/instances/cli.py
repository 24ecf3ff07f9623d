"""Operate on instances: ``watchword instances`` and its subcommands."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import click

from watchword.apps.terminal.lazy import LazyGroup, body_in
from watchword.apps.terminal.parameters import NamesLikeOptions, life, reason, seconds_of

MAX_PAUSE: Final = 600
"""Most seconds between two steps of a cut; the service has the same limit."""

_body = body_in("watchword.apps.instances.commands")


def _instant(_ctx: click.Context, _parameter: click.Parameter, value: str) -> int | None:
    """Accept ``now``, or a time with its offset from UTC as seconds since 1970."""
    if value == "now":
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None or at.timestamp() < 1:
        raise click.BadParameter(
            f"got {value!r}, expected now, or a time such as 2026-11-29T14:11:51Z"
        )
    return int(at.timestamp())


def _pause(_ctx: click.Context, _parameter: click.Parameter, value: str) -> int:
    """Accept a duration of at most ten minutes, in seconds."""
    found = 0 if value == "0s" else seconds_of(value, "--pause")
    if found > MAX_PAUSE:
        raise click.BadParameter(f"got {value!r}, expected 0s to {MAX_PAUSE}s")
    return found


@click.group(cls=LazyGroup, epilog="Example: watchword instances list --app clinic-ios")
def command() -> None:
    """List enrolled instances, revoke one, and invite test instances."""


@command.command(
    "list",
    short_help="List the newest instances.",
    epilog="Example: watchword instances list --json | jq .subjects",
)
@click.option("--app", help="Only instances of this app.")
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=100,
    show_default=True,
    help="Most instances, newest first.",
)
@click.option("--before", metavar="INSTANCE", help="Go on after this last one of a listing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_obj
@_body
def list_command() -> None:
    """List the newest instances; times are UTC.

    State `test`: a good one that no vendor vouched for, a lab's or an invited one, with its expiry beside it;
    `ended` after that. `subjects` in the JSON are the names under which the APIs know an instance.
    """


@command.command(
    "revoke",
    short_help="Revoke an instance within a second.",
    cls=NamesLikeOptions,
    epilog="Example: watchword instances revoke Zn0x2k... --because 'phone stolen'",
)
@click.argument("instance")
@click.option("--because", required=True, callback=reason, help="Why, for the audit trail.")
@click.option("--json", "as_json", is_flag=True, help="Print the instance as JSON.")
@click.pass_obj
@_body
def revoke_command() -> None:
    """Revoke an instance: its tokens are refused within a second, and it gets no new ones.

    INSTANCE is its id in `watchword instances list`. APIs know it by other names: `subjects` in the list's JSON.

    A revocation can't be taken back, and a second one changes nothing: the first reason stands. It ends an
    instance and bars no phone: a genuine app enrols anew, as a new instance, once it is installed again.

    The audit trail tells who did it: the name in $USER, which is a claim.
    """


def _named(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that name instances."""
    for name, metavar, says in (
        ("subject", "SUBJECT", "The instance that an API knows by this subject. Repeatable."),
        (
            "device",
            "INSTANCE|KEY",
            "All instances of the device on which this one is, or of this `device` of an export. Repeatable.",
        ),
        ("instance", "INSTANCE", "The instance with this id. Repeatable."),
    ):
        command = click.option(f"--{name}", multiple=True, metavar=metavar, help=says)(command)
    return command


@command.command(
    "export",
    short_help="Print all that is kept of instances.",
    epilog="Example: watchword instances export --device Zn0x2k... > kept.json",
)
@_named
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_obj
@_body
def export_command() -> None:
    """Print all that the store keeps of instances, and the audit entries about them, as JSON.

    For somebody who asks what is kept of them. The audit trail notes each export. What is kept elsewhere:
    records of verifications, under `records`, and what your APIs and logs have.

    Exit code 1: nothing is kept.
    """


@command.command(
    "delete",
    short_help="Delete all that is kept of instances.",
    epilog="Example: watchword instances delete --device Zn0x2k... --because 'request 4711'",
)
@_named
@click.option(
    "--because",
    required=True,
    callback=reason,
    help="Why, for the audit trail, which keeps it: the number of a request, and no name.",
)
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each instance.")
@click.pass_obj
@_body
def delete_command() -> None:
    """Delete all that the store keeps of instances, after asking; their tokens are refused within a second.

    Keys, device, evidence, receipts and leases go at once. The id, its app and its APIs stay for two days, so that gates refuse
    the last tokens. Entries of the audit trail name the id alone, and stay. A restored backup deletes it again.

    An app that is still installed enrols anew, as a new instance.
    """


@command.command(
    "invite",
    short_help="Make a code for one test instance.",
    epilog="Example: watchword instances invite --app clinic-ios --because 'nightly drill' > code",
)
@click.option("--app", required=True, help="The app in watchword.yaml that it will be one of.")
@click.option(
    "--level",
    type=click.Choice(["hardware", "verified", "software"]),
    default="hardware",
    show_default=True,
    help="The level that it gets, on your word alone.",
)
@click.option(
    "--for",
    "lasts",
    default="1d",
    show_default=True,
    callback=life("30d"),
    metavar="DURATION",
    help="How long the instance lives from its enrolment on; at most 30d.",
)
@click.option(
    "--expires",
    default="15m",
    show_default=True,
    callback=life("24h"),
    metavar="DURATION",
    help="How long the code waits for its one use; at most 24h.",
)
@click.option("--because", required=True, callback=reason, help="Why, for the audit trail.")
@click.option("--json", "as_json", is_flag=True, help="Print code and terms as JSON.")
@click.pass_obj
@_body
def invite_command() -> None:
    """Make a code with which one test instance enrols, once, without a phone.

    For testers, CI and drills against a real deployment. The code alone goes to stdout, and is shown this once: who has
    it first has the instance. Hand it over like a password.
    """


@command.command(
    "invitations",
    short_help="List the codes that were made.",
    epilog="Example: watchword instances invitations",
)
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=100,
    show_default=True,
    help="Most invitations, newest first.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_obj
@_body
def invitations_command() -> None:
    """List the codes that were made, by their ids, and what became of them; times are UTC."""


@command.command(
    "pace",
    short_help="Show how fast apps enrol, and who waits.",
    epilog="Example: watchword instances pace",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_obj
@_body
def pace_command() -> None:
    """Show how fast each app enrols now, and how long the line is, where `service.enrolments.pace` is set.

    `busy` counts those who wait behind addresses that ask often. `wait` is told to a phone that comes now. A pace is
    `held` while a vendor's servers fail.
    """


@command.command(
    "cancel",
    short_help="Cancel a code that wasn't used.",
    cls=NamesLikeOptions,
    epilog="Example: watchword instances cancel q2mB1xZr0aLk",
)
@click.argument("code_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print what is left of the code as JSON.")
@click.pass_obj
@_body
def cancel_command() -> None:
    """Cancel a code that wasn't used, by its id; a second time changes nothing.

    One that was used is refused, with the instance that it enrolled: that has to be revoked.
    """


@command.command(
    "cut",
    short_help="End the tokens of a whole app, step by step.",
    epilog="Example: watchword instances cut --app clinic-ios --because 'token key leaked' --rehearse",
)
@click.option("--app", required=True, help="The app in watchword.yaml whose tokens end.")
@click.option(
    "--level",
    type=click.Choice(["hardware", "verified", "software"]),
    help="Only tokens of this level.",
)
@click.option(
    "--issued-before",
    default="now",
    show_default=True,
    callback=_instant,
    metavar="TIME",
    help="Only tokens issued before this time, such as 2026-11-29T14:11:51Z.",
)
@click.option(
    "--step",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    help="How many of the 64 parts of the fleet are cut at a time; 64 cuts all at once.",
)
@click.option(
    "--pause",
    default="30s",
    show_default=True,
    callback=_pause,
    metavar="DURATION",
    help="Time between two steps; at most 600s.",
)
@click.option("--because", required=True, callback=reason, help="Why, for the audit trail.")
@click.option("--rehearse", is_flag=True, help="Show what it would do, and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
@_body
def cut_command() -> None:
    """End all tokens of an app that were issued before a time, and let genuine instances renew.

    Gates refuse these tokens with `token.expired`. A genuine app renews and goes on; a revoked instance can't. Revoke
    known instances first: revocations count at once, whatever the steps.

    A cut can't be taken back. `instances cut-stop` ends its steps; what is cut by then stays cut.

    Rehearse it first: --rehearse shows how many instances it hits, how long it takes, and whether this service can
    carry out the renewals.
    """


@command.command(
    "cuts",
    short_help="List the cuts that are in force.",
    epilog="Example: watchword instances cuts",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_obj
@_body
def cuts_command() -> None:
    """List the cuts that are in force, and how far each is; times are UTC.

    A cut leaves the list by itself when no token from before it can be valid any more.
    """


@command.command(
    "cut-stop",
    short_help="Take no further steps of a cut.",
    epilog="Example: watchword instances cut-stop cut-1 --because 'renewals are too many'",
)
@click.argument("cut_id", metavar="ID")
@click.option("--because", required=True, callback=reason, help="Why, for the audit trail.")
@click.option("--json", "as_json", is_flag=True, help="Print the cut as JSON.")
@click.pass_obj
@_body
def cut_stop_command() -> None:
    """Take no further steps of a cut; a second time changes nothing.

    What is cut stays cut. To go on, make another cut with the same --issued-before.
    """
