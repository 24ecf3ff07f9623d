"""Show what limits let pass: exactly what a naive model does, and never half of a request."""

import asyncio
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.gate.proofs import Prover, facts
from tests.unit.gate.simulators import (
    CLAIMS,
    NOW,
    PublishedState,
    policy,
    published,
    request,
    route,
    token,
)

from watchword.adapters.replay.memory import MemoryReplayStore
from watchword.adapters.system import SystemEntropy
from watchword.gate.interface import Decision, Limit, LimitKind, Rate
from watchword.gate.limits import Limits, LimitTally, QuotaCounter, QuotaWindow, RateLimiter
from watchword.gate.service import Gate
from watchword.reasons import Reason
from watchword.tokens.interface import TokenClaims
from watchword.vocabulary import Mode, Proof

DAY = 86_400
MIDNIGHT = NOW // DAY * DAY
GOOD = token()


def quota(requests: int = 2, seconds: int = DAY, name: str = "bookings", **others: Any) -> Limit:
    """Return a quota."""
    return Limit(name, LimitKind.QUOTA, requests, seconds, **others)


def flow(requests: int = 2, seconds: int = 60, name: str = "flow", **others: Any) -> Limit:
    """Return a limit that is refilled evenly."""
    return Limit(name, LimitKind.RATE, requests, seconds, **others)


def limits(*them: Limit, rate: Rate | None = None) -> Limits:
    """Return limits over two routes."""
    return Limits(policy(route("/a/**"), route("/b/**"), limits=them, rate=rate))


def passes(held: Limits, count: int, at: str = "/a/**", now: float = NOW, **who: Any) -> int:
    """Return how many of so many requests of an instance pass."""
    claims = replace(CLAIMS, **who)
    return sum(held.take(at, claims, now) is None for _ in range(count))


# What the model below says of one limit, from nothing but the times at which requests passed.


@dataclass
class Naive:
    """Hold the times of an instance's requests that a limit counted."""

    limit: Limit
    times: list[int] = field(default_factory=list)

    def has_room(self, now: int) -> bool:
        """Tell whether one more request fits."""
        requests, seconds = self.limit.requests, self.limit.seconds
        if self.limit.kind is LimitKind.QUOTA:
            window = now // seconds
            return sum(time // seconds == window for time in self.times) < requests
        level, at = Fraction(requests), None
        for time in [*self.times, now]:
            if at is not None:
                level = min(Fraction(requests), level + Fraction((time - at) * requests, seconds))
            level, at = level - 1, time
        return level >= 0


LIMITS = st.builds(
    Limit,
    name=st.just(""),
    kind=st.sampled_from(LimitKind),
    requests=st.integers(1, 4),
    # Whole seconds for each request, so that the model and floats agree to the last bit.
    seconds=st.sampled_from([12, 24, 60]),
    routes=st.sampled_from([frozenset(), frozenset({"/a/**"}), frozenset({"/b/**"})]),
    below=st.sampled_from([{}, {"clinic-ios": "2"}, {"clinic-ios": "1"}, {"other": "9"}]),
    enforced=st.booleans(),
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from("xyz"),
        st.sampled_from(["/a/**", "/b/**"]),
        st.sampled_from(["1.5", "2.0", None]),
        st.integers(0, 9),
    ),
    max_size=60,
)


