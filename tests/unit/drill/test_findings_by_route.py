"""What a run proves of a route: what was stopped on it, beside what holds for all of them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.unit.drill.answers import SAMPLE, api, refusal
from tests.unit.drill.test_around_and_volume import Simulated, context

from watchword.apps.drill.run import observations_of
from watchword.client import TestInstanceDevice
from watchword.client.own_token import OwnToken
from watchword.client.session import HeldToken
from watchword.drill.attacks import proof_replayed, token_alone
from watchword.drill.findings import findings_of
from watchword.drill.interface import (
    MAX_ROUTES,
    AbsentError,
    Attack,
    AttackContext,
    Attempt,
    Facts,
    Held,
    MissingError,
    Need,
    Phone,
    Sample,
    Variant,
)
from watchword.drill.judgements import (
    AttackResult,
    Controls,
    Finding,
    Genuine,
    Report,
    VariantResult,
    Verdict,
    judged,
    over_routes,
    worst,
)
from watchword.observations import SeenRoute, State
from watchword.reasons import Reason
from watchword.vocabulary import Environment, Mode, Platform, Proof

SIGNED, BOUND = "live:shield.signature_enforced", "live:tokens.bound_ratio"
SHIELD, LIMITS = "live:shield.rejected_unattested", "live:gateway.limits"
STOPPED, OPEN, UNSURE = Verdict.STOPPED, Verdict.OPEN, Verdict.UNSURE
NOT_RUN, ABSENT = Verdict.NOT_RUN, Verdict.ABSENT


def sample(path: str, proof: Proof, mode: Mode = Mode.ENFORCE, *assets: str) -> Sample:
    """Return a request on a route of its own."""
    pattern = f"{path}/**"
    return replace(
        SAMPLE,
        target=f"{path}/7",
        route=pattern,
        pattern=pattern,
        proof=proof,
        mode=mode,
        assets=assets,
    )


ACCOUNTS = sample("/accounts", Proof.SESSION)
PAYMENTS = sample("/payments", Proof.DEVICE)
LISTS = sample("/lists", Proof.BEARER)
SAMPLES = (LISTS, ACCOUNTS, PAYMENTS)


def seen(of: Sample) -> SeenRoute:
    """Return what evidence names that is found with a sample."""
    assert of.seen is not None
    return of.seen


Ends = Sequence[tuple[Sample, Verdict]]


def result(name: str, *ways: tuple[Ends, bool], key: str = SHIELD) -> AttackResult:
    """Return how an attack ended, each variant by sample and whether it is carried out on each route."""
    variants = tuple(
        Variant(f"way-{number}", lambda _: [], each_route=each)
        for number, (_, each) in enumerate(ways)
    )
    of = Attack(name, name, ("MT-B20",), {"PR-X01": key}, (), "S.", "M.", "B.", variants)
    ends = tuple(
        VariantResult(
            variant.name,
            worst([verdict for _, verdict in found]) if found else NOT_RUN,
            "got",
            need=Need.PROOF if ABSENT in [verdict for _, verdict in found] else None,
            routes={each.seen: verdict for each, verdict in found},
        )
        for variant, (found, _) in zip(variants, ways, strict=True)
    )
    return AttackResult(of, worst([each.verdict for each in ends]), ends, 0.1)


def once(of: Sample, verdict: Verdict = STOPPED) -> tuple[Ends, bool]:
    """Return a variant that is tried on one route for all."""
    return [(of, verdict)], False


def each(**ends: Verdict) -> tuple[Ends, bool]:
    """Return a variant that is carried out on each route, by the name of its sample."""
    named = {"lists": LISTS, "accounts": ACCOUNTS, "payments": PAYMENTS}
    return [(named[name], verdict) for name, verdict in ends.items()], True


def states(
    *results: AttackResult, samples: Sequence[Sample] = SAMPLES, complete: bool = True
) -> dict[str, State | None]:
    """Return by path what the results say of a route."""
    attacks = [one.attack for one in results]
    found = findings_of(results, attacks, complete=complete, samples=samples)
    return {route.path[1:-3]: one.state for one in found for route in one.routes}


ALL_STOPPED = each(lists=STOPPED, accounts=STOPPED, payments=STOPPED)


def test_what_was_stopped_on_each_route_is_proven_on_each() -> None:
    """Together with what is tried on one for all."""
    found = states(result("a", ALL_STOPPED, once(LISTS)))
    assert found == dict.fromkeys(("lists", "accounts", "payments"), State.PROVEN)


def test_what_was_stopped_on_one_route_proves_nothing_of_another() -> None:
    """Nothing of its attacks was tried there."""
    assert states(result("a", once(ACCOUNTS))) == {
        "lists": None,
        "accounts": State.PROVEN,
        "payments": None,
    }
    assert states(result("a", each(lists=STOPPED), once(ACCOUNTS))) == {
        "lists": State.PROVEN,
        "accounts": State.PROVEN,
        "payments": None,
    }


@pytest.mark.parametrize(
    ("verdict", "state"), [(OPEN, State.BROKEN), (UNSURE, None), (ABSENT, None)]
)
def test_what_went_wrong_on_one_route_is_of_that_one(verdict: Verdict, state: State | None) -> None:
    """Where each is tried by itself."""
    found = states(
        result("a", each(lists=STOPPED, accounts=verdict, payments=STOPPED), once(LISTS)),
        result("b", ALL_STOPPED),
    )
    assert found == {"lists": State.PROVEN, "accounts": state, "payments": State.PROVEN}


def test_what_got_through_on_one_route_for_all_is_bad_on_all() -> None:
    """A gate that takes a forged chain takes it anywhere."""
    found = states(result("a", ALL_STOPPED, once(LISTS, OPEN)))
    assert found == dict.fromkeys(("lists", "accounts", "payments"), State.BROKEN)
    unsure = states(result("a", ALL_STOPPED, once(LISTS, UNSURE)))
    assert set(unsure.values()) == {None}


@pytest.mark.parametrize("mode", [Mode.OFF, Mode.MONITOR, Mode.CANARY])
def test_what_got_through_on_a_lax_route_says_nothing_of_others(mode: Mode) -> None:
    """The file says itself that it refuses nobody there."""
    lax = replace(LISTS, mode=mode, assets=("cards (impact 5)",))
    samples = (ACCOUNTS, PAYMENTS, lax)
    ends = [(lax, OPEN), (ACCOUNTS, STOPPED), (PAYMENTS, STOPPED)]
    found = states(result("a", (ends, False)), samples=samples)
    assert found == {"accounts": State.PROVEN, "payments": State.PROVEN, "lists": State.ABSENT}


def test_a_route_that_is_open_to_all_and_guards_nothing_is_left_out() -> None:
    """Nobody counts on it."""
    health = replace(LISTS, mode=Mode.OFF)
    assert set(states(result("a", ALL_STOPPED), samples=(health, ACCOUNTS))) == {"accounts"}
    login = replace(LISTS, login=True)
    assert set(states(result("a", ALL_STOPPED), samples=(login, ACCOUNTS))) == {"accounts"}


@pytest.mark.parametrize("key", [SIGNED, BOUND])
def test_a_token_alone_is_never_proof_enough(key: str) -> None:
    """Whatever was stopped on such a route: it says nothing, or that the proof is absent where an asset lives."""
    stopped = result("a", ALL_STOPPED, key=key)
    assert states(stopped) == {"lists": None, "accounts": State.PROVEN, "payments": State.PROVEN}
    absent = result("b", each(lists=ABSENT, accounts=STOPPED, payments=STOPPED), key=key)
    assert states(stopped, absent) == {
        "lists": State.ABSENT,
        "accounts": State.PROVEN,
        "payments": State.PROVEN,
    }
    served = result("c", each(lists=OPEN, accounts=STOPPED, payments=STOPPED), key=key)
    assert states(stopped, served)["lists"] is State.BROKEN
    assert states(result("a", ALL_STOPPED, key=SHIELD))["lists"] is State.PROVEN


def test_a_strength_is_measured_on_the_route() -> None:
    """What got through on another route, where each is tried by itself, lowers nothing here."""
    one = result("a", ALL_STOPPED, each(lists=OPEN, accounts=STOPPED), once(LISTS))
    found = findings_of([one], [one.attack], complete=True, samples=SAMPLES)
    strengths = {route.path: each.strengths["MT-B20"] for each in found for route in each.routes}
    assert strengths == {"/lists/**": (2, 3), "/accounts/**": (3, 3), "/payments/**": (2, 2)}


def test_a_choice_or_an_interrupted_run_proves_no_route() -> None:
    """As it proves no API."""
    one = result("a", ALL_STOPPED)
    other = result("b", ALL_STOPPED)
    found = findings_of([one], [one.attack, other.attack], complete=True, samples=SAMPLES)
    assert {each.state for each in found} == {None}
    assert set(states(one, complete=False).values()) == {None}


def test_what_no_route_decides_is_of_the_whole_api() -> None:
    """A certificate, say, whatever sample it was seen with."""
    (found,) = findings_of(
        [tls := result("a", once(LISTS), key="live:tls.grade")],
        [tls.attack],
        complete=True,
        samples=SAMPLES,
    )
    assert (found.state, found.routes) == (State.PROVEN, ())


def test_what_fell_under_no_known_route_is_of_all() -> None:
    """And what came to no answer, such as a limit that nobody set."""
    unknown = replace(LISTS, pattern="")
    open_there = result("a", ([(unknown, OPEN), (ACCOUNTS, STOPPED)], False))
    assert set(states(open_there).values()) == {State.ABSENT}
    nothing = AttackResult(
        result("a", once(LISTS), key=LIMITS).attack,
        ABSENT,
        (VariantResult("way-0", ABSENT, "none", need=Need.RATE),),
        0.1,
    )
    assert set(states(nothing).values()) == {State.ABSENT}


def test_a_recorded_run_names_routes_one_by_one() -> None:
    """Each with path, method and proof; what says nothing isn't recorded."""
    routes = (seen(ACCOUNTS), seen(PAYMENTS))
    report = Report(
        facts=Facts("bank", "i", "a", {}, Environment.LAB, 300),
        target="http://127.0.0.1",
        loopback=True,
        started=datetime(2026, 11, 25, tzinfo=UTC),
        seconds=1.0,
        controls=(),
        results=(),
        findings=(
            Finding("PR-B03", SIGNED, State.PROVEN, "stopped", routes=routes),
            Finding("PR-B03", SIGNED, State.ABSENT, "none", routes=(seen(LISTS),)),
            Finding("PR-B01", SHIELD, None, "unsure", routes=routes),
            Finding("PR-C01", "live:tls.grade", State.PROVEN, "stopped"),
        ),
        genuine=Genuine(),
        requests=0,
    )
    at = datetime(2026, 11, 25, 12, tzinfo=UTC)
    found = observations_of(report, at, build=None, generation="ab" * 32)
    assert [(one.protection, one.state, one.route) for one in found] == [
        ("PR-B03", State.PROVEN, SeenRoute("/accounts/**", "GET", Proof.SESSION)),
        ("PR-B03", State.PROVEN, SeenRoute("/payments/**", "GET", Proof.DEVICE)),
        ("PR-B03", State.ABSENT, SeenRoute("/lists/**", "GET", Proof.BEARER)),
        ("PR-C01", State.PROVEN, None),
    ]
    assert {(one.target, one.generation) for one in found} == {("api:bank", "ab" * 32)}


