"""Receipts are refreshed when they are due: bounded, patient, and whatever happens in between."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from tests.store_contract.entries import instance
from tests.unit.enrolment.simulators import NOW, MovableClock, SeededEntropy

from watchword.adapters.anchors import AnchorSet
from watchword.adapters.sqlite import SqliteStore
from watchword.attestation.interface import Trust
from watchword.enrolment.evidence import (
    FIRST_REFUSAL_PAUSE,
    FURTHEST,
    LEAST_PAUSE,
    LONGEST_PAUSE,
    OWN_FAILURES,
    RECEIPTS_AT_ONCE,
    REFUSAL_PAUSE,
    SERVER_FAILURES,
    ReceiptRefresh,
    ReceiptSampling,
    RefreshOutcome,
)
from watchword.lab.apple import ReceiptAuthorities, ReceiptContent, device_token
from watchword.ports import AuditEntry, ChallengeUse, Instance, StoredReceipt
from watchword.reasons import Reason, RefusedError, UnavailableError

SEED = bytes(range(32))
AUTHORITIES = ReceiptAuthorities(SEED)
APP = "clinic"
NEVER = NOW + timedelta(days=3650)
"""Everything is due by then."""
DOWN = UnavailableError(Reason.VENDOR_UNAVAILABLE, "down")
REFUSED = RefusedError.because(Reason.APP_ATTEST_RECEIPT, "Apple's server answered 404")
TRUST = Trust(AnchorSet([AUTHORITIES.anchor()]))
_Result = TypeVar("_Result")


def content(name: str, at: datetime = NOW, metric: int | None = None) -> ReceiptContent:
    """Return what a receipt of an instance says."""
    return ReceiptContent(
        app_id="TEAM123456.example.clinic",
        certificate=AUTHORITIES.root.der,
        client_hash=bytes(32),
        token=device_token(SEED, name, b"key"),
        environment="production",
        created_at=at,
        risk_metric=metric,
        not_before=None if metric is None else at + timedelta(days=1),
    )


@dataclass
class Apple:
    """Be Apple's server behind the port: answer with what it was told."""

    clock: MovableClock
    metric: int = 1
    error: RefusedError | UnavailableError | None = None
    none: bool = False
    forged: bytes | None = None
    asked: list[bytes] = field(default_factory=list)
    meanwhile: Callable[[], Awaitable[object]] | None = None
    poisoned: set[bytes] = field(default_factory=set)
    """Receipts that fail by themselves, each with the error or the forged answer above."""

    async def refresh(self, app: str, receipt: bytes) -> bytes | None:
        """See the port."""
        self.asked.append(receipt)
        if self.meanwhile is not None:
            await self.meanwhile()
        if not self.poisoned or receipt in self.poisoned:
            if self.error is not None:
                raise self.error
            if self.none or self.forged is not None:
                return self.forged
        return AUTHORITIES.issue(content("device", self.clock.now(), self.metric))


class FullStore(SqliteStore):
    """Be a store that can be read and not written, on demand."""

    full: bool = False
    writes: int = 0

    async def put_receipt(
        self, receipt: StoredReceipt, risk_metric: int | None, audit: AuditEntry | None
    ) -> None:
        """Keep a receipt, or fail."""
        if self.full:
            raise UnavailableError(Reason.STORE_UNAVAILABLE, "full")
        self.writes += 1
        await super().put_receipt(receipt, risk_metric, audit)


