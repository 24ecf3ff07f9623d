"""Serve an ASGI application over mutual TLS, and tell it who asks.

Uvicorn's HTTP/1.1 on asyncio's TLS, since granian doesn't hand on the caller's certificate.  What
uvicorn lacks is added here: bounds on the time of a handshake and of the first request, and on how
many handshakes there are at once, since for those anybody finds room.
"""

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import structlog
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from watchword.adapters.http_server.granian import (
    BACKLOG,
    ServerAddressError,
    connections_allowed,
)

HANDSHAKE_SECONDS: Final = 5.0
"""In which a TLS handshake must end, the caller's certificate included."""

FIRST_REQUEST_SECONDS: Final = 10.0
"""In which the first request of a connection must arrive."""

MAX_HEAD_BYTES: Final = 16 * 1024
"""Most bytes of a request's head."""

MAX_CONNECTIONS: Final = 512
"""Above so many connections at once requests are answered with 503."""

MAX_HANDSHAKES: Final = 256
"""Most TLS handshakes at once, some 0.3 MB each, which anybody can begin; whoever comes then takes the oldest one's place.

An honest handshake is through in a few round trips, while a stranger who says nothing keeps his place for as
long as he may: had others to wait for that, some hundred of them would keep out every gate."""

SPARED_SECONDS: Final = 0.5
"""For how long a handshake may go on whoever comes, so that crowds of strangers don't end each honest one too."""

PAUSE_SECONDS: Final = 1.0
"""How long nobody is taken after the system had no descriptor for one more."""

_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

_log = structlog.get_logger()


