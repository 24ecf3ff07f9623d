"""Show how ledgers hold when processes race, end and start, and when what is behind them fails."""

import asyncio
import os
import signal
import sqlite3
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from tests.system.adapters.replay.servers import valkey
from tests.system.adapters.usage.callers import NOW, take_many, use

from watchword.adapters import host_database
from watchword.adapters.usage import HostUsageLedger, MemoryUsageLedger, host
from watchword.adapters.usage.host import DEADLINE_SECONDS
from watchword.adapters.usage.valkey import ValkeyUsageLedger
from watchword.broker.interface import Allowance, UsageLedger, Use
from watchword.reasons import Reason, UnavailableError

DAY = 86400


async def outcome(ledger: UsageLedger, tried: Use, now: float = NOW) -> bool | Reason:
    """Return whether a call passes, or why it can't be told."""
    try:
        return await ledger.take(tried, now) is None
    except UnavailableError as error:
        return error.reason


def remove_all(directory: Path) -> None:
    """Empty a directory."""
    for each in directory.iterdir():
        each.unlink()


def test_two_processes_share_a_quota(tmp_path: Path) -> None:
    """Of 300 calls in two processes at once, exactly 100 pass."""
    path = str(tmp_path / "usage.sqlite")
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
        found = list(processes.map(take_many, [path, path], [150, 150]))
    assert sum(found) == 100


def test_a_quota_outlives_the_process(tmp_path: Path) -> None:
    """A restart gives nobody a new window."""
    path = str(tmp_path / "usage.sqlite")
    assert take_many(path, 60) == 60
    assert take_many(path, 60) == 40


def test_a_gate_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    """What was counted is there, whenever the process ends."""
    path = tmp_path / "usage.sqlite"
    child = os.fork()
    if child == 0:

        async def forever() -> None:
            ledger = HostUsageLedger(path)
            for _ in range(40):
                await ledger.take(use(), NOW)
            os.kill(os.getpid(), signal.SIGKILL)

        try:
            asyncio.run(forever())
        finally:
            # A child that failed must not go on with the tests of its parent.
            os._exit(1)
    os.waitpid(child, 0)
    assert take_many(str(path), 100) == 60


def test_the_file_is_private(tmp_path: Path) -> None:
    """It is made for its user alone, and one that others may write isn't believed."""
    path = tmp_path / "usage.sqlite"
    assert take_many(str(path), 1) == 1
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o660)
    with pytest.raises(UnavailableError) as error:
        HostUsageLedger(path)
    assert error.value.reason is Reason.SECRET_USAGE_UNAVAILABLE


def test_the_file_names_no_instance(tmp_path: Path) -> None:
    """Who used what isn't written down, only how often somebody did."""
    path = tmp_path / "usage.sqlite"

    async def main() -> None:
        ledger = HostUsageLedger(path)
        await ledger.take(use("pairwise-subject-of-an-instance"), NOW)
        await ledger.aclose()

    asyncio.run(main())
    kept = b"".join(each.read_bytes() for each in tmp_path.iterdir())
    assert b"pairwise-subject" not in kept


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"\0" * 4096])
def test_a_damaged_file(tmp_path: Path, content: bytes) -> None:
    """Nobody is given a new window for it."""
    path = tmp_path / "usage.sqlite"
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(UnavailableError) as error:
        HostUsageLedger(path)
    assert error.value.reason is Reason.SECRET_USAGE_UNAVAILABLE


def test_a_database_of_somebody_else(tmp_path: Path) -> None:
    """It stays as it is."""
    path = tmp_path / "usage.sqlite"
    path.touch(0o600)
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (a)")
    other.close()
    with pytest.raises(UnavailableError) as error:
        HostUsageLedger(path)
    assert error.value.reason is Reason.SECRET_USAGE_UNAVAILABLE


