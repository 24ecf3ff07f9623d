"""Operator codes: used once, with the enrolment or not at all."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.store_contract.entries import audit, instance, reason_of, run, use
from tests.unit.enrolment.simulators import NOW

from watchword.adapters.store import EngineStore
from watchword.enrolment.interface import OperatorCode
from watchword.ports import Instance
from watchword.reasons import Reason, RefusedError
from watchword.vocabulary import Level

Reopened = Callable[[], EngineStore]


def code(name: str = "code", **changes: Any) -> OperatorCode:
    """Return a code with every field of an unused one set."""
    made = OperatorCode(
        id=name,
        digest=bytes(range(32)),
        app="clinic",
        level=Level.VERIFIED,
        instance_for=timedelta(days=30, microseconds=1),
        made_at=NOW + timedelta(microseconds=3),
        made_by="operator (claimed: alice)",
        because="a drill",
        expires_at=NOW + timedelta(minutes=15, microseconds=1),
    )
    return replace(made, **changes)


def invited(name: str = "one", seconds: float = 0) -> Instance:
    """Return an instance that enrols so many seconds from now."""
    return replace(instance(name), enrolled_at=NOW + timedelta(seconds=seconds))


def test_code_comes_back_as_it_was(store: EngineStore) -> None:
    """Every field survives the file, before and after its use."""
    run(lambda: store.add_code(code(), audit("test_code.made")))
    assert run(lambda: store.find_code("code")) == code()
    assert run(lambda: store.find_code("other")) is None
    one = invited()
    run(lambda: store.enrol_by_code("code", use(), one, audit()))
    used = replace(code(), used_at=NOW, instance_id="one")
    assert run(lambda: store.find_code("code")) == used
    assert run(lambda: store.find("one")) == one
    actions = [entry.action for entry in run(lambda: store.audit_entries(9))]
    assert actions == ["instance.enrolled", "test_code.made"]


def test_code_enrols_once(store: EngineStore) -> None:
    """A second use is refused and leaves neither instance, challenge nor audit entry."""
    run(lambda: store.add_code(code(), audit()))
    run(lambda: store.enrol_by_code("code", use(), invited(), audit()))
    before = run(lambda: store.audit_entries(9))
    second = lambda: store.enrol_by_code("code", use(b"b"), invited("two"), audit())  # noqa: E731
    assert reason_of(second) is Reason.EVIDENCE_OPERATOR_CODE
    assert run(lambda: store.find("two")) is None
    assert run(lambda: store.audit_entries(9)) == before
    run(lambda: store.enrol(use(b"b"), invited("two"), audit()))


def test_refused_enrolment_keeps_the_code(store: EngineStore) -> None:
    """A challenge that was used, or a key that is enrolled, gives the code back."""
    run(lambda: store.add_code(code(), audit()))
    one = invited()
    run(lambda: store.enrol(use(b"used"), one, audit()))
    twin = replace(invited("twin"), attested_key=one.attested_key)
    for nonce, wanted, reason in (
        (b"used", invited("two"), Reason.CHALLENGE_USED),
        (b"new", twin, Reason.INSTANCE_EXISTS),
    ):
        call = lambda n=nonce, w=wanted: store.enrol_by_code("code", use(n), w, audit())  # noqa: E731
        assert reason_of(call) is reason
        assert run(lambda: store.find_code("code")) == code()
    run(lambda: store.enrol_by_code("code", use(b"new"), invited("two"), audit()))


@pytest.mark.parametrize(
    ("seconds", "is_good"), [(0, True), (900, True), (900.000001, False), (10**6, False)]
)
def test_end_of_a_code_is_looked_at_again(
    store: EngineStore, seconds: float, *, is_good: bool
) -> None:
    """At the instant of its use it must not have expired."""
    run(lambda: store.add_code(code(), audit()))
    call = lambda: store.enrol_by_code("code", use(), invited("one", seconds), audit())  # noqa: E731
    if is_good:
        run(call)
    else:
        assert reason_of(call) is Reason.EVIDENCE_OPERATOR_CODE


def test_cancelled_code_enrols_nobody(store: EngineStore) -> None:
    """It is cancelled once, and a used one isn't; what became of it is returned."""
    entry = audit("test_code.cancelled", 5)
    run(lambda: store.add_code(code(), audit()))
    run(lambda: store.add_code(code("used"), audit()))
    run(lambda: store.enrol_by_code("used", use(), invited(), audit()))
    cancelled = replace(code(), revoked_at=entry.at)
    assert run(lambda: store.cancel_code("code", entry)) == cancelled
    assert run(lambda: store.cancel_code("code", audit("x", 9))) == cancelled
    kept = run(lambda: store.cancel_code("used", audit("x", 9)))
    assert kept is not None
    assert kept.revoked_at is None
    assert run(lambda: store.cancel_code("nobody", entry)) is None
    assert [e.action for e in run(lambda: store.audit_entries(9))].count("x") == 0
    call = lambda: store.enrol_by_code("code", use(b"b"), invited("two"), audit())  # noqa: E731
    assert reason_of(call) is Reason.EVIDENCE_OPERATOR_CODE


def test_unknown_code_enrols_nobody(store: EngineStore) -> None:
    """What isn't there can't be used."""
    call = lambda: store.enrol_by_code("nobody", use(), invited(), audit())  # noqa: E731
    assert reason_of(call) is Reason.EVIDENCE_OPERATOR_CODE


def test_codes_are_listed_newest_first_and_bounded(store: EngineStore) -> None:
    """As many as are wanted, whatever became of them."""
    for number in range(4):
        made = code(str(number), made_at=NOW + timedelta(seconds=number))
        run(lambda made=made: store.add_code(made, audit()))  # type: ignore[misc]
    assert [each.id for each in run(lambda: store.list_codes(3))] == ["3", "2", "1"]


def test_of_several_stores_one_wins(store: EngineStore, reopened: Reopened) -> None:
    """Stores of several nodes that race for a code with challenges of their own: one enrols."""
    first = store
    for number in range(20):
        run(lambda number=number: first.add_code(code(str(number)), audit()))  # type: ignore[misc]
    stores = [first, *(reopened() for _ in range(3))]

    def outcome(number: int, index: int) -> str:
        one = invited(f"{number}-{index}")
        nonce = use(f"{number}-{index}".encode())
        try:
            asyncio.run(stores[index].enrol_by_code(str(number), nonce, one, audit()))
        except RefusedError as error:
            return error.reason.code
        return "enrolled"

    with ThreadPoolExecutor(4) as pool:
        for number in range(20):
            outcomes = sorted(pool.map(lambda index, n=number: outcome(n, index), range(4)))
            assert outcomes == ["enrolled", *["evidence.operator_code"] * 3]
    assert len(run(lambda: first.list_instances(99))) == 20
    for each in stores[1:]:
        each.close()
