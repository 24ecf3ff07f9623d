"""Fetch from vendors over HTTPS: checked certificates, no redirects, bounded time and size.

Proxies are taken from the environment (``HTTPS_PROXY``, ``NO_PROXY``), since many a server reaches
the outside through one alone; so are roots of its own (``SSL_CERT_FILE``, ``SSL_CERT_DIR``).
Loopback is spoken to directly, also without TLS: that is the lab's simulated vendors.
"""

import asyncio
import ipaddress
import ssl
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final

import httpx

from watchword.ports import FetchRequest, FetchResponse
from watchword.reasons import Reason, UnavailableError

MAX_BODY_BYTES: Final = 8 * 1024 * 1024
"""Most bytes of an answer; Google's status list had about 50 kB in 2025."""

TOTAL_SECONDS: Final = 30.0
"""How long one exchange may take as a whole: a server that sends a byte a second ends here."""

CONNECT_SECONDS: Final = 10.0
"""How long a connection may take to stand, TLS included."""

_CONNECTIONS: Final = 16


class HttpxFetcher:
    """Implement :class:`watchword.ports.Fetcher`; belongs to one event loop."""

    def __init__(
        self,
        *,
        total_seconds: float = TOTAL_SECONDS,
        connect_seconds: float = CONNECT_SECONDS,
        max_body_bytes: int = MAX_BODY_BYTES,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Keep the bounds; nothing is opened before the first request.

        :param tls: which certificates are believed; None is the public authorities.
        """
        self._total = total_seconds
        self._connect = connect_seconds
        self._max_body = max_body_bytes
        self._tls = tls
        self._clients: dict[bool, httpx.AsyncClient] = {}

    async def fetch(self, request: FetchRequest) -> FetchResponse:
        """See :meth:`watchword.ports.Fetcher.fetch`; redirects are answers like any other.

        :raises UnavailableError: ``vendor.unavailable``; its text names the host and the kind of
            trouble alone, since headers, body and query may hold secrets.
        """
        url = _checked(request.url)
        try:
            async with asyncio.timeout(self._total):
                return await self._exchange(url, request)
        except TimeoutError:
            raise _unavailable(url.host, f"no whole answer in {self._total:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, OSError) as error:
            raise _unavailable(url.host, type(error).__name__) from None
        except ValueError:
            # Headers that can't be sent, or an answer that can't be read.
            raise _unavailable(url.host, "the exchange broke the rules of HTTP") from None

    async def aclose(self) -> None:
        """Close every connection; a later request opens new ones."""
        clients, self._clients = self._clients, {}
        for client in clients.values():
            await client.aclose()

    async def _exchange(self, url: httpx.URL, request: FetchRequest) -> FetchResponse:
        # An answer in another coding could unfold to any size within one read.
        headers = {"user-agent": "watchword", **request.headers, "accept-encoding": "identity"}
        async with self._client(url).stream(
            request.method, url, headers=headers, content=request.body or None
        ) as response:
            if response.headers.get("content-encoding", "identity").lower() != "identity":
                raise _unavailable(url.host, "sent a coding that wasn't asked for")
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > self._max_body:
                    raise _unavailable(url.host, f"sent more than {self._max_body} bytes")
            return FetchResponse(response.status_code, _headers(response.headers), bytes(body))

    def _client(self, url: httpx.URL) -> httpx.AsyncClient:
        """Return the client for hosts outside, or for loopback, which no proxy stands before."""
        outside = not _is_loopback(url.host)
        client = self._clients.get(outside)
        if client is None:
            client = self._clients[outside] = httpx.AsyncClient(
                verify=self._tls or True,
                trust_env=outside,
                follow_redirects=False,
                timeout=httpx.Timeout(self._total, connect=self._connect),
                limits=httpx.Limits(max_connections=_CONNECTIONS),
                # What one request's answer sets must not go out with another's.
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            )
        return client


def _headers(headers: httpx.Headers) -> dict[str, str]:
    """Return them by name, those of one name joined; each look-up by name would go through all."""
    found: dict[str, list[str]] = {}
    for name, value in headers.multi_items():
        found.setdefault(name.lower(), []).append(value)
    return {name: ", ".join(values) for name, values in found.items()}


def _checked(text: str) -> httpx.URL:
    """Return the URL if it may be spoken to: HTTPS, or plain HTTP on loopback."""
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError):
        raise _unavailable("vendor", "its URL can't be read") from None
    if url.scheme != "https" and not (url.scheme == "http" and _is_loopback(url.host)):
        raise _unavailable(url.host, "expected https, or http on loopback")
    if url.userinfo:
        raise _unavailable(url.host, "expected a URL without a password")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _unavailable(host: str, why: str) -> UnavailableError:
    return UnavailableError(Reason.VENDOR_UNAVAILABLE, f"{host}: {why}")
