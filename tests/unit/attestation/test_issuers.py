"""Remembered issuers save signatures, and never let pass what would be refused without them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.attestation import forge

from watchword.attestation import certificates
from watchword.attestation.certificates import MAX_ENTRIES, BoundedIssuerCache, KnownIssuers
from watchword.attestation.interface import AndroidKeyChain, Examination, Expected, Trust
from watchword.attestation.registry import examine
from watchword.reasons import Reason

EXPECTED = Expected(forge.BINDING, forge.ANDROID_APP)


def verdict(evidence: AndroidKeyChain, trust: Trust, now: Any = forge.NOW) -> Examination:
    """Examine a chain."""
    return examine(evidence, EXPECTED, trust, now)


# The cache by itself


def test_what_was_unused_for_longest_is_forgotten() -> None:
    """Finding an entry makes it young; beyond the bound the oldest one goes."""
    cache = BoundedIssuerCache(2)
    cache.remember(b"a", 1)
    cache.remember(b"b", 2)
    assert cache.find(b"a") == 1
    cache.remember(b"c", 3)
    assert (cache.find(b"a"), cache.find(b"b"), cache.find(b"c")) == (1, None, 3)
    assert len(cache) == 2
    cache.clear()
    assert len(cache) == 0
    assert cache.find(b"a") is None


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=60), st.integers(1, 5))
def test_it_is_bounded_and_tells_the_truth(steps: list[tuple[bool, int]], bound: int) -> None:
    """Whatever is done, there are never too many entries, and what is found is what was remembered."""
    cache = BoundedIssuerCache(bound)
    for writes, number in steps:
        digest = bytes([number])
        if writes:
            cache.remember(digest, number)
            assert cache.find(digest) == number
        else:
            assert cache.find(digest) in {None, number}
        assert len(cache) <= bound


def test_it_has_room_for_something() -> None:
    """A cache for nothing is a mistake in the wiring."""
    assert MAX_ENTRIES > 0
    with pytest.raises(ValueError, match="room"):
        BoundedIssuerCache(0)


# What is remembered


class Counting(BoundedIssuerCache):
    """Count what is found and keep a list of what is remembered."""

    def __init__(self) -> None:
        """Begin with nothing."""
        super().__init__()
        self.found: list[KnownIssuers] = []
        self.remembered: list[KnownIssuers] = []

    def find(self, digest: bytes) -> object | None:
        """Return what is found, and count it."""
        value = super().find(digest)
        if isinstance(value, KnownIssuers):
            self.found.append(value)
        return value

    def remember(self, digest: bytes, value: object) -> None:
        """Remember, and list it."""
        assert isinstance(value, KnownIssuers)
        self.remembered.append(value)
        super().remember(digest, value)


@pytest.mark.parametrize(
    ("google", "attested", "first"),
    [
        (forge.google(), False, 1),
        (forge.google(), True, 2),
        (forge.remote_google(), False, 2),
        (forge.remote_google(), True, 3),
    ],
)
@pytest.mark.parametrize("root", [True, False])
def test_only_what_phones_share_is_remembered(
    google: forge.Google, first: int, *, attested: bool, root: bool
) -> None:
    """From a factory's key on, from the authority above a phone's own key on; never a root alone."""
    cache = Counting()
    evidence = google.attested(root=root) if attested else google.evidence(root=root)
    trust = forge.trust(google.anchor, issuers=cache)
    assert verdict(evidence, trust).refusals == ()
    ders = [tuple(each.der for each in known.certificates) for known in cache.remembered]
    end = len(evidence.chain) - (1 if root else 0)
    assert ders == [evidence.chain[index:] for index in range(first, end)]
    assert cache.found == []
    assert verdict(evidence, trust).refusals == ()
    assert [tuple(each.der for each in known.certificates) for known in cache.found] == ders[:1]
    assert len(cache.remembered) == len(ders)


def test_another_phone_under_the_same_issuers_finds_them() -> None:
    """A phone that was never seen costs the signatures of its own certificates only."""
    cache = Counting()
    google = forge.remote_google()
    trust = forge.trust(google.anchor, issuers=cache)
    assert verdict(google.evidence(), trust).refusals == ()
    (authority,) = google.between
    device = forge.certify(forge.name(common_name="another phone"), authority)
    other = replace(google, attester=device)
    assert verdict(other.evidence(), trust).refusals == ()
    assert len(cache.found) == 1
    assert cache.found[0].certificates[0].der == authority.der


def test_nothing_of_a_refused_chain_is_remembered() -> None:
    """Neither an attacker's issuers, nor genuine ones under a leaf that is refused for anything."""
    google = forge.google()
    cache = Counting()
    trust = forge.trust(google.anchor, issuers=cache, revoked={google.root.serial_hex: "REVOKED"})
    bad_leaf = google.leaf(forge.key_description(challenge=b"other"))
    impostor = forge.google()
    for evidence, believed in (
        (google.evidence(), trust),
        (google.evidence(bad_leaf), replace(trust, revocation=None)),
        (google.evidence(google.leaf(b"")), replace(trust, revocation=None)),
        (impostor.evidence(), replace(trust, revocation=None)),
        (google.evidence(), forge.trust(google.root.anchor("android-key", "software"))),
    ):
        assert verdict(evidence, replace(believed, issuers=cache)).refusals != ()
    assert cache.remembered == []


