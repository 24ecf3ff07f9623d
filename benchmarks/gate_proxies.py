"""Run the proxies that are measured, each on the core of servers, and load them with a fleet's requests."""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gate_instances import (
    DEVICE_PATH,
    SESSION_PATH,
    TOKEN_PATH,
    Fleet,
    request_bytes,
)
from benchmarks.gate_load import SERVER_CORE, Load, Sample, family, running, status_of, wait_for

_PATHS = {"session": SESSION_PATH, "device": DEVICE_PATH}
_READY_SECONDS = 15.0


@dataclass
class Proxy:
    """Hold a running proxy; ``pids`` are all its processes, its first one before the others."""

    port: int
    pids: list[int]

    @property
    def pid(self) -> int:
        """Return the process that was started."""
        return self.pids[0]


@contextlib.contextmanager
def started(command: Sequence[str], port: int, log: Path) -> Iterator[Proxy]:
    """Run a proxy until the block ends; it listens when the block begins."""
    with running(SERVER_CORE, command, log) as process:
        wait_for(port)
        yield Proxy(port, family(process.pid))


def wait_until_open(port: int, request: bytes) -> None:
    """Wait until the filters have arrived; what comes earlier is refused.

    :raises SystemExit: when they don't.
    """
    end = time.monotonic() + _READY_SECONDS
    while status_of(port, request) != 200:
        if time.monotonic() > end:
            raise SystemExit(f"what listens on port {port} refuses a good token")
        time.sleep(0.05)


class Costs:
    """Measure what a fleet's requests cost a proxy."""

    def __init__(self, fleet: Fleet, directory: Path, counts: Mapping[str, int]) -> None:
        """Prepare.

        :param directory: takes the lists of requests.
        :param counts: how many proofs of each kind a round may use up.
        """
        self._fleet = fleet
        self._load = Load(directory)
        self._counts = counts

    def of_tokens(self, at: Proxy, path: str = TOKEN_PATH, *others: int) -> Sample:
        """Return what a request with a token costs.

        :param others: processes that the proxy asks.
        """
        requests = [request_bytes(path, each.bearer()) for each in self._fleet.instances]
        return self._load.cost(at.port, [*at.pids, *others], requests, circle=True)

    def of_proofs(self, at: Proxy, kind: str) -> Sample:
        """Return what a request with a new proof of a kind costs."""
        proofs = self._fleet.proofs(kind, self._counts[kind])
        requests = [request_bytes(_PATHS[kind], fields) for fields in proofs]
        return self._load.cost(at.port, at.pids, requests, circle=False)
