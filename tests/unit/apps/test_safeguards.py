"""What guards the service where its store can't: a full disk, an older copy, a clock that jumps."""

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.apps.service_bench import Caller, ServiceBench, service_bench
from tests.unit.apps.test_service import reason_in
from tests.unit.enrolment.simulators import CLINIC, ISSUER, SimulatedPhone

from watchword.adapters.keyring.file import KeyState
from watchword.adapters.sqlite import SqliteStore
from watchword.adapters.store import RollbackDetector
from watchword.apps.service.safeguards import ClockWatch, Safeguards
from watchword.enrolment.delivery import Lease
from watchword.ports import AuditEntry, ChallengeUse
from watchword.reasons import Reason, RefusedError, UnavailableError
from watchword.tokens.interface import TokenExpectation
from watchword.tokens.service import verify
from watchword.vocabulary import Environment, Purpose

MOST_PAGES = 60
EXPECTATION = TokenExpectation(ISSUER, CLINIC, Environment.PROD)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[ServiceBench]:
    """Return a service whose database may have few pages."""
    bench = service_bench(tmp_path, max_pages=MOST_PAGES)
    yield bench
    bench.store.close()


async def fill(bench: ServiceBench) -> None:
    """Fill the database until it takes no entry."""
    entry = AuditEntry(bench.clock.now(), "a", "b", "c", {"d": "e" * 500})
    small = AuditEntry(bench.clock.now(), "a", "b", "c")
    for each in (entry, small):
        with suppress(UnavailableError):
            while True:
                await bench.store.add_audit(each)


def make_room(bench: ServiceBench) -> ServiceBench:
    """Give the disk room again: the service goes on over the same database."""

    async def lift() -> None:
        await bench.store._database.read(
            lambda connection: connection.execute("PRAGMA max_page_count = 100000").fetchall()
        )

    asyncio.run(lift())
    return bench


def revoked_subjects(bench: ServiceBench) -> frozenset[str]:
    """Return whom the gate of the clinic is told to refuse."""
    return bench.published().revoked


async def entries(bench: ServiceBench, action: str) -> list[AuditEntry]:
    """Return what the trail has of an action."""
    return [each for each in await bench.store.audit_entries(1000) if each.action == action]


def test_an_instance_is_revoked_on_a_full_disk(small: ServiceBench) -> None:
    """It gets no new token, gates refuse it, the answer says what is missing; with room it is recorded."""
    phone = SimulatedPhone()

    async def full(call: Caller) -> tuple[str, httpx.Response, httpx.Response]:
        instance: str = (await call.enrol(phone))["instance"]
        await small.service.tick()
        await fill(small)
        path = f"/v1/instances/{instance}/revoke"
        answer = await call.operator.post(path, json={"because": "phone stolen"})
        return instance, answer, await call.renew(phone, instance)

    instance, answer, renewal = small.run(full)
    assert (answer.status_code, answer.json()["recorded"]) == (200, False)
    assert answer.json()["revoked_because"] == "phone stolen"
    assert reason_in(small, renewal) is Reason.INSTANCE_REVOKED
    assert answer.json()["subjects"][CLINIC] in revoked_subjects(small)
    with pytest.raises(UnavailableError):
        asyncio.run(small.service.follow_store())
    assert small.store.pending == 1
    make_room(small)

    async def healed(call: Caller) -> None:
        await small.service.follow_store()
        assert small.store.pending == 0
        (entry,) = await entries(small, "instance.revoked")
        assert (entry.subject, entry.detail["because"]) == (instance, "phone stolen")
        assert entry.detail["recorded"] == "late"
        found = await small.store.find(instance)
        assert found is not None
        assert found.revoked_at == entry.at
        await small.service.tick()
        assert reason_in(small, await call.renew(phone, instance)) is Reason.INSTANCE_REVOKED

    small.run(healed)
    assert answer.json()["subjects"][CLINIC] in revoked_subjects(small)


