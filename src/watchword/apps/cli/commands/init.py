"""Write a commented ``watchword.yaml``."""

from pathlib import Path

import click

from watchword.apps.terminal.console import EXIT_REFUSED, print_json


@click.command(epilog="Example: watchword init && watchword check")
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_context
def command(ctx: click.Context, *, force: bool, as_json: bool) -> None:
    """Write a commented watchword.yaml to start from.

    It describes a lab deployment with two example apps and one API, and passes
    `watchword check` as it is.  -c FILE says where to write it.
    """
    from watchword.apps.settings.template import TEMPLATE

    file: Path = ctx.obj
    try:
        with file.open("w" if force else "x", encoding="utf-8") as stream:
            stream.write(TEMPLATE)
    except FileExistsError:
        click.echo(f"{file} is there already; --force overwrites it", err=True)
        ctx.exit(EXIT_REFUSED)
    if as_json:
        print_json({"file": str(file), "written": True})
        return
    click.echo(f"Wrote {file}: a lab with two example apps and one API.")
    click.echo("Next: edit it, then `watchword check`, then `watchword up`.")
