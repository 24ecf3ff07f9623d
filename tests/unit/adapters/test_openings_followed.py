"""Show that a gate that follows a chain opens and closes by itself, whatever its files and clocks do."""

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from tests.unit.adapters.test_gate_bundle import Ticks, publish, read_aside
from tests.unit.gate.simulators import NOW, SIGNER, policy, request, token
from tests.unit.gate.test_bundle import BUNDLE as WHOLE
from tests.unit.gate.test_bundle import KEY, SERVICE

from watchword.adapters.gate_bundle import GateBundleFile
from watchword.adapters.gate_bundle.chain_file import append_lines, chain_path, write_chain
from watchword.adapters.gate_bundle.file import SMALL_BYTES
from watchword.adapters.keyring.private_file import Stamp
from watchword.gate.bundle import GateBundle
from watchword.gate.chain import delta_to_line, snapshot_to_line, tip_of
from watchword.gate.interface import GatePolicy
from watchword.gate.openings import Opening
from watchword.gate.service import Gate
from watchword.vocabulary import Mode

BUNDLE = replace(
    WHOLE,
    revoked=frozenset(),
    generation=10,
    made_at=NOW,
    policy=policy(),
    keys=(SIGNER.published(),),
)
ROUTE = next(each for each in BUNDLE.policy.routes if each.mode is Mode.ENFORCE)
DIGESTS = b"".join(number.to_bytes(8) for number in range(SMALL_BYTES // 8))
OPENING = Opening(ROUTE.name, Mode.OFF, NOW + 600)


@dataclass
class Chain:
    """Write an API's chain, and follow it as a gate with clocks that the test moves."""

    path: Path
    steady: Ticks = field(default_factory=Ticks)
    wall: Ticks = field(default_factory=lambda: Ticks(NOW))
    said: GateBundle = BUNDLE
    tip: str = ""
    stamp: Stamp = field(default_factory=lambda: Stamp(0, 0, 0, 0))

    def begin(self, *openings: Opening, digests: bytes = b"") -> None:
        """Write a snapshot."""
        self.said = replace(self.said, generation=self.said.generation + 1, openings=openings)
        line = snapshot_to_line(self.said, b"d" * 12, digests, SERVICE)
        self.tip = tip_of(line)
        self.stamp = write_chain(chain_path(self.path), [line])

    def say(self, *openings: Opening, made_at: int | None = None) -> None:
        """Append a change."""
        at = int(self.wall.at) if made_at is None else made_at
        after = replace(
            self.said, generation=self.said.generation + 1, openings=openings, made_at=at
        )
        line = delta_to_line(self.said, after, self.tip, [], SERVICE)
        self.said, self.tip = after, tip_of(line)
        self.append(line)

    def append(self, line: bytes) -> None:
        """Append a line."""
        self.stamp = append_lines(chain_path(self.path), [line], self.stamp)

    def gate(self) -> GateBundleFile:
        """Start a gate, which looks at the file each time that half a second of the steady time is over."""
        return GateBundleFile(self.path, KEY, self.steady, steady=self.steady, wall=self.wall)

    def passes(self, seconds: float) -> None:
        """Let time pass by both clocks."""
        self.steady.at += seconds
        self.wall.at += seconds


def modes(state: GateBundleFile) -> Sequence[Mode]:
    """Return the modes of the route by the policy that decides, after a look."""
    assert state.trust
    return [each.mode for each in state.policy.routes if each.name == ROUTE.name]


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    """Return a chain in which nothing is open."""
    made = Chain(tmp_path / "clinic.jws")
    made.begin()
    return made


def test_it_opens_and_ends_though_nobody_says_so(chain: Chain) -> None:
    """A gate that is cut off from then on doesn't keep it."""
    state = chain.gate()
    assert modes(state) == [Mode.ENFORCE]
    chain.say(OPENING)
    chain.passes(0.5)
    before = state.trust
    assert modes(state) == [Mode.OFF]
    chain.passes(598.9)
    assert modes(state) == [Mode.OFF]
    assert state.trust == before
    chain.passes(0.6)
    assert modes(state) == [Mode.ENFORCE]
    assert state.trust > before
    assert state.policy is state.bundle.policy


def test_what_engines_are_rendered_from_is_closed(chain: Chain) -> None:
    """The bundle itself says what holds without openings."""
    state = chain.gate()
    chain.say(OPENING)
    chain.passes(1)
    assert modes(state) == [Mode.OFF]
    assert state.bundle.policy == BUNDLE.policy
    assert state.bundle.openings == (OPENING,)


def test_each_request_is_judged_by_what_is_open_at_its_time(chain: Chain) -> None:
    """Also in the half second in which nobody looks at the file; tokens that were verified stay so."""
    state = chain.gate()
    gate = Gate(state)
    asked, valid = request("/v1/patients"), request("/v1/patients", token=token())
    assert not gate.decide(asked, NOW).allow
    chain.say(OPENING)
    chain.passes(0.5)
    assert gate.decide(asked, NOW).allow
    chain.passes(599.25)
    assert gate.decide(asked, NOW).allow
    chain.passes(0.25)
    assert not gate.decide(asked, NOW).allow
    assert gate.decide(valid, NOW).allow


def test_it_is_closed_before_its_time(chain: Chain) -> None:
    """Within half a second after the service said so."""
    state = chain.gate()
    chain.say(OPENING)
    chain.passes(0.5)
    assert modes(state) == [Mode.OFF]
    chain.say()
    chain.passes(0.5)
    assert modes(state) == [Mode.ENFORCE]


def test_a_gate_that_starts_is_closed_until_it_hears_something_new(chain: Chain) -> None:
    """A restart doesn't prolong what a gate was told before it was cut off."""
    chain.say(OPENING)
    states = [chain.gate()]
    for _ in range(3):
        assert modes(states[-1]) == [Mode.ENFORCE]
        chain.passes(100)
        assert modes(states[-1]) == [Mode.ENFORCE]
        states.append(chain.gate())
    state = states[-1]
    chain.say(OPENING)
    chain.passes(0.5)
    assert modes(state) == [Mode.OFF]
    chain.passes(299.4)
    assert modes(state) == [Mode.OFF]
    chain.passes(0.1)
    assert modes(state) == [Mode.ENFORCE]


def test_a_gate_that_starts_before_its_files_is_closed_too(tmp_path: Path) -> None:
    """What comes first may have lain elsewhere for long."""
    chain = Chain(tmp_path / "clinic.jws")
    state = chain.gate()
    chain.begin(OPENING)
    chain.passes(0.5)
    assert modes(state) == [Mode.ENFORCE]


def test_being_told_again_prolongs_nothing(chain: Chain) -> None:
    """Neither by a change, nor by a new snapshot, nor where the file is read anew."""
    state = chain.gate()
    chain.say(OPENING)
    chain.passes(0.5)
    trust = state.trust
    for _ in range(9):
        # The service's clock stands still.
        chain.say(OPENING, made_at=NOW)
        chain.passes(60)
        chain.wall.at = NOW
        assert modes(state) == [Mode.OFF]
        assert state.trust == trust
    chain.begin(OPENING)
    chain.passes(0.5)
    assert modes(state) == [Mode.OFF]
    chain.passes(59.5)
    assert modes(state) == [Mode.ENFORCE]


def test_another_one_in_its_place_makes_no_token_be_verified_again(chain: Chain) -> None:
    """The route stays open until the end of the second."""
    state = chain.gate()
    chain.say(OPENING)
    chain.passes(0.5)
    trust = state.trust
    chain.passes(299.5)
    chain.say(replace(OPENING, until=OPENING.until + 300))
    chain.passes(0.5)
    assert state.trust == trust
    chain.passes(599)
    assert modes(state) == [Mode.OFF]
    assert state.trust == trust
    chain.passes(0.5)
    assert modes(state) == [Mode.ENFORCE]


def test_what_was_held_back_opens_nothing(chain: Chain) -> None:
    """Whoever keeps a line from a gate for an hour, and brings it then."""
    state = chain.gate()
    chain.passes(600)
    chain.say(OPENING, made_at=NOW)
    chain.passes(0.5)
    assert modes(state) == [Mode.ENFORCE]


def test_a_clock_that_is_set_keeps_nothing_open(chain: Chain) -> None:
    """It ends by the steady one, whatever the wall clock shows from then on."""
    state = chain.gate()
    chain.say(OPENING)
    chain.passes(0.5)
    for shown in (NOW - 10**6, NOW + 10**6, NOW):
        chain.wall.at = shown
        assert modes(state) == [Mode.OFF]
    chain.steady.at += 600
    assert modes(state) == [Mode.ENFORCE]


class HeldUp(Ticks):
    """Tell the time, and hold up every thread but the test's for as long as it wishes."""

    def __init__(self) -> None:
        """Hold nobody up yet."""
        super().__init__()
        self.asked, self.free = threading.Event(), threading.Event()

    def __call__(self) -> float:
        """Return the time."""
        if threading.current_thread() is not threading.main_thread():
            self.asked.set()
            self.free.wait()
        return self.at


def test_it_ends_while_a_large_file_is_read(chain: Chain) -> None:
    """Nobody else looks at the file then; the end needs no look."""
    ticks = HeldUp()
    state = GateBundleFile(chain.path, KEY, ticks, steady=chain.steady, wall=chain.wall)
    chain.begin(OPENING, digests=DIGESTS)
    ticks.at += 0.5
    assert state.trust
    ticks.asked.wait()
    assert modes(state) == [Mode.OFF]
    chain.passes(600)
    assert modes(state) == [Mode.ENFORCE]
    ticks.free.set()


def test_an_end_loses_no_news(chain: Chain) -> None:
    """What a large file said meanwhile stays, and the end holds by it too."""
    state = chain.gate()
    chain.say(OPENING)
    chain.passes(0.5)
    assert modes(state) == [Mode.OFF]
    chain.begin(OPENING, digests=DIGESTS)
    read_aside(state, chain.steady)
    assert state.generation == chain.said.generation
    assert modes(state) == [Mode.OFF]
    chain.passes(600)
    assert modes(state) == [Mode.ENFORCE]
    assert state.generation == chain.said.generation


def test_who_reads_the_first_version_alone_stays_closed(chain: Chain) -> None:
    """It says nothing of openings."""
    chain_path(chain.path).unlink()
    publish(chain.path, replace(BUNDLE, openings=(OPENING,)))
    state = chain.gate()
    for generation in (11, 12):
        publish(chain.path, replace(BUNDLE, generation=generation, openings=(OPENING,)))
        chain.passes(0.5)
        assert modes(state) == [Mode.ENFORCE]
        assert state.generation == generation


def test_it_is_told_once_when_it_opens_and_when_it_closes(
    chain: Chain, caplog: pytest.LogCaptureFixture
) -> None:
    """The policy that an application is told of is the one that is written."""
    told: list[GatePolicy] = []
    state = GateBundleFile(
        chain.path, KEY, chain.steady, on_policy=told.append, steady=chain.steady, wall=chain.wall
    )
    with caplog.at_level(logging.WARNING, "watchword.gate"):
        for _ in range(3):
            chain.say(OPENING)
            chain.passes(1)
            assert modes(state) == [Mode.OFF]
        chain.passes(600)
        assert modes(state) == [Mode.ENFORCE]
    assert told == [BUNDLE.policy]
    assert [each.getMessage() for each in caplog.records] == [
        f"{ROUTE.name}: opened for a while, to mode off",
        f"{ROUTE.name}: closed again, it goes by its own mode",
    ]


def test_a_change_of_the_policy_under_an_opening(chain: Chain) -> None:
    """The rest of it counts at once, and what is open stays so until its end."""
    state = chain.gate()
    chain.say(OPENING)
    chain.passes(0.5)
    written = chain.said.policy
    routes = (*written.routes, replace(ROUTE, name="another", pattern="/another"))
    after = replace(chain.said, policy=replace(written, routes=routes))
    after = replace(after, generation=after.generation + 1)
    line = delta_to_line(chain.said, after, chain.tip, [], SERVICE)
    before = state.trust
    chain.append(line)
    chain.passes(0.5)
    assert state.trust > before
    assert modes(state) == [Mode.OFF]
    assert len(state.policy.routes) == len(routes)
    chain.passes(600)
    assert modes(state) == [Mode.ENFORCE]
    assert state.policy.routes == routes
