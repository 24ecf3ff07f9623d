"""Bring a signed root list into the workspace."""

from pathlib import Path

import click

from watchword.apps.cli.pins.options import FILE


@click.command(epilog="Example: watchword pins root accept roots-1.json")
@click.argument("file", type=FILE)
@click.option(
    "--force",
    is_flag=True,
    help="Take a list that takes a pin key out and doesn't raise the floors for it, or names none of this workspace.",
)
@click.option("--reason", metavar="TEXT", help="Why, with --force: it stands in the log for good.")
@click.option("--json", "as_json", is_flag=True, help="Print what the list says as JSON.")
@click.pass_obj
def command(config: Path, /, *, file: Path, force: bool, reason: str | None, as_json: bool) -> None:
    """Bring a root list that is wholly signed into the workspace, from where the service hands it out.

    It is verified as an app would: enough keys of the list before it signed, and enough of its own.  There is no way back:
    from then on apps take it, one after the other.
    """
    from watchword.adapters.clock import SystemClock
    from watchword.adapters.pin_workspace import who_runs
    from watchword.apps.cli.pins.root.showing import show_list
    from watchword.apps.pins.accepting import accept

    if force != bool((reason or "").strip()):
        raise click.UsageError("--force and --reason go together: what is forced is written down")
    now = SystemClock().timestamp()
    data, roots, previous = accept(config, file, now, who_runs(), reason)
    show_list(data, roots, previous, as_json=as_json)
    if not as_json:
        click.echo("Next: watchword pins check, then watchword pins publish.")
