"""Run what :mod:`watchword.apps.scan.cli` declares."""

import difflib
import json
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from watchword.adapters.system import SystemClock, SystemEntropy
from watchword.apps.reports.text import json_text, listed, shown
from watchword.apps.scan.ci import JUNIT_MARK, SARIF_MARK, junit, sarif
from watchword.apps.scan.cyclonedx import MARK as CYCLONEDX_MARK
from watchword.apps.scan.cyclonedx import cyclonedx
from watchword.apps.scan.reader import (
    GRACE,
    AnotherAppError,
    OverTimeError,
    baseline_of,
    data_of,
    interrupted_after,
    report_of,
    reports_in,
    seconds_of,
)
from watchword.apps.scan.report import (
    HTML_MARK,
    MAX_REPORT,
    Scanned,
    lines,
    page,
    said_of,
    state_of,
)
from watchword.apps.terminal.console import (
    EXIT_REFUSED,
    EXIT_UNAVAILABLE,
    EXIT_USAGE,
    by_the_system,
    fail,
    print_json,
)
from watchword.apps.terminal.output import OutputFileError, replace_file
from watchword.apps.terminal.paragraphs import show, wrapped
from watchword.encoding.phrases import counted, printable, printable_lines
from watchword.reasons import WatchwordError
from watchword.scan.api.registry import RULES as API_RULES
from watchword.scan.baseline import MARK as BASELINE_MARK
from watchword.scan.baseline import Suppression, failed, sort, to_baseline
from watchword.scan.differences import Differences, Turn, compare
from watchword.scan.imports import ImportedReportError, is_mobsfscan, read_mobsf, read_mobsfscan
from watchword.scan.interface import Severity, Telling
from watchword.scan.outcome import Report, bad, fingerprint
from watchword.scan.registry import RULES

if TYPE_CHECKING:
    from watchword.apps.scan.context import Described, Recorder

_TEXT_AT: Final = 14
"""The column at which what is said of a rule begins."""


@dataclass(frozen=True, slots=True)
class _Orders:
    """Hold what was read before any app is."""

    seconds: float
    baseline: dict[str, Severity] | None
    today: date
    reveal: bool = field(kw_only=True)
    suppressions: tuple[Suppression, ...] = ()
    described: "Described | None" = None
    recorder: "Recorder | None" = None


def scan(ctx: click.Context, apps: Sequence[Path], options: dict[str, Any]) -> None:
    """Scan the apps as the options say, and end with the exit code.

    :raises click.UsageError: for options that don't fit, or files beside the app that aren't of their form.
    """
    now = SystemClock().now()
    _check(apps, options)
    try:
        orders = _orders(ctx.obj, options, now)
    except OverTimeError as error:
        click.echo(printable_lines(f"error: {options['api']}: {error}"), err=True)
        ctx.exit(EXIT_UNAVAILABLE)
    scans: list[Scanned] = []
    codes = [0]
    errors: list[tuple[str, str]] = []
    for path in apps:
        try:
            scans.append(_scanned(path, orders))
        except (OSError, WatchwordError) as error:
            click.echo(printable_lines(f"error: {error}"), err=True)
            errors.append((str(path), str(error)))
            codes.append(EXIT_UNAVAILABLE if isinstance(error, OverTimeError) else _code_of(error))
    # A full disk beneath the standard output must cost neither files nor the code.
    codes.append(_keep(scans, orders, options, now))
    if options["as_json"]:
        _print_document(scans, reveal=orders.reveal, errors=errors)
    else:
        for number, each in enumerate(scans):
            _show(each, first=number == 0, reveal=orders.reveal)
    failing = _failing(scans, options["fail_on"])
    ctx.exit(max(codes) or failing)


