"""Serve an API under pins as docs/pins.md says, turn its server to another key, and stand in between with another authority's certificate."""

import select
import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.machine import patience
from tests.ports import free_port
from tests.system.channel.servers import TlsServer
from tests.unit.engines.envoy.rig import until

from watchword.encoding import base64url
from watchword.lab.channel_authorities import ChannelAuthorities, TlsIdentity

HOST: Final = "pinned.clinic.example"
"""The pinned host; it is this machine for whoever is told so."""

REPORTS_HOST: Final = "reports.clinic.example"
SECTION: Final = f"""\
pins:
  directory: pins
  reports: https://{REPORTS_HOST}:{{reports}}/v1/pins/reports
  hosts:
    {HOST}: {{{{apps: [{{apps}}], mode: enforce}}}}
"""
"""What stands in watchword.yaml for it."""

_AUTHORITIES: Final = ChannelAuthorities(b"watchword sdk tests")
_NGINX: Final = """\
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ }}
http {{
  access_log off;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  http2 on;
  proxy_http_version 1.1;
  proxy_set_header Host $http_host;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {directory}/server.pem;
    ssl_certificate_key {directory}/server.pem;
    location / {{ proxy_pass http://127.0.0.1:{api}; }}
  }}
  server {{
    listen 127.0.0.1:{reports} ssl;
    ssl_certificate {directory}/reports.pem;
    ssl_certificate_key {directory}/reports.pem;
    location = /v1/pins/reports {{ proxy_pass http://127.0.0.1:{service}; }}
  }}
}}
"""
"""The operator's own server: HTTP/2 and HTTP/1.1 over TLS, to the API's gate; and the place where reports go."""

# HTTP/2 (RFC 9113): what a client begins with, and the head and type of the frames that a request begins with.
_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_FRAME_BYTES: Final = 9
_HEADERS: Final = 1
_PROTOCOLS: Final = ["h2", "http/1.1"]

Run = Callable[..., Any]
"""Runs a command of Watchword, and returns its JSON."""


@dataclass
class Between(TlsServer):
    """Stand in between: a proxy that reads what passes, under an authority that the phone was made to trust.

    :ivar upstream: the port of the genuine server, which speaks what it does: HTTP/2 or HTTP/1.1.
    """

    upstream: int = 0

    def told(self, _: Any = None) -> dict[str, Any]:
        """Return how many connections there were, how many requests were read, and the bytes of the last connection."""
        read = [bytes(each) for each in self.received]
        return {
            "connections": self.handshakes,
            "requests": sum(map(_requests, read)),
            "last": read[-1].decode("latin-1") if read else "",
        }

    def _answer(self, secured: ssl.SSLSocket) -> None:
        got = bytearray()
        self.received.append(got)
        trusted = ssl.create_default_context(cadata=_AUTHORITIES.web.root_pem.decode())
        trusted.set_alpn_protocols([secured.selected_alpn_protocol() or _PROTOCOLS[-1]])
        plain = socket.create_connection(("127.0.0.1", self.upstream), timeout=patience(10))
        with plain, trusted.wrap_socket(plain, server_hostname=HOST) as genuine:
            ways = {secured: genuine, genuine: secured}
            while True:
                kept = [each for each in ways if each.pending()]
                for each in kept or select.select(list(ways), [], [])[0]:
                    each.setblocking(False)
                    try:
                        chunk = each.recv(65_536)
                    except ssl.SSLWantReadError:
                        continue  # What came is of TLS itself, such as a ticket.
                    finally:
                        each.settimeout(patience(10))
                    if not chunk:
                        return
                    if each is secured:
                        got += chunk
                    ways[each].sendall(chunk)


def _requests(read: bytes) -> int:
    """Return how many requests were read on a connection."""
    if not read.startswith(_PREFACE):
        return read.count(b" HTTP/1.1\r\n")
    count, at = 0, len(_PREFACE)
    while at + _FRAME_BYTES <= len(read):
        count += read[at + 3] == _HEADERS
        at += _FRAME_BYTES + int.from_bytes(read[at : at + 3])
    return count


