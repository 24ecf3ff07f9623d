"""Measure how long a person waits for a command: help, the example's plan, and what asks a running service, each in a fresh interpreter.

The peer of each row is the floor: the same interpreter that does nothing.  Floor and commands take turns, and of each the median counts;
on a machine with other work to do the multiple of the floor is what to compare.  Modules are counted by ``-X importtime``.
Of a command that does some work the processor time counts, its own and the system's: a core that others share doesn't add to it.

Run: ``python -m benchmarks.bench_start [ROUNDS]``.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from benchmarks.bench_up import until_answer
from benchmarks.gate_load import free_port
from benchmarks.report import Row, write_report

from watchword.apps.cli.main import cli
from watchword.apps.settings.template import TEMPLATE

COMMAND = str(Path(sys.executable).parent / "watchword")
FLOOR = (sys.executable, "-c", "pass")
ROUNDS = 7
HELP_MS, COMMAND_MS = 80.0, 150.0
HELP_TIMES, COMMAND_TIMES = 6.5, 12.0
"""The same as multiples of the floor, which took 12 ms where the bars were set."""

PLAN_MS, OPERATOR_MS, WORK_TIMES = 300.0, 300.0, 25.0
"""Processor time of the example's plan, of what asks a running service, and both as multiples of the floor."""

EXAMPLE = str(Path(__file__).parents[1] / "examples" / "clinic.yaml")
OPERATOR = (
    "instances list",
    "instances invitations",
    "keys list",
    "metrics",
    "explain",
    "explain token.missing",
    "policy show",
    "policy show strict",
    "pins reports",
    "secrets list",
    "secrets canary list",
)
"""What an operator asks a running service, or of its policy."""

PINS = (
    "pins show",
    "pins log",
    f"pins add api.clinic.example --spki sha256/{'A' * 43}= --role backup",
)
"""What whoever pins keys does in the workspace, beside a file of its own."""

SECTION = "\npins:\n  hosts:\n    api.clinic.example: {apps: [clinic-ios], mode: report}\n"
CHECK = "check"
"""Reads the whole file; it has no goal of its own."""


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the words of each command and subcommand."""
    if path:
        yield path
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None:
                yield from commands(inner, (*path, name))


def milliseconds(*arguments: str) -> float:
    """Return how long a command took, from its start to its end."""
    started = time.perf_counter()
    subprocess.run(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return (time.perf_counter() - started) * 1000


def processor_ms(*arguments: str, cwd: Path | None = None) -> float:
    """Return the processor time of a command, its own and the system's."""
    process = subprocess.Popen(
        arguments, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: ended with {process.returncode}")
    return (usage.ru_utime + usage.ru_stime) * 1000


@contextmanager
def running_service() -> Iterator[Path]:
    """Have a service of the template's file; return its directory."""
    with tempfile.TemporaryDirectory() as name:
        directory, service, proxy = Path(name), free_port(), free_port()
        text = TEMPLATE.replace("8440", str(service)).replace("8080", str(proxy))
        (directory / "watchword.yaml").write_text(text)
        address = f"http://127.0.0.1:{service}/healthz"
        _, _, end = until_answer([COMMAND, "up"], address, directory)
        try:
            yield directory
        finally:
            end()


@contextmanager
def pins_workspace() -> Iterator[Path]:
    """Have a workspace of pins beside a file that names a host; return its directory."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "watchword.yaml").write_text(TEMPLATE + SECTION)
        subprocess.run([COMMAND, "pins", "init"], cwd=directory, capture_output=True, check=True)
        yield directory


def working_rows(rounds: int) -> list[Row]:
    """Measure the processor time of commands that do their work."""
    plan = "watchword -c examples/clinic.yaml plan"
    with running_service() as service, pins_workspace() as pins:
        jobs: dict[str, tuple[tuple[str, ...], Path]] = {
            plan: ((COMMAND, "-c", EXAMPLE, "plan"), service)
        }
        for place, words_of in ((service, (*OPERATOR, CHECK)), (pins, PINS)):
            jobs |= {f"watchword {words}": ((COMMAND, *words.split()), place) for words in words_of}
        found: dict[str, list[float]] = {words: [] for words in jobs}
        floors: list[float] = []
        for _ in range(rounds):
            for words, (arguments, place) in jobs.items():
                floors.append(processor_ms(*FLOOR))
                found[words].append(processor_ms(*arguments, cwd=place))
    floor = statistics.median(floors)
    rows = []
    for words, times in found.items():
        title, took = f"{words}, CPU ms (floor: python -c pass)", statistics.median(times)
        if words == f"watchword {CHECK}":
            rows.append(Row(title, took, floor))
            continue
        goal = PLAN_MS if words == plan else OPERATOR_MS
        rows.append(Row.at_most(title, took, floor, goal))
        rows.append(
            Row.at_most_times(f"  {words} as a multiple of the floor", took, floor, WORK_TIMES)
        )
    return rows


def modules(*words: str) -> int:
    """Return how many modules an interpreter imports, from its own start on, until it has run these words."""
    said = subprocess.run(
        [sys.executable, "-X", "importtime", *words], capture_output=True, text=True, check=True
    )
    return said.stderr.count("import time:") - 1


def main(rounds: int = ROUNDS) -> bool:
    """Measure, print and write ``results/start.json``; tell whether all goals hold."""
    named: list[tuple[str, ...]] = [(), *commands(cli)]
    found: dict[tuple[str, ...], list[float]] = {words: [] for words in named}
    floors: list[float] = []
    for _ in range(rounds):
        for words in named:
            floors.append(milliseconds(*FLOOR))
            found[words].append(milliseconds(COMMAND, *words, "--help"))
    floor = statistics.median(floors)
    medians = {words: statistics.median(times) for words, times in found.items()}
    own, empty = medians.pop(()), modules("-c", "pass")
    slowest = max(medians, key=medians.__getitem__)
    rows = [
        Row.at_most("watchword --help, ms (floor: python -c pass)", own, floor, HELP_MS),
        Row.at_most_times("  as a multiple of the floor", own, floor, HELP_TIMES),
        Row("  modules imported", modules(COMMAND, "--help"), empty),
    ]
    for words, took in medians.items():
        rows.append(Row.at_most(f"watchword {' '.join(words)} --help, ms", took, floor, COMMAND_MS))
    title = f"the slowest ({' '.join(slowest)}) as a multiple of the floor"
    busy = "programs that wanted a core meanwhile, on average (peer: cores)"
    rows += working_rows(rounds)
    rows += [
        Row.at_most_times(title, medians[slowest], floor, COMMAND_TIMES),
        Row("  modules imported", modules(COMMAND, *slowest, "--help"), empty),
        Row(busy, os.getloadavg()[1], os.cpu_count()),
    ]
    return write_report("start", rows)


if __name__ == "__main__":
    sys.exit(0 if main(*map(int, sys.argv[1:2])) else 1)
