"""Simulate a store of secrets: in memory, as slow, as absent and as forgetful as a test wants it."""

import asyncio
from collections.abc import Sequence

from watchword.broker.interface import SecretRecord, StoredSecret
from watchword.reasons import Reason, RefusedError, UnavailableError


class MemoryStore:
    """Implement SecretStore in memory.

    :ivar away: every call fails.
    :ivar loses_answers: writes happen, and then fail as if the answer had been lost.
    :ivar gate: readings of all wait for it after they have looked.
    """

    def __init__(self) -> None:
        """Hold nothing."""
        self.held: dict[str, StoredSecret] = {}
        self.away = False
        self.loses_answers = False
        self.gate: asyncio.Event | None = None
        self.writes = 0

    async def read(self, name: str) -> StoredSecret | None:
        """Return one secret."""
        self._require_present()
        await asyncio.sleep(0)
        return self.held.get(name)

    async def read_all(self) -> Sequence[StoredSecret]:
        """Return every secret, as they were when the call began."""
        self._require_present()
        found = [self.held[name] for name in sorted(self.held)]
        if self.gate is not None:
            await self.gate.wait()
        return found

    async def write(self, record: SecretRecord, revision: int | None) -> int:
        """Keep a record if the revision is the one that is held."""
        self._require_present()
        await asyncio.sleep(0)
        before = self.held.get(record.name)
        if (None if before is None else before.revision) != revision:
            raise RefusedError.because(Reason.SECRET_CONFLICT, "simulated")
        new = (revision or 0) + 1
        self.held[record.name] = StoredSecret(record, new)
        self.writes += 1
        if self.loses_answers:
            raise UnavailableError(Reason.SECRET_STORE_UNAVAILABLE, "simulated: lost answer")
        return new

    async def aclose(self) -> None:
        """Do nothing."""

    def _require_present(self) -> None:
        if self.away:
            raise UnavailableError(Reason.SECRET_STORE_UNAVAILABLE, "simulated: away")
