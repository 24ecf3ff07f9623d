"""The SARIF log of a scan: its form, and what a viewer makes of it."""

import json
from typing import Any

import pytest
from hypothesis import given
from tests.apps.drill_views.strange import is_harmless, texts
from tests.apps.plan_views.form import faults
from tests.apps.scan_views import seed

from watchword.apps.scan_views.sarif import MARK, sarif
from watchword.apps.scan_views.words import Scanned, json_text
from watchword.scan.interface import Verdict
from watchword.scan.outcome import bad, fingerprint


def _object(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(required),
        "properties": {**required, **(optional or {})},
    }


def _array(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


_STRING = {"type": "string", "minLength": 1}
_INDEX = {"type": "integer", "minimum": 0}
_BAG = {"type": "object"}
_TEXT = _object({"text": _STRING})
_DIGEST = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
_RULE = _object(
    {
        "id": _STRING,
        "name": _STRING,
        "shortDescription": _TEXT,
        "fullDescription": _TEXT,
        "help": _object({"text": _STRING, "markdown": _STRING}),
        "properties": _BAG,
    }
)
_LOCATION = _object(
    {
        "physicalLocation": _object(
            {
                "artifactLocation": _object({"uri": _STRING}),
                "region": _object({"startLine": {"type": "integer", "minimum": 1}}),
            }
        )
    },
    {
        "logicalLocations": _array(
            _object({"name": _STRING, "fullyQualifiedName": _STRING, "kind": _STRING})
        )
    },
)
_RESULT = _object(
    {
        "ruleId": _STRING,
        "ruleIndex": _INDEX,
        "kind": {"type": "string", "enum": ["fail", "informational"]},
        "level": {"type": "string", "enum": ["none", "note", "warning", "error"]},
        "message": _TEXT,
        "locations": _array(_LOCATION),
        "fingerprints": _object({"watchwordScan/v1": _DIGEST}),
        "partialFingerprints": _object({"primaryLocationLineHash": _DIGEST}),
        "properties": _BAG,
        "suppressions": _array(
            _object(
                {
                    "kind": {"type": "string", "enum": ["external"]},
                    "status": {"type": "string", "enum": ["accepted"]},
                    "justification": _STRING,
                }
            )
        ),
    }
)
_NOTE = _object(
    {"level": {"type": "string", "enum": ["warning"]}, "message": _TEXT},
    {"associatedRule": _object({"id": _STRING, "index": _INDEX})},
)
FORM = _object(
    {
        "$schema": _STRING,
        "version": {"const": "2.1.0"},
        "runs": _array(
            _object(
                {
                    "tool": _object(
                        {
                            "driver": _object(
                                {"name": _STRING, "version": _STRING, "rules": _array(_RULE)}
                            )
                        }
                    ),
                    "automationDetails": _object({"id": _STRING}),
                    "invocations": _array(
                        _object(
                            {"executionSuccessful": {"type": "boolean"}},
                            {"toolExecutionNotifications": _array(_NOTE)},
                        )
                    ),
                    "artifacts": _array(
                        _object(
                            {
                                "location": _object({"uri": _STRING}),
                                "length": _INDEX,
                                "hashes": _object({"sha-256": _STRING}),
                            }
                        )
                    ),
                    "columnKind": {"type": "string", "enum": ["unicodeCodePoints"]},
                    "results": _array(_RESULT),
                    "properties": _BAG,
                }
            )
        ),
    }
)
"""The part of the schema of SARIF 2.1.0 that a scan uses, and nothing besides."""


def run_of(scanned: Scanned) -> Any:
    """Return the one run of the log."""
    return sarif([scanned])["runs"][0]


@pytest.mark.parametrize("scans", [[seed.clean()], [seed.mixed()], [seed.mixed(), seed.clean()]])
def test_it_has_the_form_of_the_standard(scans: list[Scanned]) -> None:
    """Every member is one of SARIF 2.1.0, of its type and where it belongs."""
    log = sarif(scans)
    assert list(faults(log, FORM, FORM)) == []
    assert len(log["runs"]) == len(scans)


@pytest.mark.parametrize("member", ["ruleId", "message", "fingerprints", "suppressions"])
def test_the_check_of_the_form_sees_faults(member: str) -> None:
    """It isn't blind: a member that is missing is seen."""
    log = sarif([seed.mixed()])
    del log["runs"][0]["results"][0][member]
    assert list(faults(log, FORM, FORM))


def test_what_is_to_act_on_is_a_result_at_its_rule() -> None:
    """Those of the API's description too; what is protected is none."""
    scanned = seed.mixed()
    run = run_of(scanned)
    failing = [each for each in run["results"] if each["kind"] == "fail"]
    acted = [each for each in scanned.report.all_findings if bad(each)]
    assert [each["fingerprints"]["watchwordScan/v1"] for each in failing] == [
        fingerprint(each) for each in acted
    ]
    rules = run["tool"]["driver"]["rules"]
    assert all(rules[each["ruleIndex"]]["id"] == each["ruleId"] for each in run["results"])
    verdicts = {each["properties"]["verdict"] for each in run["results"]}
    assert Verdict.PROTECTED not in verdicts
    assert all(each["level"] == "none" for each in run["results"] if each["kind"] != "fail")


def test_what_somebody_answers_for_is_suppressed_with_his_reason() -> None:
    """A viewer hides it and can say why; what isn't suppressed says so."""
    results = run_of(seed.mixed())["results"]
    by = {each["properties"]["subject"]: each["suppressions"] for each in results}
    assert "Ada" in by["answered"][0]["justification"]
    assert [name for name, each in by.items() if each] == ["answered"]


def test_what_wasnt_seen_is_told_by_the_run() -> None:
    """An empty list of results isn't a clean bill."""
    notes = run_of(seed.mixed())["invocations"][0]["toolExecutionNotifications"]
    assert len(notes) == 3
    assert "toolExecutionNotifications" not in run_of(seed.clean())["invocations"][0]


@given(texts)
def test_strangers_text_does_no_harm(text: str) -> None:
    """No controls, and no link in a message, whatever classes are called."""
    run = run_of(seed.strange(text))
    for each in run["results"]:
        message = each["message"]["text"]
        assert is_harmless(message)
        assert "](" not in message.replace("\\]", "")


def test_its_text_has_the_mark_near_the_start_and_no_secret() -> None:
    """So that the next one may take its place, and that it may be uploaded."""
    text = json_text(sarif([seed.mixed()]))
    assert MARK in text[:4096]
    assert seed.SECRET not in text
    assert json.loads(text)
