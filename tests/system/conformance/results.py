"""Run the whole corpus against every enforcement point, and keep what came of it for docs/engines.md."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tests.unit.conformance.enforcement_points import versions
from tests.unit.conformance.processes import ROOT

from watchword_conformance.runner import Row

FILE: Final[Path] = ROOT / "docs" / "engines.json"
"""What the last run found, checked in; tests hold each new run to it."""


def result(name: str, rows: Sequence[Row]) -> dict[str, Any]:
    """Return what a run of one enforcement point found: versions, outcomes, and what was declared."""
    outcomes = Counter(row.outcome for row in rows)
    declared = Counter(
        row.declared.name for row in rows if row.outcome == "declared" and row.declared is not None
    )
    return {
        "version": versions(name),
        "agreed": outcomes["agreed"],
        "declared": outcomes["declared"],
        "differed": outcomes["differed"],
        "differences": dict(sorted(declared.items())),
    }


def recorded() -> dict[str, Any]:
    """Return what the checked-in file says, by enforcement point."""
    found: dict[str, Any] = json.loads(FILE.read_text("utf-8"))
    return found
