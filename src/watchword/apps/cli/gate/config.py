"""Write an engine's configuration once."""

from pathlib import Path

import click

from watchword.apps.cli.console import print_json
from watchword.apps.cli.gate.options import engine_options
from watchword.apps.cli.paragraphs import printable_lines
from watchword.engines.registry import ENGINES

_RESOLVING_PATIENCE = 5.0
"""Seconds for which the addresses of all origins are waited for."""


@click.command(
    epilog="Example: watchword gate config --engine envoy -o envoy/ --authz unix:authz.sock"
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
    written.  Keys, addresses and windows of quotas are those of now: `watchword gate envoy`
    follows them.

    Exit code 0: written.  1: refused.  2: wrong usage.  3: there is no bundle yet.
    """
    from watchword.adapters.clock import SystemClock
    from watchword.apps.cli.gate.envoy import following, new_origins
    from watchword.apps.control_plane.files import write_files
    from watchword.engines.envoy.generation import BOOTSTRAP, generate, stands_still
    from watchword.engines.envoy.lending import lent_rules
    from watchword.engines.envoy.options import START_OPTIONS

    source, options = following(config, output, given, required=True)
    bundle = source.bundle
    origins = new_origins()
    addresses = origins.look(lent_rules(bundle.policy), _RESOLVING_PATIENCE)
    for fault in origins.faults():
        click.echo(printable_lines(fault), err=True)
    files = generate(bundle, options, SystemClock().timestamp(), addresses)
    write_files(output, files)
    start = f"envoy -c {options.path(BOOTSTRAP)} {' '.join(START_OPTIONS)}"
    if as_json:
        names = [file.name for file in files]
        print_json({"engine": engine, "directory": output, "files": names, "start": start})
        return
    click.echo(f"Wrote {len(files)} files for {engine} into {output}.")
    click.echo(f"  start   {start}")
    click.echo(f"  follow  watchword gate envoy -o {output}")
    for what in stands_still(bundle):
        click.echo(f"  until you follow, {what}")
