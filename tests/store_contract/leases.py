"""Leases: one for each instance and secret, with its audit entry or not at all."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.store_contract.entries import audit, instance, reason_of, run, use
from tests.unit.enrolment.simulators import NOW

from watchword.adapters.store import EngineStore
from watchword.enrolment.delivery import Holder, Lease, LeaseCount
from watchword.ports import AuditEntry
from watchword.reasons import Reason, RefusedError

Fresh = Callable[[], EngineStore]


def lease(name: str = "lease", **changes: Any) -> Lease:
    """Return a lease with every field set."""
    made = Lease(
        id=name,
        instance_id="one",
        secret="push",
        version=3,
        app="clinic",
        app_version="42",
        issued_at=NOW + timedelta(microseconds=3),
        delivered_at=NOW + timedelta(microseconds=3),
        expires_at=NOW + timedelta(hours=1),
    )
    return replace(made, **changes)


def entry(kept: Lease) -> AuditEntry:
    """Return an audit entry that names the lease."""
    return AuditEntry(kept.delivered_at, "instance", "secret.delivered", "one", {"lease": kept.id})


def delivered(store: EngineStore, nonce: str, made: Lease, counter: int | None = None) -> Lease:
    """Keep a lease."""
    return run(lambda: store.deliver(use(nonce.encode()), made, counter, entry))


def counts(store: EngineStore, seconds: float = 1, secret: str | None = None) -> list[LeaseCount]:
    """Return who holds secrets so many seconds from now."""
    return list(run(lambda: store.leases(NOW + timedelta(seconds=seconds), secret)))


@pytest.fixture
def enrolled(store: EngineStore) -> EngineStore:
    """Return a store with one instance, whose counter is 3."""
    run(lambda: store.enrol(use(), instance(), audit()))
    return store


def test_lease_is_kept_with_counter_and_audit(enrolled: EngineStore) -> None:
    """All that a delivery changes is there after it, and nothing else of the instance."""
    before = run(lambda: enrolled.find("one"))
    assert before is not None
    made = lease(app_version="43")
    assert delivered(enrolled, "a", made, 4) == made
    found = run(lambda: enrolled.find("one"))
    assert found == replace(before, counter=4, app_version="43")
    assert run(lambda: enrolled.audit_entries(1)) == [entry(made)]
    assert counts(enrolled) == [
        LeaseCount("push", 3, "clinic", "43", 1, 0, made.expires_at, made.delivered_at)
    ]


def test_living_lease_is_continued(enrolled: EngineStore) -> None:
    """It keeps id and first delivery; the audit trail names it, not what was proposed."""
    first = delivered(enrolled, "a", lease())
    later = NOW + timedelta(minutes=30)
    proposed = lease("other", version=4, delivered_at=later, issued_at=later)
    kept = delivered(enrolled, "b", proposed)
    assert kept == replace(proposed, id="lease", issued_at=first.issued_at, deliveries=2)
    assert run(lambda: enrolled.audit_entries(1)) == [entry(kept)]
    assert [each.version for each in counts(enrolled)] == [4]


def test_other_secrets_and_instances_have_leases_of_their_own(enrolled: EngineStore) -> None:
    """They are counted apart, by secret, version, app and app version."""
    run(lambda: enrolled.enrol(use(b"two"), instance("two"), audit()))
    run(lambda: enrolled.enrol(use(b"three"), instance("three"), audit()))
    delivered(enrolled, "a", lease("a"))
    late = lease("b", instance_id="two", expires_at=NOW + timedelta(hours=2))
    delivered(enrolled, "b", late)
    delivered(enrolled, "c", lease("c", instance_id="three", app_version=None))
    delivered(enrolled, "d", lease("d", secret="maps"))
    found = {(each.secret, each.app_version): each for each in counts(enrolled)}
    assert {key: each.leases for key, each in found.items()} == {
        ("maps", "42"): 1,
        ("push", None): 1,
        ("push", "42"): 2,
    }
    assert found["push", "42"].latest_expiry == late.expires_at
    assert [each.secret for each in counts(enrolled, secret="maps")] == ["maps"]
    assert counts(enrolled, secret="none") == []
    assert [each.leases for each in counts(enrolled, 3600)] == [1]


def test_refused_delivery_leaves_nothing(enrolled: EngineStore) -> None:
    """Used challenge, counter, revoked and unknown instance: no lease, no entry, no nonce used."""
    trail = run(lambda: enrolled.audit_entries(9))
    call = enrolled.deliver
    assert reason_of(lambda: call(use(), lease(), None, entry)) is Reason.CHALLENGE_USED
    assert reason_of(lambda: call(use(b"a"), lease(), 3, entry)) is Reason.INSTANCE_COUNTER
    unknown = lease(instance_id="two")
    assert reason_of(lambda: call(use(b"a"), unknown, None, entry)) is Reason.INSTANCE_UNKNOWN
    assert counts(enrolled) == []
    assert run(lambda: enrolled.audit_entries(9)) == trail
    delivered(enrolled, "a", lease())
    run(lambda: enrolled.revoke("one", NOW, "lost", audit("instance.revoked")))
    assert reason_of(lambda: call(use(b"b"), lease(), None, entry)) is Reason.INSTANCE_REVOKED


def test_revocation_marks_the_leases_of_its_instance_alone(enrolled: EngineStore) -> None:
    """What is on a lost phone stays there until the lease would have ended: that is told."""
    run(lambda: enrolled.enrol(use(b"two"), instance("two"), audit()))
    delivered(enrolled, "a", lease("a"))
    delivered(enrolled, "b", lease("b", instance_id="two"))
    run(lambda: enrolled.revoke_all(NOW, "vendor", [audit("instance.revoked")]))
    assert [(each.leases, each.withdrawn) for each in counts(enrolled)] == [(1, 1)]


def test_what_was_read_moments_ago_counts_while_it_is_so(enrolled: EngineStore) -> None:
    """A delivery by it is the same as one without; where instance or lease changed since, they are read again."""
    one = run(lambda: enrolled.find("one"))
    assert one is not None
    unheld = run(lambda: enrolled.holder("one", "push", NOW))
    assert unheld == Holder(one, None)
    assert run(lambda: enrolled.holder("other", "push", NOW)) is None

    def deliver(nonce: bytes, made: Lease, known: Holder | None) -> Lease:
        return run(lambda: enrolled.deliver(use(nonce), made, None, entry, known=known))

    assert deliver(b"a", lease("a"), unheld) == lease("a")
    held = run(lambda: enrolled.holder("one", "push", NOW))
    assert held == Holder(one, lease("a"))
    assert deliver(b"b", lease("b"), held) == replace(lease("a"), deliveries=2)
    # Of before: without the lease, and with its first delivery.
    assert deliver(b"c", lease("c"), unheld) == replace(lease("a"), deliveries=3)
    assert deliver(b"d", lease("d"), held) == replace(lease("a"), deliveries=4)
    later = NOW + timedelta(hours=2)
    ended = lease("e", delivered_at=later, issued_at=later, expires_at=later + timedelta(hours=1))
    known = run(lambda: enrolled.holder("one", "push", later))
    assert known == Holder(one, None)
    assert deliver(b"e", ended, known) == ended
    used = lambda: enrolled.deliver(use(b"e"), lease(), None, entry, known=known)  # noqa: E731
    assert reason_of(used) is Reason.CHALLENGE_USED
    run(lambda: enrolled.revoke("one", NOW, "stolen", audit()))
    late = lambda: enrolled.deliver(use(b"f"), lease(), None, entry, known=known)  # noqa: E731
    assert reason_of(late) is Reason.INSTANCE_REVOKED


def test_ended_leases_are_forgotten(enrolled: EngineStore) -> None:
    """Those that live stay."""
    delivered(enrolled, "a", lease("a"))
    delivered(enrolled, "b", lease("b", secret="maps", expires_at=NOW + timedelta(hours=2)))
    assert run(lambda: enrolled.forget_leases(NOW + timedelta(hours=1))) == 0
    assert run(lambda: enrolled.forget_leases(NOW + timedelta(hours=1, seconds=1))) == 1
    assert [each.secret for each in counts(enrolled)] == ["maps"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    steps=st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(1, 50), st.integers(0, 40), st.booleans()),
        max_size=25,
    )
)
def test_leases_are_as_a_simple_model_says(
    fresh: Fresh, steps: list[tuple[str, int, int, bool]]
) -> None:
    """Over any deliveries and forgetting: at most one lease each, ids change only after an end."""
    opened = fresh()
    run(lambda: opened.enrol(use(), instance(), audit()))
    model: dict[str, Lease] = {}
    now = NOW
    for number, (secret, life, pause, forgets) in enumerate(steps):
        now += timedelta(seconds=pause)
        made = lease(
            str(number),
            secret=secret,
            issued_at=now,
            delivered_at=now,
            expires_at=now + timedelta(seconds=life),
        )
        known = model.get(secret)
        if known is not None and known.expires_at > now:
            expected = replace(
                made, id=known.id, issued_at=known.issued_at, deliveries=known.deliveries + 1
            )
        else:
            expected = made
        model[secret] = expected
        assert delivered(opened, f"n{number}", made) == expected
        if forgets:
            at = now
            run(lambda at=at: opened.forget_leases(at))  # type: ignore[misc]
        living = sorted(name for name, each in model.items() if each.expires_at > now)
        told = run(lambda at=now: opened.leases(at))  # type: ignore[misc]
        assert [(each.secret, each.leases) for each in told] == [(name, 1) for name in living]
    opened.close()


def test_entry_that_cannot_be_made_takes_the_lease_back(enrolled: EngineStore) -> None:
    """No lease without its audit entry."""

    def broken(_kept: Lease) -> AuditEntry:
        raise RefusedError.because(Reason.SERVICE_INTERNAL, "no entry")

    call = lambda: enrolled.deliver(use(b"a"), lease(), 4, broken)  # noqa: E731
    assert reason_of(call) is Reason.SERVICE_INTERNAL
    assert counts(enrolled) == []
    delivered(enrolled, "a", lease(), 4)


def test_of_several_stores_all_continue_one_lease(enrolled: EngineStore, reopened: Fresh) -> None:
    """Deliveries that race from several nodes make one lease, and count each."""
    stores = [enrolled, *(reopened() for _ in range(3))]

    def deliver(index: int) -> Lease:
        made = lease(f"lease-{index}")
        return asyncio.run(stores[index % 4].deliver(use(str(index).encode()), made, None, entry))

    with ThreadPoolExecutor(4) as pool:
        kept = list(pool.map(deliver, range(40)))
    assert len({each.id for each in kept}) == 1
    assert sorted(each.deliveries for each in kept) == list(range(1, 41))
    for each in stores[1:]:
        each.close()
