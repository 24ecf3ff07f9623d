"""Which observations count, where, and for which asset."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from watchword.observations import (
    OF_A_ROUTE,
    Claim,
    Observation,
    Review,
    SeenRoute,
    State,
    Vouched,
)
from watchword.plan.evidence import Circumstances, claims_of, judge, same_person
from watchword.plan.interface import (
    Asset,
    AssetKind,
    Catalogue,
    Component,
    EnforcedAt,
    Protection,
    ProtectionKind,
    RouteRow,
    Trait,
)
from watchword.plan.outcome import Evidence, Standing
from watchword.vocabulary import Environment, Proof

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
DAY = timedelta(days=1)
BUILD, OTHER = "ab" * 32, "cd" * 32
POLICY = "ef" * 32


def protection(name: str, component: Component, *keys: str, reviewable: bool = False) -> Protection:
    """Return a protection with the evidence keys given."""
    return Protection(
        id=name,
        name=name,
        about="",
        component=component,
        enforced_at=EnforcedAt.SERVER,
        kind=ProtectionKind.PREVENT,
        cuts={},
        effort=1,
        does_not=("all else",),
        evidence=keys,
        reviewable=reviewable,
    )


CATALOGUE = Catalogue(
    {},
    {
        each.id: each
        for each in (
            protection("PR-A01", Component.APP, "scan:static.obfuscation"),
            protection("PR-B01", Component.BACKEND, "live:shield.enforced_ratio", "live:drill"),
            protection("PR-B03", Component.CHANNEL, "live:signatures", "scan:static.signing"),
            protection("PR-B05", Component.BACKEND, "review:rotation", reviewable=True),
            protection("PR-C01", Component.CHANNEL, "scan:static.pinning"),
        )
    },
)
KEYS = {
    "PR-A01": "scan:static.obfuscation",
    "PR-B01": "live:shield.enforced_ratio",
    "PR-B03": "live:signatures",
    "PR-B05": "review:rotation",
    "PR-C01": "scan:static.pinning",
}


def asset(name: str, *places: str) -> Asset:
    """Return an asset that lives at the places given."""
    return Asset(
        id=name,
        kind=AssetKind.DATA,
        impact=5,
        because="x",
        lives_in=frozenset(Component),
        traits=frozenset({Trait.RECORDS}),
        places=frozenset(places),
    )


ASSETS = {
    each.id: each
    for each in (
        asset("records", "api:clinic", "app:phone"),
        asset("both", "api:clinic", "api:billing"),
        asset("nowhere"),
    )
}
SHIELDED = SeenRoute("/v1/**", "GET", Proof.SESSION)
ROUTES = {
    api: (RouteRow(api, "/v1/**", (), "enforce", "session", "hardware"),)
    for api in ("clinic", "billing")
}
HERE = Circumstances(
    NOW, 30 * DAY, Environment.PROD, {"phone": BUILD}, {"clinic": POLICY}, routes=ROUTES
)


def seen(name: str = "PR-B01", **changes: Any) -> Observation:
    """Return an observation that counts as it is, changed as given."""
    target = changes.get("target", "app:phone" if name == "PR-A01" else "api:clinic")
    key = changes.get("key", KEYS[name])
    written = {
        "protection": name,
        "key": key,
        "state": State.PROVEN,
        "at": NOW - DAY,
        "target": target,
        "source": "drill 1.0",
        "environment": Environment.PROD,
        "build": BUILD if target.startswith("app:") or key.startswith("scan:static.") else None,
        "generation": POLICY if target == "api:clinic" else None,
        "route": SHIELDED if target.startswith("api:") and key.startswith(OF_A_ROUTE) else None,
    }
    return Observation(**{**written, **changes})


def reviewed(name: str = "PR-B05", **changes: Any) -> Observation:
    """Return a review that counts as it is, with the review's fields changed as given."""
    review = Review("Ada", "Bob", "12" * 32, NOW + 60 * DAY)
    return seen(name, state=State.REVIEWED, review=replace(review, **changes))


def vouch(*observations: Observation) -> list[Vouched]:
    """Vouch for observations."""
    return [Vouched(each, "ci") for each in observations]


def claim(*observations: Observation) -> list[Claim]:
    """Hold observations that nobody vouches for."""
    return [Claim(each, "unsigned") for each in observations]


