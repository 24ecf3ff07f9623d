"""Show where a request goes that a key is added to, and that the key stands in its one place."""

import string
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.gate.simulators import NOW, policy, published, request, route, token

from watchword.broker.interface import EdgeRule, Place, PlaceKind, SecretValue
from watchword.gate.injection import compile_injection, place_key, request_fields
from watchword.gate.interface import Injection
from watchword.gate.service import Gate
from watchword.reasons import Reason, RefusedError
from watchword.vocabulary import Mode

KEY = "AIza-9tSr/with+odd=signs&more"
VALUE = SecretValue(KEY)
HEADER = Place(PlaceKind.HEADER, "authorization", "Bearer ")
QUERY = Place(PlaceKind.QUERY, "key")
MAPS = route("/maps/**", secret="maps")


def rule(**changes: Any) -> EdgeRule:
    """Return into which calls the key of the maps is injected."""
    given: dict[str, Any] = {
        "secret": "maps",
        "host": "maps.example.net",
        "port": 443,
        "patterns": ("/geocode/**",),
        "methods": frozenset({"GET"}),
        "place": HEADER,
    }
    return EdgeRule(**(given | changes))


def decide(path: str, method: str = "GET", **changes: Any) -> Injection | Reason:
    """Return where the gate sends a genuine request, or why nowhere."""
    gate = Gate(published(MAPS, route("/**"), edges={"maps": rule(**changes)}))
    decision = gate.decide(request(path, token=token(), method=method), NOW)
    if not decision.allow:
        return decision.refusals[0].reason
    assert decision.injection is not None
    return decision.injection


@pytest.mark.parametrize(
    ("path", "there"),
    [
        ("/maps/geocode/x", b"/geocode/x"),
        ("/maps/geocode", b"/geocode"),
        ("/maps/geocode/", b"/geocode/"),
        ("/m%61ps/geo%63ode/a%20b", b"/geo%63ode/a%20b"),
        ("/maps/geocode/maps/geocode", b"/geocode/maps/geocode"),
        ("/maps/geocode/%E2%82%AC/~a:b@c,d", b"/geocode/%E2%82%AC/~a:b@c,d"),
    ],
)
def test_the_path_there_is_what_stands_behind_the_route(path: str, there: bytes) -> None:
    """The route's own segments are dropped, the bytes of the others stay as they came."""
    injection = decide(path)
    assert isinstance(injection, Injection)
    assert injection.path == there
    assert injection.rule.host == "maps.example.net"


@pytest.mark.parametrize(
    ("path", "method", "reason"),
    [
        ("/maps", "GET", Reason.SECRET_PATH),
        ("/maps/", "GET", Reason.SECRET_PATH),
        ("/maps/admin", "GET", Reason.SECRET_PATH),
        ("/maps/geocodes", "GET", Reason.SECRET_PATH),
        ("/maps/GEOCODE/x", "GET", Reason.SECRET_PATH),
        ("/maps/x/geocode", "GET", Reason.SECRET_PATH),
        ("/maps/geocode/x", "POST", Reason.SECRET_PATH),
        ("/maps/geocode/x", "OPTIONS", Reason.SECRET_PATH),
        ("/maps/geocode/x", "TRACE", Reason.GATE_PROTOCOL),
        ("/maps/geocode/../admin", "GET", Reason.REQUEST_PATH_AMBIGUOUS),
        ("/maps/geocode/..%2fadmin", "GET", Reason.REQUEST_PATH_AMBIGUOUS),
        ("/maps/geocode/%2e%2e/admin", "GET", Reason.REQUEST_PATH_AMBIGUOUS),
        ("/maps//geocode/x", "GET", Reason.REQUEST_PATH_AMBIGUOUS),
        ("/maps/geocode/x;y", "GET", Reason.REQUEST_PATH_AMBIGUOUS),
        ("/maps/geocode%2fx", "GET", Reason.REQUEST_PATH_AMBIGUOUS),
        ("/maps/geocode\\x", "GET", Reason.REQUEST_PATH_AMBIGUOUS),
        ("//maps/geocode/x", "GET", Reason.REQUEST_PATH_AMBIGUOUS),
        ("https://evil.example/maps/geocode", "GET", Reason.REQUEST_PATH_AMBIGUOUS),
    ],
)
def test_what_the_key_is_not_injected_for(path: str, method: str, reason: Reason) -> None:
    """Another method or path is refused, also for a genuine instance."""
    assert decide(path, method) is reason


