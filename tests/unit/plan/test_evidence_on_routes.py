"""What was seen on a route proves nothing of another one, of another proof, method, API, build or policy."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchword.observations import Claim, Observation, Review, SeenRoute, State, Vouched
from watchword.plan.catalogue import load_catalogue
from watchword.plan.evidence import Circumstances, judge, weak_routes
from watchword.plan.interface import Asset, AssetKind, Component, RouteRow, Trait
from watchword.plan.outcome import Evidence, Standing
from watchword.vocabulary import Environment, Proof

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
DAY = timedelta(days=1)
POLICY, OTHER = "ef" * 32, "cd" * 32
CATALOGUE = load_catalogue()
KEYS = {
    "PR-B01": "live:shield.rejected_unattested",
    "PR-B02": "live:attest.verdict_mix",
    "PR-B03": "live:shield.signature_enforced",
    "PR-B11": "live:gateway.limits",
    "PR-B12": "live:tokens.ttl",
    "PR-B15": "live:tokens.bound_ratio",
    "PR-B17": "live:app.version_mix",
    "PR-B25": "live:policy.push_seconds",
}
EACH = pytest.mark.parametrize("name", KEYS)


def row(path: str, *methods: str, api: str = "bank", **changes: str) -> RouteRow:
    """Return a row that asks for a proof by the session's key, changed as given."""
    words = {"mode": "enforce", "proof": "session", "level": "hardware"}
    return RouteRow(api, path, tuple(sorted(methods)), **{**words, **changes})


ACCOUNTS = row("/v1/accounts/**")
PAYMENTS = row("/v2/payments/**", "GET", "POST", proof="device")
STATEMENTS = row("/v2/payments/**", proof="session")
"""What the row before leaves: the same path by other methods."""

PARTNERS = row("/v1/accounts/**", api="partners")
TABLES = {"bank": (ACCOUNTS, PAYMENTS, STATEMENTS), "partners": (PARTNERS,)}


def asset(name: str, *rows: RouteRow) -> Asset:
    """Return an asset behind these rows; behind any where none is given."""
    named = rows or tuple(each for rows in TABLES.values() for each in rows)
    return Asset(
        id=name,
        kind=AssetKind.DATA,
        impact=5,
        because="x",
        lives_in=frozenset(Component),
        traits=frozenset({Trait.RECORDS}),
        places=frozenset(f"api:{each.api}" for each in rows),
        routes=tuple(f"{each.api} {each.path}" for each in rows),
        rows=named,
    )


ASSETS = {
    each.id: each
    for each in (
        asset("accounts", ACCOUNTS),
        asset("payments", PAYMENTS),
        asset("statements", STATEMENTS),
        asset("both", ACCOUNTS, PARTNERS),
        asset("anywhere"),
    )
}
HERE = Circumstances(
    NOW,
    30 * DAY,
    Environment.PROD,
    {},
    {"bank": POLICY, "partners": POLICY},
    routes=TABLES,
)


def seen(
    path: str = "/v1/accounts/**",
    method: str = "GET",
    proof: Proof = Proof.SESSION,
    *,
    name: str = "PR-B01",
    api: str = "bank",
    **changes: Any,
) -> Observation:
    """Return a statement that counts on a route, changed as given."""
    written = {
        "protection": name,
        "key": KEYS[name],
        "state": State.PROVEN,
        "at": NOW - DAY,
        "target": f"api:{api}",
        "source": "drill 1.0",
        "environment": Environment.PROD,
        "generation": POLICY,
        "route": SeenRoute(path, method, proof),
    }
    return Observation(**{**written, **changes})


def judged(*vouched: Observation, where: Circumstances = HERE) -> Evidence:
    """Judge what an observer vouches for."""
    return judge([Vouched(each, "ci") for each in vouched], [], CATALOGUE, ASSETS, where)


def relied_on(*vouched: Observation, name: str = "PR-B01") -> set[str]:
    """Return the assets for which a protection may be relied on."""
    return {each for each, found in judged(*vouched).proven.items() if name in found}


