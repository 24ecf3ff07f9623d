"""Say why a request was refused."""

from pathlib import Path
from typing import Any

import click

from watchword.apps.cli.console import NAMES_LIKE_OPTIONS, print_json
from watchword.apps.cli.engine_refusals_view import kept_refusals, show_kept, shown_refusal
from watchword.apps.cli.paragraphs import hanging, show
from watchword.apps.cli.refusals_view import show_refusals
from watchword.reasons import RefusedError, UnavailableError


@click.command(
    context_settings=NAMES_LIKE_OPTIONS, epilog="Example: watchword explain ZJWfnnbyIDdQ..."
)
@click.argument("ref", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the explanation as JSON.")
@click.pass_obj
def command(config: Path, *, ref: str | None, as_json: bool) -> None:
    """Open the reference (`ref`) of a refusal: when, where, for which reasons, and what to do.

    The reference holds all of it, encrypted for this deployment; nothing was stored.  That of an
    engine (Envoy, nginx, HAProxy) is the id of the request, which is known once `watchword audit
    ingest` read the engine's log.  Without one, show the latest refusals, as `watchword metrics` does.
    """
    from watchword.apps.operator_client import OperatorClient
    from watchword.apps.settings import load_settings

    service = load_settings(config).service
    found = None if ref is None else kept_refusals(service).find(ref)
    runs = service.operator_socket.exists()
    if found is not None and (found.refusal.reason is not None or not runs):
        _explain(shown_refusal(found), as_json=as_json)
        return
    try:
        with OperatorClient(service.operator_socket) as operator:
            if ref is None:
                refusals = operator.get("/v1/refusals")
                print_json(refusals) if as_json else show_refusals(refusals)
                return
            explained = operator.post("/v1/explain", {"ref": ref})
    except (RefusedError, UnavailableError):
        if found is None:
            raise
        # A sealed reference that an engine passed on says more than its log; this is none, or nobody opens it.
        explained = shown_refusal(found)
    _explain(explained, as_json=as_json)


def _explain(explained: dict[str, Any], *, as_json: bool) -> None:
    from watchword.apps.reason_texts import text_of

    for reason in explained["reasons"]:
        reason["text"] = text_of(reason["reason"])
    if as_json:
        print_json(explained)
        return
    if "engine" in explained:
        show_kept(explained)
    else:
        click.echo(f"Refused at {explained['at']} by {explained['where'] or 'no route'}:")
    for reason in explained["reasons"]:
        click.echo(f"  {reason['reason']}  ({reason['category']}, HTTP {reason['status']})")
        show(hanging(f"    {reason['text']}", further=0))
