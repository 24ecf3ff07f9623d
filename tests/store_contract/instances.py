"""Instances, challenges, receipts and the audit trail: all or nothing."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from tests.store_contract.entries import audit, instance, reason_of, run, use
from tests.unit.enrolment.simulators import NOW

from watchword.adapters.store import EXPIRED_AT_ONCE, FLUSHED_AT_ONCE, EngineStore
from watchword.enrolment.renewal_days import days_of
from watchword.ports import CountLimit, EnrolledCounts, Instance, RevocationCursor, StoredReceipt
from watchword.reasons import Reason

Reopened = Callable[[], EngineStore]


def receipt(name: str = "one", seconds: int = 0, app: str = "clinic") -> StoredReceipt:
    """Return a receipt that is due after some seconds."""
    return StoredReceipt(name, app, name.encode(), NOW + timedelta(seconds=seconds), 1)


def test_instance_comes_back_as_it_was(store: EngineStore) -> None:
    """Every field, microseconds included, survives the file."""
    one = instance()
    run(lambda: store.enrol(use(), one, audit()))
    assert run(lambda: store.find("one")) == one
    assert run(lambda: store.audit_entries(10)) == [audit()]
    assert run(lambda: store.find("two")) is None


def test_challenge_is_used_once(store: EngineStore) -> None:
    """The second use is refused, and brings in neither instance nor audit entry."""
    run(lambda: store.enrol(use(), instance(), audit()))
    other = instance("two")
    assert reason_of(lambda: store.enrol(use(), other, audit())) is Reason.CHALLENGE_USED
    assert run(lambda: store.find("two")) is None
    assert len(run(lambda: store.audit_entries(10))) == 1


def test_enrolled_key_keeps_its_challenge(store: EngineStore) -> None:
    """An enrolment that fails on the key gives the challenge back."""
    one = instance()
    run(lambda: store.enrol(use(), one, audit()))
    twin = replace(instance("two"), attested_key=one.attested_key)
    assert reason_of(lambda: store.enrol(use(b"b"), twin, audit())) is Reason.INSTANCE_EXISTS
    run(lambda: store.enrol(use(b"b"), instance("three"), audit()))


def test_taken_id_is_no_replacement(store: EngineStore) -> None:
    """An id that is taken doesn't overwrite who has it."""
    one = instance()
    run(lambda: store.enrol(use(), one, audit()))
    assert reason_of(lambda: store.enrol(use(b"b"), instance(), audit())) is Reason.INSTANCE_EXISTS
    assert run(lambda: store.find("one")) == one


def test_renewal_raises_the_counter(store: EngineStore) -> None:
    """A greater counter is taken and the time of renewal is the audit entry's."""
    run(lambda: store.enrol(use(), instance(), audit()))
    entry = audit("instance.renewed", 60)
    renewed = run(lambda: store.renew(use(b"b"), "one", 4, None, entry))
    assert renewed.counter == 4
    assert renewed.renewed_at == NOW + timedelta(seconds=60)
    assert run(lambda: store.find("one")) == renewed


def test_renewals_leave_a_mark_a_day_and_no_entry(store: EngineStore) -> None:
    """The row knows the days; the trail has what changed alone, and what was written is counted all the same."""
    one = instance()
    run(lambda: store.enrol(use(), one, audit()))
    before, trail = run(store.extent), run(store.newest_audit)
    for number, seconds in enumerate((60, 120, 86_400, 3 * 86_400)):
        entry = audit("instance.renewed", seconds)
        run(lambda n=b"%d" % number, e=entry: store.renew(use(n), "one", None, "42", e))  # type: ignore[misc]
    renewed = run(lambda: store.find("one"))
    assert renewed is not None
    assert days_of(renewed) == [(NOW + timedelta(days=each)).date() for each in (3, 1, 0)]
    assert run(lambda: store.audit_entries(10)) == [audit()]
    assert run(store.newest_audit) == trail
    after = run(store.extent)
    assert after[0] >= before[0] + 4
    assert after[1] == before[1]
    told = audit("instance.renewed", 4 * 86_400)
    run(lambda: store.renew(use(b"version"), "one", None, "43", told))
    assert run(lambda: store.audit_entries(1)) == [told]
    assert run(store.extent)[0] > after[0]


