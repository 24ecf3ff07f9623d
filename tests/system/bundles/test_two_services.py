"""Start another service on the state directory of one that runs: it is told no, and gates serve and learn all the while."""

from collections.abc import Iterator
from functools import partial

import pytest
from tests.system.bundles.deployments import Deployment, deployed
from tests.system.bundles.machines import configuration, until
from tests.system.bundles.points import Load
from tests.system.bundles.releases import TODAY


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    """Run a service, and gates of each kind beside it."""
    with deployed() as made:
        yield made


def test_another_service_on_the_same_state(deployment: Deployment) -> None:
    """Its file names one API less and other addresses, so that nothing but the state directory is shared."""
    service = deployment.service
    file = service.directory / "another.yaml"
    file.write_text(configuration(service.directory / "state", service.upstream), "utf-8")
    load = Load(deployment.points, deployment.token)
    with load.running():
        for _ in range(2):
            service.start("another", lambda log: TODAY.start(file, "up", "--json", output=log))
            until(
                lambda: service.running["another"].poll() is not None,
                partial(service.said, "another"),
            )
            assert service.running.pop("another").returncode != 0
            until(
                lambda: "another process does" in service.said("another"),
                partial(service.said, "another"),
            )
            deployment.assert_learns()
        load.goes_on()
    for name, counted in load.counted.items():
        assert set(counted) == {200}, f"{name}: {counted}\n{deployment.gate.said(name)}"
    for name in ("clinic.chain", "ledger.chain", "ledger.jws"):
        until((service.gates / name).exists, partial(service.said, "service"))
    until(deployment.is_whole, partial(deployment.gate.said, "pull"))
