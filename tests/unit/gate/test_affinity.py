"""Show whose nonces a gate takes, for how long, and that strangers' bytes never break it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.encoding import base64url
from watchword.gate.replay import (
    AGEING_SECONDS,
    LIFE_SECONDS,
    NONCE_CHARACTERS,
    TURN_SECONDS,
    AffinityNonces,
)
from watchword.reasons import Reason, RefusedError
from watchword.tokens.proofs.interface import VerifiedProof

NOW = 1_790_000_010.0
OWN = AffinityNonces(bytes(32))
OTHER = AffinityNonces(b"\x01" * 32)
ADDED = b"0123456789abcdef"


def proof(nonce: bytes, affinity: bytes | None = None) -> VerifiedProof:
    """Return a verified proof with a nonce."""
    return VerifiedProof(nonce, int(NOW), None, affinity)


def test_a_nonce_has_its_form() -> None:
    """30 characters of base64url, so that a client can put its own behind them."""
    assert re.fullmatch(rb"[A-Za-z0-9_-]{30}", OWN.current(NOW))
    assert OWN.current(NOW) != OTHER.current(NOW)
    assert OWN.current(NOW) != OWN.current(NOW + TURN_SECONDS)


def test_a_gate_takes_its_own_for_their_life() -> None:
    """From their turn on, for five minutes; and says from when on the client should have a fresh one."""
    nonce = OWN.current(NOW)
    began = NOW // TURN_SECONDS * TURN_SECONDS
    assert OWN.is_own(nonce, began)
    assert OWN.is_own(nonce, began + LIFE_SECONDS - 0.01)
    assert not OWN.is_own(nonce, began + LIFE_SECONDS)
    assert not OWN.is_own(nonce, began - 0.01)
    assert not OWN.is_ageing(nonce, began + AGEING_SECONDS - 0.01)
    assert OWN.is_ageing(nonce, began + AGEING_SECONDS)


def test_after_a_jump_of_the_clock_a_fresh_nonce_helps() -> None:
    """To either side: the old nonce may be refused, the one that comes with the refusal is taken."""
    for jump in (-1e8, -400, -31, 31, 400, 1e8):
        assert OWN.is_own(OWN.current(NOW + jump), NOW + jump)


@pytest.mark.parametrize("behind", [b"", ADDED])
def test_another_gate_takes_none_of_them(behind: bytes) -> None:
    """Also a gate that was restarted, which has another key."""
    nonce = OTHER.current(NOW)
    assert not OWN.is_own(nonce, NOW)
    with pytest.raises(RefusedError) as caught:
        OWN.verify(proof(nonce + behind), NOW)
    assert caught.value.reason is Reason.PROOF_NONCE


def test_a_proof_carries_the_nonce_at_its_head_or_as_a_claim() -> None:
    """RFC 9421: in front of at least 16 characters of the client's own; DPoP: alone."""
    nonce = OWN.current(NOW)
    assert OWN.verify(proof(nonce + ADDED), NOW) is False
    assert OWN.verify(proof(ADDED, nonce), NOW) is False
    assert OWN.verify(proof(nonce + ADDED), NOW + AGEING_SECONDS) is True


@pytest.mark.parametrize(
    ("nonce", "affinity"),
    [
        (ADDED, None),
        (OWN.current(NOW), None),
        (OWN.current(NOW) + ADDED[1:], None),
        (ADDED + OWN.current(NOW), None),
        (ADDED, b""),
        (OWN.current(NOW) + ADDED, ADDED),
        (ADDED, OWN.current(NOW) + b"A"),
        (ADDED, OWN.current(NOW)[:-1]),
        (OWN.current(NOW - LIFE_SECONDS - TURN_SECONDS) + ADDED, None),
    ],
)
def test_what_isnt_a_nonce_of_this_gate_is_refused(nonce: bytes, affinity: bytes | None) -> None:
    """Missing, too short, misplaced, too long, too old: with the reason that makes clients come again."""
    with pytest.raises(RefusedError) as caught:
        OWN.verify(proof(nonce, affinity), NOW)
    assert caught.value.reason is Reason.PROOF_NONCE


@given(st.binary(max_size=80) | st.binary(min_size=22, max_size=22).map(base64url.encode))
def test_strangers_bytes_are_just_not_ours(data: bytes | str) -> None:
    """Nothing raises, nothing passes."""
    nonce = data.encode() if isinstance(data, str) else data
    assert not OWN.is_own(nonce, NOW)


def test_every_bit_counts() -> None:
    """A nonce with one bit changed, its time included, isn't ours."""
    good = base64url.decode(OWN.current(NOW).decode())
    for at in range(len(good) * 8):
        changed = bytearray(good)
        changed[at // 8] ^= 1 << at % 8
        text = base64url.encode(bytes(changed)).encode()
        assert len(text) == NONCE_CHARACTERS
        assert not OWN.is_own(text, NOW)


def test_memory_is_bounded() -> None:
    """Nonces of a year cost no more than those of an hour."""
    nonces = AffinityNonces(bytes(32))
    for day in range(365):
        nonces.current(NOW + day * 86400)
    assert len(nonces._issued) <= 64


def test_a_key_has_its_length() -> None:
    """A short key is a mistake of ours."""
    with pytest.raises(ValueError, match="32"):
        AffinityNonces(b"short")
