"""Show that an opening opens what it names for as long as it says, and no gate can be made to keep one."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.gate.simulators import NOW, PublishedState, policy, request, route, token
from tests.unit.gate.test_bundle import BUNDLE as WHOLE
from tests.unit.gate.test_bundle import KEY, SERVICE

from watchword.encoding import base64url
from watchword.gate.bundle import GateBundle, from_jws, to_jws
from watchword.gate.chain import (
    SNAPSHOT_TYPE,
    ChainError,
    delta_to_line,
    read_delta,
    read_snapshot,
    snapshot_to_line,
    tip_of,
)
from watchword.gate.decisions import RolloutState
from watchword.gate.interface import Rollout
from watchword.gate.openings import (
    LONGEST_OPENING,
    MOST_OPENINGS,
    Opening,
    OpeningCountdown,
    hindrance,
    opened,
)
from watchword.gate.service import Gate
from watchword.reasons import Reason
from watchword.tokens import jose
from watchword.vocabulary import Mode

OPENING = Opening("/v1/**", Mode.MONITOR, NOW + 600)
OPENINGS = (OPENING, Opening("/v2/**", Mode.OFF, NOW + 60))
BUNDLE = replace(WHOLE, revoked=frozenset(), openings=OPENINGS)


def snapshot(bundle: GateBundle = BUNDLE) -> bytes:
    """Return a snapshot that lists nobody."""
    return snapshot_to_line(bundle, b"d" * 12, b"", SERVICE)


def test_openings_travel_in_both_kinds_of_lines() -> None:
    """A change that doesn't mention them leaves them; one that does replaces them all."""
    line = snapshot()
    first = read_snapshot(line, KEY)
    assert first.openings == OPENINGS
    second = replace(first, generation=first.generation + 1)
    following = delta_to_line(first, second, tip_of(line), [], SERVICE)
    assert read_delta(following, KEY, first, tip_of(line)).openings == OPENINGS
    for openings in ((), OPENINGS[:1]):
        last = replace(second, generation=second.generation + 1, openings=openings)
        news = delta_to_line(second, last, tip_of(following), [], SERVICE)
        assert read_delta(news, KEY, second, tip_of(following)).openings == openings


def test_the_first_version_says_nothing_of_them() -> None:
    """Its gates stay closed."""
    written = from_jws(to_jws(BUNDLE, SERVICE), KEY)
    assert written.openings == ()
    assert written.policy == BUNDLE.policy


@pytest.mark.parametrize(
    "changed",
    [
        {"mode": "canary"},
        {"mode": "enforce"},
        {"mode": "best"},
        {"mode": []},
        {"route": ""},
        {"route": 5},
        {"route": OPENINGS[1].route},
        {"until": 0},
        {"until": True},
        {"until": 1.5},
        {"until": None},
        {"more": 1},
    ],
)
def test_crooked_openings_are_refused(changed: dict[str, Any]) -> None:
    """One without an end would never close."""
    line = snapshot()
    jws, _, behind = line.partition(b" ")
    members = json.loads(base64url.decode(jws.split(b".")[1].decode(), 1 << 20))
    members["openings"][0].update(changed)
    crooked = jose.assemble(json.dumps(members).encode(), SNAPSHOT_TYPE, SERVICE).encode()
    with pytest.raises(ChainError):
        read_snapshot(crooked + b" " + behind, KEY)


def test_a_chain_without_them_is_refused() -> None:
    """Whoever leaves the member out says nothing of what is open."""
    line = snapshot()
    jws, _, behind = line.partition(b" ")
    members = json.loads(base64url.decode(jws.split(b".")[1].decode(), 1 << 20))
    del members["openings"]
    crooked = jose.assemble(json.dumps(members).encode(), SNAPSHOT_TYPE, SERVICE).encode()
    with pytest.raises(ChainError, match="openings"):
        read_snapshot(crooked + b" " + behind, KEY)


def test_more_openings_than_gates_take_are_not_made() -> None:
    """A bundle has a bound."""
    many = tuple(replace(OPENING, route=f"r{number}") for number in range(MOST_OPENINGS + 1))
    with pytest.raises(ChainError, match="expected at most 64"):
        snapshot(replace(BUNDLE, openings=many))


def test_only_what_is_stricter_is_opened() -> None:
    """Nor does a key go to somebody whom the gate doesn't know."""
    enforced, watched = route("/a"), route("/b", mode=Mode.MONITOR)
    off, secret = route("/c", mode=Mode.OFF), route("/d/**", secret="maps")
    canary = route("/e", mode=Mode.CANARY, canary=Rollout(10))
    found = {
        each.name: [mode.value for mode in Mode if not hindrance(each, mode)]
        for each in (enforced, watched, off, secret, canary)
    }
    assert found == {
        "/a": ["off", "monitor"],
        "/b": ["off"],
        "/c": [],
        "/d/**": [],
        "/e": ["off", "monitor"],
    }
    table = policy(enforced, watched, off, secret, canary)
    everything = [Opening(each.name, Mode.MONITOR, NOW) for each in table.routes]
    modes = [each.mode.value for each in opened(table, everything).routes]
    assert modes == ["monitor", "monitor", "off", "enforce", "monitor"]
    assert opened(table, everything).routes[4].canary is None
    for nothing in ([], [Opening("another", Mode.OFF, NOW)], everything[1:4]):
        assert opened(table, nothing) is table


