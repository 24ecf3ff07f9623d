"""Renew by a ticket: only where nothing that the row would tell can have changed, and each challenge once all the same."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.store_contract.entries import audit, instance, use
from tests.unit.enrolment.simulators import (
    NOW,
    POLICY,
    CredulousVerifier,
    MovableClock,
    SeededEntropy,
    SimulatedPhone,
    gate_secret,
)
from tests.unit.enrolment.test_service import PAIRWISE, run

from watchword.adapters.keyring.file import new_key
from watchword.adapters.sqlite import SqliteStore
from watchword.adapters.store import EngineStore
from watchword.enrolment.interface import Enrolled, RenewalRequest
from watchword.enrolment.service import Enrolment, EnrolmentKeys
from watchword.enrolment.statement import OneEpoch
from watchword.enrolment.tickets import LIFE, MOST_AGE, RevokedLately, Tickets, revision_of
from watchword.policy.registry import BALANCED
from watchword.ports import ChallengeUse, Instance
from watchword.reasons import Reason, RefusedError, UnavailableError
from watchword.vocabulary import Purpose

ONE = instance()


@dataclass
class Epoch:
    """Be an epoch that a test can end."""

    number: int = 0
    forgotten: int = 0

    def begin(self, now: datetime) -> None:
        """Begin another one."""
        self.number += 1


class WatchedStore(SqliteStore):
    """Be a store that counts what is read and written of instances."""

    finds = renews = uses = 0

    async def find(self, instance_id: str) -> Instance | None:
        """Count it."""
        self.finds += 1
        return await super().find(instance_id)

    async def renew(self, *given: object, **named: object) -> Instance:
        """Count it."""
        self.renews += 1
        return await super().renew(*given, **named)  # type: ignore[arg-type]

    async def use_challenge(self, use: ChallengeUse, now: datetime) -> None:
        """Count it."""
        self.uses += 1
        await super().use_challenge(use, now)


@dataclass
class Bench:
    """Hold a service that gives tickets."""

    store: EngineStore
    clock: MovableClock = field(default_factory=MovableClock)
    seed: bytes = b"one node"
    epoch: Epoch = field(default_factory=Epoch)
    seconds: float = 0.0
    revision: bytes = b"one"
    cut: datetime | None = None

    def __post_init__(self) -> None:
        """Build it."""
        self.verifier = CredulousVerifier()
        self.revoked = RevokedLately(self.store, lambda: self.seconds)
        self.tickets = self.sealing(bytes(32))
        key = new_key(0)
        self.enrolment = Enrolment(
            policy=POLICY,
            verifier=self.verifier,
            store=self.store,
            keys=EnrolmentKeys(bytes(32), PAIRWISE, lambda: key, gate_secret),
            entropy=SeededEntropy(self.seed),
            tickets=self.tickets,
        )

    def sealing(self, key: bytes) -> Tickets:
        """Return who seals tickets under a key."""
        return Tickets(
            key,
            self.epoch,
            self.revoked,
            lambda _: self.revision,
            lambda _: self.cut,
            SeededEntropy(b"tickets" + self.seed),
        )

    def follow(self) -> None:
        """Read who was revoked."""
        run(lambda: self.revoked.follow(self.clock.now()))

    def enrolled(self, phone: SimulatedPhone) -> Enrolled:
        """Enrol a phone, and know who was revoked."""
        challenge = self.enrolment.challenge(phone.app, Purpose.ENROL, self.clock.now())[0]
        found = run(lambda: self.enrolment.enrol(phone.enrolment(challenge), self.clock.now()))
        self.follow()
        return found

    def request(self, phone: SimulatedPhone, last: Enrolled) -> RenewalRequest:
        """Return the request that comes after an answer."""
        renewal = phone.renewal(last.instance.id, last.next.challenge)
        return replace(renewal, ticket=last.next.ticket)

    def renewed(self, request: RenewalRequest) -> tuple[Enrolled, bool]:
        """Renew; tell whether that read or changed a row."""
        assert isinstance(self.store, WatchedStore)
        before = (self.store.finds, self.store.renews)
        found = run(lambda: self.enrolment.renew(request, self.clock.now()))
        return found, (self.store.finds, self.store.renews) != before

    def refused(self, request: RenewalRequest) -> Reason:
        """Return why a renewal is refused."""
        with pytest.raises(RefusedError) as caught:
            run(lambda: self.enrolment.renew(request, self.clock.now()))
        return caught.value.reason


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Return a bench on a fresh store."""
    store = WatchedStore(tmp_path / "watchword.db")
    yield Bench(store)
    store.close()


