"""What is taken over from a report of MobSF: marked, never firm, and nothing raised."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.scan.imports import ImportedReportError, read_mobsf
from watchword.scan.interface import Confidence, Severity, Verdict
from watchword.scan.outcome import bad

VALUE = "s3cr3t-value-of-somebody"
REPORT: dict[str, Any] = {
    "app_name": "Shop",
    "file_name": "shop.apk",
    "package_name": "com.example.shop",
    "version_name": "1.0",
    "sha256": "0F" * 32,
    "code_analysis": {
        "findings": {
            "android_logging": {
                "files": {"com/example/Main.java": "12,40"},
                "metadata": {"severity": "info", "description": "It logs."},
            },
            "android_ecb": {
                "files": {"com/example/Crypt.java": "7"},
                "metadata": {"severity": "high", "description": "ECB is used."},
            },
            "android_pinning": {"metadata": {"severity": "secure", "description": "It pins."}},
        }
    },
    "manifest_analysis": {
        "manifest_findings": [
            {
                "rule": "exported",
                "title": "<strong>Activity</strong> is exported",
                "severity": "warning",
                "component": ["com.example.Main"],
            }
        ]
    },
    "network_security": {
        "network_findings": [{"scope": ["*"], "description": "Cleartext.", "severity": "high"}]
    },
    "certificate_analysis": {"certificate_findings": [["warning", "It is SHA-1.", "Hash"]]},
    "secrets": [f'"api_key" : "{VALUE}"'],
}


def test_what_mobsf_says_is_taken_over_and_marked() -> None:
    """By its rules and severities, at its places."""
    report = read_mobsf(REPORT)
    assert report.package.id == "com.example.shop"
    assert report.package.digest == "0f" * 32
    found = {each.rule: each for each in report.findings}
    ecb = found["mobsf:android_ecb"]
    assert (ecb.verdict, ecb.severity) == (Verdict.EXPOSED, Severity.HIGH)
    assert [(each.file, each.line) for each in ecb.locations] == [("com/example/Crypt.java", 7)]
    assert "mobsf" in ecb.seen
    assert {each.rule for each in report.findings if bad(each)} == {
        f"mobsf:{name}" for name in ("android_ecb", "exported", "network", "certificate", "secret")
    }
    assert found["mobsf:exported"].subject == "com.example.Main"


def test_nothing_of_it_is_firm_and_nothing_is_proven() -> None:
    """Nobody saw it here, and how much MobSF read it doesn't say."""
    report = read_mobsf(REPORT)
    assert {each.confidence for each in report.findings} == {Confidence.POSSIBLE}
    assert all(each.verdict is not Verdict.PROTECTED for each in report.findings)
    assert report.standings == ()
    assert report.partial


def test_a_secret_stays_one() -> None:
    """Its value is in no repr and in no subject."""
    report = read_mobsf(REPORT)
    (found,) = (each for each in report.findings if each.secret is not None)
    assert found.secret is not None
    assert found.secret.value == VALUE
    assert found.subject == "api_key"
    assert VALUE not in repr(report)


@pytest.mark.parametrize("document", [None, [], {}, {"app_name": "x"}, {"code_analysis": {}}])
def test_another_document_is_refused(document: object) -> None:
    """Which would be a report without findings, and a clean bill."""
    with pytest.raises(ImportedReportError):
        read_mobsf(document)


@given(st.data())
def test_a_mutated_report_raises_nothing(data: st.DataObject) -> None:
    """Any member replaced by any value."""
    mutated = json.loads(json.dumps(REPORT))
    holder: Any = mutated
    while True:
        key = data.draw(
            st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder)))
        )
        inner = holder[key]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.booleans()):
            break
        holder = inner
    holder[key] = data.draw(
        st.sampled_from([None, 1, "x", [], {}, [[1]], {"a": {"b": 1}}, "\ud800"])
    )
    try:
        assert read_mobsf(mutated).partial
    except ImportedReportError:
        assert holder is mutated
