"""Keep the first value of a secret."""

from pathlib import Path

import click

from watchword.apps.cli.console import print_json
from watchword.apps.cli.secrets.asking import operator
from watchword.apps.cli.secrets.values import TAKES_NO_VALUE, not_there, read_value
from watchword.apps.cli.secrets.view import told


@click.command(
    "add", context_settings=TAKES_NO_VALUE, epilog="Example: watchword secrets add maps < maps.key"
)
@click.argument("name")
@click.argument("extra", nargs=-1, callback=not_there, expose_value=False, metavar="")
@click.option(
    "--from-file",
    "file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Read the value from here instead of from standard input.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what there is of it as JSON.")
@click.pass_obj
def command(config: Path, *, name: str, file: Path | None, as_json: bool) -> None:
    """Keep the first value of a secret that watchword.yaml names under secrets.keys.

    At a terminal you are asked for it, and it isn't shown. The end of its line isn't part of it. Gates
    add it to calls within a second.
    """
    value = read_value(name, file)
    with operator(config) as service:
        added = service.post("/v1/secrets", {"name": name, "value": value})
    if as_json:
        print_json(added)
    else:
        click.echo(told(f"Kept {name}", added))
