"""Say where a server is looked at: every address that its name has, or the ones that the operator names."""

import re
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from watchword.adapters.live_chain.faults import LiveChainError

MAX_PLACES: Final = 16
"""Most addresses of a name that are looked at."""

HTTPS: Final = 443
_MAX_PORT: Final = 65535
_RESOLVE_SECONDS: Final = 10
_WHERE: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:]+|[0-9A-Fa-f:]+)(?::([1-9][0-9]{0,4}))?")

Resolver = Callable[[str, int], Sequence[str]]
"""Return the addresses of a name; raises OSError where there are none."""


@dataclass(frozen=True, slots=True)
class Place:
    """Hold where a server is looked at: its name, one address, a port."""

    host: str
    address: str
    port: int = HTTPS

    def __str__(self) -> str:
        """Render as ``address:port``, IPv6 in brackets."""
        return (
            f"[{self.address}]:{self.port}"
            if ":" in self.address
            else f"{self.address}:{self.port}"
        )


def system_resolver(name: str, port: int) -> Sequence[str]:
    """Ask the system, by the order of RFC 6724; see :data:`Resolver`."""
    found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


def parse_resolve(text: str) -> Place:
    """Return what ``HOST=ADDRESS[:PORT]`` says; the address is an IP address, IPv6 in brackets where a port follows.

    :raises ValueError: saying what was got and expected.
    """
    host, _, where = text.partition("=")
    found = _WHERE.fullmatch(where)
    port = int(found[2] or HTTPS) if found else 0
    try:
        address = ip_address(found[1].strip("[]")) if found else None
    except ValueError:
        address = None
    if not host or address is None or not 0 < port <= _MAX_PORT:
        raise ValueError(
            f"got {text[:100]!r}, expected HOST=ADDRESS[:PORT] such as api.example.com=10.0.0.7 or "
            "api.example.com=[::1]:8443"
        )
    return Place(host, str(address), port)


def places_of(
    host: str,
    named: Mapping[str, Sequence[Place]],
    resolver: Resolver = system_resolver,
    seconds: float = _RESOLVE_SECONDS,
) -> tuple[Place, ...]:
    """Return where a server is looked at.

    :param named: by host, the places that the operator names; the resolver isn't asked for those.
    :param seconds: how long the resolver may take.
    :raises LiveChainError: when the name has no address, or nobody says so in time.
    """
    if host in named:
        return tuple(named[host])
    answer: list[Sequence[str] | OSError | UnicodeError] = []

    def ask() -> None:
        try:
            answer.append(resolver(host, HTTPS))
        except (OSError, UnicodeError) as error:
            answer.append(error)

    # The system's resolver knows no deadline; a thread that waits on it doesn't keep the process.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    if not answer:
        raise LiveChainError(f"{host}: got no address within {seconds:g} s")
    found = answer[0]
    if isinstance(found, OSError | UnicodeError):
        why = getattr(found, "strerror", None) or type(found).__name__
        raise LiveChainError(f"{host}: got no address ({why}); --resolve {host}=ADDRESS says where")
    return tuple(Place(host, address) for address in found[:MAX_PLACES])
