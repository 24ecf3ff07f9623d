"""Enrol phones without a break, and ask the gates of all nodes meanwhile."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import httpx
from tests.system.bundles.machines import AUDIENCE, until
from tests.system.bundles.points import Load
from tests.system.cluster.nodes import Balancer, Cluster

from watchword.client import ClientError

UNAVAILABLE = 503
_PAUSE_SECONDS = 0.05
_TURN = threading.Lock()


class Timed(Balancer):
    """Note how long each answer took."""

    def __init__(self, crowd: "Crowd") -> None:
        """Note it for a crowd."""
        super().__init__(crowd.nodes.nodes)
        self._seconds = crowd.seconds

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send it on."""
        begun = time.perf_counter()
        answer = super().handle_request(request)
        answer.read()
        took = time.perf_counter() - begun
        with _TURN:
            self._seconds.setdefault(answer.status_code, []).append(took)
        return answer


@dataclass
class Crowd:
    """Hold what was acknowledged, when, and what gates answered to the newest token.

    :ivar acknowledged: by instance when it was, in seconds of a clock that nobody sets.
    :ivar refused: what those were told who weren't enrolled.
    :ivar seconds: how long each answer of a node took, by status.
    """

    nodes: Cluster
    acknowledged: dict[str, float] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    seconds: dict[int, list[float]] = field(default_factory=dict)
    token: str = ""
    _over: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def enrolling(self, workers: int = 2) -> Iterator[Load]:
        """Enrol until the block ends; give what gates are asked."""
        threads = [threading.Thread(target=self._enrol) for _ in range(workers)]
        for each in threads:
            each.start()
        try:
            until(lambda: bool(self.token), self._said)
            load = Load([each.point for each in self.nodes.nodes], lambda: self.token)
            with load.running():
                yield load
        finally:
            self._over.set()
            for each in threads:
                each.join()

    def goes_on(self, phones: int = 5) -> None:
        """Wait until so many more phones are enrolled."""
        wanted = len(self.acknowledged) + phones
        until(lambda: len(self.acknowledged) >= wanted, self._said)

    def is_refused(self, requests: int = 4) -> None:
        """Wait until so many more requests of theirs are, for now."""
        wanted = len(self.seconds.get(UNAVAILABLE, ())) + requests
        until(lambda: len(self.seconds.get(UNAVAILABLE, ())) >= wanted, "they are enrolled still")

    def gaps(self) -> list[float]:
        """Return for how long nobody was enrolled, each time, the longest first."""
        at = sorted(self.acknowledged.values())
        return sorted((after - before for before, after in pairwise(at)), reverse=True)

    def lost(self) -> set[str]:
        """Return whom the database doesn't know though they were acknowledged."""
        known = {each[0] for each in self.nodes.rows("SELECT id FROM watchword.instances")}
        return set(self.acknowledged) - known

    def _enrol(self) -> None:
        while not self._over.is_set():
            with self.nodes.phone(race=Timed(self)) as phone:
                try:
                    token = phone.token(AUDIENCE)
                except ClientError as error:
                    self.refused.append(str(error))
                    self._over.wait(_PAUSE_SECONDS)
                    continue
                assert phone.instance is not None
                self.acknowledged[phone.instance] = time.perf_counter()
                self.token = token

    def _said(self) -> str:
        return f"nobody enrols: {self.refused[-3:]}"
