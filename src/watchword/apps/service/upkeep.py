"""Carry out what runs beside the requests: one task for each kind of work, none of which ends another."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from watchword.reasons import WatchwordError

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Chore:
    """Hold one kind of work: what is done in each round, and the pause after it, in seconds."""

    name: str
    pause: float
    work: Callable[[], Awaitable[object]]


@dataclass(slots=True)
class Upkeep:
    """Run chores until they are stopped; a bad round is told and doesn't end the later ones."""

    chores: Sequence[Chore]
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self) -> None:
        """Start each chore, with a pause before its first round."""
        self._tasks = [asyncio.create_task(_run(chore)) for chore in self.chores]

    async def stop(self) -> None:
        """End all chores, wherever they are; what was committed stays."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


async def carry_out(chore: Chore) -> str:
    """Do one round of a chore; return what went wrong, empty where nothing did."""
    try:
        await chore.work()
    except WatchwordError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - one bad round must not end all later ones.
        return type(error).__name__
    return ""


async def _run(chore: Chore) -> None:
    noted = ""
    while True:
        await asyncio.sleep(chore.pause)
        trouble = await carry_out(chore)
        if trouble != noted:
            # Told when it changes: the same line each second would hide all others.
            noted = trouble
            event = f"{chore.name} failed" if trouble else f"{chore.name} works again"
            _log.warning(event, detail=trouble)
