"""Show what is read out of a WSGI environ, what is refused there, and what is written back."""

import io
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.apps.asgi_client import http_scope
from tests.unit.apps.wsgi_client import Environ, environ_of
from tests.unit.gate.simulators import NOW, published, route, token

from watchword.apps.gateway.wsgi import cleaned, facts_of, shape_of
from watchword.gate.interface import RequestFacts
from watchword.gate.service import Gate
from watchword.reasons import Reason, Refusal
from watchword.vocabulary import Mode

GATE = Gate(published(route("/health", mode=Mode.OFF), route("/v1/**"), route("/mnt/v1/**")))


def verdict(environ: Environ) -> Reason | None:
    """Return why a request with a good token is refused, None if it passes."""
    facts = facts_of({"HTTP_WATCHWORD_TOKEN": token(), **environ})
    if isinstance(facts, Refusal):
        return facts.reason
    decision = GATE.decide(facts, NOW)
    return None if decision.allow else decision.refusals[0].reason


def environ(target: str = "/v1/a", *, raw: bool = True, **changes: Any) -> Environ:
    """Return the variables of a request."""
    return environ_of(http_scope(target), raw=raw) | changes


AMBIGUOUS = Reason.REQUEST_PATH_AMBIGUOUS


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("/v1/a", None),
        ("/v1/a?q=%2F..&r=a?b", None),
        ("/v1/a%20b/%C3%A9/~x:y@z,w", None),
        ("/v1/", None),
        ("/v1/%2e%2e/health", AMBIGUOUS),
        ("/v1/../health", AMBIGUOUS),
        ("/v1/%252e", AMBIGUOUS),
        ("/v1/a%3Bb", AMBIGUOUS),
        ("/v1/a%5Cb", AMBIGUOUS),
        ("/v1/a%00", AMBIGUOUS),
        ("/v1/a%FF", AMBIGUOUS),
        ("//v1/a", AMBIGUOUS),
        ("/v1//a", AMBIGUOUS),
        ("*", AMBIGUOUS),
        ("/elsewhere", Reason.GATE_ROUTE_UNKNOWN),
    ],
)
def test_targets(target: str, reason: Reason | None, *, raw: bool) -> None:
    """The same is refused whether the server tells the target as received or the decoded path alone."""
    assert verdict(environ(target, raw=raw)) is reason


def test_an_encoded_slash() -> None:
    """Where the server tells, it is refused; where nobody can tell any more, the application's path decides."""
    assert verdict(environ("/v1/a%2Fb")) is AMBIGUOUS
    hidden = facts_of(environ("/v1/a%2Fb", raw=False))
    assert isinstance(hidden, RequestFacts)
    assert (hidden.raw_path, hidden.routed_path) == (b"/v1/a/b", "/v1/a/b")


@pytest.mark.parametrize(
    "changes",
    [
        {"PATH_INFO": "/health"},
        {"PATH_INFO": "/v1/b"},
        {"PATH_INFO": "/v1/%61"},
        {"PATH_INFO": ""},
        {"SCRIPT_NAME": "/mnt"},
        {"SCRIPT_NAME": "/mnt", "RAW_URI": "/v1/mnt"},
        {"RAW_URI": "/health"},
        {"RAW_URI": "http://clinic.example/v1/a"},
        {"RAW_URI": "/v1/a?q"},
        {"RAW_URI": "/v1/a#f"},
        {"RAW_URI": ""},
        {"REQUEST_URI": "/health"},
        {"QUERY_STRING": "q"},
    ],
    ids=repr,
)
def test_targets_that_do_not_fit(changes: Environ) -> None:
    """What the application will read isn't what was received: guarded would be another resource."""
    assert verdict(environ() | changes) is AMBIGUOUS


@pytest.mark.parametrize("variable", ["RAW_URI", "REQUEST_URI"])
def test_where_servers_tell_the_target(variable: str) -> None:
    """Under either name, or under both."""
    told = environ("/v1/a%20b?q", raw=False) | {variable: "/v1/a%20b?q"}
    facts = facts_of(told | {"RAW_URI": "/v1/a%20b?q"})
    assert facts == facts_of(told)
    assert isinstance(facts, RequestFacts)
    assert (facts.raw_path, facts.query) == (b"/v1/a%20b", b"q")