@settings(max_examples=300)
@given(st.lists(LIMITS, min_size=1, max_size=4), STEPS)
def test_limits_are_what_a_naive_model_says(
    drawn: list[Limit], steps: list[tuple[str, str, str | None, int]]
) -> None:
    """For each request: the same limits have no room, and what was counted is counted by both."""
    them = [replace(each, name=f"limit-{number}") for number, each in enumerate(drawn)]
    held = limits(*them)
    models = {(limit.name, who): Naive(limit) for limit in them for who in "xyz"}
    bounds = {"1.5": 1, "2.0": 2, None: 0}
    over = {limit.name: [0, 0, 0] for limit in them}
    now = int(MIDNIGHT)
    for who, at, version, step in steps:
        now += step
        mine = [
            models[limit.name, who]
            for limit in them
            if (not limit.routes or at in limit.routes)
            and (
                "clinic-ios" not in limit.below or bounds[version] < int(limit.below["clinic-ios"])
            )
        ]
        late = [model for model in mine if not model.has_room(now)]
        refused = any(model.limit.enforced for model in late)
        for model in mine:
            if model in late:
                over[model.limit.name][1 if refused and model.limit.enforced else 2] += 1
            elif not refused:
                model.times.append(now)
                over[model.limit.name][0] += 1
        claims = replace(CLAIMS, subject=who, app_version=version)
        found = held.take(at, claims, now)
        assert (found is not None) == bool(late)
        if found is not None:
            assert (found.refuses, len(found.refusals)) == (refused, len(late))
            assert (found.retry_after is not None) == refused
            found.count(enforced=True)
    assert held.tallies() == {name: LimitTally(*counts) for name, counts in over.items()}


@settings(max_examples=200)
@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.integers(-40, 60)), max_size=80),
    st.integers(1, 6),
    st.sampled_from(LimitKind),
)
def test_asking_says_what_taking_does_and_takes_nothing(
    steps: list[tuple[str, int]], capacity: int, kind: LimitKind
) -> None:
    """Also without room for everybody, and with a clock that goes back."""

    def counter() -> RateLimiter | QuotaCounter:
        if kind is LimitKind.RATE:
            return RateLimiter(Rate(3, 24), capacity=capacity)
        return QuotaCounter("q", 3, 24, capacity=capacity)

    asked, taken = counter(), counter()
    now = float(NOW)
    for subject, step in steps:
        now += step
        said = asked.wait(subject, now)
        assert asked.wait(subject, now) == said
        assert asked.take(subject, now) == taken.take(subject, now) == said


def test_a_quota_is_used_up_and_comes_back_at_the_windows_end() -> None:
    """Windows are aligned to 1970: at midnight UTC, whenever the first request came."""
    held = limits(quota(3))
    assert passes(held, 5, now=MIDNIGHT + DAY - 10) == 3
    late = held.take("/a/**", CLAIMS, MIDNIGHT + DAY - 10)
    assert late is not None
    assert (late.retry_after, late.refusals[0].reason) == (10, Reason.GATE_QUOTA)
    assert passes(held, 5, now=MIDNIGHT + DAY - 0.5) == 0
    assert passes(held, 5, now=MIDNIGHT + DAY) == 3


def test_who_waits_as_long_as_it_is_told_passes() -> None:
    """The longest of the waits counts, where several limits have no room."""
    held = limits(quota(2, 3600), flow(2, 60))
    now = NOW // 3600 * 3600 + 3590.0
    assert passes(held, 3, now=now) == 2
    late = held.take("/a/**", CLAIMS, now)
    assert late is not None
    assert late.retry_after == 30
    assert held.take("/a/**", CLAIMS, now + 29) is not None
    assert held.take("/a/**", CLAIMS, now + 30) is None


def test_what_one_limit_refuses_is_spent_in_none() -> None:
    """Whichever order they stand in, and the API's rate too."""
    for them in ([quota(1), flow(10, 10)], [flow(10, 10), quota(1)]):
        held = limits(*them, rate=Rate(8, 80))
        assert passes(held, 50) == 1
        # The next day the rates have lost one request each, and it is back.
        assert passes(held, 50, at="/b/**", subject="other") == 1
        tallies = held.tallies()
        assert {tally.passed for tally in tallies.values()} == {2}
    held = limits(quota(1, routes=frozenset({"/a/**"})), rate=Rate(8, 80))
    assert passes(held, 50) == 1
    assert passes(held, 50, at="/b/**") == 7