def test_remembering_what_does_not_hold_is_a_mistake() -> None:
    """The caller may not remember a chain whose links or end are wrong."""
    google = forge.google()
    for anchors in ([], [google.anchor]):
        evidence = google.evidence() if not anchors else forge.google().evidence()
        linked = certificates.link(evidence.chain, anchors, BoundedIssuerCache())
        with pytest.raises(ValueError, match="hold"):
            certificates.remember(linked, 1, BoundedIssuerCache())


# What isn't remembered: dates, anchors, revocation, authority


def warm(google: forge.Google) -> BoundedIssuerCache:
    """Return a cache that knows the issuers of a Google."""
    cache = BoundedIssuerCache()
    trust = forge.trust(google.anchor, issuers=cache)
    for evidence in (google.evidence(), google.evidence(root=False), google.attested()):
        assert verdict(evidence, trust).refusals == ()
    assert len(cache) > 1
    return cache


def told(examination: Examination) -> list[Reason]:
    """Return the reasons in order."""
    return [refusal.reason for refusal in examination.refusals]


def test_a_revocation_that_comes_later_is_seen() -> None:
    """The status list is asked about known issuers each time."""
    google = forge.google()
    cache = warm(google)
    for party in (google.attester, google.intermediate, google.root):
        trust = forge.trust(google.anchor, revoked={party.serial_hex: "REVOKED"}, issuers=cache)
        assert told(verdict(google.evidence(), trust)) == [Reason.ATTESTATION_REVOKED]


def test_dates_of_known_issuers_are_judged_each_time() -> None:
    """An issuer that was valid when it was remembered may have ended since."""
    google = forge.remote_google()
    trust = forge.trust(google.anchor, issuers=warm(google))
    late = verdict(google.evidence(), trust, forge.NOW.replace(year=2030))
    assert set(told(late)) == {Reason.ATTESTATION_CERTIFICATE_EXPIRED}
    early = verdict(google.evidence(), trust, forge.NOW.replace(year=2020))
    assert set(told(early)) == {Reason.ATTESTATION_CERTIFICATE_EARLY}


def test_with_other_anchors_nothing_is_known() -> None:
    """An anchor that was taken away, or that turned out to vouch for software, ends what it vouched for."""
    google = forge.google()
    cache = warm(google)
    other = forge.trust(forge.google().anchor, issuers=cache)
    for root in (True, False):
        assert told(verdict(google.evidence(root=root), other)) == [
            Reason.ATTESTATION_ANCHOR_UNKNOWN
        ]
    software = google.root.anchor("android-key", "software")
    both = forge.trust(google.anchor, software, issuers=cache)
    assert told(verdict(google.evidence(), both)) == [Reason.ATTESTATION_ANCHOR_SOFTWARE]


