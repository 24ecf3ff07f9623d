"""Which rows of the route tables decide on an asset, and whether each refuses what the plan counts on being refused."""

from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchword.apps.settings.plan import rows_of, tables_of
from watchword.apps.settings.plan_section import AssetConfig
from watchword.gate.hygiene import compile_routes, find_route
from watchword.gate.interface import Route
from watchword.plan.interface import RouteRow
from watchword.vocabulary import Level, Mode, Proof


def asset(*patterns: str, api: str = "clinic") -> AssetConfig:
    """Return an asset that names these routes."""
    routes = [{"api": api, "path": pattern} for pattern in patterns]
    return AssetConfig.model_validate(
        {"kind": "data", "impact": 5, "because": "x", "lives_in": ["backend"], "routes": routes}
    )


def route(path: Any, mode: Any = "enforce", *methods: str) -> dict[str, Any]:
    """Return a route as it is written."""
    return {"path": path, "mode": mode} | ({"methods": list(methods)} if methods else {})


def found(routes: Any, *assets: AssetConfig) -> str | None:
    """Return the first row that lets pass what one of the assets needs refused, None where there is none."""
    data = {"apis": {"clinic": {"routes": routes}, "other": {"routes": [route("/**")]}}}
    tables = tables_of(data)
    rows = {row for each in assets for row in rows_of(each, tables)}
    lax = [row for row in tables["clinic"].rows if row in rows and not row.enforced]
    return f"{lax[0].path or 'unreadable'} {lax[0].mode}" if lax else None


RECORDS = asset("/v1/records/**")
ALL = route("/**")


@pytest.mark.parametrize(
    ("routes", "named"),
    [
        ([route("/**", "monitor")], "/**"),
        ([route("/**", "canary")], "canary"),
        ([route("/**", "off")], "off"),
        ([route("/**", "monitr")], "monitr"),
        # Before the one that covers all of it, whatever part of it they take.
        ([route("/v1/records/*", "monitor"), ALL], "/v1/records/*"),
        ([route("/*/records/7", "off"), ALL], "/*/records/7"),
        ([route("/v1/**", "off", "GET"), ALL], "/v1/**"),
        # A route for some methods leaves the others to what comes after it.
        ([route("/v1/**", "enforce", "GET"), route("/**", "monitor")], "/**"),
        # What nobody can read isn't known to refuse.
        (None, "unreadable"),
        ([1, ALL], "unreadable"),
        ([route(7), ALL], "unreadable"),
        ([route("no-slash"), ALL], "unreadable"),
        ([ALL | {"mode": 3}], "unreadable"),
        ([ALL | {"proof": 3}], "unreadable"),
        ([ALL | {"level": None}], "unreadable"),
        ([ALL | {"methods": "GET"}], "unreadable"),
        ([ALL | {"methods": [3]}], "unreadable"),
    ],
)
def test_a_route_that_lets_pass_what_an_asset_needs_refused(routes: Any, named: str) -> None:
    """The first such route is named, with its mode."""
    why = found(routes, RECORDS)
    assert why
    assert named in why


@pytest.mark.parametrize(
    "routes",
    [
        [route("/health", "off"), ALL],
        [route("/v1/bookings/**", "monitor"), ALL],
        [route("/v1", "off"), ALL],
        [{"path": "/**"}],
        [route("/v1/records/**"), route("/**", "monitor")],
        # What no route matches is refused.
        [],
        [route("/v2/**", "monitor")],
    ],
)
def test_routes_beside_the_asset_or_behind_what_covers_it_do_no_harm(routes: Any) -> None:
    """They don't let pass what was named."""
    assert found(routes, RECORDS) is None


@pytest.mark.parametrize("pattern", ["/v1/Cards/**", "/V1/cards/7"])
def test_an_asset_is_reached_by_each_spelling_that_the_api_takes_for_one(pattern: str) -> None:
    """An API that doesn't say that case counts may serve it by any; one that does serves it by its own alone."""
    routes = [route("/v1/cards/**", "off"), ALL]
    assert found(routes, asset(pattern)) == "/v1/cards/** off"
    tables = tables_of({"apis": {"clinic": {"routes": routes, "case": "sensitive"}}})
    assert [each.path for each in rows_of(asset(pattern), tables)] == ["/**"]


def test_each_asset_at_the_api_counts() -> None:
    """One route of one asset is enough; assets at another API say nothing of this one."""
    routes = [route("/v1/bookings/**", "monitor"), ALL]
    assert found(routes, RECORDS, asset("/v1/records/**", "/v1/bookings/7"))
    assert found(routes, RECORDS, asset("/v1/bookings/7", api="other")) is None


@pytest.mark.parametrize(
    ("routes", "enforced"),
    [
        ([ALL], True),
        ([route("/health", "off"), ALL], True),
        ([route("/x", "monitor"), ALL], False),
        ([route("/x", "canary"), ALL], False),
        # What is open to all by a pattern may be any record.
        ([route("/v1/cards/**", "off"), ALL], False),
        ([route("/v1/cards/*", "off"), ALL], False),
        # Nothing is behind it, so that nothing is proven there either.
        ([route("/health", "off")], True),
        ([], True),
        ([1], False),
        ("x", False),
    ],
)
def test_an_api_that_no_asset_names_a_route_of(routes: Any, enforced: bool) -> None:
    """Every route counts there but such as are open to all at one fixed path: none only watches."""
    assert (found(routes, asset()) is None) is enforced


