"""Expiry: what is over goes in small transactions, each in the trail; nobody waits for it, and nothing else goes."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.store_contract.entries import audit, instance, use
from tests.unit.apps.service_bench import ServiceBench, service_bench
from tests.unit.enrolment.simulators import NOW, MovableClock

from watchword.adapters.sqlite import SqliteStore
from watchword.apps.service.background import expire, periodic_tasks
from watchword.apps.service.metrics import exposed
from watchword.apps.service.retention import LEAST_PAUSE, Expiry
from watchword.enrolment.retention import LEAST_KEPT, MOST_AT_ONCE, BatchSize, RetentionTerms

TERMS = RetentionTerms(unused=timedelta(days=90), revoked=timedelta(days=365))


@dataclass
class Slow:
    """Be a store whose transactions take as long as the test says, by a steady clock that the test reads."""

    store: SqliteStore
    seconds: float = 0.0
    at: float = 0.0
    sizes: list[int] = field(default_factory=list)
    rests: list[float] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    async def drop(self, names: Any, *rest: Any) -> Any:
        """Note how many were to be dropped at once."""
        self.sizes.append(len(names))
        self.at += self.seconds
        return await self.store.drop(names, *rest)

    async def sleep(self, seconds: float) -> None:
        """Note for how long others have the store."""
        self.rests.append(seconds)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """Return an empty store."""
    made = SqliteStore(tmp_path / "watchword.db")
    yield made
    made.close()


def enrol(store: SqliteStore, count: int, at: datetime, name: str = "i") -> None:
    """Enrol instances at an instant."""

    async def all_of_them() -> None:
        for number in range(count):
            made = instance(f"{name}{number}")
            key = f"{name}{number}".encode()
            made = replace(made, attested_key=key, enrolled_at=at, renewed_at=at)
            await store.enrol(use(key), made, audit(subject=made.id))

    asyncio.run(all_of_them())


def expiry(slow: Slow, terms: RetentionTerms = TERMS) -> Expiry:
    """Return what drops instances of a store."""
    return Expiry(slow, MovableClock(), lambda: slow.at, terms, slow.sleep)


def test_batches_stay_small_where_the_store_is_slow(store: SqliteStore) -> None:
    """A transaction that takes long makes the next one smaller; the store is left to others for longer than it took."""
    enrol(store, 60, NOW - timedelta(days=91))
    slow = Slow(store, seconds=0.25)
    assert asyncio.run(expiry(slow).round()) == 60
    assert slow.sizes[:5] == [10, 5, 2, 1, 1]
    assert sum(rest >= 0.75 for rest in slow.rests) == len(slow.sizes)
    entries = asyncio.run(store.audit_entries(200))
    told = [each for each in entries if each.action == "instances.expired"]
    assert sum(each.detail["unused"] for each in told) == 60
    assert len(told) == len(slow.sizes)
    assert not any("i1" in str(each.detail) for each in told)


def test_batches_grow_where_it_is_quick() -> None:
    """Up to a bound, and they never become nothing."""
    size = BatchSize()
    for _ in range(20):
        size.note(0.001)
    assert size.size == MOST_AT_ONCE
    size.note(0.015)
    assert size.size == MOST_AT_ONCE
    for _ in range(20):
        size.note(1.0)
    assert size.size == 1


def test_nothing_is_dropped_where_the_file_says_nothing(store: SqliteStore) -> None:
    """Instances are kept for ever by default; only what is left of deleted ones goes."""
    enrol(store, 3, NOW - timedelta(days=4000))
    at = NOW - timedelta(days=3)
    asyncio.run(store.erase("i0", at, audit("instance.deleted", subject="i0")))
    slow = Slow(store)
    made = expiry(slow, RetentionTerms())
    assert asyncio.run(made.round()) == 1
    assert dict(made.dropped) == {"deleted": 1}
    assert len(asyncio.run(store.list_instances(9))) == 2


def test_a_deleted_one_stays_until_nothing_of_it_can_count(store: SqliteStore) -> None:
    """Two days: longer than a ticket."""
    enrol(store, 1, NOW)
    asyncio.run(store.erase("i0", NOW - timedelta(hours=47), audit("instance.deleted")))
    assert asyncio.run(expiry(Slow(store)).round()) == 0
    assert asyncio.run(store.find("i0")) is not None


def test_another_node_goes_on(store: SqliteStore) -> None:
    """A node that doesn't lead any more ends in the middle of a round."""
    enrol(store, 60, NOW - timedelta(days=91))
    slow = Slow(store)
    made = expiry(slow)
    assert asyncio.run(made.round(lambda: not slow.sizes)) == 10
    assert asyncio.run(made.round(lambda: False)) == 0
    assert asyncio.run(made.round()) == 50


@pytest.mark.parametrize("name", ["unused", "revoked"])
def test_times_in_which_an_instance_counts_are_refused(name: str) -> None:
    """As in the file, where they begin with 30 days."""
    with pytest.raises(ValueError, match="expected at least"):
        RetentionTerms(**{name: LEAST_KEPT - timedelta(seconds=1)})
    RetentionTerms(**{name: LEAST_KEPT})


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[ServiceBench]:
    """Return a service whose clock is compared with a steady one."""
    made = service_bench(tmp_path, steady=lambda: 0.0, retention=TERMS)
    yield made
    made.store.close()


def test_a_clock_that_jumped_drops_nobody(bench: ServiceBench) -> None:
    """Set ahead by a year, it would take the whole fleet for unused."""
    enrol(bench.store, 2, bench.clock.now())
    bench.clock.advance(timedelta(days=400).total_seconds())
    bench.service.context.safeguards.watch_clock()
    asyncio.run(expire(bench.service.context))
    assert len(asyncio.run(bench.store.list_instances(9))) == 2


def test_it_runs_beside_the_requests_and_is_counted(bench: ServiceBench) -> None:
    """One of the periodic tasks; the metric says why each was dropped."""
    enrol(bench.store, 2, bench.clock.now() - timedelta(days=91))
    (task,) = (each for each in periodic_tasks(bench.service.context) if each.name == "expiry")
    work: Callable[[], Awaitable[object]] = task.work
    asyncio.run(_awaited(work))
    assert asyncio.run(bench.store.list_instances(9)) == []
    text = exposed(bench.service.context).body.decode()
    assert 'watchword_instances_expired_total{why="unused"} 2' in text
    assert LEAST_PAUSE > 0


async def _awaited(work: Callable[[], Awaitable[object]]) -> None:
    await work()
