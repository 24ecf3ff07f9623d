"""Show each step that changed what apps trust."""

from pathlib import Path

import click

from watchword.apps.cli.console import print_json
from watchword.apps.cli.paragraphs import printable


@click.command(epilog="Example: watchword pins log --forced")
@click.option("--forced", is_flag=True, help="Only steps that were forced.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_obj
def command(config: Path, /, *, forced: bool, as_json: bool) -> None:
    """Show each step, the oldest first: who did what, when, and why where it was forced.

    Each line is chained to the one before: where one was changed or taken out, this command fails and names it.
    """
    from dataclasses import asdict

    from watchword.adapters.pin_workspace import PinWorkspace
    from watchword.apps.settings.pins import load_pins

    workspace = PinWorkspace(load_pins(config).pins.directory)
    workspace.require()
    for step in workspace.log.read():
        if forced and step.reason is None:
            continue
        if as_json:
            print_json(asdict(step))
            continue
        line = f"{step.at}  {step.actor:<20} {step.action:<8} {step.subject}"
        version = step.detail.get("version")
        line += f" {version}" if version is not None else ""
        line += f"  FORCED: {step.reason}" if step.reason is not None else ""
        click.echo(printable(line))
