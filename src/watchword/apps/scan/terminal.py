"""Print a scan for people: the worst first, by what it opens, and always how much was seen."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

import click

from watchword.apps.reports.text import listed, shown
from watchword.apps.scan.words import (
    FEW,
    OPENS,
    VERDICTS,
    Scanned,
    by_rule,
    coverage,
    heading,
    places,
    secret_of,
    state_of,
    steps,
    unread_of,
)
from watchword.apps.terminal.paragraphs import wrapped
from watchword.encoding.wording import counted
from watchword.observations import State
from watchword.scan.interface import Finding, Severity, Verdict
from watchword.scan.outcome import Report, bad, fingerprint

MOST: Final = 20
"""Most findings of one rule and severity that are printed; the JSON document has all."""

FIRST: Final = 3
"""Rules whose steps stand at the top; all stand below."""

_AT: Final = 4
_STEP_AT: Final = 14
_TABLE_AT: Final = 22
_API_AT: Final = 13
_COLOURS: Final = {
    Severity.CRITICAL: "red",
    Severity.HIGH: "red",
    Severity.MEDIUM: "yellow",
    Severity.LOW: "yellow",
    Severity.INFO: "blue",
}
_STATES: Final = {State.PROVEN: "green", State.ABSENT: "red", State.BROKEN: "red"}


def lines(each: Scanned, *, reveal: bool = False) -> Iterator[str]:
    """Yield the lines of one report.

    :param reveal: whether secrets stand there whole.
    """
    report = each.report
    yield from _head(each)
    of_api = {fingerprint(one) for one in report.api}
    acted = [one for one in each.acted() if fingerprint(one) not in of_api]
    told: set[str] = set()
    for severity, found in groupby(acted, key=lambda one: one.severity):
        yield ""
        name = click.style(severity.value.upper(), fg=_COLOURS[severity], bold=True)
        yield from wrapped(OPENS[severity], first=f"{name} ", indent=10)
        yield from _by_rule(report, list(found), told, reveal=reveal)
    yield from _api(each)
    yield from _facts(each, reveal=reveal)
    yield from _standings(report)
    yield from _not_seen(report)
    yield from _set_aside(each)
    yield ""
    yield from wrapped(f"{heading(each)}. {report.seconds:.1f} s.")


def _head(each: Scanned) -> Iterator[str]:
    """Yield what a first screen must say: which app, how it ended, how much was seen, what to do first."""
    report = each.report
    package = report.package
    named = " ".join(filter(None, (shown(package.id), shown(package.version))))
    # A report of another scanner knows neither size nor digest.
    size = f"{package.size:,} bytes" if package.size else ""
    digest = f"SHA-256 {package.digest}" if package.digest else ""
    facts = ", ".join(filter(None, (shown(package.container), size, digest)))
    for line in wrapped(shown(package.name)):
        yield click.style(line, bold=True)
    yield from wrapped(f"{named}: {facts}" if named else facts, indent=2)
    for unread in unread_of(report):
        for line in wrapped(f"Not seen: {unread}.", indent=2):
            yield click.style(line, fg="yellow", bold=True)
    yield from wrapped(coverage(report, above=True), indent=2)
    yield ""
    yield from (click.style(line, bold=True) for line in wrapped(f"{heading(each)}."))
    todo = steps(each)
    for number, step in enumerate(todo[:FIRST], 1):
        word = click.style(step.severity.value, fg=_COLOURS[step.severity])
        more = f" ({step.count})" if step.count > 1 else ""
        do = f" Do: {step.todo}" if step.todo else ""
        said = f"{step.rule}{more}: {shown(step.said)}{do}"
        yield from wrapped(said, first=f"  {number}. {word}", indent=_STEP_AT)
    if len(todo) > FIRST:
        yield from wrapped(f"{counted(len(todo) - FIRST, 'more rule')} below.", indent=_STEP_AT)


def _by_rule(
    report: Report, findings: Sequence[Finding], told: set[str], *, reveal: bool
) -> Iterator[str]:
    """Yield findings of one severity by rule; what to do about a rule's, and how sure it is of all of them, is said once.

    :param told: rules of which it was said what to do; grows.
    """
    for name, mine in by_rule(findings):
        facts = report.rule(name)
        title = f"{name}: {facts.title}" if facts is not None else name
        every = {_unsure(each) for each in mine}
        alike = every.pop() if len(every) == 1 else None
        yield from wrapped(f"{title}{alike or ''}", first=click.style("  - "), indent=_AT)
        for each in mine[:MOST]:
            yield from _finding(each, "" if alike is not None else _unsure(each), reveal=reveal)
        if len(mine) > MOST:
            yield from wrapped(f"{len(mine) - MOST:,} more; --json has them all.", indent=_AT + 2)
        if facts is not None and name not in told:
            yield from wrapped(f"do: {facts.todo}", indent=_AT)
        told.add(name)


def _unsure(finding: Finding) -> str:
    return "" if finding.confidence == "certain" else f" ({finding.confidence.value})"


def _finding(finding: Finding, unsure: str, *, reveal: bool) -> Iterator[str]:
    first = f"    {VERDICTS[finding.verdict]} "
    yield from wrapped(f"{shown(finding.title)}{unsure}", first=first, indent=len(first))
    if finding.secret is not None:
        value = secret_of(finding, reveal=reveal)
        yield from wrapped(f"{shown(finding.secret.kind)}: {value}", indent=len(first))
    if finding.locations:
        yield from wrapped(f"at {places(finding)}", indent=len(first))
    if finding.verdict is Verdict.ABSENT and finding.seen:
        yield from wrapped(f"looked at {shown(finding.seen)}", indent=len(first))


def _api(each: Scanned) -> Iterator[str]:
    """Yield what is to act on in the API's description, by operation, in the order of the report."""
    found = [one for one in each.report.api if bad(one) and each.status(one) == "counts"]
    if not found:
        return
    yield ""
    yield click.style("The API, by its description", bold=True)
    groups: dict[str, list[Finding]] = {}
    for one in found:
        operation = one.locations[0].member if one.locations else ""
        groups.setdefault(operation, []).append(one)
    for operation, mine in groups.items():
        yield from wrapped(shown(operation) or "the API as a whole", first="  - ", indent=_AT)
        for one in mine:
            word = click.style(one.severity.value, fg=_COLOURS[one.severity])
            yield from wrapped(
                f"{one.rule}: {shown(one.title)}", first=f"    {word} ", indent=_API_AT
            )
    for name, _ in by_rule(found):
        facts = each.report.rule(name)
        if facts is not None:
            yield from wrapped(f"{name}: {facts.todo}", first="  do:", indent=_AT + 2)