def test_head_is_injected_with_get() -> None:
    """HEAD runs the same code there, and nothing else comes with it."""
    assert isinstance(decide("/maps/geocode/x", "HEAD"), Injection)
    assert decide("/maps/geocode/x", "HEAD", methods=frozenset({"POST"})) is Reason.SECRET_PATH
    assert isinstance(decide("/maps/geocode/x", "HEAD", methods=frozenset({"HEAD"})), Injection)


def test_no_key_is_injected_without_a_token() -> None:
    """A refusal says nothing of where the request would have gone."""
    gate = Gate(published(MAPS, edges={"maps": rule()}))
    decision = gate.decide(request("/maps/geocode/x"), NOW)
    assert not decision.allow
    assert decision.injection is None


def test_other_routes_inject_nothing() -> None:
    """A request to the API has no key, also beside a route that adds one."""
    gate = Gate(published(MAPS, route("/**"), edges={"maps": rule()}))
    assert gate.decide(request("/v1/patients", token=token()), NOW).injection is None


@pytest.mark.parametrize(
    ("wrong", "changes"),
    [
        (route("/maps/**", secret="maps", mode=Mode.MONITOR), {}),
        (route("/maps/**", secret="maps", mode=Mode.OFF), {}),
        (route("/maps/**", secret="maps", mode=Mode.CANARY), {}),
        (route("/maps/x", secret="maps"), {}),
        (route("/*/**", secret="maps"), {}),
        (route("/maps/*/**", secret="maps"), {}),
        (MAPS, {"patterns": ("geocode",)}),
        (MAPS, {"patterns": ()}),
        (MAPS, {"methods": frozenset()}),
        (MAPS, {"place": Place(PlaceKind.HEADER, "host")}),
        (MAPS, {"place": Place(PlaceKind.HEADER, "transfer_encoding")}),
        (MAPS, {"place": Place(PlaceKind.HEADER, "X-Key")}),
        (MAPS, {"place": Place(PlaceKind.HEADER, "x key")}),
        (MAPS, {"place": Place(PlaceKind.HEADER, "x-key", placeholder="")}),
        (MAPS, {"place": Place(PlaceKind.QUERY, "")}),
        (MAPS, {"place": Place(PlaceKind.QUERY, "key", "Bearer ")}),
        (MAPS, {"headers": frozenset({"watchword-token"})}),
        (MAPS, {"headers": frozenset({"watchword_level"})}),
        (MAPS, {"headers": frozenset({"cookie"})}),
        (MAPS, {"headers": frozenset({"signature"})}),
        (MAPS, {"headers": frozenset({"connection"})}),
        (MAPS, {"headers": frozenset({"range"})}),
        (MAPS, {"headers": frozenset({"if_range"})}),
        (MAPS, {"headers": frozenset({"x-http-method-override"})}),
        (MAPS, {"headers": frozenset({"x_original.url"})}),
        (MAPS, {"headers": frozenset({"é"})}),
        (MAPS, {"headers": frozenset({"a\r\nb"})}),
    ],
)
def test_rules_that_no_gate_takes(wrong: Any, changes: dict[str, Any]) -> None:
    """A route that would inject a key for unverified ones, or in a place that isn't one, is no policy at all."""
    with pytest.raises(ValueError):
        compile_injection(wrong, rule(**changes))
    with pytest.raises(ValueError):
        Gate(published(wrong, edges={"maps": rule(**changes)}))


def test_a_key_without_a_rule_is_no_policy() -> None:
    """It would have no origin, and the request would go to the API."""
    with pytest.raises(ValueError):
        Gate(published(MAPS))
    assert policy(MAPS).edges == {}


# The fields that go to the third party.

APP_FIELDS = [
    (b"host", b"clinic.example"),
    (b"accept", b"application/json"),
    (b"content-type", b"application/json"),
    (b"user-agent", b"Clinic/7 (iPhone14,2)"),
    (b"cookie", b"session=1"),
    (b"authorization", b"Bearer of-the-user"),
    (b"x-session-token", b"2"),
    (b"x-forwarded-for", b"198.18.0.1"),
    (b"range", b"bytes=0-9"),
    (b"origin", b"https://clinic.example"),
    (b"referer", b"https://clinic.example/patients/7"),
    (b"traceparent", b"00-1-2-03"),
    (b"x-goog-fieldmask", b"places.id"),
    (b"x_goog_fieldmask", b"*"),
    (b"dpop", b"e30"),
    (b"signature", b"sig1=:aa:"),
    (b"signature-input", b"sig1=()"),
    (b"watchword-instance", b"pairwise"),
    (b"watchword-level", b"hardware"),
    (b"watchword-verdict", b"e30"),
]


