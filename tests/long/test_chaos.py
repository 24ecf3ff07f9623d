"""Show what a bad way to the shared store does to replays and quotas: it refuses, and lets nothing pass twice."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from tests.long.chaos_proxy import ChaosProxy
from tests.system.adapters.replay.servers import valkey
from tests.system.adapters.usage.callers import NOW, use

from watchword.adapters.replay.valkey import ValkeyReplayStore
from watchword.adapters.system import SystemClock
from watchword.adapters.usage.valkey import ValkeyUsageLedger
from watchword.broker.interface import Allowance
from watchword.gate.interface import ReplayClaim
from watchword.gate.replay import window
from watchword.reasons import Reason, UnavailableError

clock = SystemClock().timestamp
REFUSED = Reason.GATE_REPLAY_UNAVAILABLE
UNCOUNTED = Reason.SECRET_USAGE_UNAVAILABLE
PATIENCE_SECONDS = 30.0
DEADLINE_SECONDS = 0.5
"""Shorter than the shortest delay, and longer than a busy machine keeps a good answer."""


async def told(asked: Awaitable[bool]) -> bool | Reason:
    """Return what the store says, or the reason why it can't."""
    try:
        return await asked
    except UnavailableError as error:
        return error.reason


class Claims:
    """Claim proofs, each under a number, through the proxy."""

    def __init__(self, proxy: ChaosProxy) -> None:
        """Begin with none."""
        self.store = ValkeyReplayStore(
            f"redis://127.0.0.1:{proxy.port}/0", "api", deadline=DEADLINE_SECONDS
        )
        self._until: dict[int, int] = {}

    async def claim(self, number: int) -> bool | Reason:
        """Claim a proof; a number that was claimed before is the same proof."""
        until = self._until.setdefault(number, int(clock()) + window(30))
        return await told(self.store.claim(ReplayClaim(number.to_bytes(16, "big"), until), clock()))

    async def opened(self, first: int) -> None:
        """Wait until a fresh proof passes: a store that was just started is closed for a moment."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await self.claim(first) is not True:
                first += 1
                await asyncio.sleep(0.02)


def through(work: Callable[[ChaosProxy, Claims], Awaitable[None]]) -> None:
    """Run a scenario with a real server behind the proxy, from when it takes claims."""

    async def main() -> None:
        with valkey() as server:
            async with ChaosProxy.before(server.socket) as proxy:
                claims = Claims(proxy)
                await claims.opened(1_000_000)
                await work(proxy, claims)
                await claims.store.close()

    asyncio.run(main())


@pytest.mark.parametrize("seconds", [1, 5, 30])
def test_a_slow_way_refuses_and_opens_nothing(seconds: float) -> None:
    """Nobody waits for the answers; proofs that were on their way pass at most once, also when all is well again."""

    async def work(proxy: ChaosProxy, claims: Claims) -> None:
        assert await claims.claim(1) is True
        proxy.delay = seconds
        assert [await claims.claim(number) for number in (1, 2, 3)] == [REFUSED] * 3
        proxy.heal()
        await claims.opened(2_000_000)
        assert await claims.claim(1) is False
        # Whether those were counted by then nobody can tell; each passes once at most.
        for number in (2, 3):
            first, second = await claims.claim(number), await claims.claim(number)
            assert (first, second) in ((True, False), (False, False))

    through(work)


@pytest.mark.parametrize("cut", [0, 1, 3])
def test_a_lost_answer_is_no_second_use(cut: int) -> None:
    """The store counted the proof and nobody heard of it: of all who claim it one passes at most."""

    async def work(proxy: ChaosProxy, claims: Claims) -> None:
        for number in range(20):
            proxy.cut = cut
            lost = await claims.claim(number)
            assert lost in (REFUSED, True, False)
            proxy.heal()
            await claims.opened(2_000_000 + 1000 * number)
            again = [await claims.claim(number) for _ in range(3)]
            assert [lost, *again].count(True) <= 1
            assert again[1:] == [False, False]
        assert proxy.cuts >= 20

    through(work)


@pytest.mark.parametrize(
    "garbage", [b"HTTP/1.1 200 OK\r\n\r\n", b":1", b"$99999999\r\nx", b"\xff" * 1000]
)
def test_nonsense_in_the_place_of_an_answer_refuses(garbage: bytes) -> None:
    """What isn't the store's answer never counts as a yes, and nothing else is raised."""

    async def work(proxy: ChaosProxy, claims: Claims) -> None:
        proxy.garbage = garbage
        assert [await claims.claim(number) for number in range(3)] == [REFUSED] * 3
        proxy.heal()
        await claims.opened(2_000_000)

    through(work)


def test_other_requests_go_on_while_the_store_is_waited_for() -> None:
    """Whoever needs no store isn't held up by those who wait for it: the loop has its turns all the time."""

    async def work(proxy: ChaosProxy, claims: Claims) -> None:
        proxy.delay = 5
        waiting = [asyncio.create_task(claims.claim(number)) for number in range(200)]
        turns = 0
        while not all(task.done() for task in waiting):
            turns += 1
            await asyncio.sleep(0)
        assert {task.result() for task in waiting} == {REFUSED}
        assert turns > len(waiting)

    through(work)


def test_a_lost_answer_gives_no_call_away() -> None:
    """A call that was counted unheard costs the instance one: stricter, and never looser than its quota."""

    async def main() -> None:
        with valkey() as server:
            async with ChaosProxy.before(server.socket) as proxy:
                ledger = ValkeyUsageLedger(f"redis://127.0.0.1:{proxy.port}/0")
                call = use("a", Allowance(86400, calls=8))

                async def take() -> bool | Reason:
                    try:
                        return await ledger.take(call, NOW) is None
                    except UnavailableError as error:
                        return error.reason

                found = [await take()]
                for _ in range(2):
                    proxy.cut = 0
                    found.append(await take())
                    proxy.heal()
                assert found[1:] == [UNCOUNTED, UNCOUNTED]
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while (last := await take()) is not False:
                        found.append(last)
                        await asyncio.sleep(0.02)
                assert 1 <= found.count(True) <= 8
                await ledger.aclose()

    asyncio.run(main())