def weigh(
    vouched: list[Vouched], claims: list[Claim] | None = None, where: Circumstances = HERE
) -> Evidence:
    """Judge under the circumstances given."""
    return judge(vouched, claims or [], CATALOGUE, in_tables(ASSETS, where), where)


def in_tables(assets: dict[str, Asset], where: Circumstances) -> dict[str, Asset]:
    """Return assets with the rows of their APIs; all that are known, where one names no API."""
    found = {}
    for name, each in assets.items():
        apis = [place[4:] for place in each.places if place.startswith("api:")]
        rows = [row for api in apis or where.generations for row in where.routes.get(api, ())]
        found[name] = replace(each, rows=tuple(rows))
    return found


def standing(
    vouched: list[Vouched], claims: list[Claim] | None = None, where: Circumstances = HERE
) -> Standing:
    """Return the one standing that comes of it; of one of a route and one of its whole target that of the route."""
    (found,) = weigh(vouched, claims, where).standings.values()
    only = max(found, key=lambda each: len(each.routes))
    assert len(found) == 1 + any(not each.routes for each in found) * bool(only.routes)
    assert only.why
    return only


LAB = replace(HERE, environment=Environment.LAB)
LAX = replace(HERE, routes={**ROUTES, "clinic": (replace(ROUTES["clinic"][0], mode="monitor"),)})


@pytest.mark.parametrize(
    ("observation", "where", "state"),
    [
        (seen(), HERE, State.PROVEN),
        (seen(at=NOW + timedelta(minutes=4)), HERE, State.PROVEN),
        (seen(at=NOW + timedelta(minutes=6)), HERE, State.CLAIMED),
        (seen(at=NOW - 30 * DAY), HERE, State.PROVEN),
        (seen(at=NOW - 30 * DAY - timedelta(seconds=1)), HERE, State.STALE),
        (seen(key="scan:static.pinning"), HERE, State.CLAIMED),
        (seen(generation=OTHER), HERE, State.STALE),
        (seen(generation=None), HERE, State.STALE),
        (seen(target="api:billing"), HERE, State.PROVEN),
        (seen("PR-A01"), HERE, State.PROVEN),
        (seen("PR-A01", build=OTHER), HERE, State.STALE),
        (seen("PR-A01", build=None), HERE, State.STALE),
        (seen("PR-A01", target="app:tablet", build=None), HERE, State.PROVEN),
        (seen(environment=Environment.LAB), HERE, State.CLAIMED),
        (seen(environment=Environment.LAB), LAB, State.PROVEN),
        (seen(loopback=True), HERE, State.CLAIMED),
        (seen(loopback=True), LAB, State.PROVEN),
        (seen(environment=Environment.LAB, loopback=True), LAB, State.PROVEN),
        (seen(state=State.CLAIMED), HERE, State.CLAIMED),
        (seen(state=State.ABSENT), HERE, State.ABSENT),
        (seen(state=State.BROKEN), HERE, State.BROKEN),
        (seen(state=State.BROKEN, at=NOW - 900 * DAY), HERE, State.BROKEN),
        (seen(state=State.BROKEN, generation=OTHER), HERE, State.BROKEN),
        (seen(state=State.BROKEN, environment=Environment.LAB), HERE, State.CLAIMED),
        (reviewed(), HERE, State.REVIEWED),
        (reviewed("PR-B01"), HERE, State.CLAIMED),
        # A review is of its artifact; only where it names a policy or a build it is bound to that.
        (replace(reviewed(), generation=None), HERE, State.REVIEWED),
        (replace(reviewed(), generation=OTHER), HERE, State.STALE),
        (replace(reviewed(), target="app:phone", generation=None), HERE, State.REVIEWED),
        (replace(reviewed(), target="app:phone", generation=None, build=OTHER), HERE, State.STALE),
        # By the file the route refuses nothing, whatever was seen.
        (seen(), LAX, State.BROKEN),
        (seen(generation=OTHER), LAX, State.BROKEN),
        (seen(at=NOW - 40 * DAY), LAX, State.BROKEN),
        (seen(state=State.ABSENT), LAX, State.ABSENT),
        (seen(state=State.CLAIMED), LAX, State.CLAIMED),
        (seen(environment=Environment.LAB), LAX, State.CLAIMED),
        (seen(key="live:drill"), LAX, State.PROVEN),
        (seen(target="api:billing"), LAX, State.PROVEN),
        (replace(reviewed(), review=None), HERE, State.CLAIMED),
        (reviewed(author=" a D a"), HERE, State.CLAIMED),
        (reviewed(expires=NOW), HERE, State.STALE),
        (reviewed(expires=NOW + timedelta(seconds=1)), HERE, State.REVIEWED),
        (reviewed(expires=NOW + 179 * DAY), HERE, State.REVIEWED),
        (reviewed(expires=NOW + 180 * DAY), HERE, State.CLAIMED),
        (replace(reviewed(), at=NOW - 90 * DAY), HERE, State.REVIEWED),
    ],
)
def test_what_a_vouched_statement_is_worth(
    observation: Observation, where: Circumstances, state: State
) -> None:
    """Each condition of a proof, broken on its own, gives the state that it should."""
    assert standing(vouch(observation), where=where).state is state