def test_what_names_no_route_may_be_behind_any() -> None:
    """Beside an asset that names its routes stands one that names none, wherever it lives: all routes count."""
    routes = [route("/v1/records/**"), route("/v1/**", "monitor"), ALL]
    assert found(routes, RECORDS) is None
    somewhere = asset()
    assert found(routes, RECORDS, somewhere) == "/v1/** monitor"
    in_the_app = somewhere.model_copy(update={"lives_in": ["app"]})
    # What is taken in the app may be served by any route, and a shield that watches keeps no script from it.
    assert found(routes, RECORDS, in_the_app) == "/v1/** monitor"


def test_a_file_without_apis_has_no_rows() -> None:
    """What isn't there, or is anything else, is passed over; an API that is none has a row that proves nothing."""
    for data in ({}, {"apis": [1]}):
        assert tables_of(data) == {}
        assert rows_of(RECORDS, tables_of(data)) == ()
    (row,) = rows_of(RECORDS, tables_of({"apis": {"clinic": 1}}))
    assert (row.path, row.enforced, row.proved) == ("", False, False)


def test_a_row_is_as_it_is_written_or_as_it_is_where_it_says_nothing() -> None:
    """What is left out is a proof by the token alone, in mode enforce, at level hardware, for every method."""
    written = {"path": "/v1/pay", "methods": ["PUT", "GET"], "proof": "device", "level": "software"}
    (full, bare) = tables_of({"apis": {"clinic": {"routes": [written, {"path": "/**"}]}}})[
        "clinic"
    ].rows
    assert full == RouteRow("clinic", "/v1/pay", ("GET", "PUT"), "enforce", "device", "software")
    assert bare == RouteRow("clinic", "/**", (), "enforce", "bearer", "hardware")
    assert (bare.enforced, bare.proved, full.proved) == (True, False, True)
    assert [full.decides(each) for each in ("GET", "HEAD", "PUT", "POST")] == [True] * 3 + [False]


def test_an_asset_has_the_rows_that_its_requests_come_to_and_no_others() -> None:
    """In the order of the file: up to the first that covers all of it."""
    routes = [
        route("/v1/records/*", "enforce", "GET"),
        route("/v1/**"),
        route("/**"),
    ]
    tables = tables_of({"apis": {"clinic": {"routes": routes}, "other": {"routes": [ALL]}}})
    assert [row.path for row in rows_of(RECORDS, tables)] == ["/v1/records/*", "/v1/**"]
    both = asset("/v2/x", "/v1/bookings")
    assert [row.path for row in rows_of(both, tables)] == ["/v1/**", "/**"]
    assert rows_of(asset("/x", api="gone"), tables) == ()
    assert [(row.api, row.path) for row in rows_of(asset("/x", api="other"), tables)] == [
        ("other", "/**")
    ]


GARBAGE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["path", "mode", "methods"]) | st.text(), inner)
    ),
    max_leaves=6,
)


@given(st.lists(GARBAGE, max_size=3) | GARBAGE)
def test_garbage_is_never_more_than_unenforced(routes: Any) -> None:
    """Whatever stands under routes, the answer is a line or none."""
    for why in (found(routes, RECORDS), found(routes, asset())):
        assert why is None or why


SEGMENTS = st.sampled_from(["a", "b", "*"])
PATTERNS = st.tuples(st.lists(SEGMENTS, max_size=3), st.booleans()).map(
    lambda drawn: "/" + "/".join([*drawn[0], *(["**"] if drawn[1] else [])])
)
ROUTES = st.lists(
    st.tuples(PATTERNS, st.sampled_from(Mode), st.sampled_from([(), ("GET",), ("PUT",)])),
    max_size=5,
)
PATHS = [path for length in range(5) for path in product(("a", "b", "c"), repeat=length)]


@settings(max_examples=300)
@given(table=ROUTES, pattern=PATTERNS)
def test_nothing_slips_through(table: Any, pattern: str) -> None:
    """What isn't told as unenforced: by the gate's own table no request of the asset comes to a lax route."""
    if found([route(path, mode.value, *methods) for path, mode, methods in table], asset(pattern)):
        return
    compiled = compile_routes(
        [
            Route("", path, frozenset(methods), Level.HARDWARE, Proof.BEARER, mode)
            for path, mode, methods in table
        ]
    )
    (wanted,) = compile_routes(
        [Route("", pattern, frozenset(), Level.HARDWARE, Proof.BEARER, Mode.ENFORCE)]
    )
    for path in PATHS:
        if wanted.matches("GET", path):
            for method in ("GET", "PUT", "POST"):
                taken = find_route(compiled, method, path)
                assert taken is None or taken.mode is Mode.ENFORCE
