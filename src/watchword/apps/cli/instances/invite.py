"""Invite a test instance: make a one-time code."""

from pathlib import Path

import click

from watchword.apps.cli.fetched import duration
from watchword.apps.cli.instances.asking import life, operator, reason, shortened
from watchword.apps.terminal.console import print_json


@click.command(
    "invite",
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
def command(
    config: Path,
    *,
    app: str,
    level: str,
    lasts: int,
    expires: int,
    because: str,
    as_json: bool,
) -> None:
    """Make a code with which one test instance enrols, once, without a phone.

    For testers, CI and drills against a real deployment. The code alone goes to stdout, and is shown this once: who has
    it first has the instance. Hand it over like a password.
    """
    wanted = {
        "app": app,
        "level": level,
        "expires_in": expires,
        "instance_for": lasts,
        "because": because,
    }
    with operator(config) as service:
        made = service.post("/v1/test-codes", wanted)
    if as_json:
        print_json(made)
        return
    click.echo(
        f"Code {made['id']}: enrols one test instance of {made['app']} at level {made['level']} until "
        f"{shortened(made['expires_at'])} UTC; the instance lives {duration(made['instance_for'])}.\n"
        f"Cancel it with: watchword instances cancel {made['id']}",
        err=True,
    )
    click.echo(made["code"])
