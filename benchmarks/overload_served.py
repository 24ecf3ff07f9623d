"""Serve the smallest API behind the middleware, on granian as ``watchword up`` runs it and on uvicorn, for the benchmark of overload.

Each token is one that the gate hasn't met lately, so that each request costs a verification.
"""

import asyncio
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import uvicorn
from benchmarks.gate_instances import TOKEN_PATH, USUAL_FIELDS, Fleet, request_bytes
from benchmarks.gate_load import SERVER_CORE, free_port, running, wait_for

from watchword.adapters.gate_bundle import GateBundleFile
from watchword.adapters.http_server import HttpServer
from watchword.adapters.replay import MemoryReplayStore
from watchword.apps.gateway import WatchwordMiddleware
from watchword.apps.gateway.overload import OverloadGuard
from watchword.gate.service import Gate

UNMET_TOKENS: Final = 24_000
"""More than a gate remembers: when the last was sent, the first is forgotten."""

HEALTH_PATH: Final = "/health"


async def application(_scope: Any, _receive: Any, send: Any) -> None:
    """Answer like the smallest API."""
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
    )
    await send({"type": "http.response.body", "body": b"ok"})


def requests(fleet: Fleet) -> list[bytes]:
    """Return requests of which no two have the same token."""
    return [
        request_bytes(TOKEN_PATH, [*USUAL_FIELDS, ("watchword-token", token)])
        for token in fleet.new_tokens(UNMET_TOKENS)
    ]


def serve(kind: str, directory: Path, port: int) -> None:
    """Be the API on one of the servers until the process ends; ``open`` is granian without the middleware."""
    state = GateBundleFile(directory / "bundle.jws", directory / "signer.jwk")
    gate = Gate(state, memory=MemoryReplayStore())
    guarded = WatchwordMiddleware(application, gate=gate)
    app: Any = application if kind == "open" else OverloadGuard(guarded, gate=gate)
    if kind != "uvicorn":
        asyncio.run(_granian(app, port))
        return
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="error",
        proxy_headers=False,
    )


async def _granian(app: Any, port: int) -> None:
    await HttpServer(app, port=port).start()
    await asyncio.Event().wait()


@contextlib.contextmanager
def server(kind: str, directory: Path) -> Iterator[tuple[int, int]]:
    """Run a server on the measured core; give its port and process id."""
    port = free_port()
    command = [
        *(sys.executable, "-m", "benchmarks.overload_served"),
        *(kind, str(directory), str(port)),
    ]
    with running(SERVER_CORE, command, directory / f"{kind}.log") as process:
        wait_for(port)
        yield port, process.pid


if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
