"""Show who is in a canary, what narrows it, and that an attacker's means don't."""

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from tests.unit.gate.simulators import CLAIMS

from watchword.gate.decisions import (
    HOUR_SECONDS,
    LEAST_REFUSED,
    SAMPLE,
    WARM_UP_SECONDS,
    RolloutState,
    RouteRollout,
    canaries,
    place,
)
from watchword.gate.interface import Rollout, Route
from watchword.reasons import Reason, Refusal
from watchword.tokens.interface import TokenClaims
from watchword.vocabulary import Level, Mode, Proof

NOW = 1_790_000_000.0
LATER = NOW + WARM_UP_SECONDS
LEVEL = (Refusal(Reason.GATE_LEVEL),)
VERSION = (Refusal(Reason.GATE_APP_VERSION),)
ALL = Rollout(share=100, budget=2.0)


def route(canary: Rollout | None = ALL, mode: Mode = Mode.CANARY, name: str = "pay") -> Route:
    """Return a route; its mode is ``canary`` unless told otherwise."""
    return Route(name, "/pay", frozenset(), Level.HARDWARE, Proof.SESSION, mode, canary=canary)


def instance(number: int, version: str | None = "1.2.3") -> TokenClaims:
    """Return the claims of one of many instances."""
    return replace(CLAIMS, subject=f"subject-{number}", app_version=version)


def watched(canary: RouteRollout, instances: range, now: float = NOW) -> RouteRollout:
    """Let instances pass once each."""
    for number in instances:
        canary.record(instance(number), (), now)
    return canary


def refuse(canary: RouteRollout, instances: range, now: float = LATER) -> int:
    """Refuse instances for their level once each; return how often that tripped."""
    return sum(canary.record(instance(number), LEVEL, now) for number in instances)


def test_a_share_takes_about_its_percentage_and_the_same_ones_when_it_grows() -> None:
    """Who was in at 5 percent is in at 30; another route or API picks others."""
    members = {
        share: {
            number
            for number in range(4000)
            if RouteRollout("api", route(Rollout(share=share))).includes(instance(number))
        }
        for share in (5, 30)
    }
    assert members[5] < members[30]
    assert 140 < len(members[5]) < 260
    assert 1080 < len(members[30]) < 1320
    other = {n for n in members[5] if place("api", "other", f"subject-{n}") < 5}
    assert len(other) < len(members[5]) / 4


def test_the_place_is_the_same_on_every_gate() -> None:
    """A digest decides, and nothing of this process."""
    assert place("api", "pay", "subject-1") == pytest.approx(12.807055, abs=1e-6)


@pytest.mark.parametrize(
    ("version", "expected"),
    [("2.0", True), ("2.10", True), ("1.9", False), (None, False), ("2-beta", False)],
)
def test_older_versions_of_a_named_app_stay_out(version: str | None, expected: bool) -> None:
    """From the version on that is written; an app that isn't named takes part with each."""
    canary = RouteRollout("api", route(Rollout(share=100, from_versions={"clinic-ios": "2"})))
    assert canary.includes(instance(1, version)) is expected
    assert canary.includes(replace(instance(1, version), app_id="clinic-android"))


def test_a_roll_out_that_turns_too_many_away_is_halved() -> None:
    """3 percent of 2000 with a budget of 2, hour after hour: once, since fewer than 50 are left then."""
    canary = RouteRollout("api", route())
    shares = []
    for hour in range(6):
        now = LATER + hour * HOUR_SECONDS * 1.01
        watched(canary, range(2000), now - 1)
        watched(canary, range(2000), now)
        refuse(canary, range(60), now + WARM_UP_SECONDS)
        shares.append(canary.state(now).share)
    assert shares == [50.0] * 6


def test_a_broken_roll_out_ends_at_none() -> None:
    """Everybody is turned away: a half for each 50 instances, below one percent none."""
    canary = watched(RouteRollout("api", route()), range(100))
    shares = [
        canary.state(LATER).share
        for number in range(100_000)
        if canary.record(instance(number), LEVEL, LATER)
    ]
    assert shares == [50.0, 25.0, 12.5, 6.25, 3.125, 1.5625, 0.0]
    assert not canary.includes(instance(1))


def test_ten_thousand_refusals_of_ten_instances_never_trip() -> None:
    """An instance counts once an hour, however often it is refused."""
    canary = watched(RouteRollout("api", route()), range(20))
    for turn in range(10_000):
        assert not canary.record(instance(turn % 10), LEVEL, LATER + turn / 10)
    assert canary.state(LATER + 1000).refused == 10
    assert canary.state(LATER + 1000).share == 100.0


def test_forty_nine_instances_never_trip_and_the_fiftieth_does() -> None:
    """Whatever percentage they are."""
    canary = RouteRollout("api", route())
    canary.record(instance(0), (), NOW)
    assert refuse(canary, range(LEAST_REFUSED - 1)) == 0
    assert refuse(canary, range(LEAST_REFUSED - 1, LEAST_REFUSED)) == 1
    assert refuse(canary, range(LEAST_REFUSED)) == 0


def test_fifty_among_ten_thousand_stay_within_the_budget() -> None:
    """Half a percent of everybody who is about, with a budget of two."""
    canary = watched(RouteRollout("api", route()), range(10_000))
    assert refuse(canary, range(60)) == 0
    assert canary.state(LATER).share == 100.0


def test_a_crowd_at_the_full_hour_is_measured_by_the_hour_before() -> None:
    """Before the others are counted anew, a few would be everybody."""
    canary = watched(RouteRollout("api", route()), range(10_000))
    assert refuse(canary, range(60), NOW + HOUR_SECONDS) == 0


