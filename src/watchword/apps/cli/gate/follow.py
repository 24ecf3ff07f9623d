"""Keep an engine of this machine up to date, and run it where that is asked for."""

import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from watchword.apps.cli.gate.options import engine_options
from watchword.apps.cli.gate.sources import following
from watchword.apps.terminal.console import EXIT_REFUSED, print_json
from watchword.apps.terminal.paragraphs import printable_lines
from watchword.engines.registry import ENGINES

if TYPE_CHECKING:
    from watchword.engines.interface import Endpoint

_FOLLOWED = sorted(name for name, engine in ENGINES.items() if engine.follows)


@click.command(
    epilog="Example: watchword gate follow --engine nginx -o nginx/ --listen 127.0.0.1:8081 --run"
)
@click.option("--engine", type=click.Choice(_FOLLOWED), required=True)
@engine_options
@click.option("--run", "runs", is_flag=True, help="Start the engine too, and end it at the end.")
@click.option(
    "--binary", type=click.Path(path_type=Path, dir_okay=False), help="Of the engine, if not found."
)
@click.option("--json", "as_json", is_flag=True, help="Print each event as one JSON object.")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    engine: str,
    output: Path,
    runs: bool,
    binary: Path | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Follow the gate bundle and bring each new generation to the engine.

    A revoked key or instance is refused within a second.  A broken bundle changes nothing; of one with routes that
    the engine can't have, all else counts; what is wrong goes to stderr.  The engine goes on enforcing when this
    ends, unless it was started here with --run; one that dies is started again.  Envoy has a
    command of its own: `watchword gate envoy`.

    The service writes the bundle, so that `watchword up` (or `watchword gate pull`) runs beside this.  Routes of
    the file count once `up` was started again; where clients come in and where the API is, once this was.

    Exit code 0: stopped.  1: something was rejected meanwhile, or the engine can't run.  2: wrong usage.
    """
    from watchword.adapters.clock import SystemClock
    from watchword.apps.engines.following import EngineFollower
    from watchword.apps.engines.output import append_to_output
    from watchword.apps.engines.plane import LOOK_SECONDS
    from watchword.apps.engines.running import RUNNING

    source, options = following(ctx.obj, output, given, engine=engine)
    if runs:
        append_to_output()
    running = RUNNING[engine](options, binary, runs, _tell)
    now = SystemClock().timestamp
    follower = EngineFollower(source, ENGINES[engine], options, running, now, _tell)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    written, told = False, False
    try:
        while not stopped.is_set():
            if follower.step():
                written = True
                _tell_written(engine, source.generation, output, as_json=as_json)
            if written and runs:
                running.keep_running()
                if not told:
                    _tell_where(engine, options.listen, as_json=as_json)
                told = True
            stopped.wait(LOOK_SECONDS)
    finally:
        running.stop()
    ctx.exit(EXIT_REFUSED if follower.faults else 0)


def _tell(text: str) -> None:
    click.echo(printable_lines(text), err=True)


def _tell_written(engine: str, generation: int, output: Path, *, as_json: bool) -> None:
    if as_json:
        print_json({"engine": engine, "generation": generation, "directory": output})
    else:
        click.echo(f"Wrote generation {generation} for {engine} into {output}.")


def _tell_where(engine: str, listen: "Endpoint", *, as_json: bool) -> None:
    where = listen.socket or f"{listen.host}:{listen.port}"
    if as_json:
        print_json({"engine": engine, "listen": where})
    else:
        click.echo(
            f"Clients come in at {where}. Ctrl-C ends this, and {engine} if it was started here."
        )
