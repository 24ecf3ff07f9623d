"""Send bytes as they are and read what comes back: no HTTP client would send most of the corpus."""

import asyncio
import contextlib
from dataclasses import dataclass
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 5.0
MAX_ANSWER_BYTES = 1024 * 1024
MAX_HEAD_BYTES = 64 * 1024
_FIRST_FINAL_STATUS = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """Hold what came back first.

    :param status: 0 where the connection ended without an answer.
    :param late: whether nothing came in time.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    late: bool = False

    def header(self, name: str) -> str | None:
        """Return a field's value by its lower-case name."""
        return next((value for got, value in self.headers if got == name), None)


@dataclass(frozen=True, slots=True)
class Target:
    """Hold where something listens."""

    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> "Target":
        """Read ``http://host:port``; raise ValueError for anything else."""
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname or parts.path not in {"", "/"}:
            raise ValueError(f"got {url!r}, expected http://host:port")
        return cls(parts.hostname, parts.port or 80)


async def send(target: Target, wire: bytes, method: str, *, half_close: bool = False) -> Answer:
    """Send bytes over a new connection and return the first final answer.

    :param half_close: say after them that nothing more will come.
    :raises OSError: when nothing listens there.
    """
    reader, writer = await asyncio.open_connection(target.host, target.port, limit=MAX_HEAD_BYTES)
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            with contextlib.suppress(ConnectionError):
                # A server that refuses early may not read the rest.
                writer.write(wire)
                await writer.drain()
                if half_close:
                    writer.write_eof()
            return await _read(reader, method)
    except TimeoutError:
        return Answer(0, late=True)
    except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
        return Answer(0)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _read(reader: asyncio.StreamReader, method: str) -> Answer:
    while True:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ")[1])
        if status >= _FIRST_FINAL_STATUS:
            break
    split = (line.partition(":") for line in lines[1:] if line)
    headers = tuple((name.strip().lower(), value.strip()) for name, _, value in split)
    answer = Answer(status, headers)
    if method == "HEAD" or status in {204, 304}:
        return answer
    return Answer(status, headers, await _body(reader, answer))


async def _body(reader: asyncio.StreamReader, answer: Answer) -> bytes:
    if "chunked" in (answer.header("transfer-encoding") or ""):
        body = b""
        while size := int((await reader.readline()).split(b";")[0], 16):
            if len(body) + size > MAX_ANSWER_BYTES:
                raise ValueError("got too long an answer")
            body += await reader.readexactly(size)
            await reader.readline()
        return body
    length = answer.header("content-length")
    if length is not None:
        return await reader.readexactly(min(int(length), MAX_ANSWER_BYTES))
    return await reader.read(MAX_ANSWER_BYTES)
