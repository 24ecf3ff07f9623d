"""Serve pages on loopback until somebody stops the command."""

import asyncio
import webbrowser
from collections.abc import Callable

from watchword.adapters.http_server import HttpServer
from watchword.adapters.http_server.granian import Application
from watchword.apps.web.access import Access

Opener = Callable[[str], object]
"""Opens an address in a browser."""


async def serve_pages(
    app: Application,
    access: Access,
    stop: asyncio.Event,
    *,
    port: int = 0,
    ready: Callable[[str], None],
    opener: Opener | None = webbrowser.open,
) -> None:
    """Serve pages at 127.0.0.1 until ``stop`` is set.

    :param access: learns the port.
    :param port: 0 takes a free one.
    :param ready: is given the address with its key once it answers.
    :param opener: None opens no browser.
    :raises ServerAddressError: when the port is taken.
    """
    server = HttpServer(app, host="127.0.0.1", port=port)
    await server.start()
    try:
        access.port = server.port
        ready(access.url)
        if opener is not None:
            # Some browsers' starters wait for the browser.
            asyncio.get_running_loop().run_in_executor(None, opener, access.url)
        await stop.wait()
    finally:
        await server.stop()
