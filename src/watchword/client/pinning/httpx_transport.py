"""Pin httpx: transports that check before a request leaves, and leave old connections behind when pins change."""

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import httpx

from watchword.client.channel_refusals import CleartextRefusedError
from watchword.client.pinning.tls import Judges, PinnedContext

_Transport = TypeVar("_Transport", httpx.HTTPTransport, httpx.AsyncHTTPTransport)


@dataclass(slots=True)
class _Pool(Generic[_Transport]):
    """Hold a transport with its connections, and how many requests are on it."""

    transport: _Transport
    generation: int
    busy: int = 0
    retired: bool = False


class _Pools(Generic[_Transport]):
    """Hand out the pool of the present pins; one of the past is closed when its last request has ended."""

    def __init__(self, judges: Judges, make: Callable[[], _Transport]) -> None:
        self._judges = judges
        self._make: Callable[[], _Transport] = make
        self._lock = threading.Lock()
        self._current: _Pool[_Transport] | None = None

    def enter(self, request: httpx.Request) -> tuple[_Pool[_Transport], _Transport | None]:
        """Return the pool for a request, and the transport to be closed first, if there is one.

        :raises CleartextRefusedError: for a request without TLS to a pinned host.
        """
        # Pins go by A-labels; `host` would be the name as people write it.
        host = request.url.raw_host.decode("ascii")
        if request.url.scheme != "https" and self._judges.refuses_cleartext(host):
            raise CleartextRefusedError(host)
        generation = self._judges.generation
        with self._lock:
            old, pool = None, self._current
            if pool is None or pool.generation != generation:
                old = self._retire()
                pool = self._current = _Pool(self._make(), generation)
            pool.busy += 1
            return pool, old

    def leave(self, pool: _Pool[_Transport]) -> _Transport | None:
        """End a request; return the transport to be closed now, if it was the last of an old pool."""
        with self._lock:
            pool.busy -= 1
            return pool.transport if pool.retired and not pool.busy else None

    def close(self) -> _Transport | None:
        """Retire the pool; return the transport to be closed now, if nothing is on it."""
        with self._lock:
            return self._retire()

    def _retire(self) -> _Transport | None:
        pool, self._current = self._current, None
        if pool is None:
            return None
        pool.retired = True
        return None if pool.busy else pool.transport


class PinnedTransport(httpx.BaseTransport):
    """Be the transport of an ``httpx.Client``: ``httpx.Client(transport=PinnedTransport(keeper))``.

    A client with a transport takes no proxy from the environment; name it by ``proxy``.
    """

    def __init__(
        self, judges: Judges, *, context: PinnedContext | None = None, **options: Any
    ) -> None:
        """Prepare; nothing is opened yet.

        :param context: of this judge; made where it is None.
        :param options: further arguments of ``httpx.HTTPTransport``, such as ``proxy``, ``http2`` and ``limits``.
        """
        verify = PinnedContext(judges) if context is None else context
        self._pools = _Pools(judges, lambda: httpx.HTTPTransport(verify=verify, **options))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request over a connection of the present pins."""
        pool, old = self._pools.enter(request)
        try:
            if old is not None:
                old.close()
            response = pool.transport.handle_request(request)
        except BaseException:
            self._leave(pool)
            raise
        assert isinstance(response.stream, httpx.SyncByteStream)
        return _answer(response, _Stream(response.stream, lambda: self._leave(pool)))

    def close(self) -> None:
        """Close all connections that no request is on."""
        transport = self._pools.close()
        if transport is not None:
            transport.close()

    def _leave(self, pool: _Pool[httpx.HTTPTransport]) -> None:
        transport = self._pools.leave(pool)
        if transport is not None:
            transport.close()


class AsyncPinnedTransport(httpx.AsyncBaseTransport):
    """Be the same for an ``httpx.AsyncClient``."""

    def __init__(
        self, judges: Judges, *, context: PinnedContext | None = None, **options: Any
    ) -> None:
        """See :class:`PinnedTransport`."""
        verify = PinnedContext(judges) if context is None else context
        self._pools = _Pools(judges, lambda: httpx.AsyncHTTPTransport(verify=verify, **options))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request over a connection of the present pins."""
        pool, old = self._pools.enter(request)
        try:
            if old is not None:
                await old.aclose()
            response = await pool.transport.handle_async_request(request)
        except BaseException:
            await self._leave(pool)
            raise
        assert isinstance(response.stream, httpx.AsyncByteStream)
        return _answer(response, _AsyncStream(response.stream, lambda: self._leave(pool)))

    async def aclose(self) -> None:
        """Close all connections that no request is on."""
        transport = self._pools.close()
        if transport is not None:
            await transport.aclose()

    async def _leave(self, pool: _Pool[httpx.AsyncHTTPTransport]) -> None:
        transport = self._pools.leave(pool)
        if transport is not None:
            await transport.aclose()


def _answer(
    answer: httpx.Response, stream: httpx.SyncByteStream | httpx.AsyncByteStream
) -> httpx.Response:
    """Return an answer with another stream."""
    return httpx.Response(
        answer.status_code, headers=answer.headers, stream=stream, extensions=answer.extensions
    )


class _Stream(httpx.SyncByteStream):
    """Tell when an answer has been read or given up."""

    def __init__(self, stream: httpx.SyncByteStream, left: Callable[[], None]) -> None:
        self._stream = stream
        self._left: Callable[[], None] | None = left

    def __iter__(self) -> Iterator[bytes]:
        yield from self._stream

    def close(self) -> None:
        left, self._left = self._left, None
        try:
            self._stream.close()
        finally:
            if left is not None:
                left()


class _AsyncStream(httpx.AsyncByteStream):
    """Do the same for an asynchronous answer."""

    def __init__(self, stream: httpx.AsyncByteStream, left: Callable[[], Any]) -> None:
        self._stream = stream
        self._left: Callable[[], Any] | None = left

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            yield chunk

    async def aclose(self) -> None:
        left, self._left = self._left, None
        try:
            await self._stream.aclose()
        finally:
            if left is not None:
                await left()
