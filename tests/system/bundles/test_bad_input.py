"""Give gates, the fetching command and the service what they must not take, as processes: it is closed or bounded, told, and mended by itself."""

import resource
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Final

import pytest
from tests.system.bundles.deployments import GATE, KEEPS, Deployment, deployed
from tests.system.bundles.machines import until
from tests.system.bundles.releases import TODAY

from watchword.adapters.gate_bundle import publish_bundle
from watchword.adapters.system import SystemClock
from watchword.gate.chain import delta_to_line
from watchword.reasons import UnavailableError
from watchword.tokens.jose import SigningKey

UNLIMITED: Final = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    """Run a service, and gates of each kind beside it."""
    with deployed() as made:
        yield made


def _lost(deployment: Deployment) -> list[bytes]:
    *before, _, last = deployment.lines()
    return [*before, last]


def _reordered(deployment: Deployment) -> list[bytes]:
    *before, first, second = deployment.lines()
    return [*before, second, first]


def _forged(deployment: Deployment) -> list[bytes]:
    reader = deployment.reader()
    bundle, thief = reader.bundle, SigningKey.from_wide_secret(b"t" * 64)
    assert bundle is not None
    assert reader.tip is not None
    opened = replace(bundle.policy, routes=())
    after = replace(bundle, generation=bundle.generation + 1, policy=opened)
    return [*deployment.lines(), delta_to_line(bundle, after, reader.tip, (), thief)]


def _other_api(deployment: Deployment) -> list[bytes]:
    return (deployment.service.gates / "ledger.chain").read_bytes().splitlines()


def _rubbish(_deployment: Deployment) -> list[bytes]:
    return [b"rubbish"]


@pytest.mark.parametrize("spoil", [_lost, _reordered, _forged, _other_api, _rubbish])
def test_a_spoiled_chain_changes_nothing_and_is_mended(
    deployment: Deployment, spoil: Callable[[Deployment], list[bytes]]
) -> None:
    """Lines that were lost, moved, forged or are another API's: the gate says so, keeps what it has, and gets the rest."""
    for _ in range(2):
        deployment.assert_learns()
    since = deployment.gate.printed(GATE)
    deployment.put(spoil(deployment))
    until(partial(deployment.has_told, KEEPS, since), partial(deployment.gate.said, GATE))
    deployment.assert_holds()
    deployment.assert_learns()
    until(deployment.is_whole, partial(deployment.gate.said, "pull"))
    assert "follows its bundle again" in deployment.gate.said(GATE, since)


def test_a_doubled_line_is_passed_over(deployment: Deployment) -> None:
    """A line that was taken before says nothing new, and what follows is taken."""
    deployment.assert_learns()
    since = deployment.gate.printed(GATE)
    lines = deployment.lines()
    deployment.put([*lines, lines[-1], *lines[1:]])
    deployment.assert_learns()
    assert KEEPS not in deployment.gate.said(GATE, since)


def test_half_a_line_is_not_there_yet(deployment: Deployment) -> None:
    """What a process that died left at the end of its file keeps nobody from the next revocation."""
    deployment.assert_learns()
    lines = deployment.lines()
    publish_bundle(deployment.gate.chain, b"\n".join([*lines, lines[-1][:50]]))
    deployment.assert_holds()
    deployment.assert_learns()
    until(deployment.is_whole, partial(deployment.gate.said, "pull"))


