"""Measure the iOS SDK on Linux: the processor time that it adds to a request, and how large the compiled library is.

A bare URLSession and one with Watchword send GETs on a ``session`` route in turns, each over one connection to a server in another
process that answers at once; the bare one sends headers of the same length.  Of each the median turn counts.  On Linux a URLSession is
libcurl and ``CryptoKit`` is OpenSSL, and an iPhone's processor is another.

Run: ``python -m benchmarks.bench_sdk_ios [REQUESTS]``.
"""

import socket
import statistics
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.report import Row, write_report
from scripts.sdk import ios

REQUESTS = 10_000
ADDED_US = 60.0
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@contextmanager
def served() -> Iterator[str]:
    """Answer each request, none of which has a body, in the same words, and yield the server's URL."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    connection = server.accept()[0]
                except OSError:
                    return
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def answer(connection: socket.socket) -> None:
    """Answer the requests of one connection."""
    held = b""
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while piece := connection.recv(65_536):
            held += piece
            while (end := held.find(b"\r\n\r\n")) >= 0:
                held = held[end + 4 :]
                connection.sendall(_ANSWER)


def request_rows(program: Path, requests: int) -> list[Row]:
    """Measure requests with and without Watchword."""
    with served() as url:
        done = subprocess.run(
            [str(program), url, str(requests)], capture_output=True, text=True, check=True
        )
    turns = [tuple(map(float, line.split())) for line in done.stdout.splitlines()]
    bare, delegated, ours, own = (statistics.median(each) for each in zip(*turns, strict=True))
    # Of turns beside each other: what else the machine does changes both.
    added = statistics.median(turn[2] - turn[0] for turn in turns)
    return [
        Row.at_most(
            "processor time that Watchword adds to a request by URLSession on a session route, us",
            added,
            None,
            ADDED_US,
        ),
        Row("  the whole request by URLSession, us (peer: without Watchword)", ours, bare),
        Row("  the same, us (peer: without Watchword, by a delegate)", ours, delegated),
        Row("  the SDK's own work for a request, without sending, us", own),
    ]


def size_rows(built: Path) -> list[Row]:
    """Measure code and data of the library's objects, which is what a stripped program takes of them at most."""
    objects = sorted((built / "WatchwordKit.build").glob("*.o"))
    done = subprocess.run(
        ["size", "--format=berkeley", "--totals", *map(str, objects)],
        capture_output=True,
        text=True,
        check=True,
    )
    text, data = map(int, done.stdout.splitlines()[-1].split()[:2])
    return [Row("compiled library, release, stripped: code and data, KB", (text + data) / 1000)]


def main(requests: int = REQUESTS) -> bool:
    """Measure, print and write ``results/sdk_ios.json``; tell whether the goal holds."""
    built = ios.built(ios.RELEASE, product="Measured")
    return write_report("sdk_ios", [*request_rows(built / "Measured", requests), *size_rows(built)])


if __name__ == "__main__":
    sys.exit(0 if main(*map(int, sys.argv[1:2])) else 1)
