"""Measure how long a person waits for help: ``watchword --help`` and the help of each command, each in a fresh interpreter.

The peer of each row is the floor: the same interpreter that does nothing.  Floor and commands take turns, and of each the median counts;
on a machine with other work to do the multiple of the floor is what to compare.  Modules are counted by ``-X importtime``.

Run: ``python -m benchmarks.bench_start [ROUNDS]``.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
from benchmarks.report import Row, write_report

from watchword.apps.cli.main import cli

COMMAND = str(Path(sys.executable).parent / "watchword")
FLOOR = (sys.executable, "-c", "pass")
ROUNDS = 7
HELP_MS, COMMAND_MS = 80.0, 150.0
HELP_TIMES, COMMAND_TIMES = 6.5, 12.0
"""The same as multiples of the floor, which took 12 ms where the bars were set."""


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
    rows += [
        Row.at_most_times(title, medians[slowest], floor, COMMAND_TIMES),
        Row("  modules imported", modules(COMMAND, *slowest, "--help"), empty),
        Row(busy, os.getloadavg()[1], os.cpu_count()),
    ]
    return write_report("start", rows)


if __name__ == "__main__":
    sys.exit(0 if main(*map(int, sys.argv[1:2])) else 1)
