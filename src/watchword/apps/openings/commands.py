"""Run what :mod:`watchword.apps.openings.cli` declares."""

from pathlib import Path
from typing import Any, Final

import click

from watchword.apps.service.client import NOT_RECORDED, operator_of
from watchword.apps.terminal.console import print_json
from watchword.apps.terminal.paragraphs import table

STAY_CLOSED: Final = "nginx, HAProxy and Envoy with rules of their own, and gates of 0.2.0, stay closed: they can't count down."
"""Which enforcement points keep no opening."""


def add_command(
    config: Path, *, route: str, mode: str, lasts: int, because: str, as_json: bool
) -> None:
    """See ``watchword openings add``."""
    wanted = {"route": route, "mode": mode, "seconds": lasts, "because": because}
    with operator_of(config) as service:
        made = service.post("/v1/openings", wanted)
    if as_json:
        print_json(made)
        return
    click.echo(f"Opened {made['route']} to {made['mode']} until {_shortened(made['until'])} UTC.")
    click.echo(f"  {STAY_CLOSED}", err=True)


def list_command(config: Path, *, as_json: bool) -> None:
    """See ``watchword openings list``."""
    with operator_of(config) as service:
        openings = service.get("/v1/openings")["openings"]
    if as_json:
        for each in openings:
            print_json(each)
        return
    if not openings:
        click.echo("Nothing is open.")
        return
    for line in table(("route", "mode", "until", "by", "why"), map(_row, openings)):
        click.echo(line)


def _row(each: dict[str, Any]) -> tuple[str, ...]:
    return (each["route"], each["mode"], _shortened(each["until"]), each["by"], each["because"])


def _shortened(at: str) -> str:
    """Return a time of the service's as people read it: month, day, hour, minute and second, in UTC."""
    return at[5:19].replace("T", " ")


def end_command(config: Path, *, route: str, as_json: bool) -> None:
    """See ``watchword openings end``."""
    with operator_of(config) as service:
        ended = service.post("/v1/openings/end", {"route": route})
    if as_json:
        print_json(ended)
        return
    word = "Closed" if ended["ended"] else "Nothing changed: it wasn't open:"
    click.echo(f"{word} {ended['route']}")
    if not ended["recorded"]:
        click.echo(f"  {NOT_RECORDED}", err=True)
