"""Race for calls in processes of their own."""

import asyncio
from contextlib import suppress
from pathlib import Path

from watchword.adapters.usage import HostUsageLedger
from watchword.broker.interface import Allowance, Use
from watchword.reasons import UnavailableError

NOW = 1_795_500_000.0


def use(who: str = "one", *allowances: Allowance, secret: str = "maps", **changes: int) -> Use:
    """Return a call of an instance; without allowances named, at most 100 calls in a day."""
    return Use(
        secret,
        changes.get("version", 1),
        who,
        changes.get("cost", 1),
        allowances or (Allowance(86400, calls=100),),
    )


def take_many(path: str, count: int) -> int:
    """Try so many calls of one instance in this process; return how many passed."""

    async def main() -> int:
        ledger = HostUsageLedger(Path(path))
        passed = sum([await _passes(ledger) for _ in range(count)])
        await ledger.aclose()
        return passed

    return asyncio.run(main())


async def _passes(ledger: HostUsageLedger) -> bool:
    """Tell whether a call passes; on a busy machine the other process may hold this one up for too long at first."""
    for _ in range(20):
        with suppress(UnavailableError):
            return await ledger.take(use(), NOW) is None
    raise AssertionError("never counted")
