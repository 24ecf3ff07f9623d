"""List and revoke instances."""

from pathlib import Path
from typing import Any

import click

from watchword.apps.cli.console import NAMES_LIKE_OPTIONS, encodable, print_json

MAX_BECAUSE = 500
"""Most characters of a reason; the service has the same limit."""


def _reason(ctx: click.Context, parameter: click.Parameter, value: str) -> str | None:
    if not 0 < len(value) <= MAX_BECAUSE:
        raise click.BadParameter(f"got {len(value)} characters, expected 1 to {MAX_BECAUSE}")
    return encodable(ctx, parameter, value)


@click.group(epilog="Example: watchword instances list --app clinic-ios")
def command() -> None:
    """List enrolled instances, and revoke one."""


@command.command("list", epilog="Example: watchword instances list --json | jq .subjects")
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
def list_(config: Path, *, app: str | None, limit: int, before: str | None, as_json: bool) -> None:
    """List the newest instances; times are UTC.

    State `test`: a good one that is a lab's. `subjects` in the JSON are the names under which the APIs know an instance.
    """
    from watchword.apps.operator_client import OperatorClient
    from watchword.apps.settings import load_settings

    with OperatorClient(load_settings(config).service.operator_socket) as operator:
        query = {"app": app, "before": before}
        given = {name: value for name, value in query.items() if value is not None}
        instances = operator.get("/v1/instances", limit=limit, **given)["instances"]
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


@command.command(
    context_settings=NAMES_LIKE_OPTIONS,
    short_help="Revoke an instance within a second.",
    epilog="Example: watchword instances revoke Zn0x2k... --because 'phone stolen'",
)
@click.argument("instance")
@click.option("--because", required=True, callback=_reason, help="Why, for the audit trail.")
@click.option("--json", "as_json", is_flag=True, help="Print the instance as JSON.")
@click.pass_obj
def revoke(config: Path, *, instance: str, because: str, as_json: bool) -> None:
    """Revoke an instance: its tokens are refused within a second, and it gets no new ones.

    A second revocation changes nothing; the first reason stands.
    """
    from urllib.parse import quote

    from watchword.apps.operator_client import OperatorClient
    from watchword.apps.settings import load_settings

    with OperatorClient(load_settings(config).service.operator_socket) as operator:
        # Quoted, so that an id with a slash is an id that nobody has and not another path.
        path = f"/v1/instances/{quote(instance, safe='')}/revoke"
        revoked = operator.post(path, {"because": because})
    if as_json:
        print_json(revoked)
    else:
        click.echo(
            f"Revoked {revoked['instance']} ({revoked['app']}): {revoked['revoked_because']}"
        )


def _show(instances: list[dict[str, Any]]) -> None:
    """Print a table; an id that is cut short can't be revoked, so that rows may grow instead."""
    rows = [("instance", "state", "level", "app", "version", "renewed", "")]
    for each in instances:
        state = "revoked" if each["revoked_at"] else "test" if each["test"] else "good"
        version, because = each["app_version"] or "-", each["revoked_because"] or ""
        renewed = each["renewed_at"][5:16].replace("T", " ")
        rows.append(
            (each["instance"], state, each["level"], each["app"], version, renewed, because)
        )
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        click.echo("  ".join((*cells, row[-1])).rstrip())
