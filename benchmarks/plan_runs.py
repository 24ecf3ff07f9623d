"""Run the planner once in a process of its own, on one core, and print what was found as JSON.

``python -m benchmarks.plan_runs large mixed|contested SEED``: a large model, made in memory.
``python -m benchmarks.plan_runs shipped FILE ROUNDS``: the command itself, from its entry to its end.

A process of its own, since the first plan of a process is what a person waits for, and since memory is the process's.
"""

import contextlib
import io
import json
import os
import resource
import sys
import time
from pathlib import Path

from benchmarks.plan_models import Kind, large

from watchword.adapters.system import SystemClock, TimeLimit
from watchword.apps.plan.cli import command
from watchword.apps.plan.commands import PATIENCE_SECONDS
from watchword.plan.interface import Catalogue, Model
from watchword.plan.outcome import Evidence, Phase, Plan


class Watched:
    """Be as patient as the command, and note when what was done: each stage asks for its own share."""

    def __init__(self, seconds: float) -> None:
        """Start the time now."""
        self._limit = TimeLimit(seconds)
        self.asked: dict[float, int] = {}
        self.first: dict[float, float] = {}
        self.last = time.perf_counter()

    def is_over(self, share: float) -> bool:
        """Tell whether more than a share of the time is gone."""
        self.last = time.perf_counter()
        self.first.setdefault(share, self.last)
        over = self._limit.is_over(share)
        self.asked[share] = self.asked.get(share, 0) + (not over)
        return over


def megabytes() -> float:
    """Return the most memory that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run_large(kind: Kind, seed: int) -> dict[str, float]:
    """Plan a large model as the command does, with its time limit."""
    from watchword.plan.cover import compile_model  # noqa: PLC0415 - not before it is timed.
    from watchword.plan.phases import schedule  # noqa: PLC0415
    from watchword.plan.service import make_plan  # noqa: PLC0415

    model, catalogue = large(kind, seed)
    deadline = Watched(PATIENCE_SECONDS)
    started = time.perf_counter()
    plan = make_plan(model, catalogue, Evidence({}, {}), SystemClock().now(), deadline=deadline)
    ended = time.perf_counter()
    rss = megabytes()
    skips, draws, trials = (deadline.first[share] for share in sorted(deadline.first))
    compiling = time.perf_counter()
    compiled = compile_model(catalogue, model.assets, model.paths, {})
    compiled_at = time.perf_counter()
    found = schedule(compiled)
    return {
        "seconds": ended - started,
        "megabytes": rss,
        "compile": compiled_at - compiling,
        "schedule": time.perf_counter() - compiled_at,
        "explanations": draws - skips,
        "draws": trials - draws,
        "search": deadline.last - trials,
        "rest": ended - deadline.last,
        "unproven": sum(not stretch.chosen.exact for stretch in found.stretches),
        "trials": deadline.asked[max(deadline.asked)],
        **counted(plan, model, catalogue),
    }


def counted(plan: Plan, model: Model, catalogue: Catalogue) -> dict[str, float]:
    """Count what the plan says, and what it leaves out."""
    listed = [item for item in plan.items if item.phase is not Phase.HARDENING]
    firm = [item.stability for item in listed if item.stability is not None]
    return {
        "steps": len(catalogue.techniques),
        "protections": len(catalogue.protections),
        "paths": len(model.paths),
        "items": len(listed),
        "unexplained": sum(not item.skipped.solved for item in listed),
        "shaken": min((each.draws for each in firm), default=0),
        "unmoved": sum(each.smallest is None for each in firm),
    }


def run_shipped(file: Path, rounds: int) -> dict[str, float]:
    """Run the command in this process, first cold, then warm; return the seconds of each."""
    found: dict[str, float] = {}
    for number in range(rounds):
        quiet = io.StringIO()
        started = time.perf_counter()
        with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(io.StringIO()):
            command.main([], prog_name="plan", obj=file, standalone_mode=False)
        found[str(number)] = time.perf_counter() - started
        assert "PR-B01" in quiet.getvalue()
    return found


def main() -> None:
    """Run what the arguments name."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    what, name, number = sys.argv[1:]
    found = (
        run_large(Kind(name), int(number))
        if what == "large"
        else run_shipped(Path(name), int(number))
    )
    print(json.dumps(found))


if __name__ == "__main__":
    main()
