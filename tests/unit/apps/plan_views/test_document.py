"""The JSON document of a plan: all that scripts read, in plain types."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from scripts.plan_schema import TARGET, text
from tests.unit.apps.plan_views.form import faults
from tests.unit.apps.plan_views.seed import crowded_plan, seed_plan, struck_plan, troubled_plan

from watchword.apps.plan.document import PlanDocumentError, document, read
from watchword.apps.plan.html import report
from watchword.apps.plan.markdown import markdown
from watchword.apps.plan.terminal import item_lines
from watchword.plan.outcome import Measure, Plan

FORM: dict[str, Any] = json.loads(TARGET.read_text(encoding="utf-8"))


def test_the_schema_is_that_of_the_model() -> None:
    """``python -m scripts.plan_schema`` writes it anew."""
    assert TARGET.read_text(encoding="utf-8") == text()


def measured_plan() -> Plan:
    """Return the seed's plan, in which an attack on the shield was tried."""
    measure = Measure("PR-B01", "MT-B03", 41, 55, 3, 2, "api:clinic")
    return replace(seed_plan(), measures=(measure,))


@pytest.mark.parametrize(
    "plan",
    [
        seed_plan(),
        troubled_plan(),
        struck_plan(),
        replace(seed_plan(), added=("PR-B01",), removed=("PR-A05",)),
        crowded_plan(60),
        measured_plan(),
    ],
)
def test_the_document_has_the_form_of_its_schema(plan: Plan) -> None:
    """Every member is there, and none that docs/plan.schema.json doesn't tell."""
    assert list(faults(json.loads(json.dumps(document(plan))), FORM, FORM)) == []


@pytest.mark.parametrize(
    "mutate",
    [
        lambda found: found["items"][0].pop("why"),
        lambda found: found["items"][0].update(likelihood="high"),
        lambda found: found["paths"][0].update(impact=6),
        lambda found: found["exposure"][0].update(now="ajar"),
        lambda found: found["items"][0].update(effort=True),
    ],
)
def test_the_schema_tells_a_wrong_document(mutate: Callable[[dict[str, Any]], object]) -> None:
    """A member that is missing, foreign or of another type is a fault, of the schema and of whoever reads it."""
    found = document(seed_plan())
    mutate(found)
    assert len(list(faults(found, FORM, FORM))) == 1
    with pytest.raises(PlanDocumentError):
        read(found)


def test_scripts_find_what_the_issue_promises() -> None:
    """Items, paths and exposure stand at the top; each item says what, when, what for and why."""
    found = document(seed_plan())
    first = found["items"][0]
    assert first["protection"] == "PR-B01"
    assert first["phase"] == "prevent"
    assert first["closes"] == [each["id"] for each in found["paths"][:2]]
    assert first["effort"] == 6
    assert first["why"]
    assert [row["asset"] for row in found["exposure"]] == ["backend-records", "one-user-live-data"]
    assert [each["spent"] for each in found["tallies"]["items"]][:3] == [6, 9, 12]


def test_the_document_is_the_same_each_time() -> None:
    """Sets are sorted: the same plan gives the same bytes."""
    assert json.dumps(document(seed_plan())) == json.dumps(document(seed_plan()))


def test_what_was_measured_stands_beside_the_estimate() -> None:
    """At the cut that it concerns, and by itself, since what is proven isn't in the list; other cuts have none."""
    found = document(measured_plan())
    first, second = found["items"][:2]
    assert [each["measured"] for each in first["cuts"]] == [
        {"stopped": 41, "tried": 55, "estimate": 3}
    ]
    assert [each["measured"] for each in second["cuts"]] == [None]
    (measure,) = found["measured"]
    assert (measure["protection"], measure["technique"]) == ("PR-B01", "MT-B03")
    assert (measure["strength"], measure["target"]) == (2, "api:clinic")


@pytest.mark.parametrize(
    "view", [markdown, report, lambda plan: "\n".join(item_lines(plan, "PR-B01"))]
)
def test_every_view_shows_measured_numbers_with_the_estimate(view: Callable[[Plan], str]) -> None:
    """Reader and script get the same three numbers; without a measure there are none."""
    shown = " ".join(view(measured_plan()).replace("\\", "").split())
    assert "measured 41 of 55 variants; estimate 3" in shown
    assert "measured" not in view(seed_plan())


def test_a_measure_of_what_this_model_lacks_is_left_to_the_json() -> None:
    """People read what the plan hangs on; scripts get all."""
    plan = replace(measured_plan(), measures=(Measure("PR-B01", "MT-B12", 1, 2, 2, 2, "api:x"),))
    assert "measured" not in markdown(plan)
    assert len(document(plan)["measured"]) == 1
