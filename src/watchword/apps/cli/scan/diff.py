"""Say how the scan of one build differs from that of another."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from watchword.apps.cli.scan.given import code_of, seconds_of
from watchword.apps.cli.scan.pacing import OverTimeError
from watchword.apps.cli.scan.reading import reports_in
from watchword.apps.terminal.console import EXIT_REFUSED, EXIT_UNAVAILABLE, print_json
from watchword.apps.terminal.paragraphs import printable, printable_lines, show
from watchword.reasons import WatchwordError

if TYPE_CHECKING:
    from watchword.scan.differences import Differences, Turn
    from watchword.scan.outcome import Report

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(
    epilog="Example: watchword scan diff scan-of-1.0.json app-release.apk",
    short_help="Say how the build NEW differs from the build OLD.",
)
@click.argument("old", type=_FILE)
@click.argument("new", type=_FILE)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--timeout",
    default="30s",
    show_default=True,
    metavar="DURATION",
    help="For each app that is read.",
)
@click.pass_context
def command(ctx: click.Context, *, old: Path, new: Path, as_json: bool, timeout: str) -> None:
    """Say how the build NEW differs from the build OLD: each a built app, or a file that `watchword scan --json` wrote of one.

    Findings that came, went or changed, and protections that were lost or gained.  What is gone where the new build wasn't seen counts
    as not seen.

    Exit code 0: the new build is no worse.  1: it is worse.  2: a file is neither.  3: a file can't be read.
    """
    from watchword.scan.differences import compare

    seconds = seconds_of(timeout)
    try:
        before, now = _one(old, seconds), _one(new, seconds)
    except (OSError, WatchwordError) as error:
        click.echo(printable_lines(f"error: {error}"), err=True)
        ctx.exit(EXIT_UNAVAILABLE if isinstance(error, OverTimeError) else code_of(error))
    if before.package.platform != now.package.platform or before.package.id != now.package.id:
        told = f"note: these are two apps: {before.package.id!r} and {now.package.id!r}"
        click.echo(ascii(told)[1:-1], err=True)
    found = compare(before, now)
    if as_json:
        print_json(_members(found))
    else:
        show(_lines(found))
    ctx.exit(EXIT_REFUSED if found.worse else 0)


def _one(path: Path, seconds: float) -> "Report":
    """Return the report of an app, be it read now or earlier.

    :raises click.UsageError: for a report that isn't one of ours, or of several apps.
    :raises WatchwordError: for an app that can't be read.
    """
    reports = reports_in(path, seconds)
    if len(reports) != 1:
        raise click.UsageError(printable(f"{path}: got {len(reports)} apps, expected one"))
    return reports[0]


def _members(found: "Differences") -> dict[str, Any]:
    from watchword.apps.reports.text import shown
    from watchword.scan.outcome import fingerprint

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


def _turn(turn: "Turn") -> dict[str, Any]:
    from watchword.apps.reports.text import shown

    return {
        "protection": turn.protection,
        "key": turn.key,
        "old": turn.old,
        "new": turn.new,
        "why": shown(turn.why),
    }


def _headline(found: "Differences") -> str:
    """Return how the new build stands, in a line."""
    from watchword.encoding.wording import counted
    from watchword.scan.outcome import bad

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


def _lines(found: "Differences") -> Iterator[str]:
    from watchword.apps.reports.text import listed, shown
    from watchword.apps.scan.words import state_of
    from watchword.apps.terminal.paragraphs import wrapped
    from watchword.encoding.wording import counted
    from watchword.scan.outcome import bad

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
            told = f"{turn.protection} {turn.key}: {state_of(turn.old)} -> {state_of(turn.new)}. {shown(turn.why)}"
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


def _changes(found: "Differences") -> Iterator[str]:
    from watchword.apps.reports.text import shown
    from watchword.apps.terminal.paragraphs import wrapped
    from watchword.encoding.wording import counted
    from watchword.scan.outcome import bad

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
