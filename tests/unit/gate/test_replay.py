"""Show that no proof passes twice whatever the clock does, that nobody is locked out for long, and the bounds."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchword.adapters.replay.memory import MAX_SPANS, ForgottenSpans, MemoryReplayStore
from watchword.gate.interface import ReplayClaim
from watchword.gate.replay import BUCKET_SECONDS, window
from watchword.reasons import Reason, UnavailableError

NOW = 1_790_000_000.0
LEEWAY = 30
LIFE = 60
LEAP = 400 * 24 * 3600


def claim(number: int, until: float = NOW + LIFE + LEEWAY) -> ReplayClaim:
    """Return the claim of a proof that an honest client made at :data:`NOW`, unless told otherwise."""
    return ReplayClaim(number.to_bytes(16, "big"), until)


def test_the_first_claim_wins_and_no_other() -> None:
    """Right away, later, and under another ``until`` (one nonce under two signatures)."""
    used = MemoryReplayStore()
    assert used.claim_now(claim(1), NOW)
    assert not used.claim_now(claim(1), NOW)
    assert not used.claim_now(claim(1), NOW + LIFE + LEEWAY - 1)
    assert not used.claim_now(claim(1, NOW + 119), NOW + 1)
    assert used.claim_now(claim(2), NOW)
    assert len(used) == 2


@pytest.mark.parametrize("until", [NOW - 1, NOW, NOW + window(LEEWAY) + 2 * BUCKET_SECONDS + 1])
def test_what_no_acceptable_proof_can_say_is_refused(until: float) -> None:
    """Stale, or further ahead than leeway and life allow."""
    assert not MemoryReplayStore().claim_now(claim(1, until), NOW)


def test_expiry_gives_memory_back() -> None:
    """A day of claims leaves no more behind than the window holds."""
    used = MemoryReplayStore(capacity=500)
    for second in range(0, 24 * 3600, 2):
        assert used.claim_now(claim(second, NOW + second + 90), NOW + second)
        assert len(used) <= (window(LEEWAY) + BUCKET_SECONDS) / 2
    assert len(used.forgotten) == 1


def test_a_full_set_refuses_new_claims_and_keeps_the_old() -> None:
    """A flood pushes nothing out; a replay is still named for what it is."""
    used = MemoryReplayStore(capacity=3)
    assert all(used.claim_now(claim(number), NOW) for number in range(3))
    with pytest.raises(UnavailableError) as caught:
        used.claim_now(claim(3), NOW)
    assert caught.value.reason is Reason.GATE_REPLAY_FULL
    assert not used.claim_now(claim(0), NOW)
    later = NOW + window(LEEWAY) + BUCKET_SECONDS
    assert used.claim_now(claim(3, later + 90), later)


@pytest.mark.parametrize("leeway", [0, 5, 30, 120])
@pytest.mark.parametrize("leap", [40, 100, 3600, LEAP])
@pytest.mark.parametrize("follows", [False, True])
def test_a_clock_that_runs_ahead_and_comes_back_locks_nobody_out_for_long(
    leeway: int, leap: int, *, follows: bool
) -> None:
    """Fresh proofs pass again after at most leeway and life, however far it went and however long it stayed.

    Where the clients' clocks went with it, what they did meanwhile lies in spans that were forgotten: each
    second of them is refused once, and no more.
    """
    used = MemoryReplayStore(leeway=leeway)
    number = 0

    def fresh(now: float, created: float) -> bool:
        nonlocal number
        number += 1
        return used.claim_now(claim(number, int(created) + LIFE + leeway), now)

    for second in range(100):
        # Some clients are as far ahead as they may be.
        assert fresh(NOW + second, NOW + second)
        assert fresh(NOW + second, NOW + second + leeway)
    ahead = 500
    for second in range(100, 100 + ahead):
        fresh(NOW + leap + second, NOW + second + (leap if follows else 0))
    back = NOW + 100 + ahead
    denied = [second for second in range(6000) if not fresh(back + second, back + second)]
    if follows:
        assert len(denied) <= min(leap, ahead) + window(leeway) + 2 * BUCKET_SECONDS
    else:
        assert len(denied) <= LIFE + leeway


def test_a_clock_that_went_back_opens_nothing() -> None:
    """A proof whose bucket was forgotten is refused when the clock shows its time again."""
    used = MemoryReplayStore()
    assert used.claim_now(claim(1), NOW)
    assert used.claim_now(claim(2, NOW + 5090), NOW + 5000)
    assert len(used) == 1
    assert not used.claim_now(claim(1), NOW)
    assert not used.claim_now(claim(1), NOW + 10)


def test_what_a_clock_ahead_filled_is_given_back() -> None:
    """Claims of next year take no room from today's, and don't pass next year."""
    used = MemoryReplayStore(capacity=10)
    assert all(used.claim_now(claim(n, NOW + LEAP + 90), NOW + LEAP) for n in range(10))
    assert all(used.claim_now(claim(100 + n), NOW) for n in range(10))
    assert not used.claim_now(claim(0, NOW + LEAP + 90), NOW + LEAP)


def test_what_an_earlier_process_may_have_seen_is_refused() -> None:
    """A restart that closes refuses older proofs, and takes those that are made from then on."""
    used = MemoryReplayStore(forgotten_until=NOW + 90)
    assert not used.claim_now(claim(1, NOW + 89), NOW)
    assert used.claim_now(claim(2, NOW + 90), NOW)


STEPS = st.lists(
    st.tuples(
        st.integers(0, 12),
        st.integers(-LEEWAY, LIFE + LEEWAY),
        st.sampled_from((0.0, 0.5, 1.0, 31.0, 33.0, 61.0, 91.0, 400.0, -0.5, -40.0, -95.0))
        | st.floats(-LEAP, LEAP),
    ),
    max_size=120,
)


@settings(max_examples=300)
@given(steps=STEPS, capacity=st.integers(1, 40))
def test_no_claim_ever_passes_twice(steps: list[tuple[int, int, float]], capacity: int) -> None:
    """Whatever the order of claims and the jumps of the clock: once, or never.

    Proofs of any age are made up at each step, and every one of them is tried again at every later step.
    """
    used = MemoryReplayStore(leeway=LEEWAY, capacity=capacity)
    now = NOW
    passed: set[ReplayClaim] = set()
    for number, age, jump in steps:
        now = max(now + jump, 0.0)
        for tried in (claim(number, int(now) - age + LIFE + LEEWAY), *sorted(passed)):
            try:
                first = used.claim_now(tried, now)
            except UnavailableError:
                continue
            if first:
                assert tried not in passed
                passed.add(tried)
        assert len(used) <= capacity


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 400), st.integers(1, 60)), max_size=60))
def test_spans_are_what_was_added(added: list[tuple[int, int]]) -> None:
    """A number is forgotten exactly if it lies in one of the spans."""
    spans = ForgottenSpans()
    for start, length in added:
        spans.add(start, start + length)
    for number in range(470):
        assert (number in spans) == any(s <= number < s + n for s, n in added)


def test_spans_are_bounded_and_only_ever_grow() -> None:
    """Beyond the bound the oldest become one: the newest gaps stay open."""
    spans = ForgottenSpans()
    count = MAX_SPANS + 50
    for number in range(count):
        spans.add(number * 10, number * 10 + 1)
    assert len(spans) == MAX_SPANS
    assert all(number * 10 in spans for number in range(count))
    assert 5 in spans
    assert (count - 2) * 10 + 5 not in spans