def _print_document(scans: Sequence[Scanned], **more: Any) -> None:
    # Its model takes longer to build than a small app's scan.
    from watchword.apps.scan.document import document  # noqa: PLC0415

    print_json(document(scans, **more))


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
    today, reveal = now.date(), options["reveal"]
    sign, api, suppress = options["sign"], options["api"], options["suppress"]
    if sign is None and api is None and suppress is None:
        seconds = seconds_of(options["timeout"])
        return _Orders(seconds, baseline_of(options["baseline"]), today, reveal=reveal)
    # The settings take longer to import than a small app's scan.
    from watchword.apps.scan.context import (  # noqa: PLC0415
        Recorder,
        described_by,
        suppressions_of,
    )

    recorder = None if sign is None else Recorder(config, sign, options["app"])
    described = None
    seconds = seconds_of(options["timeout"])
    known = [each.id for each in RULES]
    if api is not None:
        with interrupted_after(seconds + GRACE):
            described = described_by(api)
        known += [each.id for each in API_RULES]
    return _Orders(
        seconds,
        baseline_of(options["baseline"]),
        today,
        suppressions=() if suppress is None else suppressions_of(suppress, known),
        described=described,
        recorder=recorder,
        reveal=reveal,
    )


def _scanned(path: Path, orders: _Orders) -> Scanned:
    described = orders.described
    beside = None if described is None else described.findings
    report = report_of(path, orders.seconds, beside)
    found = sort(report, orders.baseline, orders.suppressions, orders.today)
    return Scanned(report, found, path, None if described is None else described.path)


def _show(scanned: Scanned, *, first: bool, reveal: bool) -> None:
    if not first:
        click.echo()
    show(_encodable(line) for line in lines(scanned, reveal=reveal))


def _encodable(line: str) -> str:
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return line.encode(encoding, "backslashreplace").decode(encoding)


def _keep(scans: Sequence[Scanned], orders: _Orders, options: dict[str, Any], now: datetime) -> int:
    """Write what was asked for, and record: each that fails is told, and doesn't cost the rest."""
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
            wrong = isinstance(error, AnotherAppError | OutputFileError)
            code = max(code, EXIT_USAGE if wrong else EXIT_UNAVAILABLE)
    return code


def _reports(
    scans: Sequence[Scanned], options: dict[str, Any], now: datetime
) -> list[Callable[[], object]]:
    """Return what makes and writes the files that were asked for."""
    makers = {"sarif": _sarif, "junit": _junit, "html": _html, "cyclonedx": _cyclonedx}

    def written(name: str) -> None:
        text, mark = makers[name](scans, now)
        replace_file(options[name], text, mark)

    return [partial(written, name) for name in makers if options[name] is not None]


def _sarif(scans: Sequence[Scanned], _: datetime) -> tuple[str, str]:
    return json_text(sarif(scans)), SARIF_MARK


def _junit(scans: Sequence[Scanned], now: datetime) -> tuple[str, str]:
    return junit(scans, now), JUNIT_MARK


def _html(scans: Sequence[Scanned], now: datetime) -> tuple[str, str]:
    return page(scans, now), HTML_MARK


def _cyclonedx(scans: Sequence[Scanned], now: datetime) -> tuple[str, str]:
    serial = f"urn:uuid:{uuid.UUID(bytes=SystemEntropy().token_bytes(16), version=4)}"
    return json_text(cyclonedx(scans[0], serial, now)), CYCLONEDX_MARK


def _failing(scans: Sequence[Scanned], conditions: Sequence[str]) -> int:
    code = 0
    for each in scans:
        for reason in failed(each.report, each.found, conditions):
            click.echo(printable(f"failed: {each.report.package.name}: {reason}"), err=True)
            code = EXIT_REFUSED
    return code


def _code_of(error: Exception) -> int:
    """Return the exit code for a package that can't be scanned: 3 where the system refuses, else 2."""
    return EXIT_UNAVAILABLE if by_the_system(error) else EXIT_USAGE


