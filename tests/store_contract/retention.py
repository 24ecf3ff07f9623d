"""Retention: what is over is dropped whole, what may still count stays, and what is deleted leaves nothing of its device."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.store_contract.entries import audit, instance, reason_of, run, use
from tests.store_contract.leases import lease
from tests.unit.enrolment.simulators import CLINIC, LEDGER, NOW

from watchword.adapters.store import EngineStore
from watchword.enrolment.retention import ERASED, Dropped, ExpiryTerms
from watchword.ports import AuditEntry, CountLimit, EnrolledCounts, Instance, StoredReceipt
from watchword.reasons import Reason

OLD = NOW - timedelta(days=100)
UNUSED = ExpiryTerms(NOW - timedelta(days=90), None)
BOTH = ExpiryTerms(NOW - timedelta(days=90), NOW - timedelta(days=90))


def enrol_one(store: EngineStore, name: str, at: datetime, **changes: Any) -> Instance:
    """Enrol an instance, with a receipt."""
    made = replace(instance(name), enrolled_at=at, renewed_at=at, **changes)
    receipt = StoredReceipt(name, made.app, b"receipt of " + name.encode(), at)
    run(lambda: store.enrol(use(name.encode()), made, audit(subject=name), receipt))
    return made


def count_dropped(dropped: Dropped) -> AuditEntry:
    """Count what was dropped."""
    detail = {"unused": dropped.unused, "revoked": dropped.revoked}
    return AuditEntry(NOW, "retention", "instances.expired", "retention", detail)


def swept(store: EngineStore, terms: ExpiryTerms, limit: int = 100) -> list[Dropped]:
    """Look through all of the store once; return what was dropped, by piece."""
    after: int | None = 0
    dropped = []
    while after is not None:
        found = run(lambda after=after: store.over(terms, after, limit))  # type: ignore[misc]
        after = found.after
        if found.names:
            names = found.names
            dropped.append(run(lambda names=names: store.drop(names, terms, count_dropped)))  # type: ignore[misc]
    return dropped


def test_what_is_unused_for_too_long_is_dropped_with_all_that_belongs_to_it(
    store: EngineStore,
) -> None:
    """Also its receipt and its serials; its key may enrol anew, and the trail counts without names."""
    gone = enrol_one(store, "old", OLD)
    kept = enrol_one(store, "new", NOW)
    assert swept(store, UNUSED) == [Dropped(unused=1)]
    assert run(lambda: store.find("old")) is None
    assert run(lambda: store.find("new")) == kept
    assert run(lambda: store.dossier("old")) is None
    assert [each.instance_id for each in run(lambda: store.due_receipts("clinic", NOW, 9))] == [
        "new"
    ]
    assert run(lambda: store.instances_with_serials(["c3"], 9)) == [kept]
    newest = run(lambda: store.audit_entries(1))[0]
    assert (newest.action, newest.subject) == ("instances.expired", "retention")
    assert newest.detail == {"unused": 1, "revoked": 0}
    assert reason_of(lambda: store.renew(use(b"r"), "old", 9, None, audit("instance.renewed"))) is (
        Reason.INSTANCE_UNKNOWN
    )
    again = replace(gone, id="again", enrolled_at=NOW, renewed_at=NOW)
    run(lambda: store.enrol(use(b"again"), again, audit(subject="again")))
    assert swept(store, UNUSED) == []


def test_what_renewed_meanwhile_stays(store: EngineStore) -> None:
    """Between the look and the drop an instance may come back."""
    enrol_one(store, "back", OLD)
    enrol_one(store, "gone", OLD)
    found = run(lambda: store.over(UNUSED, 0, 100))
    assert sorted(found.names) == ["back", "gone"]
    renewed = audit("instance.renewed", subject="back")
    run(lambda: store.renew(use(b"r"), "back", 4, None, renewed))
    assert run(lambda: store.drop(found.names, UNUSED, count_dropped)) == Dropped(unused=1)
    assert run(lambda: store.find("back")) is not None
    before = run(lambda: store.audit_entries(9))
    assert run(lambda: store.drop(["back", "nobody"], UNUSED, count_dropped)) == Dropped()
    assert run(lambda: store.audit_entries(9)) == before


def test_revoked_ones_have_a_time_of_their_own(store: EngineStore) -> None:
    """As unused ones they stay, whatever their age: another enrolment of their key is refused."""
    gone = enrol_one(store, "revoked", OLD)
    enrol_one(store, "lately", OLD)
    for name, at in (("revoked", OLD), ("lately", NOW)):
        entry_of = audit("instance.revoked", subject=name)
        run(lambda name=name, at=at, e=entry_of: store.revoke(name, at, "stolen", e))  # type: ignore[misc]
    assert swept(store, UNUSED) == []
    twin = replace(gone, id="twin", enrolled_at=NOW, renewed_at=NOW)
    assert reason_of(lambda: store.enrol(use(b"t"), twin, audit())) is Reason.INSTANCE_EXISTS
    assert swept(store, BOTH) == [Dropped(revoked=1)]
    assert run(lambda: store.find("revoked")) is None
    assert run(lambda: store.find("lately")) is not None
    news = run(lambda: store.revocations(OLD, None, 9))
    assert [each.id for each in news.instances] == ["lately"]
    assert run(lambda: store.revocations(OLD, news.cursor, 9)).instances == []


def test_who_holds_a_lease_stays(store: EngineStore) -> None:
    """What was handed to it counts until the lease has ended and is forgotten."""
    enrol_one(store, "one", OLD)
    held = lease(delivered_at=NOW, expires_at=NOW + timedelta(hours=1))
    run(lambda: store.deliver(use(b"d"), held, 9, lambda _: audit("secret.delivered")))
    assert swept(store, UNUSED) == []
    run(lambda: store.forget_leases(NOW + timedelta(hours=2)))
    assert swept(store, UNUSED) == [Dropped(unused=1)]


def test_all_are_found_in_pieces(store: EngineStore) -> None:
    """However few are asked for at a time, and whatever gaps earlier sweeps left."""
    for number in range(25):
        enrol_one(store, f"i{number}", OLD if number % 3 else NOW)
    assert [each.total for each in swept(store, UNUSED, limit=5)] == [5, 5, 5, 1]
    assert swept(store, UNUSED, limit=5) == []
    left = run(lambda: store.list_instances(99))
    assert {each.id for each in left} == {f"i{number}" for number in range(0, 25, 3)}


def test_velocity_counts_stay_exact(store: EngineStore) -> None:
    """Who enrolled within a day is counted, whatever was dropped."""
    for number in range(3):
        enrol_one(store, f"old{number}", OLD)
        enrol_one(store, f"new{number}", NOW)
    day = NOW - timedelta(hours=24)
    counts = EnrolledCounts(3, 3)
    assert run(lambda: store.count_enrolled("clinic", bytes(32), "1", day)) == counts
    assert swept(store, BOTH) == [Dropped(unused=3)]
    assert run(lambda: store.count_enrolled("clinic", bytes(32), "1", day)) == counts
    more = replace(instance("more"), enrolled_at=NOW, renewed_at=NOW)
    assert run(lambda: store.enrol(use(b"m"), more, audit(), limit=CountLimit(day, counts))) is None
    last = replace(instance("last"), enrolled_at=NOW, renewed_at=NOW)
    over = run(lambda: store.enrol(use(b"l"), last, audit(), limit=CountLimit(day, counts)))
    assert over == EnrolledCounts(4, 4)


def test_a_deleted_instance_leaves_its_name_alone(
    store: EngineStore, reopened: Callable[[], EngineStore]
) -> None:
    """Revoked, so that gates refuse its tokens; nothing of its device, its keys or its evidence; dropped in the end."""
    made = enrol_one(store, "one", NOW)
    held = lease(delivered_at=NOW, expires_at=NOW + timedelta(hours=1))
    run(lambda: store.deliver(use(b"d"), held, 9, lambda _: audit("secret.delivered")))
    at = NOW + timedelta(seconds=5)
    left = run(lambda: store.erase("one", at, audit("instance.deleted")))
    assert left is not None
    assert left == run(lambda: store.find("one"))
    kept = (left.id, left.app, left.audiences, left.level, left.revoked_at, left.revoked_because)
    assert kept == ("one", "clinic", (CLINIC, LEDGER), made.level, at, "deleted")
    assert (left.format, left.platform, left.device_key) == (ERASED, ERASED, None)
    assert (left.proof_jwk, left.seal_jwk, left.serials, left.attester_serial) == ({}, {}, (), None)
    assert run(lambda: store.dossier("one")) is None
    assert run(lambda: store.due_receipts("clinic", NOW, 9)) == []
    assert run(lambda: store.leases(NOW)) == []
    news = run(lambda: store.revocations(OLD, None, 9))
    assert [(each.id, each.audiences) for each in news.instances] == [("one", (CLINIC, LEDGER))]
    assert reason_of(lambda: store.renew(use(b"r"), "one", 9, None, audit("instance.renewed"))) is (
        Reason.INSTANCE_REVOKED
    )
    assert run(lambda: store.erase("one", at, audit("instance.deleted"))) is None
    assert reason_of(lambda: store.erase("nobody", at, audit())) is Reason.INSTANCE_UNKNOWN
    again = replace(made, id="again")
    run(lambda: store.enrol(use(b"again"), again, audit(subject="again")))
    assert run(lambda: store.drop_erased(at, 9)) == 0
    assert run(lambda: store.drop_erased(at + timedelta(seconds=1), 9)) == 1
    assert run(lambda: store.find("one")) is None
    other = reopened()
    assert run(lambda: other.find("one")) is None
    other.close()


def test_who_was_revoked_before_is_deleted_all_the_same(store: EngineStore) -> None:
    """It stays revoked since then, and isn't told a second time."""
    enrol_one(store, "one", NOW)
    run(lambda: store.revoke("one", NOW, "stolen", audit("instance.revoked")))
    news = run(lambda: store.revocations(OLD, None, 9))
    left = run(lambda: store.erase("one", NOW + timedelta(days=1), audit("instance.deleted")))
    assert left is not None
    assert (left.revoked_at, left.revoked_because) == (NOW, "deleted")
    later = run(lambda: store.revocations(OLD, news.cursor, 9))
    assert {each.id for each in later.instances} <= {"one"}
    assert run(lambda: store.drop_erased(NOW + timedelta(seconds=1), 9)) == 1


