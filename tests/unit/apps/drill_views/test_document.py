"""The JSON document of a drill: all that scripts read, in plain types."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from tests.unit.apps.drill_views import seed
from tests.unit.apps.drill_views.strange import is_harmless, texts

from watchword.apps.drill.reports import DOCUMENT_MARK, document
from watchword.apps.reports.text import MAX_TEXT, json_text, shown
from watchword.drill.interface import Need
from watchword.drill.judgements import Report, Verdict
from watchword.observations import SeenRoute
from watchword.vocabulary import Proof


def test_everything_of_the_report_is_in_it() -> None:
    """Each part of a mixed run is found again, under stable names."""
    found = document(seed.mixed())
    assert found["v"] == 1
    assert found["started"] == "2026-11-25T03:04:05.678000Z"
    assert (found["seconds"], found["requests"], found["interrupted"]) == (12.345, 1114, False)
    assert found["facts"]["api"] == "clinic"
    assert found["facts"]["rate"] == {"requests": 100, "seconds": 60}
    assert found["counts"]["open"] == found["counts"]["unsure"] == found["counts"]["not-run"] == 1
    assert found["controls"][1] == {"sample": "POST /v1/records/7", "served": False, "got": "502"}
    faults = ["POST /v1/records/7: 502"]
    assert found["genuine"] == {"sent": 60, "served": 58, "faults": faults, "missing": ""}
    assert [each["state"] for each in found["findings"]] == ["broken", None]
    assert found["findings"][0]["strengths"] == {"MT-B03": "2/3"}
    first = found["attacks"][0]
    assert (first["id"], first["verdict"]) == (seed.FIRST.id, Verdict.OPEN.value)
    assert first["counted"] == 1234
    assert first["variants"][0] == {
        "name": seed.FIRST.variants[0].name,
        "verdict": "open",
        "got": "served 200",
        "expected": "token.missing",
        "reasons": ["token.missing"],
        "need": None,
        "sent": 3,
        "routes": [],
    }
    assert first["variants"][-1]["need"] == Need.OPERATOR.value


def test_routes_are_told_where_they_are_known() -> None:
    """How a variant ended on each, what is found of which, which ones are weak and which nobody asked for."""
    route = SeenRoute("/v2/payments/**", "POST", Proof.DEVICE)
    told = {"path": "/v2/payments/**", "method": "POST", "proof": "device"}
    mixed = seed.mixed()
    first = mixed.results[0]
    ends = {route: Verdict.STOPPED, None: Verdict.OPEN}
    variants = (replace(first.variants[0], routes=ends), *first.variants[1:])
    found = document(
        replace(
            mixed,
            facts=replace(seed.FACTS, unasked=("GET /v1/x",), weak=("Route /y is off.",)),
            results=[replace(first, variants=variants), *mixed.results[1:]],
            findings=[replace(mixed.findings[0], routes=(route,)), *mixed.findings[1:]],
            changed="the file changed",
        )
    )
    assert found["facts"]["unasked"] == ["GET /v1/x"]
    assert found["facts"]["weak_routes"] == ["Route /y is off."]
    assert found["attacks"][0]["variants"][0]["routes"] == [{**told, "verdict": "stopped"}]
    assert [each["routes"] for each in found["findings"]] == [[told], []]
    assert found["changed"] == "the file changed"


def test_an_interruption_is_told() -> None:
    """Nobody takes a part of a run for the whole."""
    assert document(seed.interrupted())["interrupted"] is True


@pytest.mark.parametrize("made", [seed.clean, seed.mixed, seed.interrupted])
def test_it_is_plain_json_and_the_same_every_time(made: Callable[[], Report]) -> None:
    """It survives a round trip, and two runs that ended alike differ in nothing."""
    found = document(made())
    assert json.loads(json_text(found)) == found
    assert json_text(document(made())) == json_text(found)


def test_a_file_has_its_mark_near_its_start() -> None:
    """A later run may write over it."""
    assert DOCUMENT_MARK in json_text(document(seed.mixed()))[:200]


@given(text=texts)
def test_strange_answers_are_harmless_in_it(text: str) -> None:
    """Neither the file nor what a script takes out of it holds what a terminal obeys."""
    found = document(seed.hostile(text))
    written = json_text(found)
    assert written.isascii()
    assert is_harmless(written)
    assert is_harmless(found["attacks"][0]["variants"][0]["got"])
    assert is_harmless(found["target"])


@given(text=texts)
def test_what_is_shown_of_a_text_is_bounded_and_on_one_line(text: str) -> None:
    """However long an answer is, and however much of it is escaped."""
    assert len(shown(text)) <= MAX_TEXT
    assert shown(text).isprintable()
    assert shown(shown(text)) == shown(text)


def test_what_is_cut_says_so() -> None:
    """A text that is too long ends in dots, also where its white space alone made it so."""
    assert shown("a" * (MAX_TEXT + 1)).endswith("a...")
    assert shown("a" + " " * MAX_TEXT + "b") == "a..."
    assert shown("a" * MAX_TEXT) == "a" * MAX_TEXT