def test_a_gate_that_starts_watches_before_it_judges() -> None:
    """A crowd right after a restart doesn't narrow; when it is still there later, it does."""
    canary = RouteRollout("api", route())
    assert refuse(canary, range(100), NOW) == 0
    assert refuse(canary, range(100), NOW + WARM_UP_SECONDS - 1) == 0
    assert refuse(canary, range(100), NOW + WARM_UP_SECONDS) == 1


@pytest.mark.parametrize(
    "reason",
    [
        reason
        for reason in Reason
        if reason not in (Reason.GATE_LEVEL, Reason.GATE_APP_VERSION)
        and not reason.code.startswith("policy.")
    ],
    ids=lambda reason: reason.code,
)
def test_what_attackers_can_make_counts_for_nothing(reason: Reason) -> None:
    """Proofs, replays, signatures, rates, stores: alone or beside a level that is too low."""
    canary = RouteRollout("api", route())
    for number in range(200):
        assert not canary.record(instance(number), (Refusal(reason),), LATER)
        assert not canary.record(instance(number), (*LEVEL, Refusal(reason)), 2 * LATER)
    assert canary.state(LATER).refused == 0


@pytest.mark.parametrize("refusals", [LEVEL, VERSION, (Refusal(Reason.POLICY_PATCH_LEVEL),)])
def test_what_a_rule_does_to_genuine_instances_counts(refusals: tuple[Refusal, ...]) -> None:
    """Level, version and appraisal."""
    canary = watched(RouteRollout("api", route()), range(300))
    trips = [canary.record(instance(number), refusals, LATER) for number in range(60)]
    assert trips.count(True) == 1


def test_who_isnt_in_the_canary_doesnt_count() -> None:
    """Neither for the budget nor among those who are seen."""
    canary = RouteRollout("api", route(Rollout(share=10)))
    outside = [n for n in range(2000) if not canary.includes(instance(n))]
    assert not any(canary.record(instance(n), LEVEL, LATER + 700) for n in outside)
    assert canary.state(LATER).seen == canary.state(LATER).refused == 0


def test_an_instance_counts_at_most_once_an_hour() -> None:
    """Also over the boundary of two hours, and after the share was halved."""
    canary = watched(RouteRollout("api", route()), range(100))
    assert refuse(canary, range(60), NOW + HOUR_SECONDS - 1) == 1
    assert refuse(canary, range(60), NOW + HOUR_SECONDS + 1) == 0
    assert canary.state(NOW + HOUR_SECONDS + 1).refused == 0


def test_a_restart_widens_nothing_unless_the_settings_changed() -> None:
    """The narrowing goes over; another share is an operator's decision, and ends it."""
    canary = watched(RouteRollout("api", route()), range(100))
    assert refuse(canary, range(60)) == 1
    kept = canary.rollout_state
    assert kept == RolloutState(ALL, 50.0, LATER)
    assert RouteRollout("api", route()).rollout_state is None
    again = canaries("api", [route()], {"pay": kept})["pay"]
    assert again.state(LATER).share == 50.0
    assert again.rollout_state == kept
    widened = RouteRollout("api", route(replace(ALL, budget=5.0)), kept)
    assert widened.state(LATER).share == 100.0
    # Whoever writes the file can narrow, and never widen.
    assert RouteRollout("api", route(), replace(kept, share=400.0)).state(NOW).share == 100.0
    assert RouteRollout("api", route(), replace(kept, share=-1.0)).state(NOW).share == 0.0


def test_a_route_in_enforce_only_alarms() -> None:
    """It is never opened, whatever is refused; the alarm goes out after an hour."""
    found = canaries("api", [route(None, Mode.ENFORCE), route(None, Mode.MONITOR, "watch")])
    assert list(found) == ["pay"]
    canary = watched(found["pay"], range(100))
    assert not canary.state(LATER).alarm
    assert refuse(canary, range(60)) == 1
    state = canary.state(LATER)
    assert (state.share, state.alarm, state.tripped_at) == (100.0, True, LATER)
    assert canary.rollout_state is None
    assert all(canary.includes(instance(number)) for number in range(100))
    assert not canary.state(LATER + HOUR_SECONDS).alarm


def test_hundreds_of_thousands_are_counted_in_bounded_memory() -> None:
    """Within a few percent, and both budget and bound hold."""
    canary = watched(RouteRollout("api", route()), range(100_000))
    assert canary.state(NOW).seen == pytest.approx(100_000, rel=0.12)
    assert len(canary._seen._sample[1]) <= SAMPLE
    assert refuse(canary, range(1000)) == 0
    assert refuse(canary, range(4000)) >= 1


def test_a_clock_that_went_back_counts_nobody_twice() -> None:
    """The hour only becomes longer."""
    canary = watched(RouteRollout("api", route()), range(100))
    refuse(canary, range(40))
    assert refuse(canary, range(40), LATER - 10_000) == 0
    assert canary.state(LATER).refused == 40


def test_many_threads_count_as_one_does() -> None:
    """While one thread sweeps the sample, others add to it: nothing breaks, and little is lost."""
    canary = RouteRollout("clinic", route(), None)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            parts = [range(start, 24_000, 8) for start in range(8)]
            list(pool.map(lambda part: watched(canary, part), parts))
    finally:
        sys.setswitchinterval(interval)
    assert 12_000 < canary.state(NOW).seen < 30_000