def test_a_revocation_that_is_owed_outlives_the_process(
    small: ServiceBench, tmp_path: Path
) -> None:
    """What could be noted beside the store holds after a restart, before anybody renews."""
    phone = SimulatedPhone()

    async def full(call: Caller) -> str:
        instance: str = (await call.enrol(phone))["instance"]
        await fill(small)
        await call.operator.post(f"/v1/instances/{instance}/revoke", json={"because": "lost"})
        return instance

    instance = small.run(full)
    small.store.close()
    again = service_bench(tmp_path)

    async def after(call: Caller) -> None:
        await again.service.start()
        # The bench's entropy begins anew: nonces that the store knows are passed over.
        for _ in range(8):
            await call.challenge(phone)
        assert reason_in(again, await call.renew(phone, instance)) is Reason.INSTANCE_REVOKED
        await again.service.stop()

    again.run(after)
    again.store.close()


def test_a_start_on_a_full_disk_revokes_again(small: ServiceBench, tmp_path: Path) -> None:
    """What stands beside the store and can't be written into it holds all the same, and keeps nobody else out."""
    phone = SimulatedPhone()

    async def full(call: Caller) -> str:
        instance: str = (await call.enrol(phone))["instance"]
        await fill(small)
        await call.operator.post(f"/v1/instances/{instance}/revoke", json={"because": "lost"})
        return instance

    instance = small.run(full)
    small.store.close()
    again = service_bench(tmp_path, max_pages=MOST_PAGES)

    async def after(call: Caller) -> None:
        await again.service.start()
        for _ in range(8):
            await call.challenge(phone)
        assert reason_in(again, await call.renew(phone, instance)) is Reason.INSTANCE_REVOKED
        assert again.store.pending == 1
        make = "PRAGMA max_page_count = 100000"
        await again.store._database.read(lambda each: each.execute(make).fetchall())
        await again.service.follow_store()
        (entry,) = await entries(again, "instance.revoked")
        assert entry.detail == {"because": "lost", "recorded": "late"}
        await again.service.stop()

    again.run(after)
    again.store.close()
    assert again.published().revoked


def test_a_revocation_missing_in_the_journal_follows(tmp_path: Path) -> None:
    """Else a copy of the store that is put back later knows nothing of it."""
    bench = service_bench(tmp_path)
    journal = tmp_path / "revocations.jsonl"

    async def work(call: Caller) -> None:
        instance: str = (await call.enrol(SimulatedPhone()))["instance"]
        journal.mkdir()
        path = f"/v1/instances/{instance}/revoke"
        assert (await call.operator.post(path, json={"because": "lost"})).status_code == 200
        journal.rmdir()
        await bench.service.follow_store()
        assert instance in journal.read_text(encoding="utf-8")

    bench.run(work)
    bench.store.close()


class TellingMark(RollbackDetector):
    """Remember which threads write."""

    threads: ClassVar[set[int]] = set()

    def advance(self, sequence: int) -> None:
        """Note the thread."""
        self.threads.add(threading.get_ident())

    def forget(self, before: datetime) -> None:
        """Note the thread."""
        self.threads.add(threading.get_ident())


def test_no_request_waits_for_the_mark(tmp_path: Path) -> None:
    """A disk that is slow or stalls must hold up nothing but the upkeep."""
    bench = service_bench(tmp_path)
    guards = Safeguards(mark=TellingMark(tmp_path / "mark.json"))

    async def work(_: Caller) -> int:
        await guards.follow(bench.store, bench.clock.now())
        await guards.forget(bench.clock.now())
        return threading.get_ident()

    loop = bench.run(work)
    assert TellingMark.threads
    assert loop not in TellingMark.threads
    bench.store.close()


def test_a_copy_that_is_restored_into_the_file_is_noticed(tmp_path: Path) -> None:
    """Under a running service, by SQLite's own means: the file stays the same one, and knows less."""
    path, mark = tmp_path / "watchword.db", RollbackDetector(tmp_path / "mark.json")
    guards, now = Safeguards(mark=mark), datetime(2026, 9, 1, tzinfo=UTC)
    entry = AuditEntry(now, "somebody", "a", "b", {})

    async def work(store: SqliteStore) -> None:
        await store.add_audit(entry)
        await guards.begin(store, now)
        with closing(sqlite3.connect(path)) as live, closing(sqlite3.connect(":memory:")) as copy:
            live.backup(copy)
            await store.add_audit(entry)
            await guards.follow(store, now)
            before = mark.number
            copy.backup(live)
        await guards.follow(store, now)
        assert mark.number > before
        again = mark.number
        await guards.follow(store, now)
        assert mark.number == again

    with closing(SqliteStore(path)) as store:
        asyncio.run(work(store))


