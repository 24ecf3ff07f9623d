"""Measure how long a change of the bundle takes to count at each enforcement point and engine, started for real.

From the moment in which the service's file is replaced to the first refusal of a request that was served before, on
a connection that is open: a revoked instance, a revoked key, a route that is closed.  The longest of all counts.

With ``--revoked N`` so many instances are revoked before, and gates are told by a chain: until the next revocation and a
withdrawn key are refused on each of several connections, by how much the largest process of a point grows, what the change
weighs, what a tick costs the service, and what a decision costs the gate.  Each goal is printed at the end, reached or missed.

Run: ``python -m benchmarks.bench_pushes [--revoked N] [POINT …]``; with points named, or fewer than a million revoked,
nothing is written.
"""

import argparse
import asyncio
import statistics
import tempfile
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from benchmarks.pushes_gate import decisions
from benchmarks.pushes_processes import resident_bytes
from benchmarks.pushes_service import service_rows
from benchmarks.report import Goal, Row, all_reached, write_report
from tests.system.conformance.pushes import (
    CHANGES,
    ChainPublication,
    Client,
    Pushed,
    pushed,
    revoking,
)
from tests.unit.conformance.enforcement_points import ENFORCEMENT_POINTS, behind, deployed
from tests.unit.conformance.processes import published

from watchword.adapters.system import SystemClock, SystemEntropy
from watchword.gate.bundle import GateBundle
from watchword.gate.revocations import DIGEST_BYTES
from watchword.reasons import WatchwordError

ROUNDS = 5
CONNECTIONS = 16
"""Held open at once, so that each worker of an engine most likely has one."""

GOAL_MS = 1000.0
MOST_GROWTH_MB = 64.0
MOST_OF_SNAPSHOT = 1 / 1000
MEGABYTE = 1e6

WHOLE = 1_000_000
"""So many must be revoked before for the results to be kept."""


def _times(name: str, directory: Path, upstream: str) -> list[float]:
    """Return the milliseconds of each push."""
    found = []
    with pushed(name, directory, upstream) as point:
        client = Client(point.port, point.token())
        client.seconds_until(lambda status: status == 200)
        for _ in range(ROUNDS):
            for change in CHANGES.values():
                point.publish(change)
                found.append(client.seconds_until(lambda status: status in {401, 403}) * 1000)
                point.publish(None)
                client.seconds_until(lambda status: status == 200)
        client.close()
    return found


@dataclass
class Listed:
    """Hold what was found at one point that was told by a chain.

    :ivar times: milliseconds of each push.
    :ivar resident: bytes of the largest process, by the name of its program.
    """

    times: list[float]
    resident: dict[str, int]


def _listed(name: str, directory: Path, upstream: str, revoked: "array[int]") -> Listed:
    """Push revocations and withdrawn keys behind a snapshot that lists so many."""
    found: list[float] = []
    gone: list[str] = []
    with pushed(name, directory, upstream, revoked) as point:
        for number in range(ROUNDS):
            subject = f"instance-{number}"
            gone.append(subject)
            found.append(_until_refused(point, subject, gone[:-1], withdrawn=False))
        found.append(_until_refused(point, "one-of-the-key", gone, withdrawn=True))
        resident = resident_bytes()
    return Listed(found, resident)


def _until_refused(point: Pushed, subject: str, gone: Sequence[str], *, withdrawn: bool) -> float:
    """Return after how many milliseconds an instance is refused on each connection that it was served on."""
    clients = [Client(point.port, point.token(subject)) for _ in range(CONNECTIONS)]
    for client in clients:
        client.seconds_until(lambda status: status == 200)

    def without_key(bundle: GateBundle) -> GateBundle:
        return revoking(*gone)(replace(bundle, keys=bundle.keys[1:]))

    start = SystemClock().timestamp()
    point.publish(without_key if withdrawn else revoking(*gone, subject))
    for client in clients:
        client.seconds_until(lambda status: status in {401, 403})
    took = (SystemClock().timestamp() - start) * 1000
    for client in clients:
        client.close()
    return took


async def _measured(name: str) -> list[float]:
    with tempfile.TemporaryDirectory(prefix="ww") as directory:
        async with behind() as upstream:
            return await asyncio.to_thread(_times, name, Path(directory), upstream)


async def _measured_listed(name: str, revoked: "array[int]") -> Listed:
    with tempfile.TemporaryDirectory(prefix="ww") as directory:
        async with behind() as upstream:
            return await asyncio.to_thread(_listed, name, Path(directory), upstream, revoked)


