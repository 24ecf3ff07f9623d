"""Show that a large answer is whole, and that other requests have their turn while it is sent."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.apps.service_bench import service_bench

from watchword.apps.service.app import Application, Request, Response, Route, in_pieces
from watchword.apps.service.context import ServiceContext

LARGE = 300_000
PARTS = (b"a" * LARGE, b"b", b"", b"c" * 7, b"d" * 2 * LARGE)


@given(st.lists(st.integers(0, LARGE).map(bytes), max_size=6))
def test_pieces_are_all_of_it(parts: Sequence[bytes]) -> None:
    """None is empty, and none is large."""
    pieces = list(in_pieces(parts))
    assert b"".join(pieces) == b"".join(parts)
    assert all(0 < len(each) <= 256 * 1024 for each in pieces)


def test_others_have_their_turn(tmp_path: Path) -> None:
    """Between the pieces, also where the network takes all of them at once."""
    bench = service_bench(tmp_path)
    messages: list[dict[str, Any]] = []
    turns: list[int] = []

    async def large(_context: ServiceContext, _request: Request) -> Response:
        return Response(200, b"", (), PARTS)

    async def other() -> None:
        while True:
            turns.append(len(messages))
            await asyncio.sleep(0)

    async def send(message: Any) -> None:
        messages.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def scenario() -> None:
        task = asyncio.create_task(other())
        scope = {"type": "http", "method": "GET", "path": "/large", "raw_path": b"/large"}
        app = Application(
            (Route("GET", "/large", large),), bench.service.context, reveal=True, operator=True
        )
        await app(
            {**scope, "query_string": b"", "headers": [(b"host", b"operator")]}, receive, send
        )
        task.cancel()

    asyncio.run(scenario())
    bench.store.close()
    start, *bodies = messages
    assert start["status"] == 200, bodies
    whole = b"".join(PARTS)
    assert (b"content-length", str(len(whole)).encode()) in start["headers"]
    assert b"".join(each["body"] for each in bodies) == whole
    assert [each.get("more_body", False) for each in bodies] == [True] * (len(bodies) - 1) + [False]
    assert set(range(2, len(messages))) <= set(turns)