def test_an_unknown_instance_is_not_revoked_on_a_full_disk(small: ServiceBench) -> None:
    """Nothing is owed for what was never there."""

    async def full(call: Caller) -> httpx.Response:
        await fill(small)
        return await call.operator.post("/v1/instances/none/revoke", json={"because": "x"})

    answer = small.run(full)
    assert reason_in(small, answer) is Reason.INSTANCE_UNKNOWN
    assert small.store.pending == 0


@pytest.mark.parametrize("purpose", ["tokens", "gates"])
def test_a_key_and_an_epoch_are_withdrawn_on_a_full_disk(small: ServiceBench, purpose: str) -> None:
    """Gates are told, the answer says that the trail has a hole, and the entry follows."""
    ring = small.keyring.ring
    active = ring.in_state(KeyState.ACTIVE).kid
    name = active if purpose == "tokens" else ring.epoch_in_state(KeyState.ACTIVE).name
    epochs = {each.epoch for each in small.keyring.gate_secrets(CLINIC, small.clock.timestamp())}

    async def full(call: Caller) -> tuple[str, httpx.Response]:
        enrolled = await call.enrol(SimulatedPhone())
        await small.service.tick()
        await fill(small)
        return enrolled["tokens"][0]["token"], await call.operator.post(f"/v1/keys/{name}/retire")

    token, answer = small.run(full)
    assert (answer.status_code, answer.json()["recorded"]) == (200, False)
    if purpose == "tokens":
        with pytest.raises(RefusedError) as caught:
            verify(token, EXPECTATION, small.gate(), small.clock.timestamp())
        assert caught.value.refusals[0].reason is Reason.TOKEN_KEY_RETIRED
    else:
        assert not epochs <= {each.epoch for each in small.published().secrets}
    make_room(small)

    async def healed() -> list[AuditEntry]:
        await small.service.follow_store()
        return await entries(small, "keys.retire")

    (entry,) = asyncio.run(healed())
    assert (entry.subject, entry.detail) == (name, {"recorded": "late"})


def test_what_gives_more_is_not_done_on_a_full_disk(small: ServiceBench) -> None:
    """A rotation, an invitation and an enrolment wait for room: only what takes trust away doesn't."""

    async def full(call: Caller) -> list[int]:
        await fill(small)
        answers = [
            await call.operator.post("/v1/keys/rotate"),
            await call.attest(SimulatedPhone(), await call.challenge(SimulatedPhone())),
        ]
        return [answer.status_code for answer in answers]

    assert small.run(full) == [503, 503]
    assert small.store.pending == 0


class Reserve:
    """Be space that is set aside."""

    def __init__(self, held: int) -> None:
        """Hold it so many times."""
        self.held = held

    def release(self) -> bool:
        """Give it free."""
        self.held -= 1
        return self.held >= 0


@pytest.mark.parametrize(("held", "failures", "done"), [(1, 1, True), (0, 1, False), (1, 2, False)])
def test_space_is_given_free_once(held: int, failures: int, done: bool) -> None:
    """What takes trust away is tried again with it, and isn't tried for ever."""
    tries: list[int] = []

    async def work() -> str:
        tries.append(1)
        if len(tries) <= failures:
            raise UnavailableError(Reason.STORE_UNAVAILABLE, "full")
        return "done"

    guards = Safeguards(reserve=Reserve(held))  # type: ignore[arg-type]
    if done:
        assert asyncio.run(guards.with_room(work)) == "done"
    else:
        with pytest.raises(UnavailableError):
            asyncio.run(guards.with_room(work))
    assert len(tries) == 1 + (held > 0)


class Steady:
    """Be a clock that nobody sets, beside the bench's."""

    def __init__(self) -> None:
        """Begin at some moment."""
        self.seconds = 1000.0

    def __call__(self) -> float:
        """Return its time."""
        return self.seconds


