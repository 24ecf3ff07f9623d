"""Show a report of another scanner as one of ours, marked as imported."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from watchword.apps.terminal.console import print_json
from watchword.apps.terminal.paragraphs import show

if TYPE_CHECKING:
    from watchword.scan.outcome import Report

MAX_BYTES: Final = 64 * 1024 * 1024
"""Most bytes of a report; those of MobSF hold all strings of an app."""

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(name="import", epilog="Example: watchword scan import mobsf.json --json > scan.json")
@click.argument("report", type=_FILE)
@click.option("--json", "as_json", is_flag=True, help="Print it as `watchword scan --json` does.")
@click.option("--reveal", is_flag=True, help="Show secrets whole.")
def command(*, report: Path, as_json: bool, reveal: bool) -> None:
    """Read REPORT, JSON of MobSF or of mobsfscan, as a report that can be compared and set aside like ours.

    Findings are marked by the scanner's name.  Nothing of it was seen here: it proves nothing, and the report is partial.
    """
    from watchword.apps.scan import terminal
    from watchword.apps.scan.document import document
    from watchword.apps.scan.words import Scanned

    found = Scanned.bare(_read(report))
    if as_json:
        print_json(document([found], reveal=reveal))
    else:
        show(terminal.lines(found, reveal=reveal))


def _read(path: Path) -> "Report":
    from watchword.apps.cli.scan.given import data_of
    from watchword.scan.imports import mobsf, mobsfscan
    from watchword.scan.imports.foreign import ImportedReportError

    try:
        given = json.loads(data_of(path, MAX_BYTES).decode("utf-8"))
    except (ValueError, RecursionError):
        raise click.UsageError(f"{path}: got invalid JSON, expected a report in JSON") from None
    try:
        return mobsfscan.read(given) if mobsfscan.is_mobsfscan(given) else mobsf.read(given)
    except ImportedReportError:
        expected = "expected a JSON report of MobSF or mobsfscan"
        raise click.UsageError(f"{path}: got another document, {expected}") from None
