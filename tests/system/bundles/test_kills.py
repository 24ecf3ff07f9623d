"""Kill service, fetching command and gates in the middle of what they write: what was acknowledged holds, and they go on by themselves."""

import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest
from tests.system.bundles.deployments import Deployment, deployed
from tests.system.bundles.machines import ServiceMachine, until
from tests.system.bundles.releases import TODAY

from watchword.reasons import WatchwordError

ROUNDS = 3
REVOKED_A_ROUND = 6


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    """Run a service, and gates of each kind beside it."""
    with deployed() as made:
        yield made


class Revoking:
    """Revoke instances one after the other, beside whatever else happens."""

    def __init__(self, service: ServiceMachine, instances: Sequence[str]) -> None:
        """Begin at once.

        :ivar done: instances that the service said are revoked.
        """
        self.done: list[str] = []
        self._service = service
        self._instances = instances
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _work(self) -> None:
        for instance in self._instances:
            try:
                self._service.revoke(instance)
            except WatchwordError:
                continue
            self.done.append(instance)

    def end(self) -> None:
        """Wait until each was tried once."""
        self._thread.join()


def _service(deployment: Deployment) -> None:
    deployment.service.kill("service")
    leave_half(deployment.service.gates / "clinic.chain")
    deployment.service.up(TODAY)


def _pull(deployment: Deployment) -> None:
    deployment.gate.kill("pull")
    leave_half(deployment.gate.chain)
    deployment.gate.start_again("pull")


def leave_half(chain: Path) -> None:
    """Leave what a process leaves that is killed while it writes a chain as a whole, or one more line of it."""
    chain.with_name(f".{chain.name}.1.new").write_bytes(chain.read_bytes()[:-20])
    with chain.open("ab") as file:
        file.write(b"eyJhbGciOiJFUzI1NiIs")


def _gates(deployment: Deployment) -> None:
    for point in deployment.points:
        deployment.gate.kill(point.name)
        deployment.gate.start_again(point.name)


@pytest.mark.parametrize("kill", [_service, _pull, _gates])
def test_a_kill_in_the_middle(deployment: Deployment, kill: Callable[[Deployment], None]) -> None:
    """Every revocation that the operator was told of counts everywhere; one that failed counts when it is tried again."""
    for _ in range(ROUNDS):
        tokens = dict(deployment.service.token() for _ in range(REVOKED_A_ROUND))
        revoking = Revoking(deployment.service, list(tokens))
        until(partial(bool, revoking.done), partial(deployment.service.said, "service"))
        kill(deployment)
        revoking.end()
        for point in deployment.points:
            until(
                partial(point.serves, deployment.token()), partial(deployment.gate.said, point.name)
            )
            for instance in revoking.done:
                until(
                    partial(point.refuses, tokens[instance]),
                    partial(deployment.gate.said, point.name),
                )
        for instance in tokens.keys() - {*revoking.done}:
            deployment.service.revoke(instance)
        for point in deployment.points:
            for token in tokens.values():
                until(partial(point.refuses, token), partial(deployment.gate.said, point.name))
    deployment.assert_learns()
    until(deployment.is_whole, partial(deployment.gate.said, "pull"))
    for directory in (deployment.service.gates, deployment.gate.bundle.parent):
        assert not [*directory.glob(".clinic.chain.1.new")]
