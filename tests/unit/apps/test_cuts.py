"""Cut tokens off as an operator does: at once or in steps, over restarts, copies that are put back and clocks that are set."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from structlog.testing import capture_logs
from tests.unit.apps.publisher_bench import NOW, PublisherBench
from tests.unit.apps.service_bench import Caller, ServiceBench, service_bench
from tests.unit.enrolment.simulators import CLINIC, ISSUER, LEDGER, POLICY, SimulatedPhone
from tests.unit.gate.simulators import CLAIMS

from watchword.adapters.sqlite import SqliteStore
from watchword.apps.service.cut_names import LOOK_SECONDS, MOST_HELD, MOST_LOOKED_THROUGH, CutNames
from watchword.apps.service.cuts import CutRequest, CutSchedule, Rehearsal
from watchword.apps.service.window import KEPT_SECONDS
from watchword.enrolment.service import pairwise_subject
from watchword.gate.cuts import ALPHABET, BUCKETS, MOST_CUTS, Cut, CutStore, ScheduledCut, bucket_of
from watchword.reasons import Reason, UnavailableError
from watchword.tokens.interface import MAX_LEEWAY_SECONDS, TokenClaims, TokenExpectation
from watchword.tokens.service import verify
from watchword.vocabulary import Environment, Level

ALL: dict[str, Any] = {"app": "clinic-ios", "because": "token key leaked", "step": BUCKETS}
CUT = ScheduledCut(Cut("clinic-ios", None, 0, BUCKETS), BUCKETS, 0, "a drill", "me", NOW)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[ServiceBench]:
    """Return a service on a fresh state directory."""
    with started(tmp_path) as made:
        yield made


@contextmanager
def started(directory: Path, steady: Callable[[], float] | None = None) -> Iterator[ServiceBench]:
    """Run a service on a state directory."""
    made = service_bench(directory, steady=steady)
    try:
        asyncio.run(made.service.tick())
        yield made
    finally:
        made.store.close()


def is_cut(bench: ServiceBench, token: str) -> bool:
    """Tell whether a gate that reads its files now takes a token for cut."""
    gate = bench.gate()
    expectation = TokenExpectation(ISSUER, CLINIC, Environment.PROD)
    return gate.is_cut(verify(token, expectation, gate, bench.clock.timestamp()))


def test_a_cut_ends_tokens_of_before_and_instances_renew(bench: ServiceBench) -> None:
    """Of that app alone, and at once; the trail says who and why.  A revoked instance gets no other token."""

    async def cut(call: Caller) -> tuple[Any, ...]:
        good, bad, other = (
            SimulatedPhone(),
            SimulatedPhone(),
            SimulatedPhone("clinic-android"),
        )
        first, second, third = [await call.enrol(each) for each in (good, bad, other)]
        await call.operator.post(
            f"/v1/instances/{second['instance']}/revoke", json={"because": "stolen"}
        )
        made = await call.operator.post(
            "/v1/cuts", json=ALL, headers={"watchword-operator": "alice"}
        )
        bench.clock.advance(1)
        renewed = await call.renew(good, first["instance"])
        refused = await call.renew(bad, second["instance"])
        return first, third, made, renewed, refused

    first, third, made, renewed, refused = bench.run(cut)
    assert made.status_code == 201, made.text
    assert (made.json()["id"], made.json()["goes_on"]) == ("cut-1", False)
    assert is_cut(bench, first["tokens"][0]["token"])
    assert not is_cut(bench, third["tokens"][0]["token"])
    assert not is_cut(bench, renewed.json()["tokens"][0]["token"])
    assert refused.status_code == 403
    (entry,) = asyncio.run(bench.store.audit_entries(9, "cut-1"))
    assert (entry.actor, entry.action) == ("operator (claimed: alice)", "instances.cut")
    assert entry.detail["because"] == ALL["because"]


def test_no_token_is_issued_that_is_cut_at_once(bench: ServiceBench) -> None:
    """Enrolments and renewals wait for the next second, by the clock that tokens are issued by."""

    async def cut(call: Caller) -> tuple[bool, dict[str, Any]]:
        assert (await call.operator.post("/v1/cuts", json=ALL)).status_code == 201
        waiting = asyncio.create_task(call.enrol(SimulatedPhone()))
        done, _ = await asyncio.wait({waiting}, timeout=0.1)
        bench.clock.advance(1)
        return bool(done), await waiting

    early, enrolled = bench.run(cut)
    assert not early
    assert not is_cut(bench, enrolled["tokens"][0]["token"])


def test_a_clock_that_is_set_back_after_a_cut_is_told(bench: ServiceBench) -> None:
    """Nobody waits for hours: the answer says after how long to come again."""

    async def cut(call: Caller) -> httpx.Response:
        await call.operator.post("/v1/cuts", json=ALL)
        bench.clock.advance(-3600)
        phone = SimulatedPhone()
        return await call.attest(phone, await call.challenge(phone))

    answer = bench.run(cut)
    assert answer.status_code == 503
    assert 3600 <= int(answer.headers["retry-after"]) <= 3602


@pytest.mark.parametrize(
    "changes",
    [
        {"app": "nobody"},
        {"app": 5},
        {"level": "best"},
        {"level": []},
        {"step": 0},
        {"step": BUCKETS + 1},
        {"step": True},
        {"pause": -1},
        {"pause": 601},
        {"because": ""},
        {"issued_before": 0},
        {"issued_before": "now"},
        {"issued_before": 5},
        {"unknown": 1},
    ],
)
def test_odd_cuts_are_refused(bench: ServiceBench, changes: dict[str, Any]) -> None:
    """Nothing is cut then, and nothing of it stands in the trail."""

    async def cut(call: Caller) -> tuple[httpx.Response, httpx.Response]:
        made = await call.operator.post("/v1/cuts", json=ALL | changes)
        return made, await call.operator.get("/v1/cuts")

    made, listed = bench.run(cut)
    assert made.status_code in {400, 403}, made.text
    assert listed.json() == {"cuts": []}
    assert asyncio.run(bench.store.audit_entries(9)) == []


@pytest.mark.parametrize(
    "query",
    [
        "",
        "app=nobody",
        "app=clinic-ios&step=x",
        "app=clinic-ios&step=0",
        "app=clinic-ios&pause=-1",
        "app=clinic-ios&pause=601",
        "app=clinic-ios&issued_before=1",
        "app=clinic-ios&level=best",
        "app=clinic-ios&because=x",
    ],
)
def test_odd_rehearsals_are_refused(bench: ServiceBench, query: str) -> None:
    """As the cut itself would be."""
    answer = bench.run(lambda call: call.operator.get(f"/v1/cuts/rehearsal?{query}"))
    assert answer.status_code in {400, 403}, answer.text


def test_a_rehearsal_changes_nothing(bench: ServiceBench) -> None:
    """It counts who may have a token that would be cut: not who was revoked, nor another app's, nor who came later."""

    async def rehearse(call: Caller) -> dict[str, Any]:
        for _ in range(3):
            await call.enrol(SimulatedPhone())
        gone = (await call.enrol(SimulatedPhone()))["instance"]
        await call.operator.post(f"/v1/instances/{gone}/revoke", json={"because": "stolen"})
        await call.enrol(SimulatedPhone("clinic-android"))
        at = int(bench.clock.timestamp()) + 1
        bench.clock.advance(5)
        await call.enrol(SimulatedPhone())
        answer = await call.operator.get(
            f"/v1/cuts/rehearsal?app=clinic-ios&issued_before={at}&step=16&pause=10&level=hardware"
        )
        assert (await call.operator.get("/v1/cuts")).json() == {"cuts": []}
        document: dict[str, Any] = answer.json()
        return document

    found = bench.run(rehearse)
    assert (found["instances"], found["steps"], found["seconds"]) == (3, 4, 30)
    assert found["capacity"] > 0
    assert bench.gate().bundle.cuts == ()


