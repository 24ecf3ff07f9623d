"""Be many genuine phones that ask the gates of all nodes, with new tokens and with old ones, and count what they are answered."""

import json
import random  # noqa: TID251 - which old token is asked with, from a fixed seed.
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
from tests.machine import patience
from tests.system.bundles.machines import AUDIENCE, REFUSED, until
from tests.system.cluster.nodes import Balancer, Node
from tests.system.cluster.sealed import HELD, SealedCluster

from watchword.adapters.system import SystemClock
from watchword.client import ClientError, WatchwordAuth, WatchwordClient
from watchword.encoding import base64url
from watchword.vocabulary import Proof

_SERVED: Final = 200
_RENEWALS: Final = 8
_KEPT: Final = 400
"""So many tokens of before are asked with, too."""

_LEFT_SECONDS: Final = 30
"""A token with less to live than this is put away: a loaded machine may need as long for a request."""


class _Watched(Balancer):
    """Count what the service answers."""

    def __init__(self, nodes: Sequence[Node], counted: Counter[int]) -> None:
        super().__init__(nodes)
        self._counted = counted

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request to the next node."""
        answer = super().handle_request(request)
        self._counted[answer.status_code] += 1
        return answer


@dataclass
class Crowd:
    """Hold what genuine phones are answered, whose tokens come from any node.

    :ivar gates: how often each status was answered to a request with a token that lives; the client mends nothing unseen.
    :ivar service: likewise of what enrols and renews.
    :ivar refusals: what gates said where they refused.
    :ivar failures: what else went wrong.
    :ivar signers: the names of the keys that signed tokens.
    """

    cluster: SealedCluster
    gates: Counter[int] = field(default_factory=Counter)
    service: Counter[int] = field(default_factory=Counter)
    refusals: list[str] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    signers: set[str] = field(default_factory=set)
    _old: list[tuple[str, float]] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def asking(self, phones: int) -> Iterator[None]:
        """Ask until the block ends."""
        threads = [threading.Thread(target=self._be_phones) for _ in range(phones)]
        threads.append(threading.Thread(target=self._ask_with_old))
        for each in threads:
            each.start()
        try:
            yield
        finally:
            self._over.set()
            for each in threads:
                each.join()

    @property
    def refused(self) -> int:
        """Return how many requests of genuine phones were refused."""
        return sum(self.gates[each] for each in REFUSED)

    def goes_on(self, requests: int) -> None:
        """Wait until so many more requests were served."""
        before = self.gates[_SERVED]
        until(lambda: self.gates[_SERVED] >= before + requests, lambda: f"nobody is served: {self}")

    def _be_phones(self) -> None:
        """Be one phone after the other: each enrols, renews, and asks all gates with each token."""
        while not self._over.is_set():
            balancer = _Watched(self.cluster.nodes, self.service)
            hooks = {"response": [self._hear]}
            with (
                self.cluster.phone(race=balancer) as phone,
                httpx.Client(timeout=patience(10), event_hooks=hooks) as http,
            ):
                proofs = [
                    ("/records", WatchwordAuth(phone, AUDIENCE, proof=Proof.BEARER)),
                    (HELD, WatchwordAuth(phone, AUDIENCE, proof=Proof.SESSION)),
                ]
                for _ in range(_RENEWALS):
                    if self._over.is_set():
                        break
                    try:
                        self._ask_all(phone, http, proofs)
                    except (ClientError, httpx.TransportError) as error:
                        self.failures[f"{type(error).__name__}: {error}"[:200]] += 1

    def _ask_all(
        self,
        phone: WatchwordClient,
        http: httpx.Client,
        proofs: Sequence[tuple[str, WatchwordAuth]],
    ) -> None:
        token = phone.token(AUDIENCE)
        for node in self.cluster.nodes:
            for path, auth in proofs:
                http.get(f"http://127.0.0.1:{node.listen}{path}", auth=auth)
        self.signers.add(str(_part(token, 0)["kid"]))
        self._old = [*self._old[-_KEPT:], (token, float(_part(token, 1)["exp"]))]
        phone.renew()

    def _hear(self, answer: httpx.Response) -> None:
        self.gates[answer.status_code] += 1
        if answer.status_code != _SERVED:
            self.refusals.append(f"{answer.request.url}: {answer.read()[:300]!r}")

    def _ask_with_old(self) -> None:
        """Ask any gate with any token that was given out before and lives."""
        chance = random.Random(27)
        hooks = {"response": [self._hear]}
        with httpx.Client(timeout=patience(10), event_hooks=hooks) as http:
            while not self._over.wait(0.02):
                old = [
                    each
                    for each in self._old
                    if each[1] > SystemClock().timestamp() + _LEFT_SECONDS
                ]
                if old:
                    node = chance.choice(self.cluster.nodes)
                    token = chance.choice(old)[0]
                    http.get(
                        f"http://127.0.0.1:{node.listen}/records",
                        headers={"Watchword-Token": token},
                    )


def _part(token: str, at: int) -> Any:
    return json.loads(base64url.decode(token.split(".")[at]))
