"""Send more than is answered: some are served, the rest told to come again, health answers, and then all is as before."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.unit.apps.asgi_client import Answer, Recorder, answered, http_scope
from tests.unit.apps.service_bench import Caller, ServiceBench, service_bench
from tests.unit.apps.test_middleware import ListedRefusals, StoppedClock
from tests.unit.enrolment.simulators import CredulousVerifier, SimulatedPhone
from tests.unit.gate.simulators import PublishedState, token

from watchword.apps.gateway import WatchwordMiddleware
from watchword.apps.gateway.overload import SPARED, OverloadGuard
from watchword.apps.service.app import (
    MAX_INSIDE,
    MAX_WAITING,
    PROMISED_SECONDS,
    Admission,
    Urgency,
)
from watchword.attestation.interface import AppRegistration
from watchword.enrolment.interface import AppraisedEvidence, Statement
from watchword.gate.service import Gate
from watchword.reasons import Reason, UnavailableError
from watchword.vocabulary import Purpose

ROOM = MAX_INSIDE + MAX_WAITING
CROWD = 2 * ROOM
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class HeldVerifier(CredulousVerifier):
    """Finish no appraisal before it is told to."""

    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def appraise(
        self,
        evidence: Mapping[str, Any],
        statement: Statement,
        app: AppRegistration,
        now: datetime,
    ) -> AppraisedEvidence:
        """Wait, then believe it."""
        self.calls.append("begun")
        await self.released.wait()
        return await super().appraise(evidence, statement, app, now)


Tasks = list[asyncio.Task[httpx.Response]]


async def arrive(
    call: Caller, verifier: HeldVerifier, phones: list[SimulatedPhone], challenges: list[bytes]
) -> Tasks:
    """Let as many in as there can be, then the rest all at once; return when nothing moves any more."""
    asked = zip(phones, challenges, strict=True)
    tasks: Tasks = []
    for phone, challenge in asked:
        tasks.append(asyncio.create_task(call.attest(phone, challenge)))
        if len(tasks) <= MAX_INSIDE:
            await until(lambda: verifier.calls.count("begun") == len(tasks))
    await until(lambda: sum(task.done() for task in tasks) == CROWD - ROOM)
    return tasks


async def until(holds: Callable[[], bool]) -> None:
    """Give the loop turns until a condition holds."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        for _ in itertools.count():
            if holds():
                return
            await asyncio.sleep(0)


@pytest.fixture
def held(tmp_path: Path) -> tuple[ServiceBench, HeldVerifier]:
    """Return a service, and the verifier that holds its enrolments up."""
    verifier = HeldVerifier()
    return service_bench(tmp_path, verifier=verifier), verifier


def test_a_crowd_of_enrolments(held: tuple[ServiceBench, HeldVerifier]) -> None:
    """Twice of what there is room for: as many as there is room for enrol, nobody's evidence was looked at in vain."""
    bench, verifier = held

    async def work(call: Caller) -> None:
        phones = [SimulatedPhone() for _ in range(CROWD)]
        challenges = [await call.challenge(phone) for phone in phones]
        tasks = await arrive(call, verifier, phones, challenges)
        turned_away = [task.result() for task in tasks if task.done()]
        assert {answer.status_code for answer in turned_away} == {503}
        assert {answer.headers["retry-after"] for answer in turned_away} == {"2"}
        assert verifier.calls.count("begun") == MAX_INSIDE
        assert (await call.public.get("/healthz")).status_code == 200
        assert (await call.public.get("/.well-known/jwks.json")).status_code == 200
        assert await call.challenge(phones[0])
        verifier.released.set()
        answers = Counter([answer.status_code for answer in await asyncio.gather(*tasks)])
        assert answers == {201: ROOM, 503: CROWD - ROOM}
        again = [
            await call.attest(phone, challenge)
            for phone, challenge, task in zip(phones, challenges, tasks, strict=True)
            if task.result().status_code == 503
        ]
        assert {answer.status_code for answer in again} == {201}

    bench.run(work)
    counted = {reason for reason, _ in bench.log.counts()}
    assert counted == {Reason.SERVICE_OVERLOADED}
    bench.store.close()


