"""The page of a drill: what it says, that it needs nothing else, and that it fits, in a real browser too."""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from tests.system.apps.test_plan_report_in_chromium import WIDTHS, measured
from tests.unit.apps.drill_views import seed
from tests.unit.apps.drill_views.strange import NASTY, is_harmless, texts

from watchword.apps.drill.reports import HTML_MARK, html_page
from watchword.drill.findings import findings_of
from watchword.drill.judgements import Report, Verdict
from watchword.drill.registry import ATTACKS


class _Reader(HTMLParser):
    """Note the elements and attributes of a page, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: dict[str, list[str]] = {}
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note one element."""
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, []).append(value or "")

    def handle_data(self, data: str) -> None:
        """Note text, but that of the style."""
        if not data.lstrip().startswith(":root"):
            self.words.append(data)


def read(text: str) -> _Reader:
    """Return what a page holds."""
    reader = _Reader()
    reader.feed(text)
    return reader


def said(text: str) -> str:
    """Return a page's text on one line."""
    return " ".join("".join(read(text).words).split())


def found(report: Report) -> Report:
    """Return a run with the findings that follow from its results."""
    return replace(report, findings=findings_of(report.results, ATTACKS.values(), complete=True))


def test_it_has_every_attack_under_the_protection_that_must_stop_it() -> None:
    """With its verdict as a word, what came back, and each variant."""
    report = found(seed.mixed())
    text = html_page(report, {"PR-B01": "Attestation at the API"})
    assert "PR-B01 Attestation at the API" in said(text)
    for result in report.results:
        sections = [
            each
            for each in text.split("<section>")
            if f"<code>{result.attack.id}</code></th>" in each
        ]
        assert len(sections) == len(result.attack.protections)
        for protection in result.attack.protections:
            assert any(f"<h2><code>{protection}</code>" in each for each in sections)
    assert "On no protection" not in text
    assert "served 200, expected token.missing" in said(text)


def test_an_attack_on_no_protection_is_shown_too() -> None:
    """Nothing of a run is left out."""
    assert "On no protection" in html_page(replace(seed.mixed(), findings=()))


@pytest.mark.parametrize(
    ("report", "heading"),
    [
        (seed.mixed(), f"1 of {len(ATTACKS) - 1} attacks got through"),
        (seed.clean(), f"{len(ATTACKS)} attacks ran, and nothing got through"),
        (seed.report(seed.result(seed.FIRST, Verdict.NOT_RUN)), "No attack ran"),
        (seed.report(), "No attack ran"),
        (
            seed.report(seed.result(seed.FIRST, Verdict.UNSURE)),
            "No attack got through, but 1 of 1 prove nothing",
        ),
    ],
    ids=["mixed", "clean", "not-run", "empty", "unsure"],
)
def test_the_heading_says_how_it_ended(report: Report, heading: str) -> None:
    """A reader of one line isn't misled."""
    assert re.findall("<h1>(.*)</h1>", html_page(report)) == [heading]


def test_an_interruption_is_told() -> None:
    """Above everything else."""
    assert "The run was interrupted." in html_page(seed.interrupted())
    assert "interrupted" not in html_page(seed.clean())


@cache
def plain_page() -> _Reader:
    """Return a page as read, on which a stranger wrote one letter."""
    return read(html_page(seed.hostile("x")))


@given(text=texts)
def test_strange_answers_stay_text(text: str) -> None:
    """They add no element and no attribute, load nothing, and turn no text around."""
    written = html_page(seed.hostile(text))
    assert is_harmless(written)
    reader, plain = read(written), plain_page()
    assert reader.tags <= plain.tags
    assert reader.attributes.keys() == plain.attributes.keys()
    assert not reader.tags & {"script", "img", "link", "iframe", "a", "base", "form"}
    assert not reader.attributes.keys() & {"src", "href", "style", "onload", "onclick"}


def test_the_mark_and_the_policy_stand_in_its_head() -> None:
    """A later run may write over it, and nothing is loaded by it."""
    text = html_page(seed.clean())
    assert HTML_MARK in text[:600]
    assert """content="default-src 'none'; style-src 'unsafe-inline'\"""" in text


@pytest.mark.parametrize(
    "made",
    [lambda: found(seed.mixed()), lambda: seed.hostile(NASTY[0] + "w" * 5000)],
    ids=["mixed", "hostile"],
)
def test_it_fits_into_every_window(made: Callable[[], Report], tmp_path: Path) -> None:
    """With every variant unfolded nothing is wider than the window, and nothing is loaded."""
    unfolded = html_page(made()).replace("<details>", "<details open>")
    assert unfolded.count("<details open>") > 1
    seen = measured(unfolded, tmp_path)
    for width in WIDTHS:
        one = seen[str(width)]
        assert one["beyond"] == []
        assert one["scroll"] <= one["client"]
        assert (one["loaded"], one["scripts"]) == ([], 0)
