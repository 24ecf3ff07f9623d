"""Hold attacks on injected keys, quotas and canaries to what they take for served: deployments with every check, and with one left out."""

import base64
import json
from dataclasses import dataclass, field, replace
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.drill.keys_rig import (
    DAY,
    IN_HEADER,
    IN_QUERY,
    KEY,
    NOW,
    REPLACED,
    Deployment,
    Flaw,
    context,
    verdicts,
)

from watchword.broker.interface import Allowance, Place, PlaceKind
from watchword.drill.attacks import (
    canary_used,
    injected_elsewhere,
    injected_key_on_the_wire,
    injected_key_oracle,
    injected_key_replaced,
    injected_path_unlisted,
    injected_quota,
    key_from_package,
    key_grown_old,
    limit_with_instance,
    scraping_with_instance,
)
from watchword.drill.interface import Attack, DrillHoneytoken, MissingError, Need
from watchword.drill.judgements import Verdict
from watchword.drill.third_party_keys import holds
from watchword.drill.wire import Call
from watchword.reasons import Reason, UnavailableError

ATTACKS = (
    key_from_package.ATTACK,
    injected_key_on_the_wire.ATTACK,
    injected_path_unlisted.ATTACK,
    injected_elsewhere.ATTACK,
    injected_key_replaced.ATTACK,
    injected_quota.ATTACK,
    limit_with_instance.ATTACK,
    canary_used.ATTACK,
    key_grown_old.ATTACK,
)
PLACES = (IN_HEADER, IN_QUERY, REPLACED)


@pytest.mark.parametrize("place", PLACES, ids=("header", "query", "placeholder"))
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda each: each.id)
def test_a_deployment_with_every_check_stops_each(attack: Attack, place: Place) -> None:
    """What can be run is stopped, and something can be run."""
    found = set(verdicts(attack, Deployment(place=place)).values())
    assert found <= {Verdict.STOPPED, Verdict.NOT_RUN}
    assert Verdict.STOPPED in found


@pytest.mark.parametrize("place", PLACES, ids=("header", "query", "placeholder"))
def test_every_variant_runs_in_one_place_or_another(place: Place) -> None:
    """Those of a placeholder where there is one, those of an own key where there is none; all else everywhere."""
    deployment = Deployment(place=place, allowances=(Allowance(DAY, calls=20),))
    left_out = {
        name
        for attack in ATTACKS
        for name, verdict in verdicts(attack, deployment).items()
        if verdict is Verdict.NOT_RUN
    }
    kinds = {"own-key"} if place.placeholder else {"placeholder-misplaced"}
    assert left_out == {*kinds, "spend", "rate"}


