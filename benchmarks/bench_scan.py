"""Measure the scan: what it finds in apps that are built now from a seed nobody saw and in known apps, and how long it takes.

Known apps are judged finding by finding (``tests/unit/scan/real_apps/labels.json``), where they lie beside the clone.

The floor unzips all, reads DEX strings, looks for keywords and matches the patterns (``scan_floor``); APKiD and androguard's
full analysis run on the same files in turn.  All processes are measured whole, from the shell's view.

Run: ``python -m benchmarks.bench_scan [--seed SEED] [--apps N] [--only found|speed] [--profile]``
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.report import RESULTS, Row, write_report
from benchmarks.scan_apps import large_app, small_app
from benchmarks.scan_runs import ANALYZE, PEERS, Cost, measured, profiled
from tests.system.scan.fixtures.grades import built, graded
from tests.unit.scan.fixtures.case_sets import NOISY, planted_cases
from tests.unit.scan.fixtures.labels import SECRET_RULES
from tests.unit.scan.real_apps.labelled import judged_by_rule, labelled_apps

from watchword.scan.registry import RULES

COMMAND = Path(sys.executable).parent / "watchword"
ROUNDS = 7
SLOW_ROUNDS = 2
GOAL_SECRETS, GOAL_PROTECTIONS = 0.95, 1.0
GOAL_JUDGED = 0.95
GOAL_TIMES, GOAL_MEGABYTES, GOAL_SECONDS, MOST_MEGABYTES = 3, 150, 10, 500


def found_rows(seed: str, apps: int, folder: Path) -> list[Row]:
    """Build apps of a seed, scan them, and count by rule what was found of what was planted, and planted of what was found."""
    grade = graded(built(seed, apps, folder))
    for mistake in grade.mistakes:
        print(f"  {mistake}")
    secrets = sum(grade.planted[rule] for rule in SECRET_RULES)
    rows = [
        Row.at_least("secrets planted", secrets, 50),
        Row.at_least("kinds of secrets planted", len(grade.kinds), 12),
        Row.at_least("decoys planted", grade.decoys, 200),
    ]
    for rule in (each.id for each in RULES):
        goal = GOAL_SECRETS if rule in SECRET_RULES else GOAL_PROTECTIONS
        planted, told = grade.planted[rule], grade.told[rule]
        rows.append(Row.at_least(f"{rule}: recall, of {planted}", grade.recall(rule), goal))
        rows.append(Row.at_least(f"{rule}: precision, of {told}", grade.precision(rule), goal))
    return rows


def case_rows(seed: str, folder: Path) -> list[Row]:
    """Plant true cases and near misses of a seed one by one, and count by rule which of them are told."""
    outcome = planted_cases(seed).graded(folder / "cases")
    for mistake in outcome.mistakes:
        print(f"  {mistake}")
    rows: list[Row] = []
    for rule in NOISY:
        true, near, found = outcome.real[rule], outcome.near[rule], outcome.found[rule]
        told = found + outcome.false[rule]
        what = f"{rule}: {true} cases and {near} near misses: "
        precision = f"{what}precision, {found} of {told}"
        rows.append(Row.at_least(precision, outcome.precision(rule), GOAL_JUDGED))
        rows.append(Row(f"{what}recall, {found} of {true}", outcome.recall(rule)))
    return rows


def known_rows() -> list[Row]:
    """Count by rule what is told of known apps, whose findings people judged; nothing where the apps aren't beside the clone."""
    apps = len(labelled_apps())
    if not apps:
        print("the known apps aren't beside the clone: their findings aren't counted")
        return []
    rows: list[Row] = []
    for rule, each in judged_by_rule().items():
        what = f"{apps} known apps, {rule}: "
        precision = f"{what}precision, {each.true} of {each.judged}"
        if rule in {*NOISY, "all"}:
            rows.append(Row.at_least(precision, each.precision, GOAL_JUDGED))
        else:
            rows.append(Row(precision, each.precision))
        found = each.held + each.regained
        rows.append(Row(f"{what}recall, {found} of {each.weaknesses}", each.recall))
        if rule == "all":
            rows.append(Row.at_most(f"{what}not judged yet", each.unjudged, None, 0))
            rows.append(Row.at_most(f"{what}true ones lost", each.lost, None, 0))
            rows.append(Row(f"{what}nobody can decide", each.unsure))
    return rows


