"""Send heads and bodies without end to a whole deployment: it refuses, keeps little of them, and serves on."""

import contextlib
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.unit.apps.service_process import configuration, running, upstream, watchword

MEBIBYTE = 1 << 20
SENT_MEBIBYTES = 100
KEPT_MEBIBYTES = 48


@dataclass(frozen=True)
class Deployment:
    """Hold ``watchword up`` with an API behind its gate.

    :ivar places: by address, the path that a body is sent to.
    """

    file: Path
    process: subprocess.Popen[str]
    places: Mapping[str, str]

    def serves(self) -> bool:
        """Tell whether a phone enrols and is served."""
        *_, gate = self.places
        done = watchword(self.file, "lab", "request", "genuine-iphone", f"http://{gate}/a", "--new")
        return done.returncode == 0

    def peak_kib(self) -> int:
        """Return the most memory that process and children had in RAM since the last call, added up, in KiB."""
        ids = [self.process.pid]
        for each in ids:
            for task in Path(f"/proc/{each}/task").iterdir():
                ids += [int(child) for child in (task / "children").read_text().split()]
        found = [Path(f"/proc/{each}/status").read_text() for each in ids]
        for each in ids:
            # Makes the peak what is held now (proc(5), clear_refs).
            Path(f"/proc/{each}/clear_refs").write_text("5")
        lines = [line for text in found for line in text.splitlines()]
        return sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Run one for all cases."""
    directory = tmp_path_factory.mktemp("up")
    with upstream() as port, running(configuration(directory, port)) as (where, process):
        service = str(where["service"]).removeprefix("http://")
        places = {service: "/v1/attestations", where["apis"]["clinic"]: "/a"}
        made = Deployment(directory / "watchword.yaml", process, places)
        assert made.serves()
        yield made


def chunks() -> Iterator[bytes]:
    """Give a body that says no length, piece by piece."""
    piece = bytes(MEBIBYTE)
    for _ in range(SENT_MEBIBYTES):
        yield b"%x\r\n%b\r\n" % (len(piece), piece)


def lengths() -> Iterator[bytes]:
    """Give a body whose length was said before."""
    for _ in range(SENT_MEBIBYTES):
        yield bytes(MEBIBYTE)


def fields() -> Iterator[bytes]:
    """Give a head that doesn't end."""
    for number in range(SENT_MEBIBYTES):
        yield b"x-%d: %b\r\n" % (number, b"a" * MEBIBYTE)


def many() -> Iterator[bytes]:
    """Give 100,000 small fields."""
    for number in range(0, 100_000, 1000):
        yield b"".join(b"x-%d: 1\r\n" % (number + each) for each in range(1000))


def status(address: str, head: str, pieces: Iterator[bytes]) -> int:
    """Send a head and pieces for as long as somebody reads; return the status, or 0 where they hung up."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=30) as wire:
        with contextlib.suppress(OSError):
            wire.sendall(head.replace("\n", "\r\n").format(address=address).encode())
            for piece in pieces:
                wire.sendall(piece)
            wire.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError):
            line = wire.makefile("rb").readline(1000)
            return int(line.split()[1]) if line.startswith(b"HTTP/1.1 ") else 0
    return 0


BODY = "POST {path} HTTP/1.1\nHost: {{address}}\nContent-Type: application/json\n{framing}\n\n"
HEAD = "GET {path} HTTP/1.1\nHost: {{address}}\n"
CHUNKED = "Transfer-Encoding: chunked"
LENGTH = f"Content-Length: {SENT_MEBIBYTES * MEBIBYTE}"


@pytest.mark.parametrize("pieces", [chunks, lengths, fields, many])
def test_nothing_without_end_is_kept(
    deployment: Deployment, pieces: Callable[[], Iterator[bytes]]
) -> None:
    """100 MiB to service and gate, as body and as head: refused or hung up on, and both serve afterwards."""
    deployment.peak_kib()
    before = deployment.peak_kib()
    for address, path in deployment.places.items():
        framing = CHUNKED if pieces is chunks else LENGTH
        form = BODY if pieces in (chunks, lengths) else HEAD
        answered = status(address, form.format(path=path, framing=framing), pieces())
        assert answered in {0, 400, 401, 413, 431}, address
    assert deployment.peak_kib() - before < KEPT_MEBIBYTES * 1024
    assert deployment.serves()
