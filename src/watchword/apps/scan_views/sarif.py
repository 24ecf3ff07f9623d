"""Write scans as a SARIF 2.1.0 log (OASIS, 27 March 2020): a run for each app, a result for what is to act on.

What is protected is no result.  What wasn't seen is a notification of the run, so that no viewer takes an empty log for a clean bill.
Section numbers are those of the standard.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final
from urllib.parse import quote

from watchword import __version__
from watchword.apps.scan_views.words import Scanned, coverage, gaps_of, secret_of, shown
from watchword.scan.baseline import Suppression
from watchword.scan.interface import Finding, Location, Severity, Verdict
from watchword.scan.outcome import Report, RuleFacts, bad, fingerprint

SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"

MARK: Final = '"name": "watchword scan"'
"""Stands near the start of every log as it is written to a file, by which an earlier one is known."""

PAGE: Final = "docs/scan-rules.md"
"""Where each rule has a section by its id."""

_FINGERPRINT: Final = "watchwordScan/v1"
_LEVELS: Final = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "note",
    Severity.INFO: "none",
}


def sarif(scans: Sequence[Scanned]) -> dict[str, Any]:
    """Return the reports as a SARIF log; secrets are redacted."""
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [_run(each) for each in scans]}


def _run(each: Scanned) -> dict[str, Any]:
    report = each.report
    package = report.package
    rules = _rules(report)
    numbers = {one["id"]: number for number, one in enumerate(rules)}
    name = shown(package.id or package.name)
    return {
        "tool": {
            "driver": {"name": "watchword scan", "version": __version__, "rules": rules},
        },
        "automationDetails": {"id": f"watchword-scan/{quote(name)}/"},
        "invocations": [_invocation(report, numbers)],
        "artifacts": [
            {
                "location": {"uri": quote(shown(package.name))},
                "length": package.size,
                "hashes": {"sha-256": package.digest},
            }
        ],
        "columnKind": "unicodeCodePoints",
        "results": list(_results(each, numbers)),
        "properties": {
            "package": name,
            "version": shown(package.version),
            "sha256": package.digest,
            "partial": report.partial,
            "coverage": coverage(report),
            "protections": {
                f"{one.protection} {one.key}": None if one.state is None else one.state.value
                for one in report.standings
            },
        },
    }


def _rules(report: Report) -> list[dict[str, Any]]:
    known = [_rule(each) for each in report.rules]
    names = {each["id"] for each in known}
    # A finding that was imported, or of a rule that isn't listed, must not point nowhere.
    more = sorted({each.rule for each in report.all_findings} - names)
    return known + [{"id": shown(name), "name": _name(name)} for name in more]


def _name(rule: str) -> str:
    return "".join(part.capitalize() for part in shown(rule).split("-"))


def _rule(rule: RuleFacts) -> dict[str, Any]:
    parts = (("Do", rule.todo), ("Can't tell", rule.blind))
    page = f"{PAGE}#{rule.id}"
    plain = "\n".join(f"{name}: {text}" for name, text in parts)
    marked = "\n\n".join(f"**{name}**: {text}" for name, text in parts)
    return {
        "id": rule.id,
        "name": _name(rule.id),
        "shortDescription": {"text": _message(rule.title)},
        "fullDescription": {"text": _message(rule.title)},
        "help": {"text": f"{plain}\nSee {page}", "markdown": f"{marked}\n\nSee `{page}`"},
        "properties": {
            "tags": ["security", *rule.techniques, *sorted(rule.protections)],
            "techniques": list(rule.techniques),
            "protections": dict(sorted(rule.protections.items())),
        },
    }


def _results(each: Scanned, numbers: dict[str, int]) -> Iterator[dict[str, Any]]:
    suppressed = {fingerprint(one): by for one, by in each.found.suppressed}
    for finding in each.report.all_findings:
        told = finding.verdict is Verdict.TOLD and finding.severity is not Severity.INFO
        if bad(finding) or told:
            yield _result(each, finding, numbers, suppressed.get(fingerprint(finding)))


def _result(
    each: Scanned, finding: Finding, numbers: dict[str, int], by: Suppression | None
) -> dict[str, Any]:
    secret = secret_of(finding)
    text = f"{shown(finding.title)} ({secret})" if secret else shown(finding.title)
    finger = fingerprint(finding)
    file = shown(each.report.package.name)
    found: dict[str, Any] = {
        "ruleId": shown(finding.rule),
        "ruleIndex": numbers[finding.rule],
        # A result that isn't a failure has no level (3.27.10).
        "kind": "fail" if bad(finding) else "informational",
        "level": _LEVELS[finding.severity] if bad(finding) else "none",
        "message": {"text": _message(text)},
        "locations": [_location(file, one) for one in finding.locations[:10]]
        or [_location(file, Location())],
        "fingerprints": {_FINGERPRINT: finger},
        # GitHub takes two results of one rule on one line for the same unless this differs.
        "partialFingerprints": {"primaryLocationLineHash": finger},
        "properties": {
            "verdict": finding.verdict.value,
            "severity": finding.severity.value,
            "confidence": finding.confidence.value,
            "subject": shown(finding.subject),
            "seen": shown(finding.seen),
            "status": each.status(finding),
        },
    }
    # An empty list says that it was looked for and isn't suppressed (3.27.23).
    found["suppressions"] = [] if by is None else [_suppression(by)]
    return found


def _suppression(by: Suppression) -> dict[str, Any]:
    said = f"{by.owner}, until {by.expires}: {by.reason}"
    return {"kind": "external", "status": "accepted", "justification": shown(said)}


def _location(package: str, place: Location) -> dict[str, Any]:
    # The package is what lies in the workspace; the entry is named within it.
    found: dict[str, Any] = {
        "physicalLocation": {
            "artifactLocation": {"uri": quote(package)},
            "region": {"startLine": max(place.line, 1)},
        }
    }
    name = shown(str(place))
    if name:
        kind = "member" if place.member else "type" if place.cls else "resource"
        found["logicalLocations"] = [{"name": name, "fullyQualifiedName": name, "kind": kind}]
    return found


def _invocation(report: Report, numbers: dict[str, int]) -> dict[str, Any]:
    notes: list[dict[str, Any]] = [
        {
            "level": "warning",
            "message": {"text": _message(f"Not seen: {shown(each.title)}")},
            "associatedRule": {"id": shown(each.rule), "index": numbers[each.rule]},
        }
        for each in report.not_seen
    ]
    notes += [
        {"level": "warning", "message": {"text": _message(f"Not seen: {gap}")}}
        for gap in gaps_of(report)
    ]
    found: dict[str, Any] = {"executionSuccessful": True}
    if notes:
        found["toolExecutionNotifications"] = notes
    return found


def _message(text: str) -> str:
    """Return text that stands for itself in a message: braces are placeholders there (3.11.5), brackets links (3.11.6).

    A class of a stranger's app must not put a link into a page that people trust.
    """
    doubled = text.replace("{", "{{").replace("}", "}}")
    return doubled.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")