@pytest.mark.parametrize("jump", [-3600, -31, 31, 3600])
def test_nothing_is_issued_by_a_clock_that_jumped(tmp_path: Path, jump: int) -> None:
    """Tokens, enrolments and health are a 503 until it is back; challenges, keys and revocations go on."""
    bench = service_bench(tmp_path, steady=Steady())
    phone = SimulatedPhone()

    async def work(call: Caller) -> None:
        instance = (await call.enrol(phone))["instance"]
        bench.clock.advance(jump)
        for answer in (
            await call.renew(phone, instance),
            await call.attest(SimulatedPhone(), await call.challenge(SimulatedPhone())),
            await call.public.get("/healthz"),
        ):
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "30"
            assert reason_in(bench, answer) is Reason.SERVICE_CLOCK
        metrics = (await call.operator.get("/metrics")).text
        assert f"watchword_clock_jump_seconds {float(jump)}" in metrics
        assert (await call.public.get("/.well-known/jwks.json")).status_code == 200
        because = {"because": "stolen"}
        revoked = await call.operator.post(f"/v1/instances/{instance}/revoke", json=because)
        assert revoked.status_code == 200
        bench.clock.advance(-jump)
        assert (await call.public.get("/healthz")).status_code == 200
        await call.enrol(SimulatedPhone("clinic-android"))

    bench.run(work)
    bench.store.close()


def test_a_clock_that_jumps_within_the_leeway_stops_nobody(tmp_path: Path) -> None:
    """What gates tolerate is no alarm; two such jumps the same way are one."""
    bench = service_bench(tmp_path, steady=Steady())

    async def work(call: Caller) -> None:
        bench.clock.advance(20)
        await call.enrol(SimulatedPhone())
        bench.clock.advance(20)
        answer = await call.public.get("/healthz")
        assert reason_in(bench, answer) is Reason.SERVICE_CLOCK

    bench.run(work)
    bench.store.close()


@given(
    st.lists(st.tuples(st.floats(0, 10), st.floats(-0.0005, 0.0005)), max_size=300),
    st.floats(-1e6, 1e6).filter(lambda jump: abs(jump) > 31),
)
def test_a_clock_that_is_set_slowly_is_right(path: list[tuple[float, float]], jump: float) -> None:
    """However far a clock is led in the end, only jumps count; each of them does."""
    steady, wall = [0.0], [1_800_000_000.0]
    watch = ClockWatch(lambda: wall[0], lambda: steady[0])
    for passed, drift in path:
        steady[0] += passed
        wall[0] += passed * (1 + drift)
        watch.look()
    watch.require_steady()
    wall[0] += jump
    with pytest.raises(UnavailableError) as caught:
        watch.require_steady()
    assert caught.value.reason is Reason.SERVICE_CLOCK
    wall[0] -= jump
    watch.require_steady()


def watched(*, vouched: bool = False) -> tuple[ClockWatch, list[float], list[float]]:
    """Return a watch with its wall clock and its steady one, to be set in place."""
    steady, wall = [0.0], [1_800_000_000.0]
    return ClockWatch(lambda: wall[0], lambda: steady[0], lambda: vouched), wall, steady


@pytest.mark.parametrize(("step", "every"), [(0.2, 3600), (-0.05, 60), (10, 86_400)])
def test_a_clock_that_is_set_now_and_then_is_right(step: float, every: float) -> None:
    """An hourly job, an agent of the virtual machine, its nightly backup: none of it stops the service in a year."""
    watch, wall, steady = watched()
    for _ in range(5000):
        for passed in (every / 2, every / 2):
            steady[0] += passed
            wall[0] += passed
            watch.require_steady()
        wall[0] += step
        watch.require_steady()
        assert watch.trouble == ""


def test_a_clock_that_a_time_server_set_is_right() -> None:
    """After the pause of a virtual machine the new time is the right one; nobody has to start the service again."""
    watch, wall, _ = watched(vouched=True)
    wall[0] += 7200
    watch.require_steady()
    assert watch.look() == 0


@pytest.mark.parametrize("hours", [0, 1, 48])
def test_a_jump_is_not_forgotten_until_it_is_taken_back(hours: int) -> None:
    """However long it lasts, it is one; and taken back it is none, and no jump the other way."""
    watch, wall, steady = watched()
    wall[0] += 600
    for _ in range(hours * 60):
        steady[0] += 60
        wall[0] += 60
        with pytest.raises(UnavailableError):
            watch.require_steady()
    wall[0] -= 600
    watch.require_steady()
    assert watch.look() == pytest.approx(0, abs=1e-3)


