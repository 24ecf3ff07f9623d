"""An engine's log and what the follower says share a file without harm."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from watchword.apps.engines.haproxy import RunningHaproxy
from watchword.engines.interface import Endpoint, EngineOptions
from watchword.reasons import WatchwordError

BOTH_WRITE = """
from watchword.apps.engines.commands import append_to_output
append_to_output()
print("follower: begins", flush=True)
with open("/dev/stdout", "a") as engine:
    print("engine: a line that is longer than the others", file=engine, flush=True)
    print("follower: goes on", flush=True)
    print("engine: ends", file=engine, flush=True)
"""


def test_nobody_writes_over_lines_of_the_other(tmp_path: Path) -> None:
    """An engine opens /dev/stdout anew, and so has a place of its own in the file behind it."""
    output = tmp_path / "log"
    with output.open("wb") as opened:
        subprocess.run([sys.executable, "-c", BOTH_WRITE], stdout=opened, check=True)
    assert output.read_text().splitlines() == [
        "follower: begins",
        "engine: a line that is longer than the others",
        "follower: goes on",
        "engine: ends",
    ]


def test_haproxy_isnt_started_where_somebody_listens(tmp_path: Path) -> None:
    """It would share the address with the proxy of ``up``, and half of the requests would go there."""
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as taken:
        options = EngineOptions(
            directory=str(tmp_path),
            listen=Endpoint("127.0.0.1", taken.getsockname()[1]),
            upstream=Endpoint("127.0.0.1", 2),
        )
        running = RunningHaproxy(options, None, True, lambda _: None)
        with pytest.raises(WatchwordError, match="--listen"):
            running.keep_running()
        running.stop()
