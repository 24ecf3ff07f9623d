"""Serve ASGI applications with granian, embedded in the running event loop.

Granian, because it survives what brings others down: half-open connections are dropped after
five seconds (uvicorn has no such limit and never recovers from 400 of them).  What it lets
through all the same (duplicate Host, ambiguous framing, large headers) the gate refuses.

Several servers run side by side in one loop.  At the interpreter's exit granian's runtime may
panic on stderr ("panic in a function that cannot unwind"): a program that stopped its servers
cleanly should leave by ``os._exit``.
"""

import asyncio
import contextlib
import errno
import os
import resource
import socket
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from watchword.adapters.unix_socket import SocketPath
from watchword.reasons import WatchwordError

Application = Callable[..., Awaitable[None]]

HEADER_TIMEOUT_MS = 5000
"""Milliseconds in which the head of a request must arrive; a slower sender is cut off."""

BACKLOG = 1024
"""Connections that wait for accept in the kernel."""

MAX_CONNECTIONS = 8192
"""Most connections of one server at once, some 12 kB each; more wait in the kernel.

Phones keep theirs open for a while: granian's own default, the backlog's length, let a thousand idle
ones keep everybody else out for :data:`HEADER_TIMEOUT_MS`.
"""

READY_SECONDS = 5.0
"""Longest wait for a server to answer its first connection."""

_SOCKET_MODE = 0o600
_SPARED_DESCRIPTORS = 64
_POLL_SECONDS = 0.01


class ServerAddressError(WatchwordError):
    """Report that a server can't listen where it should; the text names the address and why."""


class HttpServer:
    """Run one application at one address.

    :ivar address: ``host:port`` or ``unix:PATH``, for people.
    """

    def __init__(
        self,
        app: Application,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        uds: Path | None = None,
        websockets: bool = False,
        tls: tuple[Path, Path, Path] | None = None,
    ) -> None:
        """Prepare to listen at ``host`` and ``port``, or at the Unix socket ``uds``.

        :param port: 0 takes a free one; :attr:`port` tells which after :meth:`start`.
        :param uds: is made with mode 0600, so that only this user can connect.
        :param websockets: whether handshakes reach the application as ``websocket`` scopes.
        :param tls: certificate, its key, and the CA of those who may connect, all PEM; None for
            plain HTTP.
        """
        self._app = app
        self._host = host
        self.port = port
        self._uds = uds
        self._socket_path: SocketPath | None = None
        self._websockets = websockets
        self._tls = tls
        self._server: Any = None
        self._task: asyncio.Task[None] | None = None
        self._holder: socket.socket | None = None

    @property
    def address(self) -> str:
        """Return where it listens, for people."""
        if self._uds is not None:
            return f"unix:{self._uds}"
        return f"[{self._host}]:{self.port}" if ":" in self._host else f"{self._host}:{self.port}"

    async def start(self) -> None:
        """Listen, and return when the first connection would be served.

        :raises ServerAddressError: when the address is taken or not ours to take.
        """
        self._claim_address()
        try:
            await self._start_granian()
        except BaseException:
            self._let_address_go()
            raise

    async def _start_granian(self) -> None:
        certificate, key, client_ca = self._tls or (None, None, None)
        self._server = Server(
            self._app,
            # Granian knows no names; what is held has the address of `localhost`.
            address=self._host if self._holder is None else self._holder.getsockname()[0],
            port=self.port,
            uds=self._uds,
            interface=Interfaces.ASGINL,
            http=HTTPModes.http1,
            http1_settings=HTTP1Settings(header_read_timeout=HEADER_TIMEOUT_MS),
            websockets=self._websockets,
            backlog=BACKLOG,
            backpressure=connections_allowed(),
            log_enabled=False,
            ssl_cert=certificate,
            ssl_key=key,
            ssl_ca=client_ca,
            ssl_client_verify=self._tls is not None,
        )
        self._server.uds_permissions = _SOCKET_MODE
        if self._socket_path is not None:
            # granian resolves the path that it is given, which may make it too long again.
            self._server.bind_uds = self._socket_path.usable
        # Between bind and chmod the socket would be open to others; the mask closes the gap.
        mask = os.umask(0o177) if self._uds is not None else None
        try:
            self._task = asyncio.create_task(self._server.serve())
            # One turn of the loop binds; the mask is the process's, so it is given back at once.
            await asyncio.sleep(0)
        finally:
            if mask is not None:
                os.umask(mask)
        await self._until_ready()

    async def stop(self) -> None:
        """Stop listening, let running requests end, and return when they have."""
        if self._task is None:
            return
        self._server.stop()
        task, self._task = self._task, None
        await task
        self._let_address_go()

    def _claim_address(self) -> None:
        """Take the address before granian does.

        Granian binds with SO_REUSEPORT, so that two of its servers would share a port in silence
        and answer in each other's name.  A socket that is bound without it finds every other one;
        it then lets granian join and holds the port, without listening, until the end.
        """
        if self._uds is not None:
            try:
                self._socket_path = SocketPath(self._uds)
            except OSError as error:
                raise ServerAddressError(_explain(self.address, error)) from None
            clear_stale_socket(self._uds, self._socket_path.usable)
            return
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        holder = socket.socket(family, socket.SOCK_STREAM)
        try:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.bind((self._host, self.port))
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        except OSError as error:
            holder.close()
            raise ServerAddressError(_explain(self.address, error)) from None
        self.port = holder.getsockname()[1]
        self._holder = holder

    def _let_address_go(self) -> None:
        if self._holder is not None:
            self._holder.close()
            self._holder = None
        if self._uds is not None:
            self._uds.unlink(missing_ok=True)
        if self._socket_path is not None:
            self._socket_path.close()

    async def _until_ready(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + READY_SECONDS
        while loop.time() < deadline:
            assert self._task is not None
            if self._task.done():
                error = self._task.exception()
                self._task = None
                raise ServerAddressError(f"can't listen at {self.address}: {error}") from None
            if await self._answers():
                return
            await asyncio.sleep(_POLL_SECONDS)
        await self.stop()
        raise ServerAddressError(f"nothing answers at {self.address} after {READY_SECONDS} s")

    async def _answers(self) -> bool:
        try:
            if self._socket_path is not None:
                path = self._socket_path.usable
                _, writer = await asyncio.open_unix_connection(path)
            else:
                _, writer = await asyncio.open_connection(self._host, self.port)
        except OSError:
            return False
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return True


def connections_allowed() -> int:
    """Return how many connections one server of this process takes at once.

    Some of the process's descriptors are left over for the store, vendors and upstreams, which else could do
    nothing while a crowd holds the rest.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return min(MAX_CONNECTIONS, max(soft - _SPARED_DESCRIPTORS, soft // 2))


@contextlib.asynccontextmanager
async def serve(app: Application, **where: Any) -> AsyncIterator[HttpServer]:
    """Serve an application for the length of a ``with`` block; arguments as :class:`HttpServer`."""
    server = HttpServer(app, **where)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def clear_stale_socket(path: Path, usable: Path) -> None:
    """Remove a socket file that a dead process left.

    :param usable: the same file by a path that is short enough to connect to.
    :raises ServerAddressError: for anything that isn't one, or lives.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ServerAddressError(f"can't listen at unix:{path}: the file there is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(usable))
        except OSError:
            path.unlink(missing_ok=True)
            return
    raise ServerAddressError(f"can't listen at unix:{path}: another process does")


def _explain(address: str, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"can't listen at {address}: the address is taken by another process"
    return f"can't listen at {address}: {error.strerror}"