def standing(*vouched: Observation, where: Circumstances = HERE) -> Standing:
    """Return the one standing that comes of it."""
    ((only,),) = judged(*vouched, where=where).standings.values()
    return only


GET, POST = (seen("/v2/payments/**", method, Proof.DEVICE) for method in ("GET", "POST"))
PUT = seen("/v2/payments/**", "PUT")
THERE = seen(api="partners")


@EACH
def test_what_is_seen_on_a_route_counts_for_what_lives_there(name: str) -> None:
    """Of each key that a row decides; by each method that the row names."""
    accounts, get, post = (
        replace(each, protection=name, key=KEYS[name]) for each in (seen(), GET, POST)
    )
    assert relied_on(accounts, name=name) == {"accounts"}
    assert relied_on(get, name=name) == relied_on(post, name=name) == set()
    assert relied_on(get, post, name=name) == {"payments"}


@EACH
def test_what_names_no_route_or_another_one_counts_for_nothing(name: str) -> None:
    """An older form, a route that is gone, another proof, another method: stale, each with its cause."""
    for route, cause in (
        (None, "It doesn't say of which route it is"),
        (SeenRoute("/v1/gone", "GET", Proof.SESSION), "The file has no route GET /v1/gone"),
        (
            SeenRoute("/v1/accounts/**", "GET", Proof.DEVICE),
            "was seen with proof device, and the file asks for session",
        ),
        (
            SeenRoute("/v2/payments/**", "PUT", Proof.DEVICE),
            "PUT /v2/payments/** was seen with proof device",
        ),
    ):
        found = seen(name=name, route=route)
        assert relied_on(found, name=name) == set()
        told = standing(found)
        assert told.state is State.STALE
        assert cause in told.why
        assert "look again and record" in told.why


def test_every_row_of_an_asset_has_to_be_proven() -> None:
    """At both APIs; and of what names no route all rows of all APIs."""
    assert relied_on(seen(), THERE) == {"accounts", "both"}
    assert relied_on(THERE) == set()
    every = [seen(), GET, POST, PUT, THERE]
    assert relied_on(*every) == set(ASSETS)
    for missing in every:
        assert "anywhere" not in relied_on(*(each for each in every if each is not missing))


def test_the_same_path_by_other_methods_is_another_row() -> None:
    """The first that decides on a method is meant, and each asks for a proof of its own."""
    assert relied_on(PUT) == {"statements"}
    assert relied_on(GET, POST) == {"payments"}
    assert relied_on(seen("/v2/payments/**", "GET")) == set()
    assert relied_on(seen("/v2/payments/**", "HEAD", Proof.DEVICE), POST) == set()


@EACH
@pytest.mark.parametrize("mode", ["off", "monitor", "canary", "enforced", ""])
def test_a_route_that_lets_pass_breaks_what_was_seen_there(name: str, mode: str) -> None:
    """Whatever was seen and when: told with the mode, and only on that route."""
    lax = replace(HERE, routes={"bank": (replace(ACCOUNTS, mode=mode), PAYMENTS), "partners": ()})
    for found in (seen(name=name), seen(name=name, generation=OTHER)):
        told = standing(found, where=lax)
        assert (told.state, told.routes) == (State.BROKEN, (found.route,))
        assert told.why == (
            f"It has no effect: by watchword.yaml route /v1/accounts/** is in mode {mode}."
        )
    get, post = (replace(each, protection=name, key=KEYS[name]) for each in (GET, POST))
    assert name in judged(get, post, seen(name=name), where=lax).proven["payments"]


@pytest.mark.parametrize("name", ["PR-B03", "PR-B15"])
@pytest.mark.parametrize("proof", ["bearer", "none"])
def test_what_takes_the_token_alone_stops_no_thief_of_it(name: str, proof: str) -> None:
    """Seen there or seen before it was so: neither signed requests nor bound tokens have any effect."""
    bearer = replace(
        HERE, routes={"bank": (replace(ACCOUNTS, proof=proof), PAYMENTS), "partners": ()}
    )
    for found in (seen(name=name), seen(name=name, proof=Proof.BEARER)):
        told = standing(found, where=bearer)
        assert told.state is State.BROKEN
        assert f"takes the token alone (proof: {proof})" in told.why
        assert name not in judged(found, where=bearer).proven["accounts"]
    # What a token is enough for counts there.
    shield = seen(proof=Proof.BEARER)
    rows = {"accounts": asset("accounts", replace(ACCOUNTS, proof="bearer"))}
    there = replace(HERE, routes={"bank": rows["accounts"].rows})
    evidence = judge([Vouched(shield, "ci")], [], CATALOGUE, rows, there)
    assert evidence.proven["accounts"] == {"PR-B01"}


