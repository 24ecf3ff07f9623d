"""Revoke an instance."""

from pathlib import Path

import click

from watchword.apps.cli.instances.asking import NOT_RECORDED, operator, reason
from watchword.apps.terminal.console import NAMES_LIKE_OPTIONS, print_json


@click.command(
    "revoke",
    context_settings=NAMES_LIKE_OPTIONS,
    epilog="Example: watchword instances revoke Zn0x2k... --because 'phone stolen'",
)
@click.argument("instance")
@click.option("--because", required=True, callback=reason, help="Why, for the audit trail.")
@click.option("--json", "as_json", is_flag=True, help="Print the instance as JSON.")
@click.pass_obj
def command(config: Path, *, instance: str, because: str, as_json: bool) -> None:
    """Revoke an instance: its tokens are refused within a second, and it gets no new ones.

    A second revocation changes nothing; the first reason stands.
    """
    from urllib.parse import quote

    with operator(config) as service:
        # Quoted, so that an id with a slash is an id that nobody has and not another path.
        path = f"/v1/instances/{quote(instance, safe='')}/revoke"
        revoked = service.post(path, {"because": because})
    if as_json:
        print_json(revoked)
    else:
        click.echo(
            f"Revoked {revoked['instance']} ({revoked['app']}): {revoked['revoked_because']}"
        )
        if not revoked.get("recorded", True):
            click.echo(f"  {NOT_RECORDED}", err=True)