@pytest.mark.parametrize(
    ("observation", "state"),
    [
        (seen(), State.CLAIMED),
        (reviewed(), State.CLAIMED),
        (seen(at=NOW - 90 * DAY), State.CLAIMED),
        (seen(state=State.ABSENT), State.ABSENT),
        (seen(state=State.BROKEN), State.BROKEN),
        # Whose clock runs ahead saw it all the same.
        (seen(state=State.BROKEN, at=NOW + DAY), State.BROKEN),
    ],
)
def test_without_a_signature_only_bad_news_is_believed(
    observation: Observation, state: State
) -> None:
    """What nobody vouches for re-opens, and never closes."""
    found = weigh([], claim(observation))
    assert [each.state for each in found.standings[observation.protection]] == [state]
    assert not any(found.proven.values())


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, State.PROVEN),
        ({"build": OTHER}, State.STALE),
        ({"build": None}, State.STALE),
        # Of an old build: it says nothing of the current one, whatever policy stands beside it.
        ({"build": OTHER, "state": State.ABSENT}, State.ABSENT),
    ],
)
def test_a_scan_of_a_package_that_was_recorded_at_an_api_is_of_a_build_too(
    changes: dict[str, Any], state: State
) -> None:
    """The file names another build since: the scan is stale there as it is at the app."""
    assert standing(vouch(seen("PR-C01", **changes))).state is state


def test_bad_news_of_an_old_build_at_an_api_hides_no_newer_proof() -> None:
    """And what names no build may be of the current one."""
    proof = seen("PR-C01", at=NOW - 2 * DAY)
    bad = seen("PR-C01", state=State.BROKEN, build=OTHER)
    assert weigh(vouch(proof, bad)).standings["PR-C01"][0].state is State.PROVEN
    unnamed = replace(bad, build=None, generation=None)
    assert weigh(vouch(proof, unnamed)).standings["PR-C01"][0].state is State.BROKEN


def test_a_scan_at_an_api_is_bound_to_no_build_where_none_is_named() -> None:
    """Nor is what was seen at the running API: it has no build."""
    somewhere = replace(HERE, builds={})
    assert standing(vouch(seen("PR-C01", build=OTHER)), where=somewhere).state is State.PROVEN
    assert standing(vouch(seen(build=OTHER))).state is State.PROVEN


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Ada Lovelace", "ada  LOVELACE", True),
        ("\uff21da", "Ada", True),
        ("Ada", "A\u200bd\u00ada", True),
        ("Ren\u00e9e", "Rene\u0301e", True),
        ("ﬁona", "FIONA", True),
        ("Straße", "STRASSE", True),
        ("\u1fb3", "\u0391\u0399", True),
        ("Ada", "Ida", False),
        ("Renée", "Renee", False),
    ],
)
def test_a_name_that_looks_the_same_is_the_same(one: str, other: str, same: bool) -> None:
    """Wide letters, ligatures, composed or not, and what can't be seen make nobody somebody else."""
    assert same_person(one, other) is same
    assert same_person(other, one) is same


def test_an_api_that_enforces_nothing_is_told_by_its_route() -> None:
    """A vouched proof of the shield is broken and says by what; without any statement nothing stands."""
    told = standing(vouch(seen()), where=LAX)
    assert "route /v1/** is in mode monitor" in told.why
    assert not any(weigh(vouch(seen()), where=LAX).proven.values())
    assert standing([], claim(seen()), LAX).state is State.CLAIMED
    assert weigh([], where=LAX).standings == {}


def test_what_is_stale_by_policy_says_what_to_do() -> None:
    """Another build and another policy are told apart, each with the current one's absence."""
    policy = standing(vouch(seen(generation=OTHER)))
    build = standing(vouch(seen("PR-A01", build=OTHER)))
    assert OTHER[:8] in policy.why
    assert OTHER[:8] in build.why
    assert policy.why != build.why


