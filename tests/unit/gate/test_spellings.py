"""Show that a path is judged by the strictest of the rows that it belongs to in any spelling."""

import sys
import unicodedata
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.gate.simulators import NOW, policy, published, request, route, token

from watchword.gate.decisions import CompiledPolicy, Target
from watchword.gate.hygiene import compile_routes, find_route, read_path
from watchword.gate.interface import Decision, Route
from watchword.gate.service import Gate
from watchword.gate.spellings import (
    WATCHING,
    demands_of,
    fold,
    fold_path,
    is_as_strict,
    judge_spelling,
    rivals_of,
)
from watchword.reasons import Reason, Refusal
from watchword.vocabulary import Level, Mode, Proof

OPEN, WATCHED = Mode.OFF, Mode.MONITOR
SESSION = Proof.SESSION
GUARDED = (route("/sess/**", proof=SESSION, name="sess"), route("/**", name="rest"))


def judge(path: str, *routes: Route, method: str = "GET", sensitive: bool = False) -> str:
    """Return the name of the row that judges, or the reason for which none does."""
    compiled = CompiledPolicy(1, policy(*routes, case_sensitive=sensitive))
    target = compiled.resolve(method, path.encode("ascii"))
    return target.reason.code if isinstance(target, Refusal) else target.route.name


@pytest.mark.parametrize(
    "path",
    [
        "/SESS/x",
        "/sesS/x",
        "/%53ess/x",
        "/se%C5%BFs/x",
        "/se%EF%BD%93s/x",
        "/se%C3%9F/x",
        "/SE%C3%9F",
        "/%F0%9D%93%BCess/x",
        "/%EF%BC%B3%EF%BC%A5%EF%BC%B3%EF%BC%B3/x",
        "/%E2%93%A2ess",
    ],
)
def test_other_spellings_of_a_stricter_row(path: str) -> None:
    """A server that ignores case or normalises serves what the first row guards: that row judges."""
    assert judge(path, *GUARDED) == "sess"
    assert judge(path, *GUARDED, sensitive=True) == "rest"


@pytest.mark.parametrize(
    "path",
    [
        "/sess/x",
        "/sess/X",
        "/sess/%EF%BD%93",
        "/sesses/x",
        "/sesh",
        "/x/SESS",
        "/%C3%A9",
        "/SES%CC%A7S",
    ],
)
def test_what_is_no_other_spelling(path: str) -> None:
    """A path that is its own row's by every spelling stays that row's."""
    assert judge(path, *GUARDED) == ("sess" if path.startswith("/sess/") else "rest")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/users/me", "me"),
        ("/users/ME", "user"),
        ("/users/x", "user"),
        ("/USERS/me", "gate.route_unknown"),
        ("/users/%EF%BD%8De", "user"),
    ],
)
def test_me(path: str, expected: str) -> None:
    """A name that is a word of the table in another case doesn't die: the stricter row judges."""
    me, user = route("/users/me", name="me"), route("/users/*", proof=SESSION, name="user")
    assert judge(path, me, user) == expected


@pytest.mark.parametrize(("path", "expected"), [("/users/me", "me"), ("/users/ME", "me")])
def test_me_where_it_is_stricter(path: str, expected: str) -> None:
    """Where the literal row asks for more, it judges its other spellings."""
    me, user = route("/users/me", proof=SESSION, name="me"), route("/users/*", name="user")
    assert judge(path, me, user) == expected


def test_rows_behind() -> None:
    """A row further down that the path belongs to by another spelling alone counts as well."""
    rows = (route("/Admin", name="upper"), route("/admin", proof=SESSION, name="lower"))
    assert judge("/Admin", *rows) == "lower"
    assert judge("/admin", *rows) == "lower"
    assert judge("/ADMIN", *rows) == "gate.route_unknown"
    assert judge("/Admin", *rows, sensitive=True) == "upper"


def test_a_row_that_a_path_belongs_to_as_it_is_written_hides_those_behind() -> None:
    """What the table says of this very path is meant, also where a later row asks for more."""
    rows = (route("/health", mode=OPEN, name="health"), route("/**", proof=SESSION, name="rest"))
    assert judge("/health", *rows) == "health"
    assert judge("/HEALTH", *rows) == "rest"


def test_methods() -> None:
    """A row of other methods is nobody's rival."""
    rows = (route("/sess", methods=["POST"], proof=SESSION, name="sess"), route("/**", name="rest"))
    assert judge("/SESS", *rows) == "rest"
    assert judge("/SESS", *rows, method="POST") == "sess"


def test_none_is_the_strictest() -> None:
    """Rows that each ask for something more can't judge each other's paths."""
    rows = (
        route("/sess/**", proof=SESSION, level=Level.SOFTWARE, name="sess"),
        route("/**", name="rest"),
    )
    assert judge("/SESS", *rows) == "gate.route_ambiguous"
    assert judge("/sess", *rows) == "sess"
    assert judge("/SESS", *rows, sensitive=True) == "rest"


