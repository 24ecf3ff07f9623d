"""Say what came of a run: a table of groups, the cases that differed in detail, and rows of JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from watchword.apps.conformance.runner import Row


@dataclass(frozen=True, slots=True)
class Count:
    """Hold how many cases of a group came out how."""

    group: str
    agreed: int
    declared: int
    differed: int


def counts(rows: Sequence[Row]) -> list[Count]:
    """Return a count for each group, in the corpus' order, and one of all at the end."""
    groups = list(dict.fromkeys(row.case.group for row in rows))
    made = [_count(group, [row for row in rows if row.case.group == group]) for group in groups]
    return [*made, _count("all", rows)]


def _count(group: str, rows: Sequence[Row]) -> Count:
    outcomes = [row.outcome for row in rows]
    return Count(
        group, outcomes.count("agreed"), outcomes.count("declared"), outcomes.count("differed")
    )


def table(rows: Sequence[Row]) -> str:
    """Return the counts for people."""
    lines = [f"{'group':<12} {'agreed':>7} {'declared':>9} {'differed':>9}"]
    lines += [
        f"{each.group:<12} {each.agreed:>7} {each.declared:>9} {each.differed:>9}"
        for each in counts(rows)
    ]
    return "\n".join(lines)


def details(rows: Sequence[Row]) -> str:
    """Return what differed, and what was declared, case by case."""
    lines = []
    for row in rows:
        if row.outcome == "differed":
            lines += ["", f"{row.case.id}: {row.case.note}"]
            lines += [f"  {fault}" for fault in row.faults]
    declared: dict[str, list[str]] = {}
    for row in rows:
        if row.outcome == "declared":
            declared.setdefault(row.why, []).append(row.case.id)
    for why, names in declared.items():
        lines += ["", f"declared, {len(names)} cases: {why}", f"  {', '.join(names)}"]
    return "\n".join(lines)


def as_json(row: Row) -> dict[str, Any]:
    """Return one row for scripts."""
    return {
        "case": row.case.id,
        "outcome": row.outcome,
        "faults": list(row.faults),
        "declared": None if row.declared is None else row.declared.name,
        "why": row.why,
    }
