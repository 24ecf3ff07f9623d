"""Write scans as JUnit XML: a suite for each app, a case for each rule that looked, and one for how much was read.

A case for each rule keeps the same names from build to build, so that a server shows when one began to fail.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from watchword.apps.reports import junit as reports
from watchword.apps.reports.junit import Case, Suite
from watchword.apps.reports.text import shown
from watchword.apps.scan.words import (
    VERDICTS,
    Scanned,
    by_rule,
    coverage,
    gaps_of,
    places,
    secret_of,
    severities,
)
from watchword.encoding.wording import counted
from watchword.scan.interface import Finding, Verdict
from watchword.scan.outcome import bad

MARK: Final = "<!-- watchword scan -->"
"""Stands in the second line of every file, by which an earlier one is known."""

MOST: Final = 50
"""Findings of one rule that its case lists; the JSON document has all."""


def junit(scans: Sequence[Scanned], at: datetime) -> str:
    """Return the XML document; secrets are redacted.

    A rule with something to act on fails; one that saw not enough is an error; one of which everything was set aside is skipped.  A rule
    without a finding, being for another platform, has no case.

    :param at: when it was scanned, aware.
    """
    return reports.junit("watchword.scan", MARK, map(_suite, scans), at)


def _suite(each: Scanned) -> Suite:
    package = each.report.package
    name = shown(package.id or package.name)
    by_name = sorted(by_rule(each.report.all_findings), key=lambda one: one[0])
    cases = [*(_case(each, *mine) for mine in by_name), _coverage(each)]
    properties = {
        "file": shown(package.name),
        "sha256": package.digest,
        "coverage": coverage(each.report),
    }
    return Suite(name, name, cases, each.report.seconds, properties)


def _case(each: Scanned, rule: str, findings: Sequence[Finding]) -> Case:
    acted = [one for one in findings if bad(one) and each.status(one) == "counts"]
    unseen = [one for one in findings if one.verdict is Verdict.NOT_SEEN]
    aside = [one for one in findings if bad(one) and each.status(one) != "counts"]
    name, facts = shown(rule), each.report.rule(rule)
    todo = [] if facts is None else [f"Do: {facts.todo}"]
    if acted:
        counts = ", ".join(f"{count} {severity.value}" for severity, count in severities(acted))
        told = f"{counted(len(acted), 'finding')} ({counts}): {shown(acted[0].title)}"
        lines = (*_lines(each, [*acted, *unseen, *aside]), *todo)
        return Case(name, "failure", acted[0].severity.value, told, lines)
    if unseen:
        told = f"Not seen: {shown(unseen[0].title)}"
        return Case(name, "error", "not-seen", told, _lines(each, [*unseen, *aside]))
    if aside:
        told = f"{counted(len(aside), 'finding')} set aside"
        return Case(name, "skipped", each.status(aside[0]), told, _lines(each, aside))
    return Case(name, lines=[f"{name}: {line}" for line in _lines(each, findings)])


def _lines(each: Scanned, findings: Sequence[Finding]) -> tuple[str, ...]:
    lines = [_line(each, one) for one in findings[:MOST]]
    more = len(findings) - MOST
    return (*lines, f"{more:,} more; the JSON document has them all") if more > 0 else (*lines,)


def _line(each: Scanned, finding: Finding) -> str:
    word = VERDICTS[finding.verdict]
    if bad(finding):
        word = f"{finding.severity.value} {word}"
        if each.status(finding) != "counts":
            word = f"{each.status(finding)}, {word}"
    where = f"at {places(finding)}" if finding.locations else ""
    said = (shown(finding.title), secret_of(finding), where)
    return f"{word}: {' '.join(filter(None, said))}"


def _coverage(each: Scanned) -> Case:
    """Return the case that says how much was read: an error where anything of the package wasn't."""
    gaps = gaps_of(each.report)
    read = coverage(each.report)
    if not gaps:
        return Case("coverage", lines=[f"coverage: {read}"])
    return Case("coverage", "error", "not-seen", read, tuple(f"Not seen: {gap}" for gap in gaps))
