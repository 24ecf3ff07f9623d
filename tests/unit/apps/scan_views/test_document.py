"""The JSON document of scans, there and back."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.apps.drill_views.strange import texts
from tests.unit.apps.scan_views import seed

from watchword.apps.scan.document import ScanDocumentError, document, reports_of
from watchword.scan.differences import compare
from watchword.scan.outcome import fingerprint


def written(value: Any) -> bytes:
    """Return a document as it is printed."""
    return json.dumps(value).encode()


def test_what_is_written_is_read_again() -> None:
    """Two builds are compared by it: of a report and its copy nothing differs."""
    report = seed.mixed().report
    (copy,) = reports_of(written(document([seed.mixed()])))
    assert not compare(report, copy).any
    assert not compare(copy, report).any
    assert copy.coverage == report.coverage
    assert copy.package == report.package
    assert [fingerprint(each) for each in copy.all_findings] == [
        fingerprint(each) for each in report.all_findings
    ]


def test_each_finding_says_whether_it_counts() -> None:
    """And who answers for it."""
    (scan,) = document([seed.mixed()])["scans"]
    status = {each["subject"]: each["status"] for each in scan["findings"]}
    assert status["known"] == "known"
    assert status["answered"] == "suppressed"
    assert status["pinning"] == "counts"
    by = next(each["suppressed"] for each in scan["findings"] if "suppressed" in each)
    assert by["owner"] == "Ada"
    assert scan["suppressions"]["expired"][0]["owner"] == "Bob"
    assert scan["suppressions"]["unknown"][0]["owner"] == "Cleo"


def test_secrets_stand_there_only_when_they_are_revealed() -> None:
    """By default the first characters and the length."""
    assert seed.SECRET not in json.dumps(document([seed.mixed()]))
    assert seed.SECRET in json.dumps(document([seed.mixed()], reveal=True))


@given(texts)
def test_strangers_text_is_read_back_too(text: str) -> None:
    """Half a pair, a NUL, very long: a build's report can be compared, whatever its classes are called."""
    data = written(document([seed.strange(text)]))
    assert data.isascii()
    (copy,) = reports_of(data)
    assert not compare(copy, reports_of(data)[0]).any


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return where the values of a document are."""
    found = [at] if at else []
    if isinstance(value, dict):
        return found + [path for key, each in value.items() for path in paths(each, (*at, key))]
    if isinstance(value, list):
        return found + [path for key, each in enumerate(value) for path in paths(each, (*at, key))]
    return found


@given(st.data())
def test_a_mutated_document_raises_nothing_foreign(data: st.DataObject) -> None:
    """Any value replaced by any other."""
    mutated = document([seed.mixed()])
    path = data.draw(st.sampled_from(paths(mutated)))
    value = data.draw(st.sampled_from([None, -1, 1.5, True, "x", [], {}, [1], {"a": 1}]))
    holder: Any = mutated
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    try:
        reports = reports_of(written(mutated))
    except ScanDocumentError:
        return
    assert all(each.all_findings is not None for each in reports)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"{", b'{"kind":"watchword-scan","v":2}'])
def test_what_is_no_report_is_refused(data: bytes) -> None:
    """An empty file, another document, another version."""
    with pytest.raises(ScanDocumentError):
        reports_of(data)
