"""Say what a root list says."""

from pathlib import Path

import click

from watchword.apps.cli.pins.options import FILE


@click.command(epilog="Example: watchword pins root show roots-2.json --previous roots-1.json")
@click.argument("file", type=FILE, required=False)
@click.option("--previous", type=FILE, help="The list before it, to see whether its keys signed.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.pass_obj
def command(config: Path, /, *, file: Path | None, previous: Path | None, as_json: bool) -> None:
    """Say what a root list says and who signed it; without FILE, the workspace's newest."""
    from watchword.apps.cli.pins.root.showing import show_list, show_newest
    from watchword.apps.pins.root_lists import read_list

    if file is None:
        show_newest(config, as_json=as_json)
        return
    data, roots = read_list(file)
    before = None if previous is None else read_list(previous)[1]
    show_list(data, roots, before, as_json=as_json)
