"""Crowd a listener with mutual TLS by callers that bring no certificate, with few descriptors left."""

import asyncio
import contextlib
import os
import resource
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from tests.adapters.authority import Authority
from tests.apps.test_websockets import until

from watchword.adapters.http_server.mutual_tls import MutualTlsServer, server_tls

SILENT = 60
SPARE = 20


@pytest.fixture
def spare() -> Iterator[Any]:
    """Give what leaves this process so many descriptors; all of them are back at the end."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []

    def leave(count: int) -> None:
        while taken:
            os.close(taken.pop())
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 4096), hard))
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        for _ in range(count):
            os.close(taken.pop())

    try:
        yield leave
    finally:
        while taken:
            os.close(taken.pop())
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def _greet(scope: Any, _receive: Any, send: Any) -> None:
    names = ",".join(scope["state"]["peer"]).encode()
    length = [(b"content-length", str(len(names)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": length})
    await send({"type": "http.response.body", "body": names})


@contextlib.asynccontextmanager
async def _listening(
    directory: Path, **options: Any
) -> AsyncIterator[tuple[MutualTlsServer, ssl.SSLContext]]:
    """Run a listener; give how a caller connects that it believes."""
    authority = Authority(directory, "ca")
    server = MutualTlsServer(
        _greet,
        tls=server_tls(*authority.issue("localhost", server=True), authority.file),
        peer_state="peer",
        **options,
    )
    tls = ssl.create_default_context(cafile=authority.file)
    tls.load_cert_chain(*authority.issue("edge.example"))
    await server.start()
    try:
        yield server, tls
    finally:
        await server.stop()


async def _ask(port: int, tls: ssl.SSLContext) -> bytes:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=tls, server_hostname="127.0.0.1"
    )
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return answer.partition(b"\r\n\r\n")[2]


@contextlib.contextmanager
def _callers(count: int, port: int, before: Any = None) -> Iterator[None]:
    """Connect so often, and say nothing; ``before`` is called when their sockets are there."""
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        if before is not None:
            before()
        for each in held:
            each.connect(("127.0.0.1", port))
        yield


def test_a_crowd_beyond_the_descriptors_writes_a_line_a_second_and_is_outlived(
    tmp_path: Path, spare: Any
) -> None:
    """Asyncio's own server writes a hundred traces a second there: megabytes that strangers choose."""

    async def main() -> bytes:
        async with _listening(tmp_path) as (server, tls):
            with _callers(SILENT, server.port, lambda: spare(SPARE)):
                await asyncio.sleep(1.5)
            spare(SILENT)
            async with asyncio.timeout(10):
                return await _ask(server.port, tls)

    with structlog.testing.capture_logs() as told:
        assert asyncio.run(main()) == b"edge.example"
    assert 1 <= len(told) <= 4
    assert {(each["event"], each["error"]) for each in told} == {
        ("no caller taken", "Too many open files")
    }


def test_handshakes_leave_descriptors_to_everybody_else(
    tmp_path: Path,
) -> None:
    """A crowd waits in the kernel where handshakes have taken their share; whoever goes makes room."""

    async def main() -> tuple[int, bytes]:
        async with _listening(tmp_path, handshakes=40) as (server, tls):
            with _callers(SILENT, server.port):
                await asyncio.sleep(0.5)
                taken = len(server._handshakes)
                waiting = asyncio.create_task(_ask(server.port, tls))
                await asyncio.sleep(0.5)
                assert not waiting.done()
            async with asyncio.timeout(10):
                return taken, await waiting

    assert asyncio.run(main()) == (40, b"edge.example")


def test_a_listener_that_stops_lets_go_of_half_a_handshake(tmp_path: Path) -> None:
    """Nobody holds it up by saying nothing."""

    async def main() -> int:
        async with _listening(tmp_path) as (server, _):
            held = socket.create_connection(("127.0.0.1", server.port))
            await until(lambda: bool(server._handshakes))
        held.setblocking(False)
        async with asyncio.timeout(5):
            heard = await asyncio.get_running_loop().sock_recv(held, 1)
        held.close()
        return len(heard)

    assert asyncio.run(main()) == 0
