"""Say why a request was refused."""

from pathlib import Path

import click

from watchword.apps.cli.console import NAMES_LIKE_OPTIONS, print_json
from watchword.apps.cli.paragraphs import hanging, show
from watchword.apps.cli.refusals_view import show_refusals


@click.command(
    context_settings=NAMES_LIKE_OPTIONS, epilog="Example: watchword explain ZJWfnnbyIDdQ..."
)
@click.argument("ref", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the explanation as JSON.")
@click.pass_obj
def command(config: Path, *, ref: str | None, as_json: bool) -> None:
    """Open the reference (`ref`) of a refusal: when, where, for which reasons, and what to do.

    The reference holds all of it, encrypted for this deployment; nothing was stored.  Without
    one, show the latest refusals, as `watchword metrics` does.
    """
    from watchword.apps.operator_client import OperatorClient
    from watchword.apps.reason_texts import text_of
    from watchword.apps.settings import load_settings

    with OperatorClient(load_settings(config).service.operator_socket) as operator:
        if ref is None:
            refusals = operator.get("/v1/refusals")
            print_json(refusals) if as_json else show_refusals(refusals)
            return
        explained = operator.post("/v1/explain", {"ref": ref})
    for reason in explained["reasons"]:
        reason["text"] = text_of(reason["reason"])
    if as_json:
        print_json(explained)
        return
    click.echo(f"Refused at {explained['at']} by {explained['where'] or 'no route'}:")
    for reason in explained["reasons"]:
        click.echo(f"  {reason['reason']}  ({reason['category']}, HTTP {reason['status']})")
        show(hanging(f"    {reason['text']}", further=0))
