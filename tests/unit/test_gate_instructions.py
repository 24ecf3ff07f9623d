"""Hold how the benchmark in instructions reads callgrind, compares and tells; what it counts, it counts by hand."""

import json
from pathlib import Path

import pytest
from benchmarks.gate_instructions import (
    ROWS,
    Found,
    compared,
    document,
    read_costs,
    read_document,
    table,
)

PART = """\
positions: line
events: Ir

ob=/usr/lib/libpython3.11.so.1.0
fl=???
fn=evaluate
0 100
cob=/usr/lib/libcrypto.so.3
cfn=0x00000000003a0840
calls=1 0
0 900
7 20

ob=/usr/lib/libcrypto.so.3
fl=???
fn=0x00000000003a0840
0 900
"""


def test_a_function_counts_without_those_that_it_called(tmp_path: Path) -> None:
    """The line behind ``calls=`` stands at the function that was called as well."""
    part = tmp_path / "part"
    part.write_text(PART)
    assert read_costs(part) == {
        ("libpython3.11.so.1.0", "evaluate"): 120,
        ("libcrypto.so.3", "0x00000000003a0840"): 900,
    }


def test_the_tables_fit_into_80_columns_and_name_every_row() -> None:
    """With the largest figures that a row may have."""
    found = dict.fromkeys(ROWS, Found(1e8, 1e8, 1e8))
    text, _ = compared(found, found, lambda _: 1.05)
    lines = [*table(found).splitlines(), *text.splitlines()]
    assert len(lines) == 2 * (1 + len(ROWS))
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(
    ("now", "most", "good"),
    [
        (Found(0, 50, 55), 1.05, True),
        (Found(0, 50, 56), 1.05, False),
        (Found(0, 50, 56), 1.06, True),
        # Hashing alone may cost what it likes.
        (Found(999, 50, 50), 1.05, True),
    ],
)
def test_what_is_bounded_is_all_but_the_hashing(now: Found, most: float, good: bool) -> None:
    """A ratio above its bound is told, and ends with 1."""
    assert compared({"row": now}, {"row": Found(10, 50, 50)}, lambda _: most)[1] is good


def test_a_new_row_bounds_nothing_and_a_document_comes_back() -> None:
    """What the benchmark wrote it can read."""
    found = {"row": Found(10, 20, 30)}
    text, good = compared(found, {}, lambda _: 1.0)
    assert good
    assert "new" in text
    rows = document(found)
    assert rows[0]["ours"] == 60
    assert read_document(json.dumps({"rows": rows}).encode()) == found
