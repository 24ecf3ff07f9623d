"""List secrets."""

from pathlib import Path

import click

from watchword.adapters.clock import SystemClock
from watchword.apps.cli.console import print_json
from watchword.apps.cli.secrets.asking import operator
from watchword.apps.cli.secrets.view import rows, table


@click.command("list", epilog="Example: watchword secrets list --json | jq .versions")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_obj
def command(config: Path, *, as_json: bool) -> None:
    """List all secrets: how each goes, its state, its version, and where it is used; no value.

    State `good`: a version counts. `empty`: nothing was added yet. `ended`: no version counts any more.
    `unknown`: the backend hasn't answered since the start.
    """
    with operator(config) as service:
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
