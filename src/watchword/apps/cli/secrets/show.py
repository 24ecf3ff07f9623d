"""Show one secret without its value."""

from pathlib import Path

import click

from watchword.adapters.clock import SystemClock
from watchword.apps.cli.console import print_json
from watchword.apps.cli.secrets.asking import operator, path_of
from watchword.apps.cli.secrets.view import lines


@click.command("show-meta", epilog="Example: watchword secrets show-meta maps")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def command(config: Path, *, name: str, as_json: bool) -> None:
    """Show a secret's versions, what it is lent to or who gets it, and the routes that use it; no value.

    A version is `current`; `overlap`: an older one that still counts; `ended`; `revoked`; or `withheld`:
    revoked, while the backend can't keep that yet. Times in --json are UTC.
    """
    with operator(config) as service:
        shown = service.get(path_of(name))
    if as_json:
        print_json(shown)
        return
    for line in lines(shown, SystemClock().now()):
        click.echo(line)