@pytest.mark.parametrize("is_lost", [False, True])
def test_a_service_that_was_set_back(deployment: Deployment, is_lost: bool) -> None:
    """A restored backup, whose clock was ahead before: gates are further than the service, and hear of the next revocation.

    What a gate has was never taken back; it is the service that goes above it, also where a gate has lost its chain and
    knows alone how far it was.
    """
    service, state = deployment.service, deployment.service.directory / "state"
    service.stop("service")
    backup = service.directory / "backup"
    shutil.copytree(state, backup, ignore=shutil.ignore_patterns("*.sock"))
    ahead = int(SystemClock().timestamp()) + 5000
    publish_bundle(state / "gate-generation", f"{ahead}\n".encode())
    service.up(TODAY)
    deployment.assert_learns()
    bundle = deployment.reader().bundle
    assert bundle is not None
    assert bundle.generation > ahead
    service.stop("service")
    shutil.rmtree(state)
    backup.rename(state)
    if is_lost:
        deployment.gate.stop("pull")
        deployment.gate.chain.unlink()
        deployment.gate.start_again("pull")
    service.up(TODAY)
    deployment.assert_holds()
    deployment.assert_learns()
    later = deployment.reader().bundle
    assert later is not None
    assert later.generation > bundle.generation


def test_gates_that_slept(deployment: Deployment) -> None:
    """Whoever wakes after the service began its chain anew gets all that was revoked meanwhile."""
    sleeping = ["pull", GATE]
    for name in sleeping:
        deployment.gate.running[name].send_signal(signal.SIGSTOP)
    tokens = []
    for _ in range(3):
        instance, token = deployment.service.token()
        # Whoever finds its chain gone begins another one, which follows on none that a gate has.
        (deployment.service.gates / "clinic.chain").unlink()
        deployment.service.revoke(instance)
        tokens.append(token)
    for name in sleeping:
        deployment.gate.running[name].send_signal(signal.SIGCONT)
    for token in tokens:
        for point in deployment.points:
            until(partial(point.refuses, token), partial(deployment.gate.said, point.name))
    deployment.assert_holds()


def test_the_first_version_put_back(deployment: Deployment) -> None:
    """Who swaps files can't bring back who was revoked by a bundle of the first version, nor after a restart of the gate."""
    gate = deployment.gate
    old = gate.bundle.read_bytes()
    deployment.assert_learns()
    gate.stop("pull")
    gate.chain.unlink()
    publish_bundle(gate.bundle, old)
    deployment.assert_holds()
    gate.start_again(GATE)
    point = deployment.point
    until(lambda: point.once(deployment.token()) == 503, partial(gate.said, GATE))
    assert point.once(deployment.revoked) == 503
    gate.start_again("pull")
    until(partial(point.serves, deployment.token()), partial(gate.said, GATE))
    deployment.assert_holds()
    deployment.assert_learns()


def test_a_full_disk_at_the_gate(deployment: Deployment) -> None:
    """It is told, nothing is lost, and the revocation arrives as soon as there is room."""
    since, pid = deployment.gate.printed("pull"), deployment.gate.running["pull"].pid
    instance, token = deployment.service.token()
    # No file may grow by a byte, which a process meets as it meets a full disk.
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    deployment.service.revoke(instance)
    until(
        lambda: "can't be written" in deployment.gate.said("pull", since),
        partial(deployment.gate.said, "pull"),
    )
    deployment.assert_holds()
    resource.prlimit(pid, resource.RLIMIT_FSIZE, UNLIMITED)
    for point in deployment.points:
        until(partial(point.refuses, token), partial(deployment.gate.said, point.name))
    deployment.assert_learns()


def test_bundles_that_the_service_cannot_write(deployment: Deployment) -> None:
    """Whoever revokes is told so; the instance is revoked all the same, and gates hear of it once the files can be written."""
    since, gates = deployment.service.printed("service"), deployment.service.gates
    instance, token = deployment.service.token()
    files = [gates / "clinic.jws", gates / "clinic.chain"]
    for file in files:
        file.unlink()
        # Nothing takes the place of a directory with something in it.
        (file / "in the way").mkdir(parents=True)
    with pytest.raises(UnavailableError):
        deployment.service.revoke(instance)
    until(
        lambda: "clinic.jws: can't be written" in deployment.service.said("service", since),
        partial(deployment.service.said, "service"),
    )
    deployment.assert_holds()
    for file in files:
        shutil.rmtree(file)
    for point in deployment.points:
        until(partial(point.refuses, token), partial(deployment.gate.said, point.name))
    deployment.assert_learns()
