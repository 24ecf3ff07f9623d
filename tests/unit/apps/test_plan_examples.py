"""Show that the examples give the orders that the method gives, through the command line."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.unit.plan.builders import NOTHING, NOW

from watchword.apps.cli.main import cli
from watchword.apps.settings.plan import load_plan
from watchword.plan.outcome import Phase
from watchword.plan.service import make_plan

EXAMPLES = Path(__file__).parents[3] / "examples"
SEED = "api-key-script"
ORDERS = {
    SEED: (["PR-B01", "PR-A05"], ["PR-C05"]),
    "clinic": (["PR-B01", "PR-A05"], ["PR-C05"]),
    "cases/mhealth-2021": (["PR-B01", "PR-B07", "PR-B05"], ["PR-B04"]),
    "cases/optus-2022": (["PR-B07"], ["PR-B16"]),
    "cases/tmobile-2023": (["PR-B01"], ["PR-B16"]),
    "cases/dunkin-2015": (["PR-B19", "PR-B13"], ["PR-C05"]),
    "cases/peloton-2021": (["PR-B09", "PR-B07"], ["PR-C05"]),
    "cases/retail-bank": (
        [
            *["PR-B01", "PR-A08", "PR-B27", "PR-B26", "PR-B03", "PR-A14", "PR-B02", "PR-B34"],
            *["PR-B36", "PR-A10", "PR-B30", "PR-B19", "PR-B29", "PR-B31", "PR-B35", "PR-B09"],
            *["PR-B07", "PR-B08", "PR-A05", "PR-A11", "PR-A13", "PR-C01", "PR-A09", "PR-A12"],
        ],
        ["PR-C03", "PR-B17", "PR-C05", "PR-B16", "PR-B04"],
    ),
}


@cache
def plan_of(name: str, *arguments: str) -> Mapping[str, Any]:
    """Return the plan of an example as JSON."""
    file = EXAMPLES / f"{name}.yaml"
    done = CliRunner().invoke(cli, ["-c", str(file), "plan", "--json", *arguments])
    assert done.exit_code == 0, done.output
    found: Mapping[str, Any] = json.loads(done.stdout)
    return found


def order(plan: Mapping[str, Any], phase: str | None = None) -> list[str]:
    """Return the ids of the list, of one phase or of all."""
    return [each["protection"] for each in plan["items"] if phase in {None, each["phase"]}]


def item(plan: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return one entry of the list."""
    found: Mapping[str, Any] = next(each for each in plan["items"] if each["protection"] == name)
    return found


def test_every_example_with_a_plan_is_here() -> None:
    """A case that is added gets its order here."""
    files = {path.stem for path in EXAMPLES.glob("*.yaml")}
    files |= {f"cases/{path.stem}" for path in (EXAMPLES / "cases").glob("*.yaml")}
    assert files == {*ORDERS, "coat-and-car"}


@pytest.mark.parametrize("name", ORDERS)
def test_the_orders_are_those_of_the_method(name: str) -> None:
    """What prevents, in order, then what secures against gathering; all is closed at the end, for the least effort."""
    prevent, gathering = ORDERS[name]
    plan = plan_of(name)
    assert order(plan, "prevent") == prevent
    assert order(plan, "gathering") == gathering
    assert order(plan)[: len(prevent)] == prevent
    assert {each["after"] for each in plan["exposure"]} == {"closed"}
    assert {each["now"] for each in plan["exposure"]} == {"open"}
    assert plan["unclosable"] == []


@pytest.mark.parametrize("name", ORDERS)
def test_every_order_is_proven_to_be_the_best(name: str) -> None:
    """Where nothing is hurried nothing is left out: each phase is solved to its optimum, well below the bound on nodes."""
    settings = load_plan(EXAMPLES / f"{name}.yaml")
    plan = make_plan(settings.model, settings.catalogue, NOTHING, NOW)
    assert plan.cut == ()
    prevent = [each.protection.id for each in plan.items if each.phase is Phase.PREVENT]
    assert prevent == ORDERS[name][0]


def test_the_case_that_the_method_starts_from() -> None:
    """Attestation at the API is first, whatever is shaken; pinning and obfuscation are in the list, after it."""
    plan = plan_of(SEED)
    places = {each["protection"]: each["place"] for each in plan["items"]}
    first = item(plan, "PR-B01")
    assert places["PR-B01"] == 1
    assert first["stability"]["first"] == first["stability"]["draws"] == 200
    for later in ("PR-C03", "PR-A01", "PR-A02"):
        assert places[later] > max(each["place"] for each in plan["items"] if each["closes"])
        assert item(plan, later)["phase"] == "hardening"


