"""Start what an enforcement point of the gate consists of: our own processes, servers of others, and what answers an engine's questions."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.machine import patience

from watchword.adapters.system import SystemClock
from watchword.gate.bundle import GateBundle, from_jws
from watchword_conformance.deployment import BUNDLE_FILE, load

ROOT: Final = Path(__file__).parents[3]
PATIENCE_SECONDS: Final = patience(15.0)


@dataclass
class EnforcementPoint:
    """Hold a running enforcement point.

    :ivar gate: the process that decides, to be killed.
    """

    port: int
    gate: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """Return where it listens."""
        return f"http://127.0.0.1:{self.port}"


def published(directory: Path) -> GateBundle:
    """Return the bundle of a deployment."""
    signer = load(directory).keys["bundle"].verification_key()
    return from_jws((directory / BUNDLE_FILE).read_bytes(), signer)


@contextlib.contextmanager
def own_process(*words: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run tests/unit/conformance/enforcement_point.py; it is killed at the end, as kill -9 does."""
    command = [sys.executable, "-m", "tests.unit.conformance.enforcement_point", *words]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, "the enforcement point ended before it listened"
        yield process, int(line)
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def given(store: Path | None) -> list[str]:
    """Return the word for a file of used proofs that gates share."""
    return [] if store is None else [str(store)]


@contextlib.contextmanager
def authz(style: str, directory: Path, store: Path | None) -> Iterator[subprocess.Popen[bytes]]:
    """Answer questions at ``authz.sock`` of the directory."""
    socket_path = str(directory / "authz.sock")
    with own_process("authz", style, str(directory), socket_path, *given(store)) as (process, _):
        yield process


@contextlib.contextmanager
def authz_over_tls(
    style: str, directory: Path, store: Path | None, files: Path
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Answer questions over mutual TLS, with the certificates in a directory; give the port."""
    with own_process("authz", style, str(directory), f"tls:{files}", *given(store)) as started:
        yield started


class Family(subprocess.Popen[bytes]):
    """Be a server whose workers are killed with it: without it they would go on."""

    def kill(self) -> None:
        """Kill all of them."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)


def served(
    command: Sequence[str],
    directory: Path,
    port: int,
    kind: type[subprocess.Popen[bytes]] = subprocess.Popen,
) -> Iterator[EnforcementPoint]:
    """Run a server until the caller is done; wait until it listens."""
    with (directory / "server.log").open("wb") as log:
        process = kind(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        deadline = SystemClock().timestamp() + PATIENCE_SECONDS
        while not listens(port):
            said = (directory / "server.log").read_text("utf-8", "replace")[-3000:]
            assert process.poll() is None, said
            assert SystemClock().timestamp() < deadline, said
            time.sleep(0.02)
        yield EnforcementPoint(port, process)
    finally:
        # nginx's workers outlive a master that is killed.
        process.terminate() if command[0].endswith("nginx") else process.kill()
        process.wait()


def listens(port: int) -> bool:
    """Tell whether somebody listens there."""
    # An empty connection shows it without taking a place in anybody's log of requests.
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
