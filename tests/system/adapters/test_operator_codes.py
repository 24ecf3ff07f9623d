"""Kill a process that uses an operator code: it stays unused."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.machine import patience
from tests.store_contract.codes import code, invited
from tests.store_contract.entries import audit, run, use

from watchword.adapters.sqlite import SqliteStore

ROOT = Path(__file__).parents[3]
KILLED = """
import asyncio, os, signal, sys
from dataclasses import replace
from pathlib import Path
from tests.store_contract.entries import audit, instance, use
from watchword.adapters.sqlite import SqliteStore
from tests.unit.enrolment.simulators import NOW

class Deadly:
    def __str__(self):
        # Asked for while the last row of the transaction is written.
        os.kill(os.getpid(), signal.SIGKILL)

store = SqliteStore(Path(sys.argv[1]))
entry = replace(audit(), detail={"x": Deadly()})
asyncio.run(store.enrol_by_code("code", use(), replace(instance(), enrolled_at=NOW), entry))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the place of a database."""
    return tmp_path / "watchword.db"


def test_killed_in_the_middle_nothing_was_done(path: Path) -> None:
    """A process that dies within the transaction leaves code, challenge and key unused."""
    before = SqliteStore(path)
    run(lambda: before.add_code(code(), audit()))
    before.close()
    done = subprocess.run(
        [sys.executable, "-c", KILLED, path], cwd=ROOT, timeout=patience(60), check=False
    )
    assert done.returncode == -9
    after = SqliteStore(path)
    assert run(lambda: after.find_code("code")) == code()
    assert run(lambda: after.list_instances(9)) == []
    run(lambda: after.enrol_by_code("code", use(), invited(), audit()))
    after.close()