def test_a_third_row_may_be_the_strictest() -> None:
    """Two that don't compare are no matter where a third is stricter than both."""
    low = route("/a/b", level=Level.SOFTWARE, proof=SESSION, name="low")
    top = route("/a/*", proof=SESSION, name="top")
    rest = route("/**", name="rest")
    assert judge("/A/b", low, top, rest) == "top"
    assert judge("/a/B", low, top, rest) == "top"
    assert judge("/a/b", low, top, rest) == "low"
    assert judge("/A/b", low, rest) == "gate.route_ambiguous"


def test_a_key_goes_nowhere_by_another_spelling() -> None:
    """Rows that send requests to different servers don't compare, whatever else they ask for."""
    injects = route("/maps/**", proof=Proof.DEVICE, secret="maps", name="maps")
    table = compile_routes([injects, route("/**", mode=OPEN, name="rest")])
    rivals = rivals_of(table, policy(injects))[1]
    judged = judge_spelling(table[1], rivals, "GET", ("Maps", "x"), ("maps", "x"))
    assert isinstance(judged, Refusal)
    assert judged.reason is Reason.GATE_ROUTE_AMBIGUOUS


def decide(path: str, *routes: Route, **others: bool) -> Decision:
    """Return the decision on a request with a valid token."""
    return Gate(published(*routes, **others)).decide(request(path, token=token()), NOW)


def test_what_only_watches_is_reported() -> None:
    """Where no row refuses anybody, a path of several is served, and reported."""
    watched = (
        route("/sess", mode=WATCHED, proof=SESSION, level=Level.SOFTWARE, name="sess"),
        route("/**", mode=WATCHED, name="rest"),
    )
    decision = decide("/SESS", *watched)
    assert decision.allow
    assert decision.route == "rest"
    assert [each.reason for each in decision.refusals] == [Reason.GATE_ROUTE_AMBIGUOUS]
    assert not decide("/sess2", *watched).refusals
    refused = decide("/SESS", watched[0], route("/**", level=Level.HARDWARE, name="rest"))
    # A row that refuses is stricter than one that watches, whatever that would ask for.
    assert refused.allow
    assert refused.route == "rest"


def test_a_watching_row_reports_for_an_open_one() -> None:
    """Of a row that watches and one that is off, the one that watches judges."""
    rows = (route("/sess", mode=WATCHED, name="sess"), route("/**", mode=OPEN, name="rest"))
    decision = Gate(published(*rows)).decide(request("/SESS"), NOW)
    assert (decision.allow, decision.route) == (True, "sess")
    assert [each.reason for each in decision.refusals] == [Reason.TOKEN_MISSING]


def test_the_token_alone_doesnt_pass() -> None:
    """The answer that a session guards isn't had by writing its path in upper case."""
    decision = decide("/SESS/x", *GUARDED)
    assert not decision.allow
    assert [each.reason for each in decision.refusals] == [Reason.PROOF_MISSING]
    assert decide("/SESS/x", *GUARDED, case_sensitive=True).allow


@pytest.mark.parametrize(
    "segment",
    [
        "%EF%BC%8E%EF%BC%8E",
        "%EF%BC%8E",
        "%E2%80%A4.",
        "%E2%80%A5",
        "a%EF%BC%8Fb",
        "a%EF%BC%BCb",
        "a%EF%BC%9Bb",
        "a%EF%BC%85b",
        "a%EF%BC%83",
        "a%EF%BC%9F",
        "a%CD%BEb",
        "%E2%84%80",
    ],
)
def test_separators_in_another_form(segment: str) -> None:
    """What becomes a separator, or dots, where a server normalises is read in two ways."""
    for path in (f"/{segment}", f"/x/{segment}/y"):
        assert judge(path, route("/**", mode=OPEN, name="rest")) == "request.path_ambiguous"
        assert judge(path, route("/**", name="rest"), sensitive=True) == "rest"


@pytest.mark.parametrize(
    "segment", ["a%EF%BC%8Eb", "caf%C3%A9", "%C2%BD", "%E5%B1%B1", "%EF%BC%A1"]
)
def test_signs_of_other_scripts(segment: str) -> None:
    """Names that merely aren't ASCII are names."""
    assert judge(f"/{segment}", route("/**", name="rest")) == "rest"


def test_folding_is_whole() -> None:
    """What is folded is folded once and for all, whatever the sign."""
    for point in range(sys.maxunicode + 1):
        if not 0xD800 <= point < 0xE000:
            folded = fold(chr(point))
            assert fold(folded) == folded, hex(point)


