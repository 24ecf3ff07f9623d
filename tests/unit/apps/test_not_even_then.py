"""Show what isn't done even where the rest of the service goes on: read a crowd's bodies, hand secrets out by a clock that jumped."""

import asyncio
from pathlib import Path

import httpx
from tests.unit.apps.secret_bench import DELIVERY, MemorySecretStore
from tests.unit.apps.service_bench import Caller, service_bench
from tests.unit.apps.test_delivery import PUSH, asked
from tests.unit.apps.test_invitations import WANTED
from tests.unit.apps.test_safeguards import MOST_PAGES, Steady, fill
from tests.unit.apps.test_service import HOST, TYPE, Wire, raw_scope, reason_in
from tests.unit.endurance.test_overload import CROWD, ROOM, HeldVerifier, arrive
from tests.unit.enrolment.simulators import SimulatedPhone

from watchword.apps.compose.secrets import SecretWork
from watchword.broker.keeper import SecretKeeper
from watchword.reasons import Reason


def test_a_body_for_which_there_is_no_room_is_never_read(tmp_path: Path) -> None:
    """Reading a crowd's bodies would cost more than turning the crowd away; an enrolment's and a stranger's are alike."""
    verifier = HeldVerifier()
    bench = service_bench(tmp_path, verifier=verifier)
    path = "/v1/attestations"
    scope = raw_scope([HOST, TYPE], path=path, raw_path=path.encode())
    wire = Wire([{"type": "http.request", "body": b"{", "more_body": True}], stall=True)

    async def work(call: Caller) -> None:
        phones = [SimulatedPhone() for _ in range(CROWD)]
        challenges = [await call.challenge(phone) for phone in phones]
        tasks = await arrive(call, verifier, phones, challenges)
        assert sum(not task.done() for task in tasks) == ROOM
        await bench.service.public_app(scope, wire.receive, wire.send)
        verifier.released.set()
        await asyncio.gather(*tasks)

    bench.run(work)
    assert wire.answer().status_code == 503
    assert reason_in(bench, wire.answer()) is Reason.SERVICE_OVERLOADED
    assert wire.received == 0
    bench.store.close()


def test_no_secret_is_handed_out_by_a_clock_that_jumped(tmp_path: Path) -> None:
    """Its lease would end at some other time; once the clock is back, the same phone gets it."""
    store = MemorySecretStore({"push": PUSH})
    secrets = SecretWork(SecretKeeper(store, ()), store, deliveries={"push": DELIVERY})
    bench = service_bench(tmp_path, secrets=secrets, steady=Steady())
    asyncio.run(bench.service.context.secrets.refresh(bench.clock.timestamp()))
    phone = SimulatedPhone("clinic-ios")

    async def work(call: Caller) -> tuple[httpx.Response, httpx.Response]:
        instance = (await call.enrol(phone))["instance"]
        bench.clock.advance(45)
        _, refused = await asked(call, phone, instance)
        bench.clock.advance(-45)
        return refused, (await asked(call, phone, instance))[1]

    refused, served = bench.run(work)
    assert (refused.status_code, served.status_code) == (503, 200)
    assert reason_in(bench, refused) is Reason.SERVICE_CLOCK
    assert "sealed" not in refused.text
    bench.store.close()


def test_nobody_is_invited_on_a_full_disk(tmp_path: Path) -> None:
    """A code that isn't recorded opens nothing: none is shown."""
    bench = service_bench(tmp_path, max_pages=MOST_PAGES)

    async def work(call: Caller) -> httpx.Response:
        await fill(bench)
        return await call.operator.post("/v1/test-codes", json=WANTED)

    answer = bench.run(work)
    assert (answer.status_code, "code" in answer.json()) == (503, False)
    bench.store.close()
