"""Show a running service's refusals to a person."""

from typing import Any

import click


def show_refusals(refusals: dict[str, Any]) -> None:
    """Print the counters, most frequent first, and the latest refusals, newest first."""
    if not refusals["counts"]:
        click.echo("No refusals since the start.")
        return
    for entry in refusals["counts"]:
        click.echo(f"{entry['count']:>10}  {entry['reason']:<34} {entry['where']}")
    click.echo("Latest of each reason:")
    for sample in refusals["samples"]:
        click.echo(f"  {sample['at'][:19]}  {sample['where']}")
        for cause in sample["refusals"]:
            detail = f": {cause['detail']}" if cause["detail"] else ""
            click.echo(f"      {cause['reason']}{detail}")
