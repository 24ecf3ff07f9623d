"""Write all observations as JSON, for other tools."""

import json

import click

from watchword.apps.terminal.console import EXIT_REFUSED, print_json


@click.command(epilog="Example: watchword observe export > observations.json")
@click.option("--json", "as_json", is_flag=True, help="Print it on one line.")
@click.pass_context
def command(ctx: click.Context, *, as_json: bool) -> None:
    """Write every observation with who vouches for it and what it is worth now, as one JSON object.

    Lines that can't be read stand under `unreadable`, and the command then ends with 1.
    """
    from watchword.adapters.clock import SystemClock
    from watchword.apps.cli.observe.judged import weigh
    from watchword.apps.cli.observe.listing import members_of
    from watchword.apps.observations import read_observations
    from watchword.apps.observations.document import time_text
    from watchword.apps.settings.plan import load_plan

    settings = load_plan(ctx.obj)
    now = SystemClock().now()
    reading = read_observations(settings.observations, settings.observers)
    document = {
        "made_at": time_text(now),
        "environment": settings.environment.value,
        "observations": [members_of(row) for row in weigh(settings, reading, now)],
        "unreadable": [
            {"line": each.line, "fault": each.text} for each in (*reading.faults, *reading.notes)
        ],
    }
    if as_json:
        print_json(document)
    else:
        click.echo(json.dumps(document, indent=2))
    if reading.faults:
        ctx.exit(EXIT_REFUSED)
