"""Enrol a test instance by an operator's code."""

import re
import sys
from pathlib import Path
from typing import Final

import click

from watchword.apps.terminal.console import print_json

_CODE: Final = re.compile(r"[!-~]{1,200}")


@click.command(epilog="Example: watchword drill enrol --app clinic-ios -o instance.json < code.txt")
@click.option("--api", metavar="NAME", help="Which API, where the file has several.")
@click.option("--app", required=True, metavar="NAME", help="The app that the code is for.")
@click.option("--service", metavar="URL", help="The service, if not where the file says.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("instance.json"),
    show_default=True,
    help="Where its keys are kept, mode 0600.",
)
@click.option(
    "--ca",
    type=click.Path(path_type=Path, dir_okay=False),
    help="PEM of the authority that signed the service's certificate.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was enrolled as JSON.")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    api: str | None,
    app: str,
    service: str | None,
    output: Path,
    ca: Path | None,
    as_json: bool,
) -> None:
    """Enrol a test instance by the code of `watchword instances invite`, read from standard input.

    It is the genuine side of a drill against a real deployment.  A code is good for one instance; an argument would
    stand in the list of processes, so that it is read from standard input.
    """
    from watchword.adapters.clock import SystemClock
    from watchword.apps.drill.course import api_of, urls_of
    from watchword.apps.drill.invited_instance import enrolled, reserve, write_instance
    from watchword.apps.settings import load_settings
    from watchword.drill.wire import Part

    settings = load_settings(ctx.obj)
    chosen = api_of(settings, api)
    if app not in chosen.apps:
        raise click.UsageError(f"--app: got {app!r}, expected one of: {', '.join(chosen.apps)}")
    code = "" if sys.stdin is None else sys.stdin.readline(256).strip()
    if _CODE.fullmatch(code) is None:
        # It isn't quoted: a slip at its end leaves the rest as good as it was.
        raise click.UsageError(
            "got no code on standard input; make one: watchword instances invite"
        )
    where = service or urls_of(settings, chosen, None)[Part.SERVICE]
    # First the file, then the code: once that is spent it can't be used for another try.
    reserve(output)
    try:
        instance = enrolled(settings, app, code, where, SystemClock(), ca)
        write_instance(output, instance)
    except BaseException:
        output.unlink(missing_ok=True)
        raise
    if as_json:
        print_json({"instance": instance.instance, "app": app, "file": output})
    else:
        click.echo(f"Enrolled {instance.instance} of {app}; its keys are in {output}.")