def test_a_limit_that_is_not_enforced_only_reports() -> None:
    """It refuses nobody, and those that are enforced count on."""
    held = limits(quota(1, enforced=False), flow(5, 50))
    assert held.take("/a/**", CLAIMS, NOW) is None
    for _ in range(4):
        late = held.take("/a/**", CLAIMS, NOW)
        assert late is not None
        assert (late.refuses, late.retry_after, len(late.refusals)) == (False, None, 1)
    late = held.take("/a/**", CLAIMS, NOW)
    assert late is not None
    # What refuses comes first: the answer is worded by it.
    assert (late.refuses, ["flow" in each.detail for each in late.refusals]) == (
        True,
        [True, False],
    )


def test_routes_that_a_limit_names_count_together() -> None:
    """And others don't count at all."""
    both = frozenset({"/a/**", "/b/**"})
    held = Limits(
        policy(route("/a/**"), route("/b/**"), route("/c/**"), limits=(quota(3, routes=both),))
    )
    assert [passes(held, 2, at) for at in ("/a/**", "/b/**", "/c/**")] == [2, 1, 2]


@pytest.mark.parametrize(
    ("version", "held_to_it"),
    [
        ("2.9", True),
        ("3", False),
        ("3.0", False),
        ("3.0.1", False),
        ("10", False),
        (None, True),
        ("", True),
        ("3-beta", True),
        ("v4", True),
    ],
)
def test_an_old_version_is_held_to_more(version: str | None, held_to_it: bool) -> None:
    """A version that isn't stated, or can't be read, counts as an old one."""
    held = limits(quota(1, below={"clinic-ios": "3"}))
    assert passes(held, 3, app_version=version) == (1 if held_to_it else 3)
    assert passes(held, 3, app_id="clinic-android", app_version="99", subject="other") == 1


def test_instances_are_counted_apart() -> None:
    """What one uses another has all the same."""
    held = limits(quota(2), flow(2))
    assert [passes(held, 3, subject=who) for who in "abc"] == [2, 2, 2]


def test_instances_of_one_device_share_its_limits() -> None:
    """Enrolling again brings no new rate and no new quota; others aren't touched by it."""
    held = limits(quota(4), rate=Rate(4, 60))
    served = sum(
        passes(held, 3, subject=f"instance-{number}", device="device-1") for number in range(5)
    )
    assert served == 4
    assert passes(held, 9, subject="instance-9", device="device-2") == 4
    # One whose evidence names no device has limits of its own.
    assert passes(held, 9, subject="instance-1") == 4


@pytest.mark.parametrize(
    "them",
    [
        [quota(name="a"), flow(name="a")],
        [quota(name="rate")],
        [quota(routes=frozenset({"/nowhere"}))],
        [quota(below={"clinic-ios": "newest"})],
        [quota(0)],
        [flow(seconds=0)],
    ],
    ids=["twice", "rate", "route", "version", "requests", "seconds"],
)
def test_a_limit_that_would_hold_nobody_is_a_fault(them: list[Limit]) -> None:
    """It must not pass for one in silence."""
    with pytest.raises(ValueError, match=r"."):
        limits(*them)


# Over a change of the policy.


def after(before: Limit, later: Limit, now: float = NOW) -> int:
    """Return how many pass after a change, for an instance that had used up what was before it."""
    first = limits(before)
    passes(first, 100, now=now)
    return passes(
        Limits(policy(route("/a/**"), route("/b/**"), limits=(later,)), first), 100, now=now
    )


def test_counts_go_on_over_a_change_of_the_policy() -> None:
    """An unchanged limit goes on; a quota that was raised leaves what was added to it."""
    assert after(quota(3), quota(3)) == 0
    assert after(flow(3), flow(3)) == 0
    assert after(quota(3), quota(5)) == 2
    assert after(quota(3), quota(1)) == 0
    assert after(quota(3, enforced=True), quota(3, routes=frozenset({"/a/**"}))) == 0
    assert after(flow(3), flow(4)) == 4
    assert after(quota(3), quota(3, 3600)) == 3
    assert after(quota(3), flow(3, DAY, name="bookings")) == 3
    assert after(flow(3, DAY, name="bookings"), quota(3)) == 3
    assert after(quota(3), quota(3, name="others")) == 3