def test_the_car_comes_before_the_coat() -> None:
    """Whatever closes paths to the worse loss stands before all that closes paths to the lesser."""
    plan = plan_of("coat-and-car")
    closers = [each for each in plan["items"] if each["closes"]]
    served = [{path.split(":")[0] for path in each["closes"]} for each in closers]
    assert served[0] == {"record-store"}
    cars = [place for place, assets in enumerate(served) if "record-store" in assets]
    coats = [place for place, assets in enumerate(served) if assets == {"one-session"}]
    assert coats
    assert max(cars) < min(coats)


@pytest.mark.parametrize("name", ["cases/optus-2022", "cases/peloton-2021"])
def test_where_no_script_did_it_attestation_is_not_first(name: str) -> None:
    """The genuine app, or no app at all, got the data: a proof of the app changes nothing, and closes nothing."""
    assert "PR-B01" not in order(plan_of(name), "prevent")
    assert "PR-B01" not in order(plan_of(name), "gathering")


@pytest.mark.parametrize("name", [*ORDERS, "coat-and-car"])
def test_pinning_never_stands_before_attestation(name: str) -> None:
    """Pinning hinders the gathering of intelligence; so does encryption of payloads, and neither closes anything."""
    places = {each["protection"]: each["place"] for each in plan_of(name)["items"]}
    for later in {"PR-C03", "PR-C05"} & places.keys():
        assert item(plan_of(name), later)["closes"] == []
        assert item(plan_of(name), later)["phase"] in {"gathering", "hardening"}
    if {"PR-B01", "PR-C03"} <= places.keys():
        assert places["PR-B01"] < places["PR-C03"]


def test_attestation_alone_closes_no_banks_payments() -> None:
    """As if it were proven: every asset is open still, the payments by ways that need no script in place of the app."""
    plan = plan_of("cases/retail-bank", "--what-if", "+PR-B01")
    assert {each["now"] for each in plan["exposure"]} == {"open"}
    left = {
        each["way"].split(">")[-1]
        for each in plan["paths"]
        if each["asset"] == "payments" and each["now"] == "open"
    }
    assert left >= {"MT-A14", "MT-A15", "MT-A24", "MT-A25", "MT-A26", "MT-A27", "MT-B21"}
    assert left >= {"MT-B22", "MT-B23", "MT-B24", "MT-B25", "MT-B26", "MT-B28"}
    assert "MT-B12" not in left


def test_a_banks_partners_are_protected_by_nothing_of_a_phone() -> None:
    """Mutual TLS, certificates that end and a check of consent close what they call; no app and no attestation is in it."""
    plan = plan_of("cases/retail-bank")
    closing = {
        each["protection"]
        for each in plan["items"]
        if any(path.startswith("partner-") for path in each["closes"])
    }
    assert closing == {"PR-B34", "PR-B35", "PR-B36"}
    acting = {
        each["protection"]
        for each in plan["items"]
        if any(asset.startswith("partner-") for asset in each["assets"])
    }
    assert acting.isdisjoint({"PR-B01", "PR-B02", "PR-B03", "PR-B15", "PR-B27", "PR-C03", "PR-C04"})
    assert not any(name.startswith("PR-A") for name in acting)


def test_the_bank_says_whose_risk_is_accepted() -> None:
    """Without its strike the payments stay open, by that one way in."""
    plan = plan_of("cases/retail-bank")
    assert [each["steps"] for each in plan["struck"]] == [["MT-B27"]]
    assert "accepted" in plan["struck"][0]["because"]


def test_ways_in_are_fewer_than_paths() -> None:
    """What was 74 paths to the bank's payments is 30 ways in, each counted once whatever is gathered for it."""
    found = {each["asset"]: each for each in plan_of("cases/retail-bank")["exposure"]}
    assert (found["payments"]["paths"], found["payments"]["ways"]) == (74, 30)
    first = item(plan_of("cases/retail-bank"), "PR-B01")
    assert first["ways"]["closes"] < len(first["closes"])


def test_ties_and_pairs_are_told() -> None:
    """T-Mobile's two are worth the same; of mHealth's two neither closes the records alone; Dunkin' has a cheaper set."""
    assert item(plan_of("cases/tmobile-2023"), "PR-B01")["ties"] == [["PR-B18"]]
    assert item(plan_of("cases/mhealth-2021"), "PR-B01")["together"] == ["PR-B07"]
    assert item(plan_of("cases/mhealth-2021"), "PR-B07")["together"] == ["PR-B01"]
    cheaper = plan_of("cases/dunkin-2015")["cheaper"]
    assert (cheaper["effort"], cheaper["phases_effort"]) == (6, 9)
    others = {*ORDERS, "coat-and-car"} - {"cases/dunkin-2015"}
    assert all(plan_of(each)["cheaper"] is None for each in others)
