"""Be the API behind the gate under test: answer every request, and remember what it looked like.

The runner asks it what arrived.  It reads requests in one strict way of its own, so that what a gate
should not have let through shows as what a strict server makes of it.  With trailers it does what the worst of
servers do, since a gate must leave none: they join the header fields, and one that reads like a request line is
taken for a request (eventlet before 0.40.3, CVE-2025-58068: https://github.com/benoitc/gunicorn/pull/3445, read 2026-11-29).
"""

import asyncio
import contextlib
import hashlib
import json
import re
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from watchword_conformance.requests import LABEL_HEADER

CONTROL = "/-/conformance/"
"""Paths that the runner asks, not the gate: the corpus' route table has no such row."""

MARK = "X-Conformance-Upstream"
"""A field of every answer, so that nobody else's 200 is taken for this API's."""

MAX_RECORDS = 50_000
_MAX_HEAD = 256 * 1024
_MAX_BODY = 8 * 1024 * 1024
_MAX_TRAILERS = 100
_PATIENCE_SECONDS = 30.0
_REQUEST_LINE = re.compile(r"\S+ \S+ HTTP/1\.[01]")


@dataclass(frozen=True, slots=True)
class Seen:
    """Hold what arrived: a request as the API read it.

    :param headers: as received, in order.
    :param body: SHA-256 in hex of the body, its framing taken away.
    :param trailers: those of ``headers`` that arrived behind the body.
    """

    label: str
    method: str
    target: str
    headers: list[list[str]]
    body: str
    trailers: list[list[str]] = field(default_factory=list)


@dataclass
class Records:
    """Keep what arrived, the oldest dropped beyond :data:`MAX_RECORDS`."""

    seen: list[Seen] = field(default_factory=list)

    def add(self, seen: Seen) -> None:
        """Keep one more."""
        self.seen.append(seen)
        del self.seen[:-MAX_RECORDS]

    def of(self, run: str) -> list[Seen]:
        """Return what carries a label of this run, and what carries none at all."""
        return [s for s in self.seen if s.label.startswith(f"{run}.") or not s.label]


class Upstream:
    """Listen, answer, remember."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        self.records = Records()
        self.port = 0
        self._tasks: set[asyncio.Task[Any]] = set()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until it ends or stops making sense."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(
                TimeoutError, ConnectionError, asyncio.IncompleteReadError, ValueError, IndexError
            ):
                while await self._serve_one(reader, writer):
                    pass
        except asyncio.CancelledError:
            # The API stops; to asyncio's streams a cancelled task would be an error.
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, target, _ = lines[0].split(" ")
            headers = _fields(lines[1:])
            named = {name.lower(): value for name, value in headers}
            body, behind = await _body(reader, named)
        if target.startswith(CONTROL):
            answer = json.dumps(self._control(method, target, body)).encode()
        else:
            label = named.get(LABEL_HEADER.lower(), "")
            trailers = _fields(behind)
            digest = hashlib.sha256(body).hexdigest()
            seen = Seen(label, method, target, [*headers, *trailers], digest, trailers)
            self.records.add(seen)
            for line in filter(_REQUEST_LINE.fullmatch, behind):
                method_too, target_too, _ = line.split(" ")
                self.records.add(replace(seen, method=method_too, target=target_too, trailers=[]))
            answer = json.dumps(asdict(seen)).encode()
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            + f"{MARK}: 1\r\nContent-Length: {len(answer)}\r\n\r\n".encode()
            + (b"" if method == "HEAD" else answer)
        )
        await writer.drain()
        return named.get("connection", "").lower() != "close"

    def _control(self, method: str, target: str, body: bytes) -> Any:
        """Answer the runner; ``record`` is how a middleware's application reports what it saw."""
        action, _, argument = target.removeprefix(CONTROL).partition("/")
        if action == "record" and method == "POST":
            self.records.add(Seen(**json.loads(body)))
            return "recorded"
        if action == "seen":
            return [asdict(seen) for seen in self.records.of(argument)]
        return f"Watchword's conformance upstream, {len(self.records.seen)} requests seen"

    @contextlib.asynccontextmanager
    async def listening(self, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator["Upstream"]:
        """Listen for the length of a ``with`` block; port 0 takes a free one."""
        server = await asyncio.start_server(self.handle, host, port, limit=_MAX_HEAD)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()


def _fields(lines: list[str]) -> list[list[str]]:
    split = (line.partition(":") for line in lines if line)
    return [[name, value.strip(" \t")] for name, _, value in split]


async def _body(reader: asyncio.StreamReader, named: dict[str, str]) -> tuple[bytes, list[str]]:
    """Return the body, and the lines behind its last chunk."""
    if named.get("transfer-encoding", "").lower() == "chunked":
        body = b""
        while size := int((await reader.readline()).strip(), 16):
            if len(body) + size > _MAX_BODY:
                raise ValueError("got too long a body")
            body += await reader.readexactly(size)
            await reader.readline()
        behind: list[str] = []
        while line := (await reader.readline()).decode("latin-1").rstrip("\r\n"):
            if len(behind) == _MAX_TRAILERS:
                raise ValueError("got too many trailers")
            behind.append(line)
        return body, behind
    length = int(named.get("content-length", "0"))
    if length > _MAX_BODY:
        raise ValueError("got too long a body")
    return await reader.readexactly(length), []
