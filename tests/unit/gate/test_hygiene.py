"""Show that requests which two parsers could read in two ways are refused, and what is cleaned."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.gate import hygiene
from watchword.gate.hygiene import REWRITING_FIELDS, CleanHeaders, clean
from watchword.reasons import Reason, Refusal

HOST = (b"host", b"clinic.example")
Fields = list[tuple[bytes, bytes]]


def reason(headers: Fields) -> Reason | None:
    """Return why headers are refused, None if they aren't."""
    result = clean(headers)
    return result.reason if isinstance(result, Refusal) else None


def cleaned(*headers: tuple[bytes, bytes]) -> CleanHeaders:
    """Return what is left of headers that pass."""
    result = clean([HOST, *headers])
    assert isinstance(result, CleanHeaders)
    return result


def test_ordinary_headers_stay_as_they_are() -> None:
    """Order, duplicates and values are kept; names come out in lower case."""
    fields = [(b"Accept", b"a"), (b"X-Trace", b" v "), (b"accept", b"b"), (b"Cookie", b"c=1")]
    result = cleaned(*fields)
    assert result.fields == [HOST, *((name.lower(), value) for name, value in fields)]
    assert result.token is None


def test_the_token_is_taken_out() -> None:
    """The API doesn't get the token."""
    result = cleaned((b"Watchword-Token", b"t"), (b"accept", b"a"))
    assert result[:2] == ([HOST, (b"accept", b"a")], b"t")


@pytest.mark.parametrize(
    "name",
    [
        b"watchword-instance",
        b"Watchword-Level",
        b"WATCHWORD-APP",
        b"watchword_instance",
        b"Watchword_Level",
        b"Watchword.Level",
        b"watchword~instance",
        b"Watchword!App",
        b"Watchword-Verdict",
        b"Watchword-Api",
        b"watchword_api",
    ],
)
def test_result_headers_of_the_client_are_removed(name: bytes) -> None:
    """Nobody outside says who he is, not even through the eyes of WSGI or CGI, and not twice either."""
    assert cleaned((name, b"forged"), (name, b"again")).fields == [HOST]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], Reason.REQUEST_HOST),
        ([(b"accept", b"a")], Reason.REQUEST_HOST),
        ([HOST, HOST], Reason.REQUEST_HOST),
        ([HOST, (b"Host", b"other.example")], Reason.REQUEST_HOST),
        ([(b"host", b"")], Reason.REQUEST_HOST),
        ([(b"host", b"a/evil?")], Reason.REQUEST_HOST),
        ([(b"host", b"user@evil.example")], Reason.REQUEST_HOST),
        ([(b"host", b"a b")], Reason.REQUEST_HOST),
        ([(b"host", b"a:port")], Reason.REQUEST_HOST),
        ([HOST, (b"content-length", b"1"), (b"content-length", b"1")], Reason.REQUEST_FRAMING),
        ([HOST, (b"content-length", b"1"), (b"content-length", b"2")], Reason.REQUEST_FRAMING),
        ([HOST, (b"content-length", b"+5")], Reason.REQUEST_FRAMING),
        ([HOST, (b"content-length", b"0x5")], Reason.REQUEST_FRAMING),
        ([HOST, (b"content-length", b"1_0")], Reason.REQUEST_FRAMING),
        ([HOST, (b"content-length", b"1, 1")], Reason.REQUEST_FRAMING),
        ([HOST, (b"content-length", b"")], Reason.REQUEST_FRAMING),
        (
            [HOST, (b"content-length", b"1"), (b"transfer-encoding", b"chunked")],
            Reason.REQUEST_FRAMING,
        ),
        ([HOST, (b"transfer-encoding", b"xchunked")], Reason.REQUEST_FRAMING),
        ([HOST, (b"transfer-encoding", b"chunked, identity")], Reason.REQUEST_FRAMING),
        ([HOST, (b"transfer-encoding", b"gzip, chunked")], Reason.REQUEST_FRAMING),
        ([HOST, *[(b"transfer-encoding", b"chunked")] * 2], Reason.REQUEST_FRAMING),
        ([HOST, (b"transfer_encoding", b"chunked")], Reason.REQUEST_MALFORMED),
        ([HOST, (b"watchword_token", b"t")], Reason.REQUEST_MALFORMED),
        ([HOST, (b"transfer-encoding ", b"chunked")], Reason.REQUEST_MALFORMED),
        ([HOST, (b"", b"x")], Reason.REQUEST_MALFORMED),
        ([HOST, (b"a:b", b"x")], Reason.REQUEST_MALFORMED),
        ([HOST, ("x-é".encode(), b"x")], Reason.REQUEST_MALFORMED),
        ([HOST, (b"x", b"a\r\nwatchword-level: hardware")], Reason.REQUEST_MALFORMED),
        ([HOST, (b"x", b"a\nb")], Reason.REQUEST_MALFORMED),
        ([HOST, (b"x", b"a\rb")], Reason.REQUEST_MALFORMED),
        ([HOST, (b"x", b"a\0b")], Reason.REQUEST_MALFORMED),
        ([HOST, (b"connection", b"watchword-token")], Reason.REQUEST_FRAMING),
        ([HOST, (b"connection", b"close, Host")], Reason.REQUEST_FRAMING),
        ([HOST, (b"connection", b"close"), (b"connection", b"dpop")], Reason.REQUEST_FRAMING),
        ([HOST, (b"connection", b"content_length")], Reason.REQUEST_FRAMING),
        ([HOST, (b"connection", b"Content-Digest")], Reason.REQUEST_FRAMING),
        ([HOST, (b"connection", b"signature.input")], Reason.REQUEST_FRAMING),
        ([HOST, (b"connection", b"close, Cookie")], Reason.REQUEST_FRAMING),
        ([HOST, (b"connection", b"close"), (b"connection", b"x-tenant")], Reason.REQUEST_FRAMING),
        ([HOST, (b"connection", b"x-forwarded-for")], Reason.REQUEST_FRAMING),
        ([HOST, (b"connection", b"\xe9")], Reason.REQUEST_FRAMING),
        ([HOST, (b"content_digest", b"x")], Reason.REQUEST_MALFORMED),
    ],
    ids=repr,
)
def test_ambiguous_headers(headers: Fields, expected: Reason) -> None:
    """Each way to be read in two ways has its reason."""
    assert reason(headers) is expected


