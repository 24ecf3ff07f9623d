"""Show a scan to people, on a terminal and as a page: the worst first, by what it opens, and always how much was seen."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from pathlib import PurePath
from typing import Any, Final

import click

from watchword.apps.reports.html import render
from watchword.apps.reports.text import listed, shown
from watchword.apps.terminal.paragraphs import wrapped
from watchword.encoding.phrases import counted
from watchword.observations import State
from watchword.scan.app import Coverage, Depth, Seen
from watchword.scan.baseline import Sorted
from watchword.scan.interface import Finding, Severity, Verdict
from watchword.scan.outcome import AT_THE_SERVER, Report, Standing, bad, fingerprint

MAX_REPORT: Final = 64 * 1024 * 1024
"""Most bytes of a report: a finding has about one KiB, and those of MobSF hold all strings of an app."""

FEW: Final = 5
"""Most places, gaps or names that a line for people lists."""

OPENS: Final[Mapping[Severity, str]] = {
    Severity.CRITICAL: "Opens data or accounts of many",
    Severity.HIGH: "Opens a step that attacks on the API begin with",
    Severity.MEDIUM: "Opens one user's data, on their phone",
    Severity.LOW: "Makes reading or changing the app easier",
    Severity.INFO: "Opens nothing by itself",
}

VERDICTS: Final[Mapping[Verdict, str]] = {
    Verdict.EXPOSED: "EXPOSED",
    Verdict.ABSENT: "ABSENT",
    Verdict.NOT_SEEN: "not seen",
    Verdict.INFO: "told",
    Verdict.PROTECTED: "protected",
}


_DEPTHS: Final[Mapping[Depth, str]] = {
    Depth.UNREAD: "code that wasn't read",
    Depth.STRINGS: "code of which only strings were read",
}

MAX_PRINTED: Final = 20
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

HTML_MARK: Final = '<meta name="generator" content="Watchword scan">'
"""Stands in the head of every page, by which an earlier one is known when it is to be written over."""

MAX_ON_PAGE: Final = 100
"""Most findings of one rule and severity that a page shows; the JSON document has all."""

INLINE: Final = 3
"""Places of a finding that stand beside it; more are opened by hand."""


@dataclass(frozen=True, slots=True)
class Scanned:
    """Hold a report together with which of its findings count.

    :param path: of the app as it was given; None where only its name is known.
    :param api_file: the API's description as it was given.
    """

    report: Report
    found: Sorted
    path: PurePath | None = None
    api_file: PurePath | None = None

    @property
    def file(self) -> PurePath:
        """Return where the app is, as it was given."""
        return self.path if self.path is not None else PurePath(self.report.package.name)

    @classmethod
    def bare(cls, report: Report) -> "Scanned":
        """Return a report of which all findings count."""
        return cls(report, Sorted(report.all_findings))

    def status(self, finding: Finding) -> str:
        """Return ``counts``, ``known`` (to the baseline) or ``suppressed``."""
        if finding in self.found.known:
            return "known"
        if any(finding is each or finding == each for each, _ in self.found.suppressed):
            return "suppressed"
        return "counts"

    def acted(self) -> list[Finding]:
        """Return the findings to act on that count, the worst first."""
        return [each for each in self.found.counting if bad(each)]


@dataclass(frozen=True, slots=True)
class Step:
    """Hold what to do about the findings of one rule that count.

    :param said: what the worst of them says.
    :param todo: empty where the rule isn't known.
    """

    severity: Severity
    rule: str
    title: str
    said: str
    count: int
    todo: str


def steps(each: Scanned) -> list[Step]:
    """Return what to do, a step for each rule, the one with the worst finding first."""
    found = []
    for rule, mine in by_rule(each.acted()):
        facts = each.report.rule(rule)
        title, todo = (rule, "") if facts is None else (facts.title, facts.todo)
        found.append(Step(mine[0].severity, rule, title, mine[0].title, len(mine), todo))
    return found


def by_rule(findings: Iterable[Finding]) -> list[tuple[str, list[Finding]]]:
    """Return findings by rule, rules in the order of their first ones."""
    found: dict[str, list[Finding]] = {}
    for each in findings:
        found.setdefault(each.rule, []).append(each)
    return list(found.items())


def secret_of(finding: Finding, *, reveal: bool = False) -> str:
    """Return what may be shown of a finding's secret; empty without one."""
    if finding.secret is None:
        return ""
    return shown(finding.secret.value if reveal else finding.secret.redacted)


def places(finding: Finding, most: int = FEW) -> str:
    """Return where it is."""
    return listed([shown(str(each)) for each in finding.locations if str(each)], most)


def read_of(coverage: Coverage) -> str:
    """Return how much was read: ``2,412 of 2,412 classes; native libraries: 3``."""
    return "; ".join(_seen(each) for each in coverage.seen) or "nothing"


def _seen(seen: Seen) -> str:
    return f"{seen.read:,} of {seen.defined:,} {shown(seen.unit)}"


def unread_of(report: Report) -> list[str]:
    """Return the code of the app that wasn't read, or not as far as code can be, a line for each framework."""
    return [f"{_DEPTHS[each.depth]}: {shown(str(each))}" for each in report.coverage.hidden]


def gaps_of(report: Report) -> list[str]:
    """Return what wasn't seen of the package, a line each: code, gaps, and where its readers disagree."""
    gaps = [
        f"{shown(gap.where) or gap.part.value} ({shown(gap.why)})" for gap in report.coverage.gaps
    ]
    odd = [
        f"{shown(each.entry) or 'the archive'} (two readers disagree: {shown(each.what)})"
        for each in report.disagreements
    ]
    return [*unread_of(report), *gaps, *odd]


