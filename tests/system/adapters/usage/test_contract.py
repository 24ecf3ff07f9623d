"""Show that every ledger counts alike: exactly what is allowed, in windows that no clock repeats."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.system.adapters.replay.servers import Valkey, valkey
from tests.system.adapters.usage.callers import NOW, use

from watchword.adapters.usage import HostUsageLedger, MemoryUsageLedger
from watchword.adapters.usage.valkey import ValkeyUsageLedger
from watchword.broker.interface import Allowance, Spent, UsageLedger, Use

DAY = 86400
MIDNIGHT = NOW - NOW % DAY
Open = Callable[[], UsageLedger]
Run = Callable[[Callable[[UsageLedger], Awaitable[Any]]], Any]
_files = count()


@pytest.fixture(scope="module")
def server() -> Iterator[Valkey]:
    """Run one server for all tests."""
    with valkey() as running:
        yield running


@pytest.fixture(params=["memory", "host", "valkey"])
def run(request: pytest.FixtureRequest, tmp_path: Path, server: Valkey) -> Run:
    """Return what runs a coroutine on a fresh ledger of a kind."""

    def made() -> UsageLedger:
        if request.param == "memory":
            return MemoryUsageLedger()
        if request.param == "host":
            return HostUsageLedger(tmp_path / f"usage-{next(_files)}.sqlite")
        return ValkeyUsageLedger(f"{server.url}?db={next(_files) % 16}", deadline=20.0)

    @asynccontextmanager
    async def fresh() -> AsyncIterator[UsageLedger]:
        ledger = made()
        if isinstance(ledger, ValkeyUsageLedger):
            await ledger._link.run("FLUSHDB")
        yield ledger
        await ledger.aclose()

    def running(work: Callable[[UsageLedger], Awaitable[Any]]) -> Any:
        async def main() -> Any:
            async with fresh() as ledger:
                return await work(ledger)

        return asyncio.run(main())

    return running


def test_of_three_hundred_that_race_a_hundred_pass(run: Run) -> None:
    """Exactly."""

    async def work(ledger: UsageLedger) -> list[Spent | None]:
        return list(await asyncio.gather(*(ledger.take(use(), NOW) for _ in range(300))))

    found = run(work)
    assert found.count(None) == 100
    assert {each for each in found if each} == {Spent(MIDNIGHT + DAY - NOW, by_calls=True)}


def test_everybody_has_a_quota_of_their_own(run: Run) -> None:
    """By instance and by secret; a new version of the key gives nobody a new one."""

    async def work(ledger: UsageLedger) -> list[bool]:
        one = (Allowance(DAY, calls=1),)
        tried = [
            use("a", *one),
            use("b", *one),
            use("a", *one, secret="push"),
            use("ap", *one, secret="push"),
            use("a", *one, version=2),
            use("b", *one),
        ]
        return [await ledger.take(each, NOW) is None for each in tried]

    assert run(work) == [True, True, True, True, False, False]


def test_what_is_spent(run: Run) -> None:
    """A call that doesn't fit counts nowhere, so that a cheaper one still does."""

    async def work(ledger: UsageLedger) -> list[Spent | None]:
        budget = Allowance(60, spend=10)
        costs = [4, 4, 4, 2, 1, 0]
        return [await ledger.take(use("a", budget, cost=cost), NOW) for cost in costs]

    full = Spent(60 - NOW % 60, by_calls=False)
    assert run(work) == [None, None, full, None, full, None]


def test_all_allowances_must_have_room(run: Run) -> None:
    """What one refuses isn't counted in another; told is the one whose window ends last."""
    hour, day = Allowance(3600, calls=2), Allowance(DAY, calls=3)

    async def work(ledger: UsageLedger) -> list[Spent | None]:
        at = [NOW, NOW, NOW, NOW + 3600, NOW + 3600, NOW + 3601]
        return [await ledger.take(use("a", hour, day), each) for each in at]

    found = run(work)
    assert found[:2] == [None, None]
    assert found[2] == Spent(3600 - NOW % 3600, by_calls=True)
    assert found[3] is None
    assert found[4] == Spent(MIDNIGHT + DAY - NOW - 3600, by_calls=True)
    assert found[5] == Spent(MIDNIGHT + DAY - NOW - 3601, by_calls=True)


def test_allowances_of_one_length_share_a_count(run: Run) -> None:
    """Calls and what they cost in the same window."""

    async def work(ledger: UsageLedger) -> list[Spent | None]:
        both = (Allowance(60, calls=3), Allowance(60, spend=10))
        return [await ledger.take(use("a", *both, cost=cost), NOW) for cost in (5, 5, 1, 0, 0)]

    wait = 60 - NOW % 60
    calls, spend = Spent(wait, by_calls=True), Spent(wait, by_calls=False)
    assert run(work) == [None, None, spend, None, calls]


def test_nothing_is_allowed(run: Run) -> None:
    """A quota of none is one."""

    async def work(ledger: UsageLedger) -> Spent | None:
        return await ledger.take(use("a", Allowance(60, calls=0)), NOW)

    assert run(work) == Spent(60 - NOW % 60, by_calls=True)


def taken_at(run: Run, seconds: int, calls: int, at: list[float]) -> list[bool]:
    """Return which of the calls at these instants pass."""

    async def work(ledger: UsageLedger) -> list[bool]:
        tried = use("a", Allowance(seconds, calls=calls))
        return [await ledger.take(tried, each) is None for each in at]

    passed: list[bool] = run(work)
    return passed


