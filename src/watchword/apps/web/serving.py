"""Serve pages on loopback from a command, until Ctrl-C."""

import socket
from collections.abc import Callable
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from watchword.apps.web.frame import Access
from watchword.encoding import base64url
from watchword.ports import Entropy
from watchword.reasons import ExitCode, WatchwordError

LOOPBACK: Final = "127.0.0.1"
_KEY_BYTES: Final = 24
_BACKLOG: Final = 64
_MOST_REQUESTS: Final = 200


class PortError(WatchwordError):
    """Report a port that can't be had."""

    exit_code = ExitCode.UNAVAILABLE


def loopback(port: int) -> socket.socket:
    """Return a socket that listens on this machine alone.

    :param port: 0 takes a free one.
    :raises PortError: when it is taken.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((LOOPBACK, port))
    except OSError as error:
        listening.close()
        raise PortError(
            f"port {port} of {LOOPBACK} can't be had: {error.strerror}; name another with --port, or leave it out"
        ) from None
    listening.listen(_BACKLOG)
    return listening


def new_access(port: int, entropy: Entropy) -> Access:
    """Return fresh keys for the pages on a port."""
    key, csrf = (base64url.encode(entropy.token_bytes(_KEY_BYTES)) for _ in range(2))
    return Access(port, key, csrf)


def serve(app: ASGIApp, listening: socket.socket, ready: Callable[[], None]) -> None:
    """Serve until Ctrl-C or SIGTERM; requests under way are answered.

    :param ready: is called once requests are answered.
    """
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=_MOST_REQUESTS,
        timeout_graceful_shutdown=3,
        h11_max_incomplete_event_size=32 * 1024,
        ws="none",
    )
    _Server(config, ready).run(sockets=[listening])


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()
