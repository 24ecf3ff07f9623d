"""Write what every JUnit XML of ours has in common.

The form is the one that Ant, Jenkins and GitLab read, which nobody has standardised: elements and attributes are those that
the schemas of Ant and of Jenkins both allow, in the order that the stricter one of Ant asks for.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from watchword import __version__
from watchword.encoding.phrases import moment


class Case(NamedTuple):
    """Hold a case.

    :param element: says how it ended: ``failure``, ``error`` or ``skipped``; None: well.
    :param kind: of that end.
    :param told: a line for lists of failures.
    :param lines: all that is to say; of a case that ended well the suite prints them.
    """

    name: str
    element: str | None = None
    kind: str = ""
    told: str = ""
    lines: Sequence[str] = ()


class Suite(NamedTuple):
    """Hold a suite of cases.

    :param host: where it ran.
    :param seconds: what all cases took; what each did isn't measured.
    """

    name: str
    host: str
    cases: Sequence[Case]
    seconds: float
    properties: Mapping[str, str]


def junit(package: str, mark: str, suites: Iterable[Suite], at: datetime) -> str:
    """Return the XML document.

    :param package: names the kind of report, as a class's package.
    :param mark: a comment for the second line of the file, by which an earlier one is known.
    :param at: when it began, aware.
    """
    root = Element("testsuites")
    for each in suites:
        _suite(root, package, each, at)
    indent(root)
    written = tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{mark}\n{written}\n'


def _suite(root: Element, package: str, suite: Suite, at: datetime) -> None:
    ended = [case.element for case in suite.cases]
    written = SubElement(
        root,
        "testsuite",
        {
            "id": str(len(root)),
            "name": suite.name,
            "package": package,
            "hostname": suite.host,
            # Ant's schema takes no zone; it is UTC.
            "timestamp": moment(at, "seconds").removesuffix("Z"),
            "tests": str(len(suite.cases)),
            "failures": str(ended.count("failure")),
            "errors": str(ended.count("error")),
            "skipped": str(ended.count("skipped")),
            "time": f"{suite.seconds:.3f}",
        },
    )
    properties = SubElement(written, "properties")
    for key, value in {**suite.properties, "watchword": __version__}.items():
        SubElement(properties, "property", {"name": key, "value": value})
    lines: list[str] = []
    for case in suite.cases:
        place = {"name": case.name, "classname": f"{package}.{suite.name}", "time": "0.000"}
        entry = SubElement(written, "testcase", place)
        if case.element is None:
            lines += case.lines
        else:
            told = {"type": case.kind, "message": case.told}
            SubElement(entry, case.element, told).text = "\n".join(case.lines)
    SubElement(written, "system-out").text = "\n".join(lines)
    SubElement(written, "system-err")