def _digests(count: int) -> "array[int]":
    drawn = array("Q", SystemEntropy().token_bytes(DIGEST_BYTES * count))
    return array("Q", sorted(set(drawn)))


class PointRows(NamedTuple):
    """Hold the rows of one enforcement point."""

    revocation: Row
    key: Row
    growth: Row


def _point_rows(name: str, revoked: "array[int]") -> PointRows:
    few = asyncio.run(_measured_listed(name, array("Q")))
    many = asyncio.run(_measured_listed(name, revoked))
    growth = max(size - few.resident.get(program, size) for program, size in many.resident.items())
    return PointRows(
        Row.at_most(
            f"{name}: longest until the next revocation is refused on each connection, ms",
            max(many.times[:-1]),
            max(few.times[:-1]),
            GOAL_MS,
        ),
        Row.at_most(
            f"{name}: until a withdrawn key is refused on each connection, ms",
            many.times[-1],
            few.times[-1],
            GOAL_MS,
        ),
        Row(f"{name}: its process grows by, MB", growth / MEGABYTE, goal=MOST_GROWTH_MB),
    )


def _points(names: Sequence[str], revoked: "array[int]") -> tuple[list[PointRows], list[str]]:
    """Measure each point; one that fails keeps no other from being measured, and misses its goals."""
    found, troubles = [], []
    for name in names:
        try:
            found.append(_point_rows(name, revoked))
        except (AssertionError, OSError, WatchwordError) as error:
            said = " ".join(str(error).split())
            troubles.append(f"{name} couldn't be measured: {said[-200:]}")
    return found, troubles


def _delta_row(revoked: "array[int]") -> Row:
    with tempfile.TemporaryDirectory(prefix="ww") as directory:
        publication = ChainPublication(deployed(Path(directory)), revoked)
        bundle = published(publication.directory)
        publication.write(bundle)
        publication.write(revoking("one-more")(replace(bundle, generation=bundle.generation + 1)))
    snapshot, delta = publication.sizes
    measure = "delta of one revocation, bytes (peer: snapshot)"
    return Row.at_most_times(measure, delta, snapshot, MOST_OF_SNAPSHOT)


def _first_version(names: Sequence[str]) -> bool:
    rows = []
    for name in names:
        found = asyncio.run(_measured(name))
        rows += [
            Row(
                f"{name}: longest of {len(found)} pushes until they count, ms",
                max(found),
                goal=GOAL_MS,
            ),
            Row("  their median, ms", statistics.median(found)),
        ]
    return write_report("pushes", rows, whole=len(names) == len(ENFORCEMENT_POINTS))


def _chains(names: Sequence[str], count: int) -> bool:
    revoked = _digests(count)
    delta, service, gate = _delta_row(revoked), service_rows(count), decisions(revoked)
    points, troubles = _points(names, revoked)
    rows = [Row("instances revoked before", len(revoked)), delta, *service, *gate]
    rows += [row for point in points for row in point]
    whole = len(points) == len(ENFORCEMENT_POINTS) and count >= WHOLE
    write_report("pushes_revoked", rows, whole=whole)
    ticks = [row for row in service if row.goal is not None]
    everywhere = f"at each of {len(names)} enforcement points"
    goals = (
        Goal(
            f"the next revocation counts within 1 s {everywhere}",
            [each.revocation for each in points],
            troubles,
        ),
        Goal(
            f"a withdrawn key counts within 1 s {everywhere}",
            [each.key for each in points],
            troubles,
        ),
        Goal("a delta weighs at most 1/1000 of the snapshot", [delta]),
        Goal("a tick takes at most 10 ms of CPU", [row for row in ticks if "CPU" in row.measure]),
        Goal(
            "the service's loop is held for at most 5 ms",
            [row for row in ticks if "held" in row.measure],
        ),
        Goal(
            f"a gate grows by at most 64 MB {everywhere}",
            [each.growth for each in points],
            troubles,
        ),
        Goal("a decision is at most 5 % dearer", gate),
    )
    return all_reached(goals)


def main() -> None:
    """Measure, print and write the results; exit 1 when a goal isn't met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--revoked", type=int, default=0, help="instances revoked before")
    parser.add_argument("points", nargs="*", help="enforcement points; all where none is named")
    words = parser.parse_args()
    names = words.points or list(ENFORCEMENT_POINTS)
    met = _chains(names, words.revoked) if words.revoked else _first_version(names)
    if not met:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
