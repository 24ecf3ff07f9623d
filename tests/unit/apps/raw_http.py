"""Speak HTTP/1.1 in raw bytes: an API that does as it is told, and a client that sees all."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

Reader: TypeAlias = asyncio.StreamReader
Writer: TypeAlias = asyncio.StreamWriter
PATIENCE = 5.0


@dataclass
class RawApi:
    """Be the API behind a proxy: keep every request's bytes, answer what was scripted.

    :param answer: bytes to send once the head was read, or a function that talks for itself.
    """

    answer: bytes | Callable[["RawApi", Reader, Writer], Awaitable[None]] = (
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    )
    heads: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0

    async def handle(self, reader: Reader, writer: Writer) -> None:
        """Serve one connection."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                self.asked.set()
                if callable(self.answer):
                    await self.answer(self, reader, writer)
                    break
                self.bodies.append(await read_body(head, reader))
                writer.write(self.answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            # The proxy hung up, or the test is over: both end the conversation.
            pass
        finally:
            self.gone.set()
            writer.close()

    @property
    def fields(self) -> list[tuple[bytes, bytes]]:
        """Return the header fields of the last request, names in lower case."""
        lines = self.heads[-1].split(b"\r\n")[1:-2]
        return [(n.lower(), v.strip()) for n, _, v in (line.partition(b":") for line in lines)]


async def read_body(head: bytes, reader: Reader) -> bytes:
    """Return the raw body, chunk framing included."""
    lower = head.lower()
    if b"transfer-encoding: chunked" in lower:
        return await reader.readuntil(b"0\r\n\r\n")
    _, found, rest = lower.partition(b"content-length:")
    return await reader.readexactly(int(rest.split(b"\r\n")[0])) if found else b""


@contextlib.asynccontextmanager
async def listening(api: RawApi) -> AsyncIterator[RawApi]:
    """Let the API listen on a free port."""
    server = await asyncio.start_server(api.handle, "127.0.0.1", 0)
    api.port = server.sockets[0].getsockname()[1]
    try:
        yield api
    finally:
        server.close()


async def exchange(port: int, request: bytes) -> bytes:
    """Send raw bytes and return all that comes back until the connection ends or falls silent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = b""
    with contextlib.suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(PATIENCE):
            while piece := await reader.read(65536):
                answer += piece
    writer.close()
    return answer


def get(target: bytes = b"/", *fields: bytes, method: bytes = b"GET", body: bytes = b"") -> bytes:
    """Return the bytes of a request that ends its connection."""
    lines = [method + b" " + target + b" HTTP/1.1", b"Host: clinic.example", b"Connection: close"]
    return b"\r\n".join([*lines, *fields, b"", body])
