"""Show what the limit lets pass, that nobody's bucket is reset early, and that memory is bounded."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchword.gate.interface import Rate
from watchword.gate.limits import SHARED_CELLS, RateLimiter

NOW = 1_790_000_000.0


def spend(limiter: RateLimiter, subject: str, now: float, tries: int) -> int:
    """Return how many of so many requests pass at once."""
    return sum(limiter.take(subject, now) == 0.0 for _ in range(tries))


@pytest.mark.parametrize("rate", [Rate(1, 1), Rate(10, 60), Rate(600, 60), Rate(10_000, 3600)])
def test_a_full_bucket_holds_exactly_its_requests(rate: Rate) -> None:
    """No float's rounding eats the last one; after half the time half is there again."""
    limiter = RateLimiter(rate)
    assert spend(limiter, "a", NOW, rate.requests + 5) == rate.requests
    assert spend(limiter, "b", NOW, 1) == 1
    half = spend(limiter, "a", NOW + rate.seconds / 2, rate.requests + 5)
    assert abs(half - rate.requests / 2) <= 1
    assert spend(limiter, "a", NOW + 3 * rate.seconds, rate.requests + 5) == rate.requests


def test_the_answer_says_when_to_come_again() -> None:
    """Before that instant it is refused, and from then on it isn't."""
    limiter = RateLimiter(Rate(6, 60))
    assert spend(limiter, "a", NOW, 6) == 6
    wait = limiter.take("a", NOW + 1)
    assert 0 < wait <= 10
    assert limiter.take("a", NOW + 1 + wait / 3) > 0
    assert limiter.take("a", NOW + 1 + wait + 0.001) == 0.0


def test_others_make_no_room_for_a_spender() -> None:
    """A crowd of any size neither frees a spender's bucket nor grows the memory."""
    limiter = RateLimiter(Rate(5, 60), capacity=100)
    assert spend(limiter, "spender", NOW, 9) == 5
    for second in range(11):
        for number in range(3000):
            limiter.take(f"{second}-{number}", NOW + second)
        # 60 s for 5 requests: nothing has come back before 12 s are over.
        assert limiter.take("spender", NOW + second) > 0
        assert len(limiter) <= 100 + 2 * SHARED_CELLS


def test_who_finds_no_room_is_limited_all_the_same() -> None:
    """Sharing makes the limit stricter, never looser, and what was spent there isn't given back."""
    limiter = RateLimiter(Rate(5, 60), capacity=2)
    limiter.take("first", NOW)
    assert spend(limiter, "late", NOW, 20) == 5
    # A new generation has room; the bucket that it gets there is as empty as the shared one.
    assert spend(limiter, "late", NOW + 73, 20) == 5
    limiter = RateLimiter(Rate(60, 60), capacity=2)
    limiter.take("first", NOW)
    assert spend(limiter, "late", NOW + 60, 100) == 60
    assert spend(limiter, "late", NOW + 61.5, 100) <= 2


def test_nobody_new_is_shut_out_when_it_is_full() -> None:
    """A newcomer gets requests through while there is no room for a bucket of its own."""
    limiter = RateLimiter(Rate(5, 60), capacity=2)
    for number in range(50):
        limiter.take(f"busy-{number}", NOW)
    assert sum(spend(limiter, f"new-{number}", NOW, 1) for number in range(100)) > 80


def test_a_clock_that_went_back_neither_locks_out_nor_resets() -> None:
    """A bucket counts as empty then, and fills at the usual pace."""
    limiter = RateLimiter(Rate(60, 60))
    assert spend(limiter, "a", NOW + 1e6, 60) == 60
    assert limiter.take("a", NOW) > 0
    assert spend(limiter, "a", NOW + 10, 60) in (9, 10, 11)
    assert spend(limiter, "other", NOW + 10, 61) == 60


def test_idle_buckets_are_let_go() -> None:
    """After two turns nothing is left of a crowd; after a long pause nothing at once."""
    limiter = RateLimiter(Rate(5, 60))
    for number in range(1000):
        limiter.take(str(number), NOW)
    assert len(limiter) == 1000
    limiter.take("a", NOW + 75)
    limiter.take("b", NOW + 150)
    assert len(limiter) == 2
    limiter.take("c", NOW + 1000)
    assert len(limiter) == 1


@settings(max_examples=200)
@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.floats(0, 15)), max_size=150),
    st.integers(1, 8),
)
def test_nobody_ever_passes_more_than_a_bucket_and_what_flows_in(
    steps: list[tuple[str, float]], capacity: int
) -> None:
    """For any span between two passes: at most a full bucket and the refill of that span."""
    rate = Rate(4, 20)
    limiter = RateLimiter(rate, capacity=capacity)
    now = NOW
    passed: dict[str, list[float]] = {}
    for subject, step in steps:
        now += step
        if limiter.take(subject, now) == 0.0:
            times = passed.setdefault(subject, [])
            times.append(now)
            for at, begun in enumerate(times):
                most = rate.requests + (now - begun) * rate.requests / rate.seconds + 0.05
                assert len(times) - at <= most


def test_of_two_threads_one_turns() -> None:
    """The other one goes on meanwhile: to turn twice would let go of what is still in use."""
    turns: list[float] = []

    class Interrupted(RateLimiter):
        def _turn(self, now: float) -> None:
            turns.append(now)
            assert self.take("another thread's", now) == 0.0
            super()._turn(now)

    limiter = Interrupted(Rate(1, 60))
    assert limiter.take("a", NOW) == 0.0
    assert limiter.take("a", NOW + 1) > 0.0
    assert limiter.take("b", NOW + 121) == 0.0
    assert turns == [NOW, NOW + 121]