def speed_rows(name: str, app: Path, rounds: int, slow_rounds: int, *, large: bool) -> list[Row]:
    """Measure an app in turn: ours, the floor, APKiD, androguard."""
    python = sys.executable
    ways: dict[str, list[str | Path]] = {
        "ours": [COMMAND, "scan", app, "--json"],
        "floor": [python, "-m", "benchmarks.scan_floor", app],
        "apkid": [PEERS / "apkid", "-j", app],
        "androguard": [PEERS / "python", "-c", ANALYZE, app],
    }
    costs: dict[str, list[Cost]] = {each: [] for each in ways}
    inside: list[dict[str, float]] = []
    for number in range(rounds):
        for each, command in ways.items():
            if each != "androguard" or number < slow_rounds:
                costs[each].append(measured(command))
        inner: list[str | Path] = [python, "-m", "benchmarks.scan_runs", "in-process", app]
        done = subprocess.run(inner, stdout=subprocess.PIPE, check=True)
        inside.append(json.loads(done.stdout))
    median = {
        each: statistics.median(one.seconds for one in costs[each]) for each in ways if costs[each]
    }
    held = {each: max(one.megabytes for one in costs[each]) for each in median}
    used = {each: statistics.median(one.processor for one in costs[each]) for each in median}
    time, memory = f"{name}: s (peer: the floor)", f"{name}: most memory, MB (peer: the floor)"
    if large:
        rows = [Row.at_most(time, median["ours"], median["floor"], GOAL_SECONDS)]
        rows.append(Row.at_most(memory, held["ours"], held["floor"], MOST_MEGABYTES))
    else:
        rows = [Row.at_most_times(time, median["ours"], median["floor"], GOAL_TIMES)]
        rows.append(Row.at_most(memory, held["ours"], held["floor"], GOAL_MEGABYTES))
    what = f"{name}: processor, s (peer: the floor)"
    rows.append(Row(what, used["ours"], used["floor"]))
    for each in ("apkid", "androguard"):
        if each in median:
            rows.append(Row(f"{name}: s (peer: {each})", median["ours"], median[each]))
            rows.append(Row(f"{name}: most memory, MB (peer: {each})", held["ours"], held[each]))
    for each in ("first", "again"):
        what = f"{name}: in process, {each} scan, s (peer: the floor, whole)"
        rows.append(Row(what, statistics.median(one[each] for one in inside), median["floor"]))
    return rows


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="bench_scan")
    parser.add_argument("--seed", default=os.urandom(6).hex())
    parser.add_argument("--apps", type=int, default=12)
    parser.add_argument("--only", choices=("found", "speed"))
    parser.add_argument("--profile", action="store_true")
    return parser.parse_args()


def main() -> bool:
    """Measure, print and write ``results/scan.json``; tell whether all goals hold."""
    given = options()
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        if given.profile:
            profiled(small_app(folder))
            profiled(large_app(folder))
            return True
        rows: list[Row] = []
        if given.only != "speed":
            print(f"seed: {given.seed} (--seed {given.seed} --apps {given.apps} repeats it)")
            rows += found_rows(given.seed, given.apps, folder)
            rows += case_rows(given.seed, folder)
            rows += known_rows()
        if given.only != "found":
            small, large = small_app(folder), large_app(folder)
            for name, app, rounds, slow in (
                (f"{small.stat().st_size / 1e6:.1f} MB", small, ROUNDS, SLOW_ROUNDS),
                (f"{large.stat().st_size / 1e6:.0f} MB", large, 3, 0),
            ):
                rows += speed_rows(name, app, rounds, slow, large=app is large)
    print(f"load average of the last minute: {os.getloadavg()[0]:.2f}")
    try:
        return write_report("scan" if given.only is None else "scan-part", rows)
    finally:
        (RESULTS / "scan-part.json").unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