@pytest.mark.parametrize("app", ["clinic-ios", "clinic-android"])
def test_an_instance_renews_for_a_day_without_its_row(bench: Bench, app: str) -> None:
    """Then the row is read, has the newest counter and time, and another day begins."""
    phone = SimulatedPhone(app)
    last = bench.enrolled(phone)
    for _ in range(23):
        # The challenge lives as long as the tokens.
        bench.clock.at = last.instance.renewed_at + timedelta(seconds=290)
        last, touched = bench.renewed(bench.request(phone, last))
        assert not touched
        assert last.instance.renewed_at == bench.clock.now()
    kept = run(lambda: bench.store.find(last.instance.id))
    assert kept is not None
    assert kept.renewed_at == NOW
    assert isinstance(bench.store, WatchedStore)
    assert bench.store.uses == 23
    request = bench.request(phone, last)
    bench.clock.at = NOW + LIFE
    # Nobody takes a challenge of before: only the ticket's age is of interest here.
    found = bench.tickets.open(request.ticket or b"", last.instance.id, bench.clock.now())
    assert found is not None
    assert not found.counts
    assert found.instance == last.instance


def test_a_challenge_counts_once_whichever_way_it_is_used(bench: Bench) -> None:
    """Twice with the ticket, with and without it, and of many at once exactly one."""
    phone = SimulatedPhone("clinic-android")
    request = bench.request(phone, bench.enrolled(phone))

    async def race() -> list[object]:
        calls = (bench.enrolment.renew(request, NOW) for _ in range(20))
        return await asyncio.gather(*calls, return_exceptions=True)

    found = asyncio.run(race())
    assert sum(isinstance(each, Enrolled) for each in found) == 1
    refusals = [each for each in found if isinstance(each, RefusedError)]
    assert {each.reason for each in refusals} == {Reason.CHALLENGE_USED}
    assert len(refusals) == 19
    assert bench.refused(request) is Reason.CHALLENGE_USED
    assert bench.refused(replace(request, ticket=None)) is Reason.CHALLENGE_USED


def test_uses_at_the_same_time_are_one_transaction_and_are_counted(bench: Bench) -> None:
    """A store that is put back lacks them: its number is smaller."""
    before = run(bench.store.extent)[0]

    async def many() -> None:
        await asyncio.gather(
            *(bench.store.use_challenge(use(b"%d" % number), NOW) for number in range(600))
        )

    asyncio.run(many())
    grown = run(bench.store.extent)[0] - before
    assert 0 < grown <= 5
    with pytest.raises(RefusedError):
        run(lambda: bench.store.use_challenge(use(b"599"), NOW))


def test_a_store_that_is_gone_answers_nobody(bench: Bench) -> None:
    """A use that can't be recorded is none: nothing is issued."""
    phone = SimulatedPhone("clinic-android")
    request = bench.request(phone, bench.enrolled(phone))
    bench.store.close()
    with pytest.raises(UnavailableError):
        run(lambda: bench.enrolment.renew(request, NOW))


