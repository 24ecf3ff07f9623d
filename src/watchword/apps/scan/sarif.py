"""Write a scan as a SARIF 2.1.0 log (OASIS, 27 March 2020): a run for each app, a result for what is to act on.

What is protected, or only a fact, is no result: viewers of code make an alert of each.  What wasn't seen is a notification of the run,
so that no viewer takes an empty log for a clean bill.  Section numbers are those of the standard.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any, Final
from urllib.parse import quote

from watchword.apps.reports import sarif as sarif_parts
from watchword.apps.reports.sarif import message
from watchword.apps.reports.text import shown
from watchword.apps.scan.words import Scanned, coverage, gaps_of, places, secret_of
from watchword.scan.baseline import Suppression
from watchword.scan.interface import Finding, Location, Severity
from watchword.scan.outcome import Report, RuleFacts, bad, fingerprint

MARK: Final = '"name": "watchword scan"'
"""Stands near the start of every log as it is written to a file, by which an earlier one is known."""

PAGE: Final = "docs/scan-rules.md"
"""Where each rule has a section by its id."""

MOST: Final = 5_000
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


def sarif(scans: Sequence[Scanned]) -> dict[str, Any]:
    """Return the reports as a SARIF log; secrets are redacted."""
    return sarif_parts.log([_run(each) for each in scans])


def _run(each: Scanned) -> dict[str, Any]:
    report = each.report
    package = report.package
    acted = [one for one in report.all_findings if bad(one)]
    techniques = sorted({name for one in report.rules for name in one.techniques})
    rules = _rules(report, acted, techniques)
    numbers = {one["id"]: number for number, one in enumerate(rules)}
    name = shown(package.id or package.name)
    return {
        "tool": sarif_parts.driver(
            "watchword scan", rules, supportedTaxonomies=[{"name": _TECHNIQUES, "index": 0}]
        ),
        "automationDetails": {"id": f"watchword-scan/{quote(name)}/"},
        "invocations": [_invocation(report, numbers, len(acted))],
        "artifacts": list(_artifacts(each)),
        "columnKind": "unicodeCodePoints",
        "results": list(_results(each, acted[:MOST], numbers)),
        "taxonomies": [_taxonomy(techniques)],
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
    found = sarif_parts.rule(
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
        **sarif_parts.fingerprints(_FINGERPRINT, fingerprint(finding)),
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
    if acted > MOST:
        said = f"{acted - MOST:,} findings more, none of them worse; the JSON document has them all"
        notes.append({"level": "warning", "message": {"text": said}})
    found: dict[str, Any] = {"executionSuccessful": True}
    if notes:
        found["toolExecutionNotifications"] = notes
    return found
