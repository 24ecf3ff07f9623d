"""Run what :mod:`watchword.apps.engines.logs.cli` declares."""

import signal
import sys
import threading
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click

from watchword.adapters.engine_refusals import EngineRefusals
from watchword.apps.engines.logs.ingestion import BadLine, Ingestion, Tally
from watchword.apps.settings.load import load_settings
from watchword.apps.terminal.console import EXIT_REFUSED, print_json
from watchword.apps.terminal.paragraphs import printable
from watchword.encoding.phrases import counted

MOST_TOLD: Final = 20
"""Most bad lines that are told one by one, of all logs of a run together."""

LOOK_SECONDS: Final = 0.5
"""How often logs that are followed are looked at."""

_STDIN: Final = Path("-")


class _Told:
    """Tell of bad lines, a few of them; the tally has each."""

    def __init__(self) -> None:
        self.lines: list[BadLine] = []

    def __call__(self, bad: BadLine) -> None:
        if len(self.lines) == MOST_TOLD:
            return
        self.lines.append(bad)
        more = "; further ones are only counted" if len(self.lines) == MOST_TOLD else ""
        click.echo(printable(f"{bad.file}:{bad.line}: {bad.fault}{more}"), err=True)


def ingest_command(
    config: Path, *, files: tuple[Path, ...], engine: str | None, follow: bool, as_json: bool
) -> None:
    """See ``watchword audit ingest``."""
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


def _follow(logs: list[Ingestion]) -> None:
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


def _show(tally: Tally, *, as_json: bool) -> None:
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
