"""Take out one check at a time, drill what is left, and write docs/drill-mutations.md.

``python -m scripts.drill_mutations`` runs all of them; names of checks as arguments choose some, and then nothing is
written.  Exits with 1 where a check was taken out and no attack turned red.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from scripts.drill_mutations.mutation import Mutation, Place
from scripts.drill_mutations.table import MUTATIONS
from tests.machine import patience

from watchword.drill.judgements import Verdict

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
TARGET = ROOT / "docs" / "drill-mutations.md"
TIMEOUT_SECONDS = 180
AT_ONCE = 2

_MODULES = {
    Place.DEMO: "scripts.drill_mutations.one",
    Place.CHANNEL: "scripts.drill_mutations.pins",
    Place.KEYS: "scripts.drill_mutations.keyed",
    Place.MERGING: "scripts.drill_mutations.trailers",
}

INTRODUCTION = """\
# What the drill notices

Each check matters: without it, an attack turns red. Each row is a run with one check taken out of a copy of the source. An attack is red
if the API served it. The run depends on the check:

- of most checks: all attacks, against the demo's deployment;
- of pins: the attacks on pins, against a deployment that publishes some;
- of keys: the attacks on keys, against a deployment that injects and delivers some;
- of trailers: behind HAProxy, in front of an API that takes them for fields.

This page is made by `python -m scripts.drill_mutations`, which fails if a missing check turns no attack red. The test suite runs a bounded
part of it.

With every check in place, nothing is red: {attacks} attacks, and the genuine app was served {served} of {sent} times.

| check that is taken out | where | attacks that turn red |
| --- | --- | --- |
"""


@dataclass(frozen=True, slots=True)
class Run:
    """Hold what a drill of one source found.

    :param verdicts: by attack.
    :param genuine: requests of the genuine app that were served, and that were sent.
    """

    verdicts: dict[str, str]
    genuine: tuple[int, int]

    @property
    def red(self) -> list[str]:
        """Return the attacks that were served."""
        return [name for name, verdict in self.verdicts.items() if verdict == Verdict.OPEN]


def mutated(mutation: Mutation, directory: Path) -> Path:
    """Write a copy of the source without one check; return the directory for the import path.

    :raises ValueError: when the text doesn't stand there exactly once.
    """
    copy = directory / "src"
    shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    file = copy / "watchword" / mutation.file
    text = file.read_text(encoding="utf-8")
    if text.count(mutation.before) != 1:
        raise ValueError(f"{mutation.check}: got {text.count(mutation.before)} places, expected 1")
    file.write_text(text.replace(mutation.before, mutation.after), encoding="utf-8")
    return copy


def drill(source: Path, place: Place = Place.DEMO, attacks: Sequence[str] = ()) -> Run:
    """Drill a deployment by this source, in a process of its own.

    :param attacks: ids of those to run; all that the place has if none is named.
    """
    done = subprocess.run(
        [sys.executable, "-m", _MODULES[place], *attacks],
        cwd=ROOT,
        env={"PYTHONPATH": str(source), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=patience(TIMEOUT_SECONDS),
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-2000:])
    members = json.loads(done.stdout)
    return Run(members["verdicts"], (members["genuine"][0], members["genuine"][1]))


def run_mutation(mutation: Mutation, attacks: Sequence[str] = ()) -> Run:
    """Return what a drill finds without one check, by the attacks that are named or by all."""
    with tempfile.TemporaryDirectory(prefix="watchword-mutation-") as directory:
        return drill(mutated(mutation, Path(directory)), mutation.place, attacks)


def line(mutation: Mutation, run: Run) -> str:
    """Return a row of the table."""
    red = ", ".join(f"[{name}](attacks.md#{name})" for name in run.red)
    return f"| {mutation.check} | `{mutation.file}` | {red or '**none**'} |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the mutations, print a line for each, write the page; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("check", nargs="*", help="a check by its name; all if none is named")
    named = parser.parse_args(arguments).check
    chosen = [each for each in MUTATIONS if not named or each.check in named]
    baseline = drill(SOURCE)
    others = (drill(SOURCE, place) for place in Place if place is not Place.DEMO)
    red = [*baseline.red, *(each for run in others for each in run.red)]
    if red:
        print(f"with every check in place these are red: {', '.join(red)}")
        return 1
    lines, missed = [], []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for mutation, run in zip(chosen, pool.map(run_mutation, chosen), strict=True):
            lines.append(line(mutation, run))
            print(lines[-1], flush=True)
            if not set(run.red) & set(mutation.red):
                missed.append(mutation.check)
    if not named:
        served, sent = baseline.genuine
        head = INTRODUCTION.format(attacks=len(baseline.verdicts), served=served, sent=sent)
        TARGET.write_text(head + "\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(chosen) - len(missed)} of {len(chosen)} checks are noticed")
    for check in missed:
        print(f"not noticed: {check}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
