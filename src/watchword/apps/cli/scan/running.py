"""Carry out ``watchword scan``: read each app, show what was seen, keep it where that was asked for."""

import sys
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from watchword.apps.cli.scan.given import (
    baseline_of,
    code_of,
    seconds_of,
    suppressions_of,
)
from watchword.apps.cli.scan.pacing import GRACE, OverTimeError, interrupted_after
from watchword.apps.cli.scan.reading import report_of
from watchword.apps.terminal.console import (
    EXIT_REFUSED,
    EXIT_UNAVAILABLE,
    EXIT_USAGE,
    fail,
    print_json,
)
from watchword.apps.terminal.paragraphs import printable, printable_lines, show
from watchword.reasons import WatchwordError

if TYPE_CHECKING:
    from watchword.apps.cli.scan.api_reading import Described
    from watchword.apps.cli.scan.recording import Recorder
    from watchword.apps.scan.words import Scanned
    from watchword.scan.baseline import Suppression
    from watchword.scan.interface import Severity


@dataclass(frozen=True, slots=True)
class _Orders:
    """Hold what was read before any app is."""

    seconds: float
    baseline: "dict[str, Severity] | None"
    suppressions: "tuple[Suppression, ...]"
    described: "Described | None"
    recorder: "Recorder | None"
    today: date
    reveal: bool


def run(config: Path, apps: Sequence[Path], options: dict[str, Any]) -> int:
    """Scan the apps as the options say; return the exit code.

    :raises click.UsageError: for options that don't fit, or files beside the app that aren't of their form.
    """
    from watchword.adapters.clock import SystemClock

    now = SystemClock().now()
    _check(apps, options)
    try:
        orders = _orders(config, options, now)
    except OverTimeError as error:
        click.echo(printable_lines(f"error: {options['api']}: {error}"), err=True)
        return EXIT_UNAVAILABLE
    scans: list[Scanned] = []
    codes = [0]
    errors: list[tuple[str, str]] = []
    for path in apps:
        try:
            scanned = _scanned(path, orders)
        except (OSError, WatchwordError) as error:
            click.echo(printable_lines(f"error: {error}"), err=True)
            errors.append((str(path), str(error)))
            codes.append(EXIT_UNAVAILABLE if isinstance(error, OverTimeError) else code_of(error))
            continue
        if not options["as_json"]:
            _show(scanned, first=not scans, reveal=orders.reveal)
        scans.append(scanned)
    if options["as_json"]:
        from watchword.apps.scan.document import document

        print_json(document(scans, reveal=orders.reveal, errors=errors))
    codes.append(_keep(scans, orders, options, now))
    failing = _failing(scans, options["fail_on"])
    return max(codes) or failing


def _check(apps: Sequence[Path], options: dict[str, Any]) -> None:
    if not apps:
        raise click.UsageError("got no file, expected a built app: an APK, AAB, XAPK or IPA")
    one_app = "got several apps, expected one"
    if options["sign"] is not None and options["app"] is None:
        raise click.UsageError(
            "--sign: got no --app, expected the name of the app in watchword.yaml"
        )
    if options["app"] is not None and options["sign"] is None:
        raise click.UsageError("--app: got no --sign, expected an observer's key")
    if options["sign"] is not None and len(apps) > 1:
        raise click.UsageError(f"--sign: {one_app}: observations are of one build")
    if options["cyclonedx"] is not None and len(apps) > 1:
        raise click.UsageError(f"--cyclonedx: {one_app}: a bill of materials is of one build")
    if "new" in options["fail_on"] and options["baseline"] is None:
        raise click.UsageError("--fail-on new: got no --baseline, expected what is known")


