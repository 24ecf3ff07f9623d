"""Whoever answers in the place of /authz and isn't the gate of this API opens nothing."""

import contextlib
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from tests.unit.conformance.enforcement_point import TLS_FILES
from tests.unit.conformance.traefik_point import certificates
from tests.unit.engines.envoy.rig import bundle_of, envoy_before_api, route, token
from tests.unit.engines.forward_auth.rig import (
    Rig,
    caddy_before_api,
    nginx_before_api,
    traefik_before_api,
)

from watchword.engines.interface import Endpoint
from watchword.vocabulary import Level, Mode

OTHER = b"Watchword-Api: another\r\n"
CLAIMED = b"Watchword-Instance: forged\r\nWatchword-Level: hardware\r\nWatchword-App: forged\r\n"
ANSWERS = [b"200 OK", b"204 No Content", b"299 Whatever"]


class Yes(socketserver.StreamRequestHandler):
    """Say yes to every question, as any web server does to what it serves."""

    timeout = 20

    def handle(self) -> None:
        """Answer one question."""
        while self.rfile.readline() not in {b"", b"\r\n"}:
            pass
        assert isinstance(self.server, Stranger | TlsStranger)
        self.wfile.write(b"HTTP/1.1 %b\r\n" % self.server.says)
        self.wfile.write(b"Content-Length: 0\r\nConnection: close\r\n\r\n")


class Stranger(socketserver.ThreadingUnixStreamServer):
    """Listen at the path of somebody else."""

    says = b"200 OK\r\n" + OTHER
    daemon_threads = True


class TlsStranger(socketserver.ThreadingTCPServer):
    """Listen at the port of somebody else, with certificates of its own."""

    says = b"200 OK\r\n" + OTHER
    allow_reuse_address = daemon_threads = True


@contextlib.contextmanager
def answering(server: Stranger | TlsStranger) -> Iterator[Stranger | TlsStranger]:
    """Answer questions until the block ends."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _without_gate(rig: Rig) -> str:
    """End /authz; return the path at which it was asked."""
    assert rig.options.authz is not None
    rig.stop_authz()
    Path(rig.options.authz.socket).unlink()
    return rig.options.authz.socket


@pytest.mark.parametrize("before_api", [nginx_before_api, caddy_before_api], ids=["nginx", "caddy"])
def test_a_yes_of_anybody_else_opens_nothing(
    before_api: Callable[[], AbstractContextManager[Rig]],
) -> None:
    """With no name, with another one, with its own twice; nor does a client see what he said."""
    with before_api() as rig:
        assert rig.send(token=token()).status == 200
        rig.api.seen.clear()
        with answering(Stranger(_without_gate(rig), Yes)) as server:
            for status in ANSWERS:
                for named in (b"", OTHER, b"Watchword-Api:\r\n", b"Watchword-Api: clinic-x\r\n"):
                    server.says = status + b"\r\n" + named + CLAIMED
                    server.says = server.says.removesuffix(b"\r\n")
                    for target in (b"/v1/patients", b"/open/x", b"/proved/x"):
                        answer = rig.send(target, token=token())
                        assert (answer.status, answer.slug) == (503, "unavailable"), server.says
        assert rig.api.seen == []


def test_a_yes_of_anybody_else_opens_no_row_of_envoy(tmp_path: Path) -> None:
    """Those that ask Python: a watching row, and one with a version."""
    rows = [
        route("/watched/**", mode=Mode.MONITOR, level=Level.HARDWARE),
        route("/new/**", minimum_versions={"clinic-ios": "2.0"}),
    ]
    path = str(tmp_path / "authz.sock")
    with (
        answering(Stranger(path, Yes)) as server,
        envoy_before_api(tmp_path / "e", bundle_of(rows), authz=Endpoint(socket=path)) as rig,
    ):
        for named in (b"", OTHER, b"Watchword-Api: clinic-x\r\n"):
            server.says = (b"200 OK\r\n" + named + CLAIMED).removesuffix(b"\r\n")
            for target in (b"/watched/1", b"/new/1"):
                # What a client says in the gate's name is no answer of the gate's.
                answer = rig.send(target, b"Watchword-Api: clinic", token=token())
                assert (answer.status, answer.slug) == (503, "unavailable"), server.says
        assert rig.api.seen == []


def test_a_yes_of_another_authority_opens_nothing_at_traefik(tmp_path: Path) -> None:
    """Traefik can't look at the answer: who answers is known by his certificate."""
    with traefik_before_api() as rig:
        assert rig.send(token=token()).status == 200
        rig.api.seen.clear()
        assert rig.options.authz is not None
        rig.stop_authz()
        (tmp_path / "other").mkdir()
        files = certificates(tmp_path / "other")
        certificate, key, _ = (str(files / name) for name in TLS_FILES)
        where = (rig.options.authz.host, rig.options.authz.port)
        with answering(TlsStranger(where, Yes)) as server:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            assert isinstance(server, TlsStranger)
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
            assert rig.send(token=token()).status >= 500
        assert rig.api.seen == []
