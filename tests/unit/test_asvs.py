"""Hold docs/asvs.md to its answers, and each answer to files and tests that are there."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scripts.cited_tests import ROOT, missing, names_in
from scripts.pages.asvs import OWNERS, WORDS, load

APPLIES = ROOT.parent / "shared" / "vectors" / "adversarial" / "asvs" / "asvs_applies.json"
ITEMS = load()


def named() -> Iterator[Any]:
    """Return each answer under its id."""
    for item in ITEMS:
        yield pytest.param(item, id=item["id"])


@pytest.mark.skipif(not APPLIES.exists(), reason="the list of requirements isn't beside the clone")
def test_every_requirement_that_applies_is_answered() -> None:
    """None is left out, none is answered twice, and levels are those of the standard."""
    wanted = [(each["id"], each["level"]) for each in json.loads(APPLIES.read_text())]
    assert [(item["id"], item["level"]) for item in ITEMS] == wanted


def test_answers_are_75_and_in_order() -> None:
    """Also where the list isn't at hand nothing goes missing."""
    numbers = [tuple(map(int, re.findall(r"\d+", item["id"]))) for item in ITEMS]
    assert len(set(numbers)) == len(numbers) == 75
    assert numbers == sorted(numbers)


@pytest.mark.parametrize("item", list(named()))
def test_answer_is_whole(item: dict[str, Any]) -> None:
    """What is met is shown by a test; what isn't says what is missing, and whose it is."""
    assert item["answer"] in WORDS
    assert len(item["how"]) > 40
    assert item["files"]
    assert [file for file in item["files"] if not (ROOT / file).is_file()] == []
    assert missing(item["tests"]) == []
    if item["answer"] in {"met", "partly"}:
        assert item["tests"]
    open_end = item["answer"] in {"partly", "not"}
    assert ("missing" in item, item.get("whose") in OWNERS) == (open_end, open_end)


def test_a_test_that_is_not_there_is_found_out() -> None:
    """The check itself: a renamed test, a missing file and a file without tests are told."""
    here = Path(__file__).relative_to(ROOT).as_posix()
    good = [f"{here}::{test_answer_is_whole.__name__}", f"{here}::*"]
    bad = [f"{here}::test_gone", f"{here}::named", "tests/gone.py::*", "scripts/pages/asvs.py::*"]
    assert missing([*good, *bad, here]) == [*bad, here]
    assert len(names_in(here)) == 4
