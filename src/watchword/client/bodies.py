"""Keep what is read of a streamed body while it is sent, so that it can be sent again with a length."""

from collections.abc import AsyncIterator, Iterator
from typing import Final

import httpx

MAX_KEPT_BYTES: Final = 1024 * 1024
"""Most bytes of a stream that are kept; a gate holds no more of a body either, by default."""


class KeptStream(httpx.SyncByteStream, httpx.AsyncByteStream):
    """Hand a stream on and keep its bytes; :meth:`read` or :meth:`aread` takes what nobody read yet."""

    def __init__(self, stream: httpx.SyncByteStream | httpx.AsyncByteStream) -> None:
        """Keep what is read of ``stream``, which can be read once only."""
        self._stream = stream
        self._parts: Iterator[bytes] | None = None
        self._async_parts: AsyncIterator[bytes] | None = None
        self._kept = bytearray()
        self._over = False

    def __iter__(self) -> Iterator[bytes]:
        """Yield the body, once.

        :raises httpx.StreamConsumed: the second time: what a library would send then is cut short.
        """
        if self._parts is not None:
            raise httpx.StreamConsumed
        for part in self._begun():
            self._keep(part)
            yield part

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the body, once.

        :raises httpx.StreamConsumed: the second time.
        """
        if self._async_parts is not None:
            raise httpx.StreamConsumed
        async for part in self._async_begun():
            self._keep(part)
            yield part

    def read(self) -> bytes | None:
        """Return the whole body; None if it has more than :data:`MAX_KEPT_BYTES`."""
        parts = self._begun()
        while not self._over:
            part = next(parts, None)
            if part is None:
                return bytes(self._kept)
            self._keep(part)
        return None

    async def aread(self) -> bytes | None:
        """Return the whole body; None if it has more than :data:`MAX_KEPT_BYTES`."""
        parts = self._async_begun()
        while not self._over:
            part = await anext(parts, None)
            if part is None:
                return bytes(self._kept)
            self._keep(part)
        return None

    def close(self) -> None:
        """Close the stream."""
        if isinstance(self._stream, httpx.SyncByteStream):
            self._stream.close()

    async def aclose(self) -> None:
        """Close the stream."""
        if isinstance(self._stream, httpx.AsyncByteStream):
            await self._stream.aclose()

    def _begun(self) -> Iterator[bytes]:
        if self._parts is None:
            assert isinstance(self._stream, httpx.SyncByteStream)
            self._parts = iter(self._stream)
        return self._parts

    def _async_begun(self) -> AsyncIterator[bytes]:
        if self._async_parts is None:
            assert isinstance(self._stream, httpx.AsyncByteStream)
            self._async_parts = aiter(self._stream)
        return self._async_parts

    def _keep(self, part: bytes) -> None:
        self._over = self._over or len(self._kept) + len(part) > MAX_KEPT_BYTES
        if self._over:
            self._kept.clear()
        else:
            self._kept += part
