"""Set the clock of the service's machine ahead and back: gates, whose clocks are right, let nobody in again by it, and learn all the while."""

import signal
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest
from tests.system.bundles.clocks import NoCompilerError, SettableClock
from tests.system.bundles.deployments import GATE, Deployment, deployed
from tests.system.bundles.machines import until
from tests.system.bundles.releases import TODAY, Release

from watchword.adapters.gate_bundle import read_signer
from watchword.gate.bundle import from_jws

WEEK = 7 * 86_400


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> SettableClock:
    """Return the clock of the service's machine."""
    try:
        return SettableClock(tmp_path_factory.mktemp("clock"))
    except NoCompilerError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def code(clock: SettableClock) -> Release:
    """Return today's code, going by that clock."""
    return replace(TODAY, environment=clock.environment)


@pytest.fixture(scope="module")
def deployment(code: Release) -> Iterator[Deployment]:
    """Run a service that goes by that clock, and gates of each kind beside it."""
    with deployed(code) as made:
        yield made


def assert_refused(deployment: Deployment, *tokens: str) -> None:
    """Wait until each point refuses each of the tokens."""
    for point in deployment.points:
        for token in tokens:
            until(partial(point.refuses, token), partial(deployment.gate.said, point.name))


def named(deployment: Deployment) -> frozenset[str]:
    """Return whom the service names to gates of the version before."""
    data = (deployment.service.gates / "clinic.jws").read_bytes()
    return from_jws(data, read_signer(deployment.gate.signer)).revoked


@pytest.mark.parametrize("seconds", [WEEK, 3600, -3600, -WEEK])
def test_steps(deployment: Deployment, clock: SettableClock, seconds: int) -> None:
    """Who was revoked before, and who is meanwhile, stays so while the clock is wrong and after it is right again."""
    service, names = deployment.service, named(deployment)
    tokens = []
    instances = dict(service.token() for _ in range(3))
    for ahead, (instance, token) in zip((0, seconds, 0), instances.items(), strict=True):
        clock.set(ahead)
        service.revoke(instance)
        tokens.append(token)
        assert_refused(deployment, *tokens, deployment.revoked)
        assert names < named(deployment)
        names = named(deployment)
    for point in deployment.points:
        assert point.serves(deployment.token()), deployment.gate.said(point.name)
    deployment.assert_learns()


def test_a_service_that_starts_by_a_wrong_clock(
    deployment: Deployment, clock: SettableClock, code: Release
) -> None:
    """It takes the gate's certificate for one that has ended, which is told; set right, it goes on above the numbers it drew."""
    gate, service = deployment.gate, deployment.service
    first, second = (service.token() for _ in range(2))
    clock.set(WEEK)
    service.up(code)
    service.revoke(first[0])
    since = gate.printed("pull")
    until(lambda: "error: " in gate.said("pull", since), partial(gate.said, "pull"))
    assert_refused(deployment, deployment.revoked)
    clock.set(0)
    service.up(code)
    service.revoke(second[0])
    assert_refused(deployment, second[1], first[1], deployment.revoked)
    deployment.assert_learns()


def test_gates_that_slept_for_a_week(
    deployment: Deployment, clock: SettableClock, code: Release
) -> None:
    """Meanwhile all whom they know were forgotten, and the chain was begun anew: they take it, and the next revocation counts."""
    gate, service = deployment.gate, deployment.service
    instance, token = service.token()
    sleeping = ["pull", GATE]
    for name in sleeping:
        gate.running[name].send_signal(signal.SIGSTOP)
    service.stop("service")
    (service.gates / "clinic.chain").unlink()
    clock.set(WEEK)
    service.up(code)
    clock.set(0)
    service.up(code)
    service.revoke(instance)
    for name in sleeping:
        gate.running[name].send_signal(signal.SIGCONT)
    assert_refused(deployment, token)
    deployment.assert_learns()
