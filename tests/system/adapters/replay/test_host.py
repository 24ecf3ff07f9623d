"""Show how the file of used proofs holds against jumps of the clock, damage, forks and other processes."""

import asyncio
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchword.adapters import host_database
from watchword.adapters.host_database import CALLS
from watchword.adapters.replay import HostReplayStore, host
from watchword.adapters.replay.host import DEADLINE_SECONDS
from watchword.adapters.system import SystemClock
from watchword.gate.interface import ReplayClaim
from watchword.gate.replay import BUCKET_SECONDS, window
from watchword.reasons import Reason, UnavailableError

clock = SystemClock().timestamp

NOW = 1_790_000_000
LEAP = 400 * 24 * 3600


def claim(number: int, until: float = NOW + 90) -> ReplayClaim:
    """Return the claim of a proof of :data:`NOW`, unless told otherwise."""
    return ReplayClaim(number.to_bytes(16, "big"), until)


def store(path: Path, capacity: int = 1_000_000) -> HostReplayStore:
    """Return a store whose file was made long before :data:`NOW`."""
    return HostReplayStore(path, capacity=capacity, timestamp=lambda: NOW - 10_000.0)


def tidy(path: Path, now: float) -> None:
    """Tidy as the store's thread does."""
    with closing(host_database.connect_again(path)) as link:
        host.tidy(link, now, window(30))


def rows(path: Path) -> int:
    """Return how many claims the file holds."""
    with closing(sqlite3.connect(path)) as link:
        (count,) = link.execute("SELECT count(*) FROM claims").fetchone()
    return int(count)


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.integers(0, 5),
            st.integers(-30, 90),
            st.sampled_from((0, 1, 31, 33, 61, 91, 400, -40, -95, LEAP, -LEAP)),
            st.booleans(),
        ),
        max_size=25,
    )
)
def test_no_claim_ever_passes_twice(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int, int, bool]]
) -> None:
    """Whatever the clock does, and whenever the file is tidied."""
    path = tmp_path_factory.mktemp("jumps") / "used.sqlite"
    used = store(path)
    now = NOW
    passed: set[ReplayClaim] = set()
    for number, age, jump, tidies in steps:
        now = max(now + jump, 0)
        for tried in (claim(number, now - age + 90), *sorted(passed)):
            if used.claim_now(tried, now):
                assert tried not in passed
                passed.add(tried)
        if tidies:
            tidy(path, now)
    used.close_now()


def test_expiry_gives_room_back_and_remembers_what_it_forgot(tmp_path: Path) -> None:
    """Rows go; their time stays closed when the clock goes back."""
    path = tmp_path / "used.sqlite"
    used = store(path)
    many = host.BATCH + 10
    assert all(used.claim_now(claim(number), NOW) for number in range(many))
    tidy(path, NOW + 90 + BUCKET_SECONDS)
    assert rows(path) == 0
    assert not used.claim_now(claim(1), NOW)
    assert used.claim_now(claim(1, NOW + 400), NOW + 310)
    used.close_now()


def test_what_a_clock_ahead_left_is_given_back(tmp_path: Path) -> None:
    """Rows of next year go when the clock is back, and don't pass next year."""
    path = tmp_path / "used.sqlite"
    used = store(path)
    assert used.claim_now(claim(1, NOW + LEAP + 90), NOW + LEAP)
    tidy(path, NOW)
    assert rows(path) == 0
    assert used.claim_now(claim(2), NOW)
    assert not used.claim_now(claim(1, NOW + LEAP + 90), NOW + LEAP)
    used.close_now()


def test_it_tidies_by_itself(tmp_path: Path) -> None:
    """Half a day of claims leaves a few minutes of them."""
    path = tmp_path / "used.sqlite"
    used = store(path)
    for second in range(0, 12 * 3600, 4):
        assert used.claim_now(claim(second, NOW + second + 90), NOW + second)
        if second % 200 == 0:
            # The thread would have a day for what this loop does in a second.
            used._tidying.wait()
    used._tidying.wait()
    assert rows(path) < CALLS + 100
    used.close_now()