def test_renewals_come_before_a_crowd(tmp_path: Path) -> None:
    """An enrolled instance renews while strangers fill the line: one of them makes room."""
    verifier = HeldVerifier()
    verifier.released.set()
    bench = service_bench(tmp_path, verifier=verifier)

    async def work(call: Caller) -> None:
        enrolled = SimulatedPhone()
        instance = (await call.enrol(enrolled))["instance"]
        challenge = await call.challenge(enrolled, Purpose.RENEW)
        assert challenge
        phones = [SimulatedPhone() for _ in range(CROWD)]
        challenges = [await call.challenge(phone) for phone in phones]
        verifier.calls.clear()
        verifier.released.clear()
        tasks = await arrive(call, verifier, phones, challenges)
        renewal = asyncio.create_task(call.renew(enrolled, instance))
        await until(lambda: sum(task.done() for task in tasks) == CROWD - ROOM + 1)
        verifier.released.set()
        assert (await renewal).status_code == 200
        await asyncio.gather(*tasks)

    bench.run(work)
    bench.store.close()


def test_a_strangers_json_takes_no_time(tmp_path: Path) -> None:
    """Each of these takes longer to read than an enrolment; that they are no JSON is never found out."""
    bench = service_bench(tmp_path)
    bodies = (
        b'{"a":[' + b"1.5," * 15_000,
        b'{"a":1' + b"".join(b',"%d":1' % at for at in range(6000)),
        b'{"a":"' + b"\\u0041" * 10_000,
    )

    async def work(call: Caller) -> None:
        headers = {"content-type": "application/json"}
        for path in ("/v1/challenges", "/v1/tokens", "/v1/attestations", "/v1/secrets"):
            for body in bodies:
                answer = await call.public.post(path, content=body, headers=headers)
                assert answer.status_code == 400

    bench.run(work)
    assert {reason for reason, _ in bench.log.counts()} == {Reason.REQUEST_MALFORMED}
    bench.store.close()


def test_the_urgent_come_first_and_each_has_a_turn_of_the_loop() -> None:
    """Between two turns whatever else the loop has to do is done."""

    async def main() -> list[str]:
        admission, order = Admission(), []

        async def visit(name: str, urgency: Urgency) -> None:
            async with admission.turn(urgency):
                order.append(name)

        async def others() -> None:
            for _ in range(12):
                order.append("other")
                await asyncio.sleep(0)

        kinds = (Urgency.STRANGER, Urgency.STRANGER, Urgency.ENROLLED)
        names = ("first", "second", "urgent")
        visits = [visit(name, urgency) for name, urgency in zip(names, kinds, strict=True)]
        await asyncio.gather(*visits, others())
        assert (admission.inside, admission.waiting) == (0, 0)
        return order

    order = asyncio.run(main())
    assert [name for name in order if name != "other"] == ["urgent", "first", "second"]
    places = [order.index(name) for name in ("urgent", "first", "second")]
    assert all("other" in order[here:there] for here, there in itertools.pairwise(places))


def test_nobody_urgent_is_turned_away_for_a_stranger() -> None:
    """A line full of the urgent takes neither."""

    async def main() -> None:
        admission = Admission(waiting=2, inside=0)
        waiting = [asyncio.create_task(_stay(admission, Urgency.ENROLLED)) for _ in range(2)]
        await asyncio.sleep(0)
        for urgency in Urgency:
            assert not admission.has_room(urgency)
            with pytest.raises(UnavailableError) as refused:
                await _stay(admission, urgency)
            assert refused.value.reason is Reason.SERVICE_OVERLOADED
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert (admission.inside, admission.waiting) == (0, 0)

    asyncio.run(main())


