"""Reach the third parties that keys are sent to: at checked addresses, and at no others."""

import asyncio
import socket
import ssl
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import Any, Final, Protocol

import httpcore

from watchword.adapters.address_kinds import Address, Kind, kind_of
from watchword.reasons import Reason, RefusedError

MAX_ADDRESSES: Final = 64
"""Most addresses of one name; more is no answer but a flood."""

RESOLVING_THREADS: Final = 4
"""How many names are asked for at once: the system's resolver can't be stopped, and a name that hangs holds a thread."""

_NEVER: Final = frozenset(
    map(
        ip_address,
        (
            "169.254.169.254",  # Instance metadata: AWS, Azure, Google, OpenStack and others.
            "169.254.170.2",  # Credentials of ECS tasks.
            "169.254.170.23",  # Credentials of EKS pods.
            "168.63.129.16",  # Azure's wire server, a public address.
            "100.100.100.200",  # Alibaba Cloud.
            "192.0.0.192",  # Oracle Cloud, classic.
            "fd00:ec2::254",  # AWS by IPv6.
            "fd00:ec2::23",
            "fd20:ce::254",  # Google by IPv6.
        ),
    )
)
"""Where machines of clouds get their credentials; no partner stands there."""

_MAPPED: Final = int(ip_address("::ffff:0:0"))
_NAT64: Final = int(ip_address("64:ff9b::"))
_LAST_32: Final = 0xFFFFFFFF


class Resolver(Protocol):
    """Know the addresses of names."""

    async def addresses(self, name: str, port: int) -> Sequence[str]:
        """Return the addresses of a name, best first; raise OSError where there are none."""


class SystemResolver:
    """Implement :class:`Resolver` by the system's, on threads of its own."""

    def __init__(self) -> None:
        """Start no thread before the first question."""
        self._threads = ThreadPoolExecutor(
            RESOLVING_THREADS, thread_name_prefix="watchword-resolving"
        )

    async def addresses(self, name: str, port: int) -> Sequence[str]:
        """See :meth:`Resolver.addresses`; ordered by RFC 6724."""
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
        )
        return [str(sockaddr[0]) for *_, sockaddr in found]

    def close(self) -> None:
        """Let the threads go; one that still waits isn't waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)


async def checked_addresses(
    name: str, port: int, resolver: Resolver, *, private: bool
) -> Sequence[str]:
    """Return the addresses that may be connected to; a name is asked for once.

    :param name: a name, or an IP address as text, for which nobody is asked.
    :param private: as of :func:`check_addresses`.
    :raises RefusedError: ``secret.address``.
    :raises OSError: when the name has no address.
    """
    try:
        found: Sequence[str] = [str(ip_address(name))]
    except ValueError:
        try:
            found = await resolver.addresses(name, port)
        except UnicodeError:
            # Of a label that is empty or too long.
            raise OSError("no name that could be resolved") from None
    return check_addresses(name, found, private=private)


def check_addresses(name: str, found: Sequence[str], *, private: bool) -> Sequence[str]:
    """Return the addresses of a name if each of them may be connected to, each once.

    One that may not refuses them all: whoever can put one address into an answer chooses when it is taken.

    1. Neither multicast, unspecified nor reserved, and no metadata service of a cloud: never.
    2. Public, unless ``private``: neither this machine, nor a private network, nor link-local, nor shared (CGNAT), nor
       IPv6 that leads to such by mapping, NAT64, 6to4 or Teredo (:func:`watchword.adapters.address_kinds.kind_of`).

    :param private: whether addresses that aren't public are fine.
    :raises RefusedError: ``secret.address``.
    """
    if not 1 <= len(found) <= MAX_ADDRESSES:
        raise RefusedError.because(
            Reason.SECRET_ADDRESS, f"got {len(found)} addresses of {name}, expected 1 to 64"
        )
    for text in found:
        try:
            # A zone (fe80::1%eth0) is of this machine alone, and no third party's.
            address = None if "%" in text else ip_address(text)
        except ValueError:
            address = None
        kind = Kind.NOWHERE if address is None or _is_metadata(address) else kind_of(address)
        if kind is Kind.NOWHERE or (kind is not Kind.GLOBAL and not private):
            raise RefusedError.because(
                Reason.SECRET_ADDRESS,
                f"got {text[:64]} for {name[:255]}, expected a public address",
            )
    return list(dict.fromkeys(found))


def _is_metadata(address: Address) -> bool:
    if address.version == 6 and int(address) & ~_LAST_32 in {_MAPPED, _NAT64}:
        address = ip_address(int(address) & _LAST_32)
    return address in _NEVER


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
