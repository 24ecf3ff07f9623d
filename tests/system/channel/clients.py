"""Be every kind of client that sends an API key: with each library, pinned and not."""

import asyncio
import hashlib
import ssl
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import requests
import urllib3

from watchword.client.pinning import Judges, PinnedContext
from watchword.client.pinning.aiohttp_connector import PinnedConnector
from watchword.client.pinning.httpx_transport import AsyncPinnedTransport, PinnedTransport
from watchword.client.pinning.requests_adapter import PinnedAdapter
from watchword.client.pinning.urllib3_pools import PinnedPoolManager, PinnedProxyManager

_SECONDS = 10


@dataclass(frozen=True)
class Errand:
    """Hold a request to be sent.

    :param trust: file of the authorities that the phone trusts, the interceptor's among them.
    :param proxy: URL of a CONNECT proxy on the way, None for none.
    :param judges: the pins; an unpinned client doesn't look at them.
    :param certificate: SHA-256 of the server's certificate, for those who pin that.
    """

    url: str
    key: str
    trust: Path
    judges: Judges
    proxy: str | None = None
    certificate: bytes = b""

    @property
    def headers(self) -> dict[str, str]:
        """Return what every copy of the app sends."""
        return {"x-api-key": self.key}

    @property
    def unpinned(self) -> ssl.SSLContext:
        """Return a context that checks certificates and names alone."""
        return ssl.create_default_context(cafile=str(self.trust))

    @property
    def pinned(self) -> PinnedContext:
        """Return one that checks pins too."""
        return PinnedContext(self.judges, cafile=str(self.trust))


Client = Callable[[Errand], int]
"""Send the errand's key and return the status; raises what its library raises."""


def settled(running: Coroutine[Any, Any, int]) -> int:
    """Run it, and let the loop close what was refused: a refused connection is closed at its next turns."""

    async def run() -> int:
        try:
            return await running
        finally:
            await asyncio.sleep(0.01)

    return asyncio.run(run())


def httpx_with(errand: Errand, context: ssl.SSLContext) -> int:
    """Use httpx with a context."""
    with httpx.Client(verify=context, proxy=errand.proxy, trust_env=False) as client:
        return client.get(errand.url, headers=errand.headers).status_code


def httpx_async_with(errand: Errand, context: ssl.SSLContext) -> int:
    """Use httpx's asynchronous client with a context."""

    async def run() -> int:
        async with httpx.AsyncClient(verify=context, proxy=errand.proxy, trust_env=False) as client:
            return (await client.get(errand.url, headers=errand.headers)).status_code

    return settled(run())


def httpx_transport(errand: Errand) -> int:
    """Use httpx with our transport."""
    transport = PinnedTransport(errand.judges, context=errand.pinned, proxy=errand.proxy)
    with httpx.Client(transport=transport) as client:
        return client.get(errand.url, headers=errand.headers).status_code


def httpx_async_transport(errand: Errand) -> int:
    """Use httpx's asynchronous client with our transport."""

    async def run() -> int:
        transport = AsyncPinnedTransport(errand.judges, context=errand.pinned, proxy=errand.proxy)
        async with httpx.AsyncClient(transport=transport) as client:
            return (await client.get(errand.url, headers=errand.headers)).status_code

    return settled(run())


def httpx_response(errand: Errand) -> int:
    """Use httpx unpinned, and look at the server's key when the answer is there: too late."""
    with (
        httpx.Client(verify=errand.unpinned, proxy=errand.proxy, trust_env=False) as client,
        client.stream("GET", errand.url, headers=errand.headers) as response,
    ):
        tls = response.extensions["network_stream"].get_extra_info("ssl_object")
        chain = [each.public_bytes(2) for each in tls.get_verified_chain()]
        if hashlib.sha256(chain[0]).digest() != errand.certificate:
            raise ssl.SSLError(1, "another server's answer")
        return response.status_code


def urllib3_with(errand: Errand, pools: urllib3.PoolManager) -> int:
    """Use urllib3."""
    with pools:
        return pools.request("GET", errand.url, headers=errand.headers, timeout=_SECONDS).status


