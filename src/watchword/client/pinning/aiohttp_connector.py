"""Pin aiohttp: a connector that checks before a request leaves, and leaves old connections behind when pins change."""

from typing import Any

import aiohttp
from aiohttp.client import ClientTimeout
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from watchword.client.channel_refusals import CleartextRefusedError
from watchword.client.pinning.tls import Judges, PinnedContext

_CLEARTEXT = frozenset({"http", "ws"})


class PinnedConnector(aiohttp.TCPConnector):
    """Be the connector of a session: ``aiohttp.ClientSession(connector=PinnedConnector(keeper))``."""

    def __init__(
        self, judges: Judges, *, context: PinnedContext | None = None, **options: Any
    ) -> None:
        """Prepare; nothing is opened yet.

        :param context: of this judge; made where it is None.
        :param options: further arguments of ``aiohttp.TCPConnector``; none of them about TLS.
        """
        self._judges = judges
        self._pinned = PinnedContext(judges) if context is None else context
        self._judged = judges.generation
        super().__init__(ssl=self._pinned, **options)

    async def connect(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: ClientTimeout,  # noqa: ASYNC109 - the base's.
    ) -> Connection:
        """Return a connection of the present pins; aiohttp calls it.

        :raises CleartextRefusedError: for a pinned host without TLS.
        :raises ValueError: for a request with an ``ssl`` of its own, which would go around the pins.
        """
        host = req.url.raw_host or ""
        if req.url.scheme in _CLEARTEXT and self._judges.refuses_cleartext(host):
            raise CleartextRefusedError(host)
        if req.ssl is not True and req.ssl is not self._pinned:
            raise ValueError(
                "got a request with ssl of its own, expected none: this connector pins"
            )
        generation = self._judges.generation
        if generation != self._judged:
            self._judged = generation
            self._evict()
        return await super().connect(req, traces, timeout)

    def _evict(self) -> None:
        """Close what waits for another request.

        aiohttp has no public way.  Where its own names change, connections of old pins are still judged before they are
        written to: the request fails then, where it would have gone over a new connection.
        """
        waiting = getattr(self, "_conns", {})
        for connections in list(waiting.values()):
            for protocol, _ in connections:
                protocol.close()
        waiting.clear()