def _facts(each: Scanned, *, reveal: bool) -> Iterator[str]:
    """Yield what is neither good nor bad: what is worth a word in full, the rest as a count."""
    rest = [
        one
        for one in each.report.all_findings
        if one.verdict is Verdict.TOLD or (one.verdict is not Verdict.PROTECTED and not bad(one))
    ]
    rest = [one for one in rest if one.verdict is not Verdict.NOT_SEEN]
    if not rest:
        return
    worth = [one for one in rest if one.severity is not Severity.INFO]
    yield ""
    yield click.style("Told", bold=True)
    for one in worth[:MOST]:
        yield from wrapped(f"{one.rule}: {shown(one.title)}", first="  - ", indent=_AT)
        if one.secret is not None:
            yield from wrapped(secret_of(one, reveal=reveal), indent=_AT)
    more = len(rest) - len(worth[:MOST])
    if more:
        names = listed(dict.fromkeys(one.rule for one in rest if one not in worth[:MOST]), FEW)
        word = "more fact" if worth else "fact"
        yield from wrapped(f"{counted(more, word)} in --json: {names}.", indent=2)


def _standings(report: Report) -> Iterator[str]:
    if not report.standings:
        return
    yield ""
    yield click.style("What this build says of each protection", bold=True)
    for each in report.standings:
        state = state_of(each.state)
        word = click.style(state, fg=_STATES[each.state]) if each.state in _STATES else state
        first = f"  {each.protection} {word}"
        yield from wrapped(f"{each.key}: {shown(each.why)}", first=first, indent=_TABLE_AT)


def _not_seen(report: Report) -> Iterator[str]:
    if not report.not_seen:
        return
    yield ""
    yield click.style("Not seen: nothing follows from these", bold=True)
    # Rules that give the same reason, such as the end of the time, share a line.
    rules: dict[str, list[str]] = {}
    for each in report.not_seen:
        # What was missed stands at the top of the report already.
        read = each.seen.partition("; not seen:")[0]
        why = f"{shown(each.title)} Read: {shown(read)}." if read else shown(each.title)
        rules.setdefault(why, []).append(each.rule)
    for why, names in rules.items():
        yield from wrapped(f"{', '.join(dict.fromkeys(names))}: {why}", first="  - ", indent=_AT)


def _set_aside(each: Scanned) -> Iterator[str]:
    found = each.found
    if not (found.known or found.suppressed or found.expired or found.unknown):
        return
    yield ""
    yield click.style("Set aside", bold=True)
    if found.known:
        yield f"  {counted(len(found.known), 'finding')} that the baseline knows"
    for one, by in found.suppressed:
        said = f"{one.rule}, {shown(one.subject)}: {shown(by.owner)} until {by.expires}, {shown(by.reason)}"
        yield from wrapped(said, first="  - ", indent=_AT)
    for by in found.expired:
        said = f"{shown(by.rule)}, {shown(by.subject)}: over since {by.expires} ({shown(by.owner)}); it counts again"
        yield from wrapped(said, first="  - ", indent=_AT)
    for by in found.unknown:
        said = f"{shown(by.rule)}, {shown(by.subject)}: suits no finding ({shown(by.owner)}); take it out"
        yield from wrapped(said, first="  - ", indent=_AT)
