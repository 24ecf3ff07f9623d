"""Run the WSGI middleware in servers that tell less of a request than gunicorn, and in one that forks.

The whole corpus is run against gunicorn and granian in :mod:`tests.system.conformance.test_enforcement_points`.
"""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import pytest
from tests.ports import free_port
from tests.system.conformance.test_winners import PROOFS, copies, fresh, passed
from tests.unit.conformance.enforcement_points import GUNICORN, deployed
from tests.unit.conformance.processes import PATIENCE_SECONDS, ROOT, EnforcementPoint
from tests.unit.conformance.wsgi_point import guarded
from werkzeug.serving import BaseWSGIServer, make_server
from werkzeug.serving import WSGIRequestHandler as WerkzeugHandler

from watchword.adapters.system import SystemClock
from watchword.apps.gateway import WatchwordWsgiMiddleware
from watchword.vocabulary import ReplayMode
from watchword_conformance.corpus import load_corpus
from watchword_conformance.runner import run
from watchword_conformance.upstream import Upstream

GROUPS = ("level", "version", "row", "downgrade", "dpop", "results")
SINGLE = ("session/good", "session/replayed", "device/good", "body/session-good")
PATHS = ("path/dot-dot-encoded", "path/slash-encoded-plain", "path/encoded-letter-passes")


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 64


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _QuietWerkzeug(WerkzeugHandler):
    def log(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def listening(name: str, app: WatchwordWsgiMiddleware) -> Iterator[int]:
    """Serve an application from a thread; give the port."""
    server: WSGIServer | BaseWSGIServer
    if name == "wsgiref":
        server = _Server(("127.0.0.1", 0), _Quiet)
        server.set_app(app)
    else:
        server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_QuietWerkzeug)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(("name", "paths"), [("wsgiref", ()), ("werkzeug", PATHS)])
def test_other_servers_decide_alike(name: str, paths: tuple[str, ...], tmp_path: Path) -> None:
    """One tells the target as received, the other the decoded path alone."""
    directory = deployed(tmp_path)
    cases = [
        case
        for case in load_corpus().cases
        if case.id.split("/")[0] in GROUPS or case.id in (*SINGLE, *paths)
    ]
    assert len(cases) > 100

    async def main() -> list[tuple[str, tuple[str, ...]]]:
        async with Upstream().listening() as api:
            url = f"http://127.0.0.1:{api.port}"
            with listening(name, guarded(str(directory), url, None)) as port:
                rows = await run(directory, f"http://127.0.0.1:{port}", url, cases=cases)
        return [(row.case.id, row.faults) for row in rows if row.outcome != "agreed"]

    assert asyncio.run(main()) == []


@contextlib.contextmanager
def forking(directory: Path, upstream: str, store: Path) -> Iterator[EnforcementPoint]:
    """Run gunicorn with two workers that it forks after it has made the application."""
    port = free_port()
    named = f"tests.unit.conformance.wsgi_point:guarded({str(directory)!r}, {upstream!r}, {str(store)!r})"
    options = ["--preload", "--workers", "2", "--worker-class", "gthread", "--threads", "4"]
    command = [
        str(GUNICORN),
        "--bind",
        f"127.0.0.1:{port}",
        "--log-level",
        "error",
        *options,
        named,
    ]
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    try:
        deadline = SystemClock().timestamp() + PATIENCE_SECONDS
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None
            assert SystemClock().timestamp() < deadline
            time.sleep(0.02)
        yield EnforcementPoint(port, process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_workers_that_are_forked_share_their_store(tmp_path: Path) -> None:
    """Of copies that both workers get at the same time, exactly one passes."""
    directory = deployed(tmp_path, ReplayMode.SHARED)

    async def main() -> list[int]:
        async with Upstream().listening() as api:
            url = f"http://127.0.0.1:{api.port}"
            with forking(directory, url, tmp_path / "used") as point:
                counts = []
                for request in [one for _ in range(3) for one in fresh(directory, PROOFS)]:
                    await copies([point], request)
                    counts.append(passed(api, request))
        return counts

    assert asyncio.run(main()) == [1] * 9
