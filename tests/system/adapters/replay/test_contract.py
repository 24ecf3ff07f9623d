"""Hold every replay store to the port's contract; the shared one against a real server."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from tests.system.adapters.replay.servers import Valkey, valkey

from watchword.adapters.replay import HostReplayStore, MemoryReplayStore
from watchword.adapters.replay.valkey import ValkeyReplayStore
from watchword.adapters.system import SystemClock
from watchword.gate.interface import ReplayClaim, ReplayStore
from watchword.gate.replay import window
from watchword.reasons import UnavailableError

clock = SystemClock().timestamp

AnyStore = MemoryReplayStore | HostReplayStore | ValkeyReplayStore
WINDOW = window(30)


@pytest.fixture(scope="module")
def server() -> Iterator[Valkey]:
    """Run one server for this module."""
    with valkey() as running:
        yield running


@pytest.fixture(params=["memory", "host", "valkey"])
def make(request: pytest.FixtureRequest, tmp_path: Path, server: Valkey) -> Callable[[], AnyStore]:
    """Give what makes a store of each kind."""
    kinds: dict[str, Callable[[], AnyStore]] = {
        "memory": MemoryReplayStore,
        "host": lambda: HostReplayStore(tmp_path / "used.sqlite"),
        "valkey": lambda: ValkeyReplayStore(server.url, "https://api.example/v1?{x}", deadline=2.0),
    }
    return kinds[request.param]


def far(number: int) -> ReplayClaim:
    """Return a claim that is as far ahead as it may be: a new shared store takes it after a second."""
    return ReplayClaim(
        number.to_bytes(4, "big") + time.time_ns().to_bytes(12, "big"), int(clock()) + WINDOW
    )


def run(make: Callable[[], AnyStore], work: Callable[[ReplayStore], Awaitable[None]]) -> None:
    """Carry out work on a store that takes claims."""

    async def main() -> None:
        store = make()
        for number in range(200):
            try:
                if await store.claim(far(number), clock()):
                    break
            except UnavailableError:
                await asyncio.sleep(0.02)
        else:
            pytest.fail("the store never opened")
        await work(store)
        await store.close()

    asyncio.run(main())


def test_the_first_claim_wins(make: Callable[[], AnyStore]) -> None:
    """And no other does, of 50 at once or later."""

    async def work(store: ReplayStore) -> None:
        claim = far(1)
        won = await asyncio.gather(*(store.claim(claim, clock()) for _ in range(50)))
        assert won.count(True) == 1
        assert not await store.claim(claim, clock())
        assert await store.claim(far(2), clock())

    run(make, work)


def test_one_nonce_under_two_times_is_a_replay(make: Callable[[], AnyStore]) -> None:
    """The tag decides, whatever its proof's time is."""

    async def work(store: ReplayStore) -> None:
        claim = far(1)
        assert await store.claim(claim, clock())
        for earlier in (1, 15, 33):
            assert not await store.claim(claim._replace(until=claim.until - earlier), clock())

    run(make, work)


def test_what_no_acceptable_proof_can_say_is_refused(make: Callable[[], AnyStore]) -> None:
    """Stale, or further ahead than leeway and life allow."""

    async def work(store: ReplayStore) -> None:
        now = clock()
        for until in (int(now) - 500, int(now), int(now) + WINDOW + 100):
            assert not await store.claim(far(1)._replace(until=until), now)

    run(make, work)


def test_a_gate_whose_clock_went_back_opens_nothing(make: Callable[[], AnyStore]) -> None:
    """The claim is held, or its time is known to be over."""

    async def work(store: ReplayStore) -> None:
        claim = far(1)
        assert await store.claim(claim, clock())
        for back in (10, 100, 1000, 10**8):
            assert not await store.claim(claim, clock() - back)

    run(make, work)
