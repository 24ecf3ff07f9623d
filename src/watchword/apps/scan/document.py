"""Write scans as one JSON document: everything that their reports hold, in plain types and in a fixed order."""

from collections.abc import Sequence
from typing import Any, Final

from watchword import __version__
from watchword.apps.reports.text import shown
from watchword.apps.scan.words import Scanned, secret_of
from watchword.scan.baseline import Suppression
from watchword.scan.interface import Finding, Location
from watchword.scan.outcome import Report, fingerprint

VERSION: Final = 1
"""Form of the document; another number is another form, a new member isn't."""

KIND: Final = "watchword-scan"

MOST_ENTRIES: Final = 100
"""How many entries with code of one framework are listed; all are counted."""


def document(
    scans: Sequence[Scanned], *, reveal: bool = False, errors: Sequence[tuple[str, str]] = ()
) -> dict[str, Any]:
    """Return the reports as JSON.

    Text of the app's is made printable, and cut where it is very long; but for subjects, by which suppressions name findings.

    :param reveal: whether secrets stand there whole.
    :param errors: the files that couldn't be scanned, and why.
    """
    return {
        "v": VERSION,
        "kind": KIND,
        "tool": {"name": "watchword", "version": __version__},
        "scans": [_scan(each, reveal=reveal) for each in scans],
        "errors": [{"file": shown(file), "error": shown(why)} for file, why in errors],
    }


def _scan(each: Scanned, *, reveal: bool) -> dict[str, Any]:
    report = each.report
    package = report.package
    return {
        "package": {
            "file": shown(package.name),
            "container": package.container,
            "platform": package.platform,
            "sha256": package.digest,
            "size": package.size,
            "id": shown(package.id),
            "version": shown(package.version),
            "natives": package.natives,
        },
        "seconds": round(report.seconds, 3),
        "partial": report.partial,
        "coverage": _coverage(report),
        "findings": [_finding(one, each, reveal=reveal) for one in report.findings],
        "api": [_finding(one, each, reveal=reveal) for one in report.api],
        "protections": [
            {
                "protection": one.protection,
                "key": one.key,
                "state": None if one.state is None else one.state.value,
                "why": shown(one.why),
                "rules": list(one.rules),
            }
            for one in report.standings
        ],
        "rules": [
            {
                "id": one.id,
                "title": one.title,
                "techniques": list(one.techniques),
                "protections": dict(sorted(one.protections.items())),
                "todo": one.todo,
                "blind": one.blind,
            }
            for one in report.rules
        ],
        "suppressions": {
            "expired": [_suppression(one) for one in each.found.expired],
            "unknown": [_suppression(one) for one in each.found.unknown],
        },
    }


def _coverage(report: Report) -> dict[str, Any]:
    return {
        "seen": [
            {"part": one.part.value, "read": one.read, "defined": one.defined, "unit": one.unit}
            for one in report.coverage.seen
        ],
        "gaps": [
            {"part": one.part.value, "where": shown(one.where), "why": shown(one.why)}
            for one in report.coverage.gaps
        ],
        "frameworks": [
            {
                "framework": one.framework.value,
                "name": one.name,
                "by": shown(one.by),
                "files": len(one.entries),
                "entries": [shown(each) for each in one.entries[:MOST_ENTRIES]],
                "read": one.depth.value,
            }
            for one in report.coverage.frameworks
        ],
        "disagreements": [
            {"entry": shown(one.entry), "what": shown(one.what)} for one in report.disagreements
        ],
    }


def _finding(finding: Finding, each: Scanned, *, reveal: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "fingerprint": fingerprint(finding),
        "rule": finding.rule,
        "verdict": finding.verdict.value,
        "severity": finding.severity.value,
        "confidence": finding.confidence.value,
        "subject": finding.subject,
        "title": shown(finding.title),
        "locations": [_location(one) for one in finding.locations],
        "seen": shown(finding.seen),
        "status": each.status(finding),
    }
    if finding.secret is not None:
        found["secret"] = {
            "kind": shown(finding.secret.kind),
            "value": secret_of(finding, reveal=reveal),
            "verified": finding.secret.verified,
            "redacted": not reveal,
        }
    by = next((by for one, by in each.found.suppressed if one == finding), None)
    if by is not None:
        found["suppressed"] = _suppression(by)
    return found


def _location(place: Location) -> dict[str, Any]:
    members = {
        "file": shown(place.file),
        "class": shown(place.cls),
        "member": shown(place.member),
        "line": place.line,
    }
    return {name: value for name, value in members.items() if value}


def _suppression(one: Suppression) -> dict[str, str]:
    return {
        "rule": shown(one.rule),
        "subject": one.subject,
        "owner": shown(one.owner),
        "reason": shown(one.reason),
        "expires": one.expires.isoformat(),
    }
