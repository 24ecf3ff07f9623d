"""List enrolled instances."""

from pathlib import Path
from typing import Any

import click

from watchword.apps.cli.instances.asking import operator, shortened
from watchword.apps.terminal.console import print_json


@click.command("list", epilog="Example: watchword instances list --json | jq .subjects")
@click.option("--app", help="Only instances of this app.")
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=100,
    show_default=True,
    help="Most instances, newest first.",
)
@click.option("--before", metavar="INSTANCE", help="Go on after this last one of a listing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_obj
def command(
    config: Path, *, app: str | None, limit: int, before: str | None, as_json: bool
) -> None:
    """List the newest instances; times are UTC.

    State `test`: a good one that no vendor vouched for, a lab's or one that was invited, with its end beside it; `ended`
    after that. `subjects` in the JSON are the names under which the APIs know an instance.
    """
    with operator(config) as service:
        query = {"app": app, "before": before}
        given = {name: value for name, value in query.items() if value is not None}
        instances = service.get("/v1/instances", limit=limit, **given)["instances"]
    if as_json:
        for instance in instances:
            print_json(instance)
        return
    if not instances:
        click.echo("No instances.")
        return
    _show(instances)
    if len(instances) == limit:
        click.echo(f"There may be more: --before {instances[-1]['instance']}", err=True)


def _show(instances: list[dict[str, Any]]) -> None:
    """Print a table; an id that is cut short can't be revoked, so that rows may grow instead."""
    rows = [("instance", "state", "level", "app", "version", "renewed", "")]
    for each in instances:
        version, renewed = each["app_version"] or "-", shortened(each["renewed_at"])
        rows.append(
            (
                each["instance"],
                _state(each),
                each["level"],
                each["app"],
                version,
                renewed,
                _remark(each),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        click.echo("  ".join((*cells, row[-1])).rstrip())


def _state(instance: dict[str, Any]) -> str:
    if instance["revoked_at"]:
        return "revoked"
    if instance["expired"]:
        return "ended"
    return "test" if instance["test"] else "good"


def _remark(instance: dict[str, Any]) -> str:
    """Return why it was revoked, or when it ends."""
    if instance["revoked_because"]:
        return str(instance["revoked_because"])
    ends = instance["expires_at"]
    if ends is None:
        return ""
    return f"{'ended' if instance['expired'] else 'ends'} {shortened(ends)}"