@pytest.mark.parametrize(
    "name",
    [
        b"authorization",
        b"content-digest",
        b"dpop",
        b"signature",
        b"signature-input",
        b"watchword-token",
    ],
)
def test_fields_that_decide_occur_once(name: bytes) -> None:
    """Of two credentials one would be checked and the other used."""
    assert reason([HOST, (name, b"a")]) is None
    for second in (name, name.upper(), name.replace(b"-", b"_")):
        assert reason([HOST, (name, b"a"), (second, b"b")]) is Reason.REQUEST_HEADER_DUPLICATED


@pytest.mark.parametrize(
    "host", [b"a", b"a.example:8443", b"127.0.0.1:1", b"[::1]:8000", b"[fe80::1]", b"my_host"]
)
def test_hosts_that_are_names(host: bytes) -> None:
    """Names, addresses and ports pass."""
    assert reason([(b"host", host)]) is None


def test_framing_that_is_clear() -> None:
    """A length of digits, or chunks."""
    assert reason([HOST, (b"content-length", b"0012")]) is None
    assert reason([HOST, (b"Transfer-Encoding", b"Chunked")]) is None


def test_caps() -> None:
    """At most 100 fields, 8 kB each, 16 kB together; the last that fits passes."""
    too_large = Reason.REQUEST_HEADERS_TOO_LARGE
    assert reason([HOST, *[(b"x", b"")] * 99]) is None
    assert reason([HOST, *[(b"x", b"")] * 100]) is too_large
    assert reason([HOST, (b"x", b"v" * 8191)]) is None
    assert reason([HOST, (b"x", b"v" * 8192)]) is too_large
    rest = 16 * 1024 - sum(map(len, HOST)) - 3 * 5001
    assert reason([HOST, *[(b"x", b"v" * 5000)] * 3, (b"y", b"v" * (rest - 1))]) is None
    assert reason([HOST, *[(b"x", b"v" * 5000)] * 3, (b"y", b"v" * rest)]) is too_large


