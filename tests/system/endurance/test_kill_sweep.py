"""Kill processes while they revoke: the next one finds all and ends the work."""

import asyncio
import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

from tests.store_contract.entries import instance

from watchword.adapters.sqlite import SqliteStore
from watchword.adapters.store import INSTANCE_COLUMNS, certificate_rows, instance_row
from watchword.enrolment.evidence import BECAUSE

ROOT = Path(__file__).parents[3]
INSTANCES = 2000
ROUNDS = 12


def start(database: Path, status_list: Path) -> subprocess.Popen[str]:
    """Start a process that opens the store and sweeps."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.system.endurance.sweeping_process", database, status_list],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


def killed(process: subprocess.Popen[str], line: str, seconds: float) -> None:
    """Kill a process some time after it said a line."""
    assert process.stdout is not None
    while process.stdout.readline().strip() != line:
        assert process.poll() is None
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def enrolled(path: Path) -> None:
    """Make a store with instances, each with a certificate of its own."""
    SqliteStore(path).close()
    base = instance()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("BEGIN")
    for number in range(INSTANCES):
        made = replace(
            base,
            id=f"instance-{number}",
            attested_key=number.to_bytes(4, "big"),
            serials=("1", f"a{number:x}"),
        )
        row = instance_row(made)
        marks = ", ".join("?" * len(row))
        connection.execute(f"INSERT INTO instances ({INSTANCE_COLUMNS}) VALUES ({marks})", row)
        connection.executemany(
            "INSERT INTO instance_certificates VALUES (?, ?, ?)", certificate_rows(made)
        )
    connection.execute("COMMIT")
    connection.close()


def test_killed_sweeps_are_ended_by_the_next(tmp_path: Path) -> None:
    """Whatever a killed sweep left undone is done by the next, and nothing is done twice."""
    database, status_list = tmp_path / "watchword.db", tmp_path / "status.json"
    enrolled(database)
    serials = [f"a{number:x}" for number in range(0, INSTANCES, 2)]
    rows = {each: {"status": "REVOKED"} for each in serials}
    status_list.write_text(json.dumps({"entries": rows}))
    partly = 0
    for number in range(ROUNDS):
        killed(start(database, status_list), "open", 0.004 * number)
        connection = sqlite3.connect(database)
        (count,) = connection.execute(
            "SELECT count(*) FROM instances WHERE revoked_at IS NOT NULL"
        ).fetchone()
        audited = connection.execute("SELECT count(*) FROM audit").fetchone()
        assert audited == (count,)
        connection.close()
        partly += 0 < count < len(serials)
    with start(database, status_list) as last:
        assert last.communicate()[0].split()[:2] == ["begin", "open"]
    assert partly > 0
    store = SqliteStore(database)
    found = asyncio.run(store.list_instances(INSTANCES))
    assert Counter(each.revoked_because for each in found) == {
        BECAUSE: INSTANCES // 2,
        None: INSTANCES // 2,
    }
    entries = asyncio.run(store.audit_entries(INSTANCES))
    assert len(entries) == len({entry.subject for entry in entries}) == INSTANCES // 2
    store.close()
