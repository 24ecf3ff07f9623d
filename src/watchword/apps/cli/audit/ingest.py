"""Read the refusals in an engine's access log."""

import signal
import sys
import threading
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from watchword.apps.terminal.console import EXIT_REFUSED, print_json
from watchword.apps.terminal.paragraphs import printable
from watchword.encoding.wording import counted

if TYPE_CHECKING:
    from watchword.apps.engines.logs.ingesting import BadLine, Ingestion, Tally

MOST_TOLD: Final = 20
"""Most bad lines that are told one by one, of all logs of a run together."""

LOOK_SECONDS: Final = 0.5
"""How often logs that are followed are looked at."""

_STDIN: Final = Path("-")


class _Told:
    """Tell of bad lines, a few of them; the tally has each."""

    def __init__(self) -> None:
        self.lines: list[BadLine] = []

    def __call__(self, bad: "BadLine") -> None:
        if len(self.lines) == MOST_TOLD:
            return
        self.lines.append(bad)
        more = "; further ones are only counted" if len(self.lines) == MOST_TOLD else ""
        click.echo(printable(f"{bad.file}:{bad.line}: {bad.fault}{more}"), err=True)


@click.command(
    epilog="Example: watchword audit ingest --engine envoy logs/access.log.1 logs/access.log"
)
@click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE...",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
)
@click.option(
    "--engine",
    type=click.Choice(["envoy", "nginx", "nginx-authz", "haproxy", "caddy", "traefik"]),
    help="Whose log it is; found out where the lines of Envoy, Caddy or Traefik show it.",
)
@click.option("--follow", is_flag=True, help="Go on as the logs grow, until a signal.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each log.")
@click.pass_obj
def command(
    config: Path, *, files: tuple[Path, ...], engine: str | None, follow: bool, as_json: bool
) -> None:
    """Read the refusals in an engine's access log; - is the standard input.

    Afterwards `watchword explain REF` knows the ref that a client was told, and `watchword metrics`
    counts them.  All are counted; the latest 5000 of each reason are kept.  A log that was read before
    adds what is new, also after its rotation, compressed (gzip) or not; the order is older logs first.
    What comes over a pipe is known by its lines, as long as they are kept.

    Exit code 0: all lines were understood.  1: some weren't, they are told and left out.
    2: wrong usage.  3: a log can't be read, or nothing can be kept.
    """
    from watchword.adapters.engine_refusals import EngineRefusals
    from watchword.apps.engines.logs.ingesting import Ingestion
    from watchword.apps.settings import load_settings

    if follow and len(set(files)) != len(files):
        raise click.UsageError("got a log twice.")
    kept = EngineRefusals(load_settings(config).service.engine_refusals)
    told = _Told()
    stdin = sys.stdin.buffer
    logs = [
        Ingestion(kept, file, engine, told, grows=follow, pipe=stdin if file == _STDIN else None)
        for file in files
    ]
    try:
        for log in () if follow else logs:
            log.read()
        if follow:
            _follow(logs)
    finally:
        for log in logs:
            log.close()
            _show(log.tally, as_json=as_json)
    if any(log.tally.bad for log in logs):
        raise click.exceptions.Exit(EXIT_REFUSED)


def _follow(logs: "list[Ingestion]") -> None:
    """Read again and again what is new, until a signal."""
    stopped = threading.Event()

    def stop(*_: object) -> None:
        first = not stopped.is_set()
        stopped.set()
        if first and any(log.waits for log in logs):
            # Nothing else ends the wait for a pipe that has nothing to say.
            raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    with suppress(KeyboardInterrupt):
        while not stopped.is_set():
            for log in logs:
                log.read()
            stopped.wait(LOOK_SECONDS)


def _show(tally: "Tally", *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(tally))
        return
    parts = [f"{counted(tally.added, 'refusal')} added"]
    parts += [f"{tally.known} known before"] if tally.known else []
    parts += [f"{tally.passed} lines of other answers"] if tally.passed else []
    parts += [f"{tally.bad} lines not understood"] if tally.bad else []
    click.echo(printable(f"{tally.file}: {', '.join(parts)}"))
    if tally.rest:
        click.echo(f"  That were {tally.lines} lines; there is more: run it again.")
