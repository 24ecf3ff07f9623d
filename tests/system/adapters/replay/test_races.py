"""Show that of 16 parallel claimers in several processes one wins, also when some are killed."""

import asyncio
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.machine import patience
from tests.system.adapters.replay.claimers import LEEWAY, ROUND_SECONDS, claim_of_round
from tests.system.adapters.replay.servers import valkey

from watchword.adapters.replay.valkey import ValkeyReplayStore
from watchword.adapters.system import SystemClock
from watchword.gate.interface import ReplayClaim
from watchword.gate.replay import window
from watchword.reasons import UnavailableError

clock = SystemClock().timestamp

ROUNDS = 200
PROCESSES = 4
TASKS = 4


@pytest.fixture(params=["host", "valkey"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Give a store that processes share: its kind, and where it is."""
    if request.param == "host":
        yield "host", str(tmp_path / "used.sqlite")
        return
    with valkey("--appendonly", "yes") as server:
        asyncio.run(wait_until_open(server.url))
        yield "valkey", server.url


async def wait_until_open(url: str) -> None:
    """Wait until a new server takes the claims that are as far ahead as they may be."""
    store = ValkeyReplayStore(url, "race", leeway=LEEWAY)
    for number in range(300):
        claim = ReplayClaim(b"open%012d" % number, int(clock()) + window(LEEWAY) - 1)
        try:
            if await store.claim(claim, clock()):
                break
        except UnavailableError:
            await asyncio.sleep(0.02)
    else:
        pytest.fail("the store never opened")
    await store.close()


def race(
    shared: tuple[str, str], start: float, rounds: int = ROUNDS
) -> list[subprocess.Popen[bytes]]:
    """Start the claimers."""
    command = [sys.executable, "-m", "tests.system.adapters.replay.claimers", *shared]
    command += [repr(start), str(rounds), str(TASKS)]
    return [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(PROCESSES)
    ]


def wins(racers: list[subprocess.Popen[bytes]]) -> tuple[Counter[int], bytes]:
    """Return how often each round was won, and what the racers complained of."""
    outputs = [racer.communicate(timeout=patience(60)) for racer in racers]
    won = Counter(int(line) for output, _ in outputs for line in output.split())
    return won, b"".join(errors for _, errors in outputs)


def test_exactly_one_wins(shared: tuple[str, str]) -> None:
    """200 rounds of 16: each has a winner, and one alone."""
    won, errors = wins(race(shared, clock() + 1.5))
    assert errors == b""
    assert won == Counter(range(ROUNDS))


def test_killed_claimers_leave_nothing_open(shared: tuple[str, str]) -> None:
    """Two of four are killed midway: no round is won twice, and those who live go on winning."""
    start = clock() + 1.5
    racers = race(shared, start)
    time.sleep(max(0.0, start + ROUNDS / 3 * ROUND_SECONDS - clock()))
    for racer in racers[:2]:
        racer.kill()
    won, errors = wins(racers)
    assert errors == b""
    assert max(won.values()) == 1
    # A winner that was killed before it could say so leaves one round without.
    assert len(won) >= ROUNDS - 2
    again, errors = wins(race(shared, clock() + 1.5, rounds=0))
    assert (again, errors) == (Counter(), b"")
    assert not replayed(shared, start)


def replayed(shared: tuple[str, str], start: float) -> set[int]:
    """Return the rounds that can be won once more, in this process."""

    async def again() -> set[int]:
        from watchword.adapters.replay import HostReplayStore  # noqa: PLC0415

        kind, where = shared
        store = (
            HostReplayStore(Path(where), leeway=LEEWAY)
            if kind == "host"
            else ValkeyReplayStore(where, "race", leeway=LEEWAY)
        )
        found = {
            number
            for number in range(ROUNDS)
            if await store.claim(claim_of_round(number, start), clock())
        }
        await store.close()
        return found

    return asyncio.run(again())
