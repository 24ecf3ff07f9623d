"""Say what a scan found in words that every view shares; the app's own text is made safe to show."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

from watchword.apps.reports.text import listed, shown
from watchword.encoding.wording import counted
from watchword.scan.app import Coverage, Depth, Seen
from watchword.scan.baseline import Sorted
from watchword.scan.interface import Finding, Severity, Verdict
from watchword.scan.outcome import Report, bad

FEW: Final = 5
"""Most places, gaps or names that a line for people lists."""

OPENS: Final[Mapping[Severity, str]] = {
    Severity.CRITICAL: "Opens data or accounts of many",
    Severity.HIGH: "Opens a step that attacks on the API begin with",
    Severity.MEDIUM: "Opens one user's data, on his phone",
    Severity.LOW: "Makes reading or changing the app easier",
    Severity.INFO: "Opens nothing by itself",
}

VERDICTS: Final[Mapping[Verdict, str]] = {
    Verdict.EXPOSED: "EXPOSED",
    Verdict.ABSENT: "ABSENT",
    Verdict.NOT_SEEN: "not seen",
    Verdict.TOLD: "told",
    Verdict.PROTECTED: "protected",
}


_DEPTHS: Final[Mapping[Depth, str]] = {
    Depth.UNREAD: "code that wasn't read",
    Depth.STRINGS: "code of which only strings were read",
}


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


def state_of(state: object) -> str:
    """Return how a protection stands, in a word or two."""
    return "says nothing" if state is None else str(state)
