"""Show that who came first is served first, the rate is held, nobody is locked out, and no place is worth more than it is."""

import heapq
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.enrolment.simulators import NOW, SeededEntropy

from watchword.encoding import base64url
from watchword.enrolment.pace import (
    FURTHEST_SECONDS,
    HOLD_SECONDS,
    LIFE_SECONDS,
    LONGEST_SECONDS,
    MOST_AHEAD,
    NO_STATE,
    NONCES,
    PLACE_BYTES,
    LaterError,
    LineState,
    Pace,
    PaceRates,
    PaceState,
    Place,
    PlaceSeal,
    Ramp,
    told_wait,
)
from watchword.gate.interface import Rate
from watchword.gate.limits import RateLimiter
from watchword.reasons import Reason

APP = "clinic-ios"
KEY = bytes(range(32))
STEADY = PaceRates(10.0, 10.0, 0.0)
"""Ten a second, from the start on."""


@dataclass
class Yard:
    """Let time pass, and phones ask."""

    rates: PaceRates = STEADY
    tally: Callable[[str, float], float] | None = None
    kept: Mapping[str, PaceState] = field(default_factory=lambda: NO_STATE)
    at: float = 0.0
    wall: datetime = NOW
    seed: bytes = b"yard"
    pace: Pace = field(init=False)

    def __post_init__(self) -> None:
        """Start the service."""
        self.pace = Pace(
            self.rates,
            [APP, "clinic-android"],
            PlaceSeal("https://watchword.example", KEY),
            entropy=SeededEntropy(self.seed),
            steady=lambda: self.at,
            tally=self.tally,
            kept=self.kept,
        )

    def pass_by(self, seconds: float) -> None:
        """Let time pass."""
        self.at += seconds
        self.wall += timedelta(seconds=seconds)

    def ask(self, place: str | None = None, address: str | None = None, app: str = APP) -> Any:
        """Ask for a challenge; return the nonce (None for a fresh one), or why it is later."""
        try:
            return self.pace.admit(app, place, address, self.wall)
        except LaterError as later:
            return later

    def fill(self) -> LaterError:
        """Ask until somebody has to wait; return that one's answer."""
        while not isinstance(answer := self.ask(), LaterError):
            pass
        return answer

    def called(self, place: str, seconds: float = 0.5) -> float:
        """Ask with a place again and again; return after how many seconds it was let in."""
        began = self.at
        while isinstance(answer := self.ask(place), LaterError):
            place = answer.place
            self.pass_by(seconds)
            assert self.at - began < 1e6, "it is never called"
        return self.at - began


@dataclass
class Crowd:
    """Hold who was let in, and when."""

    order: list[int]
    admitted: dict[int, float]

    def most_within(self, seconds: float) -> int:
        """Return how many were let in within so many seconds at most."""
        times = sorted(self.admitted.values())
        most, begin = 0, 0
        for end, at in enumerate(times):
            while times[begin] < at - seconds:
                begin += 1
            most = max(most, end - begin + 1)
        return most


def crowd(
    yard: Yard,
    arrivals: Sequence[float],
    *,
    comes: Callable[[int], bool] = lambda _: True,
    address: Callable[[int], str | None] = lambda _: None,
    delay: Callable[[int], float] = lambda _: 0.0,
) -> Crowd:
    """Let phones arrive; each comes back when it was told to, where it comes back at all."""
    found = Crowd([], {})
    due: list[tuple[float, int, str | None]] = [(at, n, None) for n, at in enumerate(arrivals)]
    heapq.heapify(due)
    while due:
        at, phone, place = heapq.heappop(due)
        yard.pass_by(max(0.0, at - yard.at))
        answer = yard.ask(place, address(phone))
        if isinstance(answer, LaterError):
            if comes(phone):
                again = at + answer.retry_after + delay(phone)
                heapq.heappush(due, (again, phone, answer.place))
        else:
            found.order.append(phone)
            found.admitted[phone] = at
        assert len(found.order) <= len(arrivals)
    return found


def test_who_comes_first_is_served_first_and_all_are() -> None:
    """4,000 phones within 80 s, ten a second: nobody goes before another by more than the seconds that answers have."""
    arrivals = [number / 50 for number in range(4000)]
    found = crowd(Yard(), arrivals)
    assert sorted(found.order) == list(range(4000))
    assert max(phone - place for place, phone in enumerate(found.order)) <= 30
    waited = max(at - arrivals[phone] for phone, at in found.admitted.items())
    # 400 s of work, 80 of which pass while they arrive.
    assert waited <= 330
    assert found.most_within(60.0) <= 10 * 60 + 100 + 1


