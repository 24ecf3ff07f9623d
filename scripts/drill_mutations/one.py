"""Drill the demo's deployment by whatever source is on the path, and print each attack's verdict as JSON.

Ids of attacks as arguments choose some.
"""

import asyncio
import logging
import sys
import tempfile
from pathlib import Path

import structlog
from scripts.drill_mutations.mutation import notify

from watchword.apps.demo.stage import Stage
from watchword.apps.demo.steps import drilled
from watchword.drill.judgements import Report
from watchword.drill.registry import ATTACKS
from watchword.vocabulary import Mode


async def main() -> None:
    """Run the drill once, in mode ``enforce``."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with tempfile.TemporaryDirectory(prefix="watchword-drill-") as directory:
        stage = Stage.in_directory(Path(directory))
        try:
            await stage.set_up()
            await stage.deploy(Mode.ENFORCE)
            chosen = [ATTACKS[name] for name in sys.argv[1:] or ATTACKS]
            report: Report = await asyncio.to_thread(drilled, stage, attacks=chosen)
        finally:
            await stage.tear_down()
    notify(report)


if __name__ == "__main__":
    asyncio.run(main())