def coverage(report: Report, most: int = FEW, *, above: bool = False) -> str:
    """Return the line that stands with every report: what was read, and what wasn't.

    :param above: whether the code that wasn't read stands above it, each framework in a line.
    """
    gaps = gaps_of(report)
    if above and (code := unread_of(report)):
        gaps = ["the code above", *gaps[len(code) :]]
    rules = dict.fromkeys(shown(each.rule) for each in report.not_seen)
    if gaps:
        unseen = f"not seen: {listed(gaps, most)}"
    elif rules:
        unseen = f"not enough was seen for {listed(rules, most)}"
    else:
        unseen = "nothing was missed"
    return f"Read {read_of(report.coverage)}; native libraries: {report.package.natives}; {unseen}."


def heading(each: Scanned) -> str:
    """Return how a scan ended, in a line."""
    acted = each.acted()
    if acted:
        counts = severities(acted)
        said = ", ".join(f"{count} {severity.value}" for severity, count in counts)
        return f"{counted(len(acted), 'finding')} to act on: {said}"
    if each.report.partial:
        return "Nothing to act on in what was seen, which isn't all"
    return "Nothing to act on"


def severities(findings: Iterable[Finding]) -> list[tuple[Severity, int]]:
    """Return how many there are of each severity, the worst first."""
    every = [each.severity for each in findings]
    return [(severity, every.count(severity)) for severity in Severity if severity in every]


def said_of(protection: str, state: State | None) -> State | None:
    """Return what a build may say of a protection: of what a server enforces it claims, and proves nothing."""
    claims = state is State.PROVEN and protection in AT_THE_SERVER
    return State.CLAIMED if claims else state


def state_of(state: object) -> str:
    """Return how a protection stands, in a word or two."""
    return "says nothing" if state is None else str(state)


def why_of(each: Standing) -> str:
    """Return why a protection stands as it does, and what would prove it where the build can't."""
    asked = said_of(each.protection, each.state) is State.CLAIMED
    return f"{shown(each.why)}{' Ask the server.' if asked else ''}"


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
        for each in mine[:MAX_PRINTED]:
            yield from _finding(each, "" if alike is not None else _unsure(each), reveal=reveal)
        if len(mine) > MAX_PRINTED:
            yield from wrapped(
                f"{len(mine) - MAX_PRINTED:,} more; --json has them all.", indent=_AT + 2
            )
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
        if one.verdict is Verdict.INFO or (one.verdict is not Verdict.PROTECTED and not bad(one))
    ]
    rest = [one for one in rest if one.verdict is not Verdict.NOT_SEEN]
    if not rest:
        return
    worth = [one for one in rest if one.severity is not Severity.INFO]
    yield ""
    yield click.style("Told", bold=True)
    for one in worth[:MAX_PRINTED]:
        yield from wrapped(f"{one.rule}: {shown(one.title)}", first="  - ", indent=_AT)
        if one.secret is not None:
            yield from wrapped(secret_of(one, reveal=reveal), indent=_AT)
    more = len(rest) - len(worth[:MAX_PRINTED])
    if more:
        names = listed(
            dict.fromkeys(one.rule for one in rest if one not in worth[:MAX_PRINTED]), FEW
        )
        word = "more fact" if worth else "fact"
        yield from wrapped(f"{counted(more, word)} in --json: {names}.", indent=2)


def _standings(report: Report) -> Iterator[str]:
    if not report.standings:
        return
    yield ""
    yield click.style("What this build says of each protection", bold=True)
    for each in report.standings:
        state = said_of(each.protection, each.state)
        word = state_of(state)
        word = click.style(word, fg=_STATES[state]) if state in _STATES else word
        first = f"  {each.protection} {word}"
        yield from wrapped(f"{each.key}: {why_of(each)}", first=first, indent=_TABLE_AT)


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


def page(scans: Sequence[Scanned], at: datetime) -> str:
    """Return the page: how each scan ended and how much was seen on top, then its findings by what they open.

    Secrets are redacted: a page is passed on.

    :param at: when it was scanned, aware.
    """
    return render(
        "watchword.apps.scan",
        mark=HTML_MARK,
        scans=[_prepared(each) for each in scans],
        OPENS=OPENS,
        VERDICTS=VERDICTS,
        counted=counted,
        coverage=coverage,
        secret_of=secret_of,
        said_of=said_of,
        state_of=state_of,
        why_of=why_of,
        unread_of=unread_of,
        at=at,
        most=MAX_ON_PAGE,
        inline=INLINE,
    )


def _prepared(each: Scanned) -> dict[str, Any]:
    acted = each.acted()
    every = each.report.all_findings
    told = [
        one
        for one in every
        if one.verdict is Verdict.INFO or (one.verdict is Verdict.EXPOSED and not bad(one))
    ]
    return {
        "report": each.report,
        "found": each.found,
        "heading": heading(each),
        "counts": severities(acted),
        "steps": steps(each),
        "gaps": gaps_of(each.report),
        "groups": [
            (severity, by_rule(one for one in acted if one.severity is severity))
            for severity, _ in severities(acted)
        ],
        "told": by_rule(told),
        "protected": by_rule(one for one in every if one.verdict is Verdict.PROTECTED),
    }