def test_a_jump_is_told_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The log says that it jumped, what to do, and when it is right again."""
    steady = Steady()
    bench = service_bench(tmp_path, steady=steady)
    guards = bench.service.context.safeguards
    bench.clock.advance(600)
    for _ in range(3):
        guards.watch_clock()
        # The number in the message changes; that is no news.
        bench.clock.advance(1)
    bench.clock.advance(-603)
    guards.watch_clock()
    told = capfd.readouterr().out
    assert told.count("] clock jumped") == 1
    assert "600 s ahead" in told
    assert told.count("clock is right again") == 1
    bench.store.close()


def test_the_purposes_of_challenges_stay_apart(tmp_path: Path) -> None:
    """An epoch covers every purpose: none of another epoch is good for anything."""
    bench = service_bench(tmp_path)
    phone = SimulatedPhone()

    async def work(call: Caller) -> list[Any]:
        await bench.service.start()
        made = [await call.challenge(phone, purpose) for purpose in (Purpose.ENROL, Purpose.RENEW)]
        mark = bench.service.context.safeguards.mark
        assert mark is not None
        mark.begin(bench.clock.now())
        answer = await call.attest(phone, made[0])
        renewal = phone.renewal("none", made[1])
        with pytest.raises(RefusedError) as caught:
            await bench.service.context.enrolment.renew(renewal, bench.clock.now())
        await bench.service.stop()
        return [reason_in(bench, answer), caught.value.refusals[0].reason]

    assert bench.run(work) == [Reason.CHALLENGE_UNKNOWN] * 2
    bench.store.close()


def test_a_clock_that_ran_hours_ahead_brings_no_used_challenge_back(tmp_path: Path) -> None:
    """Its use was forgotten meanwhile; also a restart in between doesn't, and nobody new is kept out."""
    bench = service_bench(tmp_path)
    phone = SimulatedPhone()

    async def ahead(call: Caller) -> bytes:
        await bench.service.start()
        challenge = await call.challenge(phone)
        assert (await call.attest(phone, challenge)).status_code == 201
        bench.clock.advance(3 * 3600)
        await bench.service.forget()
        bench.clock.advance(-3 * 3600)
        answer = await call.attest(SimulatedPhone(), challenge)
        assert reason_in(bench, answer) is Reason.CHALLENGE_EXPIRED
        await bench.service.stop()
        return challenge

    challenge = bench.run(ahead)
    bench.store.close()
    again = service_bench(tmp_path)

    async def after(call: Caller) -> None:
        await again.service.start()
        answer = await call.attest(SimulatedPhone(), challenge)
        assert reason_in(again, answer) is Reason.CHALLENGE_EXPIRED
        await call.enrol(SimulatedPhone("clinic-android"))
        answer = await call.attest(SimulatedPhone(), challenge)
        assert reason_in(again, answer) is Reason.CHALLENGE_UNKNOWN
        await again.service.stop()

    again.run(after)
    again.store.close()


def test_a_revocation_that_is_owed_stops_a_renewal_on_its_way(tmp_path: Path) -> None:
    """Of a revocation and a renewal at the same time one comes first, as where the store can write."""
    bench = service_bench(tmp_path)

    async def work(call: Caller) -> None:
        instance: str = (await call.enrol(SimulatedPhone()))["instance"]
        now = bench.clock.now()
        audit = AuditEntry(now, "operator", "instance.revoked", instance, {"because": "lost"})
        bench.store.withhold(instance, now, "lost", audit)
        use = ChallengeUse(b"n" * 16, now)
        entry = AuditEntry(now, "instance", "instance.renewed", instance)
        with pytest.raises(RefusedError) as caught:
            await bench.store.renew(use, instance, 5, None, entry)
        assert caught.value.refusals[0].reason is Reason.INSTANCE_REVOKED
        lease = Lease("l", instance, "maps", 1, "clinic-ios", None, now, now, now, 1)
        with pytest.raises(RefusedError) as caught:
            await bench.store.deliver(use, lease, 5, lambda _: entry)
        assert caught.value.refusals[0].reason is Reason.INSTANCE_REVOKED

    bench.run(work)
    bench.store.close()
