"""Report measurements in one form: a table for people, a JSON file for comparison, which says of what commit it is, when and where."""

import json
import math
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

RESULTS = Path(__file__).parent / "results"
NOT_RECORDED = "not recorded"


def made_here() -> dict[str, str]:
    """Return of what commit a result is that is measured now, the date in UTC, and the machine."""
    return {
        "commit": _commit(),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": _machine(),
    }


def _commit() -> str:
    """Return the short hash, with ``+`` behind it where files differ from it."""
    told = [
        subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
        for arguments in (
            ("rev-parse", "--short=8", "HEAD"),
            ("status", "--porcelain", "--untracked-files=no", ":!benchmarks/results"),
        )
    ]
    if any(each.returncode for each in told):
        return NOT_RECORDED
    return told[0].stdout.strip() + ("+" if told[1].stdout.strip() else "")


def _machine() -> str:
    """Return processor, cores, system and interpreter; no name of a host."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    processor = models[0] if models else platform.machine()
    return (
        f"{processor}, {os.cpu_count()} cores, {platform.system()} {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"
    )


def write_result(
    name: str, result: Mapping[str, Any], made: Mapping[str, str] | None = None
) -> None:
    """Write ``benchmarks/results/NAME.json``: what was found, under a head that says of what it is.

    :param made: as :func:`made_here` gives it, which is asked where it is left out.
    """
    RESULTS.mkdir(exist_ok=True)
    document = {"made": dict(made_here() if made is None else made), **result}
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=2) + "\n")


def read_rows(file: Path) -> list[dict[str, Any]]:
    """Return the rows of a result."""
    rows: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))["rows"]
    return rows


@dataclass(frozen=True)
class Row:
    """Hold one measurement.

    :param measure: what was measured, with its unit.
    :param ours: Watchword's value.
    :param peer: the value of what it is compared with, or the floor; None where there is none.
    :param goal: the bound that is set, None where there is none.
    :param goal_on: whether the goal is an upper bound of ``ours``, one of the ``ratio``, or a lower bound of
        how many times ``faster`` ours is, which stands in place of the ratio then, or a lower bound of ``ours``: ``least``.
    """

    measure: str
    ours: float
    peer: float | None = None
    goal: float | None = None
    goal_on: str = "ours"

    @classmethod
    def at_most(cls, measure: str, ours: float, peer: float | None, goal: float) -> "Row":
        """Make a row whose own value is bounded."""
        return cls(measure, ours, peer, goal)

    @classmethod
    def at_least(cls, measure: str, ours: float, goal: float) -> "Row":
        """Make a row whose own value is bounded from below."""
        return cls(measure, ours, None, goal, "least")

    @classmethod
    def at_most_times(cls, measure: str, ours: float, peer: float, goal: float) -> "Row":
        """Make a row that is bounded by a multiple of the peer's value."""
        return cls(measure, ours, peer, goal, "ratio")

    @classmethod
    def times_faster(cls, measure: str, ours: float, peer: float, goal: float) -> "Row":
        """Make a row of times, of which the peer's must be at least a multiple of ours."""
        return cls(measure, ours, peer, goal, "faster")

    @property
    def ratio(self) -> float | None:
        """Return ours over the peer's, or how many times faster ours is."""
        if self.peer is None:
            return None
        return self.peer / self.ours if self.goal_on == "faster" else self.ours / self.peer

    @property
    def holds(self) -> bool | None:
        """Tell whether the goal is met, None where there is no goal."""
        value = self.ours if self.goal_on in {"ours", "least"} else self.ratio
        if self.goal is None or value is None:
            return None
        return value >= self.goal if self.goal_on in {"faster", "least"} else value <= self.goal


class Goal(NamedTuple):
    """Hold something that must be reached.

    :param rows: all of them must hold.
    :param troubles: why something couldn't be measured.
    """

    text: str
    rows: Sequence[Row]
    troubles: Sequence[str] = ()

    @property
    def reached(self) -> bool:
        """Tell whether it is."""
        return not self.troubles and all(row.holds is not False for row in self.rows)

    def __str__(self) -> str:
        """Name what lies nearest to the bound, or beyond it."""
        worst = max(self.rows, key=_used, default=None)
        closest = [] if worst is None else [f"{worst.measure}: {worst.ours:,.2f}"]
        word = "reached" if self.reached else "MISSED "
        return f"{word}  {self.text}; {'; '.join([*self.troubles, *closest])}"


def _used(row: Row) -> float:
    """Return how much of its bound a row takes up: more than 1 where it doesn't hold."""
    value = row.ours if row.goal_on in {"ours", "least"} else row.ratio
    if value is None or row.goal is None:
        return 0.0
    taken, bound = (row.goal, value) if row.goal_on in {"faster", "least"} else (value, row.goal)
    if not bound:
        return math.inf if taken else 0.0
    return taken / bound


def all_reached(goals: Sequence[Goal]) -> bool:
    """Print the goals, and tell whether all are reached."""
    for goal in goals:
        print(goal)
    return all(goal.reached for goal in goals)


def write_report(name: str, rows: Sequence[Row], *, whole: bool = True) -> bool:
    """Print the rows, write them to ``benchmarks/results/NAME.json``; tell whether all goals hold.

    :param whole: whether all was measured; a part is printed, and not written.
    """
    documents = [asdict(row) | {"ratio": row.ratio, "holds": row.holds} for row in rows]
    if whole:
        write_result(name, {"rows": documents})
    width = max(len(row.measure) for row in rows)
    print(f"{name:{width}}  {'ours':>10}  {'peer':>10}  {'ratio':>6}  {'goal':>8}  holds")
    for row in rows:
        cells = [_cell(row.ours, 10), _cell(row.peer, 10), _cell(row.ratio, 6), _cell(row.goal, 8)]
        verdict = {None: "-", True: "yes", False: "NO"}[row.holds]
        print(f"{row.measure:{width}}  {'  '.join(cells)}  {verdict}")
    return all(row.holds is not False for row in rows)


def _cell(value: float | None, width: int) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:>{width}.2f}"
