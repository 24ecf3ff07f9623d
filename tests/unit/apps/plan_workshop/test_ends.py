"""The workshop's ends: files and pages of the plan as it is now, and the reason where there is none yet."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from starlette.types import ASGIApp
from tests.unit.apps.web.requests import Answer, ask, of_ours, opened

from watchword.adapters.answer_journal import AnswerJournal
from watchword.adapters.pdf import PdfError
from watchword.apps.plan.workshop.ends import ENDS, record, routes
from watchword.apps.plan.workshop.pages import Pages
from watchword.apps.plan.workshop.session import Workshop, journal_directory
from watchword.apps.web.frame import CSP, page_app
from watchword.apps.web.kit import Kit
from watchword.plan.workshop import SetEntry, SetValue

NOW = datetime(2026, 12, 2, 9, 30, tzinfo=UTC)
RECORDS = {
    "kind": "data",
    "lives_in": ["backend"],
    "impact": 5,
    "because": "every user's records go at once",
}


class Noon:
    """Say that it is always the same moment."""

    def now(self) -> datetime:
        """Return it."""
        return NOW

    def timestamp(self) -> float:
        """Return it in seconds."""
        return NOW.timestamp()


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    """Return the workshop of a file without a plan."""
    file = tmp_path / "watchword.yaml"
    file.write_text("version: 1\n", encoding="utf-8")
    made = Workshop(file, AnswerJournal(journal_directory(file), file), Noon())
    yield made
    made.close()


def answered(workshop: Workshop) -> None:
    """Answer what makes a plan."""
    edit = SetValue(("assets", "records"), None, RECORDS)
    workshop.answer([edit], "Ann <ann@example.com>", "records: impact 5 | all of it")


def served(workshop: Workshop) -> ASGIApp:
    """Return the workshop's pages."""
    kit = Kit("watchword.apps.plan.workshop")
    return page_app(Pages(workshop, kit).routes(), kit, opened())


def get(workshop: Workshop, target: str) -> Answer:
    """Ask for one page as a browser of ours does."""
    return ask(served(workshop), "GET", target, of_ours(opened()))


def test_without_a_plan_each_end_says_what_is_missing(workshop: Workshop) -> None:
    """Without a plan each end says what is missing."""
    assert get(workshop, "/ends").status == 200
    for each in ENDS:
        answer = get(workshop, each.address)
        if each.address.endswith("record.md"):
            assert answer.status == 200
        else:
            assert answer.status == 400
            assert "name an asset first" in answer.text


def test_the_page_leads_to_every_end(workshop: Workshop) -> None:
    """The page leads to every end."""
    answered(workshop)
    page = get(workshop, "/ends").text

    for each in ENDS:
        assert f'href="{each.address}" hx-boost="false"' in page
    assert get(workshop, "/ends/nothing").status == 404


def test_each_end_is_of_the_plan_as_it_is_now(workshop: Workshop) -> None:
    """Each end is of the plan as it is now."""
    answered(workshop)

    assert "every user&#39;s records go at once" in get(workshop, "/ends/management.html").text
    assert "every user's records" in get(workshop, "/ends/plan.md").text
    assert json.loads(get(workshop, "/ends/tickets-github.json").text)
    assert get(workshop, "/ends/tickets-jira.csv").text.startswith('\ufeff"Summary"')
    assert json.loads(get(workshop, "/ends/plan.cdx.json").text)["specFormat"] == "CycloneDX"


def test_files_are_downloaded_and_the_page_allows_its_own_style_alone(workshop: Workshop) -> None:
    """Files are downloaded and the page allows its own style alone."""
    answered(workshop)

    for name in (
        "plan.md",
        "tickets-github.json",
        "tickets-jira.csv",
        "plan.cdx.json",
        "record.md",
    ):
        headers = get(workshop, f"/ends/{name}").headers
        assert headers["content-disposition"] == f'attachment; filename="{name}"'
        assert headers["cache-control"] == "no-store"
        assert headers["content-security-policy"] == CSP
    policy = get(workshop, "/ends/management.html").headers["content-security-policy"]
    assert "style-src 'sha256-" in policy
    assert "frame-ancestors 'none'" in policy


def test_a_pdf_is_printed_from_the_page(workshop: Workshop) -> None:
    """A pdf is printed from the page."""
    answered(workshop)
    pages: list[str] = []

    def printed(page: str) -> bytes:
        pages.append(page)
        return b"%PDF-1.4"

    app = page_app(
        routes(
            workshop, Pages(workshop, Kit("watchword.apps.plan.workshop")).shown, printed=printed
        ),
        Kit("watchword.apps.plan.workshop"),
        opened(),
    )
    answer = ask(app, "GET", "/ends/management.pdf", of_ours(opened()))

    assert answer.body == b"%PDF-1.4"
    assert answer.headers["content-type"] == "application/pdf"
    assert "What to protect first" in pages[0]


def test_without_a_printer_the_page_says_what_to_do(workshop: Workshop) -> None:
    """Without a printer the page says what to do."""
    answered(workshop)

    def printed(_page: str) -> bytes:
        raise PdfError("no PDF: install Chromium")

    kit = Kit("watchword.apps.plan.workshop")
    app = page_app(routes(workshop, Pages(workshop, kit).shown, printed=printed), kit, opened())
    answer = ask(app, "GET", "/ends/management.pdf", of_ours(opened()))

    assert answer.status == 400
    assert "install Chromium" in answer.text


def test_the_record_says_who_answered_what_and_what_moved(workshop: Workshop) -> None:
    """The record says who answered what and what moved."""
    answered(workshop)
    strike = {"asset": "records", "technique": "MT-B03", "because": "a | b", "owner": "Bo"}
    workshop.answer([SetEntry(("scenarios", "strike"), None, strike)], "Bo", "struck <b>it</b>")
    text = record(workshop)

    assert "| 2026-12-02 09:30:00 | Ann \\<ann@&#8288;example.com\\> |" in text
    assert "records: impact 5 \\| all of it" in text
    assert "struck \\<b\\>it" in text
    assert "Some answers aren't in the file yet." in text
    assert "| asset records and technique MT-B03 | a \\| b | Bo | no end |" in text


def test_the_record_says_what_moved_against_the_file(workshop: Workshop) -> None:
    """The record says what moved against the file."""
    answered(workshop)
    workshop.save(workshop.seen(), "Ann")
    login = {**RECORDS, "impact": 4}
    workshop.answer([SetValue(("assets", "login"), None, login)], "Ann", "login: impact 4")
    text = record(workshop)

    assert "## What moved against the file" in text
    assert "- login: not there before, " in text


def test_the_record_of_a_meeting_without_a_plan_says_why(workshop: Workshop) -> None:
    """The record of a meeting without a plan says why."""
    workshop.answer([SetValue(("assets", "records"), None, {**RECORDS, "impact": 9})], "Ann", "9")
    assert "## There is no plan yet" in record(workshop)
    assert "plan.assets.records.impact" in record(workshop)