def test_another_process_that_does_not_let_go(tmp_path: Path) -> None:
    """A call waits for so long, the loop goes on meanwhile, and afterwards calls pass."""
    path = tmp_path / "usage.sqlite"

    async def main() -> tuple[bool | Reason, int, bool | Reason]:
        ledger = HostUsageLedger(path)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        turns = 0

        async def turn() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0.001)

        turning = asyncio.create_task(turn())
        stuck = await outcome(ledger, use())
        turning.cancel()
        other.execute("ROLLBACK")
        other.close()
        free = await outcome(ledger, use())
        await ledger.aclose()
        return stuck, turns, free

    begun = time.perf_counter()
    stuck, turns, free = asyncio.run(main())
    assert stuck is Reason.SECRET_USAGE_UNAVAILABLE
    assert free is True
    assert turns > 10
    assert time.perf_counter() - begun < DEADLINE_SECONDS + 20


def test_a_file_that_is_taken_away(tmp_path: Path) -> None:
    """All ledgers go on with the one that is there then: two files would be two quotas."""
    path = tmp_path / "usage.sqlite"

    async def main() -> list[bool | Reason]:
        one, two = HostUsageLedger(path), HostUsageLedger(path)
        tried = use("a", Allowance(DAY, calls=1))
        found = [await outcome(one, tried), await outcome(two, tried)]
        remove_all(tmp_path)
        found += [await outcome(two, tried), await outcome(one, tried)]
        await one.aclose()
        await two.aclose()
        return found

    assert asyncio.run(main()) == [True, False, True, False]


def test_a_file_that_comes_back(tmp_path: Path) -> None:
    """Moved away, another one in its place that can't be trusted, and back: it counts on where it was."""
    path, away = tmp_path / "usage.sqlite", tmp_path / "away"

    async def main() -> list[bool | Reason]:
        # Nothing is due to be tidied at this time: the thread that tidies would open the wrong
        # file, too, where it comes late, and SQLite throws the log of an empty file away.
        ledger = HostUsageLedger(path, monotonic=lambda: -1.0)
        tried = use("a", Allowance(DAY, calls=2))
        found = [await outcome(ledger, tried)]
        path.rename(away)
        path.touch(0o644)
        path.chmod(0o644)
        found += [await outcome(ledger, tried) for _ in range(2)]
        away.rename(path)
        found += [await outcome(ledger, tried) for _ in range(2)]
        await ledger.aclose()
        return found

    gone = Reason.SECRET_USAGE_UNAVAILABLE
    assert asyncio.run(main()) == [True, gone, gone, True, False]


def test_what_is_over_is_forgotten(tmp_path: Path) -> None:
    """A whole window after its end, and no earlier."""
    path = tmp_path / "usage.sqlite"

    async def main() -> list[int]:
        ledger = HostUsageLedger(path)
        for number in range(50):
            await ledger.take(use(f"{number}", Allowance(60, calls=1)), NOW)
        await ledger.aclose()
        link = host_database.connect_again(path)
        left = []
        for now in (NOW, NOW - NOW % 60 + 119, NOW - NOW % 60 + 120):
            host.tidy(link, now)
            left.append(link.execute("SELECT count(*) FROM counts").fetchone()[0])
        link.close()
        return left

    assert asyncio.run(main()) == [50, 50, 0]


def test_a_file_that_is_full(tmp_path: Path) -> None:
    """Whoever is counted goes on, nobody new may call, and once windows are over there is room again."""

    async def main() -> tuple[list[bool | Reason], bool | Reason]:
        ledger = HostUsageLedger(tmp_path / "usage.sqlite", capacity=600)
        found = [
            await outcome(ledger, use(f"{number}", Allowance(60, calls=2)))
            for number in range(4000)
        ]
        later: bool | Reason = False
        for _ in range(500):
            later = await outcome(ledger, use("later", Allowance(60, calls=2)), NOW + 3 * 60)
            if later is True:
                break
            await asyncio.sleep(0.01)
        await ledger.aclose()
        return found, later

    found, later = asyncio.run(main())
    assert found[0] is True
    assert found[-1] is Reason.SECRET_USAGE_UNAVAILABLE
    assert later is True


