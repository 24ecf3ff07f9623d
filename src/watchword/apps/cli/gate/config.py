"""Write an engine's configuration once."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from watchword.apps.cli.gate.options import engine_options
from watchword.apps.cli.gate.sources import following
from watchword.apps.terminal.console import print_json
from watchword.apps.terminal.paragraphs import printable_lines
from watchword.engines.registry import ENGINES

if TYPE_CHECKING:
    from watchword.engines.interface import EngineOptions, Files
    from watchword.gate.bundle import GateBundle

_RESOLVING_PATIENCE = 5.0
"""Seconds for which the addresses of all origins are waited for."""


@click.command(
    epilog="Example: watchword gate config --engine caddy -o caddy/ --listen 127.0.0.1:8081"
)
@click.option("--engine", type=click.Choice(sorted(ENGINES)), required=True)
@engine_options
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
@click.pass_obj
def command(
    config: Path, /, *, engine: str, output: Path, as_json: bool, **given: str | None
) -> None:
    """Write the complete configuration from the route table and the gate bundle.

    What the engine can't do exactly as the gate does is refused, with the reason, and nothing is
    written.  Keys, addresses and windows of quotas are those of now: `watchword gate envoy` and
    `watchword gate follow` keep them up to date.  Caddy, Traefik and nginx-authz ask `/authz`: the API's
    `authz` section in the file switches it on (docs/forward-auth.md).

    Exit code 0: written.  1: refused.  2: wrong usage.  3: there is no bundle yet.
    """
    from watchword.adapters.clock import SystemClock
    from watchword.apps.engines.files import write_files

    source, options = following(config, output, given, engine=engine, required=True)
    bundle, now = source.bundle, SystemClock().timestamp()
    described = ENGINES[engine]
    if described.generate is None:
        files, start, still = _envoy(bundle, options, now)
    else:
        files = described.generate(bundle, options, now)
        start = "" if described.start is None else described.start(options)
        still = [described.unfollowed] * described.follows
    write_files(output, files)
    if as_json:
        names = [file.name for file in files]
        print_json({"engine": engine, "directory": output, "files": names, "start": start})
        return
    click.echo(f"Wrote {len(files)} files for {engine} into {output}.")
    click.echo(f"  start   {start}")
    if described.generate is None or described.follows:
        verb = "envoy" if described.generate is None else f"follow --engine {engine}"
        click.echo(f"  follow  watchword gate {verb} {_repeated(output, given)}")
    for what in still:
        click.echo(f"  until you follow, {what}")
    if given["listen"] is None:
        where = options.listen.socket or f"{options.listen.host}:{options.listen.port}"
        click.echo(f"  `watchword up` takes {where} itself where it runs; --listen names another")


def _repeated(output: Path, given: Mapping[str, object]) -> str:
    """Return the options as they were given: without --listen, say, a follower would write another address."""
    words = ["-o", str(output)]
    for name, value in given.items():
        if value is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join(words)


def _envoy(
    bundle: "GateBundle", given: "EngineOptions", now: float
) -> tuple["Files", str, Sequence[str]]:
    """Return Envoy's files, how it is started, and what stays as it is; it needs addresses beside the bundle."""
    from watchword.apps.cli.gate.envoy import new_origins
    from watchword.apps.engines.places import envoy_options
    from watchword.engines.envoy.generation import BOOTSTRAP, generate, stands_still
    from watchword.engines.envoy.lending import lent_rules
    from watchword.engines.envoy.options import START_OPTIONS

    options = envoy_options(given)
    origins = new_origins()
    addresses: Mapping[str, Sequence[str]] = origins.look(
        lent_rules(bundle.policy), _RESOLVING_PATIENCE
    )
    for fault in origins.faults():
        click.echo(printable_lines(fault), err=True)
    files = generate(bundle, options, now, addresses)
    start = f"envoy -c {options.path(BOOTSTRAP)} {' '.join(START_OPTIONS)}"
    return files, start, stands_still(bundle)
