"""Write scans for the servers of a pipeline: a SARIF 2.1.0 log (OASIS, 27 March 2020), and JUnit XML.

The log has a run for each app and a result for what is to act on.  What is protected, or only a fact, is no result: viewers of code make an
alert of each.  What wasn't seen is a notification of the run, so that no viewer takes an empty log for a clean bill.  Section numbers are
those of the standard.

The XML has a suite for each app, a case for each rule that looked, and one for how much was read.  A case for each rule keeps the same names
from build to build, so that a server shows when one began to fail.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import PurePath
from typing import Any, Final
from urllib.parse import quote

from watchword.apps.reports import junit as junit_kit
from watchword.apps.reports import sarif as sarif_kit
from watchword.apps.reports.junit import Case, Suite
from watchword.apps.reports.sarif import message
from watchword.apps.reports.text import shown
from watchword.apps.scan.report import (
    VERDICTS,
    Scanned,
    by_rule,
    coverage,
    gaps_of,
    places,
    said_of,
    secret_of,
    severities,
)
from watchword.encoding.phrases import counted
from watchword.scan.baseline import Suppression
from watchword.scan.interface import Finding, Location, Severity, Verdict
from watchword.scan.outcome import Report, RuleFacts, bad, fingerprint

SARIF_MARK: Final = '"name": "watchword scan"'
"""Stands near the start of every log as it is written to a file, by which an earlier one is known."""

PAGE: Final = "docs/scan-rules.md"
"""Where each rule has a section by its id."""

MAX_RESULTS: Final = 5_000
"""Results of one run beyond which code scanning on GitHub shows none; the worst are kept."""

_MOST_NAMED: Final = 2
MOST_PLACES: Final = 10
"""Locations of a result."""

_TECHNIQUES: Final = "Watchword techniques"
_FINGERPRINT: Final = "watchwordScan/v1"
_LEVELS: Final = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "note",
    Severity.INFO: "none",
}

_SCORES: Final = {
    Severity.CRITICAL: "9.5",
    Severity.HIGH: "8.0",
    Severity.MEDIUM: "5.5",
    Severity.LOW: "2.0",
}
"""Numbers that GitHub turns back into the words (over 9, 7, 4, 0); they measure nothing."""

JUNIT_MARK: Final = "<!-- watchword scan -->"
"""Stands in the second line of every file, by which an earlier one is known."""

MAX_LINES: Final = 50
"""Findings of one rule that its case lists; the JSON document has all."""


def sarif(scans: Sequence[Scanned]) -> dict[str, Any]:
    """Return the reports as a SARIF log; secrets are redacted."""
    return sarif_kit.log([_run(each) for each in scans])


def _run(each: Scanned) -> dict[str, Any]:
    report = each.report
    package = report.package
    acted = [one for one in report.all_findings if bad(one)]
    techniques = sorted({name for one in report.rules for name in one.techniques})
    rules = _rules(report, acted, techniques)
    numbers = {one["id"]: number for number, one in enumerate(rules)}
    name = shown(package.id or package.name)
    return {
        "tool": sarif_kit.driver(
            "watchword scan", rules, supportedTaxonomies=[{"name": _TECHNIQUES, "index": 0}]
        ),
        "automationDetails": {"id": f"watchword-scan/{quote(name)}/"},
        "invocations": [_invocation(report, numbers, len(acted))],
        "artifacts": list(_artifacts(each)),
        "columnKind": "unicodeCodePoints",
        "results": list(_results(each, acted[:MAX_RESULTS], numbers)),
        "taxonomies": [_taxonomy(techniques)],
        "properties": {
            "package": name,
            "version": shown(package.version),
            "sha256": package.digest,
            "partial": report.partial,
            "coverage": coverage(report),
            "protections": {
                f"{one.protection} {one.key}": said_of(one.protection, one.state)
                for one in report.standings
            },
        },
    }


def _taxonomy(techniques: Sequence[str]) -> dict[str, Any]:
    """Return what rules are related to (3.19.3): ids of the catalogue, which the plan knows."""
    return {
        "name": _TECHNIQUES,
        "isComprehensive": False,
        "taxa": [{"id": each} for each in techniques],
    }


def _artifacts(each: Scanned) -> Iterator[dict[str, Any]]:
    package = each.report.package
    found: dict[str, Any] = {"location": {"uri": _uri(each.file)}, "length": package.size}
    if package.digest:
        found["hashes"] = {"sha-256": package.digest}
    yield found
    if each.api_file is not None:
        yield {"location": {"uri": _uri(each.api_file)}}


def _rules(
    report: Report, acted: Sequence[Finding], techniques: Sequence[str]
) -> list[dict[str, Any]]:
    # They are sorted: the last one that is set is the worst.
    worst = {each.rule: each.severity for each in reversed(acted)}
    known = [_rule(each, worst.get(each.id), techniques) for each in report.rules]
    names = {each["id"] for each in known}
    # A finding that was imported, or of a rule that isn't listed, must not point nowhere.
    more = sorted({each.rule for each in report.all_findings} - names)
    return known + [{"id": shown(name)} for name in more]


def _rule(rule: RuleFacts, severity: Severity | None, techniques: Sequence[str]) -> dict[str, Any]:
    """Return what the log says of a rule; GitHub wants the severity here, so that it is that of its worst finding."""
    parts = (("Do", rule.todo), ("Can't tell", rule.blind))
    found = sarif_kit.rule(
        rule.id,
        (rule.title, rule.title),
        parts,
        f"{PAGE}#{rule.id}",
        techniques=rule.techniques,
        protections=rule.protections,
    )
    if severity is not None:
        found["defaultConfiguration"] = {"level": _LEVELS[severity]}
        found["properties"]["security-severity"] = _SCORES[severity]
    if rule.techniques:
        found["relationships"] = [
            {
                "target": {
                    "id": each,
                    "index": techniques.index(each),
                    "toolComponent": {"name": _TECHNIQUES, "index": 0},
                },
                "kinds": ["relevant"],
            }
            for each in rule.techniques
        ]
    return found


def _results(
    each: Scanned, acted: Sequence[Finding], numbers: Mapping[str, int]
) -> Iterator[dict[str, Any]]:
    suppressed = {fingerprint(one): by for one, by in each.found.suppressed}
    of_api = {fingerprint(one) for one in each.report.api}
    for finding in acted:
        finger = fingerprint(finding)
        file = each.api_file if finger in of_api and each.api_file is not None else each.file
        yield _result(each, finding, numbers[finding.rule], file, suppressed.get(finger))


def _result(
    each: Scanned, finding: Finding, index: int, file: PurePath, by: Suppression | None
) -> dict[str, Any]:
    secret = secret_of(finding)
    text = f"{shown(finding.title)} ({secret})" if secret else shown(finding.title)
    # A viewer shows the message, and of the place no more than the package.
    text += f" At {where}." if (where := places(finding, _MOST_NAMED)) else ""
    described = file == each.api_file
    found: dict[str, Any] = {
        "ruleId": shown(finding.rule),
        "ruleIndex": index,
        "kind": "fail",
        "level": _LEVELS[finding.severity],
        "message": {"text": message(text)},
        "locations": [
            _location(file, one, one.line if described else 1)
            for one in finding.locations[:MOST_PLACES] or (Location(),)
        ],
        **sarif_kit.fingerprints(_FINGERPRINT, fingerprint(finding)),
        # An empty list says that it was looked for and isn't suppressed (3.27.23).
        "suppressions": [] if by is None else [_suppression(by)],
        "properties": {
            "verdict": finding.verdict.value,
            "severity": finding.severity.value,
            "confidence": finding.confidence.value,
            "subject": shown(finding.subject),
            "seen": shown(finding.seen),
            "status": each.status(finding),
        },
    }
    if each.found.baselined is not None:
        found["baselineState"] = _state(finding, each.found.baselined)
    return found


def _state(finding: Finding, baselined: Mapping[str, Severity]) -> str:
    """Return how it differs from the baseline (3.27.24); a finding that is more severe now was updated."""
    before = baselined.get(fingerprint(finding))
    if before is None:
        return "new"
    return "unchanged" if finding.severity.rank <= before.rank else "updated"


def _suppression(by: Suppression) -> dict[str, Any]:
    said = f"{by.owner}, until {by.expires}: {by.reason}"
    return {"kind": "external", "status": "accepted", "justification": shown(said)}


def _location(file: PurePath, place: Location, line: int) -> dict[str, Any]:
    # The package is what lies in the workspace; the entry is named within it, and its lines are none of the package's.
    found: dict[str, Any] = {
        "physicalLocation": {
            "artifactLocation": {"uri": _uri(file)},
            "region": {"startLine": max(line, 1)},
        }
    }
    name = shown(str(place))
    if name:
        kind = "member" if place.member else "type" if place.cls else "resource"
        found["logicalLocations"] = [{"name": name, "fullyQualifiedName": name, "kind": kind}]
    return found


def _uri(file: PurePath) -> str:
    """Return where a file is in the workspace; of one beside it the name, since where it lay is nobody's business."""
    inside = not file.is_absolute() and ".." not in file.parts
    parts = file.parts if inside else file.parts[-1:]
    return "/".join(quote(shown(each), safe="") for each in parts) or "app"


