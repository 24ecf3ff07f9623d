"""Crowd a listener with mutual TLS by callers that bring no certificate, with few descriptors left."""

import asyncio
import contextlib
import os
import resource
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from tests.unit.adapters.authority import Authority
from tests.unit.apps.test_websockets import until

from watchword.adapters.http_server.mutual_tls import (
    HANDSHAKE_SECONDS,
    SPARED_SECONDS,
    MutualTlsServer,
)
from watchword.adapters.http_server.tls import server_tls

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


async def _outlived(directory: Path, spare: Any, seconds: float) -> bytes:
    """Have a crowd that takes all descriptors for so long; return what somebody believed hears when it has gone."""
    async with _listening(directory) as (server, tls):
        with _callers(SILENT, server.port, lambda: spare(SPARE)):
            await asyncio.sleep(seconds)
        spare(SILENT)
        async with asyncio.timeout(10):
            return await _ask(server.port, tls)


def test_a_crowd_beyond_the_descriptors_writes_a_line_a_second_and_is_outlived(
    tmp_path: Path, spare: Any
) -> None:
    """Asyncio's own server writes a hundred traces a second there: megabytes that strangers choose."""
    with structlog.testing.capture_logs() as told:
        assert asyncio.run(_outlived(tmp_path, spare, 1.5)) == b"edge.example"
    assert 1 <= len(told) <= 4
    assert {(each["event"], each["error"]) for each in told} == {
        ("no caller taken", "Too many open files")
    }


def test_whoever_says_nothing_keeps_nobody_out(tmp_path: Path) -> None:
    """A crowd that comes again when it is hung up on would hold all places for ever: the oldest of them are given away."""

    async def main() -> tuple[int, list[bytes]]:
        async with _listening(tmp_path, handshakes=40) as (server, tls):
            crowd = [asyncio.create_task(_silent(server.port, held)) for _ in range(3 * SILENT)]
            try:
                await until(lambda: len(server._handshakes) == 40)
                async with asyncio.timeout(120):
                    answers = [await _served(server.port, tls) for _ in range(3)]
                return len(server._handshakes), answers
            finally:
                for each in crowd:
                    each.cancel()
                await asyncio.gather(*crowd, return_exceptions=True)

    held: list[float] = []
    most, answers = asyncio.run(main())
    assert answers == [b"edge.example"] * 3
    assert most <= 40
    # Handshakes that nobody cuts short take five seconds.  Whoever gives up a place is hung up on, and not only forgotten.
    assert SPARED_SECONDS <= min(held) < HANDSHAKE_SECONDS / 2


async def _served(port: int, tls: ssl.SSLContext) -> bytes:
    """Ask until there is an answer: where the machine is busy, this process may itself be too slow for its half second."""
    while True:
        try:
            return await _ask(port, tls)
        except ConnectionError:
            continue


async def _silent(port: int, held: list[float]) -> None:
    """Connect and say nothing, again and again; note for how long that was taken."""
    loop = asyncio.get_running_loop()
    while True:
        begun = loop.time()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            await reader.read()
        except OSError:
            pass
        finally:
            writer.close()
        held.append(loop.time() - begun)


@pytest.mark.parametrize("handshakes", [0, 1])
def test_there_is_always_a_place(tmp_path: Path, handshakes: int) -> None:
    """However low the limit is set, the loop that takes callers goes on."""

    async def main() -> list[bytes]:
        async with _listening(tmp_path, handshakes=handshakes) as (server, tls):
            with _callers(3, server.port):
                async with asyncio.timeout(20):
                    return [await _ask(server.port, tls) for _ in range(2)]

    assert asyncio.run(main()) == [b"edge.example"] * 2


def test_no_piece_of_an_answer_waits_for_an_acknowledgement(tmp_path: Path) -> None:
    """Nagle's algorithm is off on what the listener accepts, or each answer of head and body takes 40 ms."""

    async def undelayed() -> list[bool]:
        async with _listening(tmp_path) as (server, tls):
            _, writer = await asyncio.open_connection(
                "127.0.0.1", server.port, ssl=tls, server_hostname="127.0.0.1"
            )
            try:
                return list(_undelayed(server.port))
            finally:
                writer.close()

    assert asyncio.run(undelayed()) == [True]


def _undelayed(port: int) -> Iterator[bool]:
    """Yield for each connection that this process accepted at a port whether it sends at once."""
    for descriptor in [int(each.name) for each in Path("/proc/self/fd").iterdir()]:
        with (
            contextlib.suppress(OSError),
            socket.fromfd(descriptor, socket.AF_INET, socket.SOCK_STREAM) as each,
        ):
            if each.getsockname() == ("127.0.0.1", port):
                each.getpeername()
                yield bool(each.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))


def test_a_log_that_cannot_be_written_ends_nothing(tmp_path: Path, spare: Any) -> None:
    """Descriptors run out, and whoever should hear of it is gone: callers are taken again all the same."""

    def broken(*_: Any) -> Any:
        if threading.current_thread().name == "watchword-refusals":
            # A gate of another test, which still writes what it refused, has nothing to do with this.
            raise structlog.DropEvent
        raise OSError(28, "No space left on device")

    before = structlog.get_config()
    structlog.configure(processors=[broken])
    try:
        assert asyncio.run(_outlived(tmp_path, spare, 0.3)) == b"edge.example"
    finally:
        structlog.configure(**before)


@pytest.mark.parametrize("turn", [True, False], ids=["in the same turn", "before it"])
def test_whoever_comes_while_it_stops_is_let_go(tmp_path: Path, turn: bool) -> None:
    """Nobody is left with a connection that nobody holds, and nothing is told of it."""
    told: list[Any] = []

    async def main() -> list[bytes]:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        heard = []
        async with _listening(tmp_path) as (server, _):
            await asyncio.sleep(0.05)
            late = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(5)]
            if turn:
                await asyncio.sleep(0)
        for each in late:
            each.setblocking(False)
            async with asyncio.timeout(5):
                try:
                    heard.append(await asyncio.get_running_loop().sock_recv(each, 1))
                except ConnectionResetError:
                    heard.append(b"")
            each.close()
        return heard

    assert asyncio.run(main()) == [b""] * 5
    assert not told


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
