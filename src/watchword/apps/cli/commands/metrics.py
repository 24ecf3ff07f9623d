"""Show the running service's counters."""

from pathlib import Path

import click

from watchword.apps.cli.console import print_json
from watchword.apps.cli.refusals_view import show_refusals


@click.command(epilog="Example: watchword metrics --prometheus")
@click.option("--json", "as_json", is_flag=True, help="Print counters and samples as JSON.")
@click.option("--prometheus", is_flag=True, help="Print what a scrape of /metrics gets.")
@click.pass_obj
def command(config: Path, *, as_json: bool, prometheus: bool) -> None:
    """Show refusals by reason and place, and the latest of each reason.

    Counters start at zero with the service.  Prometheus reads them at /metrics on the operator's
    socket.
    """
    if as_json and prometheus:
        raise click.UsageError("--json and --prometheus don't go together.")
    from watchword.apps.operator_client import OperatorClient
    from watchword.apps.settings import load_settings

    with OperatorClient(load_settings(config).service.operator_socket) as operator:
        if prometheus:
            click.echo(operator.text("/metrics"), nl=False)
            return
        refusals = operator.get("/v1/refusals")
    if as_json:
        print_json(refusals)
        return
    show_refusals(refusals)