def test_bad_news_on_a_route_takes_trust_from_what_lives_there() -> None:
    """By any method and whatever was asked for; what lives elsewhere keeps its proof."""
    every = [seen(), GET, POST, PUT, THERE]
    bad = seen(state=State.BROKEN, at=NOW)
    assert relied_on(*every, bad) == {"payments", "statements"}
    of_another_proof = replace(bad, route=SeenRoute("/v1/accounts/**", "PUT", Proof.BEARER))
    assert relied_on(*every, of_another_proof) == {"payments", "statements"}
    # The same path by another method is another row.
    by_put = replace(PUT, state=State.BROKEN, at=NOW)
    assert relied_on(*every, by_put) == {"accounts", "payments", "both"}
    # Unsigned, it is believed all the same.
    vouched = [Vouched(each, "ci") for each in every]
    found = judge(vouched, [Claim(bad, "unsigned")], CATALOGUE, ASSETS, HERE)
    assert "PR-B01" not in found.proven["accounts"]


def test_bad_news_without_a_route_is_of_all_until_each_shows_otherwise() -> None:
    """A newer proof on a route takes it from that route alone; an older one takes nothing."""
    bad = seen(state=State.BROKEN, route=None)
    after = [replace(each, at=NOW) for each in (seen(), GET, POST, PUT)]
    assert relied_on(*(replace(each, at=NOW - 2 * DAY) for each in after), bad) == set()
    assert relied_on(after[0], bad) == {"accounts"}
    assert relied_on(*after, bad) == {"accounts", "payments", "statements"}
    assert {each.state for each in judged(after[0], bad).standings["PR-B01"]} == {
        State.PROVEN,
        State.BROKEN,
    }


def test_bad_news_of_a_route_that_is_gone() -> None:
    """Of the policy in force it may be of any route; of another one it is over."""
    gone = SeenRoute("/v0/pay", "GET", Proof.SESSION)
    now = seen(state=State.BROKEN, route=gone)
    assert relied_on(seen(at=NOW - 2 * DAY), now) == set()
    assert standing(now).state is State.BROKEN
    then = replace(now, generation=OTHER)
    assert relied_on(seen(at=NOW - 2 * DAY), then) == {"accounts"}
    told = standing(then)
    assert told.state is State.STALE
    assert "/v0/pay" in told.why
    # What names no policy may be of this one.
    assert standing(replace(now, generation=None)).state is State.BROKEN


def test_what_leans_on_what_is_bad_on_a_route_falls_there_alone() -> None:
    """Keys that only attested instances get are worth nothing where anybody passes."""
    keys = Observation(
        "PR-B04",
        "live:secrets.delivered",
        State.PROVEN,
        NOW - DAY,
        "api:bank",
        "drill",
        Environment.PROD,
        generation=POLICY,
    )
    assert relied_on(keys, name="PR-B04") >= {"accounts", "payments"}
    bad = seen(state=State.BROKEN)
    assert relied_on(keys, bad, name="PR-B04") == {"payments", "statements"}


def test_what_no_row_decides_counts_for_the_whole_api() -> None:
    """A certificate is the host's: no route is asked for, and one that is named narrows it."""
    tls = replace(seen(), protection="PR-C01", key="live:tls.grade", target="api:bank", route=None)
    assert relied_on(tls, name="PR-C01") >= {"accounts", "payments", "statements"}
    narrowed = replace(tls, route=SeenRoute("/v1/accounts/**", "GET", Proof.SESSION))
    assert relied_on(narrowed, name="PR-C01") == {"accounts"}


