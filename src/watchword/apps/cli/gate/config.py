"""Write an engine's configuration once."""

from pathlib import Path

import click

from watchword.apps.cli.console import print_json
from watchword.apps.cli.gate.options import engine_options
from watchword.engines.registry import ENGINES


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
    written.

    Exit code 0: written.  1: refused.  2: wrong usage.  3: there is no bundle yet.
    """
    from watchword.adapters.clock import SystemClock
    from watchword.apps.cli.gate.envoy import following
    from watchword.apps.control_plane.files import write_files
    from watchword.engines.envoy.generation import BOOTSTRAP, generate

    source, options = following(config, output, given, required=True)
    files = generate(source.bundle, options, SystemClock().timestamp())
    write_files(output, files)
    start = f"envoy -c {options.path(BOOTSTRAP)} --disable-hot-restart"
    if as_json:
        names = [file.name for file in files]
        print_json({"engine": engine, "directory": output, "files": names, "start": start})
        return
    click.echo(f"Wrote {len(files)} files for {engine} into {output}.")
    click.echo(f"  start   {start}")
    click.echo(f"  follow  watchword gate envoy -o {output}")