def test_a_third_party_learns_nothing_of_the_user() -> None:
    """Of what the app sends, only what says how to read and answer the request goes on."""
    assert request_fields(rule(), APP_FIELDS) == APP_FIELDS[1:3]
    named = rule(headers=frozenset({"x-goog-fieldmask"}))
    assert request_fields(named, APP_FIELDS) == [
        *APP_FIELDS[1:3],
        (b"x-goog-fieldmask", b"places.id"),
    ]


@pytest.mark.parametrize("name", [b"x-api-key", b"x_api_key", b"x.api.key", b"x-api_key"])
@pytest.mark.parametrize("named", [frozenset(), frozenset({"x-api-key", "x_api_key"})])
def test_the_client_s_own_key_is_overwritten(name: bytes, named: frozenset[str]) -> None:
    """In whatever spelling it comes, there is one field in the end, and it is the gate's."""
    place = Place(PlaceKind.HEADER, "x-api-key")
    sent = [(name, b"mine"), (b"accept", b"*/*"), (name, b"mine too")]
    kept = request_fields(rule(place=place, headers=named), sent)
    fields, query = place_key(place, VALUE, kept, b"a=1")
    assert fields == [(b"accept", b"*/*"), (b"x-api-key", KEY.encode())]
    assert query == b"a=1"


def test_a_prefix_stands_in_front() -> None:
    """As the provider wants it."""
    fields, _ = place_key(HEADER, VALUE, [(b"authorization", b"Bearer of-the-user")], b"")
    assert fields == [(b"authorization", b"Bearer " + KEY.encode())]


@pytest.mark.parametrize(
    "query",
    [
        b"key=mine",
        b"KEY=mine",
        b"k%65y=mine",
        b"%6B%65%79=mine",
        b"%256bey=mine",
        b"%u006bey=mine",
        b"%EF%BD%8Bey=mine",
        b"%E2%84%AAey=mine",
        b"key%00x=mine",
        b"+key=mine",
        b"%20key=mine",
        b"key%20=mine",
        b"key[]=mine",
        b"key%5Ba%5D=mine",
        b"key",
        b"key=",
        b"b=1;key=mine",
        b"key=mine;key=mine",
        b"key=mine&b=1",
        b"&&key=mine&",
        b"key=mine&key=mine&Key=mine",
    ],
)
def test_the_client_s_own_parameter_is_overwritten(query: bytes) -> None:
    """However a server could read the name, what the client put there is gone."""
    _, placed = place_key(QUERY, VALUE, [], query)
    assert b"mine" not in placed
    assert placed.count(b"key") == 1
    assert dict(parse_qsl(placed.decode(), separator="&"))["key"] == KEY


@pytest.mark.parametrize(
    "query",
    [b"api[key=mine", b"api%5Bkey=mine", b"api.key=mine", b"api+key=mine", b"api_key[=mine"],
)
def test_a_name_of_two_words_is_overwritten_as_php_reads_it(query: bytes) -> None:
    """PHP makes one name of them all, also of a bracket that isn't closed."""
    assert b"mine" not in place_key(Place(PlaceKind.QUERY, "api_key"), VALUE, [], query)[1]


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        (b"", b""),
        (b"q=a%20b", b"q=a%20b&"),
        (b"monkey=1&keys=2&q=key", b"monkey=1&keys=2&q=key&"),
        (b"a=1;b=2", b"a=1;b=2&"),
        (b"a=%GG&b=%", b"a=%GG&b=%&"),
    ],
)
def test_other_parameters_stay_as_they_came(query: bytes, kept: bytes) -> None:
    """Byte for byte."""
    assert place_key(QUERY, VALUE, [], query)[1] == kept + b"key=" + quote(KEY, safe="").encode()


@pytest.mark.parametrize("query", [b"a=1#b", b"a b", b"a=\xff", b"\x00", b"a=\r\nb", b"%c1%ab=1"])
def test_queries_that_are_read_in_two_ways(query: bytes) -> None:
    """A fragment, raw bytes, and what lenient decoders take for a plain letter are refused."""
    with pytest.raises(RefusedError) as error:
        place_key(QUERY, VALUE, [], query)
    assert error.value.reason is Reason.REQUEST_MALFORMED


SWAPPED = Place(PlaceKind.HEADER, "x-api-key", placeholder="wwk-maps")
SWAPPED_QUERY = Place(PlaceKind.QUERY, "key", placeholder="wwk-maps")