def test_a_known_issuer_at_another_depth() -> None:
    """Path lengths and depths are counted anew: what may have two CAs below it hasn't three because it is known."""
    google = forge.remote_google(intermediate={"path_length": 2})
    cache = warm(google)
    further = forge.certify(forge.name(common_name="further"), google.attester)
    leaf = replace(google, attester=further).leaf()
    chain = AndroidKeyChain((leaf.der, further.der, *google.evidence().chain[1:]))
    for issuers in (None, cache):
        found = verdict(chain, forge.trust(google.anchor, issuers=issuers))
        assert told(found) == [Reason.ATTESTATION_CHAIN_NOT_CA, Reason.ATTESTATION_CHAIN_LENGTH]


def test_chains_that_are_cut_up_differently_have_other_digests() -> None:
    """Bytes that are moved from one certificate to the next aren't the same issuers."""
    one = certificates._digests([b"leaf", b"ab", b"c"])
    other = certificates._digests([b"leaf", b"a", b"bc"])
    assert one[1] != other[1]
    assert len(set(one[1:] + other[1:])) == 4
    assert certificates._digests([b"another leaf", b"ab", b"c"])[1:] == one[1:]


# Equivalence


def googles() -> Iterator[forge.Google]:
    """Yield vendors of each kind."""
    yield forge.google()
    yield forge.google(attester={"ca": False, "signs": False})
    yield forge.remote_google()


def mutants(chain: Sequence[bytes]) -> Iterator[AndroidKeyChain]:
    """Yield the chain with bits flipped all over, cut off, and dropped, repeated and swapped."""
    for at, certificate in enumerate(chain):
        for bit in range(0, len(certificate) * 8, 37):
            mutated = bytearray(certificate)
            mutated[bit // 8] ^= 1 << bit % 8
            yield AndroidKeyChain((*chain[:at], bytes(mutated), *chain[at + 1 :]))
        for size in range(0, len(certificate), 97):
            yield AndroidKeyChain((*chain[:at], certificate[:size], *chain[at + 1 :]))
        yield AndroidKeyChain((*chain[:at], *chain[at + 1 :]))
        yield AndroidKeyChain((*chain[: at + 1], *chain[at:]))
        for other in range(at):
            swapped = list(chain)
            swapped[at], swapped[other] = chain[other], certificate
            yield AndroidKeyChain(tuple(swapped))


@pytest.mark.parametrize("attested", [False, True])
@pytest.mark.parametrize("number", range(3))
def test_a_warm_cache_changes_no_verdict(number: int, *, attested: bool) -> None:
    """For each mutant of a chain, refusals and claims are the same with and without what is known."""
    google = list(googles())[number]
    cache = warm(google)
    evidence = google.attested() if attested else google.evidence()
    cold = forge.trust(google.anchor, revoked={})
    warmed = replace(cold, issuers=cache)
    known = set(cache._entries)
    counted = accepted = 0
    for mutant in mutants(evidence.chain):
        without, having = verdict(mutant, cold), verdict(mutant, warmed)
        assert having.steps == without.steps
        assert having.claims == without.claims
        counted += 1
        accepted += not without.refusals
    assert counted > 80 * len(evidence.chain)
    # What is accepted has a mutated root, whose key alone is believed, or none; it isn't remembered.
    assert 0 < accepted < counted / len(evidence.chain)
    assert set(cache._entries) == known


@given(st.data())
def test_spliced_chains_are_judged_alike(data: st.DataObject) -> None:
    """Certificates of two vendors in any order and number, both known: the same verdict as unknown."""
    parties = PARTIES
    picked = data.draw(st.lists(st.sampled_from(parties), min_size=1, max_size=6))
    evidence = AndroidKeyChain(tuple(picked))
    cold = forge.trust(*(each.anchor for each in TWO), revoked={})
    warmed = replace(cold, issuers=BOTH)
    without, having = verdict(evidence, cold), verdict(evidence, warmed)
    assert having.steps == without.steps
    assert having.claims == without.claims


TWO = (forge.google(), forge.remote_google())
PARTIES = [der for each in TWO for der in (*each.evidence().chain, *each.attested().chain[:2])]
BOTH = BoundedIssuerCache()
for _google in TWO:
    for _evidence in (_google.evidence(), _google.evidence(root=False), _google.attested()):
        verdict(_evidence, forge.trust(*(each.anchor for each in TWO), issuers=BOTH))
