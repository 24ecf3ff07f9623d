"""List observations, and say of each whether it counts."""

from typing import TYPE_CHECKING, Any

import click

from watchword.apps.terminal.console import EXIT_REFUSED, print_json

if TYPE_CHECKING:
    from watchword.apps.cli.observe.judged import Weighed


@click.command("list", epilog="Example: watchword observe list --protection PR-B01")
@click.option("--protection", metavar="ID", help="Only those of this protection.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_context
def command(ctx: click.Context, *, protection: str | None, as_json: bool) -> None:
    """List observations, the newest first: what each is worth now, and why.

    A star marks the one that decides how its protection stands at its target. Ends with 1 where a
    line of the file can't be read.
    """
    from watchword.adapters.clock import SystemClock
    from watchword.apps.cli.observe.judged import troubles, weigh
    from watchword.apps.observations import read_observations
    from watchword.apps.settings.plan import load_plan
    from watchword.apps.terminal.paragraphs import printable

    settings = load_plan(ctx.obj)
    reading = read_observations(settings.observations, settings.observers)
    rows = weigh(settings, reading, SystemClock().now())
    shown = [each for each in rows if protection in {None, each.observation.protection}]
    if as_json:
        for row in shown:
            print_json(members_of(row))
    elif shown:
        _show(shown)
    else:
        click.echo(f"No observations in {printable(str(settings.observations))}.")
    for line in troubles(reading, str(settings.observations)):
        click.echo(printable(line), err=True)
    if reading.faults:
        ctx.exit(EXIT_REFUSED)


def members_of(row: "Weighed") -> dict[str, Any]:
    """Return a statement and its worth for scripts."""
    from watchword.apps.observations import to_json

    return {
        **to_json(row.observation),
        "verified": row.observer is not None,
        "observer": row.observer,
        "stands": row.state.value if row.state else None,
        "decides": row.decides,
        "why": row.why,
    }


def _show(rows: list["Weighed"]) -> None:
    from watchword.apps.terminal.paragraphs import hanging, show

    cells = [("", "at (UTC)", "protection", "target", "route", "key", "said", "worth", "by")]
    cells += [
        (
            "*" if row.decides else " ",
            f"{row.observation.at:%Y-%m-%d %H:%M}",
            row.observation.protection,
            row.observation.target,
            str(row.observation.route or ""),
            row.observation.key,
            row.observation.state.value,
            row.state.value if row.state else "unknown",
            row.observer or "nobody",
        )
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for index, line in enumerate(cells):
        padded = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        click.echo("  ".join(padded).rstrip())
        if index:
            show(hanging(f"     {rows[index - 1].why}"))