def test_a_rehearsal_says_at_which_pace_it_fits() -> None:
    """Where each step's renewals take at most half of what is left of the capacity beside the usual ones."""
    fast = Rehearsal(64_000, step=4, pause=30, lifetime=3600, capacity=200.0)
    assert (fast.steps, fast.seconds) == (16, 450)
    assert (round(fast.usual, 1), round(fast.peak, 1)) == (17.8, 151.1)
    assert not fast.fits
    assert fast.fitting_pause == 13
    fitting = replace(fast, step=1, pause=13)
    assert fitting.fits
    assert not replace(fitting, pause=12).fits
    assert replace(fast, holders=10_000_000).fitting_pause is None
    assert replace(fast, step=BUCKETS, pause=0).peak > 64_000
    assert Rehearsal(0, step=1, pause=0, lifetime=30, capacity=1.0).fits


@dataclass
class Schedule:
    """Hold a schedule by a clock that the test moves, on a service's store."""

    bench: ServiceBench
    at: float = 0.0
    schedule: CutSchedule = field(init=False)

    def __post_init__(self) -> None:
        """Begin as a process does."""
        context = self.bench.service.context
        self.schedule = CutSchedule(
            context.store, context.publisher, context.clock, POLICY, lambda: self.at
        )

    def make(self, **changes: Any) -> ScheduledCut:
        """Cut."""
        wanted = replace(CutRequest("clinic-ios", None, step=16, pause=30), **changes)
        made = asyncio.run(self.schedule.make(wanted, "a drill", "me"))
        asyncio.run(self.bench.service.tick())
        return made

    def later(self, seconds: float) -> None:
        """Let time pass and look what is due."""
        self.at += seconds
        asyncio.run(self.schedule.advance())

    @property
    def share(self) -> int:
        """Return how far gates are told that the one cut is."""
        (cut,) = self.bench.gate().bundle.cuts
        return cut.share