def test_a_place_is_kept_while_a_body_arrives() -> None:
    """A crowd that comes at once is turned away before its bodies are read; one that sends none keeps nobody out for long."""
    seconds = [0.0]
    admission = Admission(waiting=2, monotonic=lambda: seconds[0])
    with ExitStack() as bodies:
        for _ in range(2):
            assert admission.has_room(Urgency.STRANGER)
            bodies.enter_context(admission.place(Urgency.STRANGER))
            bodies.enter_context(admission.place(Urgency.ENROLLED))
        assert not admission.has_room(Urgency.STRANGER)
        with pytest.raises(UnavailableError) as refused, admission.place(Urgency.STRANGER):
            raise AssertionError
        assert refused.value.reason is Reason.SERVICE_OVERLOADED
        assert admission.has_room(Urgency.ENROLLED)
        seconds[0] += PROMISED_SECONDS
        assert not admission.has_room(Urgency.STRANGER)
        seconds[0] += 0.001
        assert admission.has_room(Urgency.STRANGER)
        bodies.enter_context(admission.place(Urgency.STRANGER))
        bodies.enter_context(admission.place(Urgency.STRANGER))
        assert not admission.has_room(Urgency.STRANGER)
    assert admission.has_room(Urgency.STRANGER)


def test_a_crowd_is_turned_away_unread(held: tuple[ServiceBench, HeldVerifier]) -> None:
    """Without room nothing of a request is looked at, not even what it says it is."""
    bench, verifier = held

    async def work(call: Caller) -> None:
        phones = [SimulatedPhone() for _ in range(CROWD)]
        challenges = [await call.challenge(phone) for phone in phones]
        tasks = await arrive(call, verifier, phones, challenges)
        for path, expected in (("/v1/attestations", 503), ("/v1/tokens", 415), ("/v1/other", 404)):
            answer = await call.public.post(path, content=b"no JSON")
            assert answer.status_code == expected
        assert (await call.public.get("/v1/attestations")).status_code == 405
        verifier.released.set()
        await asyncio.gather(*tasks)

    bench.run(work)
    bench.store.close()


def test_whoever_is_cancelled_gives_the_turn_back() -> None:
    """Before its turn, in the moment of it, and after: the next is served each time."""

    async def main() -> None:
        admission = Admission(inside=1)
        for turns in range(4):
            task = asyncio.create_task(_stay(admission, Urgency.STRANGER))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            async with asyncio.timeout(30), admission.turn(Urgency.STRANGER):
                assert admission.inside == 1
            assert (admission.inside, admission.waiting) == (0, 0)

    asyncio.run(main())


async def _stay(admission: Admission, urgency: Urgency) -> None:
    async with admission.turn(urgency):
        await asyncio.Event().wait()


def test_a_late_round_of_the_gate() -> None:
    """The first of a round is decided on, the rest turned away unseen but a few for health; the next round is as ever."""

    async def main() -> None:
        log, api = ListedRefusals(), Recorder()
        gate = Gate(PublishedState())
        inner = WatchwordMiddleware(api, gate=gate, clock=StoppedClock())
        guard = OverloadGuard(inner, gate=gate, refusal_log=log, clock=StoppedClock(), wait=0.0)

        async def ask(target: str) -> Answer:
            return await answered(guard, http_scope(target, token=token()))

        paths = ["/v1/patients"] * 50 + ["/health"] * (SPARED + 5)
        answers = await asyncio.gather(*(ask(path) for path in paths))
        statuses = [answer.status for answer in answers]
        assert statuses[:50] == [200] + [503] * 49
        assert Counter(statuses[50:]) == {200: SPARED, 503: 5}
        late = answers[1]
        assert late.headers[b"retry-after"] == b"2"
        assert late.headers[b"content-type"] == b"application/problem+json"
        assert b'"ref":' in late.body
        assert guard.turned_away == 54
        assert log.seen == [(Reason.GATE_OVERLOADED, "")] * 54
        assert len(api.scopes) == 1 + SPARED
        await asyncio.sleep(0)
        assert (await ask("/v1/patients")).status == 200

    asyncio.run(main())


def test_what_is_no_request_passes_a_late_round() -> None:
    """Start, end and WebSockets are never turned away unseen."""

    async def main() -> None:
        api = Recorder()
        guard = OverloadGuard(api, gate=Gate(PublishedState()), wait=0.0)

        async def nothing(*_: object) -> Any:
            return {}

        kinds = ["http", "websocket", "lifespan"]
        await asyncio.gather(*(guard({"type": kind}, nothing, nothing) for kind in kinds))
        assert [scope["type"] for scope in api.scopes] == kinds

    asyncio.run(main())
