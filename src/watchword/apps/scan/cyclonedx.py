"""Write a scan as a CycloneDX 1.6 bill of materials: the app, what is in it, and what it exposes.

Components are the libraries that are known by their packages, and the native ones by their files; services are the hosts that the app
names.  It is no inventory of all, which is said there (``compositions``: ``incomplete``).  Ratings say what a finding opens, and nothing
of how often anybody uses it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from watchword import __version__
from watchword.apps.reports.text import shown
from watchword.apps.scan.report import Scanned, coverage, places, said_of, secret_of
from watchword.encoding.phrases import moment as utc
from watchword.scan.interface import Finding
from watchword.scan.outcome import Report, bad, fingerprint

SPEC_VERSION: Final = "1.6"

MARK: Final = '"bomFormat": "CycloneDX"'
"""Stands near the start of every document, by which an earlier one is known."""

_SDK_RULE: Final = "third-party-sdks"
_NATIVE_RULE: Final = "native-hardening"
_HOST_RULE: Final = "hosts-and-urls"
_STATES: Final = {"counts": "exploitable", "known": "in_triage", "suppressed": "in_triage"}


def cyclonedx(each: Scanned, serial: str, timestamp: datetime) -> dict[str, Any]:
    """Return the report as a CycloneDX document; secrets are redacted.

    :param serial: ``urn:uuid:`` and a UUID in lower case, new for each document.
    :param timestamp: when the document is written, aware.
    """
    report = each.report
    return {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "serialNumber": serial,
        "version": 1,
        "metadata": {
            "timestamp": utc(timestamp),
            "tools": {
                "components": [{"type": "application", "name": "watchword", "version": __version__}]
            },
            "component": _app(report),
        },
        "components": [*_components(report), *_natives(report)],
        "services": _services(report),
        "compositions": [{"aggregate": "incomplete", "assemblies": ["app"]}],
        "vulnerabilities": [_exposure(each, one) for one in report.all_findings if bad(one)],
    }


def _app(report: Report) -> dict[str, Any]:
    package = report.package
    found: dict[str, Any] = {
        "bom-ref": "app",
        "type": "application",
        "name": shown(package.id or package.name),
        "hashes": [{"alg": "SHA-256", "content": package.digest}] if package.digest else [],
        "properties": [
            *_properties("file", [package.name]),
            *_properties("container", [package.container]),
            *_properties("coverage", [coverage(report)]),
            *_properties("not-seen", [f"{one.rule}: {one.title}" for one in report.not_seen]),
            *(
                _property(f"evidence:{one.protection}:{one.key}", state.value)
                for one in report.standings
                if (state := said_of(one.protection, one.state)) is not None
            ),
        ],
    }
    if package.version:
        found["version"] = shown(package.version)
    return found


def _properties(name: str, values: Sequence[str]) -> list[dict[str, str]]:
    return [_property(name, value) for value in values]


def _property(name: str, value: str) -> dict[str, str]:
    return {"name": f"watchword:{name}", "value": shown(value)}


def _components(report: Report) -> list[dict[str, Any]]:
    """Return the libraries that were told by their packages."""
    return [
        {
            "bom-ref": f"library:{fingerprint(each)}",
            "type": "library",
            "name": shown(each.subject),
            "description": shown(each.title),
        }
        for each in report.findings
        if each.rule == _SDK_RULE and each.locations
    ]


def _natives(report: Report) -> list[dict[str, Any]]:
    """Return the native libraries, each with the files that it stands in: one for each kind of processor."""
    return [
        {
            "bom-ref": f"native:{fingerprint(each)}",
            "type": "library",
            "name": shown(each.subject),
            "description": shown(each.title),
            "evidence": {
                "occurrences": [
                    {"location": place}
                    for place in dict.fromkeys(shown(one.file) for one in each.locations)
                ]
            },
        }
        for each in report.findings
        if each.rule == _NATIVE_RULE and any(one.file for one in each.locations)
    ]


def _services(report: Report) -> list[dict[str, Any]]:
    """Return the hosts that the app names; by which scheme and path isn't told, so that none is an endpoint."""
    return [
        {
            "bom-ref": f"host:{fingerprint(each)}",
            "name": shown(each.subject),
            "x-trust-boundary": True,
            "description": shown(each.title),
        }
        for each in report.findings
        if each.rule == _HOST_RULE and each.locations
    ]


def _exposure(each: Scanned, finding: Finding) -> dict[str, Any]:
    facts = each.report.rule(finding.rule)
    status = each.status(finding)
    secret = secret_of(finding)
    found: dict[str, Any] = {
        "bom-ref": f"finding:{fingerprint(finding)}",
        "id": shown(finding.rule),
        "ratings": [{"severity": finding.severity.value, "method": "other"}],
        "description": shown(finding.title),
        "analysis": {"state": _STATES[status], "detail": status},
        "affects": [{"ref": "app"}],
        "properties": [
            *_properties("verdict", [finding.verdict.value]),
            *_properties("confidence", [finding.confidence.value]),
            *_properties("subject", [finding.subject]),
            *_properties("at", [places(finding)] if finding.locations else []),
            *_properties("secret", [secret] if secret else []),
        ],
    }
    if facts is not None:
        found["recommendation"] = facts.todo
    return found