def test_a_cut_goes_on_by_a_steady_clock(bench: ServiceBench) -> None:
    """One step a pause, whatever the wall clock says and however late the task comes; after a start a whole pause first."""
    made = Schedule(bench)
    made.make()
    made.later(29)
    bench.clock.advance(-1)
    asyncio.run(bench.service.tick())
    assert made.share == 16
    made.later(1)
    assert made.share == 32
    again = Schedule(bench)
    again.later(1000)
    again.later(29)
    assert again.share == 32
    again.later(1)
    assert again.share == 48
    again.later(3000)
    assert again.share == BUCKETS
    again.later(3000)
    assert again.share == BUCKETS


class FullStore(SqliteStore):
    """Keep all but steps: the disk is full."""

    async def advance_cut(self, cut: ScheduledCut) -> bool:
        """See the port."""
        raise UnavailableError(Reason.STORE_UNAVAILABLE, f"no room for {cut.name}")


def test_a_step_that_cannot_be_written_is_due_still(bench: ServiceBench) -> None:
    """It is taken as soon as there is room, and not a pause later."""
    made = Schedule(bench)
    made.make()
    with closing(FullStore(bench.directory / "watchword.db")) as full:
        made.schedule.store = full
        with pytest.raises(UnavailableError, match="no room for cut-1"):
            made.later(30)
    made.schedule.store = bench.store
    made.later(1)
    assert made.share == 32


def test_a_clock_that_is_set_ahead_ends_no_cut(tmp_path: Path) -> None:
    """Its steps go on, and gates keep it: for them nothing has grown old."""
    steady = [0.0]
    with started(tmp_path, lambda: steady[0]) as bench:
        made = Schedule(bench)
        made.make()
        bench.clock.advance(86400)
        steady[0] += 1
        made.later(30)
        assert made.share == 32


