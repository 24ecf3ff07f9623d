"""Hold what the pages say of other products to a source for each fact, and a day on which it was read."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
LINKED = re.compile(r"\]\(https://|\]\[[\w-]+\]")
UNKNOWN = ("not found", "not read")
PLAIN = {"at Google", "Google's", "Approov's", "Google runs it", "Approov's cloud issues tokens"}
"""What needs no source: whose service it is."""


def rows(page: str, head: str) -> Iterator[list[str]]:
    """Yield the cells of each row of the table that begins with this line."""
    lines = (DOCS / page).read_text(encoding="utf-8").splitlines()
    at = lines.index(head) + 2
    for line in lines[at:]:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in line.strip("|").split(" | ")]


@pytest.mark.parametrize(
    ("page", "head", "columns"),
    [
        ("comparison.md", "| | Watchword | Firebase App Check | Approov |", slice(2, 4)),
        ("migrate-firebase-app-check.md", "| App Check | Watchword |", slice(0, 1)),
        ("migrate-approov.md", "| Approov | Watchword |", slice(0, 1)),
    ],
)
def test_each_fact_has_its_source(page: str, head: str, columns: slice) -> None:
    """A cell about another product links to where it was read, or says that nothing was found."""
    found = [cell for row in rows(page, head) for cell in row[columns]]
    assert len(found) > 8
    bare = [
        cell
        for cell in found
        if not LINKED.search(cell) and not cell.startswith(UNKNOWN) and cell not in PLAIN
    ]
    assert bare == []


@pytest.mark.parametrize(
    "page", ["comparison.md", "migrate-firebase-app-check.md", "migrate-approov.md"]
)
def test_facts_have_their_day_and_links_their_addresses(page: str) -> None:
    """Each page says when its sources were read, and no short link lacks its address."""
    text = (DOCS / page).read_text(encoding="utf-8")
    assert re.search(r"read on\s+20\d\d-\d\d-\d\d", text)
    used = set(re.findall(r"\]\[([\w-]+)\]", text))
    given = set(re.findall(r"^\[([\w-]+)\]: https://\S+$", text, re.MULTILINE))
    assert used == given
