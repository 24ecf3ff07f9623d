"""Hold one connection to one pinned address: no resolver, no proxy, and an end in sight for every wait."""

import errno
import os
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

import httpx

from watchword.adapters.drill_wire.origin import AddressError, AddressFault, Origin

_SLICE_SECONDS: Final = 0.05
"""How long a wait may go on after the run was stopped."""

_CHUNK: Final = 64 * 1024
_READ: Final = select.POLLIN
_WRITE: Final = select.POLLOUT

_Value = TypeVar("_Value")


class OutOfTimeError(Exception):
    """Report that an exchange as a whole took longer than it may."""


@dataclass(slots=True)
class Limit:
    """Bound one exchange as a whole: a server that sends a byte a second ends here.

    :param seconds: from now.
    :param stop: once set, no wait goes on.
    """

    seconds: float
    stop: threading.Event
    _until: float = field(init=False)

    def __post_init__(self) -> None:
        """Start the clock."""
        self._until = time.monotonic() + self.seconds

    def left(self) -> float:
        """Return the seconds of the next wait.

        :raises OutOfTimeError: when there are none left.
        :raises KeyboardInterrupt: once the run was stopped.
        """
        if self.stop.is_set():
            raise KeyboardInterrupt
        left = self._until - time.monotonic()
        if left <= 0:
            raise OutOfTimeError
        return min(left, _SLICE_SECONDS)


class Stream:
    """Send and receive bytes; belongs to one thread at a time."""

    def __init__(self, connected: socket.socket) -> None:
        """Take over a connected socket that doesn't block."""
        self._socket = connected
        self.idle_since = 0.0

    def send(self, data: bytes, limit: Limit) -> None:
        """Send all of it; raises OSError when the other side doesn't take it, and as :meth:`Limit.left` does."""
        view = memoryview(data)
        while view:
            rest = view
            sent = self._until(lambda rest=rest: self._socket.send(rest), _WRITE, limit)  # type: ignore[misc]
            view = view[sent:]

    def receive(self, limit: Limit) -> bytes:
        """Return the next bytes, none at the end; raises as :meth:`send` does."""
        return self._until(lambda: self._socket.recv(_CHUNK), _READ, limit)

    def is_quiet(self) -> bool:
        """Tell whether nothing waits to be read: neither the end, nor bytes that no request asked for."""
        if isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            return False
        return not _ready(self._socket, _READ, 0)

    def close(self) -> None:
        """Close the connection, at once."""
        with suppress(OSError):
            self._socket.close()

    def _until(self, operation: Callable[[], _Value], event: int, limit: Limit) -> _Value:
        return until_done(self._socket, operation, event, limit)


def open_stream(origin: Origin, tls: ssl.SSLContext | None, limit: Limit) -> Stream:
    """Connect to the pinned address of an origin, and to nothing else.

    The address goes to the kernel as it stands: it is an IP address (:class:`Origin` holds no other), so that nobody is
    asked where it is.  Under ``https`` the certificate must be the name's.

    :param tls: what certificates are believed; needed under ``https``.
    :raises OSError: when nobody answers, or the certificate doesn't hold (:class:`ssl.SSLError`).
    """
    if origin.scheme == "http":
        return Stream(_connected(origin, limit))
    if tls is None:
        raise ssl.SSLError("no certificates to believe")
    plain = _connected(origin, limit)
    try:
        secured = tls.wrap_socket(plain, server_hostname=origin.name, do_handshake_on_connect=False)
    except BaseException:
        plain.close()
        raise
    try:
        until_done(secured, secured.do_handshake, _READ, limit)
    except BaseException:
        secured.close()
        raise
    return Stream(secured)


def tls_context(ca: Path | None) -> ssl.SSLContext:
    """Return what certificates are believed: the public authorities', or those of one's own file (PEM) alone.

    Nothing is taken from the environment.

    :raises AddressError: with :attr:`AddressFault.CA`, when the file can't be used.
    """
    if ca is None:
        context = httpx.create_ssl_context(trust_env=False)
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(cafile=ca)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or type(error).__name__
            raise AddressError(
                AddressFault.CA, str(ca), why, "a file with certificates as PEM"
            ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def until_done(
    on: socket.socket, operation: Callable[[], _Value], event: int, limit: Limit
) -> _Value:
    """Return what an operation of a socket that doesn't block ends with, waiting for the socket in between."""
    while True:
        try:
            return operation()
        except ssl.SSLWantReadError:
            _wait(on, _READ, limit)
        except ssl.SSLWantWriteError:
            _wait(on, _WRITE, limit)
        except BlockingIOError:
            _wait(on, event, limit)


def _connected(origin: Origin, limit: Limit) -> socket.socket:
    family = socket.AF_INET6 if ":" in origin.address else socket.AF_INET
    plain = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        plain.settimeout(0)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = plain.connect_ex((origin.address, origin.port))
        if code == errno.EINPROGRESS:
            _wait(plain, _WRITE, limit)
            code = plain.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    except BaseException:
        plain.close()
        raise
    if code:
        plain.close()
        raise OSError(code, os.strerror(code))
    return plain


def _wait(on: socket.socket, event: int, limit: Limit) -> None:
    while not _ready(on, event, limit.left()):
        pass


def _ready(on: socket.socket, event: int, seconds: float) -> bool:
    """Tell whether a socket is ready; unlike ``select`` this takes any number of open files."""
    poll = select.poll()
    poll.register(on, event)
    return bool(poll.poll(seconds * 1000))
