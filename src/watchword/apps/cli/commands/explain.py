"""Say why a request was refused."""

import difflib
from pathlib import Path
from typing import Any, Final

import click

from watchword.apps.cli.engine_refusals_view import kept_refusals, show_kept, shown_refusal
from watchword.apps.cli.refusals_view import show_refusals
from watchword.apps.terminal.console import NAMES_LIKE_OPTIONS, print_json
from watchword.apps.terminal.paragraphs import hanging, show
from watchword.reasons import Reason, RefusedError, UnavailableError

_MAX_ID: Final = 64
"""Most characters of a request's id; what is sealed has twice as many."""

_OF_AN_ENGINE: Final = "this ref has the length of an engine's: `watchword audit ingest --engine NAME LOG` reads why from its log"


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
    ingest` read the engine's log.  Of a reason (`gate.rate`), say what it means.  Without either, show
    the latest refusals, as `watchword metrics` does.
    """
    if ref is not None and (reason := _named_reason(ref)):
        _explain({"reasons": [reason]}, as_json=as_json)
        return
    from watchword.apps.service.client import OperatorClient
    from watchword.apps.settings import load_settings

    service = load_settings(config).service
    if ref is None:
        with OperatorClient(service.operator_socket) as operator:
            refusals = operator.get("/v1/refusals")
        print_json(refusals) if as_json else show_refusals(refusals)
        return
    # What is sealed says more than a log, and can't be forged: the service is asked first, where one runs.
    ask = len(ref) > _MAX_ID and service.operator_socket.exists()
    found = None if ask else kept_refusals(service).find(ref)
    if found is None:
        try:
            with OperatorClient(service.operator_socket) as operator:
                _explain(operator.post("/v1/explain", {"ref": ref}), as_json=as_json)
        except (RefusedError, UnavailableError):
            found = kept_refusals(service).find(ref)
            if found is None:
                if len(ref) <= _MAX_ID:
                    click.echo(_OF_AN_ENGINE, err=True)
                raise
    if found is not None:
        _explain(shown_refusal(found), as_json=as_json)


def _named_reason(ref: str) -> dict[str, Any] | None:
    """Return the reason of this name; None where it is a reference, which looks like no reason."""
    codes = {each.code: each for each in Reason}
    reason = codes.get(ref)
    if reason is not None:
        return {
            "reason": ref,
            "category": reason.category.value,
            "status": reason.public.status,
        }
    near = difflib.get_close_matches(ref, codes, n=1) if "." in ref else []
    if near:
        raise click.UsageError(f"{ref} is no reason; did you mean {near[0]}?")
    return None


def _explain(explained: dict[str, Any], *, as_json: bool) -> None:
    from watchword.apps.problems import text_of

    for reason in explained["reasons"]:
        reason["text"] = text_of(reason["reason"])
    if as_json:
        print_json(explained)
        return
    if "engine" in explained:
        show_kept(explained)
    elif "at" in explained:
        click.echo(f"Refused at {explained['at']} by {explained['where'] or 'no route'}:")
    for reason in explained["reasons"]:
        click.echo(f"  {reason['reason']}  ({reason['category']}, HTTP {reason['status']})")
        show(hanging(f"    {reason['text']}", further=0))
