"""Hold the page of a release's numbers to the results it is made from."""

from typing import Any

import pytest
from scripts.release_numbers import TARGET, from_results, page

SUITES = "| **all** | 10 | 4 | 3 | 3 | {} | 0 | 0 |\n"
ENGINES: dict[str, Any] = {"proxy": {"agreed": 5, "declared": 1, "differed": 0}}
RUNS: dict[str, Any] = {
    "made": {"commit": "0", "date": "2026-01-01", "machine": "2 cores"},
    "numbers": [{"what": "lost", "found": 0, "of": "7", "source": "kills"}],
    "recoveries": [{"what": "crowd", "seconds": 5.0, "bound": 8.0}],
}
ROW: dict[str, Any] = {"measure": "goodput", "ours": 90.0, "peer": None, "goal": 80, "holds": True}


def test_the_page_is_up_to_date() -> None:
    """Run ``python -m scripts.release_numbers`` after new results."""
    assert TARGET.read_text(encoding="utf-8") == from_results()[0]


def test_all_zero_is_good() -> None:
    """Numbers of every source stand there, with what they are out of."""
    text, good = page(SUITES.format(0), ENGINES, RUNS, [ROW])
    assert good
    for part in (
        "| wrong accepts | 0 | 10 cases |",
        "6 at 1 enforcement points",
        "| lost | 0 | 7 |",
        "5.0",
    ):
        assert part in text


@pytest.mark.parametrize("broken", ["suites", "engines", "numbers", "recoveries", "overload"])
def test_one_that_isnt_is_told(broken: str) -> None:
    """Whatever isn't as it must be makes the whole not good."""
    suites, engines, runs, row = SUITES.format(0), ENGINES, dict(RUNS), dict(ROW)
    match broken:
        case "suites":
            suites = SUITES.format(1)
        case "engines":
            engines = {"proxy": {"agreed": 5, "declared": 0, "differed": 1}}
        case "numbers":
            runs["numbers"] = [RUNS["numbers"][0] | {"found": 1}]
        case "recoveries":
            runs["recoveries"] = [RUNS["recoveries"][0] | {"seconds": 8.5}]
        case _:
            row["holds"] = False
    assert not page(suites, engines, runs, [row])[1]


def test_what_was_not_run_is_said() -> None:
    """An empty directory of results makes no numbers."""
    text, _ = page("", {}, {}, [])
    assert "were not run" in text
    assert "Not measured" in text
    assert "| 0 |" not in text
