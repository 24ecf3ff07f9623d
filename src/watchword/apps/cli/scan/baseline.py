"""Write a baseline: what a report found and is set aside from now on."""

from pathlib import Path

import click

from watchword.apps.cli.console import EXIT_UNAVAILABLE, fail, print_json
from watchword.apps.cli.paragraphs import printable
from watchword.reasons import WatchwordError

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(
    epilog="Example: watchword scan app.apk --json > scan.json; watchword scan baseline scan.json -o known.json"
)
@click.argument("report", type=_FILE)
@click.option("-o", "--output", type=_FILE, required=True, help="The file to write.")
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
@click.pass_context
def command(ctx: click.Context, *, report: Path, output: Path, as_json: bool) -> None:
    """Write what REPORT found as a baseline: a file that `watchword scan --json` wrote.

    A baseline holds fingerprints of what is to act on, and their severities.  A finding that gets more severe counts again, and that
    something wasn't seen is in no baseline.
    """
    from watchword.apps.cli.scan.given import reports_of
    from watchword.apps.output_files import replace_file
    from watchword.apps.scan_views.words import counted, json_text
    from watchword.scan.baseline import MARK, to_baseline

    document = to_baseline(reports_of(report))
    try:
        replace_file(output, json_text(document), MARK)
    except (OSError, WatchwordError) as error:
        fail(error)
        ctx.exit(EXIT_UNAVAILABLE)
    if as_json:
        print_json(document)
        return
    click.echo(printable(f"Set {counted(len(document['findings']), 'finding')} aside in {output}."))
