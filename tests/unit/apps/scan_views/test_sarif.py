"""The SARIF log of a scan: what the standard and viewers ask for, and what a viewer makes of it."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from tests.unit.apps.drill_views.strange import is_harmless, texts
from tests.unit.apps.sarif_schema import faults
from tests.unit.apps.scan_views import seed

from watchword.apps.reports.text import json_text
from watchword.apps.scan.ci import MAX_RESULTS, SARIF_MARK, sarif
from watchword.apps.scan.report import Scanned
from watchword.scan.baseline import sort
from watchword.scan.interface import Location, Severity, Verdict
from watchword.scan.outcome import bad, fingerprint


def run_of(scanned: Scanned) -> Any:
    """Return the one run of the log."""
    return sarif([scanned])["runs"][0]


@pytest.mark.parametrize("scans", [[seed.clean()], [seed.mixed()], [seed.mixed(), seed.clean()]])
def test_it_passes_the_schema_of_the_standard(scans: list[Scanned]) -> None:
    """And what code scanning on GitHub asks for besides."""
    log = sarif(scans)
    assert faults(log) == []
    assert len(log["runs"]) == len(scans)


@pytest.mark.parametrize(
    "mutate",
    [
        lambda run: run["results"][0].pop("message"),
        lambda run: run["results"][0].update(level="severe"),
        lambda run: run["results"][0].update(unknown=1),
        lambda run: run["results"][0].update(ruleIndex=1),
        lambda run: run["results"][0]["locations"][0]["physicalLocation"][
            "artifactLocation"
        ].update(uri="/builds/shop.apk"),
        lambda run: run["results"][0].update(locations=[]),
        lambda run: run["tool"]["driver"].pop("name"),
        lambda run: run["tool"]["driver"]["rules"][0].pop("help"),
        lambda run: run["tool"]["driver"]["rules"][0]["properties"].update(tags=["security"] * 21),
        lambda run: run["artifacts"][0]["location"].update(uri="a b"),
    ],
)
def test_the_check_of_the_form_sees_faults(mutate: Callable[[Any], object]) -> None:
    """It isn't blind, neither where the schema speaks nor where GitHub does."""
    log = sarif([seed.mixed()])
    mutate(log["runs"][0])
    assert faults(log)


def test_what_is_to_act_on_is_a_result_at_its_rule() -> None:
    """Those of the API's description too; what is protected or only told is none: each would be an alert."""
    scanned = seed.mixed()
    run = run_of(scanned)
    acted = [each for each in scanned.report.all_findings if bad(each)]
    assert [each["fingerprints"]["watchwordScan/v1"] for each in run["results"]] == [
        fingerprint(each) for each in acted
    ]
    rules = run["tool"]["driver"]["rules"]
    assert all(rules[each["ruleIndex"]]["id"] == each["ruleId"] for each in run["results"])
    verdicts = {each["properties"]["verdict"] for each in run["results"]}
    assert verdicts == {Verdict.EXPOSED, Verdict.ABSENT}


def test_a_rule_has_the_severity_of_its_worst_finding() -> None:
    """GitHub takes it from the rule; one that found nothing here has none."""
    rules = run_of(seed.mixed())["tool"]["driver"]["rules"]
    scores = {each["id"]: each["properties"].get("security-severity") for each in rules}
    assert float(scores["secret-in-app"]) > 9
    assert 7 <= float(scores["api-plain-http"]) < 9
    assert 0 < float(scores["pinning"]) < 4
    assert scores["third-party-sdks"] is None


def test_a_rule_is_related_to_techniques_of_the_catalogue() -> None:
    """By their ids, as taxa of the run."""
    run = run_of(seed.mixed())
    taxa = run["taxonomies"][0]["taxa"]
    for rule in run["tool"]["driver"]["rules"]:
        (relation,) = rule["relationships"]
        assert taxa[relation["target"]["index"]]["id"] == "MT-A02"


def test_what_somebody_answers_for_is_suppressed_with_his_reason() -> None:
    """A viewer hides it and can say why; what isn't suppressed says so."""
    results = run_of(seed.mixed())["results"]
    by = {each["properties"]["subject"]: each["suppressions"] for each in results}
    assert "Ada" in by["answered"][0]["justification"]
    assert [name for name, each in by.items() if each] == ["answered"]


