"""Share used proofs through a real Valkey among the threads and the forked workers of gunicorn."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.ports import free_port
from tests.system.adapters.replay.servers import Valkey, valkey
from tests.system.conformance.test_winners import PROOFS, copies, passed
from tests.unit.conformance.enforcement_points import GUNICORN, deployed
from tests.unit.conformance.processes import PATIENCE_SECONDS, ROOT, EnforcementPoint
from tests.unit.conformance.wsgi_point import WsgiEcho

from watchword.adapters.gate_bundle import GateBundleFile
from watchword.adapters.replay import MemoryReplayStore
from watchword.adapters.replay.valkey import ValkeyReplayStore
from watchword.adapters.system import SystemClock
from watchword.apps.gateway import WatchwordWsgiMiddleware
from watchword.gate.service import Gate
from watchword.vocabulary import ReplayMode
from watchword_conformance.corpus import load_corpus
from watchword_conformance.deployment import BUNDLE_FILE, SIGNER_FILE, load
from watchword_conformance.requests import Built
from watchword_conformance.runner import Target, send, workshop
from watchword_conformance.upstream import Upstream

AHEAD = 29
"""Seconds by which the clients' clock is ahead, within the leeway: a new Valkey takes the latest proofs first."""


def guarded(directory: str, upstream: str, url: str) -> WatchwordWsgiMiddleware:
    """Return the guarded application, as gunicorn makes it before it forks."""
    gate = Gate(
        GateBundleFile(Path(directory) / BUNDLE_FILE, Path(directory) / SIGNER_FILE),
        memory=MemoryReplayStore(),
        shared=ValkeyReplayStore(url, "clinic"),
    )
    return WatchwordWsgiMiddleware(WsgiEcho(Target.of(upstream)), gate=gate)


@contextlib.contextmanager
def gunicorn(directory: Path, upstream: str, url: str) -> Iterator[EnforcementPoint]:
    """Run two workers of four threads each, forked after the application was made."""
    port = free_port()
    made = f"tests.system.apps.test_wsgi_valkey:guarded({str(directory)!r}, {upstream!r}, {url!r})"
    workers = ["--preload", "--workers", "2", "--worker-class", "gthread", "--threads", "4"]
    command = [str(GUNICORN), "--bind", f"127.0.0.1:{port}", "--log-level", "error", *workers, made]
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    try:
        deadline = SystemClock().timestamp() + PATIENCE_SECONDS
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None
            assert SystemClock().timestamp() < deadline
        yield EnforcementPoint(port, process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(name="server")
def running_valkey() -> Iterator[Valkey]:
    """Run a Valkey that keeps nothing on disk."""
    with valkey() as running:
        yield running


def proofs(directory: Path) -> list[Built]:
    """Return one request with a new proof of each kind, as far ahead as it may be."""
    shop = workshop(load(directory))
    cases = {case.id: case for case in load_corpus().cases}
    now = SystemClock().timestamp() + AHEAD
    return [shop.build(cases[name], 0, shop.instances(), [], now) for name in PROOFS]


async def opened(point: EnforcementPoint, directory: Path) -> None:
    """Return when the store takes claims of both workers' proofs again."""
    async with asyncio.timeout(20):
        for _ in range(4):
            while await status(point, proofs(directory)[0]) != 200:
                pass


async def once(api: Upstream, point: EnforcementPoint, directory: Path, kind: int) -> Built:
    """Return a proof of which copies were sent at once, and one passed."""
    for _ in range(10):
        request = proofs(directory)[kind]
        await copies([point], request)
        # On a busy machine the store may answer none of 16 in its tenth of a second, and then none passes.
        if passed(api, request):
            assert passed(api, request) == 1
            return request
    raise AssertionError


async def status(point: EnforcementPoint, request: Built) -> int:
    """Return what one request comes to."""
    answer = await send(Target("127.0.0.1", point.port), request.wire, request.method)
    return answer.status


def test_one_copy_passes_and_none_without_the_store(server: Valkey, tmp_path: Path) -> None:
    """Of 16 copies at once, one; while the Valkey stalls or is dead, none; what was used stays used."""
    directory = deployed(tmp_path, ReplayMode.SHARED)

    async def main() -> None:
        async with Upstream().listening() as api:
            url = f"http://127.0.0.1:{api.port}"
            with gunicorn(directory, url, server.url) as point:
                await opened(point, directory)
                used = [await once(api, point, directory, kind) for kind in range(len(PROOFS))]
                server.send(signal.SIGSTOP)
                stalled = proofs(directory)[0]
                assert await status(point, stalled) == 503
                server.send(signal.SIGCONT)
                await opened(point, directory)
                server.kill()
                dead = proofs(directory)[0]
                await copies([point], dead)
                assert passed(api, dead) == 0
                assert await status(point, dead) == 503
                server.start()
                await opened(point, directory)
                for request in used:
                    await copies([point], request)
                    assert passed(api, request) == 1
                assert passed(api, stalled) == passed(api, dead) == 0

    asyncio.run(main())