@dataclass
class Bench:
    """Hold a store, Apple, and who stands between them."""

    store: FullStore
    clock: MovableClock
    apple: Apple
    refresh: ReceiptRefresh

    async def enrol(self, name: str = "one", app: str = APP) -> Instance:
        """Enrol an instance with a receipt that is due now."""
        made = replace(instance(name), app=app, risk_metric=None)
        first = AUTHORITIES.issue(content("device", NOW - timedelta(minutes=1)))
        receipt = StoredReceipt(name, app, first, NOW)
        use = ChallengeUse(name.encode(), NOW + timedelta(minutes=5))
        await self.store.enrol(use, made, AuditEntry(NOW, "x", "enrolled", name), receipt)
        return made

    async def round(self, app: str = APP) -> int:
        """Come by, as the service does."""
        return await self.refresh.round(app, self.clock.now())

    async def kept(self, name: str = "one") -> StoredReceipt:
        """Return the receipt of an instance."""
        receipts = await self.store.due_receipts(APP, NEVER, 1000)
        return next(each for each in receipts if each.instance_id == name)

    async def metric(self, name: str = "one") -> int | None:
        """Return the risk metric of an instance."""
        found = await self.store.find(name)
        return None if found is None else found.risk_metric

    async def changes(self) -> list[AuditEntry]:
        """Return what the audit trail says of risk metrics, newest first."""
        entries = await self.store.audit_entries(1000)
        return [entry for entry in entries if entry.action == "instance.risk_metric"]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Return a bench on a fresh store."""
    store, clock = FullStore(tmp_path / "watchword.db"), MovableClock()
    apple = Apple(clock)
    yield Bench(store, clock, apple, ReceiptRefresh(store, apple, TRUST))
    store.close()


def run(scenario: Awaitable[_Result]) -> _Result:
    """Run one scenario."""

    async def awaited() -> _Result:
        return await scenario

    return asyncio.run(awaited())


def test_newer_receipt_is_kept_with_its_metric(bench: Bench) -> None:
    """The next one is asked for with the newest, not before it may be."""

    async def scenario() -> None:
        await bench.enrol()
        first = (await bench.kept()).receipt
        assert await bench.round() == 1
        kept = await bench.kept()
        assert kept.receipt != first
        assert kept.due_at == NOW + timedelta(days=1)
        assert await bench.metric() == 1
        assert await bench.round() == 0
        bench.clock.advance(86400)
        assert await bench.round() == 1
        assert bench.apple.asked == [first, kept.receipt]
        assert bench.refresh.outcomes == {RefreshOutcome.REFRESHED: 2}

    run(scenario())


@pytest.mark.parametrize("share", [1, 5, 20, 60, 99])
def test_a_share_of_the_receipts_is_due_each_day(share: int) -> None:
    """Drawn by chance for each, in whole days, and none later than in a month, before Apple would take it no more."""
    sampling = ReceiptSampling({APP: share}, SeededEntropy())
    at, count = NOW + timedelta(days=1), 4000
    days = [(sampling.due_at(APP, at, NOW) - at).days for _ in range(count)]
    assert min(days) >= 0
    assert max(days) <= FURTHEST.days - 1
    # On each day that share of those that are left: of 4,000 draws, seeded, a few per cent more or less.
    for day in range(3):
        left = [each for each in days if each >= day]
        if len(left) > 400:
            found = sum(each == day for each in left) / len(left)
            assert found == pytest.approx(share / 100, abs=0.05)


def test_a_draw_never_falls_outside() -> None:
    """Neither the smallest nor the largest number draws a day that isn't there; who says no share asks for all."""

    class Fixed:
        def __init__(self, byte: int) -> None:
            self.byte = byte

        def token_bytes(self, count: int) -> bytes:
            return bytes([self.byte]) * count

    for byte in (0, 255):
        for share in (1, 99):
            due = ReceiptSampling({APP: share}, Fixed(byte)).due_at(APP, NOW, NOW)
            assert NOW <= due <= NOW + FURTHEST
    for shares in ({}, {APP: 100}):
        assert ReceiptSampling(shares, Fixed(0)).due_at(APP, NOW, NOW) == NOW
    # What Apple itself puts off further isn't brought forward.
    late = NOW + timedelta(days=35)
    assert ReceiptSampling({APP: 1}, Fixed(0)).due_at(APP, late, NOW) == late


