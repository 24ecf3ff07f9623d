"""Open a route by the operator's command, over processes: gates let pass, and close by themselves whoever is gone."""

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import pytest
from tests.machine import patience
from tests.system.bundles.machines import (
    REFUSED,
    GateMachine,
    ServiceMachine,
    short_directory,
    until,
)
from tests.system.bundles.points import Point, start_points
from tests.system.bundles.releases import TODAY
from tests.unit.apps.service_process import upstream

from watchword.apps.service.client import OperatorClient

ROUTE: Final = "clinic[0] /**"
FORGED: Final = "no.token.atall"
COUNTS: Final = frozenset({"asgi-today", "authz-today"})
"""The points that decide by the Python gate; the other ones are engines with rules of their own."""


class Deployment:
    """Hold a service and a machine of gates, with one of each enforcement point."""

    def __init__(self, service: ServiceMachine, gate: GateMachine, points: list[Point]) -> None:
        """Take what runs."""
        self.service = service
        self.gate = gate
        self.counting = [each for each in points if each.name in COUNTS]
        self.others = [each for each in points if each.name not in COUNTS]

    def command(self, *words: str) -> str:
        """Run ``watchword openings``; return what it prints."""
        run = "from watchword.apps.cli.main import run; run()"
        done = subprocess.run(
            [sys.executable, "-c", run, "-c", str(self.service.file), "openings", *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=patience(60),
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def open_for(self, seconds: int) -> None:
        """Open the clinic's route for a shorter time than the command offers."""
        wanted = {"route": ROUTE, "mode": "monitor", "seconds": seconds, "because": "drill"}
        with OperatorClient(self.service.settings.service.operator_socket) as operator:
            operator.post("/v1/openings", wanted)

    def wait_open(self) -> None:
        """Wait until every point that counts lets pass who has no token."""
        for point in self.counting:
            until(partial(point.serves, FORGED), partial(self.gate.said, point.name))
        self.assert_others_closed()

    def wait_closed(self) -> None:
        """Wait until every point refuses."""
        for point in self.counting:
            until(partial(point.refuses, FORGED), partial(self.gate.said, point.name))
        self.assert_others_closed()

    def assert_others_closed(self) -> None:
        """See that engines with rules of their own refuse."""
        for point in self.others:
            assert point.once(FORGED) in REFUSED, point.name


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    """Run a service, ``gate pull`` and one of each enforcement point; nothing is open."""
    with upstream() as port, short_directory() as directory:
        service = ServiceMachine(directory / "service", port)
        gate = None
        try:
            service.up(TODAY)
            gate = GateMachine(directory / "gate", service)
            gate.pull(TODAY)
            _, token = service.token()
            points = start_points(gate, TODAY)
            for point in points:
                until(partial(point.serves, token), partial(gate.said, point.name))
            yield Deployment(service, gate, points)
        finally:
            service.stop_all()
            if gate is not None:
                gate.stop_all()


def listed(deployment: Deployment) -> list[dict[str, Any]]:
    """Return what ``watchword openings list`` says."""
    return [json.loads(line) for line in deployment.command("list", "--json").splitlines()]


def test_an_operator_opens_a_route_and_closes_it(deployment: Deployment) -> None:
    """By its whole name or its path; a restart of the service keeps it open, and its end too."""
    said = deployment.command(
        "add", "--route", ROUTE, "--mode", "off", "--for", "20m", "--because", "bad release"
    )
    assert f"Opened {ROUTE} to off until " in said
    deployment.wait_open()
    deployment.service.up(TODAY)
    (opening,) = listed(deployment)
    assert (opening["route"], opening["because"]) == (ROUTE, "bad release")
    _, row = deployment.command("list").splitlines()
    assert row.startswith(f"{ROUTE}  off ")
    assert row.endswith("bad release")
    deployment.wait_open()
    assert deployment.command("end", "--route", ROUTE) == f"Closed {ROUTE}\n"
    deployment.wait_closed()
    deployment.service.up(TODAY)
    assert deployment.command("list") == "Nothing is open.\n"
    deployment.wait_closed()


def test_gates_that_are_cut_off_close_by_themselves(deployment: Deployment) -> None:
    """Neither service nor pull says anything any more; one that starts anew meanwhile is closed at once."""
    seconds, asgi = 15, next(each for each in deployment.counting if each.name == "asgi-today")
    while True:
        deployment.open_for(seconds)
        seen = [False]

        def is_open(seen: list[bool] = seen) -> bool:
            seen[0] = all(point.serves(FORGED) for point in deployment.counting)
            return seen[0] or not listed(deployment)

        until(is_open, partial(deployment.gate.said, "pull"))
        if seen[0]:
            break
        # This machine is too slow for so short a time.
        seconds *= 2
    deployment.service.stop("service")
    deployment.gate.stop("pull")
    deployment.wait_closed()
    deployment.gate.start_again(asgi.name)
    until(partial(asgi.refuses, FORGED), partial(deployment.gate.said, asgi.name))
    deployment.service.up(TODAY)
    deployment.gate.start_again("pull")


def test_a_gate_that_starts_while_it_is_cut_off_is_closed(deployment: Deployment) -> None:
    """However long the opening would have lasted; with the next news it opens, whatever they are of."""
    instance, _ = deployment.service.token()
    asgi = next(each for each in deployment.counting if each.name == "asgi-today")
    deployment.open_for(3600)
    deployment.wait_open()
    deployment.gate.stop("pull")
    deployment.gate.start_again(asgi.name)
    until(partial(asgi.refuses, FORGED), partial(deployment.gate.said, asgi.name))
    deployment.gate.start_again("pull")
    deployment.service.revoke(instance)
    deployment.wait_open()
    deployment.command("end", "--route", ROUTE)
    deployment.wait_closed()
