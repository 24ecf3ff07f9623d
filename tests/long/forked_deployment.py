"""Run a deployment again and again, and kill it: each time a process of its own, none of which imports anything anew."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Deployment:
    """Run ``watchword up`` on a file as often as it takes, each time in a process that nothing ran in before."""

    def __init__(self, file: Path) -> None:
        self._forks = subprocess.Popen(
            [sys.executable, "-m", "tests.long.forking_process", "-c", file, "up", "--json"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def _line(self) -> str:
        assert self._forks.stdout is not None
        return self._forks.stdout.readline()

    @contextmanager
    def up(self) -> Iterator[None]:
        """Run it until it listens, and kill it at the end: SIGKILL, nothing less."""
        assert self._forks.stdin is not None
        self._forks.stdin.write("go\n")
        self._forks.stdin.flush()
        number = int(self._line())
        try:
            assert self._line().startswith("{")
            yield
        finally:
            os.kill(number, signal.SIGKILL)
            while self._line() not in {"ended\n", ""}:
                pass

    def close(self) -> None:
        """Let the forking process end."""
        self._forks.communicate()
