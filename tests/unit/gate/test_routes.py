"""Show which route a request belongs to, and which routes can never be reached."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.gate.simulators import route

from watchword.gate.hygiene import compile_route, compile_routes, find_route, read_path, shadowed
from watchword.gate.interface import Route


def found(routes: list[Route], path: str, method: str = "GET") -> str | None:
    """Return the name of the route that a request belongs to."""
    segments = read_path(path.encode())
    assert isinstance(segments, tuple)
    match = find_route(compile_routes(routes), method, segments)
    return match.name if match else None


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("/", "/", True),
        ("/", "/a", False),
        ("/a", "/a", True),
        ("/a", "/a/", True),
        ("/a/", "/a", True),
        ("/a", "/A", False),
        ("/a", "/ab", False),
        ("/a", "/a/b", False),
        ("/admin", "/%61dmin", True),
        ("/%61dmin", "/admin", True),
        ("/a/*", "/a/b", True),
        ("/a/*", "/a/", False),
        ("/a/*", "/a", False),
        ("/a/*", "/a/b/c", False),
        ("/*/b", "/x/b", True),
        ("/a/**", "/a", True),
        ("/a/**", "/a/", True),
        ("/a/**", "/a/b/c", True),
        ("/a/**", "/ab", False),
        ("/a/*/**", "/a", False),
        ("/a/*/**", "/a/b", True),
        ("/**", "/", True),
        ("/**", "/x/y", True),
    ],
)
def test_patterns(pattern: str, path: str, *, matches: bool) -> None:
    """A star is one segment, two at the end are any rest, a last slash means nothing."""
    assert (found([route(pattern, name="r")], path) == "r") is matches


def test_first_match_wins() -> None:
    """The order of the table decides."""
    routes = [route("/a/b", name="first"), route("/a/**", name="second"), route("/**", name="last")]
    assert [found(routes, path) for path in ("/a/b", "/a/c", "/z")] == ["first", "second", "last"]


def test_methods() -> None:
    """A route may be for some methods only; one for GET is one for HEAD."""
    routes = [route("/a", methods=["GET", "POST"], name="r")]
    assert [found(routes, "/a", method) for method in ("GET", "POST", "HEAD", "PUT")] == [
        "r",
        "r",
        "r",
        None,
    ]
    assert found([route("/a", methods=["POST"], name="r")], "/a", "HEAD") is None


@pytest.mark.parametrize(
    "pattern",
    ["", "a", "**", "/a/**/b", "/a*", "/a/***", "/a//b", "/../a", "/a;b", "/a?b", "/a%2fb", "/é"],
)
def test_crooked_patterns(pattern: str) -> None:
    """A pattern that no request could match is refused when the table is compiled."""
    with pytest.raises(ValueError, match=r"path|stands"):
        compile_route(route(pattern))


def test_shadowed_routes() -> None:
    """A row that an earlier one leaves nothing to is named, with that one."""
    everything = route("/a/**", name="all")
    late = route("/a/b", name="late")
    other_method = route("/c", methods=["GET"], name="get")
    post = route("/c", methods=["POST"], name="post")
    head = route("/c", methods=["HEAD"], name="head")
    table = [everything, late, other_method, post, head, route("/**", name="rest")]
    assert shadowed(table) == [(late, everything), (head, other_method)]


@pytest.mark.parametrize(
    ("early", "late", "covered"),
    [
        (route("/a"), route("/a/**"), False),
        (route("/a/**"), route("/a/**"), True),
        (route("/a/**"), route("/a"), True),
        (route("/a"), route("/a/b"), False),
        (route("/a/b"), route("/a"), False),
        (route("/a/*"), route("/a/b"), True),
        (route("/a/b"), route("/a/*"), False),
        (route("/a", methods=["GET"]), route("/a"), False),
        (route("/a"), route("/a", methods=["GET"]), True),
        (route("/a", methods=["PUT"]), route("/a", methods=["PUT"]), True),
        (route("/a", methods=["PUT"]), route("/a", methods=["PUT", "POST"]), False),
    ],
    ids=range(11),
)
def test_which_routes_are_shadowed(early: Route, late: Route, *, covered: bool) -> None:
    """A row is unreachable when all of its requests match the earlier one, else not."""
    assert shadowed([early, late]) == ([(late, early)] if covered else [])


patterns = st.lists(st.sampled_from(["a", "b", "*"]), max_size=3).flatmap(
    lambda segments: st.sampled_from(["/" + "/".join(segments), "/" + "/".join([*segments, "**"])])
)
paths = st.lists(st.sampled_from(["a", "b", "c"]), max_size=4).map(tuple)


@given(st.lists(patterns, max_size=5), st.lists(paths, max_size=10))
def test_a_shadowed_route_is_never_found(table: list[str], requests: list[tuple[str, ...]]) -> None:
    """What is called unreachable is not reached."""
    routes = [route(pattern, name=str(number)) for number, pattern in enumerate(table)]
    unreachable = {late.name for late, _ in shadowed(routes)}
    compiled = compile_routes(routes)
    for path in requests:
        match = find_route(compiled, "GET", path)
        assert match is None or match.name not in unreachable
