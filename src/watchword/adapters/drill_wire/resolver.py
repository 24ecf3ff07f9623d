"""Resolve a target once, and decide whether its address may be spoken to."""

import socket
from collections.abc import Callable, Collection, Sequence
from ipaddress import ip_address
from typing import Final

from watchword.adapters.address_kinds import Address, Kind, kind_of
from watchword.adapters.drill_wire.origin import (
    AddressError,
    AddressFault,
    Origin,
    Target,
    parse_target,
    shown,
)

Resolver = Callable[[str, int], Sequence[str]]
"""Return the addresses of a name, best first; raises OSError where there are none."""

_LOCALHOST: Final = "localhost"
_MAX_ADDRESSES: Final = 64


def system_resolver(name: str, port: int) -> Sequence[str]:
    """Ask the system, by the order of RFC 6724; see :data:`Resolver`."""
    # AI_ADDRCONFIG doesn't count loopback as an address, and so may not find this machine on itself.
    flags = 0 if name == _LOCALHOST else socket.AI_ADDRCONFIG
    found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=flags)
    return [str(sockaddr[0]) for *_, sockaddr in found]


def resolve(
    url: str, *, named: Collection[str] = (), resolver: Resolver = system_resolver
) -> Origin:
    """Return where a target is, with the one address that is spoken to from now on; asks the resolver at most once.

    1. The URL is read by :func:`parse_target`.
    2. ``localhost`` must be this machine and nothing else.  Only it and a loopback address are free; a name that happens to
       lead to this machine isn't.
    3. A name that leads to this machine and elsewhere is refused: that is how DNS rebinding looks.
    4. Any address that isn't global and isn't loopback must be among ``named``, each of them, since who holds the name
       chooses.  Multicast, unspecified, broadcast: never.
    5. ``http`` only to loopback or a named address: who is on the way would answer for the target.

    :param named: IP addresses that the operator names (``--address``); one that the name has is taken before others.
    :raises AddressError: with its fault.
    """
    target = parse_target(url)
    addresses = [target.literal] if target.literal is not None else _asked(target, resolver)
    ours = _named(named)
    kinds = {address: kind_of(address) for address in addresses}
    _check(target, kinds, ours)
    pinned = _pinned(target, addresses, ours)
    loopback = kinds[pinned] is Kind.LOOPBACK
    if target.scheme == "http" and not loopback and pinned not in ours:
        raise AddressError(
            AddressFault.PLAIN,
            target.text,
            f"http to {pinned}",
            f"https, or --address {pinned} where the network in between is yours",
        )
    return Origin(
        scheme=target.scheme,
        authority=target.authority,
        name=target.host,
        address=str(pinned),
        port=target.port,
        free=loopback and (target.literal is not None or target.host == _LOCALHOST),
    )


def _asked(target: Target, resolver: Resolver) -> list[Address]:
    """Return the addresses of a name, each once."""
    try:
        texts = list(resolver(target.host, target.port))
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise AddressError(
            AddressFault.UNRESOLVED, target.text, f"no address: {why}", "a name that resolves"
        ) from None
    if not 1 <= len(texts) <= _MAX_ADDRESSES:
        raise AddressError(
            AddressFault.UNRESOLVED,
            target.text,
            f"{len(texts)} addresses",
            f"1 to {_MAX_ADDRESSES}",
        )
    try:
        found = [ip_address(text) for text in texts]
    except ValueError:
        found = []
    # A zone (fe80::1%eth0) is of this machine alone, and the name's owner can't know it.
    if not found or any("%" in text for text in texts):
        raise AddressError(
            AddressFault.UNRESOLVED, target.text, "something that is no address", "IP addresses"
        )
    return list(dict.fromkeys(found))


def _named(named: Collection[str]) -> frozenset[Address]:
    try:
        return frozenset(map(ip_address, named))
    except ValueError:
        got = ", ".join(map(shown, named))
        raise AddressError(
            AddressFault.NAMED, "--address", got, "IP addresses such as 10.0.0.5"
        ) from None


def _check(target: Target, kinds: dict[Address, Kind], ours: frozenset[Address]) -> None:
    """Refuse a target of which any address may not be spoken to."""
    for address, kind in kinds.items():
        if kind is Kind.NOWHERE:
            raise AddressError(
                AddressFault.NOWHERE, target.text, str(address), "the address of one machine"
            )
    loopback = [address for address, kind in kinds.items() if kind is Kind.LOOPBACK]
    others = [address for address in kinds if address not in loopback]
    if others and (loopback or target.host == _LOCALHOST):
        got = ", ".join(map(str, kinds))
        raise AddressError(
            AddressFault.MIXED, target.text, got, "this machine or another, not both by one name"
        )
    for address in others:
        if kinds[address] is Kind.PRIVATE and address not in ours:
            raise AddressError(
                AddressFault.UNNAMED,
                target.text,
                f"{address}, which isn't on the internet",
                f"a global address, or --address {address} if that machine is yours",
            )


def _pinned(target: Target, addresses: Sequence[Address], ours: frozenset[Address]) -> Address:
    """Return the one address of those that may be spoken to."""
    if target.host == _LOCALHOST:
        # Most servers of this machine listen at 127.0.0.1, and not all at ::1 beside it.
        return min(addresses, key=lambda address: address.version)
    return next((each for each in addresses if each in ours), addresses[0])
