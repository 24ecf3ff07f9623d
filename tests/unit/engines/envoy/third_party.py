"""Be a third party: a TLS server under an authority of the tests that keeps each request, and answers as told."""

import contextlib
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.unit.apps.pins_servers import Authority, new_key
from tests.unit.engines.envoy.rig import Seen

from watchword.broker.interface import (
    Allowance,
    EdgeRule,
    InjectedValue,
    Place,
    PlaceKind,
    SecretValue,
)

HOST = "maps.example.net"
AUTHORITY = Authority()
GOOD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class ThirdParty(socketserver.ThreadingTCPServer):
    """Serve TLS as a host, on a free port of loopback.

    :ivar seen: what reached it.
    :ivar answer: returns the bytes of an answer; may be replaced.
    :ivar pieces: in place of it, seconds of silence and what is sent behind them.
    """

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        directory: Path,
        *names: str,
        authority: Authority = AUTHORITY,
        address: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        """Listen with a certificate for these names, the host's where none is given."""
        self.seen: list[Seen] = []
        self.connections = 0
        self.answer: Callable[[Seen], bytes] = lambda _: GOOD
        self.pieces: Sequence[tuple[float, bytes]] = ()
        key = new_key()
        files = directory / f"{id(self)}.pem", directory / f"{id(self)}.key"
        files[0].write_bytes(authority.issue(key, *(names or (HOST,))))
        files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*files)
        super().__init__((address, port), _Handler)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def port(self) -> int:
        """Return where it listens."""
        return int(self.server_address[1])

    def close(self) -> None:
        """Listen no more."""
        self.shutdown()
        self.server_close()

    def injected(self, name: bytes = b"authorization") -> list[bytes]:
        """Return each value of a header that reached it."""
        return [value for seen in self.seen for value in seen.values(name)]


class _Handler(socketserver.BaseRequestHandler):
    server: ThirdParty

    def handle(self) -> None:
        self.server.connections += 1
        with contextlib.suppress(OSError):
            secured = self.server.context.wrap_socket(self.request, server_side=True)
            with secured, secured.makefile("rb") as stream:
                while line := stream.readline():
                    self._answer(secured, self._read(line.strip(), stream))

    def _answer(self, secured: ssl.SSLSocket, seen: Seen) -> None:
        if not self.server.pieces:
            secured.sendall(self.server.answer(seen))
        for silence, piece in self.server.pieces:
            time.sleep(silence)
            secured.sendall(piece)

    def _line(self, stream: Any) -> bytes:
        line: bytes = stream.readline()
        if not line:
            raise ConnectionError("cut off in a body")
        return line

    def _read(self, line: bytes, stream: Any) -> Seen:
        fields = []
        while (field := stream.readline().strip()) != b"":
            name, _, value = field.partition(b":")
            fields.append((name.lower(), value.strip()))
        body = stream.read(int(dict(fields).get(b"content-length", b"0")))
        if b"transfer-encoding" in dict(fields):
            while size := int(self._line(stream), 16):
                body += stream.read(size)
                stream.readline()
            while (trailer := stream.readline().strip()) != b"":
                fields.append((b"trailer: " + trailer, b""))
        seen = Seen(line, fields, body)
        self.server.seen.append(seen)
        return seen


def rule(port: int, **changes: Any) -> EdgeRule:
    """Return into which calls a key is injected: GET and POST below /geocode, at a host on loopback."""
    return EdgeRule(
        **{
            "secret": "maps",
            "host": HOST,
            "port": port,
            "patterns": ("/geocode/**", "/tiles/*"),
            "methods": frozenset({"GET", "POST"}),
            "place": Place(PlaceKind.HEADER, "authorization", "Bearer "),
            "ca": AUTHORITY.pem.decode(),
            "private": True,
            "reflects": False,
            **changes,
        }
    )


def value(text: str = "the-key-of-maps", version: int = 1) -> InjectedValue:
    """Return a value that is injected."""
    return InjectedValue(version, SecretValue(text))


def quota(calls: int, seconds: int = 86_400) -> tuple[Allowance, ...]:
    """Return an allowance of calls."""
    return (Allowance(seconds, calls=calls),)
