"""Read the JSON report of mobsfscan, which scans sources."""

from collections.abc import Mapping
from typing import Any, Final

from watchword.scan.imports.foreign import Foreign, ImportedReportError, entries, members, text
from watchword.scan.interface import Location, Severity
from watchword.scan.outcome import Package, Report

_SEVERITIES: Final = {
    "ERROR": Severity.HIGH,
    "WARNING": Severity.MEDIUM,
}


def is_mobsfscan(document: object) -> bool:
    """Tell whether a document looks like one of mobsfscan's."""
    found = members(document)
    return isinstance(found.get("results"), dict) and (
        "mobsfscan_version" in found or "errors" in found
    )


def read(document: object) -> Report:
    """Return the report.

    Where mobsfscan lists errors, such as that there is no semgrep, it may have matched nothing at all and yet list every protection as
    missing: what names no file is then told as not seen, and the errors are gaps.

    :raises ImportedReportError: when it isn't one of mobsfscan's.
    """
    if not is_mobsfscan(document):
        raise ImportedReportError("got another document, expected a JSON report of mobsfscan")
    given = members(document)
    found = Foreign("mobsfscan")
    errors = _errors(given)
    for each in errors:
        found.missed("mobsfscan", each)
    for rule, each in members(given["results"]).items():
        about = members(members(each).get("metadata"))
        severity = _SEVERITIES.get(text(about.get("severity")).upper(), Severity.INFO)
        places = [*filter(None, map(_place, entries(members(each).get("files"))))]
        title = text(about.get("description")) or rule
        unseen = bool(errors) and not places
        found.add(rule, severity, title, places=places, unseen=unseen)
    return found.report(Package("sources", "imported", "", "", 0))


def _errors(given: Mapping[str, Any]) -> list[str]:
    """Return what went wrong, a line each; a form that nobody knows, or none at all, isn't taken for success."""
    if "errors" not in given:
        return ["whether anything went wrong isn't told"]
    errors = given["errors"]
    if errors is None or errors in ([], {}, ""):
        return []
    return [_said(each) for each in (errors if isinstance(errors, list) else [errors])]


def _place(given: Any) -> Location | None:
    one = members(given)
    lines = entries(one.get("match_lines"))
    line = lines[0] if lines and type(lines[0]) is int and 0 < lines[0] < 10**9 else 0
    name = text(one.get("file_path"))
    return Location(file=name, line=line) if name else None


def _said(error: Any) -> str:
    """Return what an error says; its form differs by version."""
    one = members(error)
    words = (text(one.get(name)) for name in ("message", "long_msg", "short_msg", "type"))
    return text(error) or next(filter(None, words), "an error")
