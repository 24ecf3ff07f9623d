"""Write a baseline: what a report found and is set aside from now on."""

from pathlib import Path

import click

from watchword.apps.cli.scan.given import code_of, seconds_of
from watchword.apps.terminal.console import EXIT_UNAVAILABLE, fail, print_json
from watchword.apps.terminal.paragraphs import printable
from watchword.reasons import WatchwordError

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(epilog="Example: watchword scan baseline app-release.apk -o known.json")
@click.argument("report", type=_FILE, metavar="APP|REPORT")
@click.option("-o", "--output", type=_FILE, required=True, help="The file to write.")
@click.option(
    "--timeout", default="30s", show_default=True, metavar="DURATION", help="To read an app in."
)
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
@click.pass_context
def command(ctx: click.Context, *, report: Path, output: Path, timeout: str, as_json: bool) -> None:
    """Write what is found in an app as a baseline; or what was, by a report that `watchword scan --json` wrote.

    A baseline holds fingerprints and severities of what is to act on, and what rules couldn't decide.  A finding that gets more
    severe counts again.  Parts that couldn't be read are in no baseline.
    """
    from watchword.apps.cli.scan.reading import reports_in
    from watchword.apps.reports.text import json_text
    from watchword.apps.terminal.output import replace_file
    from watchword.encoding.wording import counted
    from watchword.scan.baseline import MARK, to_baseline

    seconds = seconds_of(timeout)
    try:
        document = to_baseline(reports_in(report, seconds))
    except (OSError, WatchwordError) as error:
        fail(error)
        ctx.exit(code_of(error))
    try:
        replace_file(output, json_text(document), MARK)
    except (OSError, WatchwordError) as error:
        fail(error)
        ctx.exit(EXIT_UNAVAILABLE)
    if as_json:
        print_json(document)
        return
    click.echo(printable(f"Set {counted(len(document['findings']), 'finding')} aside in {output}."))
