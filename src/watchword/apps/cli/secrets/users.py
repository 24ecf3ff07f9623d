"""Say who uses which version of a secret."""

from pathlib import Path

import click

from watchword.adapters.clock import SystemClock
from watchword.apps.cli.console import print_json
from watchword.apps.cli.secrets.asking import operator, path_of
from watchword.apps.cli.secrets.view import use_lines


@click.command("who-uses", epilog="Example: watchword secrets who-uses maps")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def command(config: Path, *, name: str, as_json: bool) -> None:
    """Say who still uses which version: gates, the last call that was made with it, leases of instances.

    An old version can be withdrawn at the provider when no gate adds it, no lease of it is out, and its last
    call was longer ago than a call takes. A gate of another machine fetches what the service tells gates by itself: it is there within a second while it
    reaches the service.
    """
    with operator(config) as service:
        found = service.get(path_of(name, "users"))
    if as_json:
        print_json(found)
        return
    for line in use_lines(found, SystemClock().now()):
        click.echo(line)
