"""Pin urllib3: pool managers that check before a request leaves, and leave old connections behind when pins change."""

from typing import Any

import urllib3

from watchword.client.channel_refusals import CleartextRefusedError
from watchword.client.pinning.tls import Judges, PinnedContext

_TRUSTING = ("ca_certs", "ca_cert_dir", "ca_cert_data")
"""What would add authorities to the context, for every request of its."""


class _Pinned(urllib3.PoolManager):
    """Hold what both managers do before they hand out a pool."""

    _judges: Judges
    _context: PinnedContext
    _generation: int

    def _begin(self, judges: Judges, context: PinnedContext | None) -> PinnedContext:
        self._judges = judges
        self._context = PinnedContext(judges) if context is None else context
        self._generation = judges.generation
        return self._context

    def connection_from_host(
        self,
        host: str | None,
        port: int | None = None,
        scheme: str | None = "http",
        pool_kwargs: dict[str, Any] | None = None,
    ) -> urllib3.HTTPConnectionPool:
        """Return a pool of the present pins, with our context and nobody else who is trusted.

        :raises CleartextRefusedError: for a pinned host without TLS.
        """
        if scheme != "https" and host and self._judges.refuses_cleartext(host):
            raise CleartextRefusedError(host)
        generation = self._judges.generation
        if generation != self._generation:
            self._generation = generation
            # Requests that are on their way end; their connections aren't used again (urllib3's own promise).
            self.clear()
        kept = {key: value for key, value in (pool_kwargs or {}).items() if key not in _TRUSTING}
        kept["ssl_context"] = self._context
        return super().connection_from_host(host, port, scheme, kept)


class PinnedPoolManager(_Pinned):
    """Be a ``urllib3.PoolManager`` that pins."""

    def __init__(
        self, judges: Judges, *, context: PinnedContext | None = None, **options: Any
    ) -> None:
        """Prepare; nothing is opened yet.

        :param context: of this judge; made where it is None.
        :param options: further arguments of ``urllib3.PoolManager``.
        """
        super().__init__(ssl_context=self._begin(judges, context), **options)


class PinnedProxyManager(_Pinned, urllib3.ProxyManager):
    """Be a ``urllib3.ProxyManager`` that pins: TLS goes through the proxy by CONNECT."""

    def __init__(
        self,
        judges: Judges,
        proxy_url: str,
        *,
        context: PinnedContext | None = None,
        **options: Any,
    ) -> None:
        """Prepare; see :class:`PinnedPoolManager`."""
        if options.get("use_forwarding_for_https"):
            raise ValueError("got use_forwarding_for_https, which hands requests to the proxy")
        begun = self._begin(judges, context)
        urllib3.ProxyManager.__init__(self, proxy_url, ssl_context=begun, **options)
