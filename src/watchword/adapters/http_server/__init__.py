"""Serve ASGI applications over HTTP/1.1."""

from watchword.adapters.http_server.granian import HttpServer, ServerAddressError, serve

__all__ = ["HttpServer", "ServerAddressError", "serve"]
