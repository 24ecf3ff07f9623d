"""Stream a request's body from an ASGI server, and notice when its client leaves."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any


class BrokenBodyError(Exception):
    """Report a body that ended before its end: cut short, or framed as it should not be."""


class RequestBody:
    """Hand on a body piece by piece: the next one is asked for when the last one was taken."""

    def __init__(
        self,
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        *,
        expected: bool,
        patience: float,
    ) -> None:
        """Read from ``receive``.

        :param expected: whether the request has a body at all.
        :param patience: seconds in which each next piece must arrive.
        """
        self._receive = receive
        self._patience = patience
        self._read = asyncio.Event()
        if not expected:
            self._read.set()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the pieces.

        :raises BrokenBodyError: when it ends before its end; what was sent on by then must not
            look like the whole.
        """
        while True:
            try:
                async with asyncio.timeout(self._patience):
                    message = await self._receive()
            except Exception as error:
                # Servers raise what they please for crooked chunks.  A client that falls silent
                # must not hold a connection to the API.
                raise BrokenBodyError from error
            if message["type"] != "http.request":
                raise BrokenBodyError
            if message.get("body"):
                yield message["body"]
            if not message.get("more_body", False):
                break
        self._read.set()

    async def until_client_is_gone(self) -> None:
        """Return when the client has left; it isn't listened for while its body arrives."""
        await self._read.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass
