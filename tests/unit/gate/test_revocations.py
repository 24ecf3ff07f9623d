"""Show that digests tell revoked instances from all others, and that a cut covers exactly what it names."""

from array import array
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.gate.simulators import NOW, policy
from tests.unit.gate.test_bundle import BUNDLE
from tests.unit.gate.test_limits import CLAIMS

from watchword.gate.revocations import (
    BUCKETS,
    Cut,
    Digests,
    bucket_of,
    digest_of,
    digested,
    pack,
    unpack,
)
from watchword.vocabulary import Level

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
    assert set(digests.since(0)) == listed - base


def test_many_additions_are_kept_sorted() -> None:
    """More than a set or a few runs hold, in small and in large pieces."""
    digests = Digests(KEY, unpack(pack(range(0, 1000, 2))))
    numbers = range(1, 120_001, 2)
    for start in range(0, len(numbers), 1500):
        digests.add(numbers[start : start + 1500])
    digests.add(range(200_001, 250_001, 2))
    assert digests.added == len(numbers) + 25_000
    assert all(digests.has(each) for each in (1, 59_999, 119_999, 0, 998, 200_001, 249_999))
    assert not any(digests.has(each) for each in (1000, 60_000, 119_998, 200_000, 2**64 - 1))
    assert list(digests.since(digests.added - 1)) == [249_999]


def test_a_list_of_names_becomes_digests() -> None:
    """Under a key that stays while the API's own does; of a bundle with digests they are its own."""
    listed = digested(BUNDLE)
    assert ("subject-7" in listed, "subject-x" in listed) == (True, False)
    assert digested(replace(BUNDLE, generation=11)).packed() == listed.packed()
    own = Digests(KEY, array("Q"))
    assert digested(replace(BUNDLE, digests=own)) is own


@pytest.mark.parametrize(
    ("cut", "covered"),
    [
        (Cut(None, None, NOW + 1), True),
        (Cut(None, None, NOW), False),
        (Cut(CLAIMS.app_id, CLAIMS.level, NOW + 1), True),
        (Cut("other", None, NOW + 1), False),
        (Cut(None, Level.VERIFIED, NOW + 1), False),
        (Cut(None, None, NOW + 1, 1), True),
        (Cut(None, None, NOW - 1, 1), False),
    ],
)
def test_a_cut_covers_what_it_names(cut: Cut, covered: bool) -> None:
    """App and level exactly, tokens of before alone."""
    claims = replace(CLAIMS, issued_at=NOW, subject="A" * 43)
    assert cut.covers(claims) is covered


def test_a_cut_goes_in_steps() -> None:
    """By the first character of the subject, in the order of base64url's alphabet."""
    characters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    assert [bucket_of(each) for each in characters] == list(range(BUCKETS))
    assert (bucket_of(""), bucket_of("é")) == (0, 0)
    for share in (1, 2, 63, 64):
        cut = Cut(None, None, NOW + 1, share)
        covered = [cut.covers(replace(CLAIMS, issued_at=NOW, subject=each)) for each in characters]
        assert covered == [True] * share + [False] * (BUCKETS - share)


def test_a_policy_has_no_names_of_its_own() -> None:
    """A bundle with digests asks them, and counts them."""
    digests = Digests(KEY, unpack(pack([digest_of(KEY, "one")])))
    bundle = replace(BUNDLE, policy=policy(), revoked=frozenset(), digests=digests)
    assert (bundle.is_revoked("one"), bundle.is_revoked("two")) == (True, False)
    assert bundle.revoked_count == 1
    assert "revoked=1" in repr(bundle)
