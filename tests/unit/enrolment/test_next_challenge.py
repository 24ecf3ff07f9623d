"""The challenge that comes with tokens: for the next renewal of one instance, once, and until it renews otherwise."""

import hmac
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.enrolment.simulators import (
    CLINIC,
    ISSUER,
    LEDGER,
    NOW,
    POLICY,
    SeededEntropy,
    SimulatedPhone,
    public_spki,
)
from tests.unit.enrolment.test_service import Bench, bench_with, run

from watchword.adapters.sqlite import SqliteStore
from watchword.enrolment.interface import Enrolled
from watchword.enrolment.statement import (
    MAX_CHALLENGE_BYTES,
    Challenges,
    OneEpoch,
    check_challenge,
    make_challenge,
    make_next_challenge,
)
from watchword.ports import ChallengeUse
from watchword.reasons import Reason, RefusedError
from watchword.vocabulary import Purpose

KEY = bytes(range(32))
INSTANCE = "A" * 22
LIFE = 3600


def make(**changes: Any) -> bytes:
    """Return a next challenge of the usual instance."""
    arguments: dict[str, Any] = {
        "app": "clinic",
        "instance": INSTANCE,
        "life": LIFE,
        "issuer": ISSUER,
        "key": KEY,
        "now": NOW,
        "entropy": SeededEntropy(),
    } | changes
    return make_next_challenge(**arguments)


def check(made: bytes, **changes: Any) -> ChallengeUse:
    """Check a challenge at the usual instance's renewal."""
    arguments: dict[str, Any] = {
        "app": "clinic",
        "purpose": Purpose.RENEW,
        "issuer": ISSUER,
        "key": KEY,
        "now": NOW,
        "instance": INSTANCE,
    } | changes
    return check_challenge(made, **arguments)


def reason_of(made: bytes, **changes: Any) -> Reason:
    """Return why a challenge is refused."""
    with pytest.raises(RefusedError) as caught:
        check(made, **changes)
    return caught.value.reason


instants = st.integers(0, 2 * 10**15).map(lambda past: NOW + timedelta(microseconds=past))
texts = st.text(min_size=1, max_size=40)


@given(
    app=texts,
    instance=texts,
    issuer=texts,
    life=st.integers(1, 3600),
    now=instants,
    later=st.floats(0, 4000),
)
def test_it_is_read_as_it_was_made(
    app: str, instance: str, issuer: str, life: int, now: datetime, later: float
) -> None:
    """At its instance, whenever that is: its use, its end and the microsecond of its making."""
    context: dict[str, Any] = {"app": app, "instance": instance, "issuer": issuer}
    made = make(**context, life=life, now=now)
    assert len(made) <= MAX_CHALLENGE_BYTES
    when = now + timedelta(seconds=later)
    if when.timestamp() >= int(now.timestamp()) + life:
        assert reason_of(made, **context, now=when) is Reason.CHALLENGE_EXPIRED
        return
    use = check(made, **context, now=when)
    assert use.nonce == made[9:25]
    assert use.expires_at.timestamp() == int(now.timestamp()) + life
    assert use.made_at == now


@given(position=st.integers(0, 56), flip=st.integers(1, 255))
def test_every_bit_counts(position: int, flip: int) -> None:
    """No byte can be changed, the version, the end and the instant included."""
    made = bytearray(make())
    made[position] ^= flip
    # A first byte of 1 is a challenge that was asked for, and this isn't one.
    form = position or made[0] == 1
    expected = Reason.CHALLENGE_UNKNOWN if form else Reason.CHALLENGE_MALFORMED
    assert reason_of(bytes(made)) is expected


@given(
    st.one_of(st.binary(max_size=80), st.binary(min_size=57, max_size=57)),
    st.sampled_from([b"\1", b"\2"]),
)
def test_garbage_is_refused_with_a_reason(garbage: bytes, version: bytes) -> None:
    """Any bytes are refused in our own words, at whatever call."""
    for made in (garbage, version + garbage[1:]):
        for instance in (None, "", INSTANCE):
            assert reason_of(made, instance=instance) in {
                Reason.CHALLENGE_MALFORMED,
                Reason.CHALLENGE_UNKNOWN,
            }


@pytest.mark.parametrize(
    "changes",
    [
        {"app": "other"},
        {"instance": "B" * 22},
        {"instance": None},
        {"instance": ""},
        {"issuer": "https://other.example"},
        {"key": bytes(32)},
        {"purpose": Purpose.ENROL},
        {"purpose": Purpose.SECRET},
    ],
)
def test_it_is_unknown_elsewhere(changes: dict[str, Any]) -> None:
    """At another instance, app, issuer, purpose or key, and where nobody says which instance renews."""
    assert reason_of(make(), **changes) is Reason.CHALLENGE_UNKNOWN