def test_a_thread_that_is_behind_forgets_nothing_of_today(tmp_path: Path) -> None:
    """It works with the time of a moment ago, while claims are made ahead of that."""
    path = tmp_path / "used.sqlite"
    used = store(path)
    assert used.claim_now(claim(1, NOW + 120), NOW)
    tidy(path, NOW - 60)
    assert rows(path) == 1
    assert used.claim_now(claim(2, NOW + 120), NOW)
    used.close_now()


def test_a_full_file_refuses_and_recovers(tmp_path: Path) -> None:
    """New claims are refused, no old one is dropped; once they are stale there is room."""
    path = tmp_path / "used.sqlite"
    used = store(path, capacity=2000)

    def fill() -> None:
        for number in range(10_000):
            used.claim_now(claim(number), NOW)

    with pytest.raises(UnavailableError) as caught:
        fill()
    assert caught.value.reason is Reason.GATE_REPLAY_FULL
    assert not used.claim_now(claim(0), NOW)
    later = NOW + 200
    tidy(path, later)
    assert used.claim_now(claim(1, later + 90), later)
    used.close_now()


def test_a_new_file_refuses_proofs_that_are_older(tmp_path: Path) -> None:
    """They may have passed by the file that was there before."""
    used = HostReplayStore(tmp_path / "used.sqlite", timestamp=lambda: NOW + 0.7)
    assert not used.claim_now(claim(1, NOW + 89), NOW + 1)
    assert used.claim_now(claim(2, NOW + 90), NOW + 1)
    used.close_now()


def test_after_the_machine_started_again_it_closes_for_a_while(tmp_path: Path) -> None:
    """A loss of power may have taken claims: what could have been accepted by then is refused."""
    path = tmp_path / "used.sqlite"
    used = store(path)
    assert used.claim_now(claim(1), NOW)
    used.close_now()
    with closing(sqlite3.connect(path)) as link, link:
        link.execute("UPDATE boot SET id = 'an earlier start'")
        link.execute("DELETE FROM claims")
    again = HostReplayStore(path, timestamp=lambda: float(NOW + 5))
    assert not again.claim_now(claim(1), NOW + 5)
    assert not again.claim_now(claim(2, NOW + 5 + 119), NOW + 6)
    assert again.claim_now(claim(3, NOW + 5 + 120), NOW + 6)
    again.close_now()


def test_a_killed_process_changes_nothing(tmp_path: Path) -> None:
    """Opened anew under the same start of the machine, every claim is still there."""
    path = tmp_path / "used.sqlite"
    used = store(path)
    assert used.claim_now(claim(1), NOW)
    again = store(path)
    assert not again.claim_now(claim(1), NOW)
    assert again.claim_now(claim(2), NOW)
    used.close_now()
    again.close_now()


def test_the_file_is_private(tmp_path: Path) -> None:
    """It and its companions have mode 0600, and one with another mode isn't used."""
    path = tmp_path / "used.sqlite"
    used = store(path)
    used.claim_now(claim(1), NOW)
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}
    used.close_now()
    path.chmod(0o644)
    with pytest.raises(UnavailableError, match="0600") as caught:
        store(path)
    assert caught.value.reason is Reason.GATE_REPLAY_UNAVAILABLE


@pytest.mark.parametrize(
    "content", [b"not a database at all" * 300, b"SQLite format 3\0" + b"x" * 9000]
)
def test_a_damaged_file_closes_and_says_what_to_do(tmp_path: Path, content: bytes) -> None:
    """It isn't replaced: only a person may decide that."""
    path = tmp_path / "used.sqlite"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(UnavailableError, match="move the file") as caught:
        store(path)
    assert caught.value.reason is Reason.GATE_REPLAY_UNAVAILABLE
    assert path.read_bytes() == content


def test_damage_while_it_runs_closes(tmp_path: Path) -> None:
    """Claims are refused with the reason, never an exception of another kind."""
    path = tmp_path / "used.sqlite"
    used = store(path)
    assert all(used.claim_now(claim(number), NOW) for number in range(3000))
    with closing(sqlite3.connect(path)) as link:
        link.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\x5a" * (path.stat().st_size - 4096))
    fresh = store_or_error(path)
    assert fresh is Reason.GATE_REPLAY_UNAVAILABLE
    used.close_now()