class PinnedHost:
    """Hold the pinned server and its pins.

    :ivar url: where it is; ``between``: where the interceptor stands in its place, under the same name.
    :ivar trust: a file with the authorities (PEM) that the phone trusts, the interceptor's among them.
    """

    def __init__(self, directory: Path, run: Run, port: int) -> None:
        """Pin the server's first key and a backup, and publish; nothing runs yet.

        :param run: of the deployment whose watchword.yaml has `SECTION`.
        :param port: where the server will listen.
        """
        self.directory = directory
        self.port = port
        self.url = f"https://{HOST}:{port}"
        self._run = run
        self._keys = 1
        self._releases: dict[str, int] = {}
        self.trust = directory / "trusted.pem"
        web = _AUTHORITIES.web.root_pem
        self.trust.write_bytes(web + _AUTHORITIES.interceptor.root_pem)
        (directory / "web.pem").write_bytes(web)
        self._at = ("--resolve", f"{HOST}=127.0.0.1:{port}", "--cafile", str(directory / "web.pem"))

    def begin(self) -> None:
        """Make the workspace and publish the first set; the server runs."""
        directory, roots = self.directory, self.directory / "roots"
        self._run("pins", "init")
        key = str(directory.parent / "pins" / "pin-key.jwk")
        self._run(
            *("pins", "root", "init", "-d", str(roots), "--keys", "3", "--threshold", "2"),
            *("--pin-key", key),
        )
        self._run("pins", "root", "accept", str(roots / "roots-1.json"))
        self._run("pins", "add", HOST, "--from-live", "--role", "current", *self._at)
        self._pin("backup", "backup")
        # A new deployment, which nobody could report on first.
        self._publish("--force", "--reason", "a test of an SDK")

    def identity(self, label: str = "") -> TlsIdentity:
        """Return key and certificate of the server: those that it shows, or another key's."""
        return _AUTHORITIES.web.server(label or f"key-{self._keys}", [HOST])

    def release(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Return the file that a new version of an ``app`` ships with; the one before isn't supported any more."""
        app = asked["app"]
        if app in self._releases:
            self._run("pins", "release", app, f"{self._releases[app]}.0", "--withdraw")
        number = self._releases[app] = self._releases.get(app, 0) + 1
        file = self.directory / f"release-{app}-{number}.json"
        told = self._run("pins", "release", app, f"{number}.0", "-o", str(file))
        return {"file": file.read_text(encoding="utf-8"), "told": told}

    def plan(self, _: Any = None) -> None:
        """Publish a set that has the next key beside the present one."""
        self._pin(f"key-{self._keys + 1}", "next")
        self._publish()

    def turn(self, _: Any = None) -> None:
        """Have the server show the next key, whatever phones know of it."""
        self._keys += 1
        (self.directory / "server.pem").write_bytes(self.identity().pem)
        self.process.send_signal(signal.SIGHUP)
        until(lambda: self._shown() == self.identity().chain[0], 30)

    def settle(self, _: Any = None) -> None:
        """Publish a set without the key that was shown before; releases without the new one have to fetch it first."""
        self._run("pins", "rotate", HOST, *self._at)
        self._publish("--force", "--reason", "each phone in use has the set with the next key")

    def _publish(self, *options: str) -> None:
        self._run("pins", "publish", *options, *self._at)

    def _pin(self, label: str, role: str) -> None:
        file = self.directory / f"{label}.pub"
        public = self.identity(label).key.public_key()
        file.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        self._run("pins", "add", HOST, "--key", str(file), "--role", role)

    def _shown(self) -> bytes | None:
        """Return the certificate that the server shows to a new connection; None where it shows none."""
        context = ssl.create_default_context(cafile=str(self.directory / "web.pem"))
        try:
            with (
                socket.create_connection(("127.0.0.1", self.port), timeout=patience(5)) as plain,
                context.wrap_socket(plain, server_hostname=HOST) as secured,
            ):
                return secured.getpeercert(binary_form=True)
        except OSError:
            return None

    @contextmanager
    def serving(self, api: int, service: int, reports: int) -> Iterator[None]:
        """Run the server until the block ends, before the gate at ``api``; reports go on to ``service``."""
        (self.directory / "server.pem").write_bytes(self.identity().pem)
        named = _AUTHORITIES.web.server("reports", [REPORTS_HOST])
        (self.directory / "reports.pem").write_bytes(named.pem)
        file = self.directory / "nginx.conf"
        members = {"api": api, "service": service, "reports": reports, "port": self.port}
        file.write_text(_NGINX.format(directory=self.directory, **members), encoding="utf-8")
        nginx = shutil.which("nginx") or "/usr/sbin/nginx"
        log = (self.directory / "error.log").open("ab")
        with log:
            self.process = subprocess.Popen([nginx, "-c", str(file)], stdout=log, stderr=log)
        try:
            until(lambda: self._shown() is not None, 30)
            yield
        finally:
            self.process.terminate()
            self.process.wait(patience(15))


@contextmanager
def pinned(
    directory: Path, run: Run, ports: tuple[int, int, int]
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Serve until the block ends, and give the addresses and what a test may have done.

    :param run: see :class:`PinnedHost`.
    :param ports: of the API's gate, of the service, and where reports are taken.
    """
    host = PinnedHost(directory, run, free_port())
    with host.serving(*ports):
        host.begin()
        shown = _AUTHORITIES.interceptor.server("between", [HOST])
        between = Between(shown, directory, upstream=host.port)
        between.context.set_alpn_protocols(_PROTOCOLS)
        try:
            addresses = {
                "host": HOST,
                "reports_host": REPORTS_HOST,
                "url": host.url,
                "between": f"https://{HOST}:{between.port}",
                "trust": str(host.trust),
            }
            yield (
                addresses,
                {
                    "release": host.release,
                    "plan": host.plan,
                    "turn": host.turn,
                    "settle": host.settle,
                    "shown": lambda _: {
                        "url": [base64url.encode(each) for each in host.identity().chain],
                        "between": [base64url.encode(each) for each in shown.chain],
                    },
                    "between": between.told,
                    "reports": lambda _: run("pins", "reports")["groups"],
                },
            )
        finally:
            between.close()
