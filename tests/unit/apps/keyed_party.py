"""Be a third party behind TLS that bills whoever shows its key: it answers, repeats what it was sent, breaks off, lies."""

import contextlib
import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from watchword.lab.channel_authorities import ChannelAuthorities

HOST = "localhost"
AUTHORITIES = ChannelAuthorities(b"watchword third party of tests")


@dataclass
class KeyedParty:
    """Hold what it takes for good, and what it was asked.

    :ivar keys: by header in lower case, the values that it takes.
    Who asks for ``text/plain`` is told the target of the request.

    :ivar talkative: whether it tells what it was sent, key and all, who asks for ``message/http``.
    :ivar asked: method, path and headers of each call that came with a good key.
    """

    keys: dict[str, set[str]] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    refused: int = 0
    port: int = 0
    talkative: bool = False

    @property
    def origin(self) -> str:
        """Return where it is."""
        return f"https://{HOST}:{self.port}"

    def knows(self, headers: dict[str, str]) -> bool:
        """Tell whether one of its keys was shown."""
        return any(headers.get(name) in values for name, values in self.keys.items())


class _Handler(BaseHTTPRequestHandler):
    """Answer any method, by the last segment of the path."""

    protocol_version = "HTTP/1.1"
    party: KeyedParty

    def __getattr__(self, name: str) -> Any:
        """Return what the standard library looks for by a method's name."""
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def _answer(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.rfile.read(int(headers.get("content-length", "0")))
        if not self.party.knows(headers):
            self.party.refused += 1
            self._send(403, {"error": "no such key"})
            return
        self.party.asked.append((self.command, self.path, headers))
        if self.party.talkative and headers.get("accept") == "message/http":
            self._send(200, headers)
            return
        if headers.get("accept") == "text/plain":
            self._repeat_target()
            return
        keys = {key for values in self.party.keys.values() for key in values}
        shown = keys.intersection(headers.values())
        match self.path.partition("?")[0].rpartition("/")[2]:
            case "leak":
                self._send(200, headers)
            case "leak-header":
                self._send(200, {}, ("X-Debug", " ".join(headers.values())))
            case "redirect":
                self._send(302, {}, ("Location", f"https://127.0.0.1:1/?k={min(shown)}"))
            case "drop":
                self.send_response(200)
                self.send_header("Content-Length", "100000")
                self.end_headers()
                self.wfile.write(b"begun")
                self.close_connection = True
            case "malformed":
                self.wfile.write(
                    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n"
                )
                self.close_connection = True
            case "crash":
                self.close_connection = True
            case "fail":
                self._send(500, {"error": "out of order"})
            case _:
                self._send(200, {name: each for name, each in headers.items() if each not in keys})

    def _repeat_target(self) -> None:
        """Answer with what was asked for at the end, in one chunk."""
        text = f"you asked for {self.path}".encode("latin-1")
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(text), text))

    def _send(self, status: int, body: dict[str, str], *more: tuple[str, str]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in more:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Stay quiet."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Stay quiet: who closes early is no fault of the test."""


@contextlib.contextmanager
def keyed_party(directory: Path, keys: dict[str, set[str]]) -> Iterator[KeyedParty]:
    """Run one; its authority is ``third-ca.pem`` in the directory."""
    identity, authority = directory / "third.pem", directory / "third-ca.pem"
    identity.write_bytes(AUTHORITIES.web.server("third", [HOST]).pem)
    authority.write_bytes(AUTHORITIES.web.root_pem)
    party = KeyedParty(keys)
    handler = type("Handler", (_Handler,), {"party": party})
    server = _Server(("127.0.0.1", 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity)
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    party.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield party
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