def store_or_error(path: Path) -> Reason | None:
    """Return with what reason opening or claiming fails, None if it doesn't."""
    try:
        opened = store(path)
    except UnavailableError as error:
        return error.reason
    try:
        for number in range(5000, 5100):
            opened.claim_now(claim(number), NOW)
    except UnavailableError as error:
        return error.reason
    finally:
        opened.close_now()
    return None


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    """Nothing is made in it."""
    path = tmp_path / "used.sqlite"
    with closing(sqlite3.connect(path)) as link:
        link.execute("CREATE TABLE other (x)")
    path.chmod(0o600)
    with pytest.raises(UnavailableError) as caught:
        store(path)
    assert caught.value.reason is Reason.GATE_REPLAY_UNAVAILABLE


def test_a_removed_file_closes_and_a_new_one_is_followed(tmp_path: Path) -> None:
    """Two files would let each proof pass twice; the new one refuses what the old may have seen."""
    path = tmp_path / "used.sqlite"
    used = HostReplayStore(path)
    now = clock()
    first = claim(1, int(now) + 90)
    assert used.claim_now(first, now)
    for file in tmp_path.iterdir():
        file.unlink()
    with pytest.raises(UnavailableError) as caught:
        used.claim_now(claim(2, int(now) + 90), now)
    assert caught.value.reason is Reason.GATE_REPLAY_UNAVAILABLE
    time.sleep(1.0)
    other = HostReplayStore(path)
    later = clock()
    assert not other.claim_now(first, later)
    assert not used.claim_now(first, later)
    second = claim(3, int(later) + 91)
    assert used.claim_now(second, later)
    assert not other.claim_now(second, later)
    used.close_now()
    other.close_now()


def test_a_busy_file_refuses_in_time_and_doesnt_hold_the_loop(tmp_path: Path) -> None:
    """While another process writes, others have their turns; and it recovers at once."""
    path = tmp_path / "used.sqlite"
    used = store(path)

    async def main() -> None:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0.001)
                turns += 1

        counter = asyncio.create_task(count())
        with closing(sqlite3.connect(path, isolation_level=None)) as link:
            link.execute("BEGIN IMMEDIATE")
            begun = time.perf_counter()
            with pytest.raises(UnavailableError) as caught:
                await used.claim(claim(1), NOW)
            assert caught.value.reason is Reason.GATE_REPLAY_UNAVAILABLE
            assert DEADLINE_SECONDS <= time.perf_counter() - begun < DEADLINE_SECONDS + 0.4
            assert turns > 5
            begun = time.perf_counter()
            with pytest.raises(UnavailableError):
                used.claim_now(claim(1), NOW)
            assert time.perf_counter() - begun < DEADLINE_SECONDS + 0.4
            link.execute("ROLLBACK")
        assert await used.claim(claim(1), NOW)
        counter.cancel()
        await used.close()

    asyncio.run(main())


def test_a_forked_child_goes_on(tmp_path: Path) -> None:
    """A server that forks its workers after opening: both share what was used."""
    path = tmp_path / "used.sqlite"
    used = store(path)
    assert used.claim_now(claim(1), NOW)
    used._tidying.wait()
    child = os.fork()
    if child == 0:
        ok = not used.claim_now(claim(1), NOW) and used.claim_now(claim(2), NOW)
        os._exit(0 if ok else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert not used.claim_now(claim(2), NOW)
    assert used.claim_now(claim(3), NOW)
    used.close_now()


def test_a_closed_store_refuses(tmp_path: Path) -> None:
    """A request that comes while the gate goes down doesn't pass."""
    used = store(tmp_path / "used.sqlite")
    used.close_now()
    used.close_now()
    with pytest.raises(UnavailableError) as caught:
        used.claim_now(claim(1), NOW)
    assert caught.value.reason is Reason.GATE_REPLAY_UNAVAILABLE


def test_many_threads_of_one_process(tmp_path: Path) -> None:
    """Eight threads claim the same 300 proofs: each is won once."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

    used = store(tmp_path / "used.sqlite")
    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(used.claim_now, claim(n), NOW) for n in range(300) for _ in range(8)]
        assert sum(job.result() for job in jobs) == 300
    used.close_now()