def diff(ctx: click.Context, *, old: Path, new: Path, as_json: bool, timeout: str) -> None:
    """Run ``watchword scan diff``."""
    seconds = seconds_of(timeout)
    try:
        before, now = _one(old, seconds), _one(new, seconds)
    except (OSError, WatchwordError) as error:
        click.echo(printable_lines(f"error: {error}"), err=True)
        ctx.exit(EXIT_UNAVAILABLE if isinstance(error, OverTimeError) else _code_of(error))
    if before.package.platform != now.package.platform or before.package.id != now.package.id:
        told = f"note: these are two apps: {before.package.id!r} and {now.package.id!r}"
        click.echo(ascii(told)[1:-1], err=True)
    found = compare(before, now)
    if as_json:
        print_json(_difference_members(found))
    else:
        show(_difference_lines(found))
    ctx.exit(EXIT_REFUSED if found.worse else 0)


def _one(path: Path, seconds: float) -> Report:
    """Return the report of an app, be it read now or earlier.

    :raises click.UsageError: for a report that isn't one of ours, or of several apps.
    :raises WatchwordError: for an app that can't be read.
    """
    reports = reports_in(path, seconds)
    if len(reports) != 1:
        raise click.UsageError(printable(f"{path}: got {len(reports)} apps, expected one"))
    return reports[0]


def _difference_members(found: Differences) -> dict[str, Any]:
    def one(finding: Any) -> dict[str, str]:
        return {
            "fingerprint": fingerprint(finding),
            "rule": finding.rule,
            "subject": finding.subject,
            "verdict": finding.verdict.value,
            "severity": finding.severity.value,
            "title": shown(finding.title),
        }

    return {
        "worse": found.worse,
        "new": [one(each) for each in found.new],
        "gone": [one(each) for each in found.gone],
        "not_seen": [one(each) for each in found.unseen],
        "changed": [
            {"old": one(each.old), "new": one(each.new), "worse": each.worse}
            for each in found.changed
        ],
        "lost": [_turn(each) for each in found.lost],
        "gained": [_turn(each) for each in found.gained],
        "first": list(found.first),
    }


def _turn(turn: Turn) -> dict[str, Any]:
    return {
        "protection": turn.protection,
        "key": turn.key,
        "old": turn.old,
        "new": turn.new,
        "why": shown(turn.why),
    }


def _headline(found: Differences) -> str:
    """Return how the new build stands, in a line."""
    new = sum(bad(each) for each in found.new)
    gone = sum(bad(each) for each in found.gone)
    parts = (
        (len(found.lost), "{} lost", "protection"),
        (len(found.gained), "{} gained", "protection"),
        (new, "{}", "new finding"),
        (gone, "{} gone", "finding"),
        (len(found.unseen), "{} no longer seen", "finding"),
        (sum(each.worse for each in found.changed), "{} worse", "finding"),
        (sum(each.better for each in found.changed), "{} better", "finding"),
    )
    said = ", ".join(form.format(counted(number, word)) for number, form, word in parts if number)
    verdict = "The new build is worse" if found.worse else "The new build is no worse"
    return f"{verdict}: {said}." if said else f"{verdict}."


def _difference_lines(found: Differences) -> Iterator[str]:
    if not found.any:
        yield "No difference."
        return
    yield from (click.style(line, bold=True) for line in wrapped(_headline(found)))
    if found.first:
        told = f"The old scan didn't have {listed(found.first)}: scan the old build again to see whether it had that too."
        yield from wrapped(told, indent=2)
    for name, turns in (("Protections lost", found.lost), ("Protections gained", found.gained)):
        if turns:
            yield click.style(name, bold=True)
        for turn in turns:
            was, now = (state_of(said_of(turn.protection, each)) for each in (turn.old, turn.new))
            told = f"{turn.protection} {turn.key}: {was} -> {now}. {shown(turn.why)}"
            yield from wrapped(told, first="  - ", indent=4)
    groups = (
        ("New", found.new),
        ("Gone", found.gone),
        ("Found in the old build, not seen in the new one", found.unseen),
    )
    for name, findings in groups:
        if findings:
            yield click.style(name, bold=True)
        facts = [each for each in findings if not bad(each) and each.verdict != "not-seen"]
        for each in findings:
            if each in facts:
                continue
            told = f"{each.severity.value} {each.verdict.value}, {each.rule}: {shown(each.title)}"
            yield from wrapped(told, first="  - ", indent=4)
        if facts:
            yield f"  - {counted(len(facts), 'fact')} in --json"
    yield from _changes(found)


