"""Stand in for a third party: an HTTPS server of a test authority, a resolver, and a gate in front."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from tests.unit.apps.raw_http import RawApi
from tests.unit.apps.test_middleware import ListedRefusals, StoppedClock
from tests.unit.gate.simulators import PublishedState, published, route

from watchword.adapters.http_server import serve
from watchword.adapters.system import SystemClock
from watchword.adapters.usage import MemoryUsageLedger
from watchword.apps.gateway import WatchwordMiddleware
from watchword.apps.gateway.proxy import Injector, ProxyApp, Timeouts
from watchword.broker.interface import (
    EdgeRule,
    InjectedValue,
    Place,
    PlaceKind,
    SecretValue,
    UsageLedger,
)
from watchword.gate.service import Gate

KEY = "sk-live-4711/ABCdef+xyz=0815"
NAME = "maps.example.net"


@dataclass
class Authority:
    """Be an authority that one rule believes."""

    directory: Path
    key: EllipticCurvePrivateKey = field(default_factory=lambda: generate_private_key(SECP256R1()))

    def __post_init__(self) -> None:
        """Make its own certificate."""
        self.certificate = self._signed("authority", self.key, None)

    @property
    def pem(self) -> str:
        """Return what a rule says of it."""
        return self.certificate.public_bytes(Encoding.PEM).decode()

    def server(self, *names: str) -> ssl.SSLContext:
        """Return the server's side of TLS for these names or addresses."""
        key = generate_private_key(SECP256R1())
        certificate = self._signed(names[0], key, names)
        chain = self.directory / f"{certificate.serial_number}.pem"
        chain.write_bytes(
            certificate.public_bytes(Encoding.PEM)
            + key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        return context

    def _signed(
        self, name: str, key: EllipticCurvePrivateKey, names: Sequence[str] | None
    ) -> x509.Certificate:
        now = SystemClock().now()
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=names is None, path_length=None), critical=True)
        )
        if names is not None:
            alternatives = x509.SubjectAlternativeName([_general(each) for each in names])
            builder = builder.add_extension(alternatives, critical=False)
        return builder.sign(self.key, SHA256())


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@dataclass
class Names:
    """Answer for names from a list, each answer once, the last one for good; implements the port Resolver."""

    answers: dict[str, list[Sequence[str]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def addresses(self, name: str, port: int) -> Sequence[str]:
        """Return the next answer."""
        self.asked.append(name)
        if name not in self.answers:
            raise OSError("no such name")
        known = self.answers[name]
        return known.pop(0) if len(known) > 1 else known[0]


@contextlib.asynccontextmanager
async def listening(api: RawApi, tls: ssl.SSLContext | None) -> AsyncIterator[RawApi]:
    """Let a server listen on a free port of loopback."""
    server = await asyncio.start_server(api.handle, "127.0.0.1", 0, ssl=tls)
    api.port = server.sockets[0].getsockname()[1]
    try:
        yield api
    finally:
        server.close()


def rule(port: int, authority: Authority | None = None, **changes: Any) -> EdgeRule:
    """Return where calls with the key go: a server on loopback."""
    given: dict[str, Any] = {
        "secret": "maps",
        "host": NAME,
        "port": port,
        "patterns": ("/geocode/**",),
        "methods": frozenset({"GET", "POST"}),
        "place": Place(PlaceKind.HEADER, "authorization", "Bearer "),
        "ca": None if authority is None else authority.pem,
        "private": True,
        "seconds": 5.0,
    }
    return EdgeRule(**(given | changes))


@dataclass
class Front:
    """Hold a running proxy that injects keys.

    :ivar sent: of each message that went to the server, and so to the client's transport: its type, how many bytes of a
        body it has, and whether more are to come.
    """

    port: int
    log: ListedRefusals
    state: PublishedState
    ledger: UsageLedger
    names: Names
    injector: Injector
    sent: list[tuple[str, int, bool]] = field(default_factory=list)

    def publish(self, **changes: Any) -> None:
        """Let the service publish another rule."""
        policy = self.state.policy
        edges = {"maps": replace(policy.edges["maps"], **changes)}
        self.state.policy = replace(policy, edges=edges)
        self.state.generation += 1

    def rotate(self, version: int, text: str) -> None:
        """Let the service publish another value."""
        self.state.injections["maps"] = InjectedValue(version, SecretValue(text))
        self.state.generation += 1


@contextlib.asynccontextmanager
async def injection(
    edge: EdgeRule,
    *,
    names: Names | None = None,
    ledger: UsageLedger | None = None,
    clock: Any = None,
    api_port: int = 1,
    timeouts: Timeouts | None = None,
) -> AsyncIterator[Front]:
    """Run gate, proxy and lender on a real server."""
    state = published(route("/maps/**", secret="maps"), route("/v1/**"), edges={edge.secret: edge})
    state.injections["maps"] = InjectedValue(1, SecretValue(KEY))
    log, clock = ListedRefusals(), clock or StoppedClock()
    names = names or Names({NAME: [["127.0.0.1"]]})
    ledger = ledger or MemoryUsageLedger()
    injector = Injector(state, ledger, clock, resolver=names, timeouts=timeouts)
    proxy = ProxyApp(f"http://127.0.0.1:{api_port}", refusal_log=log, injector=injector)
    guarded = WatchwordMiddleware(
        proxy, gate=Gate(state), refusal_log=log, clock=clock, injects=True
    )
    sent: list[tuple[str, int, bool]] = []

    async def heard(scope: Any, receive: Any, send: Any) -> None:
        async def told(message: Any) -> None:
            body = len(message.get("body", b""))
            sent.append((message["type"], body, message.get("more_body", False)))
            await send(message)

        await guarded(scope, receive, told if scope["type"] == "http" else send)

    async with serve(heard) as server:
        yield Front(server.port, log, state, ledger, names, injector, sent)
    await injector.aclose()
    await proxy.aclose()
