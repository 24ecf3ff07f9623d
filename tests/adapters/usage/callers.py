"""Race for calls in processes of their own."""

import asyncio
from pathlib import Path

from watchword.adapters.usage import HostUsageLedger
from watchword.broker.interface import Allowance, Use

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
        found = [await ledger.take(use(), NOW) for _ in range(count)]
        await ledger.aclose()
        return found.count(None)

    return asyncio.run(main())