def test_names_that_are_too_large_are_not_remembered() -> None:
    """What follows from names is kept for the next request: a flood must not fill the memory."""
    for size, kept in ((8000, True), (9000, False)):
        names = (b"host", b"x" * size, b"y" * size)
        fields = [HOST, *((name, b"") for name in names[1:])]
        assert reason(fields) is (None if kept else Reason.REQUEST_HEADERS_TOO_LARGE)
        assert (hygiene._plan(names) is hygiene._plan(names)) is kept


@pytest.mark.parametrize("sign", [b"\0", b"\r", b"\n"])
def test_line_breaks_in_names_and_values(sign: bytes) -> None:
    """A field that is two to somebody else, wherever the break stands."""
    for field in ((b"x" + sign + b"y", b"v"), (b"x", b"v" + sign + b"y: z"), (sign, b"")):
        assert reason([HOST, field]) is Reason.REQUEST_MALFORMED


def test_connection_options_are_carried_out_here() -> None:
    """What Connection names goes, with Connection itself: nothing behind may act on it."""
    result = cleaned(
        (b"Connection", b"TE, watchword-level"),
        (b"connection", b"Proxy_Connection,, X-Rewrite-URL"),
        (b"te", b"trailers"),
        (b"proxy-connection", b"1"),
        (b"x-kept", b"1"),
    )
    assert result.fields == [HOST, (b"x-kept", b"1")]


@pytest.mark.parametrize("value", [b"keep-alive", b"Close", b"Upgrade", b"keep-alive, Upgrade"])
def test_harmless_connection_options_stay(value: bytes) -> None:
    """A handshake keeps what it needs."""
    fields = [(b"connection", value), (b"upgrade", b"websocket")]
    assert cleaned(*fields).fields == [HOST, *fields]


@pytest.mark.parametrize("sign", ["-", "_", "."])
@pytest.mark.parametrize("name", sorted(REWRITING_FIELDS))
def test_nobody_asks_for_another_path_or_method(name: bytes, sign: str) -> None:
    """What a framework would serve in place of what was judged goes no further, by any sign for a hyphen."""
    spelled = name.replace(b"-", sign.encode()).title()
    assert cleaned((spelled, b"/admin"), (b"x-kept", b"1")).fields == [HOST, (b"x-kept", b"1")]


def test_where_the_fields_of_a_proof_stand() -> None:
    """They are found for the gate to take out, also after Connection took others out."""
    fields = ((b"Signature", b"s"), (b"te", b"1"), (b"DPoP", b"d"), (b"signature-input", b"i"))
    for headers in (fields, (*fields, (b"connection", b"te, close"))):
        result = cleaned(*headers)
        for at in result.own:
            del result.fields[at]
        assert {name for name, _ in result.fields} <= {b"host", b"te", b"connection"}
        assert (result.value(b"signature"), result.value(b"dpop")) == (b"s", b"d")
        assert result.value(b"content-digest") is None


@pytest.mark.parametrize(
    ("fields", "has_body"),
    [
        ((), False),
        (((b"content-length", b"0"),), False),
        (((b"content-length", b"00"),), False),
        (((b"Content-Length", b"10"),), True),
        (((b"Transfer-Encoding", b"chunked"),), True),
        (((b"content-type", b"text/plain"),), False),
    ],
)
def test_requests_with_a_body(fields: Fields, *, has_body: bool) -> None:
    """A length above zero or chunks announce a body, nothing else does."""
    assert cleaned(*fields).has_body is has_body


names = st.sampled_from(
    [b"host", b"Host", b"connection", b"watchword-token", b"Watchword_Level", b"content-length"]
) | st.binary(max_size=12)


@given(st.lists(st.tuples(names, st.binary(max_size=20)), max_size=8))
def test_any_headers(headers: Fields) -> None:
    """Whatever the headers are, they are refused or clean; no exception comes out."""
    result = clean(headers)
    if isinstance(result, CleanHeaders):
        for name, value in result.fields:
            assert not name.replace(b"_", b"-").startswith(b"watchword-")
            assert name == name.lower()
            assert not {0, 10, 13} & set(value)
        assert sum(name == b"host" for name, _ in result.fields) == 1
