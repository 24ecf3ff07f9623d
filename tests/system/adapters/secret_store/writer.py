"""Write secrets as fast as it goes, and tell each that is kept: a process for tests that kill it."""

import asyncio
import sys
from pathlib import Path

from tests.unit.adapters.secret_store.rig import NOW, store_in

from watchword.broker.interface import SecretValue, added, rotated
from watchword.reasons import Reason, RefusedError


def notify(text: str) -> None:
    """Say it to the test at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def write(directory: Path, name: str, least: int) -> None:
    """Rotate one secret until there are so many revisions; without end for 0."""
    # Another process that writes without a pause may keep this one waiting on a slow disk.
    store = store_in(directory, lock_seconds=60.0)
    while True:
        stored = await store.read(name)
        revision = 0 if stored is None else stored.revision
        if least and revision >= least:
            return
        value = SecretValue(f"value-{revision + 1:06}-" + "x" * 2000)
        record = (
            added(name, value, NOW) if stored is None else rotated(stored.record, value, 60, NOW)
        )
        try:
            new = await store.write(record, None if stored is None else stored.revision)
        except RefusedError as error:
            if error.reason is not Reason.SECRET_CONFLICT:
                raise
            notify("conflict")
        else:
            notify(str(new))
        if not least:
            # Others that write beside this one come to their turn.
            await asyncio.sleep(0.01)


if __name__ == "__main__":
    asyncio.run(write(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
