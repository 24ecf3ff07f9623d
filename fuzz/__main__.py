"""Fuzz all targets one after another, and print a table: ``python -m fuzz --seconds 600``.

New inputs go into ``fuzz/corpus`` only with ``--keep``, minimised; evidence that was recorded elsewhere
never does, since it may serve as a seed (``--seeds FOLDER``) but isn't ours to publish.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from fuzz.corpora import CORPUS
from fuzz.corpora import keep as keep_inputs
from fuzz.replay import SlowInputError, judge
from fuzz.targets import TARGETS

SHOWN = 5
"""Most finds of one target that are printed; all of them are kept."""

_STATISTIC = re.compile(r"stat::(\w+): +(\d+)")
_COVERAGE = re.compile(r"cov: (\d+) ft: (\d+)")
_FINDS = ("crash-*", "timeout-*", "oom-*", "slow-*")


@dataclass(frozen=True)
class Outcome:
    """Hold what a target's run gave."""

    target: str
    executions: int
    covered: int
    inputs: int
    finds: tuple[str, ...]
    ended: bool


def fuzz(name: str, seconds: int, seeds: Path | None, finds: Path, keep: bool) -> Outcome:
    """Fuzz one target in a process of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        fresh, made, found = (Path(scratch) / part for part in ("fresh", "made", "found"))
        for folder in (fresh, made, found, CORPUS / name):
            folder.mkdir(parents=True, exist_ok=True)
        for data in TARGETS[name].seeds():
            (made / sha256(data).hexdigest()[:16]).write_bytes(data)
        folders = [fresh, CORPUS / name, made, *([seeds] if seeds else [])]
        options = [f"-max_total_time={seconds}", "-timeout=5", "-rss_limit_mb=1024"]
        ended, text = _engine(name, found, [*map(str, folders), *options])
        statistics = dict(_STATISTIC.findall(text))
        covered = [int(count) for count, _ in _COVERAGE.findall(text)]
        outcome = Outcome(
            name,
            int(statistics.get("number_of_executed_units", 0)),
            max(covered, default=0),
            sum(1 for _ in fresh.iterdir()),
            tuple(_confirmed(name, found, finds)),
            ended,
        )
        if not ended:
            finds.mkdir(parents=True, exist_ok=True)
            (finds / f"{name}.log").write_text(text)
        if keep and not seeds:
            kept = [path.read_bytes() for folder in folders[:3] for path in folder.iterdir()]
            keep_inputs(name, TARGETS[name], kept)
        return outcome


def _engine(name: str, found: Path, options: Sequence[str]) -> tuple[bool, str]:
    command = [sys.executable, "-m", "fuzz.engine", name, str(found), *options]
    run = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace")
    return run.returncode == 0, run.stdout + run.stderr


def _confirmed(name: str, found: Path, finds: Path) -> list[str]:
    """Feed each find to the target at rest; keep and describe those that are finds there too."""
    described = []
    for path in sorted(path for pattern in _FINDS for path in found.glob(pattern)):
        data = path.read_bytes()
        try:
            judge(TARGETS[name], data)
        except SlowInputError as error:
            why = str(error)
        except Exception as error:  # noqa: BLE001 - any exception is what is looked for.
            why = f"{type(error).__name__}: {error}"
        else:
            continue
        finds.mkdir(parents=True, exist_ok=True)
        (finds / f"{name}-{path.name}").write_bytes(data)
        described.append(f"{path.name}: {why}")
    return described


def main() -> None:
    """Fuzz, print the table; exit 1 if anything was found."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", help="names of targets; all without any")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--seeds", type=Path, help="a folder with further seeds, never kept")
    parser.add_argument("--keep", action="store_true", help="renew fuzz/corpus, minimised")
    parser.add_argument("--finds", type=Path, default=Path("fuzz-finds"), help="where finds go")
    arguments = parser.parse_args()
    if unknown := set(arguments.targets) - TARGETS.keys():
        parser.error(f"unknown targets: {', '.join(sorted(unknown))}")
    print(f"{'target':20} {'executions':>11} {'a second':>9} {'covered':>8} {'inputs':>7}  finds")
    failed = False
    for name in arguments.targets or TARGETS:
        outcome = fuzz(name, arguments.seconds, arguments.seeds, arguments.finds, arguments.keep)
        failed |= bool(outcome.finds) or not outcome.ended
        print(
            f"{name:20} {outcome.executions:>11,} {outcome.executions // arguments.seconds:>9,}"
            f" {outcome.covered:>8,} {outcome.inputs:>7,}  {len(outcome.finds) or '-'}"
            f"{'' if outcome.ended else '  ENDED EARLY'}",
            flush=True,
        )
        for find in outcome.finds[:SHOWN]:
            print(f"    {find}", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
