"""Stand between a client and a TCP or Unix server, and do to its answers what bad networks do."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self


class ChaosProxy:
    """Pass bytes on between loopback and a server's Unix socket; belongs to one event loop.

    :ivar port: where it listens.
    :ivar delay: seconds that each piece of an answer waits.
    :ivar cut: how many bytes of the next answer still pass before the connection is torn down; None passes all.
    :ivar garbage: what is sent in the place of the next answers.
    :ivar cuts: how many connections were torn down.
    """

    def __init__(self, server: Path) -> None:
        """Prepare; nothing listens before it is entered."""
        self.port = 0
        self.delay = 0.0
        self.cut: int | None = None
        self.garbage = b""
        self.cuts = 0
        self._to = server
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def before(cls, server: Path) -> AsyncIterator[Self]:
        """Listen on a free port of loopback for as long as the block lasts."""
        proxy = cls(server)
        listening = await asyncio.start_server(proxy._accept, "127.0.0.1", 0)
        proxy.port = listening.sockets[0].getsockname()[1]
        try:
            yield proxy
        finally:
            listening.close()
            await listening.wait_closed()
            left = list(proxy._tasks)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    def heal(self) -> None:
        """Pass everything on as it comes, from now on."""
        self.delay, self.cut, self.garbage = 0.0, None, b""

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        sides = [writer]
        try:
            there, there_writer = await asyncio.open_unix_connection(self._to)
            sides.append(there_writer)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._ask(reader, there_writer))
                both.create_task(self._answer(there, writer))
        except* OSError:
            pass
        finally:
            for side in sides:
                side.transport.abort()
                with contextlib.suppress(OSError):
                    await side.wait_closed()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(65536):
            await asyncio.sleep(self.delay)
            if self.cut is not None:
                writer.write(piece[: self.cut])
                await writer.drain()
                self.cuts += 1
                break
            writer.write(self.garbage or piece)
            await writer.drain()
        # The client sees the end of the connection; what it asked may have been done all the same.
        writer.close()