@pytest.mark.parametrize("counter", [0, 2, 3])
def test_counter_never_stays_or_falls(store: EngineStore, counter: int) -> None:
    """An equal or smaller counter is refused and the challenge stays unused."""
    run(lambda: store.enrol(use(), instance(), audit()))
    assert (
        reason_of(lambda: store.renew(use(b"b"), "one", counter, None, audit()))
        is Reason.INSTANCE_COUNTER
    )
    assert run(lambda: store.renew(use(b"b"), "one", 4, None, audit())).counter == 4


def test_renewal_by_what_was_read_moments_ago(store: EngineStore) -> None:
    """It counts while it is so; else the row itself says, and a refusal is the same."""
    first = instance()
    run(lambda: store.enrol(use(), first, audit()))

    def renew(nonce: bytes, counter: int, vouched: datetime | None = None) -> Instance:
        entry = audit("instance.renewed", 60 * counter)
        return run(
            lambda: store.renew(
                use(nonce), "one", counter, None, entry, attested_at=vouched, known=first
            )
        )

    second = renew(b"b", 4)
    assert run(lambda: store.find("one")) == second
    # Of before, with a counter that isn't high enough any more, and with one that is.
    again = lambda: store.renew(use(b"c"), "one", 4, None, audit(), known=first)  # noqa: E731
    assert reason_of(again) is Reason.INSTANCE_COUNTER
    vouched = NOW + timedelta(seconds=90)
    third = renew(b"c", 5, vouched)
    assert (third.counter, third.attested_at) == (5, vouched)
    assert run(lambda: store.find("one")) == third
    used = lambda: store.renew(use(b"c"), "one", 6, None, audit(), known=third)  # noqa: E731
    assert reason_of(used) is Reason.CHALLENGE_USED
    old = replace(use(b"d"), made_at=first.renewed_at)
    late = lambda: store.renew(old, "one", 6, None, audit(), known=first)  # noqa: E731
    assert reason_of(late) is Reason.CHALLENGE_SUPERSEDED
    run(lambda: store.revoke("one", NOW, "stolen", audit()))
    revoked = lambda: store.renew(use(b"e"), "one", 6, None, audit(), known=third)  # noqa: E731
    assert reason_of(revoked) is Reason.INSTANCE_REVOKED


def test_renewal_without_counter_keeps_it(store: EngineStore) -> None:
    """A format without a counter leaves the stored one."""
    run(lambda: store.enrol(use(), instance(), audit()))
    assert run(lambda: store.renew(use(b"b"), "one", None, None, audit())).counter == 3


def test_renewal_states_the_version_anew(store: EngineStore) -> None:
    """The row has the version that a renewal stated last; one that states none leaves it."""
    run(lambda: store.enrol(use(), instance(), audit()))
    renewed = run(lambda: store.renew(use(b"b"), "one", None, "9.1", audit()))
    assert renewed.app_version == "9.1"
    assert run(lambda: store.find("one")) == renewed
    assert run(lambda: store.renew(use(b"c"), "one", None, None, audit())).app_version == "9.1"


def test_renewal_needs_an_instance_that_is_not_revoked(store: EngineStore) -> None:
    """Unknown and revoked instances don't renew, and a used challenge doesn't either."""
    assert (
        reason_of(lambda: store.renew(use(b"b"), "one", 4, None, audit()))
        is Reason.INSTANCE_UNKNOWN
    )
    run(lambda: store.enrol(use(), instance(), audit()))
    assert reason_of(lambda: store.renew(use(), "one", 4, None, audit())) is Reason.CHALLENGE_USED
    run(lambda: store.revoke("one", NOW, "stolen", audit()))
    assert (
        reason_of(lambda: store.renew(use(b"b"), "one", 4, None, audit()))
        is Reason.INSTANCE_REVOKED
    )


