"""Keep an Envoy of this machine up to date, and run it where that is asked for."""

import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from watchword.apps.cli.gate.options import engine_options
from watchword.apps.cli.gate.sources import following
from watchword.apps.terminal.console import EXIT_REFUSED, print_json
from watchword.apps.terminal.paragraphs import printable_lines

if TYPE_CHECKING:
    from watchword.apps.engines.origins import Origins
    from watchword.apps.engines.process import EnvoyProcess
    from watchword.engines.envoy.options import EnvoyOptions

_CHECK_EVERY = 5
"""Envoy is asked what it rejected at every fifth look."""


@click.command(epilog="Example: watchword gate envoy -o envoy/ --listen 127.0.0.1:8081 --run")
@engine_options
@click.option("--run", "runs", is_flag=True, help="Start Envoy too, and end it at the end.")
@click.option(
    "--envoy", type=click.Path(path_type=Path, dir_okay=False), help="Its binary, if not found."
)
@click.option("--workers", type=click.IntRange(0, 256), default=0, help="Of Envoy; 0: one a core.")
@click.option("--json", "as_json", is_flag=True, help="Print each event as one JSON object.")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    output: Path,
    as_json: bool,
    runs: bool,
    envoy: Path | None,
    workers: int,
    **given: Any,
) -> None:
    """Follow the gate bundle and rewrite Envoy's files on each new generation.

    A revoked key or instance is refused within a second.  A broken bundle, or one that Envoy
    rejects, changes nothing; of one with routes that it can't have, all else counts; what is wrong goes to
    stderr.  Envoy goes on enforcing when this ends, unless it was started here with --run; one that dies is
    started again.

    The service writes the bundle, so that `watchword up` (or `watchword gate pull`) runs beside this.  Routes of
    the file count once `up` was started again; where clients come in and where the API is, once this was.

    Exit code 0: stopped.  1: something was rejected meanwhile, or Envoy can't run.  2: wrong usage.
    """
    from watchword.adapters.clock import SystemClock
    from watchword.apps.engines.output import append_to_output
    from watchword.apps.engines.places import envoy_options
    from watchword.apps.engines.plane import LOOK_SECONDS, ControlPlane
    from watchword.apps.engines.process import find_envoy

    binary = find_envoy(envoy) if runs else None
    if runs:
        append_to_output()
    source, places = following(ctx.obj, output, given, engine="envoy")
    options = envoy_options(places)
    plane = ControlPlane(source, options, SystemClock().timestamp, _tell, new_origins())
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    process: EnvoyProcess | None = None
    looks, told = 0, None
    try:
        while not stopped.is_set():
            if plane.step():
                # Addresses that changed and windows that ended are written without a word.
                if source.generation != told:
                    told = _tell_written(source.generation, output, as_json=as_json)
                if binary is not None and process is None:
                    process = _started(binary, options, workers, as_json=as_json)
            if process is not None:
                process.keep_running()
            looks += 1
            if looks % _CHECK_EVERY == 0:
                plane.check()
            stopped.wait(LOOK_SECONDS)
    finally:
        if process is not None:
            process.stop()
    ctx.exit(EXIT_REFUSED if plane.faults else 0)


def _tell_written(generation: int, output: Path, *, as_json: bool) -> int:
    if as_json:
        print_json({"generation": generation, "directory": output})
    else:
        click.echo(f"Wrote generation {generation} into {output}.")
    return generation


def new_origins() -> "Origins":
    """Return what finds the addresses of the origins that keys are lent to."""
    from watchword.apps.engines.origins import Origins, system_resolver

    return Origins(system_resolver, time.monotonic)  # noqa: TID251 - how old an answer is.


def _tell(text: str) -> None:
    click.echo(printable_lines(text), err=True)


def _started(
    binary: Path, options: "EnvoyOptions", workers: int, *, as_json: bool
) -> "EnvoyProcess":
    from watchword.apps.engines.process import EnvoyProcess
    from watchword.engines.envoy.generation import BOOTSTRAP

    monotonic = time.monotonic  # noqa: TID251 - how long a process has run.
    command = (binary, Path(options.path(BOOTSTRAP)), workers)
    process = EnvoyProcess(command, options.listen, Path(options.admin.socket), _tell, monotonic)
    listen = options.listen
    where = listen.socket or f"{listen.host}:{listen.port}"
    if as_json:
        print_json({"envoy": "adopted" if process.adopted else "started", "listen": where})
        return process
    found = "An Envoy runs here already and is taken over" if process.adopted else "Envoy starts"
    click.echo(f"{found}; clients come in at {where}. Ctrl-C ends both.")
    return process
