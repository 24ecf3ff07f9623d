"""The SARIF log of a drill: its form, and what a viewer makes of it."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from tests.unit.apps.drill_views import seed
from tests.unit.apps.drill_views.strange import is_harmless, texts
from tests.unit.apps.sarif_schema import faults

from watchword.apps.drill.reports import SARIF_MARK, sarif
from watchword.apps.reports.text import json_text
from watchword.drill.judgements import Report, Verdict

FILE = PurePosixPath("deploy/watch word.yaml")


def run_of(report: Report, **more: Any) -> Any:
    """Return the one run of the log."""
    return sarif(report, **more)["runs"][0]


@pytest.mark.parametrize("file", [None, FILE])
@pytest.mark.parametrize("docs", [None, "https://docs.example/attacks"])
@pytest.mark.parametrize("made", [seed.clean, seed.mixed, seed.interrupted])
def test_it_has_the_form_of_the_standard(
    made: Callable[[], Report], docs: str | None, file: PurePosixPath | None
) -> None:
    """By its schema, and what code scanning on GitHub asks for besides."""
    assert faults(sarif(made(), file=file, docs=docs)) == []


@pytest.mark.parametrize("member", ["ruleId", "message", "fingerprints"])
def test_the_check_of_the_form_sees_faults(member: str) -> None:
    """It isn't blind: a member that is missing is seen."""
    log = sarif(seed.mixed())
    del log["runs"][0]["results"][0][member]
    assert faults(log)


def test_what_got_through_is_a_result_and_nothing_else_is() -> None:
    """Open is an error, unsure a warning, at the rule of its attack."""
    report = seed.mixed()
    run = run_of(report)
    levels = {Verdict.OPEN: "error", Verdict.UNSURE: "warning"}
    wanted = [
        (result.attack.id, each.name, levels[each.verdict])
        for result in report.results
        for each in result.variants
        if each.verdict in levels
    ]
    results = run["results"]
    assert wanted == [
        (each["ruleId"], each["properties"]["variant"], each["level"]) for each in results
    ]
    rules = run["tool"]["driver"]["rules"]
    assert all(rules[each["ruleIndex"]]["id"] == each["ruleId"] for each in results)
    assert run_of(seed.clean())["results"] == []


def test_a_rule_says_what_the_attack_does() -> None:
    """Its help has what is sent, what must happen and what it can't tell, and where to read on."""
    rule = run_of(seed.mixed(), docs="https://docs.example/attacks")["tool"]["driver"]["rules"][0]
    for said in (seed.FIRST.sends, seed.FIRST.must, seed.FIRST.blind):
        assert said in rule["help"]["text"]
        assert said in rule["help"]["markdown"]
    assert rule["helpUri"] == f"https://docs.example/attacks#{seed.FIRST.id}"
    assert (
        f"docs/attacks.md#{seed.FIRST.id}"
        in run_of(seed.mixed())["tool"]["driver"]["rules"][0]["help"]["text"]
    )


def test_fingerprints_are_the_variants_own_and_stay() -> None:
    """Another answer at another time changes none, another API changes all, and no two are alike."""

    def fingers(report: Report) -> list[str]:
        return [each["fingerprints"]["watchwordDrill/v1"] for each in run_of(report)["results"]]

    report = seed.mixed()
    later = replace(
        report,
        seconds=1.0,
        results=[
            replace(each, variants=tuple(replace(one, got="other") for one in each.variants))
            for each in report.results
        ],
    )
    other = replace(report, facts=replace(report.facts, api="other"))
    assert fingers(later) == fingers(report)
    assert len(set(fingers(report))) == len(fingers(report)) > 2
    assert not set(fingers(other)) & set(fingers(report))


def test_results_stand_beside_the_file_if_there_is_one() -> None:
    """Its path becomes a URI, an absolute one too."""
    for file, uri in (
        (FILE, "deploy/watch%20word.yaml"),
        (PurePosixPath("/etc/watchword.yaml"), "file:///etc/watchword.yaml"),
    ):
        location = run_of(seed.mixed(), file=file)["results"][0]["locations"][0]
        assert location["physicalLocation"]["artifactLocation"]["uri"] == uri
    assert "physicalLocation" not in run_of(seed.mixed())["results"][0]["locations"][0]


def test_what_was_not_run_is_a_note() -> None:
    """Of a whole attack and of a variant, each with its rule."""
    notes = run_of(seed.mixed())["invocations"][0]["toolExecutionNotifications"]
    assert [each["associatedRule"]["id"] for each in notes] == [seed.FIRST.id, seed.THIRD.id]
    assert {each["level"] for each in notes} == {"note"}


def test_an_interrupted_run_is_no_success() -> None:
    """It says so where a viewer looks for it, and when it began and ended."""
    whole, broken = (run_of(each)["invocations"][0] for each in (seed.clean(), seed.interrupted()))
    assert whole["executionSuccessful"] is True
    assert broken["executionSuccessful"] is False
    assert broken["toolExecutionNotifications"][-1]["level"] == "error"
    assert whole["startTimeUtc"] == "2026-11-25T03:04:05.678Z"
    assert whole["endTimeUtc"] == "2026-11-25T03:04:18.023Z"


@given(text=texts)
def test_strange_answers_put_no_link_and_no_placeholder_into_a_message(text: str) -> None:
    """Brackets are escaped, braces doubled (sections 3.11.5 and 3.11.6), and nothing is obeyed."""
    log = sarif(seed.hostile(text))
    assert is_harmless(json_text(log))
    run = log["runs"][0]
    notes = run["invocations"][0]["toolExecutionNotifications"]
    for message in [each["message"]["text"] for each in (*run["results"], *notes)]:
        assert is_harmless(message)
        bare = re.sub(r"\\\\|\\\[|\\\]|\{\{|\}\}", "", message)
        assert not re.search(r"[\[\]{}\\]", bare)


def test_a_file_has_its_mark_near_its_start() -> None:
    """A later run may write over it."""
    assert SARIF_MARK in json_text(sarif(seed.mixed()))[:400]
