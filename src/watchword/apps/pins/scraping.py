"""Serve metrics to a scraper of this machine, from a thread beside the loop that checks."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

_SECONDS: Final = 5


@contextmanager
def serving(where: tuple[str, int] | None, page: Callable[[], bytes]) -> Iterator[None]:
    """Serve the newest page at ``/metrics`` while the block runs; None serves nothing.

    :raises OSError: when the address can't be listened at.
    """
    if where is None:
        yield
        return

    class Handler(BaseHTTPRequestHandler):
        timeout = _SECONDS
        server_version = "watchword"
        sys_version = ""

        def do_GET(self) -> None:
            """Answer a scrape; before the first check there is nothing to tell."""
            body = page()
            self.send_response(404 if self.path != "/metrics" else 200 if body else 503)
            shown = body if self.path == "/metrics" else b""
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(shown)))
            self.end_headers()
            self.wfile.write(shown)

        def log_message(self, *_: object) -> None:
            """Say nothing: a scrape is no event."""

    server = ThreadingHTTPServer(where, Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
