"""Say why a request was refused."""

from pathlib import Path

import click

from watchword.apps.cli.console import print_json


@click.command(epilog="Example: watchword explain ZJWfnnbyIDdQ...")
@click.argument("ref")
@click.option("--json", "as_json", is_flag=True, help="Print the explanation as JSON.")
@click.pass_obj
def command(config: Path, *, ref: str, as_json: bool) -> None:
    """Open the reference (`ref`) of a refusal: when, where, and for which reasons.

    The reference holds all of it, encrypted for this deployment; nothing was stored.
    """
    from watchword.apps.operator_client import OperatorClient
    from watchword.apps.settings import load_settings

    with OperatorClient(load_settings(config).service.operator_socket) as operator:
        explained = operator.post("/v1/explain", {"ref": ref})
    if as_json:
        print_json(explained)
        return
    click.echo(f"Refused at {explained['at']} by {explained['where'] or 'no route'}:")
    for reason in explained["reasons"]:
        click.echo(f"  {reason['reason']}  ({reason['category']}, HTTP {reason['status']})")
    click.echo("Each reason stands in docs/reasons.md.")