def urllib3_unpinned(errand: Errand, fingerprint: bytes | None = None) -> int:
    """Use urllib3 as it comes."""
    print_of = None if fingerprint is None else fingerprint.hex()
    pools: urllib3.PoolManager = (
        urllib3.ProxyManager(errand.proxy, ssl_context=errand.unpinned, assert_fingerprint=print_of)
        if errand.proxy
        else urllib3.PoolManager(ssl_context=errand.unpinned, assert_fingerprint=print_of)
    )
    return urllib3_with(errand, pools)


def urllib3_pinned(errand: Errand) -> int:
    """Use urllib3 with our pools."""
    if errand.proxy:
        return urllib3_with(
            errand, PinnedProxyManager(errand.judges, errand.proxy, context=errand.pinned)
        )
    return urllib3_with(errand, PinnedPoolManager(errand.judges, context=errand.pinned))


def requests_with(errand: Errand, adapter: requests.adapters.HTTPAdapter | None) -> int:
    """Use requests."""
    with requests.Session() as session:
        session.trust_env = False
        if adapter is not None:
            session.mount("https://", adapter)
        answer = session.get(
            errand.url,
            headers=errand.headers,
            proxies={"https": errand.proxy} if errand.proxy else {},
            timeout=_SECONDS,
            verify=True if adapter else str(errand.trust),
        )
        return answer.status_code


def aiohttp_with(errand: Errand, connector: Callable[[], aiohttp.TCPConnector]) -> int:
    """Use aiohttp."""

    async def run() -> int:
        async with (
            aiohttp.ClientSession(connector=connector()) as session,
            session.get(errand.url, headers=errand.headers, proxy=errand.proxy) as answer,
        ):
            return answer.status

    return settled(run())


def aiohttp_fingerprint(errand: Errand) -> int:
    """Use aiohttp's own pin of a certificate, which takes the place of the authorities."""
    pin = aiohttp.Fingerprint(errand.certificate)

    async def run() -> int:
        try:
            async with (
                aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=pin)) as session,
                session.get(errand.url, headers=errand.headers, proxy=errand.proxy) as answer,
            ):
                return answer.status
        finally:
            # The one that aiohttp gives up on itself takes more turns of the loop than any other.
            await asyncio.sleep(0.1)

    return settled(run())


UNPINNED: dict[str, Client] = {
    "httpx": lambda errand: httpx_with(errand, errand.unpinned),
    "httpx-async": lambda errand: httpx_async_with(errand, errand.unpinned),
    "urllib3": urllib3_unpinned,
    "requests": lambda errand: requests_with(errand, None),
    "aiohttp": lambda errand: aiohttp_with(
        errand, lambda: aiohttp.TCPConnector(ssl=errand.unpinned)
    ),
    "httpx-looks-at-the-response": httpx_response,
}
"""Clients that hand their key to whoever sits in between; the last finds out when it's gone."""

PINNED: dict[str, Client] = {
    "httpx-context": lambda errand: httpx_with(errand, errand.pinned),
    "httpx-async-context": lambda errand: httpx_async_with(errand, errand.pinned),
    "httpx": httpx_transport,
    "httpx-async": httpx_async_transport,
    "urllib3": urllib3_pinned,
    "requests": lambda errand: requests_with(
        errand, PinnedAdapter(errand.judges, context=errand.pinned)
    ),
    "aiohttp": lambda errand: aiohttp_with(
        errand, lambda: PinnedConnector(errand.judges, context=errand.pinned)
    ),
}
"""Clients that pin by a set."""

CERTIFICATE: dict[str, Client] = {
    "urllib3-certificate": lambda errand: urllib3_unpinned(errand, errand.certificate),
    "aiohttp-certificate": aiohttp_fingerprint,
}
"""Clients that pin the certificate itself."""


def through(errand: Errand, proxy: str | None, url: str | None, key: str) -> Errand:
    """Return the errand by another way."""
    return replace(errand, proxy=proxy, url=url or errand.url, key=key)
