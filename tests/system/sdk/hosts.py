"""Be what stands around a deployment: an API that remembers, a network that loses answers, and hosts that behave badly."""

import gzip
import hashlib
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from tests.unit.client.losses import body_of

MOST_SEEN: Final = 10_000
"""Most requests that are remembered, at all hosts together."""

_CHUNK: Final = 65_536


class Seen:
    """Remember which requests reached which host."""

    def __init__(self) -> None:
        """Begin with none."""
        self._lock = threading.Lock()
        self._rows: list[dict[str, Any]] = []

    def add(self, row: dict[str, Any]) -> None:
        """Remember one."""
        with self._lock:
            self._rows = [*self._rows, row][-MOST_SEEN:]

    def rows(self) -> list[dict[str, Any]]:
        """Return all, the oldest first."""
        with self._lock:
            return list(self._rows)

    def forget(self) -> None:
        """Begin anew."""
        with self._lock:
            self._rows = []


class Host(BaseHTTPRequestHandler):
    """Answer every request the same way, and remember it; each host is a subclass."""

    protocol_version = "HTTP/1.1"
    name = ""
    seen: Seen

    def answer(self) -> tuple[int, Mapping[str, str], bytes]:
        """Return status, header fields and body."""
        return 200, {"content-type": "application/json"}, b'{"ok":true}'

    def serve(self) -> None:
        """Read a request, remember it, and answer."""
        self.body = body_of(self)
        self.seen.add(
            {
                "host": self.name,
                "method": self.command,
                "target": self.path,
                "headers": {name.lower(): value for name, value in self.headers.items()},
                "body_bytes": len(self.body),
                "body_sha256": hashlib.sha256(self.body).hexdigest(),
            }
        )
        status, fields, body = self.answer()
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        if "content-length" not in fields:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = serve  # noqa: N815 - names of the standard library.

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


