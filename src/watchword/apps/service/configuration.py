"""Put another configuration in force while the service runs.

A change is read and compared, recorded, made durable, taken over by this process, and told to the gates, in this order: a
process that is killed in between has either changed nothing, or starts with the new file.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

from watchword.adapters.applied_files import AppliedFile
from watchword.apps.compose.applied import ConfigurationDesk, Proposal
from watchword.apps.settings.schema import Settings
from watchword.reasons import Reason, RefusedError, UnavailableError, WatchwordError

Install = Callable[[Settings], Awaitable[None]]
"""Have this process go by other settings; what it needs was read before."""


class LiveConfiguration:
    """Put files in force, one at a time."""

    def __init__(self, desk: ConfigurationDesk, install: Install) -> None:
        """Keep the parts; nothing changes yet."""
        self.desk = desk
        self.turn = asyncio.Lock()
        self._install = install

    async def proposed(self, *, back: bool = False) -> Proposal:
        """Return what may come into force: the file as it stands, or what was in force before.

        :raises RefusedError: ``configuration.faulty``.
        """
        read = self.desk.propose_back if back else self.desk.propose
        try:
            return await asyncio.to_thread(read)
        except (RefusedError, UnavailableError):
            raise
        except WatchwordError as error:
            raise RefusedError.because(Reason.CONFIGURATION_FAULTY, str(error)) from None

    async def put_in_force(
        self, proposal: Proposal, base: int, at: datetime, by: str, because: str, *, recorded: bool
    ) -> AppliedFile:
        """Make a proposal durable, and have this process go by it.

        :raises RefusedError: ``configuration.conflict``, or ``configuration.faulty`` where a file that it names became unusable
            in this moment: it is for the next start then.
        :raises PrivateFileError: when the disk refuses; nothing has changed then.
        """
        made = await asyncio.to_thread(
            lambda: self.desk.commit(
                proposal, base, int(at.timestamp()), by, because, recorded=recorded
            )
        )
        if proposal.live is not None:
            try:
                await self._install(proposal.live.settings)
            except WatchwordError as error:
                raise RefusedError.because(
                    Reason.CONFIGURATION_FAULTY,
                    f"configuration {made.number} is for the next start alone: {error}",
                ) from None
            self.desk.running = proposal.live
        return made
