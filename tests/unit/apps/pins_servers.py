"""Serve TLS on loopback under an authority of our own, as the servers that an operator pins."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import NameOID
from tests.unit.adapters.loopback import end_listening

from watchword.adapters.system import SystemClock

HOST = "api.example.com"


def new_key() -> EllipticCurvePrivateKey:
    """Return a server's key."""
    return generate_private_key(SECP256R1())


def public_pem(key: EllipticCurvePrivateKey) -> bytes:
    """Return the public half as a file has it."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@dataclass
class Authority:
    """Sign certificates for servers."""

    name: str = "An authority of our own"
    key: EllipticCurvePrivateKey = field(default_factory=new_key)

    @cached_property
    def certificate(self) -> x509.Certificate:
        """Return its own certificate."""
        return self._signed(self.name, self.key, [], days=3650, authority=True)

    @property
    def pem(self) -> bytes:
        """Return its own certificate as a file has it."""
        return self.certificate.public_bytes(Encoding.PEM)

    def issue(self, key: EllipticCurvePrivateKey, *hosts: str, days: float = 90) -> bytes:
        """Return a chain for a key, as a server's file has it."""
        leaf = self._signed(hosts[0], key, list(hosts), days=days, authority=False)
        return leaf.public_bytes(Encoding.PEM) + self.pem

    def _signed(
        self,
        name: str,
        key: EllipticCurvePrivateKey,
        hosts: list[str],
        *,
        days: float,
        authority: bool,
    ) -> x509.Certificate:
        now = SystemClock().now()
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(_name(self.name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=100))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if hosts:
            names = x509.SubjectAlternativeName([x509.DNSName(each) for each in hosts])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self.key, SHA256())


class Server:
    """Shake hands with whoever comes, with the certificate of the moment; whatever is sent behind it is kept."""

    def __init__(self, directory: Path) -> None:
        """Listen on a free port."""
        self._directory = directory
        self.context: ssl.SSLContext | None = None
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.received = b""
        self.names: list[str | None] = []
        self.before: Callable[[], None] = lambda: None
        threading.Thread(target=self._serve, daemon=True).start()

    def show(self, key: EllipticCurvePrivateKey, chain: bytes) -> None:
        """Show another certificate from now on."""
        files = self._directory / f"{self.port}.pem", self._directory / f"{self.port}.key"
        files[0].write_bytes(chain)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        files[1].write_bytes(pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*files)
        context.sni_callback = lambda _, name, __: self.names.append(name)
        self.context = context

    def close(self) -> None:
        """Listen no more."""
        end_listening(self._socket)

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                plain, _ = self._socket.accept()
                self.before()
                threading.Thread(target=self._answer, args=(plain,), daemon=True).start()

    def _answer(self, plain: socket.socket) -> None:
        context = self.context
        with suppress(OSError), plain:
            plain.settimeout(10)
            if context is not None:
                with context.wrap_socket(plain, server_side=True) as secured:
                    self.received += secured.recv(1000)


@contextmanager
def server(directory: Path) -> Iterator[Server]:
    """Run a server."""
    running = Server(directory)
    try:
        yield running
    finally:
        running.close()


@contextmanager
def silent() -> Iterator[int]:
    """Take connections and say nothing; give the port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]