def test_revocation_holds_and_is_the_first(store: EngineStore) -> None:
    """The first revocation stands; a second changes and records nothing."""
    run(lambda: store.enrol(use(), instance(), audit()))
    first = run(lambda: store.revoke("one", NOW, "stolen", audit("instance.revoked")))
    assert (first.revoked_at, first.revoked_because) == (NOW, "stolen")
    later = NOW + timedelta(days=1)
    assert run(lambda: store.revoke("one", later, "again", audit("instance.revoked"))) == first
    assert len(run(lambda: store.audit_entries(10))) == 2
    assert reason_of(lambda: store.revoke("x", NOW, "b", audit())) is Reason.INSTANCE_UNKNOWN


def test_recently_revoked_are_found(store: EngineStore) -> None:
    """Revocations at or after an instant are listed, others aren't."""
    for name in ("one", "two", "three"):
        run(lambda name=name: store.enrol(use(name.encode()), instance(name), audit()))  # type: ignore[misc]
    run(lambda: store.revoke("one", NOW, "b", audit()))
    run(lambda: store.revoke("two", NOW + timedelta(seconds=9), "b", audit()))
    news = run(lambda: store.revocations(NOW, None, 9))
    assert [i.id for i in news.instances] == ["one", "two"]
    assert (news.anew, news.more) == (True, False)
    assert news.instances[1].revoked_at == NOW + timedelta(seconds=9)
    since = NOW + timedelta(microseconds=1)
    assert [i.id for i in run(lambda: store.revocations(since, None, 9)).instances] == ["two"]


def test_only_new_revocations_are_read(store: EngineStore) -> None:
    """Those since the answer before; all of them where the store is an older copy."""
    for name in ("one", "two"):
        run(lambda name=name: store.enrol(use(name.encode()), instance(name), audit()))  # type: ignore[misc]
    run(lambda: store.revoke("one", NOW, "b", audit("instance.revoked", subject="one")))
    before = run(lambda: store.revocations(NOW, None, 9)).cursor
    assert run(lambda: store.revocations(NOW, before, 9)).instances == []
    run(lambda: store.revoke("two", NOW, "b", audit("instance.revoked", subject="two")))
    news = run(lambda: store.revocations(NOW, before, 9))
    assert ([i.id for i in news.instances], news.anew, news.more) == (["two"], False, False)
    ahead = RevocationCursor(news.cursor.sequence + 1)
    again = run(lambda: store.revocations(NOW, ahead, 9))
    assert ([i.id for i in again.instances], again.anew) == (["one", "two"], True)


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_revocations_are_read_page_by_page(store: EngineStore, limit: int) -> None:
    """All of them, several of one instant too, and those that are revoked while pages are read."""
    names = [f"n{number}" for number in range(6)]
    for name in [*names, "late"]:
        run(lambda name=name: store.enrol(use(name.encode()), instance(name), audit()))  # type: ignore[misc]
    for name in names:
        entry = audit("instance.revoked", subject=name)
        run(lambda name=name, entry=entry: store.revoke(name, NOW, "b", entry))  # type: ignore[misc]
    found: list[str] = []
    pages, cursor, more = 0, None, True
    while more:
        news = run(lambda cursor=cursor: store.revocations(NOW, cursor, limit))  # type: ignore[misc]
        assert news.anew == (pages == 0)
        assert len(news.instances) <= limit
        found += [each.id for each in news.instances]
        cursor, more, pages = news.cursor, news.more, pages + 1
        if pages == 1:
            entry = audit("instance.revoked", subject="late")
            run(lambda entry=entry: store.revoke("late", NOW, "b", entry))  # type: ignore[misc]
    if limit == 100:
        found += [each.id for each in run(lambda: store.revocations(NOW, cursor, limit)).instances]
    assert set(found) == {*names, "late"}
    assert found[:6] == names
    assert run(lambda: store.revocations(NOW, cursor, limit)).instances == [] or limit == 100


def test_listing_is_bounded_and_newest_first(store: EngineStore) -> None:
    """At most ``limit`` instances are listed, of one app if one is named."""
    for number in range(5):
        made = replace(
            instance(str(number)),
            enrolled_at=NOW + timedelta(seconds=number),
            app="other" if number == 3 else "clinic",
        )
        run(lambda made=made: store.enrol(use(made.id.encode()), made, audit()))  # type: ignore[misc]
    assert [i.id for i in run(lambda: store.list_instances(2))] == ["4", "3"]
    assert [i.id for i in run(lambda: store.list_instances(2, "clinic"))] == ["4", "2"]