def test_a_gate_counts_on_over_generations() -> None:
    """New keys, new routes: nobody's quota comes back for them; tallies go on too."""
    state = published(route("/v1/**"), limits=(quota(2),))
    clinic = Gate(state)
    for generation in range(2, 6):
        clinic.decide(request(token=GOOD), NOW)
        state.generation = generation
        state.policy = policy(route("/v1/**"), route(f"/v{generation}/**"), limits=(quota(2),))
    assert clinic.decide(request(token=GOOD), NOW).allow is False
    assert clinic.limit_tallies()["bookings"] == LimitTally(2, 3, 0)
    state.generation, state.policy = 9, policy(route("/v1/**"))
    assert clinic.decide(request(token=GOOD), NOW).allow is True
    assert clinic.limit_tallies() == {}


# At the gate.


def guarded(mode: Mode = Mode.ENFORCE, *them: Limit, **others: Any) -> Gate:
    """Return a gate with one route."""
    return Gate(published(route("/v1/**", mode=mode), limits=them, **others))


def decided(clinic: Gate, count: int = 1, now: float = NOW, text: str = GOOD) -> Decision:
    """Return the last of so many decisions."""
    for _ in range(count - 1):
        clinic.decide(request(token=text), now)
    return clinic.decide(request(token=text), now)


def test_enforce_refuses_and_monitor_reports() -> None:
    """With the same reason, and when to come again."""
    enforced = decided(guarded(Mode.ENFORCE, quota(2)), 3)
    watched = decided(guarded(Mode.MONITOR, quota(2)), 3)
    for decision in (enforced, watched):
        assert [refusal.reason for refusal in decision.refusals] == [Reason.GATE_QUOTA]
        assert decision.retry_after == MIDNIGHT + DAY - NOW
    assert (enforced.allow, enforced.headers, enforced.enforced) == (False, [], True)
    assert (watched.allow, watched.enforced) == (True, False)
    assert (b"watchword-instance", CLAIMS.subject.encode()) in watched.headers


def test_where_it_only_reports_the_api_is_told_who_is_there() -> None:
    """The request passes as if there were no limit, and the refusal log hears of it."""
    clinic = guarded(Mode.ENFORCE, quota(1, enforced=False))
    first, second = decided(clinic), decided(clinic)
    assert (second.allow, second.headers, second.retry_after) == (True, first.headers, None)
    assert [refusal.reason for refusal in second.refusals] == [Reason.GATE_QUOTA]
    assert clinic.limit_tallies() == {"bookings": LimitTally(1, 0, 1)}


def test_the_api_s_rate_is_one_of_them() -> None:
    """It has its own reason, since it is written elsewhere in the settings."""
    clinic = guarded(Mode.ENFORCE, flow(9, 9), rate=Rate(2, 60))
    late = decided(clinic, 3)
    assert [refusal.reason for refusal in late.refusals] == [Reason.GATE_RATE]
    assert late.retry_after == 30
    assert clinic.limit_tallies() == {"rate": LimitTally(2, 1, 0), "flow": LimitTally(2, 0, 0)}
    assert decided(guarded(Mode.MONITOR, rate=Rate(1, 60)), 2).allow is True


@pytest.mark.parametrize(
    "broken",
    [None, "garbage", token(subject="revoked"), token(issued_at=NOW - 400, expires_at=NOW - 100)],
    ids=["no token", "garbage", "revoked", "expired"],
)
def test_who_is_refused_for_something_else_spends_nothing(broken: str | None) -> None:
    """Limits come last."""
    clinic = Gate(
        PublishedState(
            policy=policy(route("/v1/**"), limits=(quota(1), flow(1))), revoked={"revoked"}
        )
    )
    for _ in range(5):
        assert clinic.decide(request(token=broken), NOW).allow is False
    assert decided(clinic).allow is True


