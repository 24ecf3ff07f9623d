"""Serve ASGI applications over HTTP/1.1."""

from watchword.adapters.http_server.granian import (
    HttpServer,
    ServerAddressError,
    clear_stale_socket,
    serve,
)

__all__ = ["HttpServer", "ServerAddressError", "clear_stale_socket", "serve"]
