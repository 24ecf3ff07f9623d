"""Let a new value take over."""

from pathlib import Path
from typing import Any

import click

from watchword.apps.cli.console import print_json
from watchword.apps.cli.secrets.asking import operator, overlap, path_of
from watchword.apps.cli.secrets.values import TAKES_NO_VALUE, not_there, read_value
from watchword.apps.cli.secrets.view import told


@click.command(
    "rotate",
    context_settings=TAKES_NO_VALUE,
    epilog="Example: watchword secrets rotate maps --overlap 1d --from-file new.key",
)
@click.argument("name")
@click.argument("extra", nargs=-1, callback=not_there, expose_value=False, metavar="")
@click.option(
    "--from-file",
    "file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Read the value from here instead of from standard input.",
)
@click.option(
    "--overlap",
    callback=overlap,
    metavar="DURATION",
    help="How long older versions count beside it: 0 to 90d. Left out: an hour, or a lease.",
)
@click.option(
    "--expect",
    type=click.IntRange(1),
    metavar="VERSION",
    help="Do nothing unless this is the newest version. Left out: the one there is now.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what there is of it as JSON.")
@click.pass_obj
def command(
    config: Path,
    *,
    name: str,
    file: Path | None,
    overlap: int | None,
    expect: int | None,
    as_json: bool,
) -> None:
    """Let a new value take over within a second, without a failed call.

    Make the new key at the provider, rotate here, see by `who-uses` when nobody has the old one any more,
    and only then withdraw the old one at the provider. Until the overlap ends you can go back: revoke the
    new version, and the older one counts again.
    """
    with operator(config) as service:
        # Before the value is asked for: whoever rotates meanwhile isn't overwritten.
        versions = service.get(path_of(name))["versions"]
    if expect is None and versions:
        expect = versions[-1]["version"]
    wanted: dict[str, Any] = {"value": read_value(name, file)}
    wanted |= {} if overlap is None else {"overlap": overlap}
    wanted |= {} if expect is None else {"expected": expect}
    # A connection of its own: while somebody looks for the value, the service may have closed the first.
    with operator(config) as service:
        rotated = service.post(path_of(name, "rotate"), wanted)
    if as_json:
        print_json(rotated)
    else:
        click.echo(told(f"Rotated {name}", rotated))