@settings(max_examples=40, deadline=None)
@given(
    rate=st.floats(0.05, 200),
    gaps=st.lists(st.floats(0, 3), min_size=1, max_size=120),
    stays=st.integers(1, 5),
    late=st.lists(st.floats(0, 500), min_size=1, max_size=7),
)
def test_whoever_comes_back_is_let_in_and_the_rate_is_held(
    rate: float, gaps: list[float], stays: int, late: list[float]
) -> None:
    """Whatever the rate, whoever stays away, however late others come: within the rate, and all who come get in."""
    arrivals, at = [], 0.0
    for gap in gaps:
        at += gap
        arrivals.append(at)
    found = crowd(
        Yard(PaceRates(rate, rate, 0.0)),
        arrivals,
        comes=lambda phone: phone % stays == 0,
        delay=lambda phone: late[phone % len(late)],
    )
    assert set(range(0, len(arrivals), stays)) <= set(found.order)


def test_those_who_stay_away_hold_nobody_up_for_long() -> None:
    """Of ten one comes back: the nine others' turns aren't wasted, and what is let in stays within the rate."""
    arrivals = [number / 50 for number in range(20_000)]
    found = crowd(Yard(), arrivals, comes=lambda phone: phone % 10 == 0)
    waits = [at - arrivals[phone] for phone, at in found.admitted.items() if phone % 10 == 0]
    assert len(waits) == 2000
    # Were each called in turn, the last would wait for 1,600 s.
    assert max(waits) < 400
    assert found.most_within(60.0) <= 10 * 60 + 100 + 1


