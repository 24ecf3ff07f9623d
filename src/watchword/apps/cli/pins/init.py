"""Make the workspace and the key that signs sets."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from watchword.apps.cli.console import print_json
from watchword.apps.cli.pins.options import FILE

if TYPE_CHECKING:
    from watchword.adapters.pin_workspace import PinWorkspace


@click.command(epilog="Example: watchword pins init")
@click.option(
    "-d",
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="The workspace; left out: the one that watchword.yaml names, or pins beside it.",
)
@click.option("-o", "--output", type=FILE, help="Write the section to this new file too.")
@click.option(
    "--new-pin-key", is_flag=True, help="Make a new key only: the old one is lost or stolen."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def command(
    config: Path,
    /,
    *,
    directory: Path | None,
    output: Path | None,
    new_pin_key: bool,
    as_json: bool,
) -> None:
    """Make the workspace: pinned keys, sets, a log, and the key that signs sets (mode 0600).

    watchword.yaml isn't changed: the section that belongs into it is printed.  Nothing is overwritten.
    """
    from watchword.adapters.clock import SystemClock
    from watchword.adapters.pin_workspace import PinWorkspace, read_public_key, who_runs
    from watchword.apps.output_files import write_new_file
    from watchword.apps.pins import beginning
    from watchword.apps.pins.online import apps_of, online_directories, workspace_of

    named = workspace_of(config)
    place = directory.resolve() if directory is not None else named[0]
    workspace = PinWorkspace(place)
    now = SystemClock().timestamp()
    if new_pin_key:
        beginning.new_pin_key(workspace, now, who_runs())
    else:
        state = online_directories(config)[:1]
        if place in state:
            raise click.UsageError(f"{place} is the service's state directory; name another one")
        beginning.begin(workspace, now, who_runs())
    kid = read_public_key(workspace.public_key).kid
    text = beginning.section(beginning.named_from(place, config), apps_of(config))
    if output is not None:
        write_new_file(output, text)
    if as_json:
        print_json(
            {"directory": place, "kid": kid, "public": workspace.public_key, "section": text}
        )
        return
    click.echo(f"{place}: the workspace" if not new_pin_key else f"{place}: a new key")
    click.echo(f"{workspace.key}: signs pin sets, for this user alone (mode 0600)")
    click.echo(f"{workspace.public_key}: its public half {kid}; a root list must name it:")
    if new_pin_key:
        click.echo(f"\n  {_rotation(workspace)}")
        return
    click.echo(f"\n  watchword pins root init -d ROOT-KEYS --pin-key {workspace.public_key.name}")
    click.echo(
        "\n(on a machine that is offline; bring back roots-1.json: watchword pins root accept)"
    )
    if not named[1]:
        click.echo(f"\nPut this into {config}:\n\n{text}", nl=False)


def _rotation(workspace: "PinWorkspace") -> str:
    """Return the command that has the next root list name the new key: as written where there is no workspace."""
    from watchword.apps.pins.online import published_in

    published = published_in(workspace)
    floors = "".join(f" --floor {app}={version}" for app, version in published.items())
    return f"watchword pins root rotate roots-N.json --only-pin-key {workspace.public_key.name}{floors}"