def test_a_newer_receipt_waits_for_its_day(bench: Bench) -> None:
    """Apple isn't asked for it meanwhile, and nothing is written."""

    async def scenario() -> None:
        sampling = ReceiptSampling({APP: 10}, SeededEntropy(b"waits"))
        refresh = ReceiptRefresh(bench.store, bench.apple, TRUST, sampling)
        await bench.enrol()
        assert await refresh.round(APP, NOW) == 1
        due = (await bench.kept()).due_at
        assert due > NOW + timedelta(days=1)
        assert await refresh.round(APP, due - timedelta(seconds=1)) == 0
        assert await refresh.round(APP, due) == 1
        assert bench.store.writes == 2

    run(scenario())


def test_only_a_change_is_audited(bench: Bench) -> None:
    """From unknown to one, and from one to nine; the same again is no news."""

    async def scenario() -> None:
        await bench.enrol()
        for metric in (1, 1, 9):
            bench.apple.metric = metric
            assert await bench.round() == 1
            bench.clock.advance(86400)
        (second, first) = await bench.changes()
        assert first.detail == {"app": APP, "before": None, "now": 1}
        assert second.detail == {"app": APP, "before": 1, "now": 9}
        assert (second.actor, second.subject) == ("vendor", "one")
        assert await bench.metric() == 9

    run(scenario())


def test_nothing_newer_yet(bench: Bench) -> None:
    """Apple has none: it is asked again later, and that is no failure."""

    async def scenario() -> None:
        await bench.enrol()
        bench.apple.none = True
        await bench.round()
        assert (await bench.kept()).due_at == NOW + LEAST_PAUSE
        assert (await bench.kept()).failures == 0
        assert bench.refresh.outcomes == {RefreshOutcome.UNCHANGED: 1}

    run(scenario())


def test_refused_receipt_is_sent_again_after_days(bench: Bench) -> None:
    """A wrong server, or a fault of its network, refuses too: no refusal is the last word."""

    async def scenario() -> None:
        await bench.enrol()
        await bench.enrol("two")
        bench.apple.error = REFUSED
        assert await bench.round() == 2
        assert bench.refresh.outcomes == {RefreshOutcome.REFUSED: 2}
        assert (await bench.kept()).due_at == NOW + FIRST_REFUSAL_PAUSE
        bench.clock.advance(86400)
        assert await bench.round() == 2
        assert (await bench.kept()).due_at == bench.clock.now() + REFUSAL_PAUSE
        bench.apple.error = None
        bench.clock.advance(7 * 86400)
        assert await bench.round() == 2
        assert await bench.metric() == 1
        assert (await bench.kept()).failures == 0

    run(scenario())


def test_many_refusals_in_a_row_leave_the_app_alone(bench: Bench) -> None:
    """That looks like another server than Apple's: not every receipt is shown to it."""

    async def scenario() -> None:
        for number in range(30):
            await bench.enrol(str(number))
        bench.apple.error = REFUSED
        assert await bench.round() == OWN_FAILURES
        bench.clock.advance(5)
        assert await bench.round() == 0
        bench.apple.error = None
        bench.clock.advance(300)
        assert await bench.round() == RECEIPTS_AT_ONCE

    run(scenario())


def test_expired_receipt_is_kept_and_not_sent(bench: Bench) -> None:
    """Apple takes it no more; where it is the clock that was wrong, it is sent later."""

    async def scenario() -> None:
        await bench.enrol()
        bench.clock.advance(400 * 86400)
        ahead = bench.clock.now()
        assert await bench.round() == 0
        assert bench.apple.asked == []
        assert (await bench.kept()).due_at == ahead + FURTHEST
        await bench.store.put_receipt(replace(await bench.kept(), due_at=NOW), None, None)
        bench.clock.advance(-400 * 86400)
        assert await bench.round() == 1
        assert await bench.metric() == 1

    run(scenario())


def test_nothing_is_due_further_away_than_a_month(bench: Bench) -> None:
    """What lies further away can only come from a clock that ran ahead."""

    async def scenario() -> None:
        await bench.enrol()
        far = replace(content("device", NOW, 1), not_before=NOW + timedelta(days=300))
        bench.apple.forged = AUTHORITIES.issue(far)
        await bench.round()
        assert await bench.metric() == 1
        assert (await bench.kept()).due_at == NOW + FURTHEST

    run(scenario())


