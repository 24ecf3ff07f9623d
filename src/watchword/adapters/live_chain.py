"""Fetch the certificates that a server shows: one TLS handshake, no request."""

import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from watchword.pins.interface import MAX_CHAIN
from watchword.reasons import ExitCode, WatchwordError


class LiveChainError(WatchwordError):
    """Report a server that shows no chain: what was got, where."""

    exit_code = ExitCode.UNAVAILABLE


class AuthoritiesFileError(WatchwordError):
    """Report a file of authorities that can't be used."""

    exit_code = ExitCode.USAGE


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


HANDSHAKE_SECONDS: Final = 5.0
"""How long connecting and the handshake may take together."""

_MAX_BYTES: Final = 512 * 1024
_CHUNK: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class LiveChain:
    """Hold what a server showed at one place, certificates as DER.

    :param sent: as it came, the leaf first.
    :param verified: up to the root that it ends in; empty where it doesn't hold.
    :param fault: why it doesn't hold, None where it does.
    """

    place: Place
    sent: tuple[bytes, ...]
    verified: tuple[bytes, ...]
    fault: str | None = None


def trusted(ca: Path | None) -> ssl.SSLContext:
    """Return a context that believes the platform's authorities, or those of a file (PEM) alone.

    :raises AuthoritiesFileError: when the file can't be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca is None:
        context.load_default_certs()
        return context
    try:
        context.load_verify_locations(cafile=ca)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise AuthoritiesFileError(
            f"{ca}: got {why}, expected a file with certificates as PEM"
        ) from error
    return context


def fetch_chain(
    place: Place, context: ssl.SSLContext, seconds: float = HANDSHAKE_SECONDS
) -> LiveChain:
    """Return the chain that a server shows at a place, under its name (SNI).

    Connects to the address and to nothing else: no proxy, no resolver.  A chain that doesn't hold is fetched once more
    without being believed, so that it can be told what it was.

    :param seconds: for each of the two handshakes, from connecting on.
    :raises LiveChainError: when nobody answers in time, what answers speaks no TLS, or the chain is too long.
    """
    try:
        secured = _handshake(place, context, seconds)
    except ssl.SSLCertVerificationError as error:
        fault = error.verify_message
    else:
        return LiveChain(place, _sent(place, secured), _verified(place, secured))
    anything = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anything.check_hostname = False
    anything.verify_mode = ssl.CERT_NONE
    try:
        secured = _handshake(place, anything, seconds)
    except ssl.SSLCertVerificationError as error:
        raise LiveChainError(f"{place.host} at {place}: {error.verify_message}") from None
    return LiveChain(place, _sent(place, secured), (), fault)


def _handshake(place: Place, context: ssl.SSLContext, seconds: float) -> ssl.SSLObject:
    """Return a connection's TLS state after the handshake; the connection itself is closed.

    :raises ssl.SSLCertVerificationError: when the chain doesn't hold.
    """
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=place.host)
    until = time.monotonic() + seconds
    received = 0
    try:
        with socket.create_connection((place.address, place.port), timeout=seconds) as plain:
            while True:
                try:
                    tls.do_handshake()
                except ssl.SSLWantReadError:
                    _flush(plain, outgoing, until)
                else:
                    # Without its last flight the server would tell its log of a failed handshake.
                    _flush(plain, outgoing, until)
                    return tls
                data = _within(plain, until).recv(_CHUNK)
                received += len(data)
                if not data or received > _MAX_BYTES:
                    got = "the end of the connection" if not data else "a handshake without end"
                    raise LiveChainError(
                        f"{place.host} at {place}: got {got}, expected a TLS handshake"
                    )
                incoming.write(data)
    except ssl.SSLCertVerificationError:
        raise
    except TimeoutError:
        raise LiveChainError(
            f"{place.host} at {place}: got no handshake within {seconds:g} s"
        ) from None
    except ssl.SSLError as error:
        why = (error.reason or "something else").replace("_", " ").lower()
        raise LiveChainError(f"{place.host} at {place}: no TLS handshake: {why}") from None
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise LiveChainError(f"{place.host} at {place}: {why}") from None


def _flush(plain: socket.socket, outgoing: ssl.MemoryBIO, until: float) -> None:
    data = outgoing.read()
    if data:
        _within(plain, until).sendall(data)


def _within(plain: socket.socket, until: float) -> socket.socket:
    """Return the socket, whose next operation ends by then: a server that sends a byte a second ends there too."""
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    plain.settimeout(left)
    return plain


def _sent(place: Place, secured: ssl.SSLObject) -> tuple[bytes, ...]:
    return _chain(place, secured, "get_unverified_chain")


def _verified(place: Place, secured: ssl.SSLObject) -> tuple[bytes, ...]:
    return _chain(place, secured, "get_verified_chain")


def _chain(place: Place, secured: ssl.SSLObject, method: str) -> tuple[bytes, ...]:
    """Return a chain as DER: a method of the object from Python 3.13 on, of what it wraps before."""
    inner: Any = secured if hasattr(secured, method) else getattr(secured, "_sslobj")  # noqa: B009 - no part of its type.
    found = getattr(inner, method)() or ()
    if len(found) > MAX_CHAIN:
        raise LiveChainError(
            f"{place.host} at {place}: got a chain of {len(found)} certificates, expected at most {MAX_CHAIN}"
        )
    return tuple(each if isinstance(each, bytes) else _der(each) for each in found)


def _der(certificate: Any) -> bytes:
    # 2 is ENCODING_DER of the module that `ssl` wraps; its default is PEM.
    data: bytes = certificate.public_bytes(2)
    return data
