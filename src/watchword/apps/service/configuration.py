"""Put another configuration in force while the service runs.

A change is read and compared, recorded, made durable, taken over by this process, and told to the gates, in this order: a
process that is killed in between has either changed nothing, or starts with the new file.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

import structlog

from watchword.adapters.applied_files import AppliedFile
from watchword.adapters.keyring.private_file import PrivateFileError
from watchword.apps.compose.applied import MOST_TOLD, ConfigurationDesk, Proposal
from watchword.apps.settings.faults import join
from watchword.apps.settings.schema import Settings
from watchword.reasons import Reason, RefusedError, UnavailableError, WatchwordError

Install = Callable[[Settings], Awaitable[None]]
"""Have this process go by other settings; what it needs was read before."""


AGAIN_SECONDS: Final = 5.0
"""After which a node looks again whether it can go by what another one has applied."""

_log = structlog.get_logger()


class LiveConfiguration:
    """Put files in force, one at a time."""

    def __init__(self, desk: ConfigurationDesk, install: Install) -> None:
        """Keep the parts; nothing changes yet."""
        self.desk = desk
        self.turn = asyncio.Lock()
        self._install = install
        self._trouble, self._again_at = "", 0.0

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
        :raises UnavailableError: ``store.unavailable`` when the disk or the database refuses; nothing has changed then.
        """
        try:
            made = await asyncio.to_thread(
                lambda: self.desk.commit(
                    proposal, base, int(at.timestamp()), by, because, recorded=recorded
                )
            )
        except PrivateFileError as error:
            raise UnavailableError(Reason.STORE_UNAVAILABLE, str(error)) from None
        if proposal.live is not None:
            try:
                await self._install(proposal.live.settings)
            except WatchwordError as error:
                raise RefusedError.because(
                    Reason.CONFIGURATION_FAULTY,
                    f"configuration {made.number} is for the next start alone: {error}",
                ) from None
            self.desk.run(proposal.live)
        return made

    async def follow(self) -> None:
        """Go by what another node has applied; what keeps this one from it is told once, and looked at again."""
        now = asyncio.get_running_loop().time()
        if not self.desk.lags or self.turn.locked():
            return
        if not self.desk.is_behind and now < self._again_at:
            return
        async with self.turn:
            trouble = ""
            try:
                await self._go_by_theirs()
            except WatchwordError as error:
                trouble = str(error)
                self.desk.refuse_theirs()
                self._again_at = now + AGAIN_SECONDS
            if trouble and trouble != self._trouble:
                _log.error("this node can't go by what another one has applied", detail=trouble)
            self._trouble = trouble

    async def _go_by_theirs(self) -> None:
        file, proposal = await asyncio.to_thread(self.desk.propose_theirs)
        if proposal.live is not None:
            await self._install(proposal.live.settings)
            self.desk.run(proposal.live)
        self.desk.go_by_theirs(file, proposal)
        _log.warning(
            "configuration of another node in force",
            number=file.number,
            waits=[join(each.path) for each in proposal.waiting[:MOST_TOLD]],
        )