@contextmanager
def served(handler: type[BaseHTTPRequestHandler], **members: Any) -> Iterator[str]:
    """Serve on loopback until the block ends, with these class members; yield the URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type(handler.__name__, (handler,), members))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Upstream(Host):
    """Be the API: it says what reached it; a path that ends in ``/redirect`` leads to another host."""

    elsewhere: str

    def answer(self) -> tuple[int, Mapping[str, str], bytes]:
        """Return what was asked, or where to go instead."""
        path = self.path.partition("?")[0]
        if path.endswith("/redirect"):
            return 307, {"location": f"{self.elsewhere}{path.removesuffix('/redirect')}"}, b""
        told = {"method": self.command, "target": self.path, "body_bytes": len(self.body)}
        return 200, {"content-type": "application/json"}, json.dumps(told).encode()


class Redirecting(Host):
    """Send everybody to another host, and have the method and body kept."""

    elsewhere: str

    def answer(self) -> tuple[int, Mapping[str, str], bytes]:
        """Return where to go."""
        return 307, {"location": self.elsewhere + self.path}, b""


class Portal(Host):
    """Be a captive portal: a page to log in, whatever was asked."""

    def answer(self) -> tuple[int, Mapping[str, str], bytes]:
        """Return the page."""
        return 200, {"content-type": "text/html"}, b"<html><body>Welcome to the Wi-Fi</body></html>"


class Huge(Host):
    """Answer with 70 KB of good JSON."""

    def answer(self) -> tuple[int, Mapping[str, str], bytes]:
        """Return a long text in an object."""
        return 200, {"content-type": "application/json"}, json.dumps({"x": "a" * 70_000}).encode()


class Bomb(Host):
    """Answer with a few bytes that become 100 MB when they are unpacked, though nobody asked for gzip."""

    packed = gzip.compress(b"a" * 100_000_000, 1)

    def answer(self) -> tuple[int, Mapping[str, str], bytes]:
        """Return them."""
        fields = {"content-type": "application/json", "content-encoding": "gzip"}
        return 200, fields, self.packed


class Truncated(Host):
    """Announce more than it sends, and hang up in the middle of the JSON."""

    def answer(self) -> tuple[int, Mapping[str, str], bytes]:
        """Return the beginning."""
        self.close_connection = True
        fields = {"content-type": "application/json", "content-length": "1000"}
        return 200, fields, b'{"challenge":"AAA'


class Busy(Host):
    """Be overloaded for everybody."""

    def answer(self) -> tuple[int, Mapping[str, str], bytes]:
        """Return 503 with a time to come again."""
        body = b'{"type":"urn:watchword:problem:unavailable","status":503}'
        return 503, {"content-type": "application/problem+json", "retry-after": "1"}, body


BAD_HOSTS: Final[Mapping[str, type[Host]]] = {
    "portal": Portal,
    "huge": Huge,
    "bomb": Bomb,
    "truncated": Truncated,
    "busy": Busy,
}
"""Hosts that behave badly by themselves; ``redirecting`` needs to know where to."""


class Relay:
    """Pass connections on byte by byte, and lose answers when it is told to: whoever asked sees the connection end."""

    def __init__(
        self, host: str, port: int, change: Callable[[bytes], bytes] | None = None
    ) -> None:
        """Lead to this address.

        :param change: what becomes of each piece of an answer; nothing if absent.
        """
        self._target = (host, port)
        self._change = change
        self._lock = threading.Lock()
        self._lose = 0
        self._told = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def lose(self, answers: int) -> None:
        """Lose the next answers, after they were given: those to what is asked from now on, not the rest of earlier ones."""
        with self._lock:
            self._lose = answers
            self._told += 1

    def left(self) -> int:
        """Return how many answers are still to be lost."""
        with self._lock:
            return self._lose

    def close(self) -> None:
        """Take no further connection."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                target = socket.create_connection(self._target)
            except OSError:
                client.close()
                continue
            asked = [0]
            ways = [(client, target, False), (target, client, True)]
            for start, end, answers in ways:
                threading.Thread(
                    target=self._pass_on, args=(start, end, asked, answers), daemon=True
                ).start()

    def _pass_on(
        self, start: socket.socket, end: socket.socket, asked: list[int], answers: bool
    ) -> None:
        """Pass on one direction of a connection.

        :param asked: how often this was told to lose answers when the client last sent something.
        """
        with suppress(OSError):
            while data := start.recv(_CHUNK):
                if not answers:
                    with self._lock:
                        asked[0] = self._told
                elif self._loses(asked[0]):
                    break
                elif self._change:
                    data = self._change(data)
                end.sendall(data)
        for each in (start, end):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        if answers:
            start.close()
            end.close()

    def _loses(self, asked: int) -> bool:
        with self._lock:
            if not self._lose or asked != self._told:
                return False
            self._lose -= 1
            return True


class Control(BaseHTTPRequestHandler):
    """Let a test in another language change the deployment: each action is a function of the body's members."""

    protocol_version = "HTTP/1.1"
    actions: Mapping[str, Callable[[Mapping[str, Any]], Any]]

    def do_POST(self) -> None:
        """Carry out the action that the path names, and answer with what it returns, as JSON."""
        sent = self.rfile.read(int(self.headers.get("content-length", "0")))
        action = self.actions.get(self.path.strip("/"))
        try:
            told = None if action is None else action(json.loads(sent or b"{}"))
            status = 404 if action is None else 200
        except (KeyError, TypeError, ValueError, AssertionError) as error:
            status, told = 400, {"error": f"{type(error).__name__}: {error}"}
        body = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


def unchallenged(piece: bytes) -> bytes:
    """Return a piece of an answer without the challenge of a 401.

    Foundation on Linux (swift-corelibs-foundation as of Swift 6.0) ends the process where a challenge has no parameters, and
    waits without end for whom it doesn't know how to answer. The SDK reads none.
    """
    return re.sub(rb"(?i)\r\nwww-authenticate:", b"\r\nx-challenge-omitted:", piece)
