"""Run Envoy on a small share of a core, so that one generator can offer ten times of what it takes."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.gate_envoy import protected_proxy
from benchmarks.gate_instances import ROUTES, TOKEN_PATH, Fleet, request_bytes
from benchmarks.gate_load import SERVER_CORE, pinned, static_api
from benchmarks.gate_proxies import Proxy, wait_until_open

SHARE: Final = 10
"""Envoy has one part in so many of a core, and of what waits inside it and before it: each waits as long as at a whole core."""

_WAITING: Final = {"max_active_downstream_connections": 10_000, "tcp_backlog_size": 256}
"""What is generated; a line of 256 clients before a tenth of a core would hold none that still listens."""

NICENESS: Final = 10
"""The kernel gives a thread of this niceness some 10 % of a core beside one that never rests (sched(7))."""


@contextlib.contextmanager
def restless(core: int) -> Iterator[None]:
    """Keep a core busy with a process of usual niceness."""
    with pinned(core):
        process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def make_nice(pid: int, niceness: int) -> None:
    """Give every thread of a process this niceness; new threads get that of who starts them."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.setpriority(os.PRIO_PROCESS, int(thread.name), niceness)


def requests(fleet: Fleet) -> list[bytes]:
    """Return a request of each instance, with its token."""
    return [request_bytes(TOKEN_PATH, each.bearer()) for each in fleet.instances]


def _scaled(_name: str, content: str) -> str:
    """Give the small share as much room to wait in proportion as a core has."""
    for name, most in _WAITING.items():
        content = content.replace(f"{name}: {most}", f"{name}: {most // SHARE}")
    return content


@contextlib.contextmanager
def proxy(fleet: Fleet, directory: Path) -> Iterator[Proxy]:
    """Run Envoy with the token check in front of an API, on a share of the measured core."""
    with (
        static_api(directory) as upstream,
        protected_proxy(
            directory / "envoy", fleet.bundle(ROUTES), upstream, change=_scaled
        ) as found,
    ):
        wait_until_open(found.port, requests(fleet)[0])
        make_nice(found.pid, NICENESS)
        with restless(SERVER_CORE):
            yield found
