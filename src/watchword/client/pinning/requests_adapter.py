"""Pin requests: an adapter to be mounted for ``https://`` and ``http://``."""

from typing import Any

from requests.adapters import HTTPAdapter

from watchword.client.pinning.tls import Judges, PinnedContext
from watchword.client.pinning.urllib3_pools import PinnedPoolManager, PinnedProxyManager


class PinnedAdapter(HTTPAdapter):
    """Check before a request leaves, and leave old connections behind when pins change.

    Mount it for ``http://`` too, so that cleartext to a pinned host is refused.  What is trusted is the context's matter:
    ``verify`` with a path and ``REQUESTS_CA_BUNDLE`` are without effect, ``verify=False`` is refused.
    """

    def __init__(
        self, judges: Judges, *, context: PinnedContext | None = None, **options: Any
    ) -> None:
        """Prepare; nothing is opened yet.

        :param context: of this judge; made where it is None.
        :param options: further arguments of ``requests.adapters.HTTPAdapter``.
        """
        self._judges = judges
        self._context = PinnedContext(judges) if context is None else context
        super().__init__(**options)

    def init_poolmanager(
        self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any
    ) -> None:
        """Make the pools; requests calls it."""
        pool_kwargs.pop("ssl_context", None)
        self.poolmanager = PinnedPoolManager(
            self._judges,
            context=self._context,
            num_pools=connections,
            maxsize=maxsize,
            block=block,
            **pool_kwargs,
        )

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> Any:
        """Return the pools behind a proxy; requests calls it. Raises ValueError for a SOCKS proxy, whose pools aren't pinned."""
        if proxy.lower().startswith("socks"):
            raise ValueError(
                "got a SOCKS proxy, expected one of HTTP: its connections aren't pinned"
            )
        if proxy not in self.proxy_manager:
            proxy_kwargs.pop("ssl_context", None)
            self.proxy_manager[proxy] = PinnedProxyManager(
                self._judges,
                proxy,
                context=self._context,
                proxy_headers=self.proxy_headers(proxy),
                **proxy_kwargs,
            )
        return self.proxy_manager[proxy]

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Leave what is trusted to the context; requests calls it. Raises ValueError for ``verify=False``."""
        if verify is False:
            raise ValueError("got verify=False, expected True: this adapter pins")
        super().cert_verify(conn, url, verify=True, cert=cert)  # type: ignore[no-untyped-call]
        conn.ca_certs = conn.ca_cert_dir = None