OPEN = (
    (Flaw.NO_TOKEN_ASKED, key_from_package.ATTACK, "script"),
    (Flaw.NO_PROOF_ASKED, key_from_package.ATTACK, "stolen-token"),
    (Flaw.KEY_IN_SAMPLES, key_from_package.ATTACK, "key-in-the-samples"),
    (Flaw.KEY_ECHOED, injected_key_on_the_wire.ATTACK, "answers"),
    (Flaw.KEY_ECHOED, injected_key_on_the_wire.ATTACK, "talkative"),
    (Flaw.KEY_SENT_TO_API, injected_key_on_the_wire.ATTACK, "the-api-itself"),
    (Flaw.ANY_PATH, injected_path_unlisted.ATTACK, "other-path"),
    (Flaw.AMBIGUOUS_PATHS, injected_path_unlisted.ATTACK, "dressed-path"),
    (Flaw.ANY_METHOD, injected_path_unlisted.ATTACK, "other-method"),
    (Flaw.HOST_BELIEVED, injected_elsewhere.ATTACK, "host"),
    (Flaw.ABSOLUTE_TARGET_BELIEVED, injected_elsewhere.ATTACK, "absolute-target"),
    (Flaw.ANY_PATH, injected_elsewhere.ATTACK, "path"),
    (Flaw.CLIENTS_KEY_KEPT, injected_key_replaced.ATTACK, "own-key"),
    (Flaw.OTHER_SPELLING_KEPT, injected_key_replaced.ATTACK, "own-key"),
    (Flaw.COOKIE_PASSED_ON, injected_key_replaced.ATTACK, "token-passed-on"),
    (Flaw.NO_QUOTA, injected_quota.ATTACK, "calls"),
    (Flaw.QUOTA_BY_TOKEN, injected_quota.ATTACK, "calls"),
    (Flaw.NO_LIMIT, limit_with_instance.ATTACK, "quota"),
    (Flaw.QUOTA_BY_TOKEN, limit_with_instance.ATTACK, "quota"),
    (Flaw.NO_ALARM, canary_used.ATTACK, "by-script"),
    (Flaw.NO_ALARM, canary_used.ATTACK, "as-bearer"),
    (Flaw.CANARY_SERVED, canary_used.ATTACK, "in-a-header"),
    (Flaw.CANARY_SERVED, canary_used.ATTACK, "in-the-query"),
    (Flaw.CANARY_TOLD, canary_used.ATTACK, "told-apart"),
    (Flaw.ENDED_INJECTED, key_grown_old.ATTACK, "ended"),
)


@pytest.mark.parametrize(
    ("flaw", "attack", "variant"), OPEN, ids=lambda each: getattr(each, "id", str(each))
)
def test_a_check_that_is_left_out_is_open(flaw: Flaw, attack: Attack, variant: str) -> None:
    """The one variant that is made for it finds it."""
    flaws = {flaw}
    if flaw is Flaw.ANY_PATH and variant == "path":
        flaws.add(Flaw.AMBIGUOUS_PATHS)
    assert verdicts(attack, Deployment(frozenset(flaws)))[variant] is Verdict.OPEN


@pytest.mark.parametrize(
    ("flaws", "place", "verdict"),
    [
        ((), IN_HEADER, Verdict.STOPPED),
        ((), REPLACED, Verdict.STOPPED),
        ((Flaw.BEGINNING_HELD_BACK,), IN_HEADER, Verdict.OPEN),
        ((Flaw.BEGINNING_REFUSED,), REPLACED, Verdict.OPEN),
        ((Flaw.CUT_AT_RANDOM,), IN_HEADER, Verdict.UNSURE),
        ((Flaw.TARGET_UNTOLD,), IN_HEADER, Verdict.UNSURE),
        ((Flaw.TARGET_UNTOLD, Flaw.BEGINNING_HELD_BACK), IN_HEADER, Verdict.UNSURE),
        # Behind the guess stands the key, so that no answer ends with it.
        ((), IN_QUERY, Verdict.UNSURE),
    ],
)
def test_guesses_are_told_apart_where_answers_are_cut_by_them(
    flaws: tuple[Flaw, ...], place: Place, verdict: Verdict
) -> None:
    """Open where every right guess is cut otherwise than the wrong one beside it, unsure where nothing can be told."""
    deployment = Deployment(frozenset(flaws), place)
    assert verdicts(injected_key_oracle.ATTACK, deployment) == {"boundaries": verdict}


def test_no_guess_is_made_of_a_third_party_that_repeats_nothing() -> None:
    """Without a sample that says so, the attack isn't run, and no call is paid for."""
    deployment = Deployment()
    stage = context(deployment)
    silent = tuple(replace(each, echo=False) for each in stage.samples)
    with pytest.raises(MissingError) as missing:
        injected_key_oracle.ATTACK.variants[0].run(replace(stage, samples=silent))
    assert missing.value.need is Need.ECHO
    assert deployment.asked == []