def peer_names(certificate: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Return the DNS names of a verified certificate, lower case.

    The common name counts only where there is no alternative name of any kind (RFC 6125 section
    6.4.4); a wildcard is a name like any other and stands for nothing else.

    :param certificate: as :meth:`ssl.SSLSocket.getpeercert` gives it.
    """
    if not certificate:
        return ()
    alternatives = certificate.get("subjectAltName", ())
    names = [value for kind, value in alternatives if kind == "DNS"]
    if not alternatives:
        parts = (part for group in certificate.get("subject", ()) for part in group)
        names = [value for kind, value in parts if kind == "commonName"]
    return tuple(name.lower() for name in names)


class _Connection(H11Protocol):
    """Tell the application who asks, and don't wait for a request for ever."""

    def __init__(self, *arguments: Any, peer_state: str, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._peer_state = peer_state
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        names = peer_names(transport.get_extra_info("peercert"))
        self.app_state = {**self.app_state, self._peer_state: names}
        super().connection_made(transport)
        self._patience = self.loop.call_later(FIRST_REQUEST_SECONDS, self._lose_patience)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._patience is not None:
            self._patience.cancel()
        super().connection_lost(exc)

    def _lose_patience(self) -> None:
        # Uvicorn's types say that there always is a scope; before the first request it is None.
        if not self.__dict__.get("scope"):
            self.transport.close()


class MutualTlsServer:
    """Run one application at one address, for callers whose certificate is believed."""

    def __init__(
        self,
        app: Callable[..., Awaitable[None]],
        *,
        tls: ssl.SSLContext,
        peer_state: str,
        host: str = "127.0.0.1",
        port: int = 0,
        handshakes: int = MAX_HANDSHAKES,
    ) -> None:
        """Prepare to listen.

        :param tls: from :func:`server_tls`.
        :param peer_state: under which name of the scope's state the caller's names stand.
        :param port: 0 takes a free one; :attr:`port` tells which after :meth:`start`.
        :param handshakes: most at once.
        """
        self.port = port
        self._host = host
        self._tls = tls
        self._peer_state = peer_state
        self._config = Config(
            app,
            http=_Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            limit_concurrency=MAX_CONNECTIONS,
            h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        )
        self._state = ServerState()
        self._listener: socket.socket | None = None
        self._most_handshakes = handshakes
        self._accepting: asyncio.Task[None] | None = None
        # When each began, in that order.
        self._handshakes: dict[asyncio.Task[None], float] = {}

    @property
    def address(self) -> str:
        """Return where it listens, for people."""
        return f"[{self._host}]:{self.port}" if ":" in self._host else f"{self._host}:{self.port}"

    async def start(self) -> None:
        """Listen.

        :raises ServerAddressError: when the address is taken or not ours to take.
        """
        self._config.load()
        try:
            self._listener = self._bound()
        except OSError as error:
            raise ServerAddressError(f"can't listen at {self.address}: {error.strerror}") from None
        self._accepting = asyncio.create_task(self._accept(self._listener))

    async def stop(self) -> None:
        """Stop listening, end what waits for news, close every connection."""
        listener, self._listener = self._listener, None
        if listener is None or self._accepting is None:
            return
        # First, or who comes at this moment would be taken by nobody and held by us.
        asyncio.get_running_loop().remove_reader(listener.fileno())
        await _end([self._accepting, *self._handshakes])
        listener.close()
        # Before what waits is ended: uvicorn would answer it with a 500, as if something were wrong.
        for connection in list(self._state.connections):
            connection.transport.abort()
        await _end(list(self._state.tasks))

    async def _accept(self, listener: socket.socket) -> None:
        """Take callers for as long as this listens, whatever becomes of one.

        Not asyncio's own server, which has no bound: where descriptors run out it writes a trace for
        each of a hundred attempts, so that a crowd without certificates would fill the log.
        """
        loop = asyncio.get_running_loop()
        while True:
            try:
                caller, _ = await loop.sock_accept(listener)
            except OSError as error:
                # All others are the caller's, who has hung up.
                if error.errno in _EXHAUSTED:
                    self._tell_exhausted(error)
                    await asyncio.sleep(PAUSE_SECONDS)
                continue
            try:
                await self._make_room()
            except asyncio.CancelledError:
                caller.close()
                raise
            task = asyncio.create_task(self._shake_hands(caller))
            self._handshakes[task] = loop.time()
            task.add_done_callback(self._forget)

    async def _make_room(self) -> None:
        """End the oldest handshakes until there is room for one more, none before its time."""
        # Asked each time, since operators may lower a running process's limit (prlimit(2)).
        while len(self._handshakes) >= max(min(self._most_handshakes, connections_allowed()), 1):
            oldest, begun = next(iter(self._handshakes.items()))
            spared = begun + SPARED_SECONDS - asyncio.get_running_loop().time()
            if spared > 0:
                await asyncio.sleep(spared)
            else:
                self._forget(oldest)
                oldest.cancel()

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._handshakes.pop(task, None)

    def _tell_exhausted(self, error: OSError) -> None:
        # A log that can't be written ends neither.
        with contextlib.suppress(OSError, ValueError):
            _log.warning("no caller taken", listen=self.address, error=error.strerror)

    async def _shake_hands(self, caller: socket.socket) -> None:
        """Let a caller in whose certificate is believed; others are hung up on."""
        connection = partial(
            _Connection,
            config=self._config,
            server_state=self._state,
            app_state={},
            peer_state=self._peer_state,
        )
        with contextlib.suppress(OSError):
            await asyncio.get_running_loop().connect_accepted_socket(
                connection, caller, ssl=self._tls, ssl_handshake_timeout=HANDSHAKE_SECONDS
            )

    def _bound(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        # Connections inherit the protocol, and asyncio turns Nagle's algorithm off only where it says TCP: an answer in
        # two pieces, head and body, would wait 40 ms for the caller's delayed acknowledgement.
        bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind((self._host, self.port))
            bound.listen(BACKLOG)
            bound.settimeout(0)
        except OSError:
            bound.close()
            raise
        self.port = bound.getsockname()[1]
        return bound


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel tasks, and return when they have ended, however they did."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
