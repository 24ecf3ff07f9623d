"""Offer more than is taken, in an open loop: enrolment at 5 times its peak, verification at 2 times, Envoy's token check at 10 times.

The server has one core, the generator the other.  The peak is what is answered well in a closed loop.  Then requests come at fixed
moments for 30 s, at so many times the peak; each client waits 2 s for its answer and hangs up.  Goodput is what was answered well
within those 2 s, counted from the moment that was intended.  Health is asked twice a second on new connections all along, and
afterwards a quarter of the peak goes on for 8 s: recovered is who answers each of those well within half a second.

Envoy has about a tenth of a core beside a process that never rests, with a tenth of its connections and of its line: of a whole core no
generator on one core could offer ten times of what it takes.

Run: ``python -m benchmarks.bench_overload [enrolment] [granian] [uvicorn] [envoy] [--seconds 30]``; of a part alone, or for a shorter
time, no results are kept.
"""

import argparse
import os
import resource
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks import overload_enrolment, overload_envoy, overload_served
from benchmarks.gate_instances import Fleet
from benchmarks.gate_load import LOAD_CORE
from benchmarks.gate_served import publish
from benchmarks.overload_load import (
    Address,
    Circle,
    Generator,
    Phase,
    Requests,
    Tally,
    quantile,
)
from benchmarks.report import RESULTS, Row, write_report

PARTS: Final = ("enrolment", "granian", "uvicorn", "envoy")
SECONDS: Final = 30.0
WIDTH: Final = 48
"""Requests on their way in the closed loop that finds the peak."""

PEAK_SECONDS: Final = 4.0
AFTER_SECONDS: Final = 8.0
CALM: Final = 0.25
GOODPUT_GOAL, MEMORY_GOAL, RECOVERY_GOAL = 80.0, 1.10, 2.0
PHONES_A_SECOND: Final = 460
"""More than one core of today enrols; each needs a key, a challenge and evidence of its own."""


class Case(NamedTuple):
    """Hold one server under load.

    :param times: how many times the peak is offered.
    :param bound: whether the goals hold for it.
    :param health_at: where health is asked, None for the same listener.
    """

    name: str
    port: int
    pid: int
    requests: Requests
    times: float
    health: bytes
    health_at: Address | None = None
    bound: bool = True


class Memory:
    """Read now and then how much memory a process has in RAM."""

    def __init__(self, pid: int) -> None:
        """Look at nothing yet."""
        self._status = Path(f"/proc/{pid}/status")
        self._ended = threading.Event()
        self.seen: list[float] = []

    def mib(self) -> float:
        """Return what it has now, in MiB."""
        lines = self._status.read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Look twice a second until the block ends."""
        thread = threading.Thread(target=self._watch)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.5):
            self.seen.append(self.mib())


def measure(case: Case, seconds: float) -> list[Row]:
    """Return the rows of one server."""
    generator = Generator(case.port, most=_most_clients())
    try:
        # The first round fills what the server remembers; the better of the others is the peak.
        rates = [generator.closed(case.requests, WIDTH, PEAK_SECONDS) for _ in range(3)]
        peak = max(rates[1:])
        if not peak:
            raise SystemExit(f"{case.name}: nothing was answered well, not even without a crowd")
        memory = Memory(case.pid)
        with memory.watched():
            over, calm, health = generator.run(
                [
                    Phase(case.requests, peak * case.times, seconds),
                    Phase(case.requests, peak * CALM, AFTER_SECONDS),
                ],
                Phase(Circle([case.health]), 2.0, 0.0),
                case.health_at,
            )
    finally:
        generator.close()
    return _rows(case, seconds, peak, memory.seen, (over, calm, health))


def _rows(
    case: Case, seconds: float, peak: float, memory: list[float], tallies: tuple[Tally, ...]
) -> list[Row]:
    over, calm, health = tallies
    share = len(over.good) / seconds / peak * 100
    third, end = memory[int(2 * seconds / 3)], max(memory[int(4 * seconds / 3) :])
    alive = health.answers[200] / max(health.offered, 1) * 100
    turned = sum(over.answers[status] for status in (429, 503)) / over.offered * 100
    what = f"{case.name} at {case.times:g} times its peak"
    return [
        Row(f"{case.name}: peak in a closed loop, a second", peak),
        Row(f"{what}: offered a second", over.offered / seconds),
        _least(f"{what}: answered well in time, % of the peak", share, GOODPUT_GOAL, case),
        Row("  turned away with 503, % of what was offered", turned),
        Row("  good answers: the 99th of 100 took, ms", over.quantile(0.99) * 1000),
        Row("  the generator was late by, the 99th of 100, ms", quantile(over.behind, 0.99) * 1000),
        Row("  clients for whom the generator had no connection left", over.unsent),
        Row.at_most_times(
            "  memory at most later, MiB (peer: after a third)", end, third, MEMORY_GOAL
        )
        if case.bound
        else Row("  memory at most later, MiB (peer: after a third)", end, third),
        _least("  health answered, % of what was asked", alive, 100.0, case),
        Row("  health: the slowest answer, ms", max(health.good, default=0.0) * 1000),
        Row.at_most("  recovered after, s", calm.after, None, RECOVERY_GOAL)
        if case.bound
        else Row("  recovered after, s", calm.after),
    ]


def _least(measure: str, ours: float, goal: float, case: Case) -> Row:
    return Row.at_least(measure, ours, goal) if case.bound else Row(measure, ours)


def _most_clients() -> int:
    """Return how many connections the generator may have, and let it have them."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 20_000 if hard == resource.RLIM_INFINITY else min(20_000, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most - 1000


