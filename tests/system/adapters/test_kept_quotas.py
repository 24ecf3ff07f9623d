"""Counts of quotas outlive a gate, and its processes share them."""

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from watchword.adapters.kept_quotas import QuotaFile
from watchword.adapters.keyring.private_file import PrivateFileError
from watchword.gate.limits import QuotaCounter, QuotaWindow

NOW = 1_795_500_000
DAY = 86_400
TODAY = QuotaWindow("bookings", DAY, NOW // DAY)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where counts are kept."""
    tmp_path.chmod(0o700)
    return tmp_path / "clinic.quotas"


def kept(path: Path, now: float = NOW) -> QuotaFile:
    """Return a keeper that writes when it is closed, and not before."""
    return QuotaFile(path, timestamp=lambda: now, seconds=3600)


def spend(path: Path, count: int, who: str = "a", now: float = NOW, most: int = 20) -> int:
    """Count so many requests in a process that ends; return how many had room."""
    keeper = kept(path, now)
    counter = QuotaCounter("bookings", most, DAY, keeper=keeper)
    passed = sum(counter.take(who, now) == 0.0 for _ in range(count))
    keeper.close()
    return passed


def written(path: Path) -> int:
    """Return what a process that is writing has written; 0 while it makes its file."""
    with suppress(PrivateFileError):
        return kept(path).counts(TODAY).get("a", 0)
    return 0


def test_a_restart_gives_no_new_quota(path: Path) -> None:
    """What one process counted the next one has, each instance by itself, until the window ends."""
    assert [spend(path, 12), spend(path, 12), spend(path, 12)] == [12, 8, 0]
    assert spend(path, 3, "b") == 3
    assert spend(path, 30, now=NOW + DAY) == 20
    assert path.stat().st_mode & 0o777 == 0o600


def test_processes_that_run_at_once_add_up(path: Path) -> None:
    """Each hears of the other's counts when it writes its own; neither lowers what it had."""
    first, second = kept(path), kept(path)
    one = QuotaCounter("bookings", 20, DAY, keeper=first)
    two = QuotaCounter("bookings", 20, DAY, keeper=second)
    assert [one.take("a", NOW) for _ in range(9)] == [0.0] * 9
    assert [two.take("a", NOW) for _ in range(8)] == [0.0] * 8
    first.close()
    assert dict(first.counts(TODAY)) == {"a": 9}
    second.close()
    assert dict(second.counts(TODAY)) == {"a": 17}
    assert sum(two.take("a", NOW) == 0.0 for _ in range(9)) == 3


def test_what_is_counted_while_the_file_is_written_is_not_taken_back(path: Path) -> None:
    """The file knows less than memory then, until the next second."""
    keeper = kept(path)
    counter = QuotaCounter("bookings", 20, DAY, keeper=keeper)
    assert counter.take("a", NOW) == 0.0
    # As if five more had come between the reading of what to write and its end.
    keeper.counts(TODAY)["a"] += 5
    keeper.close()
    assert dict(keeper.counts(TODAY)) == {"a": 6}


def test_counters_of_one_process_share_their_counts_at_once(path: Path) -> None:
    """A gate that was made twice doesn't give twice."""
    keeper = kept(path)
    one, two = (QuotaCounter("bookings", 3, DAY, keeper=keeper) for _ in range(2))
    assert [counter.take("a", NOW) == 0.0 for counter in (one, two, one, two)] == [
        True,
        True,
        True,
        False,
    ]
    keeper.close()


def test_windows_that_ended_are_forgotten(path: Path) -> None:
    """An hour later, for clocks that are set back; the file doesn't grow for ever."""
    for day in range(5):
        spend(path, 5, now=NOW + day * DAY)
    keeper = kept(path)
    assert dict(keeper.counts(TODAY)) == {}
    assert dict(keeper.counts(TODAY._replace(number=TODAY.number + 4))) == {"a": 5}


def test_a_window_of_another_length_or_name_is_another_one(path: Path) -> None:
    """Whoever changes a limit's window begins anew."""
    spend(path, 5)
    keeper = kept(path)
    assert dict(keeper.counts(QuotaWindow("bookings", 3600, NOW // 3600))) == {}
    assert dict(keeper.counts(TODAY._replace(quota="other"))) == {}


def test_a_process_that_is_killed_loses_a_second_at_most(path: Path) -> None:
    """What was written stays, whole; the next process goes on from there."""
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from watchword.adapters.kept_quotas import QuotaFile\n"
        "from watchword.gate.limits import QuotaCounter\n"
        f"keeper = QuotaFile(Path(sys.argv[1]), timestamp=lambda: {NOW}, seconds=0.01)\n"
        f"counter = QuotaCounter('bookings', 10**9, {DAY}, keeper=keeper)\n"
        "while True:\n"
        f"    counter.take('a', {NOW})\n"
        "    print(counter._window.counts['a'], flush=True)\n"
        "    time.sleep(0.001)\n"
    )
    total = 0
    for _ in range(3):
        running = subprocess.Popen(
            [sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert running.stdout is not None
        seen = [int(running.stdout.readline()) for _ in range(300)]
        # A slow disk takes its time: it is killed once something that it counted was written.
        while written(path) <= total:
            seen += [int(running.stdout.readline()) for _ in range(50)]
        os.kill(running.pid, signal.SIGKILL)
        rest = running.stdout.read().splitlines()
        running.wait()
        running.stdout.close()
        assert seen[0] >= total
        total = kept(path).counts(TODAY).get("a", 0)
        # Never more was written than was counted.
        assert total <= max([*seen, *(int(line) for line in rest if line.isdigit())]) + 1


def test_a_damaged_file_is_for_an_operator(path: Path) -> None:
    """A gate that started all the same would give everybody a new quota."""
    path.write_bytes(b"not a database, but longer than a header of one" * 100)
    path.chmod(0o600)
    with pytest.raises(PrivateFileError, match=r"clinic\.quotas"):
        kept(path)


def test_a_file_of_something_else_is_damage_too(path: Path) -> None:
    """Its tables aren't ours."""
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE other (x)")
    path.chmod(0o600)
    with pytest.raises(PrivateFileError, match=r"clinic\.quotas"):
        kept(path)


def test_a_disk_that_refuses_loses_no_count(path: Path) -> None:
    """Requests go on, and what wasn't written is written when it can be."""
    keeper = kept(path)
    counter = QuotaCounter("bookings", 20, DAY, keeper=keeper)
    path.mkdir()
    assert [counter.take("a", NOW) for _ in range(3)] == [0.0] * 3
    keeper._write()
    path.rmdir()
    keeper.close()
    assert dict(kept(path).counts(TODAY)) == {"a": 3}
