"""The plan in a terminal: order, marks, widths, and nothing that a terminal obeys."""

from dataclasses import replace

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.apps.plan_views.seed import renamed, seed_plan, troubled_plan

from watchword.apps.plan import words
from watchword.apps.plan.terminal import SHORT, item_lines, lines
from watchword.apps.plan.words import verdict
from watchword.plan.interface import Struck
from watchword.plan.outcome import Action, AssetState, Exposure, Phase, Plan


def shown(plan: Plan, **options: bool) -> list[str]:
    """Return the lines as they stand without colours."""
    return [click.unstyle(line) for line in lines(plan, **options)]


def place(found: list[str], said: str) -> int:
    """Return the number of the first line that holds a text."""
    return next(number for number, line in enumerate(found) if said in line)


def test_attestation_stands_first_and_pinning_after_it() -> None:
    """The order of the list is the order of the lines, under the heading of each phase."""
    found = shown(seed_plan())
    order = [
        words.HEADINGS[Phase.PREVENT],
        "PR-B01  App",
        "PR-A05  Hook",
        words.HEADINGS[Phase.GATHERING],
        "PR-C05  Payload",
        words.HEADINGS[Phase.HARDENING],
        "PR-C03  Certificate",
        "PR-A01  Code",
    ]
    places = [place(found, said) for said in order]
    assert places == sorted(places)


def test_an_item_says_what_it_closes_and_what_it_ties_with() -> None:
    """Below its name stand the ways in by asset with the impact, and the tie: two paths that gather otherwise are one way in."""
    found = shown(seed_plan())
    at = place(found, "PR-B01  App")
    assert "closes 1 way into backend-records (impact 5)" in found[at + 1]
    assert "PR-B18" in found[at + 2]


def test_hardening_is_short_unless_all_is_asked_for() -> None:
    """Of six measures five are shown, and how many more there are."""
    short, full = shown(seed_plan()), shown(seed_plan(), everything=True)
    assert not any("PR-A12" in line for line in short)
    assert any("PR-A12" in line for line in full)
    assert SHORT == 5
    assert any("1 more" in line for line in short)
    assert not any("more: --all" in line for line in full)


def test_what_is_wrong_with_a_plan_is_said() -> None:
    """Claims, unclosable paths, budget, cheaper set, what was left out, interim: all are named."""
    plan = troubled_plan()
    text = " ".join(" ".join(shown(plan)).split())
    for said in (
        "PR-C03 at app:clinic-android, 3 days ago: somebody says so",
        "MT-A15 Malware reads the screen",
        words.shortfalls(plan)[0],
        "1,200 paths of more than 8 steps",
        "stability was tried 40 times",
        "interim",
    ):
        assert said in text


def test_details_tell_why_what_else_and_on_which_evidence() -> None:
    """One protection is explained: reason, cuts, what follows without it, limits, stability."""
    text = " ".join(" ".join(item_lines(seed_plan(), "PR-B01")).split())
    for said in (
        "MT-B03",
        "3 of 3",
        "PR-B18",
        "a farm of genuine phones",
        "200 times",
        "from 5 to 1",
    ):
        assert said in text
    claimed = " ".join(" ".join(item_lines(seed_plan(), "PR-C03")).split())
    assert "3 days ago" in claimed
    assert list(item_lines(seed_plan(), "PR-X99")) == []


@pytest.mark.parametrize("action", [each for each in Action if each is not Action.INTRODUCE])
def test_what_isnt_to_be_introduced_says_so(action: Action) -> None:
    """To verify, renew or repair is other work than to introduce, and is told."""
    plan = seed_plan()
    plan = replace(plan, items=(replace(plan.items[0], action=action),))
    assert any(words.ACTIONS[action] in line for line in shown(plan))


@pytest.mark.parametrize("width", [80, 100, 110])
def test_no_line_is_wider_than_the_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is shown fits."""
    monkeypatch.setenv("COLUMNS", str(width))
    for plan in (seed_plan(), troubled_plan(), renamed(seed_plan(), "backend-records", "x" * 150)):
        for line in shown(plan, details=True, everything=True):
            assert len(line) <= width


def test_a_plan_with_nothing_to_do_says_so() -> None:
    """Without items the view differs by whether anything is exposed."""
    plan = replace(seed_plan(), items=(), claims=())
    exposed = shown(plan)
    held = replace(plan, assets=tuple(replace(each, now=Exposure.CLOSED) for each in plan.assets))
    assert shown(held) != exposed
    assert verdict(replace(plan, assets=())) != verdict(plan)


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=40))
def test_nothing_that_a_terminal_obeys_gets_through(name: str) -> None:
    """Names, reasons and sources of strangers are made printable."""
    plan = renamed(seed_plan(), "backend-records", name)
    state: AssetState = plan.assets[0]
    plan = replace(
        plan,
        assets=(replace(state, asset=replace(state.asset, because=name)), *plan.assets[1:]),
        claims=(replace(plan.claims[0], source=name, why=name),),
        proven=(replace(plan.proven[0], source=name, why=name),),
        model=replace(plan.model, cut=(name,), struck=(Struck(plan.paths[0].path, name),)),
        added=(name,),
        cut=(name,),
    )
    for line in shown(plan, details=True, everything=True):
        assert line.isprintable()