def test_a_placeholder_is_replaced() -> None:
    """In its place the rest of the value stays; nowhere else anything happens."""
    sent = [(b"x-api-key", b"Key wwk-maps"), (b"accept", b"wwk-maps")]
    kept = request_fields(rule(place=SWAPPED), sent)
    assert request_fields(rule(place=SWAPPED, headers=frozenset({"x-api-key"})), sent) == kept
    fields, query = place_key(SWAPPED, VALUE, kept, b"q=wwk-maps")
    assert fields == [(b"accept", b"wwk-maps"), (b"x-api-key", b"Key " + KEY.encode())]
    assert query == b"q=wwk-maps"
    _, query = place_key(SWAPPED_QUERY, VALUE, [], b"a=wwk-maps&k%65y=x%3Awwk%2Dmaps;b=1")
    assert query == b"a=wwk-maps&key=x%3A" + quote(KEY, safe="").encode() + b";b=1"


@pytest.mark.parametrize(
    "sent",
    [
        [],
        [(b"x-api-key", b"mine")],
        [(b"x-api-key", b"WWK-MAPS")],
        [(b"x-api-key", b"wwk-maps wwk-maps")],
        [(b"x-api-key", b"wwk-maps"), (b"x-api-key", b"wwk-maps")],
        [(b"x-api-key", b"wwk-maps"), (b"x_api_key", b"mine")],
        [(b"x_api_key", b"wwk-maps")],
        [(b"accept", b"wwk-maps")],
    ],
)
def test_headers_without_exactly_one_placeholder(sent: list[tuple[bytes, bytes]]) -> None:
    """None, another, two, or another field beside it: nothing is sent."""
    with pytest.raises(RefusedError) as error:
        place_key(SWAPPED, VALUE, request_fields(rule(place=SWAPPED), sent), b"")
    assert error.value.reason is Reason.SECRET_PLACEHOLDER


@pytest.mark.parametrize(
    "query",
    [
        b"",
        b"key=mine",
        b"q=wwk-maps",
        b"key=wwk-maps&key=wwk-maps",
        b"key=wwk-maps;KEY=mine",
        b"KEY=wwk-maps",
        b"key=wwk-mapswwk-maps",
        b"key[]=wwk-maps",
        b"key=wwk-maps&%256bey=mine",
    ],
)
def test_queries_without_exactly_one_placeholder(query: bytes) -> None:
    """As with headers."""
    with pytest.raises(RefusedError) as error:
        place_key(SWAPPED_QUERY, VALUE, [], query)
    assert error.value.reason is Reason.SECRET_PLACEHOLDER


TEXTS = st.text(string.ascii_letters + string.digits + "&;=%+[]._-#? \\\x00é", max_size=40)


@given(query=TEXTS, key=st.text(string.printable[:94], min_size=12, max_size=40))
def test_a_key_in_a_query_is_there_once(query: str, key: str) -> None:
    """Whatever the client sends: refused, or the key is the parameter's one value."""
    try:
        _, placed = place_key(QUERY, SecretValue(key), [], query.encode())
    except RefusedError as error:
        placed = error.reason.code.encode()
    if placed == Reason.REQUEST_MALFORMED.code.encode():
        return
    for separator in "&;":
        found = [
            unquote(value)
            for name, _, value in (part.partition("=") for part in placed.decode().split(separator))
            if unquote(unquote(name)).strip().lower() == "key"
        ]
        assert found in ([key], [])
    assert placed.decode().endswith("key=" + quote(key, safe=""))


@given(
    sent=st.lists(
        st.tuples(
            st.sampled_from([b"x-api-key", b"x_api_key", b"x.api.key", b"accept", b"x-a"]),
            st.text(string.printable[:94], max_size=12).map(str.encode),
        ),
        max_size=6,
    )
)
def test_a_key_in_a_header_is_there_once(sent: list[tuple[bytes, bytes]]) -> None:
    """Whatever the client sends, one field of that name in any spelling is left."""
    place = Place(PlaceKind.HEADER, "x-api-key")
    named = rule(place=place, headers=frozenset({"x-a", "x_api_key"}))
    fields, _ = place_key(place, VALUE, request_fields(named, sent), b"")
    alike = [
        field
        for field in fields
        if field[0].translate(bytes.maketrans(b"_.", b"--")) == b"x-api-key"
    ]
    assert alike == [(b"x-api-key", KEY.encode())]