def test_a_key_of_another_protection_says_nothing() -> None:
    """Neither that of the host's certificate nor that of another check on the same route."""
    for key in ("live:tls.grade", KEYS["PR-B12"]):
        for route in (None, seen().route):
            assert relied_on(seen(key=key, route=route)) == set()


def test_routes_of_which_the_same_is_known_stand_together() -> None:
    """In the order of their paths; what is known otherwise stands apart, and what says nothing isn't told beside."""
    bad = replace(PUT, state=State.ABSENT)
    found = judged(GET, seen(), POST, bad, seen(route=None)).standings["PR-B01"]
    told = {each.state: [str(route) for route in each.routes] for each in found}
    assert told == {
        State.PROVEN: [
            "GET /v1/accounts/** (session)",
            "GET /v2/payments/** (device)",
            "POST /v2/payments/** (device)",
        ],
        State.ABSENT: ["PUT /v2/payments/** (session)"],
    }


def test_an_api_without_a_table_proves_nothing_that_a_row_decides() -> None:
    """Nobody knows by what requests to it are judged."""
    for routes in ({}, {"bank": ()}):
        where = replace(HERE, routes=routes)
        assert standing(seen(), where=where).state is State.STALE
        assert not any(judged(seen(), where=where).proven.values())
    unreadable = replace(HERE, routes={"bank": (row("", mode="", proof="", level=""),)})
    assert not any(judged(seen(""), where=unreadable).proven.values())


def test_a_review_of_what_a_row_decides_names_the_row_too() -> None:
    """Else it would close what lives behind a row that is open to all."""
    review = Review("Ada", "Bob", "12" * 32, NOW + 30 * DAY)
    found = seen(name="PR-B25", state=State.REVIEWED, review=review, generation=None)
    assert relied_on(found, name="PR-B25") == {"accounts"}
    for whole in (replace(found, route=None), replace(found, route=None, generation=POLICY)):
        assert relied_on(whole, name="PR-B25") == set()
        assert standing(whole).state is State.STALE
    off = replace(HERE, routes={"bank": (replace(ACCOUNTS, mode="off"),)})
    assert standing(found, where=off).state is State.BROKEN


def test_bad_news_of_a_clock_that_runs_ahead_takes_trust_away() -> None:
    """It is as true as the good news that was recorded before."""
    for state in (State.BROKEN, State.ABSENT):
        assert relied_on(seen(), seen(state=state, at=NOW + DAY)) == set()
    assert relied_on(seen(at=NOW + DAY)) == set()


def test_weak_routes_name_what_lives_there_and_what_to_write() -> None:
    """Such as are off, only watch, or take the token alone; an asset that names no route says nothing of one."""
    bearer = row("/v2/payments/**", "POST", proof="bearer")
    off, watching = row("/v1/cards/**", mode="off"), row("/v1/x", mode="monitor", proof="bearer")
    payments = replace(asset("payments", bearer), impact=4)
    assets = [payments, asset("cards", off), asset("lists", off, watching, ACCOUNTS)]
    texts = [str(each) for each in weak_routes([*assets, replace(asset("anywhere"), rows=(off,))])]
    assert texts == [
        (
            "Route /v1/cards/** of bank, where cards (impact 5) and lists (impact 5) live, is in mode "
            "off: anybody is served. Write mode: enforce there."
        ),
        (
            "Route /v1/x of bank, where lists (impact 5) lives, is in mode monitor: what it refuses "
            "is served. Write mode: enforce there."
        ),
        (
            "Route POST /v2/payments/** of bank, where payments (impact 4) lives, takes the token "
            "alone (proof: bearer): whoever steals one is served. Write proof: session, or proof: "
            "device there."
        ),
    ]
    assert weak_routes([asset("accounts", ACCOUNTS, PAYMENTS)]) == ()


