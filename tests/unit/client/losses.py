"""Lose answers after an API carried a request out, over real connections, and send by the transport that signs."""

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import httpx
from tests.unit.client.simulators import AUDIENCE, problem

from watchword.client import (
    AsyncWatchwordTransport,
    WatchwordAuth,
    WatchwordClient,
    WatchwordTransport,
)

Send = Callable[..., httpx.Response]


@dataclass
class LosingApi:
    """Be gate and API behind a proxy that loses answers after the API carried the request out.

    :ivar gate: answers 200 to what it lets in.
    :ivar lost: how many answers are still to be lost.
    :ivar repeats: the proxy sends a request whose answer was lost again by itself, as it came.
    :ivar by_length: the gate refuses bodies without a length.
    :ivar done: how often each request was carried out; those with one ``Idempotency-Key`` are one.
    """

    gate: Callable[[httpx.Request], httpx.Response]
    lost: int = 1
    repeats: bool = False
    by_length: bool = False
    answer: Callable[[httpx.Request], httpx.Response | None] = lambda _request: None
    done: Counter[str] = field(default_factory=Counter)
    bodies: list[bytes] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, request: httpx.Request) -> httpx.Response | None:
        """Return the answer that comes through; None where it is lost."""
        with self.lock:
            answer = self.carried_out(request)
            if answer.status_code != 200 or not self.lost:
                return answer
            self.lost -= 1
            return self.carried_out(request) if self.repeats else None

    def carried_out(self, request: httpx.Request) -> httpx.Response:
        """Ask the gate, and carry out what it lets in."""
        if self.by_length and "transfer-encoding" in request.headers:
            return problem("length-required", 411)
        answer = self.gate(request)
        if answer.status_code == 200:
            answer = self.answer(request) or answer
            key = request.headers.get("idempotency-key")
            name = f"{request.method} {request.url.path}"
            if key is None:
                self.done[name] += 1
            else:
                self.done[f"{name} {key}"] = 1
            self.bodies.append(request.content)
        return answer


def body_of(handler: BaseHTTPRequestHandler) -> bytes:
    """Return the body of a request that is served, whichever way it comes."""
    if "transfer-encoding" not in handler.headers:
        return handler.rfile.read(int(handler.headers.get("content-length", "0")))
    body = b""
    while length := int(handler.rfile.readline(), 16):
        body += handler.rfile.read(length)
        handler.rfile.readline()
    handler.rfile.readline()
    return body


class _Handler(BaseHTTPRequestHandler):
    """Serve one losing API over real connections."""

    protocol_version = "HTTP/1.1"
    api: ClassVar[LosingApi]

    def do_GET(self) -> None:
        """Hand the request to the API; where there is no answer, close the connection."""
        answer = self.api(
            httpx.Request(
                self.command,
                f"http://{self.headers['host']}{self.path}",
                headers=list(self.headers.items()),
                content=body_of(self),
            )
        )
        if answer is None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response_only(answer.status_code)
        for name, value in answer.headers.items():
            if name not in {"content-length", "transfer-encoding"}:
                self.send_header(name, value)
        self.send_header("content-length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - the standard library looks for these names.

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


@contextmanager
def served(api: LosingApi) -> Iterator[str]:
    """Serve an API on loopback until the block ends; yield its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"api": api}))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def plain(transport: Any) -> Any:
    """Add no retries."""
    return transport


def sender(
    client: WatchwordClient,
    url: str,
    *,
    asynchronous: bool,
    audience: str = AUDIENCE,
    above: Callable[[Any], Any] = plain,
    below: Callable[[Any], Any] = plain,
    follow_redirects: bool = False,
    **settings: Any,
) -> Send:
    """Return what sends one request by the transport that signs, with a client of its own kind."""
    auth = WatchwordAuth(client, audience, **settings)
    options: dict[str, Any] = {"base_url": url, "follow_redirects": follow_redirects}

    def send(method: str, path: str, **request: Any) -> httpx.Response:
        transport = above(WatchwordTransport(auth, below(httpx.HTTPTransport())))
        with httpx.Client(transport=transport, **options) as http:
            return http.request(method, path, **request)

    def send_async(method: str, path: str, **request: Any) -> httpx.Response:
        async def run() -> httpx.Response:
            transport = above(AsyncWatchwordTransport(auth, below(httpx.AsyncHTTPTransport())))
            async with httpx.AsyncClient(transport=transport, **options) as http:
                return await http.request(method, path, **request)

        return asyncio.run(run())

    return send_async if asynchronous else send
