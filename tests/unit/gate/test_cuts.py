"""Show that a cut covers exactly what it names, travels in a chain, and lets no token of before through a gate."""

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.gate.simulators import CLAIMS, NOW, PublishedState, request, token
from tests.unit.gate.test_bundle import BUNDLE as WHOLE
from tests.unit.gate.test_bundle import KEY, SERVICE

from watchword.encoding import base64url
from watchword.gate.bundle import GateBundle
from watchword.gate.chain import (
    SNAPSHOT_TYPE,
    ChainError,
    delta_to_line,
    read_delta,
    read_snapshot,
    snapshot_to_line,
    tip_of,
)
from watchword.gate.cuts import ALPHABET, BUCKETS, MOST_CUTS, Cut, bucket_of
from watchword.gate.service import Gate
from watchword.reasons import Reason
from watchword.tokens import jose
from watchword.vocabulary import Level

CUTS = (Cut("clinic-ios", Level.HARDWARE, NOW, 3), Cut(None, None, NOW))
BUNDLE = replace(WHOLE, revoked=frozenset(), cuts=CUTS)


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
def test_a_cut_covers_what_it_names(cut: Cut, *, covered: bool) -> None:
    """App and level exactly, tokens of before alone."""
    claims = replace(CLAIMS, issued_at=NOW, subject="A" * 43)
    assert cut.covers(claims) is covered
    assert replace(BUNDLE, cuts=(cut,)).is_cut(claims) is covered


def test_a_cut_goes_in_steps() -> None:
    """By the first character of the subject, in the order of base64url's alphabet."""
    assert [bucket_of(each) for each in ALPHABET] == list(range(BUCKETS))
    assert (bucket_of(""), bucket_of("é")) == (0, 0)
    for share in (1, 2, 63, 64):
        cut = Cut(None, None, NOW + 1, share)
        covered = [cut.covers(replace(CLAIMS, issued_at=NOW, subject=each)) for each in ALPHABET]
        assert covered == [True] * share + [False] * (BUCKETS - share)


def snapshot(bundle: GateBundle = BUNDLE) -> bytes:
    """Return a snapshot that lists nobody."""
    return snapshot_to_line(bundle, b"d" * 12, b"", SERVICE)


def test_cuts_travel_in_both_kinds_of_lines() -> None:
    """A change that doesn't mention them leaves them; one that does replaces them all."""
    line = snapshot()
    first = read_snapshot(line, KEY)
    assert first.cuts == CUTS
    second = replace(first, generation=first.generation + 1)
    following = delta_to_line(first, second, tip_of(line), [], SERVICE)
    assert read_delta(following, KEY, first, tip_of(line)).cuts == CUTS
    for cuts in ((), (*CUTS, Cut(None, Level.SOFTWARE, NOW + 5, 64))):
        last = replace(second, generation=second.generation + 1, cuts=cuts)
        news = delta_to_line(second, last, tip_of(following), [], SERVICE)
        assert read_delta(news, KEY, second, tip_of(following)).cuts == cuts


@pytest.mark.parametrize(
    "changed",
    [
        {"share": 65},
        {"share": 0},
        {"share": True},
        {"before": 0},
        {"level": "best"},
        {"level": []},
        {"app": ""},
        {"app": 5},
        {"more": 1},
    ],
)
def test_crooked_cuts_are_refused(changed: dict[str, Any]) -> None:
    """A gate that read half of one would let pass what was cut."""
    line = snapshot()
    jws, _, behind = line.partition(b" ")
    members = json.loads(base64url.decode(jws.split(b".")[1].decode(), 1 << 20))
    members["cuts"][0].update(changed)
    crooked = jose.assemble(json.dumps(members).encode(), SNAPSHOT_TYPE, SERVICE).encode()
    with pytest.raises(ChainError):
        read_snapshot(crooked + b" " + behind, KEY)


def test_more_cuts_than_gates_take_are_not_made() -> None:
    """Each request asks each of them."""
    with pytest.raises(ChainError, match="expected at most 64"):
        snapshot(replace(BUNDLE, cuts=CUTS * (MOST_CUTS // 2 + 1)))


def test_a_remembered_token_is_cut() -> None:
    """It is refused as one that ended, so that every app renews; what was issued since passes."""
    state = PublishedState()
    gate = Gate(state)
    before, since = token(), token(issued_at=NOW - 1)
    assert gate.decide(request(token=before), NOW).allow
    state.cuts = (Cut(CLAIMS.app_id, None, NOW - 1),)
    decision = gate.decide(request(token=before), NOW)
    assert [each.reason for each in decision.refusals] == [Reason.TOKEN_EXPIRED]
    assert "cut off" in decision.refusals[0].detail
    assert gate.decide(request(token=since), NOW).allow


def test_a_revoked_instance_is_told_so_under_a_cut() -> None:
    """It is no use to it to renew."""
    state = PublishedState(revoked={CLAIMS.subject}, cuts=(Cut(None, None, NOW),))
    decision = Gate(state).decide(request(token=token()), NOW)
    assert [each.reason for each in decision.refusals] == [Reason.TOKEN_INSTANCE_REVOKED]