def enrolment(directory: Path, seconds: float) -> list[Row]:
    """Measure ``watchword up`` taking enrolments."""
    with overload_enrolment.deployment(directory) as deployed:
        count = int(PHONES_A_SECOND * (seconds + 3 * PEAK_SECONDS + CALM * AFTER_SECONDS))
        phones = overload_enrolment.phones(deployed, count)
        health = overload_enrolment.get(deployed.port, "/healthz")
        return measure(
            Case("enrolment", deployed.port, deployed.process.pid, phones, 5, health), seconds
        )


def served(kind: str, directory: Path, seconds: float) -> list[Row]:
    """Measure the middleware on a server."""
    fleet = Fleet(1)
    publish(fleet, directory)
    requests = Circle(overload_served.requests(fleet))
    with overload_served.server(kind, directory) as (port, pid):
        health = overload_enrolment.get(port, overload_served.HEALTH_PATH)
        case = Case(f"verification on {kind}", port, pid, requests, 2, health)
        # Uvicorn's own queue is bounded by nobody: for information.
        return measure(case._replace(bound=kind == "granian"), seconds)


def envoy(directory: Path, seconds: float) -> list[Row]:
    """Measure the token check in Envoy."""
    fleet = Fleet(500)
    with overload_envoy.proxy(fleet, directory) as proxy:
        requests = Circle(overload_envoy.requests(fleet))
        health = overload_enrolment.get(proxy.port, "/ready")
        admin = str(directory / "envoy" / "admin.sock")
        name = "Envoy's token check"
        return measure(Case(name, proxy.port, proxy.pid, requests, 10, health, admin), seconds)


def generator(directory: Path) -> list[Row]:
    """Measure what the generator sends where nothing is checked."""
    publish(Fleet(1), directory)
    with overload_served.server("open", directory) as (port, _):
        sender = Generator(port)
        requests = Circle([overload_enrolment.get(port, "/")])
        rate = max(sender.closed(requests, WIDTH, 2.0) for _ in range(2))
        sender.close()
    return [Row("the generator and an open application on granian, a second", rate)]


def main() -> None:
    """Measure, print and write the results; exit 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=(*PARTS, []), default=[])
    parser.add_argument("--seconds", type=float, default=SECONDS)
    options = parser.parse_args()
    os.sched_setaffinity(0, {LOAD_CORE})
    measures: dict[str, Callable[[Path], list[Row]]] = {
        "enrolment": lambda at: enrolment(at, options.seconds),
        "granian": lambda at: served("granian", at, options.seconds),
        "uvicorn": lambda at: served("uvicorn", at, options.seconds),
        "envoy": lambda at: envoy(at, options.seconds),
    }
    rows = []
    for name in ("generator", *(options.parts or PARTS)):
        # On the disk, not in memory: each enrolment is written through before it is answered.
        directory = Path(tempfile.mkdtemp(prefix="overload-"))
        try:
            rows += generator(directory) if name == "generator" else measures[name](directory)
        finally:
            shutil.rmtree(directory)
    partial = bool(options.parts) or options.seconds < SECONDS
    good = write_report("overload-part" if partial else "overload", rows)
    (RESULTS / "overload-part.json").unlink(missing_ok=True)
    if not good:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
