"""Measure how long an enrolment waits while unused instances are dropped, beside the same without that.

``python -m benchmarks.expiry sqlite 1000000`` fills a store with so many instances, of which a fifth is unused, enrols one
after another for some seconds, and then as long again while they are dropped; ``postgresql`` likewise, on a server of its own.
"""

import argparse
import asyncio
import json
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from tests.store_contract.entries import audit, instance
from tests.system.adapters.postgres.servers import postgres

from watchword.adapters.sqlite import SqliteStore
from watchword.adapters.store import (
    INSTANCE_COLUMNS,
    EngineStore,
    certificate_rows,
    instance_row,
    marks,
)
from watchword.adapters.system import SystemClock
from watchword.apps.service.retention import Expiry
from watchword.enrolment.retention import RetentionTerms
from watchword.ports import ChallengeUse, Instance

NOW: Final = datetime.now(UTC)
UNUSED_SHARE: Final = 5
_AT_ONCE: Final = 10_000
_COLUMNS: Final = INSTANCE_COLUMNS.count(",") + 1


def instances(count: int) -> Iterator[Instance]:
    """Yield instances that aren't alike, each as large as an Android phone's; a fifth was unused for 100 days."""
    model = instance()
    for number in range(count):
        age = 100 if number % UNUSED_SHARE == 0 else number % 60
        at = NOW - timedelta(days=age, seconds=number % 86400)
        yield replace(
            model,
            id=f"{number:022d}",
            attested_key=os.urandom(91),
            enrolled_at=at,
            renewed_at=at,
            device_key=os.urandom(32),
            attester_serial=f"{number % 1000:x}",
            expires_at=None,
        )


def batches(count: int) -> Iterator[tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]]:
    """Yield rows of instances and of their certificates."""
    rows: list[tuple[Any, ...]] = []
    certificates: list[tuple[Any, ...]] = []
    for each in instances(count):
        rows.append(instance_row(each))
        certificates += certificate_rows(each)
        if len(rows) == _AT_ONCE:
            yield rows, certificates
            rows, certificates = [], []
    yield rows, certificates


@contextmanager
def sqlite(count: int) -> Iterator[EngineStore]:
    """Fill a file."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "watchword.db"
        SqliteStore(file).close()
        link = sqlite3.connect(file, isolation_level=None)
        link.execute("PRAGMA synchronous = OFF")
        for rows, certificates in batches(count):
            link.execute("BEGIN")
            link.executemany(
                f"INSERT INTO instances ({INSTANCE_COLUMNS}) VALUES ({marks(_COLUMNS)})",
                rows,
            )
            link.executemany("INSERT INTO instance_certificates VALUES (?, ?, ?)", certificates)
            link.execute("COMMIT")
        link.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        link.close()
        store = SqliteStore(file)
        try:
            yield store
        finally:
            store.close()


@contextmanager
def postgresql(count: int) -> Iterator[EngineStore]:
    """Fill a server that flushes each commit."""
    from watchword.adapters.postgres.database import PostgresStore  # noqa: PLC0415

    with ExitStack() as stack:
        server = stack.enter_context(postgres())
        address = server.ready()
        with server.admin(address.database) as link, link.cursor() as cursor:
            for rows, certificates in batches(count):
                with cursor.copy(
                    f"COPY watchword.instances ({INSTANCE_COLUMNS}) FROM STDIN".encode()
                ) as copy:
                    for row in rows:
                        copy.write_row(row)
                with cursor.copy(b"COPY watchword.instance_certificates FROM STDIN") as copy:
                    for row in certificates:
                        copy.write_row(row)
            cursor.execute("ANALYZE")
            cursor.execute("CHECKPOINT")
        store = PostgresStore(address)
        try:
            yield store
        finally:
            store.close()


async def enrol_for(
    store: EngineStore, seconds: float, done: asyncio.Event
) -> tuple[list[float], list[float]]:
    """Enrol one instance after another; return how long each took, in milliseconds, and but for waiting for a processor."""
    model, took, alone = instance(), list[float](), list[float]()
    end = time.monotonic() + seconds
    while time.monotonic() < end and not done.is_set():
        made = replace(
            model,
            id=os.urandom(11).hex(),
            attested_key=os.urandom(91),
            device_key=os.urandom(32),
            enrolled_at=NOW,
            renewed_at=NOW,
        )
        use = ChallengeUse(os.urandom(16), NOW + timedelta(minutes=5))
        begun, waited = time.monotonic(), _waits()
        await store.enrol(use, made, audit(subject=made.id))
        took.append((time.monotonic() - begun) * 1000)
        others = sum(now - waited.get(each, 0.0) for each, now in _waits().items())
        alone.append(max(0.0, took[-1] - others))
        await asyncio.sleep(0.002)
    return took, alone


def _waits() -> dict[str, float]:
    """Return by thread for how many milliseconds it was ready to run and others ran: what a busy machine adds."""
    found = Path("/proc/self/task").glob("*/schedstat")
    return {each.parent.name: int(each.read_text().split()[1]) / 1e6 for each in found}


class Timed:
    """Note how long each piece of the expiry has the store, waiting for its turn included, in milliseconds."""

    def __init__(self, store: EngineStore) -> None:
        self._store = store
        self.took: dict[str, list[float]] = {"over": [], "drop": []}

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._store, name)

        async def timed(*words: Any) -> Any:
            begun, waited = time.monotonic(), _waits()
            found = await call(*words)
            took = (time.monotonic() - begun) * 1000
            self.took.setdefault(name, []).append(took)
            others = sum(now - waited.get(each, 0.0) for each, now in _waits().items())
            self.took.setdefault(f"{name}, but for waiting for a processor", []).append(
                max(0.0, took - others)
            )
            return found

        return timed


async def measured(store: EngineStore, seconds: float) -> dict[str, Any]:
    """Enrol without and with expiry beside it."""
    await enrol_for(store, 2, asyncio.Event())
    before = await enrol_for(store, seconds, asyncio.Event())
    pieces = Timed(store)
    expiry = Expiry(
        pieces, SystemClock(), time.monotonic, RetentionTerms(unused=timedelta(days=90))
    )
    done, begun = asyncio.Event(), time.monotonic()

    async def drop() -> None:
        await expiry.round(lambda: time.monotonic() - begun < seconds)
        done.set()

    took, _ = await asyncio.gather(enrol_for(store, seconds, done), drop())
    return {
        "without": [summary(each) for each in before],
        "with": [summary(each) for each in took],
        "pieces": {name: summary(took) for name, took in pieces.took.items()},
        "dropped": dict(expiry.dropped),
        "seconds": round(time.monotonic() - begun, 1),
    }


def summary(took: Sequence[float]) -> dict[str, float]:
    """Return percentiles in milliseconds."""
    ordered = sorted(took)
    return {
        "count": len(ordered),
        "p50": round(statistics.median(ordered), 2),
        "p99": round(ordered[int(len(ordered) * 0.99)], 2),
        "longest": round(ordered[-1], 2),
    }


def main() -> None:
    """Measure one engine."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.expiry", description=__doc__)
    parser.add_argument("engine", choices=["sqlite", "postgresql"])
    parser.add_argument("instances", type=int)
    parser.add_argument("--seconds", type=float, default=20)
    given = parser.parse_args()
    begun = time.monotonic()
    with {"sqlite": sqlite, "postgresql": postgresql}[given.engine](given.instances) as store:
        filled = round(time.monotonic() - begun, 1)
        found = asyncio.run(measured(store, given.seconds))
    json.dump(
        {"engine": given.engine, "instances": given.instances, "filled": filled} | found, sys.stdout
    )
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
