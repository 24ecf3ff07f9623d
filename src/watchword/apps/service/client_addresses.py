"""Tell from which address prefix a request comes, for limits that only delay.

An address proves nothing: many phones share one, and one attacker has many.  So nothing is refused for good by it, and
where it isn't known it isn't counted.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from watchword.apps.settings.schema import Network

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

IPV6_PREFIX: Final = 56
"""Bits of an IPv6 address that are counted together.

A subscriber is given a whole prefix, of 64 to 48 bits, and takes any address in it: single addresses, and 64 bits, would
give a home with 56 bits 256 limits.  Of IPv4 the whole address counts: a wider prefix would lump strangers together.
"""

MAX_HOPS: Final = 16
"""Most proxies that are followed back; nobody has more in front of one service."""

FORWARDED: Final = b"x-forwarded-for"
"""The field that is read.

Every common proxy and load balancer adds to it; of ``Forwarded`` (RFC 7239) few do, and a client's own would be handed
on by all others as if they had written it.
"""

_NOT_PUBLIC: Final = tuple(
    map(
        ipaddress.ip_network,
        (
            *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"),
            *("100.64.0.0/10", "::1/128", "fc00::/7", "fe80::/10"),
        ),
    )
)
"""Of loopback, private, shared and local addresses (RFC 1122, 1918, 3927, 6598, 4291, 4193): no phone on the Internet
connects from one, so that it is a proxy's, which all clients would share."""


class ClientAddresses:
    """Find the client's prefix behind the proxies that the file names.

    ``X-Forwarded-For`` is believed from a trusted proxy alone, and read from the right: each proxy adds the address that
    connected to it at the end, so that the first one from there that isn't a trusted proxy's is the client's.  All further
    left is what the client wrote.
    """

    def __init__(self, trusted: Sequence[Network] = ()) -> None:
        """Trust the proxies in these networks, and nobody else."""
        self._trusted = tuple(trusted)

    def prefix(self, peer: str | None, fields: Iterable[tuple[bytes, bytes]]) -> str | None:
        """Return the prefix that a request is counted by, None where no client can be told from another.

        That is so where the address is that of a proxy: a trusted one that named no address that can be read, or one
        that nobody trusts and that isn't public.  Whoever comes through it would be held up by all others.

        :param peer: the address that is connected; None for a Unix socket.
        :param fields: of the request, names in lower case.
        """
        address = _read(peer or "")
        if address is None:
            return None
        if not self._trusts(address):
            return None if _within(address, _NOT_PUBLIC) else _prefix(address)
        values = b",".join(value for name, value in fields if name == FORWARDED)
        for entry in reversed(values.decode("latin-1").rsplit(",", MAX_HOPS)[-MAX_HOPS:]):
            hop = _read(_without_port(entry.strip(" \t")))
            if hop is None:
                return None
            if not self._trusts(hop):
                return _prefix(hop)
        return None

    def _trusts(self, address: Address) -> bool:
        return _within(address, self._trusted)


def _within(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)


def _read(text: str) -> Address | None:
    """Return an address, that of IPv4 where it is one inside of IPv6; None for anything else."""
    if "%" in text:
        return None  # A zone is a name of the machine that wrote it.
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _without_port(entry: str) -> str:
    """Return an address without the port that some load balancers write behind it."""
    if entry.startswith("["):
        host, bracket, port = entry[1:].partition("]")
        return host if bracket and (not port or _is_port(port)) else ""
    host, colon, port = entry.partition(":")
    return host if colon and _is_port(":" + port) else entry


def _is_port(text: str) -> bool:
    return text[:1] == ":" and text[1:].isascii() and text[1:].isdigit()


def _prefix(address: Address) -> str:
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.ip_network((int(address), IPV6_PREFIX), strict=False))
