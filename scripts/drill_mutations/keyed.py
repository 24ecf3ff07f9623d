"""Drill a deployment that injects and delivers keys by whatever source is on the path, and print each attack's verdict as JSON.

Ids of attacks as arguments choose some.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from scripts.drill_mutations.mutation import notify
from tests.unit.apps.drill.keys_stage import (
    ABOUT_KEYS,
    WITH_OWN_CHIP,
    add_values,
    keys_stage,
)


async def main() -> None:
    """Run the attacks on keys once, at a third party that tells what it was asked."""
    with tempfile.TemporaryDirectory(prefix="watchword-drill-") as directory:
        async with keys_stage(Path(directory)) as stage:
            stage.third.talkative = True
            await asyncio.to_thread(add_values, stage.settings.service.operator_socket)
            report = await asyncio.to_thread(
                stage.drilled, sys.argv[1:] or (*ABOUT_KEYS, WITH_OWN_CHIP)
            )
    notify(report)


if __name__ == "__main__":
    asyncio.run(main())
