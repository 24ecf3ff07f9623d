"""Measure how long a person waits for what runs: a service's start to its first answer, its memory, the demo.

The peer of each row is the floor: the same interpreter doing nothing, or the bare server.
"""

import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from benchmarks.gate_load import free_port
from benchmarks.report import Row, write_report

from watchword.apps.settings.template import TEMPLATE

COMMAND = str(Path(sys.executable).parent / "watchword")
BARE = """
import asyncio, sys
from watchword.adapters.http_server import HttpServer
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})
async def main():
    await HttpServer(app, port=int(sys.argv[1])).start()
    await asyncio.sleep(60)
asyncio.run(main())
"""
START_ROUNDS = 5
REQUESTS = 300


def seconds(arguments: list[str]) -> float:
    """Return how long a command took."""
    started = time.perf_counter()
    subprocess.run(arguments, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def until_answer(
    arguments: list[str], url: str, cwd: Path
) -> tuple[float, int, Callable[[], None]]:
    """Start a server; return the seconds to its first 200, its process id, and how to end it."""
    started = time.perf_counter()
    process = subprocess.Popen(
        arguments, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = started + 20

    def end() -> None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    while time.perf_counter() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:
                if answer.status == 200:
                    return time.perf_counter() - started, process.pid, end
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.005)
    end()
    raise RuntimeError(f"{url} did not answer")


def resident_megabytes(pid: int) -> float:
    """Return VmRSS of a process and its children."""
    pids = [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
    found = [
        re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{each}/status").read_text()) for each in pids
    ]
    return sum(int(match[1]) for match in found if match) / 1024


def start_rows() -> list[Row]:
    """Measure start and memory of ``watchword up`` beside a bare granian."""
    ours: list[float] = []
    bare: list[float] = []
    memory: list[float] = []
    bare_memory: list[float] = []
    for _ in range(START_ROUNDS):
        with tempfile.TemporaryDirectory() as directory:
            service, proxy = free_port(), free_port()
            text = TEMPLATE.replace("8440", str(service)).replace("8080", str(proxy))
            Path(directory, "watchword.yaml").write_text(text)
            base = f"http://127.0.0.1:{service}"
            took, pid, end = until_answer([COMMAND, "up"], f"{base}/healthz", Path(directory))
            ours.append(took)
            for _ in range(REQUESTS):
                urllib.request.urlopen(f"{base}/.well-known/jwks.json").read()
            memory.append(resident_megabytes(pid))
            end()
        port = free_port()
        command = [sys.executable, "-c", BARE, str(port)]
        took, pid, end = until_answer(command, f"http://127.0.0.1:{port}/", Path.cwd())
        bare.append(took)
        bare_memory.append(resident_megabytes(pid))
        end()
    median = statistics.median
    return [
        Row.at_most(
            "service start to first 200, s (floor: bare granian)", median(ours), median(bare), 1.0
        ),
        Row.at_most(
            "service RSS after 300 requests, MB (floor: bare granian)",
            median(memory),
            median(bare_memory),
            120,
        ),
    ]


def main() -> bool:
    """Measure, print and write ``results/up.json``; tell whether all goals hold."""
    floor = statistics.median(seconds([sys.executable, "-c", "pass"]) for _ in range(START_ROUNDS))
    demos = statistics.median(seconds([COMMAND, "demo"]) for _ in range(3))
    demo = Row.at_most("watchword demo, s (floor: python -c pass)", demos, floor, 10)
    full = Row(
        "watchword demo --full, s (floor: python -c pass)",
        seconds([COMMAND, "demo", "--full"]),
        floor,
    )
    return write_report("up", [*start_rows(), demo, full])


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
