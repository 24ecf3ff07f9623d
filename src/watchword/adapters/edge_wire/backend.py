"""Connect for httpcore, to the addresses that were checked and nothing else."""

import asyncio
import ssl
from collections.abc import Iterable, Sequence
from typing import Any, Final

import httpcore

from watchword.adapters.edge_wire.resolving import Resolver, checked_addresses
from watchword.reasons import RefusedError

MAX_ATTEMPTS: Final = 4
"""How many of a name's addresses are tried in turn."""


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """Implement httpcore's backend: resolve a name once, check all its addresses, connect to one of these.

    Between the check and the connection nobody is asked again: a name whose answer changes (DNS rebinding) gains
    nothing.  TLS knows the name, for SNI and for the certificate, from httpcore itself.
    """

    def __init__(
        self,
        resolver: Resolver,
        *,
        private: bool,
        connector: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        """Connect to public addresses.

        :param private: whether other addresses are fine too.
        :param connector: connects to an address; httpcore's own if None.
        """
        self._resolver = resolver
        self._private = private
        self._connector = connector or httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature.
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to a host.

        :param timeout: seconds for resolving, and again for each address that is tried its share of them.
        :raises RefusedError: ``secret.address``; nothing was sent to anybody.
        :raises httpcore.ConnectError: when nobody answers.
        """
        addresses = (await self._resolved(host, port, timeout))[:MAX_ATTEMPTS]
        share = None if timeout is None else timeout / len(addresses)
        last: Exception | None = None
        for address in addresses:
            try:
                connected = await self._connector.connect_tcp(
                    address, port, share, local_address, socket_options
                )
                return _BeforeTls(connected)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                last = error
        assert last is not None
        raise last

    async def sleep(self, seconds: float) -> None:
        """Wait, as httpcore asks between attempts."""
        await self._connector.sleep(seconds)

    async def _resolved(self, host: str, port: int, seconds: float | None) -> Sequence[str]:
        try:
            async with asyncio.timeout(seconds):
                return await checked_addresses(host, port, self._resolver, private=self._private)
        except RefusedError:
            raise
        except TimeoutError:
            raise httpcore.ConnectTimeout from None
        except OSError as error:
            raise httpcore.ConnectError(type(error).__name__) from None


class _BeforeTls(httpcore.AsyncNetworkStream):
    """Close a connection whose handshake is given up; httpcore does so only where it fails by itself."""

    def __init__(self, connected: httpcore.AsyncNetworkStream) -> None:
        self._connected = connected

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        return await self._connected.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        await self._connected.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._connected.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        try:
            return await self._connected.start_tls(ssl_context, server_hostname, timeout)
        except BaseException:
            # The client left, or the time is over: the task is cancelled, and has this one thing left to do.
            await self._connected.aclose()
            raise

    def get_extra_info(self, info: str) -> Any:
        return self._connected.get_extra_info(info)
