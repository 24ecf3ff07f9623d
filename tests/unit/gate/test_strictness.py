"""Show which of two rows is stricter, and that rows which each ask for something more don't compare."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.gate.simulators import route

from watchword.gate.interface import Limit, LimitKind, Rollout, Route
from watchword.gate.spellings import Demands, demands_of, is_as_strict
from watchword.vocabulary import Level, Mode, Proof

BASE = route("/a", level=Level.VERIFIED, proof=Proof.SESSION, minimum_versions={"clinic-ios": "2"})
OWN = Limit("own", LimitKind.QUOTA, 5, 60, frozenset({"/a"}))
ALL = Limit("all", LimitKind.RATE, 5, 60)
STRICTER: list[tuple[str, Route]] = [
    ("level", replace(BASE, level=Level.HARDWARE)),
    ("proof", replace(BASE, proof=Proof.DEVICE)),
    ("body", replace(BASE, max_body=7)),
    ("version", replace(BASE, minimum_versions={"clinic-ios": "2.1"})),
    ("app", replace(BASE, minimum_versions={"clinic-ios": "2", "clinic-android": "1"})),
]


def compare(one: Route, other: Route, limits: tuple[Limit, ...] = ()) -> tuple[bool, bool]:
    """Return whether one is as strict as the other, and the other as the one."""
    mine, theirs = demands_of(one, limits), demands_of(other, limits)
    return is_as_strict(mine, theirs), is_as_strict(theirs, mine)


@pytest.mark.parametrize(("respect", "stricter"), STRICTER)
def test_each_respect(respect: str, stricter: Route) -> None:
    """Whoever asks for more in one respect, and for as much in all others, is stricter."""
    assert compare(stricter, BASE) == (True, False), respect
    assert compare(BASE, replace(BASE, name="other", pattern="/b")) == (True, True)


def test_nobody_is_stricter_in_one_respect_alone() -> None:
    """Of two rows that each ask for something more, neither is the stricter one."""
    for (_, one), (_, other) in itertools.combinations(STRICTER, 2):
        if {
            one.minimum_versions == BASE.minimum_versions,
            one.minimum_versions == other.minimum_versions,
        } != {False}:
            assert compare(one, other) == (False, False), (one, other)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        # What a row that refuses nobody would ask for counts for nothing against one that refuses.
        (route("/a", proof=Proof.BEARER), route("/b", mode=Mode.OFF), (True, False)),
        (
            route("/a", level=Level.SOFTWARE),
            route("/b", mode=Mode.MONITOR, proof=Proof.DEVICE),
            (True, False),
        ),
        (
            route("/a", mode=Mode.MONITOR, level=Level.SOFTWARE),
            route("/b", mode=Mode.OFF),
            (True, False),
        ),
        # Of two that watch, each reports something else.
        (
            route("/a", mode=Mode.MONITOR, level=Level.SOFTWARE, proof=Proof.SESSION),
            route("/b", mode=Mode.MONITOR),
            (False, False),
        ),
        (
            route("/a"),
            route("/b", mode=Mode.CANARY, canary=Rollout(10)),
            (True, False),
        ),
        (
            route("/a", mode=Mode.CANARY, canary=Rollout(10)),
            route("/b", mode=Mode.CANARY, canary=Rollout(20)),
            (False, False),
        ),
        (
            route("/a"),
            route("/b", mode=Mode.CANARY, canary=Rollout(10), proof=Proof.SESSION),
            (False, False),
        ),
        # DPoP covers neither query nor body, as a session's proof does.
        (
            route("/a", proof=Proof.DEVICE, dpop=True),
            route("/b", proof=Proof.SESSION),
            (False, False),
        ),
        (
            route("/a", proof=Proof.DEVICE),
            route("/b", proof=Proof.DEVICE, dpop=True),
            (True, False),
        ),
        (route("/a", proof=Proof.DEVICE, dpop=True), route("/b"), (True, False)),
        # A size counts for nothing where no proof covers a body.
        (route("/a", proof=Proof.SESSION, max_body=99), route("/b", max_body=7), (True, False)),
        # A key goes to another server.
        (route("/a", proof=Proof.DEVICE, secret="maps"), route("/b"), (False, False)),
        (route("/a", secret="maps"), route("/b", secret="mail"), (False, False)),
        (route("/a", secret="maps"), route("/b", mode=Mode.OFF), (False, False)),
    ],
)
def test_pairs(one: Route, other: Route, expected: tuple[bool, bool]) -> None:
    """Modes, proofs, canaries and keys compare as the docstring says."""
    assert compare(one, other) == expected


def test_limits() -> None:
    """A limit that counts one row alone is asked for by that row; one that counts all is everybody's."""
    other = replace(BASE, name="other")
    assert compare(replace(BASE, name="/a"), other, (OWN, ALL)) == (True, False)
    assert compare(replace(BASE, name="/a", level=Level.NONE), other, (OWN, ALL)) == (False, False)


DEMANDS = st.builds(
    Demands,
    mode=st.sampled_from(Mode),
    level=st.integers(0, 3),
    proof=st.sampled_from(Proof),
    dpop=st.booleans(),
    max_body=st.sampled_from([7, 9]),
    minimum_versions=st.sampled_from([(), (("a", "1"),), (("a", "2"),), (("b", "1"),)]),
    canary=st.none(),
    secret=st.sampled_from([None, "maps"]),
    limits=st.sampled_from([frozenset(), frozenset({"own"})]),
)


@given(DEMANDS, DEMANDS, DEMANDS)
def test_it_is_an_order(one: Demands, other: Demands, third: Demands) -> None:
    """Each row is as strict as itself, and what is as strict as a stricter one is as strict as the least."""
    assert is_as_strict(one, one)
    if is_as_strict(one, other) and is_as_strict(other, third):
        assert is_as_strict(one, third)
