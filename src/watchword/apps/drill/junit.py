"""Write a drill as JUnit XML: a suite for each attack, a case for each variant, and a suite for the genuine app.

The form is the one that Ant, Jenkins and GitLab read, which nobody has standardised: elements and attributes are those that
the schemas of Ant and of Jenkins both allow, in the order that the stricter one of Ant asks for.
"""

from collections.abc import Iterator
from datetime import UTC
from typing import Final
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from watchword import __version__
from watchword.apps.drill.words import api_of, needed, outcome
from watchword.apps.reports.text import shown
from watchword.drill.outcome import AttackResult, Report, VariantResult, Verdict

MARK: Final = "<!-- watchword drill -->"
"""Stands in the second line of every file, by which an earlier one is known."""

_PACKAGE: Final = "watchword.drill"
_SECONDS: Final = "{:.3f}"

_Case = tuple[str, str | None, str, str]
"""A case: its name, the element that says how it ended (None: well), the kind of that, and what is said of it."""


def junit(report: Report) -> str:
    """Return the XML document.

    An attack that was served or that nothing could stop is a failure, one that nobody can be sure of an error, one that isn't run is skipped.  A run
    that was interrupted gets a suite of its own with an error, so that what is left doesn't pass for the whole.
    """
    root = Element("testsuites")
    for result in report.results:
        cases = [_case(result, each) for each in result.variants]
        _suite(root, report, result.attack.id, cases, result.seconds)
    _suite(root, report, "genuine-app", list(_genuine(report)), 0.0)
    if report.interrupted:
        why = "The run was interrupted: what didn't run isn't in this file."
        _suite(root, report, "run", [("to-its-end", "error", "interrupted", why)], report.seconds)
    indent(root)
    written = tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{MARK}\n{written}\n'


def _case(result: AttackResult, variant: VariantResult) -> _Case:
    name = variant.name
    if variant.verdict is Verdict.OPEN:
        return name, "failure", "open", outcome(variant)
    if variant.verdict is Verdict.ABSENT:
        return name, "failure", "absent", shown(variant.got)
    if variant.verdict is Verdict.UNSURE:
        return name, "error", "unsure", outcome(variant)
    if variant.verdict is Verdict.NOT_RUN:
        return name, "skipped", "not-run", shown(variant.got) or needed(variant.need)
    return name, None, "", f"{result.attack.id}/{name}: {shown(variant.got)}"


def _genuine(report: Report) -> Iterator[_Case]:
    """Yield a case for each sample that the genuine app asks for, and one for what it sent beside the attacks."""
    for control in report.controls:
        got = shown(control.got)
        if control.served:
            yield f"served {shown(control.sample)}", None, "", got
        else:
            yield f"served {shown(control.sample)}", "failure", "not-served", got
    found = report.genuine
    said = f"served {found.served} of {found.sent}"
    if not found.sent:
        yield "beside-the-attacks", "skipped", "not-run", "no genuine request was sent"
    elif found.served < found.sent:
        faults = "; ".join(map(shown, found.faults))
        yield "beside-the-attacks", "failure", "not-served", f"{said}: {faults}".rstrip(": ")
    else:
        yield "beside-the-attacks", None, "", said


def _suite(root: Element, report: Report, name: str, cases: list[_Case], seconds: float) -> None:
    ended = [element for _, element, _, _ in cases]
    suite = SubElement(
        root,
        "testsuite",
        {
            "id": str(len(root)),
            "name": name,
            "package": _PACKAGE,
            "hostname": api_of(report),
            # Ant's schema takes no zone; it is UTC.
            "timestamp": report.started.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
            "tests": str(len(cases)),
            "failures": str(ended.count("failure")),
            "errors": str(ended.count("error")),
            "skipped": str(ended.count("skipped")),
            "time": _SECONDS.format(seconds),
        },
    )
    properties = SubElement(suite, "properties")
    for key, value in (("target", shown(report.target)), ("watchword", __version__)):
        SubElement(properties, "property", {"name": key, "value": value})
    lines = []
    for case, element, kind, said in cases:
        # What one variant took isn't measured; the suite says what all took.
        attributes = {"name": case, "classname": f"{_PACKAGE}.{name}", "time": "0.000"}
        entry = SubElement(suite, "testcase", attributes)
        if element is None:
            lines.append(said)
            continue
        told = SubElement(entry, element, {"type": kind, "message": said})
        told.text = said
    SubElement(suite, "system-out").text = "\n".join(lines)
    SubElement(suite, "system-err")