EARLY, LATE = NOW - 3 * DAY, NOW - 2 * DAY


@pytest.mark.parametrize(
    ("vouched", "claims", "state"),
    [
        ([seen(at=EARLY), seen(at=LATE, state=State.BROKEN)], [], State.BROKEN),
        ([seen(at=LATE), seen(at=EARLY, state=State.BROKEN)], [], State.PROVEN),
        ([seen(at=LATE), seen(at=LATE, state=State.ABSENT)], [], State.ABSENT),
        ([seen(at=LATE, state=State.BROKEN), seen(at=LATE, state=State.ABSENT)], [], State.BROKEN),
        # Unsigned: bad news takes away an older proof, not a newer one; good news does nothing.
        ([seen(at=EARLY)], [seen(at=LATE, state=State.BROKEN)], State.BROKEN),
        ([seen(at=LATE)], [seen(at=EARLY, state=State.BROKEN)], State.PROVEN),
        ([seen(at=EARLY)], [seen(at=LATE)], State.PROVEN),
        ([seen(at=EARLY, state=State.BROKEN)], [seen(at=LATE)], State.BROKEN),
        # What another world, build or policy shows is beside what runs now.
        ([seen(at=EARLY), seen(at=LATE, environment=Environment.LAB)], [], State.PROVEN),
        ([seen(at=EARLY), seen(at=LATE, generation=OTHER)], [], State.PROVEN),
        ([seen(at=EARLY), seen(at=LATE, generation=OTHER, state=State.BROKEN)], [], State.PROVEN),
        ([seen(at=EARLY)], [seen(at=LATE, generation=None, state=State.BROKEN)], State.BROKEN),
        ([seen(at=EARLY, state=State.BROKEN), seen(at=LATE, loopback=True)], [], State.BROKEN),
        # Over the keys of a target.
        ([seen(at=LATE), seen(at=EARLY, key="live:drill", state=State.ABSENT)], [], State.ABSENT),
        ([seen(at=EARLY), seen(at=LATE, key="live:drill", generation=OTHER)], [], State.PROVEN),
        ([seen(at=EARLY, generation=OTHER)], [seen(key="live:drill")], State.STALE),
    ],
)
def test_which_of_several_statements_stands(
    vouched: list[Observation], claims: list[Observation], state: State
) -> None:
    """The newest that can count stands for a key; over keys the bad news does."""
    assert standing(vouch(*vouched), claim(*claims)).state is state


def test_a_review_that_expired_hides_no_proof() -> None:
    """An older statement on the same key that still holds goes on counting."""
    older = seen("PR-B05", at=NOW - 20 * DAY)
    newer = replace(reviewed(expires=NOW - DAY), at=NOW - 10 * DAY)
    assert standing(vouch(older, newer)).state is State.PROVEN


def test_a_proof_counts_for_an_asset_only_at_all_of_its_places() -> None:
    """An asset behind two APIs needs both; one that names no place takes any."""
    one = weigh(vouch(seen()))
    assert {name for name, found in one.proven.items() if found} == {"records", "nowhere"}
    assert one.everywhere == frozenset()
    two = weigh(vouch(seen(), seen(target="api:billing")))
    assert all(found == {"PR-B01"} for found in two.proven.values())
    assert two.everywhere == {"PR-B01"}
    spoilt = weigh(vouch(seen(), seen(target="api:billing", state=State.BROKEN)))
    assert {name for name, found in spoilt.proven.items() if found} == {"records"}


@pytest.mark.parametrize("places", [(), ("app:phone",)])
def test_what_names_no_api_needs_a_proof_at_each(places: tuple[str, ...]) -> None:
    """Nobody says where it lives, so that one API that wasn't looked at is enough to take it."""
    where = replace(HERE, generations={"clinic": POLICY, "billing": OTHER})
    assets = in_tables({"it": asset("it", *places)}, where)
    one, both = [seen()], [seen(), seen(target="api:billing", generation=OTHER)]
    assert judge(vouch(*one), [], CATALOGUE, assets, where).proven["it"] == frozenset()
    assert judge(vouch(*both), [], CATALOGUE, assets, where).proven["it"] == {"PR-B01"}
    spoilt = [*both, seen(target="api:gone", state=State.BROKEN)]
    assert judge(vouch(*spoilt), [], CATALOGUE, assets, where).proven["it"] == frozenset()
    # Where the file knows no API at all, any that was looked at does.
    nothing = replace(HERE, generations={}, builds={}, routes={})
    pinned = seen("PR-C01")
    assert judge(vouch(pinned), [], CATALOGUE, assets, nothing).proven["it"] == {"PR-C01"}
    # But for what a route decides: nobody knows of any.
    assert judge(vouch(*one), [], CATALOGUE, assets, nothing).proven["it"] == frozenset()


