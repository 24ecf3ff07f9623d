"""List and revoke instances."""

from pathlib import Path
from typing import Any

import click

from watchword.apps.cli.console import encodable, print_json

MAX_BECAUSE = 500
"""Most characters of a reason; the service has the same limit."""

WIDTH = 160
"""Columns that the table may take, also where the terminal has fewer."""


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
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_obj
def list_(config: Path, *, app: str | None, limit: int, as_json: bool) -> None:
    """List the newest instances.

    `subjects` in the JSON are the names under which the APIs know an instance.
    """
    from watchword.apps.operator_client import OperatorClient
    from watchword.apps.settings import load_settings

    with OperatorClient(load_settings(config).service.operator_socket) as operator:
        query = {} if app is None else {"app": app}
        instances = operator.get("/v1/instances", limit=limit, **query)["instances"]
    if as_json:
        for instance in instances:
            print_json(instance)
        return
    if not instances:
        click.echo("No instances.")
        return
    _show(instances)


@command.command(epilog="Example: watchword instances revoke Zn0x2k... --because 'phone stolen'")
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
        click.echo(f"Revoked {revoked['id']} ({revoked['app']}): {revoked['revoked_because']}")


def _show(instances: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    # An id that is cut short can't be revoked: rows may be wider than the terminal.
    table = Table("instance", "app", "version", "level", "renewed", "state", box=None)
    for column in table.columns:
        column.no_wrap = True
    for each in instances:
        state = f"revoked: {each['revoked_because']}" if each["revoked_at"] else "good"
        table.add_row(
            each["id"],
            each["app"],
            each["app_version"] or "-",
            each["level"],
            each["renewed_at"][:19],
            state + (" (test)" if each["test"] else ""),
        )
    Console(markup=False, highlight=False, width=WIDTH).print(table, crop=False)