@pytest.mark.parametrize("mode", [Mode.MONITOR, Mode.OFF])
def test_a_gate_goes_by_what_is_open(mode: Mode) -> None:
    """In monitor a refusal is told of; closed again, the same request is refused."""
    state = PublishedState()
    gate, written = Gate(state), state.policy
    assert not gate.decide(request(), NOW).allow
    state.policy = opened(written, [replace(OPENING, mode=mode)])
    state.generation += 1
    decision = gate.decide(request(), NOW)
    assert decision.allow
    told = [each.reason for each in decision.refusals]
    assert told == ([Reason.TOKEN_MISSING] if mode is Mode.MONITOR else [])
    assert gate.decide(request(token=token()), NOW).allow
    state.policy = written
    state.generation += 1
    assert not gate.decide(request(), NOW).allow
    assert gate.decide(request(token=token()), NOW).allow


def test_a_canary_that_was_narrowed_stays_so() -> None:
    """An opening widens it neither in this process nor in the next."""
    canary = Rollout(50)
    state = PublishedState(policy=policy(route("/v1/**", mode=Mode.CANARY, canary=canary)))
    narrowed = {"/v1/**": RolloutState(canary, 10.0, NOW)}
    gate, written = Gate(state, narrowed=narrowed), state.policy
    for table in (opened(written, [OPENING]), written):
        assert gate.rollout_states == narrowed
        state.policy = table
        state.generation += 1
        assert gate.decide(request(), NOW).mode is table.routes[0].mode
    assert gate.rollout_states == narrowed
    assert gate.rollout_statuses(NOW)["/v1/**"].share == 10.0


def counting(found: int | None = 1) -> OpeningCountdown:
    """Return a countdown at a gate that found a bundle of a generation at its start."""
    made = OpeningCountdown()
    if found is not None:
        made.take(found, NOW, (), steady=0.0, wall=NOW)
    return made


def test_what_stands_there_at_the_start_is_closed() -> None:
    """It may be of any age; the next thing that the service says opens it."""
    countdown = OpeningCountdown()
    for _ in range(2):
        countdown.take(7, NOW, OPENINGS, steady=100.0, wall=NOW)
        assert countdown.in_force(100.0) == ()
        assert countdown.next_end(100.0) is None
    countdown.take(8, NOW + 60, OPENINGS, steady=160.0, wall=NOW + 60)
    assert countdown.in_force(160.0) == (OPENING,)
    assert countdown.next_end(160.0) == 160.0 + 540


def test_it_ends_without_news() -> None:
    """Each by itself, at its own time."""
    countdown = counting()
    countdown.take(2, NOW, OPENINGS, steady=100.0, wall=NOW)
    assert countdown.in_force(159.9) == OPENINGS
    assert countdown.next_end(100.0) == 160.0
    assert countdown.in_force(160.0) == (OPENING,)
    assert countdown.in_force(699.9) == (OPENING,)
    assert countdown.in_force(700.0) == ()
    assert countdown.next_end(700.0) is None


def test_an_hour_is_the_most() -> None:
    """Whatever the service says."""
    countdown = counting()
    countdown.take(2, NOW, (Opening("a", Mode.OFF, NOW + 10**9),), steady=0.0, wall=0.0)
    assert countdown.next_end(0.0) == LONGEST_OPENING


def test_it_is_told_again_and_ends_when_it_would_have() -> None:
    """Nor does a clock of the service's that was set back prolong it."""
    countdown = counting()
    countdown.take(2, NOW, (OPENING,), steady=0.0, wall=NOW)
    for told in range(3, 60):
        countdown.take(told, NOW - told, (OPENING,), steady=10.0 * told, wall=NOW - 10**6)
    assert countdown.next_end(590.0) == 600.0
    countdown.take(60, NOW, (OPENING,), steady=600.0, wall=NOW)
    assert countdown.in_force(600.0) == ()


def test_what_was_held_back_opens_nothing() -> None:
    """A line of an hour ago is over by the wall clock, if not by any other."""
    countdown = counting()
    countdown.take(2, NOW, (OPENING,), steady=0.0, wall=NOW + 600)
    assert countdown.in_force(0.0) == ()


def test_it_is_closed_before_its_time() -> None:
    """Once a bundle doesn't say it any more."""
    countdown = counting()
    countdown.take(2, NOW, OPENINGS, steady=0.0, wall=NOW)
    countdown.take(3, NOW, OPENINGS[1:], steady=1.0, wall=NOW)
    assert countdown.in_force(1.0) == OPENINGS[1:]


@given(st.lists(st.tuples(st.integers(0, 4000), st.integers(-9000, 9000), st.integers(0, 9000))))
def test_no_order_of_events_keeps_an_opening(steps: list[tuple[int, int, int]]) -> None:
    """Whatever both clocks do and however often it is told: an hour after it was told first, the same opening is over."""
    countdown, steady = counting(), 0
    began: int | None = None
    opening = Opening("a", Mode.OFF, NOW + 9000)
    for generation, (passed, skew, lasts) in enumerate(steps, 2):
        steady += passed
        began = steady if began is None else began
        made_at = opening.until - lasts
        countdown.take(generation, made_at, (opening,), steady=steady, wall=NOW + skew)
        if steady >= began + LONGEST_OPENING:
            assert countdown.in_force(steady) == ()