def test_a_thief_without_the_key_spends_nothing_of_the_victims() -> None:
    """A stolen token alone, a stale proof or a copied one never reach the limit."""
    phone = Prover(GOOD)
    state = published(route("/v1/**", proof=Proof.SESSION), limits=(quota(2),))
    clinic = Gate(state, memory=MemoryReplayStore(), entropy=SystemEntropy())

    def send(fields: list[tuple[bytes, bytes]], digest: bytes | None = None) -> Decision:
        decision = clinic.decide(facts(fields), NOW)
        return asyncio.run(clinic.conclude(decision, digest, NOW))

    good = phone.session()
    assert send(good).allow is True
    for fields in ([(b"host", b"clinic.example"), (b"watchword-token", GOOD.encode())], good):
        for _ in range(4):
            assert send(fields).allow is False
    assert send(phone.session(created=NOW - 500)).allow is False
    assert send(phone.session()).allow is True
    assert send(phone.session()).refusals[0].reason is Reason.GATE_QUOTA
    assert clinic.limit_tallies() == {"bookings": LimitTally(2, 1, 0)}


@pytest.mark.parametrize("mode", [Mode.ENFORCE, Mode.MONITOR])
def test_a_request_with_a_body_is_counted_once_its_body_was_right(mode: Mode) -> None:
    """Until then it counts nowhere, so that half of a body spends nothing."""
    body = b"two bookings"
    phone = Prover(GOOD)
    state = published(route("/v1/**", proof=Proof.SESSION, mode=mode), limits=(quota(1),))
    clinic = Gate(state, memory=MemoryReplayStore(), entropy=SystemEntropy())

    def begun() -> Decision:
        fields = phone.session(body=body, method="POST")
        return clinic.decide(facts(fields, method="POST"), NOW)

    pending = [begun(), begun(), begun()]
    digest = pending[0].pending.body_digest if pending[0].pending else None
    assert asyncio.run(clinic.conclude(pending[0], b"x" * 32, NOW)).refusals[0].reason is (
        Reason.PROOF_BODY
    )
    first, second = (asyncio.run(clinic.conclude(each, digest, NOW)) for each in pending[1:])
    assert (first.allow, first.refusals) == (True, ())
    assert second.allow is (mode is Mode.MONITOR)
    assert [refusal.reason for refusal in second.refusals] == [Reason.GATE_QUOTA]
    assert bool(second.headers) is (mode is Mode.MONITOR)


# Memory, clocks, and what is kept.


def test_a_crowd_resets_nobodys_quota_and_fills_no_memory() -> None:
    """Those without a count of their own share one: it is stricter for some, and looser for none."""
    counter = QuotaCounter("q", 3, DAY, capacity=100)
    spend = [counter.take("spender", NOW) == 0.0 for _ in range(5)]
    assert spend == [True, True, True, False, False]
    for number in range(200_000):
        counter.take(f"crowd-{number}", NOW)
    assert counter.take("spender", NOW) > 0
    assert len(counter) <= 100 + 65_536
    assert sum(counter.take("late", NOW) == 0.0 for _ in range(9)) <= 3
    # The next window begins empty.
    assert counter.take("spender", NOW + DAY) == 0.0
    assert len(counter) == 1


