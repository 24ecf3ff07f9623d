"""Hold the page on OpenBao to what is tested."""

import re
from pathlib import Path

from tests.unit.adapters.openbao.server import DOCS

TESTS = Path(__file__).parents[3]


def test_each_promise_names_tests_that_are_there() -> None:
    """Whoever renames or drops a test hears of the promise that it held."""
    table = DOCS.read_text().partition("<!-- promises -->")[2].partition("\n## ")[0]
    rows = [row for row in table.splitlines() if row.startswith("| ")][2:]
    assert len(rows) > 15
    everywhere = "\n".join(each.read_text() for each in TESTS.rglob("test_*.py"))
    for row in rows:
        named = re.findall(r"`(test_\w+)`", row)
        assert named, row
        for name in named:
            assert f"def {name}(" in everywhere, name