def test_its_bytes_are_those_of_the_protocol() -> None:
    """A version, an end, an instant and random bytes; the code covers a label, these and the context."""
    entropy = SeededEntropy()
    made = make(entropy=entropy)
    context = b"".join(
        len(part).to_bytes(4, "big") + part
        for part in (ISSUER.encode(), b"clinic", b"renew", INSTANCE.encode())
    )
    microseconds = int(NOW.timestamp()) * 1_000_000
    assert made[:9] == b"\2" + (int(NOW.timestamp()) + LIFE).to_bytes(8, "big")
    assert made[9:17] == microseconds.to_bytes(8, "big")
    assert made[17:25] == SeededEntropy().token_bytes(8)
    assert made[25:] == hmac.digest(
        KEY, b"watchword/challenge/v2\0" + made[:25] + context, "sha256"
    )


def test_one_kind_is_never_read_as_the_other() -> None:
    """Neither by its first byte, nor by a context whose parts are cut elsewhere."""
    asked = make_challenge(
        app="clinic",
        purpose=Purpose.RENEW,
        issuer=ISSUER,
        key=KEY,
        now=NOW,
        entropy=SeededEntropy(),
    )
    assert check(asked).made_at is None
    assert reason_of(b"\2" + asked[1:]) is Reason.CHALLENGE_UNKNOWN
    assert reason_of(b"\1" + make()[1:]) is Reason.CHALLENGE_UNKNOWN
    assert reason_of(make(app="clinicA", instance="A" * 21)) is Reason.CHALLENGE_UNKNOWN


def test_another_epoch_knows_none_of_the_last_one() -> None:
    """A store that was put back may have forgotten their use."""
    epochs = [Challenges(ISSUER, KEY, OneEpoch(number)) for number in (0, 1)]
    for own, other in (epochs, epochs[::-1]):
        made = own.make_next("clinic", INSTANCE, LIFE, NOW, SeededEntropy())
        assert own.check(made, "clinic", Purpose.RENEW, NOW, INSTANCE).made_at == NOW
        with pytest.raises(RefusedError) as caught:
            other.check(made, "clinic", Purpose.RENEW, NOW, INSTANCE)
        assert caught.value.reason is Reason.CHALLENGE_UNKNOWN


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Return a bench on a fresh store, with tokens of half an hour."""
    store = SqliteStore(tmp_path / "watchword.db")
    yield bench_with(store, replace(POLICY, token_lifetime=1800))
    store.close()


def enrolled(bench: Bench, phone: SimulatedPhone) -> Enrolled:
    """Enrol a phone."""
    request = phone.enrolment(bench.challenge(phone))
    return run(lambda: bench.enrolment.enrol(request, bench.clock.now()))


def renewed(bench: Bench, phone: SimulatedPhone, last: Enrolled, **changes: Any) -> Enrolled:
    """Renew with the challenge of the last answer."""
    request = phone.renewal(last.instance.id, last.next.challenge, **changes)
    return run(lambda: bench.enrolment.renew(request, bench.clock.now()))


def refused(bench: Bench, phone: SimulatedPhone, instance: str, challenge: bytes) -> Reason:
    """Return why a renewal is refused; it leaves nothing behind."""
    request = phone.renewal(instance, challenge)
    return bench.refused(lambda: bench.enrolment.renew(request, bench.clock.now()))


def test_each_answer_brings_the_next(bench: Bench) -> None:
    """A phone that renews in time never asks for a challenge again; each lives as long as the tokens beside it."""
    phone = SimulatedPhone(audiences=(CLINIC, LEDGER))
    answer = enrolled(bench, phone)
    for _ in range(3):
        assert answer.next.lifetime == max(token.lifetime for token in answer.tokens) == 1800
        bench.clock.advance(1799)
        answer = renewed(bench, phone, answer)
    bench.clock.advance(1800)
    assert refused(bench, phone, answer.instance.id, answer.next.challenge) is (
        Reason.CHALLENGE_EXPIRED
    )


def test_it_renews_once(bench: Bench) -> None:
    """A recorded renewal can't be sent again, with a format that has no counter either."""
    phone = SimulatedPhone("clinic-android")
    answer = enrolled(bench, phone)
    request = phone.renewal(answer.instance.id, answer.next.challenge)
    run(lambda: bench.enrolment.renew(request, NOW))
    assert bench.refused(lambda: bench.enrolment.renew(request, NOW)) is Reason.CHALLENGE_USED


