"""Show that digests tell revoked instances from all others."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.gate.simulators import policy
from tests.unit.gate.test_bundle import BUNDLE

from watchword.gate.revocations import (
    Digests,
    PackedDigests,
    digest_of,
    pack,
    packed_in_pieces,
    unpack,
)

KEY = b"k" * 12
DIGEST = st.integers(0, 2**64 - 1)


def test_a_digest_is_the_head_of_a_keyed_sha256() -> None:
    """As docs/bundle.md says, so that engines can make the same."""
    assert digest_of(bytes(range(12)), "A" * 43) == 0xDBDB90DDB531A9CC
    assert digest_of(KEY, "A" * 43) != digest_of(bytes(12), "A" * 43)


@given(st.sets(DIGEST))
def test_what_is_packed_comes_back(digests: set[int]) -> None:
    """In ascending order, 8 bytes each."""
    packed = pack(digests)
    assert (len(packed), list(unpack(packed))) == (8 * len(digests), sorted(digests))
    assert Digests(KEY, unpack(packed)).packed() == packed


@given(st.lists(st.lists(DIGEST, max_size=20), max_size=5))
def test_what_is_packed_in_pieces_is_the_same(parts: list[list[int]]) -> None:
    """In any order, doubled, in any number."""
    base, packed = packed_in_pieces(parts, lambda: None)
    whole = pack(each for part in parts for each in part)
    assert base == unpack(whole)
    assert replace(packed, text=(b"".join(packed.text),)) == PackedDigests.of(whole)


def test_many_digests_are_packed_with_pauses() -> None:
    """So that requests get their turn meanwhile."""
    pauses: list[None] = []
    packed_in_pieces([range(0, 2**64, 2**50)], lambda: pauses.append(None))
    assert len(pauses) > 200


@pytest.mark.parametrize("data", [b"1234567", bytes(16), pack([5]) + pack([4])])
def test_crooked_digests_are_refused(data: bytes) -> None:
    """Half of one, one twice, and two in the wrong order."""
    with pytest.raises(ValueError, match="expected"):
        unpack(data)


@given(st.sets(DIGEST), st.lists(st.lists(DIGEST)), st.sets(DIGEST))
def test_exactly_what_was_listed_is_found(
    base: set[int], additions: list[list[int]], others: set[int]
) -> None:
    """Wherever digests stand: a set of any shape is found by any way of looking."""
    digests = Digests(KEY, unpack(pack(base)))
    listed = set(base)
    for each in additions:
        digests.add(each)
        listed |= set(each)
    assert all(digests.has(each) for each in listed)
    assert not any(digests.has(each) for each in others - listed)
    assert digests.packed() == pack(listed)
    assert len(digests) == len(listed)


def test_many_additions_are_kept_sorted() -> None:
    """More than a set or a few runs hold, in small and in large pieces."""
    digests = Digests(KEY, unpack(pack(range(0, 1000, 2))))
    numbers = range(1, 120_001, 2)
    for start in range(0, len(numbers), 1500):
        digests.add(numbers[start : start + 1500])
    digests.add(range(200_001, 250_001, 2))
    assert len(digests) == 500 + len(numbers) + 25_000
    assert all(digests.has(each) for each in (1, 59_999, 119_999, 0, 998, 200_001, 249_999))
    assert not any(digests.has(each) for each in (1000, 60_000, 119_998, 200_000, 2**64 - 1))


def test_a_policy_has_no_names_of_its_own() -> None:
    """A bundle with digests asks them, and counts them."""
    digests = Digests(KEY, unpack(pack([digest_of(KEY, "one")])))
    bundle = replace(BUNDLE, policy=policy(), revoked=frozenset(), digests=digests)
    assert (bundle.is_revoked("one"), bundle.is_revoked("two")) == (True, False)
    assert bundle.revoked_count == 1
    assert "revoked=1" in repr(bundle)
