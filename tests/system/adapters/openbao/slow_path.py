"""Stand between client and server, and be as slow as a network can be."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

_PIECE = 64 * 1024


@dataclass
class SlowPath:
    """Hold what the path does to answers; may be changed at any time.

    :param delay: seconds before each piece of an answer is passed on.
    :param drip: pass answers on byte by byte, one in each ``delay``.
    :param cut: end each connection after so many bytes of answers.
    """

    url: str = ""
    delay: float = 0.0
    drip: bool = False
    cut: int | None = None
    connections: int = 0
    flowing: asyncio.Event = field(default_factory=asyncio.Event)

    def hang(self) -> None:
        """Pass nothing on any more, and keep connections open."""
        self.flowing.clear()

    def flow(self) -> None:
        """Pass answers on again."""
        self.flowing.set()

    async def answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass answers on."""
        passed = 0
        while piece := await reader.read(1 if self.drip else _PIECE):
            await self.flowing.wait()
            await asyncio.sleep(self.delay)
            left = None if self.cut is None else max(0, self.cut - passed)
            writer.write(piece[:left])
            await writer.drain()
            if left is not None and len(piece) >= left:
                return
            passed += len(piece)


@asynccontextmanager
async def slow_path(port: int) -> AsyncIterator[SlowPath]:
    """Listen on a free port of loopback for connections to another port."""
    path = SlowPath()
    path.flow()
    running: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        path.connections += 1
        there = None
        asking = None
        try:
            # Cancelled when the test is over; asyncio would log it.
            with suppress(OSError, asyncio.CancelledError):
                inner, there = await asyncio.open_connection("127.0.0.1", port)
                asking = asyncio.create_task(_pass_on(reader, there))
                await path.answers(inner, writer)
        finally:
            if asking is not None:
                asking.cancel()
            for each in (writer, there):
                if each is not None:
                    each.transport.abort()
            running.discard(task)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    path.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield path
    finally:
        server.close()
        for task in list(running):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await asyncio.sleep(0.01)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await reader.read(_PIECE):
            writer.write(piece)
            await writer.drain()
