"""Load one server with requests that were made beforehand, and read the processor time that it took."""

import contextlib
import os
import re
import socket
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, LOAD_CORE = CORES[0], CORES[-1]
"""The server that is measured has one core to itself; wrk and the API behind it share the other."""

CONNECTIONS = 32
PATIENCE = 15.0

# Walks the list once, or in a circle.  A proof that would be sent a second time ends the round.
_SCRIPT = """
local list, at, circle = {}, 0, false
function init(args)
  local file = assert(io.open(args[1], "rb"))
  circle = args[2] == "circle"
  while true do
    local length = file:read(8)
    if not length then break end
    list[#list + 1] = file:read(tonumber(length))
  end
  file:close()
end
function request()
  at = at + 1
  if at > #list then
    if circle then at = 1 else at = #list; wrk.thread:stop() end
  end
  return list[at]
end
"""

_NGINX = """
worker_processes 1; daemon off; pid {directory}/nginx.pid; error_log {directory}/nginx.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s;
  client_body_temp_path {directory}; proxy_temp_path {directory}; fastcgi_temp_path {directory};
  uwsgi_temp_path {directory}; scgi_temp_path {directory};
  server {{ listen 127.0.0.1:{port}; location / {{ return 200 "ok"; }} }}
}}
"""


@contextlib.contextmanager
def pinned(core: int) -> Iterator[None]:
    """Run what is started in the block on one core."""
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, {LOAD_CORE})


@contextlib.contextmanager
def running(core: int, command: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server on a core until the block ends."""
    with log.open("wb") as out, pinned(core):
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def static_api(directory: Path) -> Iterator[int]:
    """Run the API behind the proxies: an nginx that answers ``ok``; give its port."""
    port = free_port()
    configuration = directory / "nginx.conf"
    configuration.write_text(_NGINX.format(directory=directory, port=port))
    command = ["nginx", "-p", str(directory), "-c", str(configuration)]
    with running(LOAD_CORE, command, directory / "nginx.out"):
        wait_for(port)
        yield port


def wait_for(port: int) -> None:
    """Wait until somebody listens; raise SystemExit when nobody does."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise SystemExit(f"nobody listens on port {port}")


def wait_for_socket(place: Path) -> None:
    """Wait until somebody listens at a Unix socket; raise SystemExit when nobody does."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(place))
            return
        time.sleep(0.02)
    raise SystemExit(f"nobody listens at {place}")


def status_of(port: int, request: bytes) -> int:
    """Return the status of the answer to one request."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        connection.sendall(request)
        return int(connection.recv(65536).split(b" ", 2)[1])


def family(pid: int) -> list[int]:
    """Return a process and its descendants, such as the workers that a server forks."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name in brackets may hold anything; the parent is the second word behind it.
            parent = int(entry.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.parent.name))
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return found


class Sample(NamedTuple):
    """Hold what one round found.

    :param cost: processor time of one request, in us.
    :param waited: share of their time that the servers waited for their core, which others had.
    """

    cost: float
    waited: float


def used(pids: Sequence[int]) -> tuple[float, float]:
    """Return for how long processes ran (user and system) and waited for a core, in us.

    From the scheduler's own count for each thread, which is that of ``/proc/PID/stat`` in nanoseconds
    instead of hundredths of a second.
    """
    counts = [
        [int(number) / 1000 for number in file.read_text().split()[:2]]
        for pid in pids
        for file in Path(f"/proc/{pid}/task").glob("*/schedstat")
    ]
    return sum(ran for ran, _ in counts), sum(waited for _, waited in counts)


class Load:
    """Send lists of requests."""

    def __init__(self, directory: Path) -> None:
        """Keep the lists in a directory, best in memory."""
        self._list = directory / "requests"
        self._script = directory / "walk.lua"
        self._script.write_text(_SCRIPT)

    def cost(
        self, port: int, pids: Sequence[int], requests: Sequence[bytes], *, circle: bool
    ) -> Sample:
        """Send requests for a second; return what one took.

        :param circle: whether to begin anew at the end of the list; else the round ends there.
        :raises SystemExit: when any answer isn't a 200.
        """
        self._list.write_bytes(b"".join(b"%08d" % len(each) + each for each in requests))
        command = [
            *("wrk", "-t1", f"-c{CONNECTIONS}", "-d1s", "-s", str(self._script)),
            *(f"http://127.0.0.1:{port}/", "--"),
            *(str(self._list), "circle" if circle else "once"),
        ]
        ran, waited = used(pids)
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        ran, waited = (
            after - before for after, before in zip(used(pids), (ran, waited), strict=True)
        )
        done = re.search(r"(\d+) requests in", out)
        if done is None or "Non-2xx" in out or "Socket errors" in out:
            raise SystemExit(f"a server refused requests of the benchmark:\n{out}")
        return Sample(ran / int(done[1]), waited / (ran + waited))


class Found(NamedTuple):
    """Hold the medians of all measures, and how long the servers waited in the rounds that count."""

    costs: dict[str, float]
    waited: float


def medians(measures: dict[str, Callable[[], Sample]], rounds: int) -> Found:
    """Return the medians of measures that are taken in turn, so that the machine's mood meets all alike.

    Of each measure the quieter half of the rounds counts: when others take the core in between, the
    caches are theirs afterwards, and the same request takes up to twice as long.
    """
    seen: dict[str, list[Sample]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            seen[name].append(measure())
    quiet = {
        name: sorted(samples, key=attrgetter("waited"))[: rounds // 2 + 1]
        for name, samples in seen.items()
    }
    return Found(
        {name: statistics.median(each.cost for each in some) for name, some in quiet.items()},
        statistics.median(each.waited for some in quiet.values() for each in some),
    )
