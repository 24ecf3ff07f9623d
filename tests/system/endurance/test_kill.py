"""Kill an enrolling process again and again: nothing acknowledged is lost, nothing is half done."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

from tests.system.endurance.enrolling_process import enrol_once, enrolment_on, unpacked

from watchword.adapters.sqlite import SqliteStore

ROOT = Path(__file__).parents[3]
ROUNDS = 50


def start(path: Path, mode: str) -> subprocess.Popen[str]:
    """Start an enrolling process on a database."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.system.endurance.enrolling_process", str(path), mode],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def acknowledged_until_killed(process: subprocess.Popen[str], lines: int) -> list[list[str]]:
    """Return what a process acknowledged until it was killed, some time after some lines."""
    assert process.stdout is not None
    seen = [process.stdout.readline() for _ in range(lines)]
    process.send_signal(signal.SIGKILL)
    seen += process.stdout.readlines()
    process.communicate()
    # A last line without its end was cut by the kill: it isn't acknowledged as a whole.
    return [line.split() for line in seen if line.endswith("\n")]


def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    """After each of 50 kills every acknowledged instance is there and its challenge is used up."""
    path = tmp_path / "watchword.db"
    SqliteStore(path).close()
    acknowledged: dict[str, str] = {}
    # The next process starts while the last one dies, as a supervisor would restart it; this
    # also keeps the interpreter's start out of the measured rounds.
    process = start(path, "forever")
    for number in range(ROUNDS):
        following = start(path, "forever")
        lines = acknowledged_until_killed(process, 1 + number * 7 % 24)
        process = following
        acknowledged |= dict(lines)
        store = SqliteStore(path)
        found = {each.id for each in asyncio.run(store.list_instances(1_000_000))}
        assert acknowledged.keys() <= found
        enrolment = enrolment_on(store)
        for _, request in lines[-3:]:
            assert asyncio.run(enrol_once(enrolment, unpacked(request))) == "challenge.used"
        store.close()
    process.kill()
    process.communicate()
    assert len(acknowledged) >= ROUNDS
    # At the end every challenge of every round is tried once more.
    store = SqliteStore(path)
    enrolment = enrolment_on(store)
    reasons = {asyncio.run(enrol_once(enrolment, unpacked(r))) for r in acknowledged.values()}
    assert reasons == {"challenge.used"}
    store.close()
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    counts = [
        connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table in ("instances", "used_challenges", "audit")
    ]
    connection.close()
    # Each transaction is whole: as many instances as challenges as audit entries.
    assert len(set(counts)) == 1
