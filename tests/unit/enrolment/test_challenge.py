"""Make and check challenges."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.enrolment.simulators import ISSUER, NOW, SeededEntropy

from watchword.enrolment.interface import CHALLENGE_SECONDS
from watchword.enrolment.statement import MAX_CHALLENGE_BYTES, check_challenge, make_challenge
from watchword.ports import ChallengeUse
from watchword.reasons import Reason, RefusedError
from watchword.vocabulary import Purpose

KEY = bytes(range(32))


def make(**changes: object) -> bytes:
    """Return a challenge for the usual app and purpose."""
    arguments: dict[str, object] = {
        "app": "clinic",
        "purpose": Purpose.ENROL,
        "issuer": ISSUER,
        "key": KEY,
        "now": NOW,
        "entropy": SeededEntropy(),
    } | changes
    return make_challenge(**arguments)  # type: ignore[arg-type]


def check(made: bytes, **changes: object) -> ChallengeUse:
    """Check a challenge for the usual app and purpose."""
    arguments: dict[str, object] = {
        "app": "clinic",
        "purpose": Purpose.ENROL,
        "issuer": ISSUER,
        "key": KEY,
        "now": NOW,
    } | changes
    return check_challenge(made, **arguments)  # type: ignore[arg-type]


def reason_of(made: bytes, **changes: object) -> Reason:
    """Return why a challenge is refused."""
    with pytest.raises(RefusedError) as caught:
        check(made, **changes)
    return caught.value.reason


def test_fresh_challenge_gives_its_use() -> None:
    """A fresh challenge is good for one use, which can be forgotten when it expires."""
    made = make()
    use = check(made)
    assert len(made) <= MAX_CHALLENGE_BYTES
    assert use.nonce == made[9:25]
    assert use.expires_at == NOW + timedelta(seconds=CHALLENGE_SECONDS)


def test_two_challenges_differ() -> None:
    """Two challenges of the same instant have different nonces."""
    entropy = SeededEntropy()
    assert check(make(entropy=entropy)).nonce != check(make(entropy=entropy)).nonce


@pytest.mark.parametrize(
    "changes",
    [
        {"app": "other"},
        {"purpose": Purpose.RENEW},
        {"issuer": "https://other.example"},
        {"key": bytes(32)},
    ],
)
def test_challenge_of_another_context_is_unknown(changes: dict[str, object]) -> None:
    """A challenge for another app, purpose, issuer or key isn't known here."""
    assert reason_of(make(**changes)) is Reason.CHALLENGE_UNKNOWN


def test_lengths_keep_the_context_apart() -> None:
    """Moving a character from the issuer to the app gives another code."""
    made = make(issuer="https://a.example/x", app="y")
    assert reason_of(made, issuer="https://a.example/", app="xy") is Reason.CHALLENGE_UNKNOWN


@pytest.mark.parametrize(
    ("seconds", "expired"), [(0, False), (299, False), (299.999, False), (300, True), (9000, True)]
)
def test_expiry_is_exact(seconds: float, expired: bool) -> None:
    """A challenge is refused from the second of its expiry on."""
    made = make()
    now = NOW + timedelta(seconds=seconds)
    if expired:
        assert reason_of(made, now=now) is Reason.CHALLENGE_EXPIRED
    else:
        assert check(made, now=now) == check(made)


def test_prolonged_challenge_is_unknown() -> None:
    """Who writes a later expiry into a challenge has no code for it."""
    made = make()
    later = made[:1] + (2**40).to_bytes(8, "big") + made[9:]
    assert reason_of(later) is Reason.CHALLENGE_UNKNOWN


@given(position=st.integers(0, 56), flip=st.integers(1, 255))
def test_every_bit_counts(position: int, flip: int) -> None:
    """No byte of a challenge can be changed."""
    made = bytearray(make())
    made[position] ^= flip
    expected = Reason.CHALLENGE_UNKNOWN if position else Reason.CHALLENGE_MALFORMED
    assert reason_of(bytes(made)) is expected


@given(st.binary(max_size=80))
def test_garbage_is_refused_with_a_reason(garbage: bytes) -> None:
    """Any bytes are refused in our own words."""
    expected = {Reason.CHALLENGE_MALFORMED, Reason.CHALLENGE_UNKNOWN}
    assert reason_of(garbage) in expected
