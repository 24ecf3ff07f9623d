"""Write an engine's configuration once."""

from pathlib import Path

import click

from watchword.apps.cli.console import print_json
from watchword.engines.registry import ENGINES


@click.command(
    epilog="Example: watchword gate config --engine envoy -o envoy/ --authz unix:authz.sock"
)
@click.option("--engine", type=click.Choice(sorted(ENGINES)), required=True)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="The directory for the files, made with mode 0700.",
)
@click.option("--api", metavar="NAME", help="Which API; not needed where there is one.")
@click.option("--bundle", type=click.Path(path_type=Path, dir_okay=False), help="The gate bundle.")
@click.option(
    "--signer", type=click.Path(path_type=Path, dir_okay=False), help="The service's public key."
)
@click.option("--listen", metavar="HOST:PORT", help="Where clients come in, if not as in the file.")
@click.option(
    "--authz", metavar="unix:PATH", help="Where forward auth answers, if not as in the file."
)
@click.option(
    "--access-log",
    type=click.Path(path_type=Path, dir_okay=False),
    help="JSON log of refusals, if not stdout.",
)
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
