"""Write scans as JUnit XML: a suite for each app, a case for each rule that looked, and one for how much was read.

A case for each rule keeps the same names from build to build, so that a server shows when one began to fail.  Elements and attributes are
those that the schemas of Ant and of Jenkins both allow, as with the drill.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from watchword import __version__
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

_PACKAGE: Final = "watchword.scan"


class _Case(NamedTuple):
    """Hold a case.

    :param element: says how it ended; None: well.
    :param kind: of that end.
    :param told: a line for lists of failures.
    :param lines: all that is to say.
    """

    name: str
    element: str | None
    kind: str
    told: str
    lines: tuple[str, ...]


def junit(scans: Sequence[Scanned], at: datetime) -> str:
    """Return the XML document; secrets are redacted.

    A rule with something to act on fails; one that saw not enough is an error; one of which everything was set aside is skipped.  A rule
    without a finding, being for another platform, has no case.

    :param at: when it was scanned, aware.
    """
    root = Element("testsuites")
    for each in scans:
        cases = [
            _case(each, *mine)
            for mine in sorted(by_rule(each.report.all_findings), key=lambda one: one[0])
        ]
        _suite(root, each, at, [*cases, _coverage(each)])
    indent(root)
    written = tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{MARK}\n{written}\n'


def _case(each: Scanned, rule: str, findings: Sequence[Finding]) -> _Case:
    acted = [one for one in findings if bad(one) and each.status(one) == "counts"]
    unseen = [one for one in findings if one.verdict is Verdict.NOT_SEEN]
    aside = [one for one in findings if bad(one) and each.status(one) != "counts"]
    facts = each.report.rule(rule)
    todo = [] if facts is None else [f"Do: {facts.todo}"]
    if acted:
        counts = ", ".join(f"{count} {severity.value}" for severity, count in severities(acted))
        told = f"{counted(len(acted), 'finding')} ({counts}): {shown(acted[0].title)}"
        lines = (*_lines(each, [*acted, *unseen, *aside]), *todo)
        return _Case(rule, "failure", acted[0].severity.value, told, lines)
    if unseen:
        told = f"Not seen: {shown(unseen[0].title)}"
        return _Case(rule, "error", "not-seen", told, _lines(each, [*unseen, *aside]))
    if aside:
        told = f"{counted(len(aside), 'finding')} set aside"
        return _Case(rule, "skipped", each.status(aside[0]), told, _lines(each, aside))
    return _Case(rule, None, "", "", _lines(each, findings))


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


def _coverage(each: Scanned) -> _Case:
    """Return the case that says how much was read: an error where anything of the package wasn't."""
    gaps = gaps_of(each.report)
    read = coverage(each.report)
    if not gaps:
        return _Case("coverage", None, "", "", (read,))
    return _Case("coverage", "error", "not-seen", read, tuple(f"Not seen: {gap}" for gap in gaps))


def _suite(root: Element, each: Scanned, at: datetime, cases: Sequence[_Case]) -> None:
    package = each.report.package
    name = shown(package.id or package.name)
    ended = [case.element for case in cases]
    suite = SubElement(
        root,
        "testsuite",
        {
            "id": str(len(root)),
            "name": name,
            "package": _PACKAGE,
            "hostname": name,
            # Ant's schema takes no zone; it is UTC.
            "timestamp": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
            "tests": str(len(cases)),
            "failures": str(ended.count("failure")),
            "errors": str(ended.count("error")),
            "skipped": str(ended.count("skipped")),
            "time": f"{each.report.seconds:.3f}",
        },
    )
    properties = SubElement(suite, "properties")
    facts = (
        ("file", shown(package.name)),
        ("sha256", package.digest),
        ("coverage", coverage(each.report)),
        ("watchword", __version__),
    )
    for key, value in facts:
        SubElement(properties, "property", {"name": key, "value": value})
    fine = [_ended(suite, name, case) for case in cases]
    SubElement(suite, "system-out").text = "\n".join(line for lines in fine for line in lines)
    SubElement(suite, "system-err")


def _ended(suite: Element, app: str, case: _Case) -> Iterable[str]:
    """Write a case; return the lines of one that ended well, which the suite prints."""
    # What one rule took isn't measured; the suite says what all took.
    attributes = {
        "name": shown(case.name),
        "classname": f"{_PACKAGE}.{app}",
        "time": "0.000",
    }
    entry = SubElement(suite, "testcase", attributes)
    if case.element is None:
        return [f"{shown(case.name)}: {line}" for line in case.lines]
    told = SubElement(entry, case.element, {"type": case.kind, "message": case.told})
    told.text = "\n".join(case.lines)
    return []
