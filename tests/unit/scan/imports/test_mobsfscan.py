"""What is taken over from a report of mobsfscan, and what its errors mean."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.scan.imports import ImportedReportError, read_mobsfscan
from watchword.scan.interface import Severity, Verdict
from watchword.scan.outcome import bad

REPORT: dict[str, Any] = {
    "mobsfscan_version": "1.1.0",
    "errors": [],
    "results": {
        "weak_hash": {
            "files": [{"file_path": "A.java", "match_lines": [3, 4], "match_string": "MD5"}],
            "metadata": {"severity": "ERROR", "description": "MD5."},
        },
        "android_pinning": {"metadata": {"severity": "WARNING", "description": "No pins."}},
    },
}


def test_what_mobsfscan_says_is_taken_over_and_marked() -> None:
    """By its rules and severities, at its places."""
    report = read_mobsfscan(REPORT)
    found = {each.rule: each for each in report.findings}
    weak = found["mobsfscan:weak_hash"]
    assert (weak.verdict, weak.severity) == (Verdict.EXPOSED, Severity.HIGH)
    assert [(each.file, each.line) for each in weak.locations] == [("A.java", 3)]
    assert bad(found["mobsfscan:android_pinning"])
    assert report.partial


def test_where_it_failed_what_it_calls_missing_is_only_told() -> None:
    """Without its engine it lists every protection as missing, which means nothing."""
    report = read_mobsfscan({**REPORT, "errors": [{"message": "semgrep isn't there"}]})
    found = {each.rule: each for each in report.findings}
    assert found["mobsfscan:android_pinning"].verdict is Verdict.NOT_SEEN
    assert bad(found["mobsfscan:weak_hash"])
    assert any("semgrep" in each.why for each in report.coverage.gaps)


@pytest.mark.parametrize("errors", ["no semgrep", {"message": "no semgrep"}, [{"x": 1}], 1, True])
def test_errors_of_any_form_are_errors(errors: object) -> None:
    """A form that nobody knows isn't taken for success."""
    report = read_mobsfscan({**REPORT, "errors": errors})
    found = {each.rule: each for each in report.findings}
    assert found["mobsfscan:android_pinning"].verdict is Verdict.NOT_SEEN
    assert [each.where for each in report.coverage.gaps].count("mobsfscan") == 1


def test_a_report_that_is_silent_on_errors_proves_nothing() -> None:
    """It may be of a version that doesn't tell."""
    silent = {name: each for name, each in REPORT.items() if name != "errors"}
    found = {each.rule: each for each in read_mobsfscan(silent).findings}
    assert found["mobsfscan:android_pinning"].verdict is Verdict.NOT_SEEN


@pytest.mark.parametrize("document", [None, [], {}, {"results": {}}, {"errors": []}])
def test_another_document_is_refused(document: object) -> None:
    """Which would be a report without findings, and a clean bill."""
    with pytest.raises(ImportedReportError):
        read_mobsfscan(document)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["metadata", "files", "file_path", "match_lines", "a"]),
                inner,
                max_size=3,
            )
        ),
        max_leaves=12,
    )
)
def test_a_mutated_report_raises_nothing(results: object) -> None:
    """Whatever stands under results."""
    try:
        assert read_mobsfscan({"results": results, "errors": []}).partial
    except ImportedReportError:
        assert not isinstance(results, dict)