def _orders(config: Path, options: dict[str, Any], now: datetime) -> _Orders:
    from watchword.scan.registry import RULES

    recorder = None
    if options["sign"] is not None:
        from watchword.apps.cli.scan.recording import Recorder

        recorder = Recorder(config, options["sign"], options["app"])
    described = None
    seconds = seconds_of(options["timeout"])
    known = [each.id for each in RULES]
    if options["api"] is not None:
        from watchword.apps.cli.scan.api_reading import described_by

        with interrupted_after(seconds + GRACE):
            described = described_by(options["api"])
        known += described.rule_ids
    return _Orders(
        seconds=seconds,
        baseline=baseline_of(options["baseline"]),
        suppressions=suppressions_of(options["suppress"], known),
        described=described,
        recorder=recorder,
        today=now.date(),
        reveal=options["reveal"],
    )


def _scanned(path: Path, orders: _Orders) -> "Scanned":
    from watchword.apps.scan.words import Scanned
    from watchword.scan.baseline import sort

    report = report_of(path, orders.seconds, orders.described)
    found = sort(report, orders.baseline, orders.suppressions, orders.today)
    described = orders.described
    return Scanned(report, found, path, None if described is None else described.path)


def _show(scanned: "Scanned", *, first: bool, reveal: bool) -> None:
    from watchword.apps.scan import terminal

    if not first:
        click.echo()
    show(_encodable(line) for line in terminal.lines(scanned, reveal=reveal))


def _encodable(line: str) -> str:
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return line.encode(encoding, "backslashreplace").decode(encoding)


def _keep(
    scans: "Sequence[Scanned]", orders: _Orders, options: dict[str, Any], now: datetime
) -> int:
    """Write what was asked for, and record: each that fails is told, and doesn't cost the rest."""
    from watchword.apps.cli.scan.recording import AnotherAppError

    steps: list[Callable[[], object]] = []
    if scans:
        steps = _reports(scans, options, now)
        if orders.recorder is not None:
            recorder = orders.recorder
            steps.append(lambda: recorder.record(scans[0].report, now))
    code = 0
    for step in steps:
        try:
            step()
        except (OSError, WatchwordError) as error:
            fail(error)
            code = max(code, EXIT_USAGE if isinstance(error, AnotherAppError) else EXIT_UNAVAILABLE)
    return code


def _reports(
    scans: "Sequence[Scanned]", options: dict[str, Any], now: datetime
) -> list[Callable[[], object]]:
    """Return what writes the files that were asked for; a view is imported when it is."""
    makers = {"sarif": _sarif, "junit": _junit, "html": _html, "cyclonedx": _cyclonedx}

    def written(name: str) -> None:
        from watchword.apps.terminal.output import replace_file

        text, mark = makers[name](scans, now)
        replace_file(options[name], text, mark)

    return [partial(written, name) for name in makers if options[name] is not None]


def _sarif(scans: "Sequence[Scanned]", _: datetime) -> tuple[str, str]:
    from watchword.apps.reports.text import json_text
    from watchword.apps.scan import sarif

    return json_text(sarif.sarif(scans)), sarif.MARK


def _junit(scans: "Sequence[Scanned]", now: datetime) -> tuple[str, str]:
    from watchword.apps.scan import junit

    return junit.junit(scans, now), junit.MARK


def _html(scans: "Sequence[Scanned]", now: datetime) -> tuple[str, str]:
    from watchword.apps.scan import html

    return html.page(scans, now), html.MARK


def _cyclonedx(scans: "Sequence[Scanned]", now: datetime) -> tuple[str, str]:
    from watchword.adapters.entropy import SystemEntropy
    from watchword.apps.reports.text import json_text
    from watchword.apps.scan import cyclonedx

    serial = f"urn:uuid:{uuid.UUID(bytes=SystemEntropy().token_bytes(16), version=4)}"
    return json_text(cyclonedx.cyclonedx(scans[0], serial, now)), cyclonedx.MARK


def _failing(scans: "Sequence[Scanned]", conditions: Sequence[str]) -> int:
    from watchword.scan.failing import failed

    code = 0
    for each in scans:
        for reason in failed(each.report, each.found, conditions):
            click.echo(printable(f"failed: {each.report.package.name}: {reason}"), err=True)
            code = EXIT_REFUSED
    return code
