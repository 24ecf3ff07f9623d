"""Cancel the code of a test instance."""

from pathlib import Path

import click

from watchword.apps.cli.instances.asking import operator
from watchword.apps.terminal.console import NAMES_LIKE_OPTIONS, print_json


@click.command(
    "cancel",
    context_settings=NAMES_LIKE_OPTIONS,
    epilog="Example: watchword instances cancel q2mB1xZr0aLk",
)
@click.argument("code_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print what is left of the code as JSON.")
@click.pass_obj
def command(config: Path, *, code_id: str, as_json: bool) -> None:
    """Cancel a code that wasn't used, by its id; a second time changes nothing.

    One that was used is refused, with the instance that it enrolled: that has to be revoked.
    """
    from urllib.parse import quote

    with operator(config) as service:
        cancelled = service.post(f"/v1/test-codes/{quote(code_id, safe='')}/revoke")
    if as_json:
        print_json(cancelled)
    else:
        click.echo(f"Cancelled {cancelled['id']} ({cancelled['app']}).")