def test_a_variant_keeps_how_it_ended_on_each_route() -> None:
    """The worst of several attempts on one; one on no known route stands for itself."""
    variant = Variant("one", lambda _: [], frozenset({Reason.TOKEN_MISSING}))
    controls = Controls({one.name: api(200) for one in SAMPLES} | {SAMPLE.name: api(200)})
    missing = refusal(Reason.TOKEN_MISSING)
    attempts = [
        Attempt(ACCOUNTS, missing),
        Attempt(PAYMENTS, api(200)),
        Attempt(PAYMENTS, missing),
        Attempt(SAMPLE, refusal(Reason.GATE_LEVEL)),
    ]
    found = judged(variant, attempts, controls, 4)
    assert found.verdict is OPEN
    assert found.routes == {seen(ACCOUNTS): STOPPED, seen(PAYMENTS): OPEN, None: UNSURE}


def test_over_routes_the_worst_stands_and_all_are_kept() -> None:
    """With all that was sent."""
    some = [
        VariantResult("one", STOPPED, "401", sent=2, routes={seen(ACCOUNTS): STOPPED}),
        VariantResult("one", ABSENT, "no proof", need=Need.PROOF, routes={seen(LISTS): ABSENT}),
    ]
    found = over_routes(some)
    assert (found.verdict, found.got, found.need, found.sent) == (ABSENT, "no proof", Need.PROOF, 2)
    assert found.routes == {seen(ACCOUNTS): STOPPED, seen(LISTS): ABSENT}


