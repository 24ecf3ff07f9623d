"""List the codes of test instances."""

from pathlib import Path
from typing import Any

import click

from watchword.apps.cli.instances.asking import operator, shortened
from watchword.apps.terminal.console import print_json


@click.command("invitations", epilog="Example: watchword instances invitations")
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=100,
    show_default=True,
    help="Most invitations, newest first.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_obj
def command(config: Path, *, limit: int, as_json: bool) -> None:
    """List the codes that were made, by their ids, and what became of them; times are UTC."""
    with operator(config) as service:
        codes = service.get("/v1/test-codes", limit=limit)["codes"]
    if as_json:
        for code in codes:
            print_json(code)
        return
    if not codes:
        click.echo("No invitations.")
        return
    rows = [("id", "state", "level", "app", "by", "why")]
    rows += [(c["id"], _state(c), c["level"], c["app"], c["made_by"], c["because"]) for c in codes]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        click.echo("  ".join((*cells, row[-1])).rstrip())


def _state(code: dict[str, Any]) -> str:
    if code["instance"]:
        return f"enrolled {code['instance']}"
    if code["cancelled_at"]:
        return "cancelled"
    return f"open until {shortened(code['expires_at'])}" if code["open"] else "expired unused"
