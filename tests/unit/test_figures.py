"""Hold figures to what was measured: each result says of what it is, and a figure that a page quotes is the result's."""

import json
import re
from pathlib import Path

import pytest
from benchmarks.__main__ import RUNS
from benchmarks.report import RESULTS, Row, read_rows
from scripts.cited_tests import ROOT
from scripts.pages import figures

PERFORMANCE = ROOT / "docs" / "performance.md"


def test_each_result_says_of_what_it_is() -> None:
    """Commit, date and machine stand at the head of each file, and a page shows it."""
    found = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in RESULTS.iterdir()}
    assert found.keys() == figures.SOURCES.keys() | figures.ELSEWHERE
    for name, document in found.items():
        made = document["made"]
        assert re.fullmatch(r"[0-9a-f]{8}\+?", made["commit"]), name
        assert re.fullmatch(r"20[0-9]{2}-[01][0-9]-[0-3][0-9]", made["date"]), name
        assert made["machine"], name


def test_make_bench_renews_each_result() -> None:
    """But for the table of sampled mutants, which isn't a benchmark."""
    renewed = {name for name, *_ in RUNS}
    assert renewed == (figures.SOURCES.keys() | figures.ELSEWHERE) - {"house-mutants"}


def test_each_row_is_shown_with_its_goal() -> None:
    """The page has a line for each row of each file, and says of each goal whether it holds."""
    lines = figures.page().splitlines()
    missed = 0
    for name in figures.SOURCES.keys() - {"gate_instructions"}:
        for row in read_rows(RESULTS / f"{name}.json"):
            measure = row["measure"].strip().replace("|", "\\|")
            of_it = [line for line in lines if line.startswith(f"| {measure} |")]
            assert of_it, measure
            if row["holds"] is False:
                missed += 1
                assert any(line.endswith("| **no** |") for line in of_it), measure
    assert sum(line.endswith("| **no** |") for line in lines) == missed
    assert missed > 0


@pytest.mark.parametrize("page", figures.pages_that_quote(), ids=lambda page: page.name)
def test_quoted_figures_are_the_results(page: Path) -> None:
    """A link whose title names a row of a result says what the result says."""
    assert figures.wrong_quotes(page.read_text(encoding="utf-8"), figures.results()) == []


def test_figures_of_the_performance_page_are_quoted() -> None:
    """No figure with a fraction stands there by hand: each is a link to its row."""
    text = PERFORMANCE.read_text(encoding="utf-8")
    assert len(figures.QUOTED.findall(text)) > 10
    text = re.sub(r"```.*?```", "", figures.QUOTED.sub("", text), flags=re.DOTALL)
    goals = {
        f"{row['goal']:g}"
        for each in figures.results().values()
        for row in each.rows
        if row.get("goal")
    }
    versions_and_noise = {"1.4.0", "3.2.0", "4.1.4", "1.05", "0.5"}
    found = set(re.findall(r"[0-9]+(?:\.[0-9]+)+", text)) - goals - versions_and_noise
    assert found == set()


def test_a_quote_that_is_not_the_result_is_told() -> None:
    """Another digit, another row, another file: each is told, and a good one isn't."""
    row = {"measure": " a row, ms", "ours": 1234.56, "peer": None, "ratio": 0.125, "goal": 5}
    made = {"commit": "0", "date": "2026-01-01", "machine": ""}
    found = {"gate": figures.Result(made, [row])}

    def wrong(text: str, title: str) -> list[str]:
        return figures.wrong_quotes(f'[{text}](../figures.md#x "{title}")', found)

    assert wrong("1,234.6 ms", "gate: a row, ms") == []
    assert wrong("0.13", "gate: a row, ms (ratio)") == [
        "gate: a row, ms (ratio): got 0.13, expected 0.12"
    ]
    assert wrong("0.125", "gate: a row, ms (ratio)") == []
    assert wrong("1,235.6", "gate: a row, ms") != []
    assert wrong("some", "gate: a row, ms") != []
    assert wrong("1", "gate: a row, ms (peer)") != []
    assert wrong("1", "gate: another row") != []
    assert wrong("1", "game: a row, ms") != []


def test_goals_are_worded_by_what_they_bound() -> None:
    """A goal on a ratio, a lower bound and one on how many times faster aren't taken for a bound of the value."""
    rows = [
        Row.at_most("a", 1, None, 2),
        Row.at_least("b", 1, 2),
        Row.at_most_times("c", 1, 2, 3),
        Row.times_faster("d", 1, 2, 3),
    ]
    assert [figures.goal_of({"goal": row.goal, "goal_on": row.goal_on}) for row in rows] == [
        "at most 2",
        "at least 2",
        "ratio at most 3",
        "3 times faster",
    ]
