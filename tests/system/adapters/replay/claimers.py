"""Claim the same proofs as other processes do at the same moments; print the rounds that were won.

Run as ``python -m tests.system.adapters.replay.claimers KIND WHERE START ROUNDS TASKS``.
"""

import asyncio
import os
import sys
from pathlib import Path

from watchword.adapters.replay import HostReplayStore
from watchword.adapters.replay.valkey import ValkeyReplayStore
from watchword.adapters.system import SystemClock
from watchword.gate.interface import ReplayClaim
from watchword.gate.replay import window
from watchword.reasons import UnavailableError

clock = SystemClock().timestamp

LEEWAY = 30
ROUND_SECONDS = 0.006


def claim_of_round(number: int, start: float) -> ReplayClaim:
    """Return the claim that everybody makes in one round."""
    until = int(start + number * ROUND_SECONDS) + window(LEEWAY) - 1
    return ReplayClaim(number.to_bytes(16, "big"), until)


async def main(kind: str, where: str, start: float, rounds: int, tasks: int) -> None:
    """Claim in each round with several tasks."""
    store: HostReplayStore | ValkeyReplayStore
    if kind == "host":
        store = HostReplayStore(Path(where), leeway=LEEWAY)
    else:
        store = ValkeyReplayStore(where, "race", leeway=LEEWAY, deadline=2.0)

    async def one(number: int) -> None:
        claim = claim_of_round(number, start)
        try:
            if await store.claim(claim, clock()):
                # At once, so that a killed process has told all that it won but one.
                os.write(1, b"%d\n" % number)
        except UnavailableError as error:
            os.write(2, f"{number}: {error}\n".encode())

    for number in range(rounds):
        await asyncio.sleep(max(0.0, start + number * ROUND_SECONDS - clock()))
        await asyncio.gather(*(one(number) for _ in range(tasks)))
    await store.close()


if __name__ == "__main__":
    asyncio.run(
        main(sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
    )
