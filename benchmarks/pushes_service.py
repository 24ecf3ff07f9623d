"""Measure what a tick costs a service in whose store many instances were revoked."""

import asyncio
import logging
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median

import structlog
from benchmarks.pushes_processes import resident_of_this
from benchmarks.report import Row
from tests.unit.apps.service_bench import Caller, ServiceBench, service_bench
from tests.unit.enrolment.simulators import SimulatedPhone

from watchword.adapters.gate_bundle.chain_file import chain_path
from watchword.apps.service.publisher import GatePublisher
from watchword.ports import AuditEntry

TICKS = 20
MOST_CPU_MS = 10.0
MOST_HELD_MS = 5.0
HELD = "loop held, ms (peer: without a tick)"
PROBE_SECONDS = 0.0005
SETTLED_SECONDS = 240.0
BATCH = 20_000

Tick = Callable[[], Awaitable[None]]


def service_rows(count: int) -> list[Row]:
    """Return the rows of a service that starts with so many revoked instances."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory(prefix="ww") as directory:
        place = Path(directory)
        first = service_bench(place)
        enrolled = first.run(lambda call: call.enrol(SimulatedPhone()))["instance"]
        now = first.clock.timestamp()
        first.store.close()
        _revoke_copies(place / "watchword.db", enrolled, count, int(now * 1e6))
        bench = service_bench(place)
        try:
            return asyncio.run(_measured(bench, count))
        finally:
            bench.store.close()


def _revoke_copies(file: Path, instance: str, count: int, at: int) -> None:
    """Put revoked copies of an instance into the store, with the audit entry of each."""
    with sqlite3.connect(file) as connection:
        names = [row[1] for row in connection.execute("PRAGMA table_info(instances)")]
        made = {"id": ":id", "attested_key": ":key", "revoked_at": ":at", "revoked_because": "''"}
        chosen = ", ".join(made.get(name, name) for name in names)
        copy = f"INSERT INTO instances SELECT {chosen} FROM instances WHERE id = :of"
        audit = "INSERT INTO audit (at, actor, action, subject, detail) VALUES (?, 'bench', 'instance.revoked', ?, '{}')"
        for start in range(0, count, BATCH):
            numbers = range(start, min(start + BATCH, count))
            connection.executemany(
                copy,
                (
                    {"id": f"{each:022d}", "key": each.to_bytes(8), "at": at, "of": instance}
                    for each in numbers
                ),
            )
            connection.executemany(audit, ((at, f"{each:022d}") for each in numbers))
    connection.close()


async def _measured(bench: ServiceBench, count: int) -> list[Row]:
    publisher = bench.service.context.publisher
    before, started = resident_of_this(), time.monotonic()
    await publisher.publish(bench.clock.now())
    await _settled(bench, publisher)
    took, grown = time.monotonic() - started, resident_of_this() - before
    spare = await _enrolled(bench, 4 * TICKS)

    async def idle() -> None:
        await publisher.publish(bench.clock.now())

    async def nothing() -> None:
        await asyncio.sleep(PROBE_SECONDS)

    async def revoking() -> None:
        now, instance = bench.clock.now(), spare.pop()
        audit = AuditEntry(now, "bench", "instance.revoked", instance, {})
        await bench.store.revoke(instance, now, "", audit)
        await publisher.publish(now)

    async def renewing() -> None:
        chain_path(bench.gate_path).unlink()
        await publisher.publish(bench.clock.now())
        await _settled(bench, publisher)

    alone = await _held(nothing)
    rows = [
        Row("service: first bundles of all, s", took),
        Row("service: memory that they take, bytes an instance", grown / count),
    ]
    for name, tick in (("nothing new", idle), ("one revocation", revoking)):
        costs = await _cpu(tick)
        rows += [
            Row.at_most(f"tick with {name}: CPU, ms", max(costs), None, MOST_CPU_MS),
            Row(f"  the median with {name}, ms", median(costs)),
            Row.at_most(f"tick with {name}: {HELD}", await _held(tick), alone, MOST_HELD_MS),
        ]
    held = await _held(renewing, 1)
    return [*rows, Row.at_most(f"new snapshot: {HELD}", held, alone, MOST_HELD_MS)]


async def _enrolled(bench: ServiceBench, count: int) -> list[str]:
    async with Caller.of(bench) as call:
        return [(await call.enrol(SimulatedPhone()))["instance"] for _ in range(count)]


async def _settled(bench: ServiceBench, publisher: GatePublisher) -> None:
    """Tick until the chain stands, which a large snapshot lets wait for."""
    until = time.monotonic() + SETTLED_SECONDS
    while not chain_path(bench.gate_path).exists():
        if time.monotonic() > until:
            raise SystemExit("the service wrote no chain")
        await asyncio.sleep(0.1)
        await publisher.publish(bench.clock.now())


async def _cpu(tick: Tick) -> list[float]:
    """Return how many milliseconds of processor each tick took, in all threads."""
    found = []
    for _ in range(TICKS):
        before = time.process_time_ns()
        await tick()
        found.append((time.process_time_ns() - before) / 1e6)
    return found


async def _held(tick: Tick, ticks: int = TICKS) -> float:
    """Return the most milliseconds for which the event loop did nothing else."""
    gaps: list[float] = []

    async def probe() -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(PROBE_SECONDS)
            now = time.perf_counter()
            gaps.append(now - last - PROBE_SECONDS)
            last = now

    probing = asyncio.create_task(probe())
    for _ in range(ticks):
        await tick()
        await asyncio.sleep(2 * PROBE_SECONDS)
    probing.cancel()
    return max(gaps) * 1000
