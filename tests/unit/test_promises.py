"""Hold docs/promises.md to its source, and each promise to tests that are there."""

from collections.abc import Iterator
from typing import Any

import pytest
from scripts.cited_tests import missing
from scripts.pages.promises import load

from watchword.reasons import Reason

FOUND = load()


def promises() -> Iterator[Any]:
    """Return each promise under what happens."""
    for group in FOUND["groups"]:
        for each in group["promises"]:
            yield pytest.param(each, id=each["event"])


@pytest.mark.parametrize("promise", list(promises()))
def test_promise_is_shown_by_tests_that_are_there(promise: dict[str, Any]) -> None:
    """Each has an event, what holds, what is seen, and a test at least; reasons that it names exist."""
    assert promise["tests"]
    assert missing(promise["tests"]) == []
    assert promise["promise"].endswith(".")
    areas = {reason.code.partition(".")[0] for reason in Reason}
    words = [word for word in promise["seen"].split("`")[1::2] if word.partition(".")[0] in areas]
    assert [word for word in words if word not in {reason.code for reason in Reason}] == []


def test_what_is_not_promised_says_how_it_is() -> None:
    """Nothing stands there without a word on what happens instead."""
    assert all(len(each["why"]) > 40 and each["what"] for each in FOUND["unpromised"])