WORDS = ("sess", "me", "kiss", "caf\u00e9")
SPELLINGS = {
    "s": ["s", "S", "\u017f", "\uff53", "\u24c8"],
    "k": ["k", "K", "\u212a"],
    "e": ["e", "E", "\u212f"],
    "m": ["m", "M", "\uff2d"],
    "i": ["i", "I", "\u0131", "\u0130", "\u2139"],
}
SEGMENTS = st.sampled_from([*WORDS, "Sess", "ME", "*"])
PATTERNS = st.builds(
    lambda segments, rest: "/" + "/".join([quote(each, safe="*") for each in segments] + rest),
    st.lists(SEGMENTS, max_size=3),
    st.sampled_from([[], ["**"]]),
)
ROWS = st.lists(
    st.builds(
        route,
        PATTERNS,
        mode=st.sampled_from([Mode.OFF, Mode.MONITOR, Mode.ENFORCE, Mode.ENFORCE]),
        level=st.sampled_from([Level.SOFTWARE, Level.HARDWARE]),
        proof=st.sampled_from([Proof.BEARER, Proof.SESSION]),
        methods=st.sampled_from([(), ("GET",), ("POST",)]),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda each: each.pattern,
).map(lambda rows: [*rows, route("/**", level=Level.SOFTWARE, name="rest")])
SERVERS: dict[str, Callable[[str], str]] = {
    "case": lambda text: text,
    "ascii": lambda text: "".join(each.lower() if each.isascii() else each for each in text),
    "lower": str.lower,
    "upper": str.upper,
    "casefold": str.casefold,
    "nfkc": lambda text: unicodedata.normalize("NFKC", text),
    "nfkc-casefold": lambda text: unicodedata.normalize(
        "NFKC", unicodedata.normalize("NFKC", text).casefold()
    ),
    "nfkc-upper": lambda text: unicodedata.normalize("NFKC", text).upper(),
}


def served(routes: list[Route], server: Callable[[str], str], path: str) -> Route | None:
    """Return the row whose handler a server that folds paths calls: the first that matches, folded on both sides."""
    segments = read_path(path.encode())
    assert isinstance(segments, tuple)
    for row in compile_routes(routes):
        folded = tuple(each if each == "*" else server(each) for each in row.segments)
        got = tuple(server(each) for each in segments)
        fits = len(got) == len(folded) or (row.open_ended and len(got) > len(folded))
        if (
            fits
            and all(want in ("*", has) for want, has in zip(folded, got, strict=False))
            and (not row.methods or "GET" in row.methods)
        ):
            return row.route
    return None


@given(st.data())
def test_never_weaker_than_a_server_that_folds(data: st.DataObject) -> None:
    """Whatever the table and the spelling: what a server takes a path for is never guarded less than its row says."""
    routes = data.draw(ROWS)
    words = data.draw(st.lists(st.sampled_from([*WORDS, "x"]), max_size=4))
    spelled = [
        "".join(data.draw(st.sampled_from(SPELLINGS.get(sign, [sign]))) for sign in word)
        for word in words
    ]
    path = "/" + "/".join(quote(each, safe="") for each in spelled)
    target = CompiledPolicy(1, policy(*routes)).resolve("GET", path.encode())
    segments = read_path(path.encode())
    assert isinstance(segments, tuple)
    exact = find_route(compile_routes(routes), "GET", segments)
    if isinstance(target, Refusal):
        assert target.reason in {Reason.GATE_ROUTE_UNKNOWN, Reason.GATE_ROUTE_AMBIGUOUS}
        assert (exact is None) is (target.reason is Reason.GATE_ROUTE_UNKNOWN)
        return
    for name, server in SERVERS.items():
        meant = served(routes, server, path)
        assert meant is not None
        if meant.mode not in WATCHING:
            assert is_as_strict(demands_of(target.route, ()), demands_of(meant, ())), name
    assert exact is not None
    if exact.mode not in WATCHING:
        assert is_as_strict(demands_of(target.route, ()), demands_of(exact, ()))


def test_what_is_written_as_the_table_has_it_costs_nothing() -> None:
    """A table in lower case has no rivals for a path in lower case: it isn't looked for any."""
    compiled = CompiledPolicy(1, policy(*GUARDED))
    assert isinstance(compiled.resolve("GET", b"/sess/x"), Target)
    assert fold_path(("sess", "x")) == ("sess", "x")


def test_a_table_of_a_thousand_rows() -> None:
    """The longest table is compared in bounded work: rows that ask for the same are compared once."""
    rows = [
        route(f"/a{at}/**", proof=Proof.SESSION if at % 2 else Proof.BEARER) for at in range(999)
    ]
    rows.append(route("/**", level=Level.SOFTWARE))
    assert judge("/A7/x", *rows) == "/a7/**"
    assert judge("/A8/x", *rows) == "/a8/**"
    assert judge("/B8/x", *rows) == "/**"
