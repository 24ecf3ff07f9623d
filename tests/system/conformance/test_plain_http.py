"""Ask each listener in the ways that could lead around it: in HTTP/2, by an upgrade to it, and to be sent elsewhere."""

import socket
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.unit.apps.service_process import configuration, running, upstream
from tests.unit.conformance.enforcement_points import ENFORCEMENT_POINTS, deployed

ENGINES = ("caddy", "envoy", "haproxy", "nginx", "nginx-authz")
LISTENERS = ("service", "proxy", *ENGINES)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
"""How a client begins that knows the server to speak HTTP/2: its preface and an empty SETTINGS frame (RFC 9113 section 3.4)."""

UPGRADE = (
    b"GET /v1/a HTTP/1.1\r\nHost: clinic.example\r\nConnection: Upgrade, HTTP2-Settings\r\n"
    b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
)
PLAIN = (
    b"GET %s HTTP/1.1\r\nHost: clinic.example\r\nX-Forwarded-Proto: http\r\n"
    b"Upgrade-Insecure-Requests: 1\r\nConnection: close\r\n\r\n"
)


def started(name: str, directory: Path) -> tuple[int, ExitStack]:
    """Start one that listens; return its port and what ends it."""
    directory.mkdir(mode=0o700)
    with ExitStack() as stack:
        point = ENFORCEMENT_POINTS[name](deployed(directory), "http://127.0.0.1:9", None)
        return stack.enter_context(point).port, stack.pop_all()
    raise AssertionError("unreachable")


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, int]]:
    """Start all of them at once."""
    directory = tmp_path_factory.mktemp("plain")
    with ExitStack() as stack, ThreadPoolExecutor(len(ENGINES)) as pool:
        begun = {name: pool.submit(started, name, directory / name) for name in ENGINES}
        file = configuration(directory, stack.enter_context(upstream()))
        where, _process = stack.enter_context(running(file))
        urls = {"service": where["service"], "proxy": where["apis"]["clinic"]}
        found = {name: int(url.rpartition(":")[2]) for name, url in urls.items()}
        for name, future in begun.items():
            found[name], engine = future.result()
            stack.push(engine)
        yield found


def answered(port: int, data: bytes) -> bytes:
    """Return what comes first, or nothing where the connection is ended."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as asked:
        asked.sendall(data)
        try:
            return asked.recv(65536)
        except ConnectionResetError:
            return b""


@pytest.mark.parametrize("data", [PREFACE, UPGRADE], ids=["preface", "upgrade"])
@pytest.mark.parametrize("name", LISTENERS)
def test_nobody_is_spoken_to_in_http2(ports: Mapping[str, int], name: str, data: bytes) -> None:
    """Neither by its preface nor by an upgrade (101): no frame comes back, and so no field of one is ever read."""
    answer = answered(ports[name], data)
    assert answer == b"" or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4", b"HTTP/1.1 505"))


@pytest.mark.parametrize("path", [b"/", b"/v1/a", b"/v1/a/", b"/v1/challenges/"])
@pytest.mark.parametrize("name", LISTENERS)
def test_nobody_is_sent_elsewhere(ports: Mapping[str, int], name: str, path: bytes) -> None:
    """Plain HTTP is refused or answered where it is, never led to HTTPS: whoever sends secrets in the clear hears of it."""
    head = answered(ports[name], PLAIN % path).partition(b"\r\n\r\n")[0].lower()
    assert head.startswith((b"http/1.1 4", b"http/1.1 5"))
    assert b"\r\nlocation:" not in head
