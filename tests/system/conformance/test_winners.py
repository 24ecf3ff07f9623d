"""Send copies of one proof at the same time: exactly one passes, also when the gate is killed meanwhile."""

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.unit.conformance.enforcement_points import ENFORCEMENT_POINTS, deployed
from tests.unit.conformance.processes import EnforcementPoint

from watchword.adapters.system import SystemClock
from watchword.vocabulary import ReplayMode
from watchword_conformance.corpus import load_corpus
from watchword_conformance.deployment import load
from watchword_conformance.requests import Built
from watchword_conformance.runner import Target, send, workshop
from watchword_conformance.upstream import Upstream

COPIES = 16
NATIVE = ("session/good", "device/good")
PROOFS = (*NATIVE, "dpop/good")


def fresh(directory: Path, names: Sequence[str]) -> list[Built]:
    """Return one request with a new proof of each kind."""
    shop = workshop(load(directory))
    cases = {case.id: case for case in load_corpus().cases}
    now = SystemClock().timestamp()
    return [shop.build(cases[name], 0, shop.instances(), [], now) for name in names]


async def copies(points: Sequence[EnforcementPoint], request: Built) -> None:
    """Send all copies at once, in turns to every enforcement point; some of them may be killed meanwhile."""

    async def one(point: EnforcementPoint) -> None:
        with contextlib.suppress(OSError):
            await send(Target("127.0.0.1", point.port), request.wire, request.method)

    await asyncio.gather(*(one(points[n % len(points)]) for n in range(COPIES)))


def passed(api: Upstream, request: Built) -> int:
    """Return how often the API saw a request."""
    return sum(seen.label == request.label for seen in api.records.seen)


@pytest.mark.parametrize(
    ("name", "replay", "gates", "proofs"),
    [
        ("asgi-uvicorn-h11", ReplayMode.SHARED, 2, PROOFS),
        ("wsgi-gunicorn", ReplayMode.SHARED, 2, PROOFS),
        ("proxy", ReplayMode.SHARED, 2, PROOFS),
        ("nginx-authz", ReplayMode.SHARED, 1, PROOFS),
        ("nginx", ReplayMode.LOCAL, 1, PROOFS),
        ("haproxy", ReplayMode.LOCAL, 1, ("session/good",)),
        ("envoy", ReplayMode.LOCAL, 1, NATIVE),
        ("envoy", ReplayMode.SHARED, 1, PROOFS),
    ],
)
def test_exactly_one_copy_passes_also_across_kill_9(
    name: str, replay: ReplayMode, gates: int, proofs: Sequence[str], tmp_path: Path
) -> None:
    """Python: two processes and a file. nginx-authz: one process that is asked. nginx, Envoy: four workers, and what they share.

    What Envoy asks /authz for in mode ``local`` is in that process' memory alone, which doesn't claim this.
    """
    directory = deployed(tmp_path, replay)
    store = tmp_path / "used" if replay is ReplayMode.SHARED else None

    async def main() -> None:
        async with Upstream().listening() as api:
            url = f"http://127.0.0.1:{api.port}"

            def start(stack: contextlib.ExitStack) -> EnforcementPoint:
                return stack.enter_context(ENFORCEMENT_POINTS[name](directory, url, store))

            with contextlib.ExitStack() as stack:
                points = [start(stack) for _ in range(gates)]
                first = fresh(directory, proofs)
                for request in first:
                    await copies(points, request)
                    assert passed(api, request) == 1
                # Killed while copies are on their way: at most one of them was let through.
                struck = fresh(directory, proofs)[0]
                on_their_way = asyncio.create_task(copies(points, struck))
                await asyncio.sleep(0.002)
                points[0].gate.kill()
                await on_their_way
                assert passed(api, struck) <= 1
            with contextlib.ExitStack() as stack:
                points = [start(stack) for _ in range(gates)]
                for request in (*first, struck):
                    await copies(points, request)
                assert [passed(api, request) for request in first] == [1] * len(proofs)
                assert passed(api, struck) <= 1
                (later, *_) = fresh(directory, proofs)
                await copies(points, later)
                # HAProxy's table was lost with the process: for the leeway it takes no proof at all.
                assert passed(api, later) == (0 if name == "haproxy" else 1)

    asyncio.run(main())
