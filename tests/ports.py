"""Find a port for a server that can't be told to take any."""

import itertools
import os
import socket
import threading
from typing import Final

_FIRST: Final = 12_000
_SLICE: Final = 1_000
_SLICES: Final = 20
"""All below those that the system gives away by itself (from 32768 on Linux), to callers and to who listens at port 0."""


def _own_ports() -> range:
    """Return the ports of this process of tests alone: two that look at the same time would find the same one free."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")  # noqa: TID251 - told by the runner of tests.
    at = int(worker.removeprefix("gw")) % (_SLICES - 1) if worker else _SLICES - 1
    return range(_FIRST + at * _SLICE, _FIRST + (at + 1) * _SLICE)


_LOCK: Final = threading.Lock()
_NEXT: Final = itertools.islice(
    # Another run beside this one begins elsewhere.
    itertools.cycle(_own_ports()),
    os.getpid() % _SLICE,
    None,
)


def free_port() -> int:
    """Return a port of the loopback that nobody listens on, and that nobody else was given for a while."""
    with _LOCK:
        for port in _NEXT:
            with socket.socket() as probe:
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
                return port
    raise AssertionError("unreachable")