@given(st.text("abAB09-_", min_size=8, max_size=60))
def test_guesses_differ_in_one_character(key: str) -> None:
    """Of many lengths, none of them the whole key."""
    found = injected_key_oracle.guesses(key)
    assert len({len(right) for right, _ in found}) == len(found) >= min(10, len(key) - 4)
    for right, wrong in found:
        assert key.startswith(right)
        assert len(right) < len(key)
        assert (right[:-1], right[-1] == wrong[-1]) == (wrong[:-1], False)


@dataclass
class Noting(Deployment):
    """Note when a canary is used, and know it some seconds after it was planted."""

    known_after: float = 0.0
    uses: list[float] = field(default_factory=list)

    def _canary_in(self, call: Call) -> str:
        found = super()._canary_in(call)
        if found:
            self.uses.append(self.clock)
        return found if self.clock >= NOW + self.known_after else ""


@pytest.mark.parametrize(("flaws", "uses"), [({Flaw.NO_ALARM}, 10 + 5), (set(), 6)])
def test_whoever_tells_nobody_is_waited_for_once(flaws: set[Flaw], uses: int) -> None:
    """Ten uses in the first variant and one in each other, where nobody is ever told; else one in each."""
    deployment = Noting(frozenset(flaws))
    verdicts(canary_used.ATTACK, deployment)
    assert len(deployment.uses) == uses


@pytest.mark.parametrize(
    ("known_after", "verdict"),
    [(5, Verdict.STOPPED), (25, Verdict.STOPPED), (120, Verdict.OPEN)],
)
def test_a_gate_that_learns_of_a_canary_late_is_given_its_time(
    known_after: float, verdict: Verdict
) -> None:
    """What was used before a busy gate has its news is held against nobody; what never comes is."""
    deployment = Noting(known_after=known_after)
    assert set(verdicts(canary_used.ATTACK, deployment).values()) == {verdict}


@dataclass
class Busy(Deployment):
    """Be too busy to tell alarms, each second time that somebody looks for one."""

    looks: int = 0

    def alarms(self, canary: DrillHoneytoken) -> int:
        """Count its alarms, or turn the look away."""
        self.looks += 1
        if self.looks % 2 == 0:
            raise UnavailableError(Reason.STORE_UNAVAILABLE, "database is locked")
        return super().alarms(canary)


def test_a_service_too_busy_to_say_is_asked_again() -> None:
    """A look that is turned away says nothing of the canary: the one after it does."""
    deployment = Busy()
    assert set(verdicts(canary_used.ATTACK, deployment).values()) == {Verdict.STOPPED}
    assert deployment.looks > 2


def test_an_own_key_in_the_query_is_open() -> None:
    """A parameter that comes first is the one that many servers read."""
    deployment = Deployment(frozenset({Flaw.CLIENTS_KEY_KEPT}), IN_QUERY)
    assert verdicts(injected_key_replaced.ATTACK, deployment)["own-key"] is Verdict.OPEN


def test_a_placeholder_that_counts_anywhere_is_open() -> None:
    """Then a header of one's own gets the key too."""
    deployment = Deployment(frozenset({Flaw.ANY_PLACEHOLDER}), REPLACED)
    found = verdicts(injected_key_replaced.ATTACK, deployment)
    assert found["placeholder-misplaced"] is Verdict.OPEN


def test_a_spend_cap_is_met_where_it_ends_before_the_quota() -> None:
    """Seven calls of three units fit into 21, and no eighth; without the cap more are served."""
    allowances = (Allowance(DAY, calls=90), Allowance(DAY, spend=21))
    capped = Deployment(allowances=allowances, cost=3)
    assert verdicts(injected_quota.ATTACK, capped)["spend"] is Verdict.STOPPED
    free = Deployment(frozenset({Flaw.NO_QUOTA}), allowances=allowances, cost=3)
    assert verdicts(injected_quota.ATTACK, free)["spend"] is Verdict.OPEN


