"""Be one enforcement point of the gate in a process of its own, which tests start and kill.

``python -m tests.unit.conformance.enforcement_point middleware uvicorn-h11 DIR http://127.0.0.1:PORT [STORE]``; the first
line of output is the port.  ``authz STYLE DIR SOCKET [STORE]`` answers an engine's questions at a Unix
socket instead; with ``tls:FILES`` for the socket over mutual TLS, with the certificates of that directory.
"""

import asyncio
import hashlib
import json
import socket
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import uvicorn

from watchword.adapters.gate_bundle import GateBundleFile
from watchword.adapters.http_server import serve
from watchword.adapters.replay.host import HostReplayStore
from watchword.adapters.replay.memory import MemoryReplayStore
from watchword.adapters.system import SystemClock, SystemEntropy
from watchword.apps.gateway import WatchwordMiddleware
from watchword.apps.gateway.authz import AuthzApp
from watchword.apps.gateway.proxy import ProxyApp
from watchword.gate.service import Gate
from watchword_conformance.deployment import BUNDLE_FILE, SIGNER_FILE
from watchword_conformance.requests import LABEL_HEADER
from watchword_conformance.runner import Target, send
from watchword_conformance.upstream import CONTROL, MARK, Seen

TLS_FILES = ("localhost.crt", "localhost.key", "ca.pem")
"""The server's certificate and its key, and the authority of those who may ask."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class EchoApp:
    """Be the application behind a middleware: report what it saw to the conformance upstream."""

    def __init__(self, upstream: Target) -> None:
        """Report to ``upstream``."""
        self._upstream = upstream

    async def __call__(self, scope: Scope, receive: Receive, answer: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await answer({"type": "lifespan.startup.complete"})
            await answer({"type": "lifespan.shutdown.complete"})
            return
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                # Granian reports crooked chunks as a client that left; if it did, nobody listens.
                await answer({"type": "http.response.start", "status": 400, "headers": []})
                await answer({"type": "http.response.body", "body": b""})
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = [[n.decode("latin-1"), v.decode("latin-1")] for n, v in scope["headers"]]
        query = scope["query_string"].decode("latin-1")
        target = scope["raw_path"].decode("latin-1") + (f"?{query}" if query else "")
        label = next((v for n, v in headers if n.lower() == LABEL_HEADER.lower()), "")
        seen = Seen(label, scope["method"], target, headers, hashlib.sha256(body).hexdigest())
        report = json.dumps(asdict(seen)).encode()
        head = (
            f"POST {CONTROL}record HTTP/1.1\r\nHost: upstream\r\nConnection: close\r\n"
            f"Content-Length: {len(report)}\r\n\r\n"
        )
        await send(self._upstream, head.encode() + report, "POST")
        fields = [(b"content-type", b"application/json"), (MARK.lower().encode(), b"1")]
        fields.append((b"content-length", str(len(report)).encode()))
        await answer({"type": "http.response.start", "status": 200, "headers": fields})
        await answer({"type": "http.response.body", "body": report})


def gate(directory: Path, store: str | None) -> Gate:
    """Return the gate of a deployment; with a store that it shares with others, or without."""
    return Gate(
        GateBundleFile(directory / BUNDLE_FILE, directory / SIGNER_FILE),
        memory=MemoryReplayStore(),
        shared=None if store is None else HostReplayStore(Path(store)),
        entropy=SystemEntropy(),
    )


def application(kind: str, directory: Path, upstream: str, store: str | None) -> Application:
    """Return the guarded application."""
    inner = (
        EchoApp(Target.of(upstream)) if kind == "middleware" else ProxyApp(upstream, reveal=True)
    )
    return WatchwordMiddleware(inner, gate=gate(directory, store))


async def serve_granian(app: Application, **where: Any) -> None:
    """Serve until killed, at a free port unless it is said where."""
    async with serve(app, **where) as server:
        sys.stdout.write(f"{server.port}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


def main() -> None:
    """Start as the command line says."""
    kind, server, directory, upstream, *store = sys.argv[1:]
    kept = store[0] if store else None
    if kind == "authz":
        questions = AuthzApp(gate(Path(directory), kept), style=server, clock=SystemClock())
        files = Path(upstream.removeprefix("tls:"))
        over_tls = upstream.startswith("tls:")
        where = {"tls": tuple(files / name for name in TLS_FILES)} if over_tls else {"uds": files}
        asyncio.run(serve_granian(questions, **where))
        return
    app = application(kind, Path(directory), upstream, kept)
    if server == "granian":
        asyncio.run(serve_granian(app))
        return
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    config = uvicorn.Config(
        app, http=server.removeprefix("uvicorn-"), log_level="error", access_log=False
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