def test_a_cut_is_stopped(bench: ServiceBench) -> None:
    """What is cut stays cut; a second stop changes nothing."""
    made = Schedule(bench)
    made.make()

    async def stop(call: Caller) -> tuple[httpx.Response, ...]:
        members = {"because": "too many renewals"}
        return (
            await call.operator.post("/v1/cuts/cut-1/stop", json=members),
            await call.operator.post("/v1/cuts/1/stop", json=members),
            await call.operator.post("/v1/cuts/cut-2/stop", json=members),
            await call.operator.post("/v1/cuts/other/stop", json=members),
            await call.operator.post("/v1/cuts/cut-1/stop", json={}),
        )

    stopped, again, *others = bench.run(stop)
    assert (stopped.status_code, again.json()) == (200, stopped.json())
    assert (stopped.json()["share"], stopped.json()["goes_on"]) == (16, False)
    assert [each.status_code for each in others] == [404, 404, 400]
    actions = [each.action for each in asyncio.run(bench.store.audit_entries(9, "cut-1"))]
    assert actions == ["instances.cut-stop", "instances.cut"]
    made.later(3000)
    assert made.share == 16


def test_a_cut_leaves_when_no_token_of_before_is_alive(bench: ServiceBench) -> None:
    """Neither before nor later: the longest lifetime that may have been in force, and the widest leeway."""
    # A new state directory may be an old one that lost its note of the lifetime: the longest counts at first.
    bench.clock.advance(KEPT_SECONDS)
    Schedule(bench).make(step=BUCKETS)
    seconds = bench.service.context.publisher.window_seconds
    assert seconds == POLICY.token_lifetime + MAX_LEEWAY_SECONDS
    bench.clock.advance(seconds)
    asyncio.run(bench.service.tick())
    assert len(bench.gate().bundle.cuts) == 1
    bench.clock.advance(2)
    asyncio.run(bench.service.tick())
    assert bench.gate().bundle.cuts == ()
    assert bench.run(lambda call: call.operator.get("/v1/cuts")).json() == {"cuts": []}


def claims(subject: str, at: int) -> TokenClaims:
    """Return a token's claims."""
    return replace(CLAIMS, subject=subject, issued_at=at)


def test_an_older_copy_of_the_store_ends_no_cut(tmp_path: Path) -> None:
    """What gates were told last holds, also over a restart."""
    bench = PublisherBench(tmp_path)
    at = int(bench.now.timestamp()) + 1
    bench.store.scheduled = [replace(CUT, cut=replace(CUT.cut, before=at, share=32), id=1)]
    bench.tick()
    bench.store.scheduled = []
    bench.start()
    bench.tick()
    bundle = bench.reader().bundle
    assert bundle is not None
    assert bundle.cuts == (Cut("clinic-ios", None, at, 32),)


def test_a_cut_of_a_clock_that_ran_ahead_holds_up_to_now(tmp_path: Path) -> None:
    """Else no token could be issued before its instant; it is told once, and holds one instant."""
    bench = PublisherBench(tmp_path)
    at = int(bench.now.timestamp())
    bench.store.scheduled = [replace(CUT, cut=replace(CUT.cut, before=at + 86400), id=1)]
    with capture_logs() as logs:
        bench.tick()
        bench.now += timedelta(seconds=5)
        bench.tick()
    bundle = bench.reader().bundle
    assert bundle is not None
    assert bundle.cuts == (replace(CUT.cut, before=at + 1),)
    assert len([each for each in logs if "ran ahead" in each["event"]]) == 1


def test_a_clock_that_is_set_back_takes_no_cut_back(tmp_path: Path) -> None:
    """Tokens of before may have been issued after the time that it says now."""
    bench = PublisherBench(tmp_path)
    at = int(bench.now.timestamp()) + 1
    bench.store.scheduled = [replace(CUT, cut=replace(CUT.cut, before=at), id=1)]
    for _ in range(2):
        bench.tick()
        bundle = bench.reader().bundle
        assert bundle is not None
        assert bundle.cuts == (replace(CUT.cut, before=at),)
        bench.now -= timedelta(minutes=30)


def test_more_cuts_than_a_chain_holds_become_one(tmp_path: Path) -> None:
    """Of an older copy's cuts and those that gates have: closed, and not stuck."""
    bench = PublisherBench(tmp_path)
    at = int(bench.now.timestamp())
    for first in (0, MOST_CUTS):
        bench.store.scheduled = [
            replace(CUT, cut=replace(CUT.cut, before=at - first - number), id=number + 1)
            for number in range(MOST_CUTS)
        ]
        bench.tick()
    bundle = bench.reader().bundle
    assert bundle is not None
    assert bundle.cuts == (Cut(None, None, at),)
    assert bundle.is_cut(claims(ALPHABET[-1], at - 1))


