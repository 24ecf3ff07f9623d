"""Measure a full drill of the demo's clinic, every route in mode ``enforce``: how long it takes, and what of that is waiting.

Deployment and drill are processes of their own, and each run has a deployment that nobody attacked before.  The floor sends as
many plain requests, one after the other, over the same wire to the same gate: they do no cryptography and meet no refusal.

Run: ``python -m benchmarks.bench_drill``
"""

import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.report import Row, write_report

from watchword.adapters.system import SystemClock, SystemEntropy
from watchword.apps.demo.stage import API
from watchword.apps.demo.stage import Stage as Clinic
from watchword.apps.drill.harness import Harness, open_harness
from watchword.apps.drill.preparation import RunOptions, prepared
from watchword.apps.drill.run import run_drill
from watchword.apps.drill.run_plan import RunPlan
from watchword.apps.settings.load import load_settings
from watchword.apps.terminal.process import mute_logs
from watchword.drill.judgements import Verdict
from watchword.drill.wire import Call, Part
from watchword.vocabulary import Mode

COMMAND = str(Path(sys.executable).parent / "watchword")
ROUNDS = 3
GOAL_SECONDS = 60
OK = 200


async def keep_up(directory: Path) -> None:
    """Keep the clinic and a fresh deployment before it running, until standard input ends."""
    mute_logs()
    clinic = Clinic.in_directory(directory)
    await clinic.set_up()
    try:
        await clinic.deploy(Mode.ENFORCE)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)
    finally:
        await clinic.tear_down()


@contextlib.contextmanager
def deployment() -> Iterator[Path]:
    """Have a fresh deployment in a process of its own; return its ``watchword.yaml``."""
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "benchmarks.bench_drill", "keep-up", directory]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield Path(directory, "watchword.yaml")
            process.communicate("")


def drilled(file: Path) -> dict[str, float]:
    """Run the whole course in this process, and then the floor."""
    mute_logs()
    clock, entropy = SystemClock(), SystemEntropy()
    settings = load_settings(file)
    api = settings.apis[API]
    run = prepared(settings, api, RunOptions(), clock, entropy)
    with open_harness(settings, api, run.targets, clock, entropy) as stage:
        started = time.perf_counter()
        processor = time.process_time()
        course = RunPlan(run.attacks)
        report = run_drill(stage, course, run.url, loopback=True, now=clock.now)
        processor = time.process_time() - processor
        seconds = time.perf_counter() - started
        floor = plainly(stage, report.requests)
    alone = sum(each.seconds for each in report.results if each.attack.alone)
    ran = [each.verdict for each in report.results if each.verdict is not Verdict.NOT_RUN]
    variants = [variant.verdict for each in report.results for variant in each.variants]
    return {
        "seconds": seconds,
        "floor": floor,
        "processor": processor,
        "alone": alone,
        "requests": report.requests,
        "attacks": len(ran),
        "variants": sum(each is not Verdict.NOT_RUN for each in variants),
        "not stopped": sum(each is not Verdict.STOPPED for each in ran),
        "genuine refused": report.genuine.sent - report.genuine.served,
    }


def plainly(stage: Harness, count: int) -> float:
    """Return the seconds that so many requests take to a route in mode ``off``."""
    call = Call(Part.GATE, "GET", stage.context.facts.off[0])
    started = time.perf_counter()
    for _ in range(count):
        assert stage.wire.send(call).status == OK
    return time.perf_counter() - started


def in_process() -> dict[str, float]:
    """Return what a run in a process of its own found."""
    with deployment() as file:
        command = [sys.executable, "-m", "benchmarks.bench_drill", "drill", str(file)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def from_the_shell() -> tuple[float, float]:
    """Return the seconds of the command as a whole, and the most memory that it held, in MB."""
    with deployment() as file:
        started = time.perf_counter()
        command = [COMMAND, "-c", str(file), "drill", "--json"]
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(command, stdout=quiet, stderr=quiet)
        # The usage of this child alone: getrusage() knows only the largest of all children.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - started
    assert process.returncode == 0
    return seconds, usage.ru_maxrss / 1024


def main() -> bool:
    """Measure, print and write ``results/drill.json``; tell whether all goals hold."""
    runs, shell = [], []
    for _ in range(ROUNDS):
        runs.append(in_process())
        shell.append(from_the_shell())

    def median(measure: str) -> float:
        return statistics.median(run[measure] for run in runs)

    def worst(measure: str) -> float:
        return max(run[measure] for run in runs)

    seconds = worst("seconds")
    requests = median("requests")
    rows = [
        Row.at_most("all attacks, s, slowest run", seconds, None, GOAL_SECONDS),
        Row.at_most("attacks that weren't stopped, most", worst("not stopped"), None, 0),
        Row.at_most("genuine requests refused, most", worst("genuine refused"), None, 0),
        Row("all attacks, s (peer: as many plain requests)", median("seconds"), median("floor")),
        Row(
            "for each request, ms (peer: a plain one)",
            median("seconds") / requests * 1000,
            median("floor") / requests * 1000,
        ),
        Row("of that, attacks that run alone, s", median("alone")),
        Row("of that, processor time of the drill, s", median("processor")),
        Row("requests sent", requests),
        Row("attacks that ran", median("attacks")),
        Row("variants that ran", median("variants")),
        Row.at_most(
            "watchword drill from the shell, s, slowest run",
            max(took for took, _ in shell),
            None,
            GOAL_SECONDS,
        ),
        Row("watchword drill: most memory, MB", max(held for _, held in shell)),
    ]
    print(f"load average of the last minute: {os.getloadavg()[0]:.2f}")
    return write_report("drill", rows)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["keep-up", directory]:
            asyncio.run(keep_up(Path(directory)))
        case ["drill", file]:
            print(json.dumps(drilled(Path(file))))
        case _:
            sys.exit(0 if main() else 1)
