"""Open a store, migrate it if it is old, and revoke by a list, in a process that a test kills."""

import asyncio
import sys
from pathlib import Path

from tests.unit.enrolment.simulators import NOW

from watchword.adapters.revocation import load_status_lists
from watchword.adapters.sqlite import SqliteStore
from watchword.enrolment.evidence import Rejudgement


def main() -> None:
    """Run as told by the arguments: a database and a list."""
    sys.stdout.write("begin\n")
    sys.stdout.flush()
    store = SqliteStore(Path(sys.argv[1]))
    sys.stdout.write("open\n")
    sys.stdout.flush()
    sweep = Rejudgement(store, load_status_lists([Path(sys.argv[2])])).sweep(NOW)
    sys.stdout.write(f"{asyncio.run(sweep)}\n")
    store.close()


if __name__ == "__main__":
    main()
