"""Hold the tables of mutants against the source: a row that matches nothing would say that its check isn't needed."""

from pathlib import Path

import pytest
from scripts import client_mutants, evidence_mutants, scan_mutations
from scripts.sdk import mutant_rows

import watchword

SOURCE = Path(watchword.__file__).parent

ROWS = [
    *((each.file, each.old, each.new) for each in evidence_mutants.MUTANTS),
    *((each.file, each.old, each.new) for each in client_mutants.MUTANTS),
    *((f"scan/{each.file}", each.before, each.after) for each in scan_mutations.MUTANTS),
]


@pytest.mark.parametrize("file", sorted({file for file, _, _ in ROWS}))
def test_what_is_changed_stands_there_once(file: str) -> None:
    """Each row changes one place of today's source."""
    text = (SOURCE / file).read_text(encoding="utf-8")
    for _, old, new in (row for row in ROWS if row[0] == file):
        assert text.count(old) == 1, old
        assert old != new


@pytest.mark.parametrize(
    "file", sorted({each.source for each in mutant_rows.mutants()}), ids=lambda file: file.name
)
def test_what_is_changed_of_the_sdk_stands_there_once(file: Path) -> None:
    """Each row of the SDK's table changes one place of today's source."""
    text = file.read_text(encoding="utf-8")
    for each in (row for row in mutant_rows.mutants() if row.source == file):
        assert text.count(each.old) == 1, each.about
        assert each.old != each.new