def test_a_memory_that_is_full() -> None:
    """As with the file: bounded, and closed to new ones until windows are over."""

    async def main() -> list[bool | Reason]:
        ledger = MemoryUsageLedger(capacity=3)
        tried = [use(name, Allowance(60, calls=2)) for name in "abcd"]
        found = [await outcome(ledger, each) for each in tried]
        found.append(await outcome(ledger, tried[0]))
        found.append(await outcome(ledger, tried[3], NOW + 180))
        return found

    full = Reason.SECRET_USAGE_UNAVAILABLE
    assert asyncio.run(main()) == [True, True, True, full, True, True]


def test_a_closed_file(tmp_path: Path) -> None:
    """Closing twice does nothing, and nobody may call afterwards."""

    async def main() -> bool | Reason:
        ledger = HostUsageLedger(tmp_path / "usage.sqlite")
        await ledger.aclose()
        await ledger.aclose()
        return await outcome(ledger, use())

    assert asyncio.run(main()) is Reason.SECRET_USAGE_UNAVAILABLE


# Valkey.


def test_a_server_that_stalls_or_is_gone() -> None:
    """Nobody may call, within bounded time; when it is back, counts are what they were."""

    async def main() -> list[bool | Reason]:
        with valkey("--appendonly", "yes", "--appendfsync", "always") as server:
            # Longer than a busy machine keeps a good server from its answer.
            ledger = ValkeyUsageLedger(server.url, deadline=2.0)
            tried = use("a", Allowance(DAY, calls=2))
            found = [await outcome(ledger, tried)]
            server.send(signal.SIGSTOP)
            begun = time.perf_counter()
            found.append(await outcome(ledger, tried))
            assert time.perf_counter() - begun < 20
            server.send(signal.SIGCONT)
            server.kill()
            found.append(await outcome(ledger, tried))
            server.start()
            last: bool | Reason = Reason.SECRET_USAGE_UNAVAILABLE
            for _ in range(200):
                last = await outcome(ledger, tried)
                if isinstance(last, bool):
                    break
                await asyncio.sleep(0.02)
            found += [last, await outcome(ledger, tried)]
            await ledger.aclose()
            return found

    found = asyncio.run(main())
    gone = Reason.SECRET_USAGE_UNAVAILABLE
    assert found[:3] == [True, gone, gone]
    # The stalled call may have been counted when the server went on: stricter, never looser.
    assert found[3:] in ([True, False], [False, False])


def test_a_server_that_drops_keys() -> None:
    """A flood could push counts out of it."""

    async def main() -> bool | Reason:
        with valkey("--maxmemory", "10mb", "--maxmemory-policy", "allkeys-lru") as server:
            ledger = ValkeyUsageLedger(server.url)
            found = await outcome(ledger, use())
            await ledger.aclose()
            return found

    assert asyncio.run(main()) is Reason.SECRET_USAGE_UNAVAILABLE


def test_counts_do_not_stay_for_ever() -> None:
    """Each key of an instance has an end."""

    async def main() -> list[int]:
        with valkey() as server:
            ledger = ValkeyUsageLedger(server.url, deadline=20.0)
            await ledger.take(use("a", Allowance(60, calls=2), Allowance(DAY, spend=9)), NOW)
            keys = await ledger._link.run("KEYS", "watchword:usage:{*")
            lives = [await ledger._link.run("TTL", key) for key in keys]
            await ledger.aclose()
            return sorted(lives)

    short, long = asyncio.run(main())
    assert 0 < short <= 180
    assert 2 * DAY < long <= 3 * DAY


def test_no_password_in_a_url() -> None:
    """It would stand in every listing of processes."""
    with pytest.raises(ValueError):
        ValkeyUsageLedger("redis://user:open-sesame@localhost/0")
    assert "user" not in repr(ValkeyUsageLedger("redis://user@localhost/0"))