def test_what_an_older_copy_brought_back_is_deleted_again(store: EngineStore) -> None:
    """By the journal beside the store; whom it doesn't have is passed over."""
    enrol_one(store, "one", NOW)
    enrol_one(store, "two", NOW)
    entries = [audit("instance.deleted", subject=each) for each in ("one", "nobody")]
    assert run(lambda: store.erase_again(entries)) == 1
    assert run(lambda: store.erase_again(entries)) == 0
    found = run(lambda: store.find("one"))
    assert found is not None
    assert found.format == ERASED
    assert run(lambda: store.dossier("two")) is not None


def test_a_dossier_has_all_that_is_kept(store: EngineStore) -> None:
    """The row, the receipt, the leases; and an instance is found by its device and by its name among all."""
    made = enrol_one(store, "one", NOW)
    other = enrol_one(store, "other", NOW + timedelta(seconds=1), device_key=b"\1" * 32)
    held = lease(delivered_at=NOW, expires_at=NOW + timedelta(hours=1))
    run(lambda: store.deliver(use(b"d"), held, 9, lambda _: audit("secret.delivered")))
    found = run(lambda: store.dossier("one"))
    assert found is not None
    assert found.instance.attested_key == made.attested_key
    assert found.receipt is not None
    assert found.receipt.receipt == b"receipt of one"
    assert [(each.secret, withdrawn) for each, withdrawn in found.leases] == [(held.secret, None)]
    assert found.code is None
    assert run(lambda: store.instances_of_device(b"\1" * 32, 9)) == [other]
    assert run(lambda: store.instances_of_device(b"\2" * 32, 9)) == []
    names, after = run(lambda: store.names(0, 1))
    assert (names, after is None) == ([("one", (CLINIC, LEDGER))], False)
    names, after = run(lambda: store.names(after or 0, 2))
    assert (names, after) == ([("other", (CLINIC, LEDGER))], None)
    json.dumps([each for each, _ in names])


@pytest.mark.parametrize("limit", [1, 2])
def test_deleted_ones_are_dropped_in_pieces(store: EngineStore, limit: int) -> None:
    """So many at a time."""
    for name in ("one", "two", "three"):
        enrol_one(store, name, NOW)
        run(lambda name=name: store.erase(name, NOW, audit("instance.deleted", subject=name)))  # type: ignore[misc]
    counts = []
    while (some := run(lambda: store.drop_erased(NOW + timedelta(days=2), limit))) == limit:
        counts.append(some)
    assert sum(counts) + some == 3