@pytest.mark.parametrize(
    ("mount", "path", "reason"),
    [
        ("/mnt", "/v1/a", None),
        ("/mnt", "v1/a", Reason.GATE_ROUTE_UNKNOWN),
        ("/mnt/v1", "", None),
        ("/mnt/v", "1/a", AMBIGUOUS),
    ],
)
@pytest.mark.parametrize("raw", [True, False])
def test_a_mounted_application(mount: str, path: str, reason: Reason | None, *, raw: bool) -> None:
    """Patterns have the mount in front; a path that isn't below it, but only begins like it, is refused."""
    mounted = environ(mount + path, raw=raw) | {"SCRIPT_NAME": mount, "PATH_INFO": path}
    assert verdict(mounted) is reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"CONTENT_LENGTH": "5"}, None),
        ({"CONTENT_LENGTH": ""}, None),
        ({"CONTENT_LENGTH": "5", "HTTP_CONTENT_LENGTH": "5"}, None),
        ({"CONTENT_LENGTH": "5", "HTTP_CONTENT_LENGTH": "6"}, Reason.REQUEST_MALFORMED),
        ({"HTTP_CONTENT_LENGTH": "5"}, Reason.REQUEST_MALFORMED),
        ({"HTTP_CONTENT_TYPE": "a/b"}, Reason.REQUEST_MALFORMED),
        ({"CONTENT_TYPE": "a/b", "HTTP_CONTENT_TYPE": "a/b"}, None),
        ({"CONTENT_LENGTH": "5,5"}, Reason.REQUEST_FRAMING),
        ({"CONTENT_LENGTH": "\xb2"}, Reason.REQUEST_FRAMING),
        ({"CONTENT_LENGTH": "+5"}, Reason.REQUEST_FRAMING),
        ({"CONTENT_LENGTH": "5", "HTTP_TRANSFER_ENCODING": "chunked"}, Reason.REQUEST_FRAMING),
        ({"HTTP_TRANSFER_ENCODING": "chunked,chunked"}, Reason.REQUEST_FRAMING),
        ({"HTTP_TRANSFER_ENCODING": "chunked"}, None),
        (
            {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": 0},
            Reason.REQUEST_FRAMING,
        ),
        ({"HTTP_HOST": "a,b"}, Reason.REQUEST_HOST),
        ({"HTTP_HOST": ""}, Reason.REQUEST_HOST),
        ({"HTTP_DPOP": "a,b"}, Reason.REQUEST_HEADER_DUPLICATED),
        ({"HTTP_WATCHWORD_TOKEN": "a,b"}, Reason.REQUEST_HEADER_DUPLICATED),
        ({"HTTP_AUTHORIZATION": "Bearer a,Bearer b"}, Reason.REQUEST_HEADER_DUPLICATED),
        ({"HTTP_AUTHORIZATION": 'Digest a="b", c=d'}, None),
        ({"HTTP_ACCEPT": "a,b"}, None),
        ({"HTTP_WATCHWORD.TOKEN": "t"}, Reason.REQUEST_HEADER_DUPLICATED),
        ({"HTTP_WATCHWORD-TOKEN": "t"}, Reason.REQUEST_HEADER_DUPLICATED),
        ({"HTTP_X Y": "t"}, Reason.REQUEST_MALFORMED),
        ({"HTTP_": "t"}, Reason.REQUEST_MALFORMED),
        ({"HTTP_X": "a\nb"}, Reason.REQUEST_MALFORMED),
        ({"HTTP_X": "a\n", "HTTP_Y": "b"}, Reason.REQUEST_MALFORMED),
        ({"HTTP_X": "\xe9" * 8193}, Reason.REQUEST_HEADERS_TOO_LARGE),
        ({"HTTP_CONNECTION": "close, Watchword-Token"}, Reason.REQUEST_FRAMING),
        ({f"HTTP_X{n}": "" for n in range(100)}, Reason.REQUEST_HEADERS_TOO_LARGE),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_fields(changes: Environ, reason: Reason | None) -> None:
    """What a server made of fields that decide has one meaning, or is refused."""
    assert verdict(environ() | changes) is reason


def test_what_is_written_back() -> None:
    """Fields are as the gate leaves them, all other variables as they were; the original is left alone."""
    stream = io.BytesIO()
    before = environ() | {
        "HTTP_X_OWN": "1",
        "HTTP_CONTENT_LENGTH": "5",
        "CONTENT_LENGTH": "5",
        "wsgi.input": stream,
        "REMOTE_USER": "u",
    }
    kept = dict(before)
    fields = [
        (b"x-own", b"1"),
        (b"content-length", b"5"),
        (b"content-type", b"\xe9"),
        (b"b.c", b""),
    ]
    made = cleaned(before, fields)
    assert before == kept
    assert {n: v for n, v in made.items() if n.startswith(("HTTP_", "CONTENT_"))} == {
        "HTTP_X_OWN": "1",
        "CONTENT_LENGTH": "5",
        "CONTENT_TYPE": "\xe9",
        "HTTP_B.C": "",
    }
    assert (made["REMOTE_USER"], made["wsgi.input"]) == ("u", stream)


def test_names_that_become_one_keep_both_values() -> None:
    """None is hidden from the application by the other."""
    made = cleaned({}, [(b"x-a", b"1"), (b"x_a", b"2")])
    assert made == {"HTTP_X_A": "1,2"}


@given(
    st.lists(st.tuples(st.sampled_from("ABCDE"), st.text(st.sampled_from("ab,\n"), max_size=5))),
    st.integers(0, 3),
)
def test_each_field_keeps_its_value(pairs: list[tuple[str, str]], others: int) -> None:
    """Whatever the values are, in whatever order, and whatever else stands among the variables."""
    values = dict(pairs)
    between = {f"OTHER_{number}": "o" for number in range(others)}
    read = {"REQUEST_METHOD": "GET", **between, **{f"HTTP_{n}": v for n, v in values.items()}}
    facts = facts_of(read)
    assert isinstance(facts, RequestFacts)
    assert facts.headers == [(n.lower().encode(), v.encode()) for n, v in values.items()]
    assert cleaned(read, ()) == {"REQUEST_METHOD": "GET", **between}


@pytest.mark.parametrize(
    "many",
    [
        {f"OTHER_{number:04}": "o" for number in range(4000)},
        {f"HTTP_X{'y' * 8192}{number}": "v" for number in range(7)},
    ],
    ids=["many variables", "long names"],
)
def test_of_odd_requests_nothing_is_remembered(many: Environ) -> None:
    """They are read like all others, and take no memory that stays."""
    usual = facts_of(environ())
    assert shape_of(environ()) is shape_of(environ())
    facts = facts_of(environ() | many)
    assert isinstance(facts, RequestFacts)
    names = {name[5:].lower().encode() for name in many if name.startswith("HTTP_")}
    assert names <= {name for name, _ in facts.headers}
    assert shape_of(environ() | many) is not shape_of(environ() | many)
    assert facts_of(environ()) == usual


@given(st.text(st.sampled_from("ABCXYZ019_.!~"), max_size=100))
def test_names_are_written_back_as_they_were(name: str) -> None:
    """No name becomes another one on its way through, the first time and the next."""
    variable = f"HTTP_{name}"
    if variable in {"HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE", "HTTP_TRANSFER_ENCODING"}:
        return
    for _ in range(2):
        facts = facts_of({"REQUEST_METHOD": "GET", variable: "v"})
        assert isinstance(facts, RequestFacts)
        assert cleaned({}, facts.headers) == {variable: "v"}


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "RAW_URI",
                "REQUEST_URI",
                "PATH_INFO",
                "SCRIPT_NAME",
                "QUERY_STRING",
                "HTTP_HOST",
                "HTTP_WATCHWORD_TOKEN",
                "CONTENT_LENGTH",
                "HTTP_CONTENT_LENGTH",
                "HTTP_X",
                "HTTP_\xff",
            ]
        ),
        st.text(st.characters(max_codepoint=255), max_size=40),
    )
)
def test_any_environ_is_read_or_refused(changes: dict[str, str]) -> None:
    """Texts of bytes raise nothing, whatever they say; what passes is routed as it was decided."""
    facts = facts_of(environ() | changes)
    if isinstance(facts, RequestFacts):
        decision = GATE.decide(facts, NOW)
        if decision.allow:
            assert facts.routed_path == unquote(facts.raw_path.decode("ascii"))
