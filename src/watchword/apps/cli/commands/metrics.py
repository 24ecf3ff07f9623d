"""Show the running service's counters."""

from pathlib import Path

import click

from watchword.apps.cli.engine_refusals_view import engine_document, kept_refusals, show_engines
from watchword.apps.cli.refusals_view import show_refusals
from watchword.apps.terminal.console import print_json


@click.command(epilog="Example: watchword metrics --prometheus")
@click.option("--json", "as_json", is_flag=True, help="Print counters and samples as JSON.")
@click.option("--prometheus", is_flag=True, help="Print what a scrape of /metrics gets.")
@click.pass_obj
def command(config: Path, *, as_json: bool, prometheus: bool) -> None:
    """Show refusals by reason and place, and the latest of each reason.

    Counters start at zero with the service.  Prometheus reads them at /metrics on the operator's
    socket.  What engines refused is counted beside them, as far as `watchword audit ingest` read it.
    """
    if as_json and prometheus:
        raise click.UsageError("--json and --prometheus don't go together.")
    from watchword.apps.service.client import OperatorClient
    from watchword.apps.settings import load_settings

    service = load_settings(config).service
    with OperatorClient(service.operator_socket) as operator:
        if prometheus:
            click.echo(operator.text("/metrics"), nl=False)
            return
        refusals = operator.get("/v1/refusals")
    engines = engine_document(kept_refusals(service))
    if as_json:
        print_json(refusals | {"engines": engines})
        return
    show_refusals(refusals)
    show_engines(engines)
