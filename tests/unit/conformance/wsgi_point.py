"""Be the WSGI middleware in a server of its own, which tests start and kill.

``python -m tests.unit.conformance.wsgi_point 8000 DIR http://127.0.0.1:PORT [STORE]`` is granian's; gunicorn calls
:func:`guarded` by its name.
"""

import asyncio
import functools
import hashlib
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from urllib.parse import quote_from_bytes

from granian import Granian
from granian.constants import Interfaces
from tests.unit.conformance.enforcement_point import gate

from watchword.apps.gateway import WatchwordWsgiMiddleware
from watchword.apps.gateway.wsgi import Environ, StartResponse
from watchword_conformance.requests import LABEL_HEADER
from watchword_conformance.runner import Target, send
from watchword_conformance.upstream import CONTROL, MARK, Seen


class WsgiEcho:
    """Be the application behind the middleware: report what it saw to the conformance upstream."""

    def __init__(self, upstream: Target) -> None:
        """Report to ``upstream``."""
        self._upstream = upstream

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        try:
            body = _body(environ)
        except OSError:
            # Crooked chunks on a route whose body the gate doesn't read: nobody may take them for a body.
            start_response("400 Bad Request", [("Content-Length", "0")])
            return []
        headers = [[name, value] for name, value in _fields(environ)]
        label = next((v for n, v in headers if n.lower() == LABEL_HEADER.lower()), "")
        seen = Seen(
            label,
            environ["REQUEST_METHOD"],
            _target(environ),
            headers,
            hashlib.sha256(body).hexdigest(),
        )
        report = json.dumps(asdict(seen)).encode()
        head = (
            f"POST {CONTROL}record HTTP/1.1\r\nHost: upstream\r\nConnection: close\r\n"
            f"Content-Length: {len(report)}\r\n\r\n"
        )
        asyncio.run(send(self._upstream, head.encode() + report, "POST"))
        start_response(
            "200 OK",
            [
                ("Content-Type", "application/json"),
                (MARK, "1"),
                ("Content-Length", str(len(report))),
            ],
        )
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [report]


def _body(environ: Environ) -> bytes:
    """Read a body as frameworks do: to its end where the server sets one, else as long as it says."""
    stream = environ["wsgi.input"]
    if environ.get("wsgi.input_terminated"):
        return bytes(stream.read())
    return bytes(stream.read(int(environ.get("CONTENT_LENGTH") or 0)))


def _fields(environ: Environ) -> Iterable[tuple[str, str]]:
    for variable, value in environ.items():
        if variable.startswith("HTTP_"):
            yield variable.removeprefix("HTTP_").replace("_", "-"), value
    for variable in ("CONTENT_LENGTH", "CONTENT_TYPE"):
        if environ.get(variable):
            yield variable.replace("_", "-"), environ[variable]


def _target(environ: Environ) -> str:
    """Return the target as received where the server tells it, else one that means the same."""
    for variable in ("RAW_URI", "REQUEST_URI"):
        if variable in environ:
            return str(environ[variable])
    path = quote_from_bytes(environ["PATH_INFO"].encode("latin-1"), "/!$&'()*+,;=:@")
    query = environ["QUERY_STRING"]
    return f"{path}?{query}" if query else path


def guarded(
    directory: str, upstream: str, store: str | None, *_target: str
) -> WatchwordWsgiMiddleware:
    """Return the guarded application."""
    return WatchwordWsgiMiddleware(WsgiEcho(Target.of(upstream)), gate=gate(Path(directory), store))


def main() -> None:
    """Start as the command line says."""
    port, directory, upstream, *store = sys.argv[1:]
    server = Granian(
        "guarded",
        port=int(port),
        interface=Interfaces.WSGI,
        blocking_threads=8,
        log_enabled=False,
    )
    made = functools.partial(guarded, directory, upstream, store[0] if store else None)
    server.serve(target_loader=made)


if __name__ == "__main__":
    main()
