"""Enrol at once all phones whose requests arrive on stdin; say what became of each.

Called with a database.  Several of these processes share it, as those of a race test do.
"""

import asyncio
import sys
from pathlib import Path

from tests.system.endurance.enrolling_process import say, unpacked
from tests.system.enrolment.test_velocity import enrolment_on
from tests.unit.enrolment.simulators import NOW

from watchword.adapters.sqlite import SqliteStore
from watchword.enrolment.interface import EnrolmentRequest
from watchword.enrolment.service import Enrolment
from watchword.reasons import RefusedError


async def outcome(enrolment: Enrolment, request: EnrolmentRequest) -> str:
    """Return the level that it enrolled with, or why it didn't."""
    try:
        return (await enrolment.enrol(request, NOW)).instance.level.value
    except RefusedError as error:
        return error.reason.code


async def main() -> None:
    """Wait for all requests, then send them in one go."""
    store = SqliteStore(Path(sys.argv[1]))
    enrolment = enrolment_on(store)
    say("ready")
    requests = [unpacked(line.strip()) for line in sys.stdin]
    for each in await asyncio.gather(*(outcome(enrolment, request) for request in requests)):
        say(each)
    store.close()


if __name__ == "__main__":
    asyncio.run(main())
