"""Be machines on loopback: one that is attacked, and others that nobody may speak to."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from watchword.adapters.drill_wire import Origin, Resolver
from watchword.adapters.system import SystemClock

PATIENCE = 10.0
Talk = Callable[[bytes, socket.socket], bytes | None]
"""Answer a request, of which all bytes up to the end of its head are given; None hangs up."""


def ok(body: bytes = b"ok", *headers: str, status: str = "200 OK") -> bytes:
    """Return a whole answer as bytes."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@dataclass
class Machine:
    """Hold what a machine saw.

    :ivar heads: each request's bytes up to the empty line.
    :ivar bodies: what came behind the heads, by the length that they name.
    :ivar names: that TLS clients asked for.
    """

    host: str
    port: int
    answer: bytes | Talk
    connections: int = 0
    heads: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Return it as a person writes it."""
        return f"http://{self.host}:{self.port}"

    def origin(self, name: str | None = None, scheme: str = "http") -> Origin:
        """Return it under a name, pinned."""
        name = name or self.host
        return Origin(scheme, f"{name}:{self.port}", name, self.host, self.port)

    def talk(self, connection: socket.socket) -> None:
        """Answer every request of one connection."""
        waiting = b""
        while True:
            while b"\r\n\r\n" not in waiting:
                piece = connection.recv(65536)
                if not piece:
                    return
                waiting += piece
            head, _, waiting = waiting.partition(b"\r\n\r\n")
            head += b"\r\n\r\n"
            length = _length(head)
            while len(waiting) < length:
                waiting += connection.recv(65536)
            self.heads.append(head)
            self.bodies.append(waiting[:length])
            waiting = waiting[length:]
            said = self.answer(head, connection) if callable(self.answer) else self.answer
            if said is None:
                return
            connection.sendall(said)


def _length(head: bytes) -> int:
    _, found, rest = head.lower().partition(b"\r\ncontent-length: ")
    return int(rest.split(b"\r\n")[0]) if found else 0


@contextlib.contextmanager
def machine(
    answer: bytes | Talk = ok(),  # noqa: B008 - bytes don't change.
    host: str = "127.0.0.1",
    port: int = 0,
    tls: ssl.SSLContext | None = None,
) -> Iterator[Machine]:
    """Let a machine listen; loopback has many addresses, so that there can be several."""
    listener = socket.create_server((host, port), backlog=64)
    listener.settimeout(0.02)
    found = Machine(host, listener.getsockname()[1], answer)
    over = threading.Event()
    threads: list[threading.Thread] = []
    if tls is not None:
        tls.sni_callback = lambda _socket, name, _context: found.names.append(name)

    def serve(plain: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            stack.callback(plain.close)
            plain.settimeout(PATIENCE)
            connection = plain
            if tls is not None:
                connection = tls.wrap_socket(plain, server_side=True)
                stack.callback(connection.close)
            found.talk(connection)

    def listen() -> None:
        while not over.is_set():
            try:
                plain, _ = listener.accept()
            except TimeoutError:
                continue
            found.connections += 1
            threads.append(threading.Thread(target=serve, args=(plain,)))
            threads[-1].start()

    threads.append(threading.Thread(target=listen))
    threads[0].start()
    try:
        yield found
    finally:
        over.set()
        for thread in threads:
            thread.join(PATIENCE)
        listener.close()


@contextlib.contextmanager
def bystander(port: int = 0) -> Iterator[Machine]:
    """Be another host: at the end of the test nobody may have connected to it."""
    with machine(host="127.0.0.2", port=port) as other:
        yield other
        # Whoever connected is in the backlog by now, and is counted within one round.
        threading.Event().wait(0.05)
    assert other.connections == 0, other.heads


@contextlib.contextmanager
def neighbours() -> Iterator[tuple[Machine, Machine]]:
    """Be a machine and a bystander at the same port: at another one where somebody else of this computer has it there."""
    with contextlib.ExitStack() as stack:
        while True:
            target = stack.enter_context(machine())
            with contextlib.suppress(OSError):
                other = stack.enter_context(bystander(target.port))
                break
        yield target, other


def resolving(**names: Sequence[str]) -> Resolver:
    """Return a resolver that knows these names, dots written as underscores."""
    known = {name.replace("_", "."): addresses for name, addresses in names.items()}

    def resolved(name: str, port: int) -> Sequence[str]:
        if name not in known:
            raise OSError(-2, "Name or service not known")
        return known[name]

    return resolved


def certified(directory: Path, *names: str) -> tuple[ssl.SSLContext, Path]:
    """Return a server's side of TLS for these names, and the file of the one authority that knows it."""
    key = generate_private_key(SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = SystemClock().now()
    known = [
        x509.IPAddress(ip_address(name)) if name[0].isdigit() else x509.DNSName(name)
        for name in names
    ]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(known), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    chain, private = directory / f"{names[0]}.pem", directory / f"{names[0]}.key"
    chain.write_bytes(certificate.public_bytes(Encoding.PEM))
    private.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, private)
    return context, chain
