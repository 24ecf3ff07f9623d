"""Write scans as JUnit XML: a suite for each rule of each app, a case for each of its findings.

Elements and attributes are those that the schemas of Ant and of Jenkins both allow, as with the drill.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from watchword import __version__
from watchword.apps.scan_views.words import Scanned, coverage, gaps_of, places, secret_of, shown
from watchword.scan.interface import Finding, Verdict
from watchword.scan.outcome import bad

MARK: Final = "<!-- watchword scan -->"
"""Stands in the second line of every file, by which an earlier one is known."""

_PACKAGE: Final = "watchword.scan"

_Case = tuple[str, str | None, str, str]
"""A case: its name, the element that says how it ended (None: well), the kind of that, and what is said of it."""


def junit(scans: Sequence[Scanned], at: datetime) -> str:
    """Return the XML document; secrets are redacted.

    What is to act on is a failure, what wasn't seen an error, what is set aside skipped.  A rule without a finding, being for
    another platform, has no suite.

    :param at: when it was scanned, aware.
    """
    root = Element("testsuites")
    for each in scans:
        rules = list(dict.fromkeys(one.rule for one in each.report.all_findings))
        for rule in sorted(rules):
            mine = [one for one in each.report.all_findings if one.rule == rule]
            _suite(root, each, at, rule, [_case(each, one) for one in mine])
        unseen: list[_Case] = [
            (gap, "error", "not-seen", f"Not seen: {gap}") for gap in gaps_of(each.report)
        ]
        read: _Case = ("read", None, "", coverage(each.report))
        _suite(root, each, at, "coverage", [read, *unseen])
    indent(root)
    written = tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{MARK}\n{written}\n'


def _case(each: Scanned, finding: Finding) -> _Case:
    name = shown(finding.subject) or finding.rule
    told = ". ".join(filter(None, (shown(finding.title), secret_of(finding), places(finding))))
    if finding.verdict is Verdict.NOT_SEEN:
        return name, "error", "not-seen", told
    if not bad(finding):
        return name, None, "", told
    if each.status(finding) != "counts":
        return name, "skipped", each.status(finding), told
    return name, "failure", finding.severity.value, told


def _suite(root: Element, each: Scanned, at: datetime, name: str, cases: list[_Case]) -> None:
    package = each.report.package
    ended = [element for _, element, _, _ in cases]
    suite = SubElement(
        root,
        "testsuite",
        {
            "id": str(len(root)),
            "name": shown(name),
            "package": _PACKAGE,
            "hostname": shown(package.id or package.name),
            # Ant's schema takes no zone; it is UTC.
            "timestamp": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
            "tests": str(len(cases)),
            "failures": str(ended.count("failure")),
            "errors": str(ended.count("error")),
            "skipped": str(ended.count("skipped")),
            "time": "0.000",
        },
    )
    properties = SubElement(suite, "properties")
    for key, value in (("sha256", package.digest), ("watchword", __version__)):
        SubElement(properties, "property", {"name": key, "value": value})
    lines = []
    for case, element, kind, said in cases:
        attributes = {"name": case, "classname": f"{_PACKAGE}.{shown(name)}", "time": "0.000"}
        entry = SubElement(suite, "testcase", attributes)
        if element is None:
            lines.append(said)
            continue
        told = SubElement(entry, element, {"type": kind, "message": said})
        told.text = said
    SubElement(suite, "system-out").text = "\n".join(lines)
    SubElement(suite, "system-err")
