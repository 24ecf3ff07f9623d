"""Bound how many Play Integrity tokens are decoded at once, whoever decodes them.

Anybody can send what looks like a token, and each takes a connection to Google for up to half a minute.
What comes beyond the bound is turned away before any work, so that requests don't pile up in memory.
"""

import asyncio
from typing import Final

from watchword.ports import PlayDecoder
from watchword.reasons import Reason, UnavailableError

AT_ONCE: Final = 8
"""Most tokens that are decoded at the same time."""

WAITING: Final = 32
"""Most tokens that wait for their turn."""

RETRY_AFTER: Final = 5
"""Seconds after which a phone that was turned away tries again."""


class BoundedDecoder:
    """Implement :class:`watchword.ports.PlayDecoder` around another one; of one event loop."""

    def __init__(
        self, decoder: PlayDecoder, *, at_once: int = AT_ONCE, waiting: int = WAITING
    ) -> None:
        """Keep the decoder and the bounds."""
        self._decoder = decoder
        self._most = at_once + waiting
        self._turn = asyncio.Semaphore(at_once)
        self._inside = 0

    def __repr__(self) -> str:
        """Name the decoder, which tells no secret."""
        return f"BoundedDecoder({self._decoder!r})"

    async def decode(self, package: str, token: bytes) -> bytes:
        """See :meth:`watchword.ports.PlayDecoder.decode`.

        :raises UnavailableError: also ``service.overloaded``, at once, when too many wait already.
        """
        if self._inside >= self._most:
            raise UnavailableError(
                Reason.SERVICE_OVERLOADED,
                f"more than {self._most} Play Integrity tokens at once",
                RETRY_AFTER,
            )
        self._inside += 1
        try:
            async with self._turn:
                return await self._decoder.decode(package, token)
        finally:
            self._inside -= 1
