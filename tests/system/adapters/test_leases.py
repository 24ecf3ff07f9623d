"""Kill a process that delivers a secret: of the lease nothing is left."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.machine import patience
from tests.store_contract.entries import audit, instance, run, use
from tests.store_contract.leases import counts, delivered, lease

from watchword.adapters.sqlite import SqliteStore

ROOT = Path(__file__).parents[3]
KILLED = """
import os, signal, sys
from pathlib import Path
from tests.store_contract.entries import run, use
from tests.store_contract.leases import lease
from watchword.adapters.sqlite import SqliteStore

def audit(kept):
    # Called when the lease is written, and the transaction isn't committed.
    os.kill(os.getpid(), signal.SIGKILL)

store = SqliteStore(Path(sys.argv[1]))
run(lambda: store.deliver(use(b"killed"), lease("killed"), 9, audit))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the place of a database."""
    return tmp_path / "watchword.db"


def test_killed_in_the_middle_nothing_was_done(path: Path) -> None:
    """A process that dies within the transaction leaves neither lease nor used challenge nor counter."""
    before = SqliteStore(path)
    run(lambda: before.enrol(use(), instance(), audit()))
    before.close()
    done = subprocess.run(
        [sys.executable, "-c", KILLED, path], cwd=ROOT, timeout=patience(60), check=False
    )
    assert done.returncode == -9
    after = SqliteStore(path)
    assert counts(after) == []
    assert delivered(after, "killed", lease(), 9) == lease()
    after.close()