def test_what_names_no_app_needs_a_proof_at_each() -> None:
    """Apps are known by their section or by their build; a scan of the package needs all of them too."""
    where = replace(HERE, apps=frozenset({"tablet"}))
    for name in ("PR-A01", "PR-C01"):
        one = seen(name, target="app:phone", build=BUILD, generation=None)
        other = replace(one, target="app:tablet", build=None)
        assert name not in weigh(vouch(one), where=where).proven["nowhere"]
        assert name not in weigh(vouch(other), where=where).proven["nowhere"]
        assert name in weigh(vouch(one, other), where=where).proven["nowhere"]


def test_places_are_matched_by_component() -> None:
    """What protects the app is proven at the app; channel and backend at the APIs."""
    found = weigh(vouch(seen("PR-A01"), seen("PR-C01")))
    assert found.proven["records"] == {"PR-A01", "PR-C01"}
    # It lives in no app, so that any app's proof does.
    assert found.proven["both"] == {"PR-A01"}


def test_a_scan_of_the_app_shows_what_the_channel_has() -> None:
    """Pinning is seen in the package: there it counts, unless it is bad at the API; a live key is no scan."""
    pinned = seen("PR-C01", target="app:phone", build=BUILD)
    assert "PR-C01" in weigh(vouch(pinned)).proven["records"]
    assert (
        "PR-C01" not in weigh(vouch(pinned, seen("PR-C01", state=State.BROKEN))).proven["records"]
    )
    # An asset behind APIs alone isn't reached through any app that was scanned.
    assert "PR-C01" not in weigh(vouch(pinned)).proven["both"]
    at_app = seen("PR-B01", target="app:phone", build=BUILD)
    assert "PR-B01" not in weigh(vouch(at_app)).proven["records"]


def test_an_app_that_plays_along_proves_no_server() -> None:
    """What the server enforces is seen at the server; that the app lacks it is bad news all the same."""
    signs = seen("PR-B03", key="scan:static.signing", target="app:phone", build=BUILD)
    assert standing(vouch(signs)).state is State.CLAIMED
    assert standing(vouch(replace(signs, state=State.BROKEN))).state is State.BROKEN
    found = weigh(vouch(signs, seen("PR-B03")))
    assert "PR-B03" in found.proven["records"]


def test_what_runs_at_an_api_is_seen_at_no_app() -> None:
    """There nobody would ask for the API's mode and policy: it is a claim, and closes nothing."""
    at_app = seen("PR-B03", target="app:phone", build=BUILD)
    assert standing(vouch(at_app)).state is State.CLAIMED
    assert "PR-B03" not in weigh(vouch(at_app)).proven["records"]


def test_what_leans_on_something_broken_does_not_hold() -> None:
    """Keys that only attested apps get are worth nothing while attestation is known to be broken."""
    leaning = replace(CATALOGUE.protections["PR-B03"], depends_on=("PR-B01",))
    known = Catalogue({}, {**CATALOGUE.protections, "PR-B03": leaning})
    assets = in_tables(ASSETS, HERE)
    held = judge(vouch(seen("PR-B03"), seen()), [], known, assets, HERE)
    assert held.proven["records"] == {"PR-B01", "PR-B03"}
    broken = seen(state=State.BROKEN)
    fallen = judge(vouch(seen("PR-B03"), broken), [], known, assets, HERE)
    assert fallen.proven["records"] == frozenset()


def test_no_asset_nothing_everywhere() -> None:
    """Without assets nothing is said to be proven for all of them."""
    found = judge(vouch(seen()), [], CATALOGUE, {}, HERE)
    assert (found.proven, found.everywhere) == ({}, frozenset())