def test_a_clock_that_is_set_back_gives_no_second_quota() -> None:
    """By at most a minute around midnight, or by days: what was used stays used in that window."""
    counter = QuotaCounter("q", 2, DAY)
    assert [counter.take("a", MIDNIGHT + 1) for _ in range(2)] == [0.0, 0.0]
    for now in (MIDNIGHT - 30, MIDNIGHT + 5, MIDNIGHT - 59, MIDNIGHT + DAY - 1):
        assert counter.take("a", now) == MIDNIGHT + DAY - now
    assert counter.take("a", MIDNIGHT - 5 * DAY) > 0
    assert counter.take("b", MIDNIGHT - 5 * DAY) == 0.0
    crowded = QuotaCounter("q", 1, DAY, capacity=1)
    assert [crowded.take(who, MIDNIGHT + 1) for who in "ab"] == [0.0, 0.0]
    assert crowded.take("b", MIDNIGHT - 5 * DAY) > 0
    # From a jump a year ahead everybody comes back in a day at most.
    assert [counter.take("c", MIDNIGHT + 365 * DAY) for _ in range(2)] == [0.0, 0.0]
    assert counter.take("c", MIDNIGHT) > 0
    assert counter.take("c", MIDNIGHT + DAY) == 0.0


@dataclass
class Kept:
    """Keep counts in memory; implements the port QuotaKeeper."""

    held: dict[QuotaWindow, MutableMapping[str, int]] = field(default_factory=dict)
    heard: list[tuple[QuotaWindow, str]] = field(default_factory=list)

    def counts(self, window: QuotaWindow) -> MutableMapping[str, int]:
        """Return the counts of a window."""
        return self.held.setdefault(window, {})

    def spent(self, window: QuotaWindow, subject: str) -> None:
        """Remember what was told."""
        self.heard.append((window, subject))


def test_a_restart_gives_nobody_a_new_quota() -> None:
    """What was kept counts on, in its own window only; rates aren't kept."""
    kept = Kept()
    window = QuotaWindow("bookings", DAY, MIDNIGHT // DAY)
    kept.held[window] = {CLAIMS.subject: 2}

    def started() -> Gate:
        return Gate(published(route("/v1/**"), limits=(quota(3), flow(99, 9))), quotas=kept)

    assert decided(started()).allow is True
    assert decided(started()).allow is False
    assert kept.heard == [(window, CLAIMS.subject)]
    tomorrow = token(issued_at=NOW + DAY, expires_at=NOW + DAY + 300)
    assert decided(started(), now=NOW + DAY, text=tomorrow).allow is True
    assert kept.heard[1:] == [(window._replace(number=window.number + 1), CLAIMS.subject)]


def test_a_keeper_that_raises_a_count_is_heard() -> None:
    """What another process counted leaves less here."""
    kept = Kept()
    clinic = Gate(published(route("/v1/**"), limits=(quota(5),)), quotas=kept)
    assert decided(clinic).allow is True
    (counts,) = kept.held.values()
    counts[CLAIMS.subject] = 4
    assert [decided(clinic).allow for _ in range(2)] == [True, False]


def test_two_threads_that_meet_at_midnight_count_in_one_window() -> None:
    """The second finds what the first has made, and lets go of nothing."""
    meeting: list[Mapping[str, int]] = []

    class Meeting(Kept):
        def counts(self, window: QuotaWindow) -> MutableMapping[str, int]:
            if window.number == MIDNIGHT // DAY and not meeting:
                meeting.append({})
                assert counter.take("another thread's", MIDNIGHT) == 0.0
            return {}

    counter = QuotaCounter("q", 1, DAY, keeper=Meeting())
    assert counter.take("a", MIDNIGHT - DAY) == 0.0
    assert counter.take("a", MIDNIGHT) == 0.0
    assert counter.take("another thread's", MIDNIGHT) > 0
    assert len(counter) == 2


def claims_of(version: str) -> TokenClaims:
    """Return the claims of an app of a version."""
    return replace(CLAIMS, app_version=version)


def test_a_flood_of_versions_is_remembered_in_bounds() -> None:
    """Whoever may write its version freely fills nothing, and is held to the limit all the same."""
    held = limits(quota(3, below={"clinic-ios": "100000"}))
    taken = [held.take("/a/**", claims_of(f"1.{number}"), NOW) for number in range(9000)]
    assert taken.count(None) == 3
