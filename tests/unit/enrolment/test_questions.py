"""Bound what strangers can make us ask Google."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.enrolment.simulators import NOW

from watchword.enrolment.evidence import (
    MAX_REMEMBERED,
    QUESTIONS_A_MINUTE,
    VendorRateLimiter,
)
from watchword.enrolment.interface import CHALLENGE_SECONDS
from watchword.reasons import Reason, RefusedError, UnavailableError

ONE = "com.example.one"
OTHER = "com.example.other"


def asked(questions: VendorRateLimiter, challenge: bytes, package: str = ONE, at: float = 0) -> str:
    """Return whether a question may be asked so many seconds from now, or why not."""
    try:
        questions.spend(challenge, package, NOW + timedelta(seconds=at))
    except (RefusedError, UnavailableError) as error:
        return error.reason.code
    return "asked"


def test_challenge_buys_one_question() -> None:
    """For as long as it lives, whatever it is sent with."""
    questions = VendorRateLimiter()
    assert asked(questions, b"a") == "asked"
    assert asked(questions, b"a") == "challenge.used"
    assert asked(questions, b"a", OTHER) == "challenge.used"
    assert asked(questions, b"a", at=CHALLENGE_SECONDS - 1) == "challenge.used"
    assert asked(questions, b"b") == "asked"


def test_dead_challenges_are_forgotten() -> None:
    """The check of the challenge itself refuses them then; memory needn't."""
    questions = VendorRateLimiter(remembered=1)
    assert asked(questions, b"a") == "asked"
    assert asked(questions, b"b", at=CHALLENGE_SECONDS - 1) == "service.overloaded"
    assert asked(questions, b"b", at=CHALLENGE_SECONDS) == "asked"


def test_package_has_so_many_questions_a_minute() -> None:
    """More are refused with the time to wait; another package has its own count."""
    questions = VendorRateLimiter(a_minute=3)
    assert [asked(questions, bytes([n]), at=10 * n) for n in range(3)] == ["asked"] * 3
    with pytest.raises(UnavailableError) as caught:
        questions.spend(b"d", ONE, NOW + timedelta(seconds=30))
    assert caught.value.reason is Reason.SERVICE_OVERLOADED
    assert caught.value.retry_after == 31
    assert ONE in caught.value.detail
    assert asked(questions, b"e", OTHER, at=30) == "asked"
    # The challenge that came in vain is still good.
    assert asked(questions, b"d", at=60) == "asked"
    assert asked(questions, b"f", at=60) == "service.overloaded"


def test_unanswered_question_gives_the_challenge_back() -> None:
    """But counts: an outage of Google's opens no flood."""
    questions = VendorRateLimiter(a_minute=2)
    for _ in range(2):
        assert asked(questions, b"a") == "asked"
        questions.give_back(b"a")
    assert asked(questions, b"a") == "service.overloaded"


def test_clock_that_is_set_back_locks_nobody_out_for_long() -> None:
    """Questions of the future don't count."""
    questions = VendorRateLimiter(a_minute=1)
    assert asked(questions, b"a", at=7200) == "asked"
    assert asked(questions, b"b") == "asked"


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 30)), max_size=200))
def test_bounds_hold_whatever_comes(steps: list[tuple[int, int]]) -> None:
    """In no minute more than allowed, no challenge twice in its life, memory bounded."""
    questions = VendorRateLimiter(a_minute=5, remembered=8)
    at, passed = 0, []
    for challenge, pause in steps:
        at += pause
        if asked(questions, bytes([challenge]), at=at) == "asked":
            passed.append((challenge, at))
        assert len(questions._spent) <= 8
    for challenge, when in passed:
        assert sum(when <= other < when + 60 for _, other in passed) <= 5
        again = [w for c, w in passed if c == challenge and w > when]
        assert all(w >= when + CHALLENGE_SECONDS for w in again)


def test_bounds_are_sensible() -> None:
    """Memory lasts for several packages that are flooded at once."""
    assert QUESTIONS_A_MINUTE * CHALLENGE_SECONDS // 60 * 10 <= MAX_REMEMBERED
