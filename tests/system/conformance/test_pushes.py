"""Change the bundle of each started enforcement point: what is revoked or closed is refused, also on open connections."""

import asyncio
from array import array
from pathlib import Path

import pytest
from tests.system.conformance.pushes import CHANGES, Client, pushed
from tests.unit.conformance.enforcement_points import ENFORCEMENT_POINTS, behind


@pytest.mark.parametrize(
    ("name", "chained"),
    [
        pytest.param(name, chained, id=f"{name}-chained" if chained else name)
        for name in ENFORCEMENT_POINTS
        for chained in (False, True)
    ],
)
def test_what_is_pushed_counts_for_open_and_new_connections(
    name: str, chained: bool, tmp_path: Path
) -> None:
    """An instance, a key and a route: each is refused once it is pushed, and served again once that is undone.

    How long it takes is measured by ``python -m benchmarks.bench_pushes``.
    """

    async def main() -> None:
        async with behind() as upstream:
            await asyncio.to_thread(assert_pushes_count, name, tmp_path, upstream, chained)

    asyncio.run(main())


def assert_pushes_count(name: str, directory: Path, upstream: str, chained: bool) -> None:
    """Push each change, see it refused on an open and on a new connection, and undo it.

    :param chained: whether the point is told by the bundle's second version alone.
    """
    revoked = array("Q", range(0, 2**64, 2**51)) if chained else None
    with pushed(name, directory, upstream, revoked) as point:
        held = Client(point.port, point.token())
        held.seconds_until(lambda status: status == 200)
        for change in CHANGES.values():
            point.publish(change)
            held.seconds_until(lambda status: status in {401, 403})
            fresh = Client(point.port, held.token)
            assert fresh.status() in {401, 403}
            assert held.status() in {401, 403}
            fresh.close()
            point.publish(None)
            held.seconds_until(lambda status: status == 200)
        held.close()