def test_unknown_protections_are_left_out_and_claims_are_listed() -> None:
    """A claim yields something to verify; what the catalogue hasn't got yields nothing."""
    found = weigh(vouch(replace(seen(), protection="PR-Z99")), claim(seen(), seen("PR-A01")))
    assert list(found.standings) == ["PR-A01", "PR-B01"]
    assert [each.protection for each in claims_of(found, CATALOGUE)] == ["PR-A01", "PR-B01"]
    assert all(each.age == 86_400 and each.at == NOW - DAY for each in claims_of(found, CATALOGUE))


MOMENTS = st.integers(min_value=-40, max_value=1).map(lambda days: NOW + days * DAY)
OBSERVATIONS = st.builds(
    Observation,
    protection=st.sampled_from([*KEYS, "PR-Z99"]),
    key=st.sampled_from([*KEYS.values(), "live:drill"]),
    state=st.sampled_from([each for each in State if each is not State.STALE]),
    at=MOMENTS,
    target=st.sampled_from(["api:clinic", "api:billing", "app:phone", "app:tablet"]),
    source=st.sampled_from(["a", "b"]),
    environment=st.sampled_from(Environment),
    loopback=st.booleans(),
    build=st.sampled_from([None, BUILD, OTHER]),
    generation=st.sampled_from([None, POLICY, OTHER]),
    review=st.none()
    | st.builds(
        Review,
        reviewer=st.sampled_from(["Ada", "Bob"]),
        author=st.just("bob"),
        artifact=st.just("12" * 32),
        expires=MOMENTS,
    ),
    route=st.none()
    | st.builds(
        SeenRoute,
        path=st.sampled_from(["/v1/**", "/gone"]),
        method=st.sampled_from(["GET", "PUT"]),
        proof=st.sampled_from(Proof),
    ),
)
VOUCHED = st.lists(st.builds(Vouched, OBSERVATIONS, st.sampled_from(["ci", "eve"])), max_size=12)
CLAIMS = st.lists(st.builds(Claim, OBSERVATIONS, st.sampled_from(["unsigned", "?"])), max_size=6)
WHERE = st.sampled_from([HERE, LAB, replace(HERE, builds={}, generations={})])


@settings(max_examples=200)
@given(vouched=VOUCHED, claims=CLAIMS, where=WHERE, draws=st.randoms())
def test_the_order_of_the_input_changes_nothing(
    vouched: list[Vouched], claims: list[Claim], where: Circumstances, draws: Any
) -> None:
    """Shuffled statements give the same evidence, to the last word."""
    before = weigh(vouched, claims, where)
    draws.shuffle(vouched)
    draws.shuffle(claims)
    after = weigh(vouched, claims, where)
    assert before == after
    assert list(before.standings) == list(after.standings)


@settings(max_examples=300)
@given(
    vouched=VOUCHED,
    claims=CLAIMS,
    where=WHERE,
    name=st.sampled_from(list(KEYS)),
    target=st.sampled_from(["api:clinic", "api:billing", "app:phone"]),
)
def test_a_newer_proof_never_takes_anything_away(
    vouched: list[Vouched], claims: list[Claim], where: Circumstances, name: str, target: str
) -> None:
    """One more proof that counts leaves all that was proven, and is proven itself unless another key is bad."""
    # What runs at an API is seen at no app.
    assume(not (KEYS[name].startswith("live:") and target == "app:phone"))
    before = weigh(vouched, claims, where)
    proof = seen(name, at=NOW + timedelta(minutes=1), target=target)
    if target == "app:phone":
        proof = replace(proof, build=BUILD)
    after = weigh([*vouched, Vouched(proof, "ci")], claims, where)
    assert all(before.proven[name] <= after.proven[name] for name in ASSETS)
    assert before.everywhere <= after.everywhere
    on = () if proof.route is None else (proof.route,)
    (now,) = (
        each
        for each in after.standings[name]
        if each.target == target and {*on} <= {*each.routes} and bool(on) is bool(each.routes)
    )
    assert now.state in {State.PROVEN, State.BROKEN, State.ABSENT}


@settings(max_examples=300)
@given(vouched=VOUCHED, claims=CLAIMS, where=WHERE)
def test_claims_never_prove_anything(
    vouched: list[Vouched], claims: list[Claim], where: Circumstances
) -> None:
    """With any claims there is never more proven than without."""
    without, with_ = weigh(vouched, [], where), weigh(vouched, claims, where)
    assert all(with_.proven[name] <= without.proven[name] for name in ASSETS)
    every = [each for found in with_.standings.values() for each in found]
    assert all(each.age is not None and each.age >= 0 and each.why for each in every)
