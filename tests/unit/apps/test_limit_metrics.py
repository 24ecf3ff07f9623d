"""An operator sees how often each limit was met."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.apps.service_bench import Caller, ServiceBench, service_bench
from tests.unit.gate.simulators import NOW, published, request, route, token

from watchword.gate.interface import Limit, LimitKind, Rate
from watchword.gate.service import Gate

BOOKED = Limit("bookings", LimitKind.QUOTA, 2, 86_400)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[ServiceBench]:
    """Return a service on a fresh state directory."""
    made = service_bench(tmp_path)
    yield made
    made.store.close()


def test_each_limit_shows_in_the_metrics(bench: ServiceBench) -> None:
    """By API, limit and outcome; an API without limits has no line."""
    clinic = Gate(published(route("/v1/**"), limits=(BOOKED,), rate=Rate(9, 60)))
    for _ in range(5):
        clinic.decide(request(token=token()), NOW)
    bench.service.context.gate_limits["clinic"] = clinic.limit_tallies
    bench.service.context.gate_limits["ledger"] = Gate(published(route("/**"))).limit_tallies

    async def scrape(call: Caller) -> str:
        return (await call.operator.get("/metrics")).text

    lines = [
        line for line in bench.run(scrape).splitlines() if line.startswith("watchword_limit_total")
    ]
    assert lines == [
        f'watchword_limit_total{{api="clinic",limit="{limit}",outcome="{outcome}"}} {count}'
        for limit, counts in (("bookings", ("2.0", "3.0", "0.0")), ("rate", ("2.0", "0.0", "0.0")))
        for outcome, count in zip(("passed", "refused", "reported"), counts, strict=True)
    ]
