"""Write what a version of an app ships with."""

from pathlib import Path

import click

from watchword.apps.cli.console import print_json
from watchword.apps.cli.pins.options import FILE


@click.command(
    epilog="Example: watchword pins release clinic-android 4.2.0 -o app/src/main/res/raw/watchword_pins.json"
)
@click.argument("app")
@click.argument("version")
@click.option("-o", "--output", type=FILE, help="Write it here too, for the app's package.")
@click.option("--withdraw", is_flag=True, help="This version isn't supported any more.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def command(
    config: Path, /, *, app: str, version: str, output: Path | None, withdraw: bool, as_json: bool
) -> None:
    """Write what VERSION of APP ships with: the newest root list and set, and the floor below which it takes no set.

    It is remembered: from now on no set is published that would lock this version out, until it is withdrawn.
    """
    from watchword.adapters.clock import SystemClock
    from watchword.adapters.pin_workspace import who_runs
    from watchword.apps.output_files import write_new_file
    from watchword.apps.pins.releasing import release, withdraw_release

    now, actor = SystemClock().timestamp(), who_runs()
    if withdraw:
        withdraw_release(config, app, version, now, actor)
        if as_json:
            print_json({"app": app, "version": version, "withdrawn": True})
        else:
            click.echo(f"{app} {version} isn't supported any more: sets may lock it out.")
        return
    if output is not None and output.exists():
        raise click.UsageError(f"{output} is there already, expected a new file")
    data, path, first = release(config, app, version, now, actor)
    if output is not None:
        write_new_file(output, data.decode())
    if as_json:
        print_json({"app": app, "version": version, "file": path, "set": first})
        return
    click.echo(f"{output or path}: put it into the package of {app} {version}")
    if first is None:
        click.echo(
            "It ships without a set: nothing is pinned before the first fetch. Better: publish first."
        )