ROUTES = st.builds(
    SeenRoute,
    path=st.sampled_from(["/v1/accounts/**", "/v2/payments/**", "/**"]),
    method=st.sampled_from(["GET", "POST", "PUT", "HEAD"]),
    proof=st.sampled_from(Proof),
)
OBSERVATIONS = st.builds(
    Observation,
    protection=st.sampled_from([*KEYS, "PR-Z99"]),
    key=st.sampled_from([*KEYS.values(), "live:tls.grade"]),
    state=st.sampled_from([each for each in State if each is not State.STALE]),
    at=st.integers(-40, 1).map(lambda days: NOW + days * DAY),
    target=st.sampled_from(["api:bank", "api:partners", "api:gone", "app:phone"]),
    source=st.sampled_from(["a", "b"]),
    environment=st.sampled_from(Environment),
    loopback=st.booleans(),
    build=st.sampled_from([None, OTHER]),
    generation=st.sampled_from([None, POLICY, OTHER]),
    route=st.none() | ROUTES,
)
MODES = st.sampled_from(["enforce", "monitor", "off"])
GOOD = st.builds(
    seen,
    path=st.sampled_from(["/v1/accounts/**", "/v2/payments/**"]),
    method=st.sampled_from(["GET", "POST", "PUT"]),
    proof=st.sampled_from([Proof.SESSION, Proof.DEVICE]),
    name=st.sampled_from(list(KEYS)),
    api=st.sampled_from(["bank", "partners"]),
    generation=st.sampled_from([POLICY, OTHER]),
)


@settings(max_examples=400)
@given(
    vouched=st.lists(OBSERVATIONS | GOOD, max_size=30),
    claims=st.lists(OBSERVATIONS | GOOD, max_size=10),
    mode=MODES,
    proof=st.sampled_from(["session", "device", "bearer"]),
)
def test_nothing_makes_proven_what_no_statement_names(
    vouched: Sequence[Observation], claims: Sequence[Observation], mode: str, proof: str
) -> None:
    """However many statements in whatever order: API, route, method, proof and policy of each row were named by one that counts."""
    accounts = replace(ACCOUNTS, mode=mode, proof=proof)
    table = {"bank": (accounts, PAYMENTS, STATEMENTS), "partners": (PARTNERS,)}
    where = replace(HERE, routes=table)
    assets = {
        name: replace(each, rows=tuple(accounts if r == ACCOUNTS else r for r in each.rows))
        for name, each in ASSETS.items()
    }
    found = judge(
        [Vouched(each, "ci") for each in vouched],
        [Claim(each, "unsigned") for each in claims],
        CATALOGUE,
        assets,
        where,
    )
    for name, protections in found.proven.items():
        for protection in protections & KEYS.keys():
            for each in assets[name].rows:
                assert each.enforced
                assert each.proved or protection not in {"PR-B03", "PR-B15"}
                for method in each.methods or (None,):
                    assert any(_names(one, protection, each, method, table) for one in vouched), (
                        f"{protection} of {name} on {method} {each}"
                    )


def _names(
    found: Observation,
    protection: str,
    wanted: RouteRow,
    method: str | None,
    table: dict[str, tuple[RouteRow, ...]],
) -> bool:
    """Tell whether a statement names all of it, by a reading of its own that shares nothing with what is tested."""
    route = found.route
    if route is None or (found.protection, found.key) != (protection, KEYS[protection]):
        return False
    decides = next(
        (
            each
            for each in table[wanted.api]
            if each.path == route.path
            and (
                not each.methods
                or route.method in {*each.methods, *(["HEAD"] if "GET" in each.methods else [])}
            )
        ),
        None,
    )
    return (
        found.target == f"api:{wanted.api}"
        and decides == wanted
        and method in {None, route.method}
        and route.proof.value == wanted.proof
        and found.state is State.PROVEN
        and found.generation == POLICY
        and found.environment is Environment.PROD
        and not found.loopback
        and NOW - 30 * DAY <= found.at <= NOW + timedelta(minutes=5)
    )


def test_the_property_isn_t_empty() -> None:
    """There are statements by which all of it is proven."""
    every = [
        replace(each, protection=name, key=key)
        for name, key in KEYS.items()
        for each in (seen(), GET, POST, PUT, THERE)
    ]
    found = judged(*every)
    assert all(found.proven[each] == set(KEYS) for each in ASSETS)