CHANGES: dict[str, Callable[[Bench, Instance], object]] = {
    "policy or status list": lambda bench, _: setattr(bench, "revision", b"two"),
    "a cut": lambda bench, _: setattr(bench, "cut", NOW + timedelta(seconds=1)),
    "nobody knows who was revoked": lambda bench, _: setattr(bench, "seconds", MOST_AGE + 0.1),
    "a day": lambda bench, _: setattr(bench.clock, "at", NOW + LIFE),
    "a clock that was set back": lambda bench, _: bench.clock.advance(-1),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_row_is_read_where_anything_may_have_changed(bench: Bench, change: str) -> None:
    """The ticket then counts for nothing, and the renewal goes on by the row."""
    phone = SimulatedPhone("clinic-android")
    last = bench.enrolled(phone)
    CHANGES[change](bench, last.instance)
    found = bench.tickets.open(last.next.ticket or b"", last.instance.id, bench.clock.now())
    assert found is not None
    assert not found.counts
    if bench.clock.now() < NOW + timedelta(seconds=300):
        _, touched = bench.renewed(bench.request(phone, last))
        assert touched


def test_a_revoked_instance_does_not_renew(bench: Bench) -> None:
    """Neither once that is known here nor, two seconds after it was last asked, before."""
    phone = SimulatedPhone("clinic-android")
    last = bench.enrolled(phone)
    request = bench.request(phone, last)
    name = last.instance.id
    run(lambda: bench.store.revoke(name, NOW, "stolen", audit("instance.revoked", subject=name)))
    bench.seconds += MOST_AGE + 0.1
    assert bench.refused(request) is Reason.INSTANCE_REVOKED
    bench.follow()
    assert name in bench.revoked
    assert bench.refused(request) is Reason.INSTANCE_REVOKED


def test_revocations_are_forgotten_once_no_ticket_can_be_of_before(bench: Bench) -> None:
    """So that memory stays as small as what was revoked within a day."""
    phone = SimulatedPhone("clinic-android")
    name = bench.enrolled(phone).instance.id
    run(lambda: bench.store.revoke(name, NOW, "stolen", audit("instance.revoked", subject=name)))
    bench.follow()
    assert name in bench.revoked
    bench.clock.at = NOW + LIFE + timedelta(minutes=59)
    bench.follow()
    assert name in bench.revoked
    bench.clock.at = NOW + LIFE + timedelta(minutes=61)
    bench.follow()
    assert name not in bench.revoked


def test_another_epoch_ends_all_tickets(bench: Bench) -> None:
    """A store that was put back may know other rows: tickets and challenges of before are strangers'."""
    phone = SimulatedPhone("clinic-android")
    last = bench.enrolled(phone)
    assert bench.tickets.open(last.next.ticket or b"", last.instance.id, NOW) is not None
    bench.epoch.begin(NOW)
    assert bench.tickets.open(last.next.ticket or b"", last.instance.id, NOW) is None


def test_a_ticket_goes_with_its_own_challenge_and_instance(bench: Bench) -> None:
    """An older ticket has an older counter; another's has another key."""
    phone, other = SimulatedPhone("clinic-ios"), SimulatedPhone("clinic-ios")
    first = bench.enrolled(phone)
    strangers = bench.enrolled(other)
    bench.clock.advance(1)
    second, _ = bench.renewed(bench.request(phone, first))
    bench.clock.advance(1)
    mixed = replace(bench.request(phone, second), ticket=first.next.ticket)
    # Without a ticket the row decides, and that knows no such answer.
    assert bench.refused(mixed) is Reason.CHALLENGE_SUPERSEDED
    stolen = replace(bench.request(phone, second), ticket=strangers.next.ticket)
    # Shown under the phone's own key, it was used by that.
    assert bench.refused(stolen) is Reason.CHALLENGE_USED
    fresh = bench.enrolment.challenge(phone.app, Purpose.RENEW, bench.clock.now())[0]
    asked = replace(phone.renewal(second.instance.id, fresh), ticket=second.next.ticket)
    _, touched = bench.renewed(asked)
    assert touched


def test_a_counter_that_stays_is_refused(bench: Bench) -> None:
    """Also where only the ticket knows the newest one."""
    phone = SimulatedPhone("clinic-ios")
    last, _ = bench.renewed(bench.request(phone, bench.enrolled(phone)))
    phone.counter -= 1
    assert bench.refused(bench.request(phone, last)) is Reason.INSTANCE_COUNTER


def test_what_says_more_goes_into_the_row(bench: Bench) -> None:
    """Another version, another system, a vendor that vouches anew: the row knows it, and the answer's ticket too."""
    phone = SimulatedPhone("clinic-android")
    last = bench.enrolled(phone)
    for changes in ({"version": "43"}, {"platform": "android-17"}, {"vouched_anew": True}):
        bench.clock.advance(1)
        request = bench.request(phone, last)
        request = replace(request, evidence={**request.evidence, **changes})
        last, touched = bench.renewed(request)
        assert touched
        assert run(lambda last=last: bench.store.find(last.instance.id)) == last.instance  # type: ignore[misc]
        bench.clock.advance(1)
        last, touched = bench.renewed(bench.request(phone, last))
        assert not touched


def test_an_older_answer_counts_until_it_ends_and_once(bench: Bench) -> None:
    """A chain of answers that went another way meanwhile: the challenge of this one is still unused."""
    phone = SimulatedPhone("clinic-android")
    last = bench.enrolled(phone)
    bench.revision = b"two"
    _, touched = bench.renewed(bench.request(phone, last))
    assert touched
    assert bench.refused(bench.request(phone, last)) is Reason.CHALLENGE_USED


@given(st.binary(max_size=200))
def test_what_is_no_ticket_counts_as_none(data: bytes) -> None:
    """Whatever a stranger sends: the row is read, as for a client that sends nothing."""
    revoked = RevokedLately(None, lambda: 0.0)  # type: ignore[arg-type]
    tickets = Tickets(
        bytes(32), OneEpoch(), revoked, lambda _: b"", lambda _: None, SeededEntropy()
    )
    assert tickets.open(data, "one", NOW) is None
    sealed = tickets.seal(ONE, NOW)
    found = tickets.open(sealed, "one", NOW)
    assert found is not None
    assert found.instance == ONE
    assert found.read_at == NOW
    assert tickets.open(sealed, "two", NOW) is None
    assert tickets.open(sealed + data if data else b"", "one", NOW) is None
    assert tickets.open(sealed[: len(data)], "one", NOW) is None
    assert repr(tickets) == "Tickets(...)"


def test_a_revision_is_the_same_in_every_process() -> None:
    """Whatever order sets have; and another one where any part is another."""
    assert revision_of(BALANCED, frozenset("abc")) == revision_of(BALANCED, frozenset("cba"))
    assert revision_of({"a": 1, "b": 2}) == revision_of({"b": 2, "a": 1})
    other = replace(BALANCED, renew_by_key_for=timedelta(days=2))
    assert revision_of(BALANCED) != revision_of(other)
    assert revision_of("1") != revision_of(1)
    assert revision_of(("a",), ()) != revision_of((), ("a",))
