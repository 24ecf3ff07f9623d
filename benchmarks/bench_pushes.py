"""Measure how long a change of the bundle takes to count at each enforcement point and engine, started for real.

From the moment in which the service's file is replaced to the first refusal of a request that was served before, on
a connection that is open: a revoked instance, a revoked key, a route that is closed.  The longest of all counts.

Run: ``python -m benchmarks.bench_pushes``.
"""

import asyncio
import statistics
import tempfile
from pathlib import Path

from benchmarks.report import Row, write_report
from tests.system.conformance.pushes import CHANGES, Client, pushed
from tests.unit.conformance.enforcement_points import ENFORCEMENT_POINTS, behind

ROUNDS = 5
GOAL_MS = 1000.0


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


async def _measured(name: str) -> list[float]:
    with tempfile.TemporaryDirectory(prefix="ww") as directory:
        async with behind() as upstream:
            return await asyncio.to_thread(_times, name, Path(directory), upstream)


def main() -> None:
    """Measure, print and write the results; exit 1 when a push took too long."""
    rows = []
    for name in ENFORCEMENT_POINTS:
        found = asyncio.run(_measured(name))
        rows += [
            Row(
                f"{name}: longest of {len(found)} pushes until they count, ms",
                max(found),
                goal=GOAL_MS,
            ),
            Row("  their median, ms", statistics.median(found)),
        ]
    if not write_report("pushes", rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
