"""Upgrade service, ``gate pull`` and gates one after the other, in both orders, under load: no genuine request is refused.

Gates of both versions run all the while, and each learns of each revocation, whatever the versions between are.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest
from tests.system.bundles.machines import (
    AUDIENCE,
    GateMachine,
    ServiceMachine,
    short_directory,
    until,
)
from tests.system.bundles.points import Load, Point, start_points
from tests.system.bundles.releases import TODAY, NoHistoryError, Release, release
from tests.unit.apps.service_process import upstream

BEFORE = "0.2.0"
"""The version that is upgraded from: the one before today's."""

Step = Callable[[ServiceMachine, GateMachine], None]


def _service(service: ServiceMachine, _gate: GateMachine) -> None:
    service.up(TODAY)


def _pull(_service: ServiceMachine, gate: GateMachine) -> None:
    gate.pull(TODAY)


ORDERS = {"service first": (_service, _pull), "gates first": (_pull, _service)}


@pytest.fixture
def before(tmp_path: Path) -> Release:
    """Return the code of the version before."""
    directory = tmp_path / "before"
    directory.mkdir()
    try:
        return release(BEFORE, directory)
    except NoHistoryError as error:
        pytest.skip(f"the code of {BEFORE} isn't here: {error}")


def assert_revocation_arrives(service: ServiceMachine, points: Sequence[Point]) -> None:
    """Revoke an instance that every point serves, and see that none does so from then on."""
    instance, token = service.token()
    for point in points:
        until(partial(point.serves, token), f"{point.name} refuses a genuine instance")
    service.revoke(instance)
    for point in points:
        until(partial(point.refuses, token), f"{point.name} serves a revoked one")


@pytest.mark.parametrize("steps", ORDERS.values(), ids=[each.replace(" ", "-") for each in ORDERS])
def test_no_genuine_request_is_refused(steps: Sequence[Step], before: Release) -> None:
    """Old and new gates serve and refuse alike before, between and after the steps."""
    with upstream() as port, short_directory() as directory:
        service = ServiceMachine(directory / "service", port)
        gate = None
        try:
            service.up(before)
            gate = GateMachine(directory / "gate", service)
            gate.pull(before)
            points = [*start_points(gate, before), *start_points(gate, TODAY)]
            assert_nobody_is_refused(service, gate, points, steps)
        finally:
            service.stop_all()
            if gate is not None:
                gate.stop_all()


def assert_nobody_is_refused(
    service: ServiceMachine, gate: GateMachine, points: list[Point], steps: Sequence[Step]
) -> None:
    """Take the steps while a genuine instance is served."""
    with service.phone() as phone:
        current = [phone.token(AUDIENCE)]
        for point in points:
            until(partial(point.serves, current[0]), partial(gate.said, point.name))
        load = Load(points, lambda: current[0])
        with load.running():
            assert_revocation_arrives(service, points)
            for step in steps:
                step(service, gate)
                load.goes_on()
                phone.renew()
                current[0] = phone.token(AUDIENCE)
                assert_revocation_arrives(service, points)
                load.goes_on()
        for name, counted in load.counted.items():
            assert set(counted) == {200}, f"{name}: {counted}\n{gate.said(name)}"
    assert gate.chain.exists()
