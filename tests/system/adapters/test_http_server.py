"""Show that the server starts, says when it can't, stops, and survives clients that hold it up."""

import asyncio
import contextlib
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from watchword.adapters.http_server import HttpServer, ServerAddressError, serve
from watchword.adapters.unix_socket import SocketPath

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


async def hello(_scope: Any, _receive: Any, send: Any) -> None:
    """Answer 200."""
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]}
    )
    await send({"type": "http.response.body", "body": b"hello"})


async def ask(port: int = 0, uds: Path | None = None) -> bytes:
    """Return the answer to one request."""
    if uds is not None:
        reader, writer = await asyncio.open_unix_connection(uds)
    else:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(REQUEST)
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    return answer


def test_several_servers_in_one_loop(tmp_path: Path) -> None:
    """Each answers at its own address; afterwards nobody does."""

    async def main() -> None:
        uds = tmp_path / "operator.sock"
        async with serve(hello) as first, serve(hello) as second, serve(hello, uds=uds) as third:
            assert first.port != second.port
            assert first.address == f"127.0.0.1:{first.port}"
            assert third.address == f"unix:{uds}"
            assert stat.S_IMODE(uds.stat().st_mode) == 0o600
            answers = [await ask(first.port), await ask(second.port), await ask(uds=uds)]
            assert all(answer.endswith(b"hello") for answer in answers)
        assert not uds.exists()
        with pytest.raises(OSError, match=r"refused|Connect"):
            await ask(first.port)
        async with serve(hello, port=first.port) as again:
            assert (await ask(again.port)).endswith(b"hello")

    asyncio.run(main())


def test_localhost_is_a_name_for_an_address() -> None:
    """The server behind knows no names; what is told is the name that was given."""

    async def main() -> None:
        async with serve(hello, host="localhost") as server:
            assert server.address == f"localhost:{server.port}"
            assert (await ask(server.port)).endswith(b"hello")

    asyncio.run(main())


def test_a_port_that_is_taken() -> None:
    """Whoever holds it, the address is named; also when it is another server of ours."""

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            with pytest.raises(ServerAddressError, match=f"127.0.0.1:{port}.*taken"):
                await HttpServer(hello, port=port).start()
        async with serve(hello) as ours:
            with pytest.raises(ServerAddressError, match=f"127.0.0.1:{ours.port}.*taken"):
                await HttpServer(hello, port=ours.port).start()
            assert (await ask(ours.port)).endswith(b"hello")

    asyncio.run(main())


def test_an_address_that_is_not_ours() -> None:
    """The text says which address, and why."""
    with pytest.raises(ServerAddressError, match=r"203\.0\.113\.1"):
        asyncio.run(HttpServer(hello, host="203.0.113.1").start())


def test_unix_sockets_that_are_there_already(tmp_path: Path) -> None:
    """One that a dead process left is replaced; a living one and other files are left alone."""

    async def main() -> None:
        path = tmp_path / "operator.sock"
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
        async with serve(hello, uds=path):
            with pytest.raises(ServerAddressError, match="another process"):
                await HttpServer(hello, uds=path).start()
            assert (await ask(uds=path)).endswith(b"hello")
        path.write_text("precious")
        with pytest.raises(ServerAddressError, match="no socket"):
            await HttpServer(hello, uds=path).start()
        assert path.read_text() == "precious"

    asyncio.run(main())


def test_stopping_twice_is_stopping() -> None:
    """And stopping what never started is nothing."""

    async def main() -> None:
        server = HttpServer(hello)
        await server.stop()
        await server.start()
        await server.stop()
        await server.stop()
        with pytest.raises(OSError, match=r"refused|Connect"):
            await ask(server.port)

    asyncio.run(main())


SERVER = """
import asyncio, os, resource, sys
from watchword.adapters.http_server import serve

resource.setrlimit(resource.RLIMIT_NOFILE, (300, 300))

async def hello(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})

async def main():
    async with serve(hello) as server:
        print(server.port, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    os._exit(0)

asyncio.run(main())
"""


def test_half_open_connections_are_survived() -> None:
    """400 clients that connect and say nothing, 300 files: served again within 8 seconds."""
    with (
        subprocess.Popen(
            [sys.executable, "-c", SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as server,
        contextlib.ExitStack() as silent,
    ):
        assert server.stdout is not None
        port = int(server.stdout.readline())
        assert served_within(5, port)
        for _ in range(400):
            client = silent.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port))
        assert served_within(8, port)


def served_within(seconds: float, port: int) -> bool:
    """Tell whether a request is answered before the time is over."""
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", port), 1) as client,
        ):
            client.settimeout(1)
            client.sendall(REQUEST)
            if client.recv(12) == b"HTTP/1.1 200":
                return True
        time.sleep(0.1)
    return False


def test_a_socket_below_a_long_path(tmp_path: Path) -> None:
    """A path that is longer than a socket's address works all the same, and is cleaned up."""
    directory = tmp_path / ("d" * 120)
    directory.mkdir()
    path = directory / "operator.sock"

    async def main() -> bytes:
        async with serve(hello, uds=path):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            reached = SocketPath(path)
            answer = await ask(uds=reached.usable)
            reached.close()
            with pytest.raises(ServerAddressError, match="another process does"):
                await HttpServer(hello, uds=path).start()
            return answer

    assert asyncio.run(main()).endswith(b"hello")
    assert not path.exists()


def test_a_short_path_is_used_as_it_is(tmp_path: Path) -> None:
    """Nothing is opened where nothing is needed."""
    reached = SocketPath(Path("/tmp/operator.sock"))
    assert reached.usable == Path("/tmp/operator.sock")
    reached.close()
    with pytest.raises(FileNotFoundError):
        SocketPath(tmp_path / ("d" * 120) / "operator.sock")
