"""The page for management: what could be lost and what to do first, and nothing that runs."""

import base64
import hashlib
import re

import pytest
from tests.unit.apps.plan_views.seed import (
    crowded_plan,
    renamed,
    seed_plan,
    struck_plan,
    troubled_plan,
)

from watchword.apps.plan.management import (
    MAX_ASSETS,
    MAX_RISKS,
    Accepted,
    accepted_in,
    management,
    style_hash,
)
from watchword.apps.plan.words import verdict
from watchword.plan.outcome import Plan


@pytest.mark.parametrize(
    "plan", [seed_plan(), troubled_plan(), struck_plan(), crowded_plan(60)], ids=lambda _: ""
)
def test_it_says_what_to_do_first_and_asks_for_nothing_elsewhere(plan: Plan) -> None:
    """It says what to do first and asks for nothing elsewhere."""
    page = management(plan)

    assert plan.items[0].protection.name in page
    assert "What could be lost" in page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"\sstyle=", page)


def test_it_begins_with_the_verdict() -> None:
    """It begins with the verdict."""
    assert verdict(seed_plan())[0] in management(seed_plan())


def test_many_assets_are_counted() -> None:
    """Many assets are counted."""
    page = management(crowded_plan(60))
    assert f"{40 - MAX_ASSETS} more assets not shown" in page


def test_an_accepted_risk_has_its_owner_and_its_end() -> None:
    """An accepted risk has its owner and its end."""
    page = management(seed_plan(), [Accepted("asset a", "cheap <b>", "Ann", "2027-01-01")])

    for said in ("asset a", "cheap &lt;b&gt;", "Ann", "2027-01-01"):
        assert said in page
    assert "nobody is named" in management(seed_plan(), [Accepted("asset a", "because")])


def test_what_was_struck_is_a_risk_that_stays() -> None:
    """What was struck is a risk that stays."""
    assert "no key is in the package" in management(struck_plan())


def test_many_risks_are_counted() -> None:
    """Many risks are counted."""
    page = management(
        seed_plan(), [Accepted(f"asset {each}", "b") for each in range(MAX_RISKS + 3)]
    )
    assert "3 more accepted risks not shown" in page


def test_names_with_markup_stay_text() -> None:
    """Names with markup stay text."""
    page = management(renamed(seed_plan(), "backend-records", "<script>x</script>\u202e"))
    assert "<script>" not in page
    assert "\u202e" not in page


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ({}, []),
        ({"scenarios": None}, []),
        ({"scenarios": {"strike": None}}, []),
        ({"scenarios": {"strike": ["x", None, 3]}}, []),
        ({"scenarios": ["strike"]}, []),
        ({"scenarios": {"strike": [{}]}}, [Accepted("every path", "")]),
        (
            {"scenarios": {"strike": [{"asset": "a", "technique": "MT-A01", "because": "b\nc"}]}},
            [Accepted("asset a and technique MT-A01", "b c")],
        ),
        (
            {"scenarios": {"strike": [{"steps": ["MT-A01", "MT-B03"], "owner": "Ann"}]}},
            [Accepted("the path MT-A01, MT-B03", "", "Ann")],
        ),
    ],
)
def test_accepted_risks_are_read_from_any_section(
    section: dict[str, object], expected: list[Accepted]
) -> None:
    """Accepted risks are read from any section."""
    assert accepted_in(section) == expected


def test_the_hash_is_of_what_stands_in_the_page() -> None:
    """The hash is of what stands in the page."""
    page = management(seed_plan())
    style = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)

    assert len(style) == 1
    digest = base64.b64encode(hashlib.sha256(style[0].encode()).digest()).decode()
    assert style_hash(page) == f"'sha256-{digest}'"
