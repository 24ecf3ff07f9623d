"""Hold back enrolments that come in bulk: by app and by address prefix, in bounded memory.

One genuine phone makes any number of instances, and most evidence doesn't name the phone.  These limits bound how fast:
they delay, and refuse nobody for good.

An address proves nothing: many phones share one, and one attacker has many.  So nothing is refused for good by it, and
where it isn't known it isn't counted.
"""

import ipaddress
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Final, NamedTuple, TypeAlias

from watchword.gate.interface import Rate
from watchword.gate.limits import RateLimiter
from watchword.reasons import Reason, UnavailableError

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

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


class EnrolmentRates(NamedTuple):
    """Hold how many instances may enrol.

    :param address: from one address prefix, over all apps.  A carrier puts thousands of phones behind one address: 100
        of them enrol at once, and 600 an hour.
    :param app: of one app, from all addresses.
    """

    address: Rate = Rate(100, 600)
    app: Rate = Rate(6000, 60)


MAX_PREFIXES: Final = 100_000
"""Most prefixes that are told apart, 20 MB; those beyond share limits (:class:`watchword.gate.rate.RateLimiter`)."""


class EnrolmentLimits:
    """Give each enrolment room by address and app, or send it away until there is some.

    **Fairness.**  A prefix that has enrolled just now shares half of its app's limit with others of its kind; the other
    half is for prefixes that haven't.  So neither one prefix nor many busy ones keep out a phone at an address of its own.

    **What counts** is what enrols.  An enrolment takes its room before its evidence is looked at, and gives it back
    where it fails: neither nonsense nor a policy that refuses everybody uses up a limit.
    """

    def __init__(self, rates: EnrolmentRates, prefixes: int = MAX_PREFIXES) -> None:
        """Begin with all the room there is.

        :param prefixes: most that are told apart.
        """
        self._addresses = RateLimiter(rates.address, prefixes)
        self._apps = RateLimiter(rates.app)
        self._again = RateLimiter(Rate(max(1, rates.app.requests // 2), rates.app.seconds))

    def __len__(self) -> int:
        """Return how many prefixes are held."""
        return len(self._addresses)

    @contextmanager
    def room(self, app: str, address: str | None, now: datetime) -> Iterator[None]:
        """Take room for one enrolment; an exception gives it back.

        :param app: known, since each has limits of its own.
        :param address: the prefix; None where clients can't be told apart by it.
        :raises UnavailableError: ``enrolment.limit``, with the seconds until there is room.
        """
        at = now.timestamp()
        taken = [(self._apps, app)]
        if address is not None:
            if self._addresses.is_spent(address, at):
                taken.append((self._again, app))
            taken.append((self._addresses, address))
        # All are asked before one counts: what is sent away takes nothing of any.
        wait = max(limiter.wait(name, at) for limiter, name in taken)
        if wait:
            raise UnavailableError(
                Reason.ENROLMENT_LIMIT,
                "got more enrolments of one app, or from one address, than there is room for",
                math.ceil(wait),
            )
        for limiter, name in taken:
            limiter.take(name, at)
        try:
            yield
        except BaseException:
            for limiter, name in taken:
                limiter.give_back(name)
            raise