def test_the_first_version_names_who_is_cut_until_he_renews(bench: ServiceBench) -> None:
    """At each audience by another name; the share of the subjects that the chain says, and not another app's."""
    phones = [SimulatedPhone(audiences=(CLINIC, LEDGER)) for _ in range(12)]

    async def cut(call: Caller) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        other = await call.enrol(SimulatedPhone("clinic-android"))
        return [await call.enrol(each) for each in phones], other

    enrolled, _ = bench.run(cut)
    names = [each["instance"] for each in enrolled]
    key = bench.keyring.ring.pairwise_key
    made = Schedule(bench)
    made.make(step=32)
    for audience, api in ((CLINIC, "clinic"), (LEDGER, "ledger")):
        subjects = {pairwise_subject(each, audience, key) for each in names}
        first, chain = bench.published(api), bench.gate(api).bundle
        assert first.revoked == {each for each in subjects if bucket_of(each) < 32}
        assert first.cuts == ()
        assert first.generation == chain.generation
    made.later(30)
    clinic = [pairwise_subject(each, CLINIC, key) for each in names]
    assert bench.published().revoked == set(clinic)
    bench.clock.advance(1)
    assert bench.run(lambda call: call.renew(phones[0], names[0])).status_code == 200
    bench.clock.advance(LOOK_SECONDS)
    asyncio.run(bench.service.tick())
    assert bench.published().revoked == set(clinic[1:])
    assert bench.published().generation == bench.gate().bundle.generation


def test_too_many_to_name_leave_the_first_version_as_it_is(tmp_path: Path) -> None:
    """It is told once, and comes after when the cut is over; cuts of no app can't be named either."""
    bench = PublisherBench(tmp_path)
    bench.now += timedelta(hours=2)
    bench.tick()
    before = bench.path.read_bytes()
    at = int(bench.now.timestamp())
    bench.store.scheduled = [replace(CUT, cut=replace(CUT.cut, before=at), id=1)]
    bench.store.held = [(f"n{number}", (CLINIC,)) for number in range(MOST_HELD + 1)]
    with capture_logs() as logs:
        for _ in range(2):
            bench.tick()
            bench.store.held = []
            bench.now += timedelta(seconds=LOOK_SECONDS)
            assert bench.path.read_bytes() == before
    assert len([each for each in logs if "aren't told" in each["event"]]) == 1
    bench.now += timedelta(hours=2)
    bench.tick()
    assert bench.first.generation > at
    bench.store.scheduled = [replace(CUT, cut=Cut(None, None, int(bench.now.timestamp())), id=2)]
    before = bench.path.read_bytes()
    bench.tick()
    assert bench.path.read_bytes() == before


class LargeStore:
    """Implement the part of the port that names are read from: many instances, none of which was issued a token lately.

    :ivar looked: how often a part was looked through.
    """

    def __init__(self) -> None:
        """Begin."""
        self.looked = 0

    async def holders(
        self, app: str, level: Level | None, since: datetime, before: datetime, after: int
    ) -> tuple[list[tuple[str, tuple[str, ...]]], int | None]:
        """See the port."""
        del app, level, since, before
        self.looked += 1
        return [], after + 20_000


def test_a_large_store_is_not_looked_through_for_names() -> None:
    """Not to its end, and not again, also not at the next step: renewals wait for the same thread."""
    store = LargeStore()
    names = CutNames(cast(CutStore, store), b"k" * 32)
    cut = replace(CUT.cut, before=int(NOW.timestamp()))
    for seconds, share in ((0, 1), (60, 1), (61, 2)):
        at, cuts = NOW + timedelta(seconds=seconds), frozenset({replace(cut, share=share)})
        asyncio.run(names.refresh(cuts, NOW - timedelta(hours=1), at))
    assert names.of(CLINIC) is None
    assert store.looked == MOST_LOOKED_THROUGH // 20_000
