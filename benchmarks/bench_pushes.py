"""Measure how long a change of the bundle takes to count at each enforcement point and engine, started for real.

From the moment in which the service's file is replaced to the first refusal of a request that was served before, on
a connection that is open: a revoked instance, a revoked key, a route that is closed.  The longest of all counts.

With ``--revoked N`` so many instances are revoked before, and gates are told by a chain: until the next revocation and a
withdrawn key are refused on each of several connections, by how much the largest process of a point grows, what the change
weighs, what a tick costs the service, and what a decision costs the gate.

Run: ``python -m benchmarks.bench_pushes [--revoked N] [POINT …]``; with points named nothing is written.
"""

import argparse
import asyncio
import statistics
import tempfile
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.pushes_gate import decisions
from benchmarks.pushes_processes import resident_bytes
from benchmarks.pushes_service import service_rows
from benchmarks.report import Row, write_report
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

ROUNDS = 5
CONNECTIONS = 16
"""Held open at once, so that each worker of an engine most likely has one."""

GOAL_MS = 1000.0
MOST_GROWTH_MB = 64.0
MOST_OF_SNAPSHOT = 1 / 1000
MEGABYTE = 1e6


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


def _point_rows(name: str, revoked: "array[int]") -> list[Row]:
    few = asyncio.run(_measured_listed(name, array("Q")))
    many = asyncio.run(_measured_listed(name, revoked))
    growth = max(size - few.resident.get(program, size) for program, size in many.resident.items())
    return [
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
    ]


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
    rows = [Row("instances revoked before", len(revoked)), _delta_row(revoked)]
    rows += service_rows(count)
    rows += decisions(revoked)
    for name in names:
        rows += _point_rows(name, revoked)
    return write_report("pushes_revoked", rows, whole=len(names) == len(ENFORCEMENT_POINTS))


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