@pytest.mark.parametrize("how", ["down", "refused", "forged"])
def test_receipts_that_fail_by_themselves_hold_up_no_other(bench: Bench, how: str) -> None:
    """Thirty of a hundred, the longest due: within minutes all others have their metric."""

    async def scenario() -> None:
        for number in range(100):
            await bench.enrol(str(number))
        for number in range(30):
            old = await bench.kept(str(number))
            due = NOW - timedelta(seconds=100 - number)
            own = AUTHORITIES.issue(content("device", NOW - timedelta(seconds=200 + number)))
            await bench.store.put_receipt(replace(old, receipt=own, due_at=due), None, None)
            bench.apple.poisoned.add(own)
        errors: dict[str, RefusedError | UnavailableError] = {"down": DOWN, "refused": REFUSED}
        bench.apple.error = errors.get(how)
        bench.apple.forged = b"garbage"
        for _ in range(180 // 5):
            await bench.round()
            bench.clock.advance(5)
        metrics = [await bench.metric(str(number)) for number in range(100)]
        assert metrics == [None] * 30 + [1] * 70
        assert sum(each in bench.apple.poisoned for each in bench.apple.asked) <= 40

    run(scenario())


def test_why_receipts_fail_is_told(bench: Bench) -> None:
    """Until a round went well; each app has its own trouble."""

    async def scenario() -> None:
        await bench.enrol()
        assert bench.refresh.trouble(APP) == ""
        for error, said in ((DOWN, "down"), (REFUSED, "answered 404")):
            bench.apple.error = error
            assert await bench.round() == 1
            assert said in bench.refresh.trouble(APP)
            assert await bench.round() == 0
            assert said in bench.refresh.trouble(APP)
            bench.clock.advance(300)
        bench.apple.error, bench.apple.forged = None, b"garbage"
        bench.clock.advance(REFUSAL_PAUSE.total_seconds())
        await bench.round()
        assert "another receipt" in bench.refresh.trouble(APP)
        assert bench.refresh.trouble("other") == ""
        bench.apple.forged = None
        bench.clock.advance(86400)
        assert await bench.round() == 1
        assert bench.refresh.trouble(APP) == ""

    run(scenario())


def test_outage_costs_few_questions_and_growing_pauses(bench: Bench) -> None:
    """While Apple is down one receipt is tried now and then, and afterwards all come in."""

    async def scenario() -> None:
        for number in range(30):
            await bench.enrol(str(number))
        bench.apple.error = DOWN
        for _ in range(2 * 3600 // 5):
            await bench.round()
            bench.clock.advance(5)
        # Three at first, and one after 5, 10, 20, 40, and then every 60 minutes.
        assert len(bench.apple.asked) == SERVER_FAILURES + 4
        bench.apple.error = None
        for _ in range(2 * 3600 // 5):
            await bench.round()
            bench.clock.advance(5)
        assert {await bench.metric(str(number)) for number in range(30)} == {1}

    run(scenario())


def test_apple_says_when_to_come_again(bench: Bench) -> None:
    """A longer wait than ours is kept, up to an hour for the app, and a day for a receipt."""

    async def scenario() -> None:
        for name in ("one", "two", "three", "four"):
            await bench.enrol(name)
        bench.apple.error = UnavailableError(Reason.VENDOR_UNAVAILABLE, "slow down", 40 * 86400)
        assert await bench.round() == SERVER_FAILURES
        assert (await bench.kept()).due_at == NOW + timedelta(days=1)
        bench.clock.advance(LONGEST_PAUSE.total_seconds() - 1)
        assert await bench.round() == 0
        bench.clock.advance(1)
        assert await bench.round() == 1

    run(scenario())


def test_clock_that_is_set_back_does_not_pause_for_ever(bench: Bench) -> None:
    """A pause that now ends in a far future is none."""

    async def scenario() -> None:
        for name in ("one", "two", "three"):
            await bench.enrol(name)
        bench.clock.advance(86400 * 30)
        bench.apple.error = DOWN
        assert await bench.round() == SERVER_FAILURES
        assert await bench.round() == 0
        bench.clock.advance(-86400 * 30)
        await bench.enrol("four")
        assert await bench.round() == 1

    run(scenario())


@pytest.mark.parametrize(
    "forged",
    [
        b"",
        b"garbage",
        AUTHORITIES.issue(content("device", NOW - timedelta(days=1), 1)),
        AUTHORITIES.issue(content("device", NOW + timedelta(days=1), 1)),
        AUTHORITIES.issue(content("device", NOW)),
        AUTHORITIES.issue(replace(content("device", NOW, 1), app_id="TEAM123456.other")),
        ReceiptAuthorities(bytes(32)).issue(content("device", NOW, 1)),
    ],
)
def test_answer_that_is_no_successor_changes_nothing(bench: Bench, forged: bytes) -> None:
    """Whoever stands between Apple and us can't put a device's metric in another's place."""

    async def scenario() -> None:
        await bench.enrol()
        first = await bench.kept()
        bench.apple.forged = forged
        await bench.round()
        kept = await bench.kept()
        assert kept.receipt == first.receipt
        assert (kept.failures, kept.due_at) == (1, NOW + timedelta(minutes=5))
        assert await bench.metric() is None
        assert await bench.changes() == []
        bench.apple.forged = None
        bench.clock.advance(300)
        await bench.round()
        assert await bench.metric() == 1
        assert (await bench.kept()).failures == 0

    run(scenario())


def test_rounds_are_bounded_and_each_app_has_its_own(bench: Bench) -> None:
    """At most ten of an app in a round; an app in trouble holds up no other one."""

    async def scenario() -> None:
        for number in range(RECEIPTS_AT_ONCE + 2):
            await bench.enrol(str(number))
        await bench.enrol("elsewhere", "other")
        assert await bench.round() == RECEIPTS_AT_ONCE
        assert bench.refresh.due == {APP: RECEIPTS_AT_ONCE + 2}
        bench.apple.error = DOWN
        assert await bench.round() == 2
        bench.apple.error = None
        assert await bench.round() == 0
        assert await bench.round("other") == 1
        assert await bench.round("nobody") == 0

    run(scenario())


def test_answer_that_cannot_be_kept_is_asked_for_again_later(bench: Bench) -> None:
    """With a full disk Apple isn't asked at each turn, and nothing is lost."""

    async def scenario() -> None:
        await bench.enrol()
        bench.store.full = True
        for _ in range(60):
            with suppress(UnavailableError):
                await bench.round()
            bench.clock.advance(1)
        assert len(bench.apple.asked) == 1
        bench.store.full = False
        bench.clock.advance(300)
        assert await bench.round() == 1
        assert await bench.metric() == 1

    run(scenario())


def test_killed_between_answer_and_commit(bench: Bench) -> None:
    """The old receipt is still there and due, so that the next process asks for it."""

    async def scenario() -> None:
        await bench.enrol()
        first = await bench.kept()
        reached = asyncio.Event()

        async def hang() -> None:
            reached.set()
            await asyncio.Event().wait()

        bench.apple.meanwhile = hang
        killed = asyncio.create_task(bench.round())
        await reached.wait()
        killed.cancel()
        with pytest.raises(asyncio.CancelledError):
            await killed
        assert await bench.kept() == first
        bench.apple.meanwhile = None
        assert await ReceiptRefresh(bench.store, bench.apple, TRUST).round(APP, NOW) == 1
        assert await bench.metric() == 1

    run(scenario())


def test_instance_that_is_revoked_meanwhile(bench: Bench) -> None:
    """Its receipt doesn't come back, and nothing is told of it."""

    async def scenario() -> None:
        await bench.enrol()
        audit = AuditEntry(NOW, "operator", "instance.revoked", "one")
        bench.apple.meanwhile = lambda: bench.store.revoke("one", NOW, "stolen", audit)
        assert await bench.round() == 1
        assert await bench.store.due_receipts(APP, NEVER, 9) == []
        assert await bench.changes() == []

    run(scenario())
