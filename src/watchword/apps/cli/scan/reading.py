"""Read one app within its time: open it, run the rules, say how far it is."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from watchword.apps.cli.scan.given import is_json, reports_of
from watchword.apps.cli.scan.pacing import GRACE, OverTimeError, Pace, interrupted_after
from watchword.apps.collector import collector_at_rest
from watchword.apps.terminal.paragraphs import printable

if TYPE_CHECKING:
    from watchword.apps.cli.scan.api_reading import Described
    from watchword.scan.outcome import Report


def report_of(path: Path, seconds: float, described: "Described | None" = None) -> "Report":
    """Open an app and run the rules; who waits is told of it on the error stream.

    :param seconds: that it may take.
    :param described: the API's description, to be checked beside the app.
    :raises WatchwordError: when it isn't a package, or can't be read, or takes far too long.
    """
    from watchword.adapters.app_package.opening import open_app
    from watchword.adapters.app_package.stopwatch import monotonic
    from watchword.scan.archive.interface import Limits
    from watchword.scan.registry import RULES
    from watchword.scan.service import scan

    def tell(line: str) -> None:
        click.echo(printable(f"{path.name}: {line}"), err=True)

    pace = Pace(seconds, monotonic, tell)
    with collector_at_rest():
        with interrupted_after(seconds + GRACE):
            app = open_app(path, Limits(), pace.left)
            api = ((), ()) if described is None else described.findings(app)
        # A rule that hangs is interrupted, and those behind it find that there is no time left.
        try:
            with interrupted_after(pace.left() + GRACE):
                report = scan(app, RULES, left=pace.left, told=pace.looks, api=api)
        except OverTimeError:
            report = scan(app, RULES, left=lambda: 0.0, api=api)
    return replace(report, seconds=pace.taken)


def reports_in(path: Path, seconds: float) -> "tuple[Report, ...]":
    """Return the reports of a JSON document of scans, or that of an app, which is read now.

    :raises click.UsageError: for JSON that is no report of ours.
    :raises WatchwordError: for an app that can't be read.
    """
    return reports_of(path) if is_json(path) else (report_of(path, seconds),)
