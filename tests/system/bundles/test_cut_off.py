"""Cut off what tokens a fleet has, over processes: refused at every point, renewed by who is genuine, and by nobody who is revoked."""

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest
from tests.system.bundles.deployments import Deployment, deployed
from tests.system.bundles.machines import AUDIENCE, GateMachine, until
from tests.system.bundles.points import Load, Point, start_points
from tests.system.bundles.releases import TODAY, NoHistoryError, release

from watchword.apps.service.client import OperatorClient
from watchword.client import WatchwordClient
from watchword.client.errors import InstanceRefusedError
from watchword.encoding import base64url
from watchword.gate.cuts import BUCKETS, bucket_of


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    """Run a service, and gates of each kind beside it."""
    with deployed() as made:
        yield made


@pytest.fixture
def phone(deployment: Deployment) -> Iterator[Callable[[], WatchwordClient]]:
    """Return what makes genuine phones, each with a token."""
    made: list[WatchwordClient] = []

    def new() -> WatchwordClient:
        made.append(deployment.service.phone())
        made[-1].token(AUDIENCE)
        return made[-1]

    yield new
    for each in made:
        each.close()


def cut(deployment: Deployment, step: int, pause: int) -> str:
    """Cut off all of the app's tokens, in steps; return the cut's name."""
    wanted = {"app": "clinic-android", "because": "token key leaked", "step": step, "pause": pause}
    with OperatorClient(deployment.service.settings.service.operator_socket) as operator:
        return str(operator.post("/v1/cuts", wanted)["id"])


def stop(deployment: Deployment, name: str) -> None:
    """Take no further steps."""
    with OperatorClient(deployment.service.settings.service.operator_socket) as operator:
        operator.post(f"/v1/cuts/{name}/stop", {"because": "tried"})


def bucket(token: str) -> int:
    """Return in which part of the fleet a token's instance is."""
    return bucket_of(json.loads(base64url.decode(token.split(".")[1]))["sub"])


def assert_all(
    machine: GateMachine,
    points: Sequence[Point],
    does: Callable[[Point, str], bool],
    *tokens: str,
) -> None:
    """Wait until each point serves, or refuses, each of the tokens."""
    for point in points:
        for token in tokens:
            until(partial(does, point, token), partial(machine.said, point.name))


def test_all_at_once(deployment: Deployment, phone: Callable[[], WatchwordClient]) -> None:
    """Who is genuine renews and is served everywhere; who is revoked can't; a gate that starts anew alone keeps the cut."""
    gate, points = deployment.gate, deployment.points
    genuine, thief = phone(), phone()
    before, stolen = genuine.token(AUDIENCE), thief.token(AUDIENCE)
    assert_all(gate, points, Point.serves, before, stolen)
    assert thief.instance is not None
    deployment.service.revoke(thief.instance)
    cut(deployment, BUCKETS, 0)
    assert_all(gate, points, Point.refuses, before, stolen)
    genuine.renew()
    assert_all(gate, points, Point.serves, genuine.token(AUDIENCE))
    with pytest.raises(InstanceRefusedError):
        thief.renew()
    gate.stop("pull")
    for point in points:
        gate.start_again(point.name)
    assert_all(gate, points, Point.serves, genuine.token(AUDIENCE))
    assert_all(gate, points, Point.refuses, before, stolen, deployment.revoked)
    gate.start_again("pull")
    deployment.phone.renew()
    deployment.assert_learns()


def test_in_steps(deployment: Deployment, phone: Callable[[], WatchwordClient]) -> None:
    """The parts of the fleet whose turn it isn't yet are served without a break, also where the service starts anew."""
    gate, points, half = deployment.gate, deployment.points, BUCKETS // 2
    parts: dict[bool, WatchwordClient] = {}
    while len(parts) < 2:
        made = phone()
        parts.setdefault(bucket(made.token(AUDIENCE)) < half, made)
    first, later = (parts[each].token(AUDIENCE) for each in (True, False))
    assert_all(gate, points, Point.serves, first, later)
    load = Load(points, lambda: later)
    with load.running():
        name = cut(deployment, half, 600)
        assert_all(gate, points, Point.refuses, first)
        deployment.service.up(TODAY)
        parts[True].renew()
        assert_all(gate, points, Point.serves, parts[True].token(AUDIENCE))
        assert_all(gate, points, Point.refuses, first)
        load.goes_on()
    for point, counted in load.counted.items():
        assert set(counted) == {200}, f"{point}: {counted}\n{gate.said(point)}"
    stop(deployment, name)
    cut(deployment, BUCKETS, 0)
    assert_all(gate, points, Point.refuses, first, later)
    parts[False].renew()
    assert_all(gate, points, Point.serves, parts[False].token(AUDIENCE))
    deployment.phone.renew()
    deployment.assert_learns()


def test_gates_of_the_version_before(
    deployment: Deployment, phone: Callable[[], WatchwordClient], tmp_path: Path
) -> None:
    """They know no cuts: they refuse the instances by name, and let in again who has renewed."""
    try:
        before = release("0.2.0", tmp_path)
    except NoHistoryError as error:
        pytest.skip(f"the code of 0.2.0 isn't here: {error}")
    old = GateMachine(deployment.gate.directory.with_name("old"), deployment.service)
    try:
        old.pull(before)
        points = start_points(old, before)
        genuine, thief = phone(), phone()
        current, stolen = genuine.token(AUDIENCE), thief.token(AUDIENCE)
        assert_all(old, points, Point.serves, current, stolen)
        assert thief.instance is not None
        deployment.service.revoke(thief.instance)
        cut(deployment, BUCKETS, 0)
        assert_all(old, points, Point.refuses, current, stolen)
        genuine.renew()
        assert_all(old, points, Point.serves, genuine.token(AUDIENCE))
        assert_all(old, points, Point.refuses, stolen)
    finally:
        old.stop_all()
    deployment.phone.renew()
    deployment.assert_learns()
