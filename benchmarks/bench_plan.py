"""Measure the planner: a large model on one core, the shipped example, and pytm on the same case.

The peer of the shipped example's rows is the floor, or pytm, which is told the same story in its own words.
Each large model is planned twice, and the quieter run counts; of the seeds the worst one.

Run: ``python -m benchmarks.bench_plan``
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.plan_models import PATHS, PROTECTIONS, STEPS, Kind
from benchmarks.report import Row, write_report

from watchword.plan.stability import DRAWS

EXAMPLE = "examples/api-key-script.yaml"
COMMAND = str(Path(sys.executable).parent / "watchword")
PLAN = [COMMAND, "-c", EXAMPLE, "plan"]
PYTM = [sys.executable, "-m", "benchmarks.pytm_model", "--json"]
SEEDS = (1, 2, 3)
LARGE_ROUNDS = 2
ROUNDS = 15
STRENGTH_OF_PYTM = ("Very High", "High", "Medium", "Low", "Very Low")
"""Its severities, the worst first."""


def answer(arguments: Sequence[str]) -> dict[str, float]:
    """Return what a run in a process of its own found."""
    command = [sys.executable, "-m", "benchmarks.plan_runs", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def seconds(arguments: Sequence[str]) -> float:
    """Return how long a command took."""
    started = time.perf_counter()
    subprocess.run(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def large_rows(kind: Kind) -> list[Row]:
    """Measure models of full size; each value is the worst seed's."""
    runs = []
    for seed in SEEDS:
        tries = [answer(["large", kind, str(seed)]) for _ in range(LARGE_ROUNDS)]
        runs.append(min(tries, key=_missing))
    size = {(run["steps"], run["protections"], run["paths"]) for run in runs}
    assert size == {(STEPS, PROTECTIONS, PATHS)}, size

    def worst(measure: str) -> float:
        return max(run[measure] for run in runs)

    least_shaken = min(run["shaken"] for run in runs)
    return [
        Row.at_most(f"{kind}: the whole plan, s", worst("seconds"), None, 10),
        Row.at_most(f"{kind}: most memory, MB", worst("megabytes"), None, 500),
        Row.at_most(f"{kind}: phases not proven the best", worst("unproven"), None, 0),
        Row.at_most(f"{kind}: items not solved again without", worst("unexplained"), None, 0),
        Row.at_most(f"{kind}: draws missing of {DRAWS}", DRAWS - least_shaken, None, 0),
        Row(f"{kind}: items of the two phases, most", worst("items")),
        Row(f"{kind}: of that, compiled, s", worst("compile")),
        Row(f"{kind}: of that, phases solved exactly, s", worst("schedule")),
        Row(f"{kind}: of that, solved again without each item, s", worst("explanations")),
        Row(f"{kind}: of that, shaken {DRAWS} times, s", worst("draws")),
        Row(f"{kind}: of that, smallest changes looked for, s", worst("search")),
        Row(f"{kind}: of that, items worded and exposures counted, s", worst("rest")),
        Row(f"{kind}: single changes tried, least", min(run["trials"] for run in runs)),
        Row(f"{kind}: items without a smallest change by then, most", worst("unmoved")),
    ]


def _missing(run: dict[str, float]) -> tuple[float, float, float]:
    return run["unexplained"], DRAWS - run["shaken"], run["seconds"]


def shipped_rows() -> list[Row]:
    """Measure the example: the command in a process just started, again in it, and from the shell."""
    answer(["shipped", EXAMPLE, "1"])  # Writes what Python compiles, as an installation does.
    cold: list[float] = []
    warm: list[float] = []
    whole: list[float] = []
    help_: list[float] = []
    floor: list[float] = []
    for _ in range(ROUNDS):
        found = answer(["shipped", EXAMPLE, "2"])
        cold.append(found["0"])
        warm.append(found["1"])
        whole.append(seconds(PLAN))
        help_.append(seconds([COMMAND, "--help"]))
        floor.append(seconds([sys.executable, "-c", "pass"]))

    def ms(values: list[float]) -> float:
        return statistics.median(values) * 1000

    return [
        Row.at_most("example: first plan of a process, ms", ms(cold), None, 300),
        Row("example: the same once more in it, ms", ms(warm)),
        Row("example: from the shell, ms (floor: watchword --help)", ms(whole), ms(help_)),
        Row.at_most(
            "example: from the shell, ms (floor: python -c pass)", ms(whole), ms(floor), 300
        ),
    ]


def pytm_rows() -> list[Row]:
    """Ask pytm about the same case, as JSON, in turn with ours."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "pytm.json")
        pairs = [(seconds([*PLAN, "--json"]), seconds([*PYTM, str(file)])) for _ in range(ROUNDS)]
        theirs: list[dict[str, Any]] = json.loads(file.read_bytes())["findings"]
    shown = subprocess.run([*PLAN, "--json"], stdout=subprocess.PIPE, check=True)
    ours: list[dict[str, Any]] = json.loads(shown.stdout)["items"]
    ranks = [STRENGTH_OF_PYTM.index(finding["severity"]) for finding in theirs]
    places = [item["place"] for item in ours]
    return [
        Row(
            "pytm: answer as JSON from the shell, ms",
            statistics.median(pair[0] for pair in pairs) * 1000,
            statistics.median(pair[1] for pair in pairs) * 1000,
        ),
        Row("pytm: entries in the answer (ours: measures, pytm: findings)", len(ours), len(theirs)),
        Row("ours: the first thing to do comes first (1: yes)", float(places == sorted(places))),
        Row("pytm: the worst finding comes first (1: yes)", float(ranks == sorted(ranks))),
        Row("ours: entries chosen that close a path", sum(bool(item["closes"]) for item in ours)),
        Row("pytm: findings with a response", sum(bool(found["response"]) for found in theirs)),
    ]


def main() -> bool:
    """Measure, print and write ``results/plan.json``; tell whether all goals hold."""
    rows = [*shipped_rows(), *pytm_rows()]
    for kind in Kind:
        rows += large_rows(kind)
    print(f"load average of the last minute: {os.getloadavg()[0]:.2f}")
    return write_report("plan", rows)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