def within(*samples: Sample) -> AttackContext:
    """Return an attack context with these samples and a genuine instance."""
    found = context(Simulated(lambda _: refusal(Reason.PROOF_MISSING)), *samples)
    own = OwnToken("session", {}, "thumbprint")
    token = HeldToken("token", 2e9, 2e9, session_key=bytes(32), own=own)
    phone = Phone("test-instance", "ios", Platform.IOS, TestInstanceDevice("a-code"))
    held = Held(phone, "instance", {found.facts.audience: token}, b"", {})
    return replace(found, shared=lambda: held)


def test_each_route_and_method_is_tried_once_and_so_many_at_most() -> None:
    """Several requests on one route are one; where nobody knows routes, all of them stand for one."""
    twice = replace(ACCOUNTS, target="/accounts/8")
    written = replace(ACCOUNTS, method="POST")
    contexts = within(ACCOUNTS, twice, written, LISTS).on_each_route
    assert [one.samples for one in contexts] == [(ACCOUNTS,), (written,), (LISTS,)]
    assert [one.samples for one in within(SAMPLE, replace(SAMPLE, login=True)).on_each_route] == [
        (SAMPLE, replace(SAMPLE, login=True))
    ]
    many = [sample(f"/{number}", Proof.SESSION) for number in range(MAX_ROUTES + 6)]
    assert len(within(*many).on_each_route) == MAX_ROUTES