def test_listing_is_continued_without_a_gap(store: EngineStore) -> None:
    """Page after page shows every instance once, also those that enrolled at the same instant."""
    for number in range(7):
        made = replace(
            instance(str(number)),
            enrolled_at=NOW + timedelta(seconds=number // 3),
            app="other" if number == 3 else "clinic",
        )
        run(lambda made=made: store.enrol(use(made.id.encode()), made, audit()))  # type: ignore[misc]
    for app in (None, "clinic"):
        whole = run(lambda app=app: store.list_instances(100, app))  # type: ignore[misc]
        for size in (1, 2, 3):
            pages: list[Instance] = []
            before = None
            for _ in whole:
                page = run(
                    lambda app=app, before=before, size=size: store.list_instances(  # type: ignore[misc]
                        size, app, before
                    )
                )
                pages += page
                before = page[-1].id if page else before
            assert pages == whole
    reason = reason_of(lambda: store.list_instances(2, None, "nobody"))
    assert reason is Reason.INSTANCE_UNKNOWN


def test_renewal_keeps_when_the_vendor_vouched(store: EngineStore) -> None:
    """Only a renewal for which the vendor vouched anew changes when it did last."""
    run(lambda: store.enrol(use(), instance(), audit()))
    renewed = run(lambda: store.renew(use(b"b"), "one", None, None, audit()))
    assert renewed.attested_at == NOW + timedelta(microseconds=7)
    later = NOW + timedelta(days=1)
    renewed = run(lambda: store.renew(use(b"c"), "one", None, None, audit(), later))
    assert renewed.attested_at == later
    assert run(lambda: store.find("one")) == renewed


def test_instances_of_a_device_are_counted(store: EngineStore) -> None:
    """Those that enrolled at or after an instant count, also revoked ones, and no other device's."""
    for number in range(4):
        made = replace(
            instance(str(number)),
            enrolled_at=NOW + timedelta(hours=number),
            device_key=None if number == 3 else bytes([number // 2] * 32),
        )
        run(lambda made=made: store.enrol(use(made.id.encode()), made, audit()))  # type: ignore[misc]
    run(lambda: store.revoke("1", NOW, "b", audit()))

    def count(key: bytes, since: datetime) -> int | None:
        counts = run(lambda: store.count_enrolled("other", key, None, since))
        assert counts.serial is None
        return counts.device

    assert count(bytes(32), NOW) == 2
    assert count(bytes(32), NOW + timedelta(microseconds=1)) == 1
    assert count(bytes([1] * 32), NOW) == 1
    assert count(bytes([2] * 32), NOW) == 0


def test_limit_is_counted_in_the_transaction(store: EngineStore) -> None:
    """Beyond it nothing is written, the challenge included; others' instances don't count."""
    limit = CountLimit(NOW, EnrolledCounts(1, None))
    other = replace(instance("other"), device_key=bytes([1] * 32))
    old = replace(instance("old"), enrolled_at=NOW - timedelta(microseconds=1))
    for made in (other, old):
        run(lambda made=made: store.enrol(use(made.id.encode()), made, audit()))  # type: ignore[misc]

    def enrol(name: str, limit: CountLimit | None = limit) -> EnrolledCounts | None:
        return run(lambda: store.enrol(use(name.encode()), instance(name), audit(), limit=limit))

    assert [enrol("a"), enrol("b")] == [None, None]
    before = run(lambda: store.audit_entries(100))
    assert enrol("c") == EnrolledCounts(2, 3)
    assert run(lambda: store.find("c")) is None
    assert run(lambda: store.audit_entries(100)) == before
    assert enrol("c", CountLimit(NOW, EnrolledCounts(2, None))) is None
    assert enrol("d", None) is None
    nobody = replace(instance("e"), device_key=None, attester_serial=None)
    none = CountLimit(NOW, EnrolledCounts(0, 0))
    assert run(lambda: store.enrol(use(b"e"), nobody, audit(), limit=none)) is None
    assert enrol("f", CountLimit(NOW, EnrolledCounts(None, 4))) == EnrolledCounts(4, 5)
    assert enrol("f", CountLimit(NOW, EnrolledCounts(4, 5))) is None


def test_instances_of_an_app_under_a_certificate_are_counted(store: EngineStore) -> None:
    """Those that enrolled at or after an instant, also revoked ones; not another app's, nor a batch's above it."""
    for number in range(6):
        made = replace(
            instance(str(number)),
            app="other" if number == 4 else "clinic",
            enrolled_at=NOW + timedelta(hours=number),
            attester_serial=None if number == 5 else str(1 + number // 3),
        )
        run(lambda made=made: store.enrol(use(made.id.encode()), made, audit()))  # type: ignore[misc]
    run(lambda: store.revoke("1", NOW, "b", audit()))

    def count(app: str, serial: str, since: datetime) -> int | None:
        counts = run(lambda: store.count_enrolled(app, None, serial, since))
        assert counts.device is None
        return counts.serial

    assert count("clinic", "1", NOW) == 3
    assert count("clinic", "1", NOW + timedelta(hours=1)) == 2
    assert count("clinic", "1", NOW + timedelta(hours=1, microseconds=1)) == 1
    assert [count(app, "2", NOW) for app in ("clinic", "other", "nobody's")] == [1, 1, 0]
    assert count("clinic", "c3", NOW) == 0


def test_instances_are_found_by_their_certificates(store: EngineStore) -> None:
    """By any certificate of the chain, whole serials alone, not revoked, at most as many as wanted."""
    for number in range(5):
        made = replace(instance(str(number)), serials=("1", f"a{number}", "ff"))
        run(lambda made=made: store.enrol(use(made.id.encode()), made, audit()))  # type: ignore[misc]

    def ids(serials: list[str], limit: int) -> set[str]:
        return {each.id for each in run(lambda: store.instances_with_serials(serials, limit))}

    assert ids(["a1", "a3", "zz"], 10) == {"1", "3"}
    assert ids(["a", "f", "fff", "A1"], 10) == set()
    assert ids(["ff", "a1"], 10) == {"0", "1", "2", "3", "4"}
    assert len(ids(["ff"], 2)) == 2
    assert ids([], 10) == set()
    run(lambda: store.revoke("1", NOW, "b", audit()))
    assert ids(["ff"], 10) == {"0", "2", "3", "4"}


def test_many_are_revoked_at_once_and_each_once(store: EngineStore) -> None:
    """Known instances are revoked with an entry each; the rest leaves nothing."""
    for name in ("one", "two", "three"):
        run(lambda name=name: store.enrol(use(name.encode()), instance(name), audit()))  # type: ignore[misc]
    first = run(lambda: store.revoke("two", NOW, "stolen", audit()))
    entries = [replace(audit("instance.revoked"), subject=i) for i in ("one", "two", "x", "three")]
    assert run(lambda: store.revoke_all(NOW, "vendor", entries)) == 2
    assert run(lambda: store.find("two")) == first
    one = run(lambda: store.find("one"))
    assert one is not None
    assert (one.revoked_at, one.revoked_because) == (NOW, "vendor")
    told = [each.subject for each in run(lambda: store.audit_entries(2))]
    assert told == ["three", "one"]
    assert run(lambda: store.revoke_all(NOW, "vendor", entries)) == 0
    assert run(lambda: store.audit_entries(2))[0].subject == "three"


def test_receipts_come_when_they_are_due(store: EngineStore) -> None:
    """Of the app that is asked for, the longest due first, and at most as many as wanted."""
    for name, seconds, app in (("a", 5, "clinic"), ("b", 3, "clinic"), ("c", 4, "other")):
        made = replace(instance(name), app=app)
        kept = receipt(name, seconds, app)
        run(lambda made=made, kept=kept: store.enrol(use(made.id.encode()), made, audit(), kept))  # type: ignore[misc]

    def due(app: str, seconds: int, limit: int = 10) -> list[str]:
        at = NOW + timedelta(seconds=seconds)
        return [each.instance_id for each in run(lambda: store.due_receipts(app, at, limit))]

    assert due("clinic", 2) == []
    assert due("clinic", 3) == ["b"]
    assert due("clinic", 5) == ["b", "a"]
    assert due("clinic", 5, 1) == ["b"]
    assert due("other", 9) == ["c"]
    # A clock that ran ahead planned them; by the right one they would wait for months.
    assert due("clinic", -41 * 86400) == ["b", "a"]
    assert due("clinic", -41 * 86400, 1) == ["b"]
    assert due("clinic", -39 * 86400) == []
    assert run(lambda: store.due_receipts("other", NOW + timedelta(days=1), 1)) == [
        receipt("c", 4, "other")
    ]


def test_receipt_is_replaced_with_what_it_says(store: EngineStore) -> None:
    """Receipt, risk metric and audit entry go together; no metric leaves the known one."""
    run(lambda: store.enrol(use(), instance(), audit(), receipt()))
    newer = replace(receipt(seconds=9), receipt=b"newer", failures=0)
    entry = audit("instance.risk_metric")
    run(lambda: store.put_receipt(newer, 7, entry))
    assert run(lambda: store.due_receipts("clinic", NOW + timedelta(days=1), 9)) == [newer]
    found = run(lambda: store.find("one"))
    assert found is not None
    assert found.risk_metric == 7
    assert run(lambda: store.audit_entries(1)) == [entry]
    run(lambda: store.put_receipt(receipt(), None, None))
    found = run(lambda: store.find("one"))
    assert found is not None
    assert found.risk_metric == 7
    assert len(run(lambda: store.audit_entries(9))) == 2


@pytest.mark.parametrize("at_once", [True, False])
def test_revocation_drops_the_receipt(store: EngineStore, *, at_once: bool) -> None:
    """A receipt that comes back late is kept by nobody, and tells nothing."""
    run(lambda: store.enrol(use(), instance(), audit(), receipt()))
    if at_once:
        run(lambda: store.revoke_all(NOW, "b", [audit()]))
    else:
        run(lambda: store.revoke("one", NOW, "b", audit()))
    run(lambda: store.put_receipt(receipt(), 9, audit("instance.risk_metric")))
    assert run(lambda: store.due_receipts("clinic", NOW + timedelta(days=1), 9)) == []
    found = run(lambda: store.find("one"))
    assert found is not None
    assert found.risk_metric == 2
    assert run(lambda: store.audit_entries(9))[0].action == "instance.enrolled"


def test_refused_enrolment_leaves_no_part_behind(store: EngineStore) -> None:
    """Certificates and receipt are of the same transaction as the instance."""
    one = instance()
    run(lambda: store.enrol(use(), one, audit()))
    twin = replace(instance("two"), attested_key=one.attested_key, serials=("d4",))
    call = lambda: store.enrol(use(b"b"), twin, audit(), receipt("two"))  # noqa: E731
    assert reason_of(call) is Reason.INSTANCE_EXISTS
    assert run(lambda: store.instances_with_serials(["d4"], 9)) == []
    assert run(lambda: store.due_receipts("clinic", NOW + timedelta(days=1), 9)) == []


def test_expired_uses_are_forgotten(store: EngineStore) -> None:
    """Only uses whose challenge is refused for its age are dropped."""
    run(lambda: store.enrol(use(b"a", 300), instance("a"), audit()))
    run(lambda: store.enrol(use(b"b", 301), instance("b"), audit()))
    assert run(lambda: store.forget_expired(NOW + timedelta(seconds=301))) == 1
    assert reason_of(lambda: store.enrol(use(b"b"), instance("c"), audit())) is (
        Reason.CHALLENGE_USED
    )


def test_audit_entry_alone_is_kept(store: EngineStore) -> None:
    """What belongs to no instance is recorded too."""
    run(lambda: store.add_audit(audit("keys.rotate")))
    assert run(lambda: store.audit_entries(1)) == [audit("keys.rotate")]


def test_everything_survives_a_restart(store: EngineStore, reopened: Reopened) -> None:
    """A second store in the same place knows what the first acknowledged."""
    one = instance()
    run(lambda: store.enrol(use(), one, audit()))
    extent = run(store.extent)
    store.close()
    second = reopened()
    assert run(lambda: second.find("one")) == one
    assert run(second.extent) == extent
    assert reason_of(lambda: second.enrol(use(), instance("x"), audit())) is Reason.CHALLENGE_USED
    second.close()


def test_trail_is_read_in_its_order(store: EngineStore) -> None:
    """Page by page, each entry once and with the number that a later one exceeds."""
    for number in range(5):
        entry = audit(f"a{number}")
        run(lambda entry=entry: store.add_audit(entry))  # type: ignore[misc]
    whole = run(lambda: store.audit_from(1, 9))
    assert [each.action for each in whole] == [f"a{number}" for number in range(5)]
    numbers = [each.number for each in whole]
    assert numbers == sorted(set(numbers))
    assert run(store.newest_audit) == numbers[-1]
    behind = run(lambda: store.audit_from(numbers[1] + 1, 2))
    assert [each.number for each in behind] == numbers[2:4]
    before = run(lambda: store.audit_entries(9, before=numbers[2]))
    assert [each.number for each in before] == [numbers[1], numbers[0]]
    assert run(lambda: store.audit_from(numbers[-1] + 1, 9)) == []


def test_what_is_withheld_is_written_later(store: EngineStore) -> None:
    """A revocation that couldn't be written holds in the process, is told, and is written when that works."""
    run(lambda: store.enrol(use(), instance(), audit()))
    store.withhold("one", NOW, "stolen", audit("instance.revoked"))
    assert reason_of(lambda: store.renew(use(b"b"), "one", None, None, audit())) is (
        Reason.INSTANCE_REVOKED
    )
    assert [each.id for each in run(lambda: store.revocations(NOW, None, 9)).instances] == ["one"]
    assert (store.pending, run(store.flush), store.pending) == (1, 1, 0)
    found = run(lambda: store.find("one"))
    assert found is not None
    assert (found.revoked_at, found.revoked_because) == (NOW, "stolen")
    assert run(lambda: store.revoke_again([audit("instance.revoked")])) == 0


def test_much_that_is_pending_is_written_in_pieces(store: EngineStore) -> None:
    """All of it, each entry once and in its order."""
    count = 2 * FLUSHED_AT_ONCE + 3
    for number in range(count):
        store.enqueue(audit(f"a{number}"))
    assert (run(store.flush), store.pending) == (count, 0)
    actions = [each.action for each in run(lambda: store.audit_from(1, 2 * count))]
    assert actions == [f"a{number}" for number in range(count)]
    assert run(store.flush) == 0


def test_much_that_expired_is_forgotten_in_pieces(store: EngineStore) -> None:
    """All that did, and nothing else."""
    run(lambda: store.enrol(use(b"lives", 302), instance("a"), audit()))
    rows = [(number.to_bytes(4), 0) for number in range(EXPIRED_AT_ONCE + 7)]
    statement = "INSERT INTO used_challenges (nonce, expires_at) VALUES (?, ?)"
    run(lambda: store._database.write(lambda each: each.executemany(statement, rows)))
    at = NOW + timedelta(seconds=301)
    assert run(lambda: store.forget_expired(at)) == len(rows)
    assert run(lambda: store.forget_expired(at)) == 0
    call = lambda: store.enrol(use(b"lives"), instance("b"), audit())  # noqa: E731
    assert reason_of(call) is Reason.CHALLENGE_USED


def test_known_revocations_come_back(store: EngineStore) -> None:
    """Of those that a journal knows, whoever stands is revoked again."""
    for name in ("one", "two"):
        run(lambda name=name: store.enrol(use(name.encode()), instance(name), audit()))  # type: ignore[misc]
    known = [
        replace(audit("instance.revoked", subject=name), detail={"because": "stolen"})
        for name in ("two", "nobody")
    ]
    assert run(lambda: store.revoke_again(known)) == 1
    found = run(lambda: store.find("two"))
    assert found is not None
    assert found.revoked_because == "stolen"


def test_store_that_can_write_says_so(store: EngineStore) -> None:
    """And may be asked again and again."""
    run(store.check_writable)
    run(store.check_writable)


def test_closed_store_says_so(store: EngineStore) -> None:
    """Nothing is asked of a store that was closed; closing twice is fine."""
    store.close()
    store.close()
    assert reason_of(lambda: store.find("one")) is Reason.STORE_UNAVAILABLE
    assert reason_of(store.check_writable) is Reason.STORE_UNAVAILABLE