def _invocation(report: Report, numbers: Mapping[str, int], acted: int) -> dict[str, Any]:
    notes: list[dict[str, Any]] = [
        {
            "level": "warning",
            "message": {"text": message(f"Not seen: {shown(each.title)}")},
            "associatedRule": {"id": shown(each.rule), "index": numbers[each.rule]},
        }
        for each in report.not_seen
    ]
    notes += [
        {"level": "warning", "message": {"text": message(f"Not seen: {gap}")}}
        for gap in gaps_of(report)
    ]
    if acted > MAX_RESULTS:
        said = f"{acted - MAX_RESULTS:,} findings more, none of them worse; the JSON document has them all"
        notes.append({"level": "warning", "message": {"text": said}})
    found: dict[str, Any] = {"executionSuccessful": True}
    if notes:
        found["toolExecutionNotifications"] = notes
    return found


def junit(scans: Sequence[Scanned], at: datetime) -> str:
    """Return the XML document; secrets are redacted.

    A rule with something to act on fails; one that saw not enough is an error; one of which everything was set aside is skipped.  A rule
    without a finding, being for another platform, has no case.

    :param at: when it was scanned, aware.
    """
    return junit_kit.junit("watchword.scan", JUNIT_MARK, map(_junit_suite, scans), at)


def _junit_suite(each: Scanned) -> Suite:
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
    lines = [_line(each, one) for one in findings[:MAX_LINES]]
    more = len(findings) - MAX_LINES
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
