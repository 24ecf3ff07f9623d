"""A plan as tickets: each says when it is done, and nothing in it is run or obeyed by who imports it."""

import csv
import io
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.apps.plan_views.seed import crowded_plan, renamed, seed_plan

from watchword.apps.plan.tickets import MAX_BODY, MAX_TITLE, defused, github, jira, proofs, tickets
from watchword.drill.registry import ATTACKS
from watchword.plan.catalogue import load_catalogue
from watchword.plan.outcome import Plan
from watchword.scan.api.registry import RULES as API_RULES
from watchword.scan.interface import Telling
from watchword.scan.registry import RULES

HOSTILE = (
    '=HYPERLINK("http://evil.example")</textarea><script>\u202e\x1b[31m @admin #1 {code}![x](y)|'
)


def read(text: str) -> list[list[str]]:
    """Return the rows of a CSV."""
    return list(csv.reader(io.StringIO(text), strict=True))


def named(plan: Plan, name: str) -> Plan:
    """Return a plan whose first protection has another name and text."""
    first = plan.items[0]
    protection = replace(first.protection, name=name, about=name, does_not=(name,))
    item = replace(first, protection=protection, why=name, assets=(name,))
    return replace(plan, items=(item, *plan.items[1:]))


def test_each_protection_has_one_ticket_in_the_order_of_the_plan() -> None:
    """Each protection has one ticket in the order of the plan."""
    plan = seed_plan()
    made: list[dict[str, Any]] = json.loads(github(plan))

    assert [each["title"] for each in made] == [
        f"[{item.protection.id}] {item.protection.name}" for item in plan.items
    ]
    assert all(set(each) == {"title", "body", "labels"} for each in made)
    rows = read(jira(plan))
    assert rows[0] == ["Summary", "Description", "Issue Type", "Priority", "Labels", "Labels"]
    assert len(rows) == len(plan.items) + 1


def test_every_key_of_the_catalogue_has_a_way_to_prove_it() -> None:
    """Every key of the catalogue has a way to prove it."""
    for protection in load_catalogue().protections.values():
        found = list(proofs(protection))
        assert {each.key for each in found} == set(protection.evidence)
        assert all(each.command or each.key.startswith("live:") for each in found)


def test_the_attacks_and_rules_of_a_ticket_are_those_that_say_so_themselves() -> None:
    """The attacks and rules of a ticket are those that say so themselves."""
    protection = load_catalogue().protections["PR-B01"]
    said = " ".join(each.about for each in proofs(protection))
    for attack in ATTACKS.values():
        if "PR-B01" in attack.protections:
            assert attack.id in said
    every: list[Telling] = [*RULES, *API_RULES]
    told = {
        rule.id: protection
        for rule in every
        for protection in rule.protections
        if protection in load_catalogue().protections
    }
    for rule, id_ in told.items():
        proving = " ".join(each.about for each in proofs(load_catalogue().protections[id_]))
        assert rule in proving


def test_a_ticket_says_when_it_is_done_and_what_it_waits_for() -> None:
    """A ticket says when it is done and what it waits for."""
    plan = seed_plan()
    shipped = replace(plan.items[0], protection=load_catalogue().protections["PR-B01"])
    body = json.loads(github(replace(plan, items=(shipped,))))[0]["body"]

    assert "## Done when" in body
    assert "watchword drill --only PR-B01" in body
    assert "## What it doesn't stop" in body


@pytest.mark.parametrize("name", [HOSTILE, "+1", "-1", "@x", "\uff1d1", " =1", "\t=1"])
def test_no_cell_of_jira_is_a_formula_or_markup(name: str) -> None:
    """No cell of jira is a formula or markup."""
    rows = read(jira(named(seed_plan(), name)))

    for row in rows[1:]:
        assert len(row) == 6
        for cell in row:
            assert not cell.lstrip().startswith(("=", "+", "-", "@", "\uff1d"))
            assert "\u202e" not in cell
            assert "\x1b" not in cell
    assert "{code}" not in jira(named(seed_plan(), HOSTILE)).replace("\\{code\\}", "")


def test_markup_in_a_name_is_text_on_github() -> None:
    """Markup in a name is text on github."""
    body = json.loads(github(named(seed_plan(), HOSTILE)))[0]["body"]
    # Names of assets are code, in which nothing is markup.
    body = "".join(line for line in body.splitlines() if not line.startswith("Protects"))

    assert "<script>" not in body.replace("\\<script\\>", "")
    assert "![x](y)" not in body
    assert "@admin" not in body
    assert "\u202e" not in body


@given(st.text(max_size=40))
def test_whatever_a_cell_holds_it_is_no_formula(cell: str) -> None:
    """Whatever a cell holds it is no formula."""
    made = defused(cell)
    assert made.endswith(cell)
    assert not made.lstrip(" \u00a0").startswith(("=", "+", "-", "@", "\t", "\r", "\n", "|", "%"))


def test_a_long_ticket_is_cut() -> None:
    """A long ticket is cut."""
    made = json.loads(github(named(seed_plan(), "long " * 20_000)))
    assert len(made[0]["title"]) <= MAX_TITLE
    assert len(made[0]["body"]) <= MAX_BODY + 4


def test_many_assets_are_counted() -> None:
    """Many assets are counted."""
    plan = crowded_plan(40)
    many = replace(plan.items[0], assets=tuple(f"asset-{number}" for number in range(500)))
    body = json.loads(github(replace(plan, items=(many,))))[0]["body"]
    assert "488 more" in body


def test_a_renamed_asset_is_named_in_its_ticket() -> None:
    """A renamed asset is named in its ticket."""
    plan = renamed(seed_plan(), "backend-records", "r-2")
    assert any("r-2" in each.assets for each in tickets(plan))
