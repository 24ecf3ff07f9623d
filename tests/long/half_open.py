"""Open connections that never finish a request, and tell how long a server keeps everybody else waiting for it."""

import contextlib
import resource
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

from watchword.adapters.system import SystemClock

HALF_OPEN = 400
DESCRIPTORS = 300
"""Fewer than the connections, so that they take all there are (measured like this by others too)."""

AT_ONCE = 50
"""Connections that are opened without a pause: of more at once the shortest backlog drops some, which then hold nothing."""

HALF = b"GET / HTTP/1.1\r\nHost: clinic.example\r\nX-Slow: "
WHOLE = b"GET / HTTP/1.1\r\nHost: clinic.example\r\nConnection: close\r\n\r\n"
GIVEN_UP_SECONDS = 40.0

clock = SystemClock().timestamp

Address = tuple[str, int] | str
"""Host and port, or the path of a Unix socket."""


def confine(address: Address, descriptors: int = DESCRIPTORS) -> None:
    """Let the processes that listen at an address open no more descriptors than this (prlimit(2))."""
    listening = _listening(address)
    found = {
        int(file.parts[2])
        for file in Path("/proc").glob("[0-9]*/fd/*")
        if _target(file) in listening
    }
    assert found, f"nobody listens at {address}"
    for process in found:
        resource.prlimit(process, resource.RLIMIT_NOFILE, (descriptors, descriptors))


def _listening(address: Address) -> set[str]:
    """Return the names of the sockets that listen there, as they stand in /proc/PID/fd (proc_pid_net(5))."""
    lines = Path("/proc/net/unix" if isinstance(address, str) else "/proc/net/tcp").read_text()
    rows = [line.split() for line in lines.splitlines()[1:]]
    if isinstance(address, str):
        return {f"socket:[{row[6]}]" for row in rows if row[-1] == address}
    port = f":{address[1]:04X}"
    return {f"socket:[{row[9]}]" for row in rows if row[1].endswith(port) and row[3] == "0A"}


def _target(file: Path) -> str:
    try:
        return str(file.readlink())
    except OSError:
        # It was closed, or its process ended, since it was listed.
        return ""


@contextlib.contextmanager
def half_open(address: Address, begun: bytes, count: int) -> Iterator[None]:
    """Hold connections on which a request was begun, until the block ends."""
    held: list[socket.socket] = []
    try:
        for number in range(count):
            connection = _socket(address)
            held.append(connection)
            # A full backlog keeps the rest waiting in the kernel, as it would a real crowd.
            connection.setblocking(False)
            with contextlib.suppress(OSError):
                connection.connect(address)
            if number % AT_ONCE == 0:
                time.sleep(0.05)
        time.sleep(0.2)
        for connection in held:
            with contextlib.suppress(OSError):
                connection.send(begun)
        yield
    finally:
        for connection in held:
            connection.close()


def status(address: Address, patience: float, tls: ssl.SSLContext | None = None) -> int:
    """Return the status of the answer to one request; 0 where there is none in so many seconds."""
    try:
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(_socket(address))
            connection.settimeout(patience)
            connection.connect(address)
            if tls is not None:
                connection = stack.enter_context(tls.wrap_socket(connection))
            connection.sendall(WHOLE)
            line = connection.makefile("rb").readline(200)
            return int(line.split()[1]) if line.startswith(b"HTTP/1.1 ") else 0
    except OSError:
        return 0


def seconds_until_served(
    address: Address, count: int = HALF_OPEN, tls: ssl.SSLContext | None = None
) -> tuple[float, int]:
    """Return how long it takes from the last half-open connection until somebody else is served, and the answer's status.

    :param tls: how those who are served connect; the half-open ones don't get so far.
    """
    with half_open(address, b"" if tls else HALF, count):
        start = clock()
        while True:
            # A new client each second: one that came too early may wait longer than one that comes now.
            answered = status(address, 1.0, tls)
            took = clock() - start
            if answered or took > GIVEN_UP_SECONDS:
                return took, answered


def _socket(address: Address) -> socket.socket:
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    return socket.socket(family, socket.SOCK_STREAM)