def test_what_a_baseline_knows_is_unchanged() -> None:
    """The rest is new; one that is worse now was updated; without a baseline nothing is said."""
    scanned = seed.mixed()
    states = {
        each["properties"]["subject"]: each["baselineState"] for each in run_of(scanned)["results"]
    }
    assert states.pop("known") == "unchanged"
    assert set(states.values()) == {"new"}
    known = next(each for each in scanned.report.all_findings if each.subject == "known")
    lower = sort(scanned.report, {fingerprint(known): Severity.LOW}, (), seed.AT.date())
    results = run_of(Scanned(scanned.report, lower))["results"]
    assert [each["baselineState"] for each in results].count("updated") == 1
    bare = run_of(Scanned.bare(scanned.report))["results"]
    assert not [each for each in bare if "baselineState" in each]


def test_places_are_in_the_repository() -> None:
    """The app as it was given, the API's description for its own; of what lies elsewhere only the name is told."""
    scanned = seed.mixed()
    inside = replace(
        scanned, path=PurePosixPath("out/my app.apk"), api_file=PurePosixPath("api/v1.yaml")
    )
    places = {
        each["ruleId"]: each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        for each in run_of(inside)["results"]
    }
    assert places["api-plain-http"] == "api/v1.yaml"
    assert places["pinning"] == "out/my%20app.apk"
    for path in ("/builds/secret/app.apk", "../app.apk"):
        log = json.dumps(run_of(replace(scanned, path=PurePosixPath(path))))
        assert "builds" not in log
        assert '"uri": "app.apk"' in log


def test_the_worst_are_kept_where_there_are_too_many() -> None:
    """And the log says how many it lacks."""
    many = tuple(
        seed.finding(Verdict.EXPOSED, severity, f"{severity}-{number}")
        for severity in (Severity.HIGH, Severity.LOW)
        for number in range(MAX_RESULTS - 100)
    )
    log = sarif([Scanned.bare(replace(seed.clean().report, findings=many))])
    (run,) = log["runs"]
    assert len(run["results"]) == MAX_RESULTS
    assert sum(each["level"] == "error" for each in run["results"]) == MAX_RESULTS - 100
    notes = run["invocations"][0]["toolExecutionNotifications"]
    assert "4,800 findings more" in notes[0]["message"]["text"]


def test_what_wasnt_seen_is_told_by_the_run() -> None:
    """An empty list of results isn't a clean bill."""
    notes = run_of(seed.mixed())["invocations"][0]["toolExecutionNotifications"]
    assert len(notes) == 3
    assert "toolExecutionNotifications" not in run_of(seed.clean())["invocations"][0]


@given(texts)
def test_strangers_text_does_no_harm(text: str) -> None:
    """No controls, and no link in a message, whatever classes are called."""
    log = sarif([seed.strange(text)])
    assert faults(log) == []
    (run,) = log["runs"]
    for each in run["results"]:
        message = each["message"]["text"]
        assert is_harmless(message)
        assert "](" not in message.replace("\\]", "")


def test_its_text_has_the_mark_near_the_start_and_no_secret() -> None:
    """So that the next one may take its place, and that it may be uploaded."""
    text = json_text(sarif([seed.mixed()]))
    assert SARIF_MARK in text[:4096]
    assert seed.SECRET not in text
    assert json.loads(text)


def test_a_message_says_where_in_the_package_it_is() -> None:
    """Viewers show the message beside the package, and a line of an entry is none of the package's."""
    at = (Location("assets/a.js", line=320),)
    found = replace(
        seed.finding(Verdict.EXPOSED, Severity.HIGH, "a", title="A thing."), locations=at
    )
    report = replace(seed.mixed().report, findings=(found,), api=())
    (result,) = run_of(Scanned.bare(report))["results"]
    assert result["message"]["text"] == "A thing. At assets/a.js:320."
    (place,) = result["locations"]
    assert place["physicalLocation"]["region"] == {"startLine": 1}
