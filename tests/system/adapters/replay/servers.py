"""Run a real Valkey on a Unix socket or on loopback."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Valkey:
    """Hold one server; everything it writes lies in one directory."""

    def __init__(self, directory: Path, *options: str) -> None:
        """Start it with more options than it needs."""
        self.directory = directory
        self.socket = directory / "valkey.sock"
        self.url = f"unix://{self.socket}"
        self._options = options
        self.start()

    def start(self) -> None:
        """Start it (again), and wait until it answers."""
        binary = shutil.which("valkey-server")
        assert binary, "valkey-server isn't installed: run scripts/setup"
        self.socket.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [
                binary,
                *("--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700"),
                *("--dir", str(self.directory), "--save", "", "--logfile", "valkey.log"),
                *self._options,
            ],
            stdout=subprocess.DEVNULL,
        )
        for _ in range(500):
            with socket.socket(socket.AF_UNIX) as probe:
                try:
                    probe.connect(str(self.socket))
                    probe.sendall(b"PING\r\n")
                    if probe.recv(16)[:1] in (b"+", b"-") and self.process.poll() is None:
                        return
                except OSError:
                    pass
            time.sleep(0.01)
        raise AssertionError((self.directory / "valkey.log").read_text())

    def send(self, number: int) -> None:
        """Send a signal."""
        os.kill(self.process.pid, number)

    def kill(self) -> None:
        """Kill it as a loss of the process would."""
        self.send(signal.SIGKILL)
        self.process.wait()


@contextmanager
def valkey(*options: str) -> Iterator[Valkey]:
    """Run a server; a Unix socket's path must be short, so that it has a directory of its own."""
    directory = Path(tempfile.mkdtemp(prefix="ww-valkey-"))
    server = Valkey(directory, *options)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.send(signal.SIGCONT)
            server.kill()
        shutil.rmtree(directory)
