"""The workshop's pages where people could get lost: two answers to one question, and a comparison with nothing."""

import html
from urllib.parse import urlencode

import pytest
from starlette.types import ASGIApp
from tests.unit.apps.plan_workshop.test_ends import RECORDS, answered, get, served, workshop
from tests.unit.apps.web.requests import CSRF, FORM, Answer, ask, of_ours, opened

from watchword.apps.plan.workshop.session import Workshop
from watchword.plan.workshop import SetValue

__all__ = ["workshop"]


def post(app: ASGIApp, target: str, **fields: str) -> Answer:
    """Send a form as a page of ours does."""
    body = urlencode({"csrf": CSRF, **fields}).encode()
    headers = [*of_ours(opened()), FORM, ("content-length", str(len(body)))]
    return ask(app, "POST", target, headers, [body])


def test_of_two_answers_both_are_shown_and_who_gave_the_first(workshop: Workshop) -> None:
    """Who answers second sees the first answer, its author, and all that was typed, markup as text."""
    answered(workshop)
    revision = str(workshop.state().revision)
    edit = SetValue(("assets", "records", "impact"), RECORDS["impact"], 4)
    workshop.answer([edit], "Petra", "records: impact 4")
    reason = "a script <b>drains</b> it, " + "at length " * 90 + "END"
    answer = post(
        served(workshop), "/impact/records", revision=revision, impact="2", because=reason
    )
    assert answer.status == 409
    assert "It says now (Petra, 09:30)</dt><dd>4</dd>" in answer.text
    assert "You said</dt><dd>2</dd>" in answer.text
    assert reason in html.unescape(answer.text)
    assert "<b>drains" not in answer.text
    assert CSRF not in answer.text.partition("<dl>")[2].partition("</dl></details>")[0]
    assert '<a class="button" href="/impact">Answer again</a>' in answer.text
    assert answer.headers["hx-push-url"] == "false"
    assert answer.headers["hx-reswap"].endswith("show:window:top")
    assert workshop.state().section["assets"]["records"] == {**RECORDS, "impact": 4}


def test_a_changed_asset_leads_back_to_its_page(workshop: Workshop) -> None:
    """The way back is the page on which the question stands."""
    answered(workshop)
    revision = str(workshop.state().revision)
    edit = SetValue(("assets", "records", "kind"), "data", "service")
    workshop.answer([edit], "Petra", "records: what it is")
    answer = post(
        served(workshop), "/assets/records", revision=revision, name="records",
        kind="use-case", lives_in="backend",
    )  # fmt: skip
    assert answer.status == 409
    assert 'href="/assets/records">Answer again' in answer.text


def test_what_cant_be_taken_is_given_back(workshop: Workshop) -> None:
    """An owner without an end is refused: the cause is said, and what was typed is still there."""
    answered(workshop)
    answer = post(
        served(workshop), "/scenarios/strike", revision="0", to="/scenarios", asset="records",
        technique="MT-B03", because="the fund <i>refunds</i> it", owner="Petra", until="",
    )  # fmt: skip
    assert answer.status == 400
    assert "an accepted risk needs both" in html.unescape(answer.text)
    assert "the fund &lt;i&gt;refunds&lt;/i&gt; it" in answer.text
    assert 'href="/scenarios">Answer again' in answer.text
    assert "scenarios" not in workshop.state().section


def test_what_isnt_worked_out_yet_isnt_said_to_be_unsolved(workshop: Workshop) -> None:
    """Right after an answer nothing is known of what follows if a measure is skipped: the page says so."""
    answered(workshop)
    planned = workshop.plan()
    assert planned is not None
    text = get(workshop, f"/plan/{planned.plan.items[0].protection.id}").text
    assert "There was no time to solve it again" not in text
    assert "If it is skipped" in text


def test_a_template_s_example_is_called_one_until_the_team_says_its_own(workshop: Workshop) -> None:
    """Nobody takes a template's impact for the team's judgement."""
    note = "a template's example"
    post(served(workshop), "/start", revision="0", template="health")
    assets = workshop.state().section["assets"]
    assert html.unescape(get(workshop, "/impact").text).count(note) == len(assets)
    post(
        served(workshop), "/impact/booking", revision=str(workshop.state().revision),
        impact="3", because="two days of phone calls, as last spring",
    )  # fmt: skip
    assert html.unescape(get(workshop, "/impact").text).count(note) == len(assets) - 1


def test_turning_the_page_keeps_what_was_asked_for(workshop: Workshop) -> None:
    """The next page shows the same asset's ways, or what the same search found."""
    edits = [SetValue(("assets", f"records-{each}"), None, RECORDS) for each in range(50)]
    workshop.answer(edits, "Mo", "many assets")
    text = get(workshop, "/assets?q=records%26more").text
    assert "Nothing found." in text
    text = get(workshop, "/assets?q=records").text
    assert 'href="?q=records&amp;page=2"' in text
    text = get(workshop, "/assets?q=records&page=2").text
    assert "Page 2 of 2" in text
    assert 'href="?q=records&amp;page=1"' in text


def test_the_ways_into_one_asset_can_be_asked_for(workshop: Workshop) -> None:
    """Whoever looks for one asset's scenarios chooses it, wherever it stands in the list."""
    answered(workshop)
    login = SetValue(("assets", "login"), None, {**RECORDS, "kind": "service", "impact": 1})
    workshop.answer([login], "Mo", "login was added")
    text = get(workshop, "/scenarios?asset=login").text
    assert '<option value="login" selected>login</option>' in text.partition("Write a way")[0]
    assert "Ways in to login" in text
    assert '<p class="way"><a href="/scenarios?asset=records">' not in text


def test_a_budget_leads_back_to_the_plan(workshop: Workshop) -> None:
    """The form of the budget stands on the page of the plan."""
    answered(workshop)
    revision = str(workshop.state().revision)
    workshop.answer([SetValue(("budget",), None, 9)], "Petra", "budget: effort 9")
    answer = post(served(workshop), "/budget", revision=revision, budget="6")
    assert answer.status == 409
    assert "(Petra, 09:30)</dt><dd>9</dd>" in answer.text
    assert 'href="/plan">Answer again' in answer.text


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("/compare", "The file as it is saved makes no plan. Compare with another, or save first."),
        ("/compare?with=999", "There was no plan after that answer. Compare with another."),
    ],
)
def test_a_comparison_says_which_side_has_no_plan(
    workshop: Workshop, target: str, said: str
) -> None:
    """Before the first save the file has no plan: the page says so, and what to do."""
    answered(workshop)
    assert said in get(workshop, target).text
