"""Read the JSON report of a static analysis by MobSF 4."""

import re
from collections.abc import Mapping
from typing import Any, Final

from watchword.scan.imports.foreign import (
    Foreign,
    ImportedReportError,
    digest,
    entries,
    members,
    text,
)
from watchword.scan.interface import Location, Severity
from watchword.scan.outcome import Package, Report

_SEVERITIES: Final = {
    "high": Severity.HIGH,
    "warning": Severity.MEDIUM,
    "medium": Severity.MEDIUM,
    "low": Severity.LOW,
}
_GOOD: Final = frozenset({"secure", "good"})
_SHA256: Final = re.compile(r"[0-9a-fA-F]{64}")
_NAMED: Final = re.compile(r'\s*"([^"]{1,200})"\s*:\s*"(.*)"\s*', re.DOTALL)
_MARKS: Final = ("code_analysis", "manifest_analysis", "binary_analysis", "ats_analysis")


def is_mobsf(document: object) -> bool:
    """Tell whether a document looks like one of MobSF's."""
    found = members(document)
    return any(name in found for name in _MARKS) and ("app_name" in found or "md5" in found)


def read(document: object) -> Report:
    """Return the report.

    :raises ImportedReportError: when it isn't one of MobSF's.
    """
    if not is_mobsf(document):
        raise ImportedReportError("got another document, expected a JSON report of MobSF")
    given = members(document)
    found = Foreign("mobsf")
    _code(found, members(given.get("code_analysis")))
    _listed(
        found,
        "manifest",
        entries(members(given.get("manifest_analysis")).get("manifest_findings")),
    )
    _listed(
        found,
        "network",
        entries(members(given.get("network_security")).get("network_findings")),
    )
    _listed(found, "ats", entries(members(given.get("ats_analysis")).get("ats_findings")))
    _certificates(found, given)
    _secrets(found, entries(given.get("secrets")))
    return found.report(_package(given))


def _package(given: Mapping[str, Any]) -> Package:
    digest_text = text(given.get("sha256"))
    ios = "bundle_id" in given
    return Package(
        name=text(given.get("file_name")) or text(given.get("app_name")) or "imported",
        container="imported",
        platform="ios" if ios else "android",
        digest=digest_text.lower() if _SHA256.fullmatch(digest_text) else "",
        size=0,
        id=text(given.get("bundle_id")) or text(given.get("package_name")),
        version=text(given.get("version_name")) or text(given.get("app_version")),
    )


def _severity(value: Any) -> tuple[Severity, bool]:
    word = text(value).lower()
    return _SEVERITIES.get(word, Severity.INFO), word in _GOOD


def _code(found: Foreign, analysis: Mapping[str, Any]) -> None:
    # Older reports have the findings at once, without the member around them.
    for rule, each in members(analysis.get("findings", analysis)).items():
        about = members(members(each).get("metadata"))
        severity, good = _severity(about.get("severity"))
        places = [
            Location(file=name, line=_line(lines))
            for name, lines in sorted(members(members(each).get("files")).items())
        ]
        title = text(about.get("description")) or rule
        if about:
            found.add(rule, severity, title, places=places, good=good)


def _line(lines: Any) -> int:
    """Return the first of lines, which stand there as ``12,40``."""
    first = text(lines).partition(",")[0].strip()
    return int(first) if first.isdecimal() and len(first) < 9 else 0


def _listed(found: Foreign, kind: str, findings: Any) -> None:
    for each in findings:
        one = members(each)
        severity, good = _severity(one.get("severity"))
        title = text(one.get("title")) or text(one.get("issue")) or text(one.get("description"))
        if not title:
            continue
        rule = text(one.get("rule")) or kind
        scope = one.get("scope")
        where = ", ".join(map(text, scope)) if isinstance(scope, list) else text(scope)
        named = [*map(text, entries(one.get("component"))), text(one.get("name")), where]
        subject = " ".join(filter(None, (*named, "" if one.get("rule") else title)))
        found.add(rule, severity, _plain(title), subject=_plain(subject), good=good)


def _plain(said: str) -> str:
    """Return text without the tags that MobSF puts into its lines."""
    return re.sub(r"<[^<>]{0,200}>", " ", said)


def _certificates(found: Foreign, given: Mapping[str, Any]) -> None:
    analysis = members(given.get("certificate_analysis"))
    for each in entries(analysis.get("certificate_findings")):
        words = [text(one) for one in entries(each)]
        if len(words) >= 2:
            severity, good = _severity(words[0])
            found.add("certificate", severity, words[1], subject=words[-1], good=good)


def _secrets(found: Foreign, secrets: Any) -> None:
    for each in map(text, secrets):
        match = _NAMED.fullmatch(each)
        name, value = (match[1], match[2]) if match else ("", each)
        if value:
            title = "MobSF takes a text of the app for a secret."
            found.add("secret", Severity.MEDIUM, title, subject=name or digest(value), secret=value)
