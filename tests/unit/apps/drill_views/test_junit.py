"""The JUnit file of a drill, as CI servers read it."""

import re
from collections.abc import Callable, Iterator
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element

import pytest
from hypothesis import given
from tests.unit.apps.drill_views import seed
from tests.unit.apps.drill_views.strange import is_harmless, texts

from watchword.apps.drill.reports import JUNIT_MARK, junit
from watchword.drill.judgements import Report, Verdict

_SUITE = {
    "id": r"\d+",
    "name": r".+",
    "package": r".+",
    "hostname": r".+",
    "timestamp": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d",
    "tests": r"\d+",
    "failures": r"\d+",
    "errors": r"\d+",
    "skipped": r"\d+",
    "time": r"\d+\.\d{3}",
}
_CASE = {"name": r".+", "classname": r".+", "time": r"\d+\.\d{3}"}
_ENDS = {"failure": "failures", "error": "errors", "skipped": "skipped"}


def faults(root: Element) -> Iterator[str]:
    """Yield where a document isn't of the form that the schemas of Ant and Jenkins both allow."""
    if root.tag != "testsuites" or root.attrib:
        yield "the root"
    for number, suite in enumerate(root):
        if suite.get("id") != str(number):
            yield "ids don't ascend"
        yield from _suite(suite)


def _suite(suite: Element) -> Iterator[str]:
    yield from _attributes(suite, "testsuite", _SUITE)
    cases = suite.findall("testcase")
    tags = [each.tag for each in suite]
    if tags != ["properties", *["testcase"] * len(cases), "system-out", "system-err"]:
        yield f"the order of {tags}"
    if suite.get("tests") != str(len(cases)):
        yield "tests"
    for tag, attribute in _ENDS.items():
        if suite.get(attribute) != str(len(suite.findall(f"testcase/{tag}"))):
            yield attribute
    for each in suite.findall("properties/property"):
        yield from _attributes(each, "property", {"name": ".+", "value": ".*"})
    for case in cases:
        yield from _attributes(case, "testcase", _CASE)
        if len(case) > 1:
            yield "a case with two ends"
        for end in case:
            if end.tag not in _ENDS:
                yield end.tag
            yield from _attributes(end, end.tag, {"type": ".+", "message": ".*"})


def _attributes(element: Element, tag: str, wanted: dict[str, str]) -> Iterator[str]:
    if element.tag != tag or element.attrib.keys() != wanted.keys():
        yield f"{element.tag} {sorted(element.attrib)}"
    for name, pattern in wanted.items():
        if not re.fullmatch(pattern, element.get(name, ""), re.DOTALL):
            yield f"{tag} {name} {element.get(name)!r:.80}"


@pytest.mark.parametrize("made", [seed.clean, seed.mixed, seed.interrupted])
def test_it_has_the_form_that_servers_read(made: Callable[[], Report]) -> None:
    """Elements, attributes, their order and the counts are right."""
    assert list(faults(ET.fromstring(junit(made())))) == []


@pytest.mark.parametrize(
    ("found", "put"),
    [('tests="', 'tests="9'), ("<system-out", "<x/><system-out"), ('type="open"', 'kind="open"')],
)
def test_the_check_of_the_form_sees_faults(found: str, put: str) -> None:
    """It isn't blind: each change is seen."""
    text = junit(seed.mixed()).replace(found, put, 1)
    assert list(faults(ET.fromstring(text)))


def test_every_variant_is_a_case_and_ends_as_it_did() -> None:
    """Open is a failure, unsure an error, not run is skipped, and stopped is fine."""
    report = seed.mixed()
    root = ET.fromstring(junit(report))
    tags = {
        Verdict.OPEN: "failure",
        Verdict.UNSURE: "error",
        Verdict.ABSENT: "failure",
        Verdict.NOT_RUN: "skipped",
        Verdict.STOPPED: None,
    }
    for result in report.results:
        suite = next(each for each in root if each.get("name") == result.attack.id)
        cases = suite.findall("testcase")
        assert [each.get("name") for each in cases] == [each.name for each in result.variants]
        for case, variant in zip(cases, result.variants, strict=True):
            assert [each.tag for each in case] == [tag for tag in [tags[variant.verdict]] if tag]


def test_the_genuine_app_is_a_suite_of_its_own() -> None:
    """What it wasn't served is a failure, and no request at all is no success."""
    suite = ET.fromstring(junit(seed.mixed()))[-1]
    assert suite.get("name") == "genuine-app"
    assert (suite.get("tests"), suite.get("failures")) == ("3", "2")
    fine = ET.fromstring(junit(seed.clean()))[-1]
    assert (fine.get("tests"), fine.get("failures"), fine.get("skipped")) == ("2", "0", "0")


def test_an_interrupted_run_is_red() -> None:
    """What ended by then was stopped, and yet the file has an error."""
    last = ET.fromstring(junit(seed.interrupted()))[-1]
    assert (last.get("name"), last.get("errors")) == ("run", "1")


@given(text=texts)
def test_strange_answers_stay_text(text: str) -> None:
    """They add no element, and the file holds no character that XML can't."""
    written = junit(seed.hostile(text))
    assert is_harmless(written)
    root = ET.fromstring(written)
    assert {each.tag for each in root.iter()} <= {
        *("testsuites", "testsuite", "properties", "property", "testcase"),
        *("failure", "error", "skipped", "system-out", "system-err"),
    }
    assert [fault for fault in faults(root) if "hostname" not in fault] == []


def test_the_mark_stands_at_its_start() -> None:
    """A later run may write over the file."""
    assert junit(seed.clean()).splitlines()[1] == JUNIT_MARK
