"""Play Integrity tokens are decoded a few at a time; a flood is turned away and starves nobody."""

import asyncio
from collections import Counter

import pytest

from watchword.adapters.play_decoder import AT_ONCE, WAITING, BoundedDecoder
from watchword.reasons import Reason, RefusedError, UnavailableError


class SlowGoogle:
    """Be a decoder that answers when it is told to."""

    def __init__(self) -> None:
        """Begin with nobody inside."""
        self.answers = asyncio.Event()
        self.inside = 0
        self.most = 0
        self.error: Exception | None = None

    async def decode(self, package: str, token: bytes) -> bytes:
        """Wait, then answer with what was sent."""
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await self.answers.wait()
        finally:
            self.inside -= 1
        if self.error is not None:
            raise self.error
        return package.encode() + token


async def outcome(decoder: BoundedDecoder, number: int) -> str:
    """Decode one token and name what came of it."""
    try:
        decoded = await decoder.decode("com.example", str(number).encode())
    except UnavailableError as error:
        return error.reason.code if error.retry_after > 0 else "come again at once"
    assert decoded == f"com.example{number}".encode()
    return "decoded"


def test_a_flood_is_turned_away_at_once() -> None:
    """At most eight at a time, thirty-two wait, and all others learn when to come again."""

    async def scenario() -> None:
        google = SlowGoogle()
        decoder = BoundedDecoder(google)
        tasks = [asyncio.create_task(outcome(decoder, number)) for number in range(500)]
        done, _ = await asyncio.wait(tasks, timeout=0.1)
        assert Counter(task.result() for task in done) == {
            Reason.SERVICE_OVERLOADED.code: 500 - AT_ONCE - WAITING
        }
        assert google.inside == AT_ONCE
        google.answers.set()
        found = Counter(await asyncio.gather(*tasks))
        assert found["decoded"] == AT_ONCE + WAITING
        assert google.most == AT_ONCE
        assert await outcome(decoder, 1) == "decoded"

    asyncio.run(scenario())


def test_whoever_leaves_makes_room() -> None:
    """Requests that were given up, waiting or not, and errors, take no place afterwards."""

    async def scenario() -> None:
        google = SlowGoogle()
        decoder = BoundedDecoder(google, at_once=1, waiting=1)
        for _ in range(5):
            tasks = [asyncio.create_task(outcome(decoder, number)) for number in range(2)]
            await asyncio.sleep(0.01)
            assert await outcome(decoder, 3) == Reason.SERVICE_OVERLOADED.code
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        google.answers.set()
        google.error = RefusedError.because(Reason.PLAY_TOKEN)
        for _ in range(5):
            with pytest.raises(RefusedError):
                await decoder.decode("com.example", b"")
        google.error = None
        assert await outcome(decoder, 4) == "decoded"

    asyncio.run(scenario())
