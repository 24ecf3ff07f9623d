"""Run the control plane with an Envoy of its own."""

import contextlib
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from tests.unit.apps.service_process import WATCHWORD


def comm(pid: int) -> str:
    """Return what a process calls itself."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text("utf-8").strip()
    return ""


@dataclass
class Following:
    """Hold a running ``watchword gate envoy --run``."""

    process: subprocess.Popen[str]
    directory: Path
    port: int
    lines: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Return where clients come in."""
        return f"http://127.0.0.1:{self.port}/a/b?q=1"

    def status(self) -> int:
        """Return what a stranger gets; 0 while nobody answers."""
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(self.url).status_code
        return 0

    def envoy(self) -> int:
        """Return the process id of Envoy."""
        found = subprocess.run(
            ["pgrep", "-f", f"{self.directory}/bootstrap.yaml"],
            capture_output=True,
            text=True,
            check=False,
        )
        (number,) = [int(pid) for pid in found.stdout.split() if comm(int(pid)) == "envoy"]
        return number


@contextmanager
def following(file: Path, directory: Path, port: int, *more: str) -> Iterator[Following]:
    """Run the control plane with its Envoy."""
    command = [
        *WATCHWORD,
        *("-c", str(file), "gate", "envoy", "-o", str(directory), "--run", "--workers", "1"),
        *("--listen", f"127.0.0.1:{port}", "--access-log", str(file.with_name("access.log"))),
        *more,
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    found = Following(process, directory, port)
    output = process.stdout
    assert output is not None
    reader = threading.Thread(target=lambda: found.lines.extend(iter(output.readline, "")))
    reader.start()
    try:
        yield found
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()
        reader.join()
        output.close()
