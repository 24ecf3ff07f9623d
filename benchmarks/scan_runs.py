"""Run one scan, or one peer, in a process of its own.

``python -m benchmarks.scan_runs in-process APP``: read an app and look at it twice; prints the seconds of both as JSON.
``python -m benchmarks.scan_runs measure COMMAND...``: run a command and print what it took as JSON.
``python -m benchmarks.scan_runs profile APP``: print where the time goes, by function.
"""

import cProfile
import json
import os
import pstats
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

PEERS = Path(sys.executable).parent.parent / "peers-scan" / "bin"
ANALYZE = "import sys; from loguru import logger; logger.remove(); from androguard.misc import AnalyzeAPK; AnalyzeAPK(sys.argv[1])"


def scan_once(app: Path) -> None:
    """Read an app and look at it by all rules."""
    from watchword.adapters.app_package import open_app  # noqa: PLC0415 - imports are timed too.
    from watchword.scan.archive.interface import Limits  # noqa: PLC0415
    from watchword.scan.registry import RULES  # noqa: PLC0415
    from watchword.scan.service import scan  # noqa: PLC0415

    report = scan(open_app(app, Limits(), lambda: 60.0), RULES)
    assert report.findings


def twice(app: Path) -> dict[str, float]:
    """Return the seconds of the first scan of a process, imports and all, and of the next."""
    started = time.perf_counter()
    scan_once(app)
    between = time.perf_counter()
    scan_once(app)
    return {"first": between - started, "again": time.perf_counter() - between}


class Cost(NamedTuple):
    """Hold what a command took: seconds on the clock and of the processor, and the most memory, in MB."""

    seconds: float
    processor: float
    megabytes: float


def measured(command: Sequence[str | Path]) -> Cost:
    """Run a command and return what it took.

    A small process starts it: the most memory of a process counts what its parent held when it forked.
    """
    starter = [sys.executable, "-m", "benchmarks.scan_runs", "measure", *map(str, command)]
    done = subprocess.run(starter, stdout=subprocess.PIPE, check=True)
    return Cost(*json.loads(done.stdout))


def _measured(command: Sequence[str]) -> Cost:
    quiet = subprocess.DEVNULL
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=quiet, stderr=quiet)
    # The usage of this child alone: getrusage() knows only the largest of all children.
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    if process.returncode:
        raise RuntimeError(f"exit code {process.returncode} of {command[0]}")
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def profiled(app: Path) -> None:
    """Print the functions that take most of the time."""
    profile = cProfile.Profile()
    profile.runcall(scan_once, app)
    stats = pstats.Stats(profile).strip_dirs()
    stats.sort_stats("tottime").print_stats(25)
    stats.sort_stats("cumulative").print_stats("scan|look|read|open_app", 45)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["in-process", app]:
            print(json.dumps(twice(Path(app))))
        case ["measure", *command]:
            print(json.dumps(_measured(command)))
        case ["profile", app]:
            profiled(Path(app))
