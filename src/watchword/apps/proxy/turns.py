"""Share the connections to a third party out among those who call it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

MOST_AT_ONCE: Final = 32
"""Most calls of one instance to one third party at once, an eighth of the connections; further ones wait for a turn.

A phone that sends its bodies a byte at a time would hold all of them otherwise, and nobody else would get any.
"""


@dataclass(slots=True)
class _Line:
    turns: asyncio.Semaphore
    length: int = 0


@dataclass(slots=True)
class Turns:
    """Let each instance have so many calls at once; belongs to one event loop, and remembers who calls alone."""

    most: int = MOST_AT_ONCE
    _lines: dict[tuple[str, str], _Line] = field(default_factory=dict)

    @asynccontextmanager
    async def one(self, secret: str, who: str, seconds: float) -> AsyncIterator[None]:
        """Hold a turn for one call.

        :param who: the pairwise subject of the instance.
        :param seconds: longest wait for it.
        :raises TimeoutError: when the instance's other calls last longer than that.
        """
        line = self._lines.setdefault((secret, who), _Line(asyncio.Semaphore(self.most)))
        line.length += 1
        try:
            # Where nobody waits, neither does this one: no timer is needed then.
            async with asyncio.timeout(seconds if line.turns.locked() else None):
                await line.turns.acquire()
            try:
                yield
            finally:
                line.turns.release()
        finally:
            line.length -= 1
            if not line.length:
                del self._lines[secret, who]

    def __len__(self) -> int:
        """Return how many instances call or wait."""
        return len(self._lines)