def test_a_quota_that_no_bounded_run_meets_is_not_run() -> None:
    """Four hundred calls of somebody's paid service are no test."""
    deployment = Deployment(allowances=(Allowance(DAY, calls=400),))
    assert verdicts(injected_quota.ATTACK, deployment)["calls"] is Verdict.NOT_RUN
    assert len(deployment.asked) == 1


def test_a_window_that_ends_on_the_way_is_no_quota_that_failed() -> None:
    """The second window brings as many calls again: nothing is shown, and nothing is told as open."""
    deployment = Deployment()
    stage = context(deployment)
    turning = replace(stage, now=lambda: NOW if len(deployment.asked) < 9 else NOW + DAY)
    (calls, _) = injected_quota.ATTACK.variants
    with pytest.raises(MissingError) as missing:
        calls.run(turning)
    assert missing.value.need is Need.QUOTA


def test_a_key_of_yesteryear_is_told() -> None:
    """A key is old after ninety days; at ninety it isn't yet."""
    old = Deployment(made_at=NOW - 91 * DAY)
    assert verdicts(key_grown_old.ATTACK, old)["age"] is Verdict.OPEN
    young = Deployment(made_at=NOW - 90 * DAY)
    assert verdicts(key_grown_old.ATTACK, young)["age"] is Verdict.STOPPED


def test_nothing_is_sent_by_a_method_that_could_change_anything() -> None:
    """Where a gate takes any method, the attack on it reads at most."""
    deployment = Deployment(frozenset({Flaw.ANY_METHOD, Flaw.ANY_PATH}))
    for attack in ATTACKS:
        verdicts(attack, deployment)
    assert {each.method for each in deployment.asked} <= {"GET", "OPTIONS", "PROPFIND", "TRACE"}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda each: each.id)
def test_an_api_that_injects_nothing_is_not_attacked(attack: Attack) -> None:
    """It isn't run for want of what it needs, and the third party isn't asked."""
    deployment = Deployment()
    stage = replace(context(deployment), samples=())
    for variant in attack.variants:
        with pytest.raises(MissingError):
            variant.run(stage)
    assert deployment.asked == []


def test_the_place_of_a_key_in_an_attack_is_the_rule_s() -> None:
    """The own key goes where the file says that ours goes."""
    place = Place(PlaceKind.HEADER, "x-api-key", prefix="Key ")
    deployment = Deployment(place=place)
    verdicts(injected_key_replaced.ATTACK, deployment)
    assert all(KEY in dict(each.headers).values() for each in deployment.asked)


@given(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=12, max_size=60),
    st.binary(max_size=9),
    st.sampled_from(("plain", "percent", "json", "hex", "base64", "base64url")),
)
def test_a_key_is_found_in_each_writing(value: str, before: bytes, writing: str) -> None:
    """Wherever it begins in what is encoded with it."""
    raw = value.encode()
    written = {
        "plain": raw,
        "percent": quote(value, safe="").encode(),
        "json": json.dumps(value).encode(),
        "hex": raw.hex().encode(),
        "base64": base64.b64encode(before + raw + before),
        "base64url": base64.urlsafe_b64encode(before + raw + before),
    }[writing]
    assert holds(value, b"x" + written + b"y")
    assert not holds(value, b"x" + value[::-1].encode() + b"y") or value == value[::-1]


def test_the_drill_s_own_decoy_proves_nothing_where_none_is_planted() -> None:
    """What it shows is that one would be noticed; whoever planted none notices nobody."""
    found = verdicts(canary_used.ATTACK, Deployment(planted=0))
    assert set(found.values()) == {Verdict.ABSENT}


def test_an_api_without_any_limit_is_open_to_a_scraper() -> None:
    """That nobody set one is no reason not to try; where one of the `limits` holds, another attack tries that."""
    attack = scraping_with_instance.ATTACK
    assert verdicts(attack, Deployment()) == {"through-a-renewal": Verdict.NOT_RUN}
    assert verdicts(attack, Deployment(limits=())) == {"through-a-renewal": Verdict.OPEN}