def test_what_is_enforced_is_attacked_before_what_only_watches() -> None:
    """On a route in monitor nothing can be stopped, which says nothing of the others."""
    watching = replace(LISTS, mode=Mode.MONITOR)
    assert within(watching, ACCOUNTS).sample(Proof.BEARER, Proof.SESSION) == ACCOUNTS
    assert within(watching).sample(Proof.BEARER) == watching
    guarded = replace(LISTS, mode=Mode.OFF, assets=("cards (impact 5)",))
    assert within(guarded, ACCOUNTS).guarded == (ACCOUNTS, guarded)
    assert within(replace(guarded, assets=()), ACCOUNTS).guarded == (ACCOUNTS,)


def test_a_stolen_token_is_sent_alone_where_a_proof_is_asked_for() -> None:
    """Where none is, the proof is absent if an asset lives there; else there is nothing to try."""
    (variant,) = token_alone.ATTACK.variants
    assert variant.each_route
    (attempt,) = variant.run(within(ACCOUNTS))
    assert attempt.sample == ACCOUNTS
    with pytest.raises(AbsentError, match=r"/lists/7, where payments \(impact 5\) lives"):
        variant.run(within(replace(LISTS, assets=("payments (impact 5)",))))
    with pytest.raises(MissingError) as told:
        variant.run(within(LISTS))
    assert not isinstance(told.value, AbsentError)


def test_a_replay_shows_nothing_where_the_request_before_it_wasn_t_served() -> None:
    """Else a gate that was busy for a moment would be told to take the same request twice."""
    (again,) = [each for each in proof_replayed.ATTACK.variants if each.name == "session-again"]
    answers = iter([api(503)] * 3 + [api(200)])
    busy = replace(within(ACCOUNTS), wire=Simulated(lambda _: next(answers)))
    controls = Controls({ACCOUNTS.name: api(200)})
    found = judged(again, again.run(busy), controls, 4)
    assert (found.verdict, next(answers, None)) == (UNSURE, None)
    assert "wasn't served: 503" in found.got
    # One that takes it the second time has it refused the third.
    once_busy = iter([api(503), api(200), refusal(Reason.PROOF_REPLAYED)])
    soon = replace(within(ACCOUNTS), wire=Simulated(lambda _: next(once_busy)))
    assert judged(again, again.run(soon), controls, 3).verdict is STOPPED