@pytest.mark.parametrize("doubles", [0.0, 600.0])
def test_phones_that_come_when_their_app_is_opened_next_use_the_rate_and_hold_it(
    doubles: float,
) -> None:
    """Most come long after they were told to: what those called leave goes to whoever is there, and the ramp grows by it."""
    seconds, phones = 1200.0, 4000
    arrivals = [number / 20 for number in range(phones)]
    yard = Yard(PaceRates(0.05 if doubles else 0.5, 0.5, doubles))
    found = crowd(yard, arrivals, delay=lambda phone: seconds * (0.5 + phone * 7919 % 1009 / 1009))
    assert sorted(found.order) == list(range(phones))
    assert found.most_within(60.0) <= 0.5 * 60 + 0.5 * 10 + 1
    # 8,000 s of work, and the time that the last few take until they come.
    times = sorted(found.admitted.values())
    ramped = 4000 if doubles else 0
    assert times[int(phones * 0.9)] <= 0.9 * phones / 0.5 * 1.25 + ramped
    # The first quarter of those that came is in before the last one, but for some that stayed away long.
    early, late = (
        times_of(found, range(phones // 4)),
        times_of(found, range(phones * 3 // 4, phones)),
    )
    assert early[len(early) // 2] < late[len(late) // 2]


def times_of(found: Crowd, phones: range) -> list[float]:
    """Return when these were let in, in order."""
    return sorted(found.admitted[phone] for phone in phones)


def test_whoever_was_called_long_ago_comes_in_within_the_rate_too() -> None:
    """Five hundred come back the next morning, all at once: the bucket's worth is let in, and the others come again one after another."""
    yard = Yard()
    yard.fill()
    places = [yard.ask().place for _ in range(500)]
    for _ in range(180):
        yard.pass_by(60)
        yard.pace.view()
    answers = [yard.ask(place) for place in places]
    told = [each.retry_after for each in answers if isinstance(each, LaterError)]
    assert len(places) - len(told) == 100
    # Not all within one second: those would meet again, and again.
    assert len(set(told)) > 20
    assert max(told) <= 120
    for place in places:
        yard.called(place)


def test_one_place_of_long_ago_takes_nobody_s_turn() -> None:
    """However often it comes it is counted once."""
    yard = Yard()
    place = yard.fill().place
    for _ in range(180):
        yard.pass_by(60)
        yard.pace.view()
    for _ in range(5000):
        assert isinstance(yard.ask(place), bytes)
    assert not isinstance(yard.ask(), LaterError)


def test_a_place_far_behind_needs_no_memory_for_all_before_it() -> None:
    """Somebody who takes places by the hundred million costs no byte each, and is let in once where there is room."""
    empty = LineState(0, 0.0)
    states = {APP: PaceState(bytes(8), 0.0, (LineState(400_000_000, 10.0), empty))}
    yard = Yard(kept=states)
    place = yard.ask().place
    yard.pass_by(61)
    yard.pace.view()
    yard.pass_by(10)
    nonces = {yard.ask(place) for _ in range(100)}
    assert len(nonces) == NONCES
    assert all(isinstance(nonce, bytes) for nonce in nonces)
    assert yard.pace.view()[APP].outcomes["called"] == 100


def test_an_address_that_asks_often_gets_nothing_before_its_turn() -> None:
    """It is there all the time: room that those called leave is for others, as long as they wait."""
    tally = RateLimiter(Rate(1, 600)).take
    yard = Yard(tally=tally)
    yard.ask(address="192.0.2.1")
    yard.fill()
    others = [yard.ask(address=f"p{number}").place for number in range(2000)]
    busy = [yard.ask(address="192.0.2.1").place for _ in range(2000)]
    yard.pass_by(61)
    yard.pace.view()
    yard.pass_by(10)
    assert isinstance(yard.ask(busy[-1]), LaterError)
    assert isinstance(yard.ask(others[-1]), bytes)
    assert isinstance(yard.ask(others[-1]), bytes)


def test_a_flood_of_places_that_nobody_wants() -> None:
    """20,000 places are taken in 20 s and never used: who comes afterwards waits a part of what they would take."""
    flood = [number / 1000 for number in range(20_000)]
    genuine = [30 + number / 5 for number in range(1500)]
    found = crowd(Yard(), flood + genuine, comes=lambda phone: phone >= len(flood))
    waits = sorted(
        at - (flood + genuine)[phone] for phone, at in found.admitted.items() if phone >= len(flood)
    )
    assert len(waits) == 1500
    assert waits[-1] < 1200
    assert waits[len(waits) // 2] < 300


def test_one_address_that_keeps_every_promise_holds_up_itself() -> None:
    """A hundred a second from one address, all of which come back: others go on, and one behind it is let in too."""
    flood = [number / 100 for number in range(10_000)]
    others = [30 + number / 2 for number in range(200)]
    behind = [60.0]
    arrivals = flood + others + behind
    tally = RateLimiter(Rate(100, 600)).take
    last = len(arrivals) - 1
    found = crowd(
        Yard(tally=tally),
        arrivals,
        address=lambda phone: "192.0.2.1" if phone < 10_000 or phone == last else f"p{phone}",
    )
    waits = [found.admitted[phone] - arrivals[phone] for phone in range(10_000, last)]
    assert max(waits) < 60
    # In its turn among those of its address, with half of the rate and more.
    assert found.admitted[last] - 60 < 6000 / 5


@pytest.mark.parametrize("part", range(PLACE_BYTES))
def test_a_forged_place_is_none(part: int) -> None:
    """One bit is another place: it counts as none, and its bringer stands at the end."""
    yard = Yard()
    genuine = base64url.decode(yard.fill().place)
    bent = bytearray(genuine)
    bent[part] ^= 1
    later = yard.ask(base64url.encode(bytes(bent)))
    assert isinstance(later, LaterError)
    seal = PlaceSeal("https://watchword.example", KEY)
    first, second = seal.open(base64url.encode(genuine), APP), seal.open(later.place, APP)
    assert first is not None
    assert second is not None
    assert second.number == first.number + 1
    assert yard.pace.view()[APP].outcomes["forged"] == 1


def test_a_place_is_of_one_app_one_issuer_and_one_key() -> None:
    """Nobody brings what another service or another app gave out."""
    place = Place(bytes(8), 1, 7, 1_800_000_000, bytes(range(8)))
    sealed = PlaceSeal("https://watchword.example", KEY).seal(place, APP)
    assert len(sealed) == 88
    assert PlaceSeal("https://watchword.example", KEY).open(sealed, APP) == place
    assert PlaceSeal("https://watchword.example", KEY).open(sealed, "clinic-android") is None
    assert PlaceSeal("https://watchword.test", KEY).open(sealed, APP) is None
    assert PlaceSeal("https://watchword.example", KEY[::-1]).open(sealed, APP) is None
    assert repr(PlaceSeal("i", KEY)) == "PlaceSeal(...)"


@given(st.one_of(st.text(max_size=200), st.binary(max_size=90).map(base64url.encode)))
def test_whatever_somebody_brings_is_read_or_none(text: str) -> None:
    """No text is an error."""
    assert PlaceSeal("https://watchword.example", KEY).open(text, APP) is None


def test_a_place_that_comes_again_and_again_takes_nobody_s_turn() -> None:
    """A copied place is let in as often as it comes: with four nonces, and all others come in as if it weren't there."""
    yard = Yard()
    place = yard.fill().place
    others = [yard.ask().place for _ in range(200)]
    yard.called(place)
    nonces = Counter(yard.ask(place) for _ in range(5000))
    assert len(nonces) == NONCES
    assert all(isinstance(nonce, bytes) and len(nonce) == 16 for nonce in nonces)
    began = yard.at
    for other in others:
        yard.called(other, 0.05)
    assert yard.at - began < 200 / 10 + 10
    assert not set(nonces) & {yard.ask(other) for other in others}


def test_a_nonce_stays_the_place_s_own_when_its_turn_is_told_anew() -> None:
    """Else each answer would make another enrolment of one place."""
    yard = Yard()
    first = yard.fill().place
    again = yard.ask(first)
    assert isinstance(again, LaterError)
    seal = PlaceSeal("https://watchword.example", KEY)
    before, after = seal.open(first, APP), seal.open(again.place, APP)
    assert before is not None
    assert after is not None
    later = after._replace(turn=after.turn + 100)
    for choice in range(NONCES):
        assert seal.nonce(before, choice) == seal.nonce(later, choice)
        for changed in (
            before._replace(number=before.number + 1),
            before._replace(id=bytes(8)),
            before._replace(line=1),
            before._replace(queue=bytes(8)),
        ):
            assert seal.nonce(before, choice) != seal.nonce(changed, choice)


def test_a_called_place_ends_and_one_that_waits_does_not() -> None:
    """18 hours after its turn it is worth nothing: nobody lays up places for a bad day."""
    yard = Yard()
    place = yard.fill().place
    yard.pass_by(30)
    assert isinstance(yard.ask(place), bytes)
    yard.pass_by(LIFE_SECONDS - 60)
    assert isinstance(yard.ask(place), bytes)
    yard.pass_by(120)
    assert yard.ask(place) is None
    assert yard.pace.view()[APP].outcomes["ended"] == 1


def test_a_clock_that_is_set_changes_no_order() -> None:
    """An hour back, two days ahead: who waits goes on waiting, and is called in his turn."""
    for step in (-3600, 2 * 86400, -400 * 86400, 400 * 86400):
        yard = Yard()
        yard.fill()
        places = [yard.ask().place for _ in range(40)]
        yard.wall += timedelta(seconds=step)
        assert isinstance(yard.ask(places[-1]), LaterError)
        assert yard.pace.view()[APP].outcomes.get("ended", 0) == 0
        assert yard.called(places[0], 0.1) < 20
        assert yard.called(places[-1], 0.1) < 20


def test_a_restart_goes_on_where_it_was() -> None:
    """Who came before it comes before whoever comes after it."""
    yard = Yard()
    yard.fill()
    before = [yard.ask().place for _ in range(50)]
    after_it = Yard(kept=yard.pace.state(), wall=yard.wall, seed=b"second")
    late = after_it.fill().place
    assert after_it.called(before[0], 0.1) < 20
    assert after_it.called(before[-1], 0.1) < 20
    assert after_it.called(late, 0.1) < 20
    assert after_it.pace.view()[APP].outcomes["called"] == 3


def test_what_a_crash_forgot_is_learnt_from_who_comes_back() -> None:
    """Numbers of the last seconds come twice, and nobody is forgotten for it."""
    yard = Yard()
    yard.fill()
    kept = yard.pace.state()
    forgotten = [yard.ask().place for _ in range(30)]
    after_it = Yard(kept=kept, wall=yard.wall, seed=b"second")
    twins = [after_it.ask() for _ in range(100)]
    for place in forgotten:
        after_it.called(place, 0.1)
    for twin in twins:
        if isinstance(twin, LaterError):
            after_it.called(twin.place, 0.1)
    # Nobody else comes: what isn't known to have been given out is called all the same.
    alone = Yard(kept=kept, wall=yard.wall, seed=b"third")
    assert alone.called(forgotten[-1], 0.1) < 30


def test_a_loss_of_the_numbers_locks_nobody_out() -> None:
    """A place of other numbers counts from its turn on, or is moved to where it is sooner."""
    yard = Yard()
    yard.fill()
    places = [yard.ask().place for _ in range(100)]
    lost = Yard(wall=yard.wall, seed=b"lost")
    # Nobody waits there: whoever came before is let in like whoever comes now.
    assert not isinstance(lost.ask(places[-1]), LaterError)
    assert lost.pace.view()[APP].outcomes["moved"] == 1
    lost.fill()
    crowd_there = [lost.ask() for _ in range(1000)]
    assert isinstance(crowd_there[-1], LaterError)
    began = lost.at
    assert lost.called(places[50], 0.5) <= 12
    assert lost.at - began < 12
    assert isinstance(lost.ask(crowd_there[-1].place), LaterError)


@pytest.mark.parametrize("nodes", [2, 3])
def test_nodes_that_know_nothing_of_one_another_hold_their_rates_together(nodes: int) -> None:
    """Each answer of a crowd comes from another node: all get in, about in order, and not faster than the nodes' rates."""
    yards = [Yard(PaceRates(5, 5, 0), seed=bytes([number])) for number in range(nodes)]
    arrivals = [number / 50 for number in range(4000)]
    found = Crowd([], {})
    due: list[tuple[float, int, str | None]] = [(at, n, None) for n, at in enumerate(arrivals)]
    asks = 0
    while due:
        at, phone, place = heapq.heappop(due)
        asks += 1
        for yard in yards:
            yard.pass_by(max(0.0, at - yard.at))
        answer = yards[asks * 7919 % 1009 % nodes].ask(place)
        if isinstance(answer, LaterError):
            heapq.heappush(due, (at + answer.retry_after, phone, answer.place))
        else:
            found.order.append(phone)
            found.admitted[phone] = at
    assert sorted(found.order) == list(range(4000))
    assert found.most_within(60.0) <= nodes * (5 * 60 + 50 + 1)
    assert max(found.admitted.values()) <= 4000 / (nodes * 5) * 1.3
    assert max(phone - place for place, phone in enumerate(found.order)) <= 400


def test_a_copied_place_of_another_node_takes_nobody_s_turn() -> None:
    """It is counted once, however often it comes."""
    one, other = Yard(), Yard(seed=b"other")
    one.fill()
    place = one.ask().place
    line = [other.ask() for _ in range(200)]
    waiting = [answer.place for answer in line if isinstance(answer, LaterError)]
    for yard in (one, other):
        yard.pass_by(10)
    for _ in range(5000):
        assert isinstance(other.ask(place), bytes)
    began = other.at
    for each in waiting:
        other.called(each, 0.05)
    assert other.at - began < len(waiting) / 10 + 10


def test_guests_come_in_within_the_rate_too() -> None:
    """Places of a lost file whose turns have come all at once are let in at the rate, each in the end."""
    one, other = Yard(), Yard(seed=b"other")
    one.fill()
    places = [one.ask().place for _ in range(500)]
    other.pass_by(100)
    assert sum(not isinstance(other.ask(place), LaterError) for place in places) <= 100
    for place in places:
        other.called(place)


def test_a_place_of_a_very_long_line_counts_elsewhere() -> None:
    """Its turn is told as a month off at most: further off is what a wrong clock wrote, and counts as none."""
    slow, other = Yard(PaceRates(1e-6, 1e-6, 0.0)), Yard(PaceRates(1e-6, 1e-6, 0.0), seed=b"other")
    slow.fill()
    place = [slow.ask().place for _ in range(10)][-1]
    for _ in range(50):
        other.ask()
    assert isinstance(other.ask(place), LaterError)
    outcomes = other.pace.view()[APP].outcomes
    assert (outcomes.get("ended", 0), outcomes.get("moved", 0)) == (0, 0)


def test_what_slept_for_an_hour_calls_no_crowd() -> None:
    """A process that was stopped goes on with a minute's worth at most."""
    yard = Yard()
    yard.fill()
    places = [yard.ask().place for _ in range(20_000)]
    yard.pass_by(3600)
    admitted = sum(not isinstance(yard.ask(place), LaterError) for place in places)
    assert admitted <= 10 * 10 + 1
    assert yard.pace.state()[APP].lines[0].called <= 10 * 60 + 1


def test_lines_of_apps_are_their_own() -> None:
    """A launch of one app holds up no other; an app that nobody knows is its caller's to refuse."""
    yard = Yard()
    yard.fill()
    assert yard.ask(app="clinic-android") is None
    assert yard.ask(app="nobody's") is None


def test_whoever_waits_long_is_told_half_of_it() -> None:
    """The line may move faster by then; nobody is sent away for more than half an hour."""
    assert told_wait(-5) == told_wait(0) == 1
    assert told_wait(119) == 119
    assert told_wait(150) == 120
    assert told_wait(1000) == 500
    assert told_wait(FURTHEST_SECONDS) == LONGEST_SECONDS
    later = Yard(PaceRates(1e-6, 1e-6, 0.0)).fill()
    assert later.reason is Reason.ENROLMENT_LATER
    assert later.retry_after == LONGEST_SECONDS


def used(ramp: Ramp, at: float, share: float = 1.0) -> float:
    """Let a round pass in which so much of the rate was used; return when it ends."""
    for _ in range(int(ramp.rate * 60 * share)):
        ramp.use()
    at += 60
    ramp.advance(at)
    return at


def test_the_ramp_grows_while_it_is_used() -> None:
    """Twofold in the time that the file says, and to the most at most; what nobody uses doesn't grow."""
    ramp, at = Ramp(PaceRates(10, 35, 600), 0.0), 0.0
    for _ in range(10):
        at = used(ramp, at)
    assert ramp.rate == pytest.approx(20)
    for _ in range(30):
        at = used(ramp, at, 0.3)
    assert ramp.rate == pytest.approx(20)
    for _ in range(30):
        at = used(ramp, at, 0.6)
    assert ramp.rate == 35


def test_only_errors_of_transport_slow_the_ramp_and_never_below_its_floor() -> None:
    """Three in a round and a tenth of all; it is held for ten minutes afterwards."""
    ramp, at = Ramp(PaceRates(10, 80, 60), 0.0), 0.0
    for _ in range(3):
        at = used(ramp, at)
    assert ramp.rate == 80
    for answered, failed, rate in ((0, 2, 80), (31, 3, 80), (27, 3, 40)):
        for _ in range(answered):
            ramp.hear(answered=True)
        for _ in range(failed):
            ramp.hear(answered=False)
        at = used(ramp, at)
        assert ramp.rate == rate
    held = at
    assert ramp.is_held(at)
    while at < held + HOLD_SECONDS - 60:
        at = used(ramp, at)
        assert ramp.rate == 40
    at = used(ramp, used(ramp, at))
    assert ramp.rate == 80
    for _ in range(20):
        for _ in range(50):
            ramp.hear(answered=False)
        at = used(ramp, at)
        assert ramp.rate >= 10
    assert ramp.rate == 10


def test_a_kept_rate_is_gone_on_with_within_the_bounds_of_the_file() -> None:
    """Also where the file says other bounds by now."""
    rates = PaceRates(10, 80, 600)
    assert Ramp(rates, 0.0).rate == 10
    assert Ramp(PaceRates(10, 80, 0), 0.0).rate == 80
    assert [Ramp(rates, 0.0, kept).rate for kept in (1, 30, 900)] == [10, 30, 80]


def test_refusals_slow_nothing() -> None:
    """What strangers send has no way to the ramp: a million asks change no rate."""
    yard = Yard(PaceRates(10, 10, 60))
    for _ in range(2000):
        yard.ask("nonsense")
        yard.pass_by(0.5)
    assert yard.pace.view()[APP].rate == 10


def test_calling_ahead_is_bounded() -> None:
    """Whoever takes places and stays away can't have the whole line called at once."""
    yard = Yard()
    yard.fill()
    for _ in range(50_000):
        yard.ask()
    for _ in range(600):
        yard.pass_by(1)
        before = yard.pace.state()[APP].lines[0].called
        yard.pace.view()
        assert yard.pace.state()[APP].lines[0].called - before <= 10 * MOST_AHEAD + 10