def test_a_window_ends(run: Run) -> None:
    """To the second, and in UTC."""
    passed = taken_at(run, DAY, 1, [MIDNIGHT, MIDNIGHT + DAY - 0.001, MIDNIGHT + DAY])
    assert passed == [True, False, True]


def test_a_clock_that_steps_back(run: Run) -> None:
    """Over the edge of a window and back: neither window begins anew."""
    edge = MIDNIGHT + DAY
    at = [edge - 2, edge + 1, edge - 1, edge - 1, edge + 2, edge + DAY]
    assert taken_at(run, DAY, 1, at) == [True, True, False, False, False, True]


def test_two_gates_whose_clocks_differ(run: Run) -> None:
    """At the edge of a window both count in the later one, once one of them is there."""
    edge = MIDNIGHT + DAY
    at = [edge + 1, edge - 1, edge + 1, edge - 1]
    assert taken_at(run, DAY, 2, at) == [True, True, False, False]


def test_a_clock_that_was_far_ahead(run: Run) -> None:
    """What was used in the future counts now, and nobody waits for that future."""
    far = NOW + 400 * DAY
    at = [far, NOW, NOW + 1, NOW + DAY, NOW + DAY]
    assert taken_at(run, DAY, 1, at) == [True, False, False, True, False]


def test_a_call_that_is_given_back(run: Run) -> None:
    """It can be made again, once; of a window that is over nothing comes back."""

    async def work(ledger: UsageLedger) -> list[bool]:
        tried = use("a", Allowance(60, calls=1), Allowance(DAY, spend=5), cost=5)
        passed = [await ledger.take(tried, NOW) is None]
        await ledger.give_back(tried, NOW)
        await ledger.give_back(tried, NOW)
        passed += [await ledger.take(tried, NOW) is None for _ in range(2)]
        await ledger.give_back(tried, NOW - 2 * DAY)
        await ledger.give_back(use("b", Allowance(60, calls=1)), NOW)
        passed += [await ledger.take(tried, NOW) is None]
        passed += [await ledger.take(use("b", Allowance(60, calls=1)), NOW) is None]
        return passed

    assert run(work) == [True, True, False, False, True]


def test_what_fails_over_the_end_of_a_window_gives_none_of_the_next_back(run: Run) -> None:
    """Calls that were counted before it, and fail behind it, don't take those of the next window off its count."""

    async def work(ledger: UsageLedger) -> list[bool]:
        edge = NOW - NOW % DAY + DAY
        tried = use("a", Allowance(DAY, calls=2))
        passed = [await ledger.take(tried, edge - 1) is None for _ in range(2)]
        passed += [await ledger.take(tried, edge + 1) is None for _ in range(2)]
        for _ in range(2):
            await ledger.give_back(tried, edge - 1)
        return [*passed, await ledger.take(tried, edge + 2) is None]

    assert run(work) == [True, True, True, True, False]


def test_which_versions_are_used(run: Run) -> None:
    """By the second of the last call; also where nothing limits it, and never one that was refused."""

    async def work(ledger: UsageLedger) -> list[Any]:
        free = Use("maps", 1, "a", 1, ())
        await ledger.take(free, NOW)
        await ledger.take(free._replace(version=2, who="b"), NOW + 1.5)
        await ledger.take(free, NOW + 3)
        await ledger.take(use("a", Allowance(60, calls=0), version=3), NOW + 4)
        await ledger.take(use("a", secret="push", version=9), NOW)
        return [await ledger.versions_used(name) for name in ("maps", "push", "none")]

    assert run(work) == [{1: NOW + 3, 2: NOW + 1}, {9: NOW}, {}]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]),
        st.integers(-70, 200),
        st.integers(0, 4),
        st.booleans(),
    ),
    max_size=30,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS)
def test_all_ledgers_agree(steps: list[tuple[str, int, int, bool]], run: Run) -> None:
    """On any run of calls, with clocks that go where they will: the others do as the one in memory."""
    kinds = (Allowance(10, calls=3), Allowance(60, spend=12, calls=6))

    async def work(ledger: UsageLedger) -> list[Spent | None]:
        now, found = NOW, []
        for who, step, cost, back in steps:
            now += step
            tried = use(who, *kinds, cost=cost)
            found.append(await ledger.take(tried, now))
            if back:
                await ledger.give_back(tried, now)
        return found

    assert run(work) == asyncio.run(work(MemoryUsageLedger()))


@settings(max_examples=100, deadline=None)
@given(steps=st.lists(st.integers(-15, 25), min_size=1, max_size=60))
def test_no_window_is_given_twice(steps: list[int]) -> None:
    """With a clock that steps back by less than a window, no more passes than the windows that were reached allow."""

    async def main() -> tuple[int, int]:
        ledger, latest, now, passed = MemoryUsageLedger(), NOW, NOW, 0
        reached = set()
        for step in steps:
            # Never a whole window behind the latest time that was seen.
            now = max(now + step, latest - 15)
            latest = max(latest, now)
            reached.add(now // 16)
            passed += await ledger.take(use("a", Allowance(16, calls=2)), now) is None
        return passed, len(reached)

    passed, reached = asyncio.run(main())
    assert passed <= 2 * reached