def _changes(found: Differences) -> Iterator[str]:
    if found.changed:
        yield click.style("Changed", bold=True)
    facts = [each for each in found.changed if not (bad(each.old) or bad(each.new) or each.worse)]
    if facts:
        yield f"  - {counted(len(facts), 'fact')} in --json"
    for change in found.changed:
        if change in facts:
            continue
        old, new = change.old, change.new
        was, now = (f"{each.severity.value} {each.verdict.value}" for each in (old, new))
        said = f"{was} -> {now}" if was != now else now
        if was != now:
            said = f"{'worse' if change.worse else 'better'}: {said}"
        told = f"{said}, {new.rule}: {shown(new.title)}"
        yield from wrapped(told, first="  - ", indent=4)


def baseline(
    ctx: click.Context, *, report: Path, output: Path, timeout: str, as_json: bool
) -> None:
    """Run ``watchword scan baseline``."""
    seconds = seconds_of(timeout)
    try:
        document = to_baseline(reports_in(report, seconds))
    except (OSError, WatchwordError) as error:
        fail(error)
        ctx.exit(_code_of(error))
    try:
        replace_file(output, json_text(document), BASELINE_MARK)
    except (OSError, WatchwordError) as error:
        fail(error)
        ctx.exit(EXIT_USAGE if isinstance(error, OutputFileError) else EXIT_UNAVAILABLE)
    if as_json:
        print_json(document)
        return
    click.echo(printable(f"Set {counted(len(document['findings']), 'finding')} aside in {output}."))


def rules(*, rule: str | None, as_json: bool) -> None:
    """Run ``watchword scan rules``."""
    every: list[Telling] = [*RULES, *API_RULES]
    chosen = [each for each in every if rule is None or each.id == rule]
    if not chosen:
        near = difflib.get_close_matches(rule or "", [each.id for each in every], n=1)
        expected = f"{near[0]}?" if near else "one that `watchword scan rules` lists"
        raise click.UsageError(printable(f"got {rule!r}, expected {expected}"))
    if as_json:
        print_json([_rule_members(each) for each in chosen])
    elif rule is not None:
        show(_rule_lines(chosen[0]))
    else:
        width = max(len(each.id) for each in chosen)
        for each in chosen:
            click.echo(f"{each.id:<{width}}  {each.title}")


def _rule_members(rule: Telling) -> dict[str, Any]:
    return {
        "id": rule.id,
        "title": rule.title,
        "techniques": list(rule.techniques),
        "protections": dict(rule.protections),
        "todo": rule.todo,
        "blind": rule.blind,
    }


def _rule_lines(rule: Telling) -> Iterator[str]:
    yield f"{rule.id}: {rule.title}"
    evidence = ", ".join(f"{name} ({key})" for name, key in rule.protections.items())
    rows = [
        ("technique", ", ".join(rule.techniques) or "none"),
        ("evidence", evidence or "of nothing"),
        ("do", rule.todo),
        ("can't tell", rule.blind),
    ]
    for name, text in rows:
        yield from wrapped(text, first=f"  {name}", indent=_TEXT_AT)


def import_command(*, report: Path, as_json: bool, reveal: bool) -> None:
    """Run ``watchword scan import``."""
    found = Scanned.bare(_imported(report))
    if as_json:
        _print_document([found], reveal=reveal)
    else:
        show(lines(found, reveal=reveal))


def _imported(path: Path) -> Report:
    try:
        given = json.loads(data_of(path, MAX_REPORT).decode("utf-8"))
    except (ValueError, RecursionError):
        raise click.UsageError(f"{path}: got invalid JSON, expected a report in JSON") from None
    try:
        return read_mobsfscan(given) if is_mobsfscan(given) else read_mobsf(given)
    except ImportedReportError:
        expected = "expected a JSON report of MobSF or mobsfscan"
        raise click.UsageError(f"{path}: got another document, {expected}") from None