def test_another_instance_can_not_use_it(bench: Bench) -> None:
    """Whoever has it, and whichever id stands in the body."""
    ada, bob = SimulatedPhone(), SimulatedPhone()
    of_ada, of_bob = enrolled(bench, ada), enrolled(bench, bob)
    challenge = of_ada.next.challenge
    assert refused(bench, bob, of_bob.instance.id, challenge) is Reason.CHALLENGE_UNKNOWN
    # Under the other's id the challenge holds, and the key doesn't.
    thief = replace(ada, attested_key=public_spki())
    assert refused(bench, thief, of_ada.instance.id, challenge) is Reason.APP_ATTEST_SIGNATURE
    assert renewed(bench, ada, of_ada).instance.id == of_ada.instance.id


def test_nobody_enrols_with_it(bench: Bench) -> None:
    """An instance isn't made out of another one's."""
    answer = enrolled(bench, SimulatedPhone())
    request = SimulatedPhone().enrolment(answer.next.challenge)
    reason = bench.refused(lambda: bench.enrolment.enrol(request, NOW))
    assert reason is Reason.CHALLENGE_UNKNOWN
    assert bench.verifier.calls == ["appraise"]


def test_none_is_stockpiled(bench: Bench) -> None:
    """Whoever took a challenge once can't use it after the instance has renewed: a copy of a phone lags behind."""
    phone = SimulatedPhone("clinic-android")
    first = enrolled(bench, phone)
    bench.clock.advance(0.000001)
    second = renewed(bench, phone, first)
    bench.clock.advance(1)
    fresh = phone.renewal(second.instance.id, bench.challenge(phone, Purpose.RENEW))
    third = run(lambda: bench.enrolment.renew(fresh, bench.clock.now()))
    reason = refused(bench, phone, second.instance.id, second.next.challenge)
    assert reason is Reason.CHALLENGE_SUPERSEDED
    # What was refused isn't used, and the newest goes on.
    assert renewed(bench, phone, third).instance.id == first.instance.id


def test_renewals_of_one_second_supersede_too(bench: Bench) -> None:
    """The end is a whole second; what counts is the instant."""
    phone = SimulatedPhone("clinic-android")
    first = enrolled(bench, phone)
    asked = [bench.challenge(phone, Purpose.RENEW) for _ in range(2)]
    for challenge in asked:
        bench.clock.advance(0.1)
        request = phone.renewal(first.instance.id, challenge)
        run(lambda request=request: bench.enrolment.renew(request, bench.clock.now()))  # type: ignore[misc]
    reason = refused(bench, phone, first.instance.id, first.next.challenge)
    assert reason is Reason.CHALLENGE_SUPERSEDED


def test_a_shorter_life_in_the_file_supersedes_nothing(tmp_path: Path) -> None:
    """Tokens of another length after a restart: the newest challenge still renews."""
    store = SqliteStore(tmp_path / "watchword.db")
    phone = SimulatedPhone()
    answer = enrolled(bench_with(store, replace(POLICY, token_lifetime=3600)), phone)
    for past, lifetime in ((60, 30), (80, 3600), (100, 60)):
        bench = bench_with(store, replace(POLICY, token_lifetime=lifetime))
        bench.clock.advance(past)
        answer = renewed(bench, phone, answer)
        assert answer.next.lifetime == lifetime
    store.close()


def test_a_clock_that_was_set_back_locks_nobody_out(bench: Bench) -> None:
    """The newest renewal is the one that came last, whatever the clock said at it."""
    phone = SimulatedPhone()
    bench.clock.advance(7200)
    ahead = enrolled(bench, phone)
    bench.clock.advance(-7200)
    fresh = phone.renewal(ahead.instance.id, bench.challenge(phone, Purpose.RENEW))
    answer = run(lambda: bench.enrolment.renew(fresh, bench.clock.now()))
    bench.clock.advance(10)
    # One that was made before is of a later instant, and old all the same.
    reason = refused(bench, phone, ahead.instance.id, ahead.next.challenge)
    assert reason is Reason.CHALLENGE_SUPERSEDED
    assert renewed(bench, phone, answer).instance.id == answer.instance.id


def test_what_is_not_ours_costs_no_look_at_the_store(bench: Bench) -> None:
    """A flood of made-up challenges is refused by one HMAC each."""
    phone = SimulatedPhone()
    instance = enrolled(bench, phone).instance
    bench.verifier.calls.clear()
    made_up = b"\2" + bytes(56)
    for name in (instance.id, "nobody"):
        assert refused(bench, phone, name, made_up) is Reason.CHALLENGE_UNKNOWN
    assert bench.verifier.calls == []
