"""Serve HTTPS on loopback and remember every byte of a request that arrived."""

import contextlib
import socket
import ssl
import threading
from dataclasses import dataclass, field
from pathlib import Path

from tests.unit.adapters.loopback import end_listening

from watchword.lab.channel_authorities import TlsIdentity

HOST = "localhost"
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nok"
_CHUNK = 65536


@dataclass
class TlsServer:
    """Be an API behind TLS; it keeps connections open, and answers everything.

    :ivar received: the bytes of each connection that came after its handshake.
    :ivar handshakes: connections whose handshake ended well on this side.
    """

    identity: TlsIdentity
    directory: Path
    received: list[bytearray] = field(default_factory=list)
    handshakes: int = 0

    def __post_init__(self) -> None:
        """Listen at a port of the system's choice, and serve in a thread."""
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.show(self.identity)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def show(self, identity: TlsIdentity) -> None:
        """Show this certificate from the next connection on."""
        file = self.directory / f"{id(self)}.pem"
        file.write_bytes(identity.pem)
        self.context.load_cert_chain(file)

    @property
    def url(self) -> str:
        """Return where it is."""
        return f"https://{HOST}:{self.port}/patients"

    def api_keys(self) -> set[str]:
        """Return the API keys that arrived."""
        return {
            line.split(b":", 1)[1].strip().decode()
            for each in list(self.received)
            for line in bytes(each).split(b"\r\n")
            if line.lower().startswith(b"x-api-key:")
        }

    @property
    def size(self) -> int:
        """Return how many bytes of requests arrived."""
        return sum(map(len, list(self.received)))

    def close(self) -> None:
        """Stop, and close every connection."""
        end_listening(self._socket)
        for each in list(self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._socket.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(plain,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, plain: socket.socket) -> None:
        plain.settimeout(10)
        self._open.add(plain)
        try:
            with plain, self.context.wrap_socket(plain, server_side=True) as secured:
                self._open.add(secured)
                self.handshakes += 1
                self._answer(secured)
                self._open.discard(secured)
        except OSError:
            pass  # The client went away, which is what many of these tests are about.
        finally:
            self._open.discard(plain)

    def _answer(self, secured: ssl.SSLSocket) -> None:
        got = bytearray()
        self.received.append(got)
        answered = 0
        while chunk := secured.recv(_CHUNK):
            got += chunk
            # Requests of these tests have no bodies.
            while got.count(b"\r\n\r\n") > answered:
                answered += 1
                secured.sendall(_ANSWER)
