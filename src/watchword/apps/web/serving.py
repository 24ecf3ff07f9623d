"""Serve pages on loopback from a command, until Ctrl-C."""

from collections.abc import Callable
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from watchword.adapters.http_server import HttpServer
from watchword.apps.terminal.process import until_signal
from watchword.apps.web.frame import Access
from watchword.encoding import base64url
from watchword.ports import Entropy

LOOPBACK: Final = "127.0.0.1"
_KEY_BYTES: Final = 24


def new_access(port: int, entropy: Entropy) -> Access:
    """Return fresh keys for the pages on a port."""
    key, csrf = (base64url.encode(entropy.token_bytes(_KEY_BYTES)) for _ in range(2))
    return Access(port, key, csrf)


async def serve_pages(port: int, made: Callable[[int], ASGIApp], ready: Callable[[], None]) -> None:
    """Serve until Ctrl-C or SIGTERM; requests under way are answered.

    :param port: on loopback; 0 takes a free one.
    :param made: makes the application, once the port is known: its guard lets only that one in.
    :param ready: is called once requests are answered.
    :raises ServerAddressError: when the port is taken.
    """
    stop = until_signal()
    late = _Late()
    server = HttpServer(late, host=LOOPBACK, port=port)
    await server.start()
    try:
        late.app = made(server.port)
        ready()
        await stop.wait()
    finally:
        await server.stop()


class _Late:
    """Stand for an application that is made once its port is known; until then nobody is answered."""

    app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.app is not None:
            await self.app(scope, receive, send)
