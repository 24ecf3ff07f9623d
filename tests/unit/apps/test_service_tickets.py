"""Renew by tickets over HTTP: given beside the next challenge, taken back with it, and told to nobody where they are off."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.unit.apps.service_bench import Caller, ServiceBench, service_bench
from tests.unit.apps.test_service import reason_in
from tests.unit.enrolment.simulators import SimulatedPhone

from watchword.encoding import base64url
from watchword.reasons import Reason


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[ServiceBench]:
    """Return a service that gives tickets."""
    found = service_bench(tmp_path, revision=lambda app: app.encode())
    yield found
    found.store.close()


async def renewed(
    call: Caller, phone: SimulatedPhone, last: Mapping[str, Any], **members: Any
) -> httpx.Response:
    """Renew by what came with an answer."""
    request = phone.renewal(last["instance"], base64url.decode(last["next"]["challenge"]))
    body = {
        "instance": last["instance"],
        "statement": base64url.encode(request.statement),
        "evidence": dict(request.evidence),
    }
    ticket = last["next"].get("ticket")
    return await call.public.post(
        "/v1/tokens", json=body | ({} if ticket is None else {"ticket": ticket}) | members
    )


async def follow(bench: ServiceBench) -> None:
    """Read who was revoked, as the service does twice a second."""
    tickets = bench.service.context.enrolment.tickets
    assert tickets is not None
    await tickets.revoked.follow(bench.clock.now())


def test_a_ticket_spares_the_row(bench: ServiceBench) -> None:
    """The row stays as it was; without the ticket, or with one that is none, it is written as ever."""
    phone = SimulatedPhone("clinic-android")

    async def scenario(call: Caller) -> None:
        last = await call.enrol(phone)
        await follow(bench)
        for _ in range(3):
            bench.clock.advance(60)
            answer = await renewed(call, phone, last)
            assert answer.status_code == 200, answer.text
            last = answer.json()
        row = await bench.store.find(last["instance"])
        assert row is not None
        assert row.renewed_at == row.enrolled_at
        bench.clock.advance(60)
        answer = await renewed(call, phone, last, ticket="!" * 100)
        # Without a ticket that opens the row decides, and it knows no renewal by tickets.
        assert reason_in(bench, answer) is Reason.CHALLENGE_SUPERSEDED
        answer = await call.renew(phone, last["instance"])
        assert answer.status_code == 200
        row = await bench.store.find(last["instance"])
        assert row is not None
        assert row.renewed_at == bench.clock.now()

    bench.run(scenario)


def test_a_revoked_instance_is_refused_once_that_is_known(bench: ServiceBench) -> None:
    """Gates refuse its tokens meanwhile, as they do those that it has."""
    phone = SimulatedPhone("clinic-android")

    async def scenario(call: Caller) -> None:
        last = await call.enrol(phone)
        await follow(bench)
        path = f"/v1/instances/{last['instance']}/revoke"
        assert (await call.operator.post(path, json={"because": "stolen"})).status_code == 200
        await follow(bench)
        answer = await renewed(call, phone, last)
        assert reason_in(bench, answer) is Reason.INSTANCE_REVOKED

    bench.run(scenario)


def test_where_tickets_are_off_none_is_given_and_none_is_taken(tmp_path: Path) -> None:
    """A client that has one from before renews as if it had none."""
    bench = service_bench(tmp_path)
    phone = SimulatedPhone("clinic-android")

    async def scenario(call: Caller) -> None:
        last = await call.enrol(phone)
        assert last["next"].keys() == {"challenge", "expires_in"}
        bench.clock.advance(1)
        answer = await renewed(call, phone, last, ticket="AAAA")
        assert answer.status_code == 200
        row = await bench.store.find(last["instance"])
        assert row is not None
        assert row.renewed_at == bench.clock.now()

    bench.run(scenario)
    bench.store.close()
